"""The configuration: all errors at once, by name; no secret in any text; generated documents that are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT, RENAMED, Configuration
from newsletter.config.environment import ConfigurationError, read_configuration
from newsletter.config.settings_text import env_example, settings_table
from newsletter.settings import database_settings

GOOD = {
    "SITE_URL": "https://digest.example.org",
    "SECRET_KEY": "marked-secret-" + "k" * 50,
    "SUPPRESSION_SECRET": "marked-secret-" + "s" * 32,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*Configuration.model_fields, "ci"):
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def errors() -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration()
    return caught.value.errors


def test_three_settings_are_enough_for_the_sandbox(environment: pytest.MonkeyPatch) -> None:
    configuration = read_configuration()
    assert configuration.provider_url == "http://127.0.0.1:8026"
    assert configuration.webhook_secrets[0].startswith("whsec_")


def test_all_errors_are_reported_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("SUPPRESSION_SECRET")
    for name, value in {
        "SITE_URL": "http://digest.example.org",
        "SECRET_KEY": "short",
        "DATABASE_URL": "mysql://x",
        "PROVIDER": "resend",
        "RESEND_WEBHOOK_SECRETS": "whsec_!!!",
        "DEBUG": "perhaps",
        "TRUSTED_PROXIES": "-1",
        "ENVIRONMENT": "Über",
    }.items():
        environment.setenv(name, value)
    named = {error.split(":")[0] for error in errors()}
    assert named == {
        "SITE_URL",
        "SECRET_KEY",
        "SUPPRESSION_SECRET",
        "DATABASE_URL",
        "RESEND_API_KEY",
        "RESEND_WEBHOOK_SECRETS",
        "DEBUG",
        "TRUSTED_PROXIES",
        "ENVIRONMENT",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SITE_URL", "digest.example.org"),
        ("SITE_URL", "https://digest.example.org/news"),
        ("SITE_URL", "ftp://digest.example.org"),
        ("SITE_URL", "https://[::1"),
        ("SITE_URL", "https://exa mple.org"),
        ("SITE_URL", "https://exa\tmple.org"),
        ("SITE_URL", "https://digest.example.org:0"),
        ("SITE_URL", "https://digest.example.org:65536"),
        ("SITE_URL", "https://digest.example.org?news"),
        ("SITE_URL", "https://digest.example.org#news"),
        ("SITE_URL", "https://ada:hunter2@digest.example.org"),
        ("SITE_URL", "https://"),
        ("SITE_URL", "https://" + "a" * 70 + ".example"),
        ("SANDBOX_URL", "http://sandbox.example.org"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "postgresql://host"),
        ("DATABASE_URL", "postgresql://news:pa/ss@db:5432/news"),
        ("RESEND_WEBHOOK_SECRETS", "whsec_"),
        ("RESEND_WEBHOOK_SECRETS", "whsec_c2hvcnQ="),
        ("SMTP_HOST", "smtp://mail.example.org:587"),
        ("SMTP_TLS", "perhaps"),
        ("SMTP_TIMEOUT", "1"),
        ("TRUSTED_PROXIES", "many"),
        ("POSTMASTER_CREDENTIALS", "{"),
        ("POSTMASTER_CREDENTIALS", "{}"),
        ("POSTMASTER_CREDENTIALS", '{"client_email": "a@example.org", "private_key": ""}'),
        ("POSTMASTER_CREDENTIALS", "/nowhere/key.json"),
        ("SPAM_RATE_LIMIT", "0"),
        ("RETENTION_DELIVERABILITY_DAYS", "7"),
        ("RETURN_PATH", "send example"),
        ("DKIM_SELECTORS", "resend,a b"),
        ("DMARC_REPORT_ADDRESS", "@reports.example.org"),
        ("DMARC_REPORT_ADDRESS", "a@reports.example.org,b@reports.example.org"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_an_invalid_value_is_refused_by_name(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    (error,) = errors()
    assert error.startswith(f"{name}: ")


def test_an_internationalised_host_name_is_encoded_in_ascii(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SITE_URL", "https://münchen.example/")
    assert read_configuration().site_url == "https://xn--mnchen-3ya.example"


def test_secrets_appear_in_no_output_and_no_error(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", "postgresql://news:marked-secret@127.0.0.1/news")
    configuration = read_configuration()
    assert "marked-secret" not in f"{configuration!r} {configuration} {configuration.model_dump()}"
    environment.setenv("SECRET_KEY", "marked-secret")
    assert "marked-secret" not in " ".join(errors())


def test_googles_credentials_are_json_or_the_path_of_a_file_and_shown_nowhere(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = '{"client_id": "id", "client_secret": "marked-secret", "refresh_token": "1//x"}'
    (tmp_path / "key.json").write_text(text)
    for value in (text, str(tmp_path / "key.json")):
        environment.setenv("POSTMASTER_CREDENTIALS", value)
        configuration = read_configuration()
        assert configuration.postmaster_credentials.get_secret_value() == text
        assert "marked-secret" not in f"{configuration!r} {configuration}"
    for wrong in (text[:-1], text.replace("refresh_token", "token")):
        environment.setenv("POSTMASTER_CREDENTIALS", wrong)
        assert "marked-secret" not in " ".join(errors())


def test_the_site_url_may_be_a_loopback_address(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SITE_URL", "http://[::1]:8000")
    assert read_configuration().site_url == "http://[::1]:8000"


def test_options_in_the_database_url_reach_libpq() -> None:
    entry = database_settings("postgresql://news:p%40ss@db.example:5433/news?sslmode=require")
    assert (entry["PASSWORD"], entry["PORT"], entry["OPTIONS"]["sslmode"]) == ("p@ss", "5433", "require")


def test_cursors_and_statements_of_a_session_are_not_used_behind_pgbouncer() -> None:
    pooled = database_settings("postgresql://news@pool.example:6432/news?pgbouncer=true&sslmode=require")
    assert pooled["OPTIONS"] == {"sslmode": "require", "prepare_threshold": None}
    assert pooled["DISABLE_SERVER_SIDE_CURSORS"] is True
    direct = database_settings("postgresql://news@db.example/news")
    assert (direct["DISABLE_SERVER_SIDE_CURSORS"], direct["OPTIONS"]["prepare_threshold"]) == (False, 1)


@pytest.mark.parametrize("url", ["memory://", "http://broker.example", "amqp:broker"])
def test_the_broker_must_be_rabbitmq_or_redis(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("DATABASE_URL", "postgresql://news@db.example/news")
    environment.setenv("BROKER_URL", url)
    with pytest.raises(ConfigurationError, match="BROKER_URL: must start with amqp://"):
        read_configuration()


def test_a_broker_requires_postgresql(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROKER_URL", "redis://127.0.0.1:6379/0")
    with pytest.raises(ConfigurationError, match="BROKER_URL: requires PostgreSQL"):
        read_configuration()
    environment.setenv("DATABASE_URL", "postgresql://news@db.example/news")
    assert read_configuration().broker_url.get_secret_value().startswith("redis://")


def test_the_directory_of_the_sqlite_file_is_created(tmp_path: Path) -> None:
    database_settings(f"sqlite:///{tmp_path}/new/folder/news.sqlite3")
    assert (tmp_path / "new" / "folder").is_dir()


def test_resend_requires_its_api_key_and_the_webhook_secret(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PROVIDER", "resend")
    assert [error.split(":")[0] for error in errors()] == ["RESEND_API_KEY", "RESEND_WEBHOOK_SECRETS"]
    environment.setenv("RESEND_API_KEY", "re_123")
    environment.setenv("RESEND_WEBHOOK_SECRETS", "whsec_" + "c" * 32 + ", whsec_" + "d" * 32)
    assert len(read_configuration().webhook_secrets) == 2


def test_smtp_requires_a_host_and_sends_no_password_in_plain_text(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PROVIDER", "smtp")
    assert [error.split(":")[0] for error in errors()] == ["SMTP_HOST"]
    environment.setenv("SMTP_HOST", "mail.example.org")
    assert read_configuration().smtp_port == 587
    environment.setenv("SMTP_PASSWORD", "marked-secret")
    assert errors() == ["SMTP_PASSWORD: belongs to SMTP_USER: set both or neither"]
    environment.setenv("SMTP_USER", "notes")
    environment.setenv("SMTP_TLS", "none")
    (error,) = errors()
    assert "in plain text" in error
    assert "marked-secret" not in error
    environment.setenv("SMTP_HOST", "127.0.0.1")
    assert read_configuration().smtp_user == "notes"


def test_the_environment_overrides_the_settings_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("ENVIRONMENT=from-file\nTRUSTED_PROXIES=2\n")
    environment.setenv("ENVIRONMENT", "from-outside")
    configuration = read_configuration(file)
    assert (configuration.environment, configuration.trusted_proxies) == ("from-outside", 2)


def test_a_process_with_missing_settings_exits_with_the_list_and_no_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT_ROOT,
        env={"NEWSLETTER_ENV_FILE": str(tmp_path / "none")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    for name in GOOD:
        assert f"{name}: is missing" in ended.stderr


def test_the_example_file_is_up_to_date() -> None:
    assert (PROJECT_ROOT / ".env.example").read_text() == env_example(), "Run: manage.py show_settings --write"


def test_the_table_in_the_readme_is_up_to_date() -> None:
    assert settings_table() in (PROJECT_ROOT / "README.md").read_text(), "Run: manage.py show_settings --write"


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Configuration.model_fields.values())


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_setting_stops_the_start_and_names_the_new_one(
    environment: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str
) -> None:
    file = tmp_path / "settings"
    file.write_text(f"{old}=anything\n")
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(file)
    assert caught.value.errors == [f"{old}: was renamed to {new}; set {new} instead"]
    environment.setenv(old, "anything")
    environment.delenv("SECRET_KEY")
    assert errors() == [f"{old}: was renamed to {new}; set {new} instead", "SECRET_KEY: is missing"]


def test_a_former_name_is_no_name_of_another_setting() -> None:
    fields = {name.upper() for name in Configuration.model_fields}
    assert not fields & RENAMED.keys()
    assert set(RENAMED.values()) <= fields


# Rehearsals

RESEND = {
    "PROVIDER": "resend",
    "RESEND_API_KEY": "re_real",
    "RESEND_WEBHOOK_SECRETS": "whsec_" + "QUJD" * 8,
}
SMTP = {"PROVIDER": "smtp", "SMTP_HOST": "mail.example.org"}


@pytest.mark.parametrize("provider", [RESEND, SMTP, RESEND | SMTP | {"PROVIDER": "smtp,resend"}], ids=str)
def test_a_rehearsal_with_a_real_provider_requires_an_allowlist(
    environment: pytest.MonkeyPatch, provider: dict[str, str]
) -> None:
    for name, value in (provider | {"ENVIRONMENT": "staging"}).items():
        environment.setenv(name, value)
    (error,) = errors()
    assert error.startswith("ALLOWED_RECIPIENTS: is required because ENVIRONMENT=staging is a rehearsal")
    environment.setenv("ALLOWED_RECIPIENTS", "Me@Example.org, @example.net")
    assert read_configuration().allowed_recipients == ("me@example.org", "@example.net")
    environment.setenv("ALLOWED_RECIPIENTS", "*")
    assert read_configuration().allowed_recipients == ("*",)


@pytest.mark.parametrize(
    "safe",
    [
        RESEND | {"ENVIRONMENT": "production"},
        RESEND | {"ENVIRONMENT": "production-2"},
        SMTP | {"ENVIRONMENT": "staging", "SMTP_HOST": "127.0.0.1"},
        {"ENVIRONMENT": "staging"},
    ],
    ids=str,
)
def test_production_and_providers_on_this_machine_require_no_allowlist(
    environment: pytest.MonkeyPatch, safe: dict[str, str]
) -> None:
    for name, value in safe.items():
        environment.setenv(name, value)
    assert read_configuration().allowed_recipients == ()


@pytest.mark.parametrize("name", ["example.org", "a b@example.org", "**", "@", "ada@"])
def test_an_entry_of_the_allowlist_that_is_no_address_and_no_domain_is_refused(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv("ALLOWED_RECIPIENTS", f"me@example.org,{name}")
    (error,) = errors()
    assert "which is neither an address nor an @domain" in error


# Keys of tests, placeholders, automated runs

LIKE_A_REAL_KEY = "re_" + "Kd93hfTz" + "_" + "b" * 3 + "7Qm2LsYw8VcRx4Np1Tz6"


@pytest.mark.parametrize("name", ["RESEND_API_KEY", "RESEND_READ_KEY"])
@pytest.mark.parametrize(
    "key",
    [
        "re_test_123456",
        "re_test",
        "re_TEST-key",
        "re_sandbox",
        "re_sandbox_abc",
        "re_demo_key",
        "re_fake",
        "re_xxxxxxxx",
        "re_xxxxxxxxx_xxxxxxxxxxxxxxxx",
        "re_x",
        "re_000000000",
        "re_123456789",
        "re_",
        "re_…",
        "re_your_api_key",
        "re_change-me",
        "re_placeholder",
    ],
)
def test_a_test_key_or_placeholder_for_the_real_provider_is_refused(
    environment: pytest.MonkeyPatch, name: str, key: str
) -> None:
    for setting, value in (RESEND | {"RESEND_API_KEY": LIKE_A_REAL_KEY, name: key}).items():
        environment.setenv(setting, value)
    (error,) = errors()
    assert error.startswith(f"{name}: is a key for tests or a placeholder, and PROVIDER=resend posts to Resend itself")
    assert key not in error or len(key) < 5
    environment.setenv("PROVIDER", "sandbox")
    configuration = read_configuration()
    assert (configuration.provider_url, configuration.provider_key) == ("http://127.0.0.1:8026", "re_sandbox")


@pytest.mark.parametrize("key", [LIKE_A_REAL_KEY, "re_Testabcd_Kd93hfTzQm2LsYw8VcRx4Np1", "re_xxkq93ab_9QmLsYw8VcRx"])
def test_a_real_key_is_accepted_and_never_goes_to_the_sandbox(environment: pytest.MonkeyPatch, key: str) -> None:
    for setting, value in (RESEND | {"RESEND_API_KEY": key}).items():
        environment.setenv(setting, value)
    assert read_configuration().provider_key == key
    environment.setenv("PROVIDER", "sandbox")
    assert read_configuration().provider_key == "re_sandbox"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "change-me-" * 6),
        ("SECRET_KEY", "changeme" * 8),
        ("SECRET_KEY", "django-insecure-abcdefghijklmnopqrstuvwxyz0123456789abcdef"),
        ("SECRET_KEY", "k" * 60),
        ("SECRET_KEY", "<your secret key, which has at least fifty characters>"),
        ("SUPPRESSION_SECRET", "replace-me-replace-me-replace-me-replace-me"),
        ("SUPPRESSION_SECRET", "s" * 40),
        ("RESEND_WEBHOOK_SECRETS", "whsec_" + "x" * 32),
        ("METRICS_TOKEN", "change-me-change-me-change-me"),
    ],
)
def test_a_placeholder_is_no_secret(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    (error,) = errors()
    assert error.startswith((f"{name}: is a placeholder", f"{name}: must have at least 5 different characters"))
    assert value not in error


def test_a_placeholder_is_no_password_of_a_mail_server_elsewhere(environment: pytest.MonkeyPatch) -> None:
    for name, value in (SMTP | {"SMTP_USER": "digest", "SMTP_PASSWORD": "change-me"}).items():
        environment.setenv(name, value)
    assert errors() == ["SMTP_PASSWORD: is a placeholder; set your own secret value"]
    environment.setenv("SMTP_HOST", "127.0.0.1")
    read_configuration()


@pytest.mark.parametrize("provider", [RESEND, SMTP, RESEND | SMTP | {"PROVIDER": "smtp,resend"}], ids=str)
@pytest.mark.parametrize("ci", ["true", "1", "True", "yes"])
def test_an_automated_run_that_could_mail_subscribers_is_refused(
    environment: pytest.MonkeyPatch, provider: dict[str, str], ci: str
) -> None:
    for name, value in (provider | {"CI": ci}).items():
        environment.setenv(name, value)
    (error,) = errors()
    assert error.startswith("PROVIDER: delivers real mail to any address, and the variable CI is set")
    environment.setenv("ENVIRONMENT", "staging")
    environment.setenv("ALLOWED_RECIPIENTS", "*")
    assert len(errors()) == 1
    environment.setenv("ALLOWED_RECIPIENTS", "me@example.org")
    read_configuration()


@pytest.mark.parametrize(
    "safe", [{"CI": "true"}, SMTP | {"CI": "true", "SMTP_HOST": "127.0.0.1"}, RESEND | {"CI": "false"}], ids=str
)
def test_an_automated_run_without_real_mail_starts(environment: pytest.MonkeyPatch, safe: dict[str, str]) -> None:
    for name, value in safe.items():
        environment.setenv(name, value)
    read_configuration()
