"""`configure` makes a file with which the system starts, checks each answer, and never replaces a secret."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from newsletter.config import answers, env_file
from newsletter.config.configuration import PROJECT_ROOT
from subscribers.models import secret_fingerprint

WEBHOOK_SECRET = "whsec_" + "A" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def values(file: Path) -> dict[str, str]:
    return env_file.read_values(file.read_text())


def configure(file: Path, *arguments: str) -> str:
    output = io.StringIO()
    call_command("configure", *arguments, file=file, stdout=output)
    return output.getvalue()


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give these answers to the questions, each for the setting of its name, in turn."""

    def give(**answers: list[str]) -> None:
        lines: list[str] = []
        write = io.StringIO.write

        def read(prompt: str) -> str:
            name = lines[-1]
            given = answers.get(name, [])
            return given.pop(0) if given else ""

        def note(self: io.StringIO, text: str) -> int:
            name = text.strip().splitlines()[0] if text.strip() else ""
            if name.isupper() and " " not in name:
                lines.append(name)
            return write(self, text)

        class Output(io.StringIO):
            write = note

        monkeypatch.setattr("builtins.input", read)
        monkeypatch.setattr(f"{__name__}.io.StringIO", Output)

    return give


def test_the_command_runs_before_any_setting_is_valid_and_the_system_starts_then(file: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "NEWSLETTER_ENV_FILE": str(file)}

    def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True)

    assert "manage.py configure asks for them" in manage("check").stderr
    made = manage("configure", "--defaults")
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    checked = manage("check")
    assert checked.returncode == 0, checked.stderr
    assert values(file)["SITE_URL"] == "http://127.0.0.1:8000"


def test_secrets_are_made_and_kept(file: Path) -> None:
    assert "Next: manage.py migrate" in configure(file, "--defaults")
    before = values(file)
    assert {"SECRET_KEY", "SUPPRESSION_SECRET", "METRICS_TOKEN"} <= before.keys()
    output = configure(file, "SITE_URL=https://digest.example.org")
    assert values(file) == {**before, "SITE_URL": "https://digest.example.org", "TRUSTED_PROXIES": "1"}
    assert "Next: restart the web server and all workers." in output
    assert not any(secret in output for name, secret in before.items() if name.endswith(("KEY", "SECRET", "TOKEN")))


@pytest.mark.parametrize("name", ["SECRET_KEY", "SUPPRESSION_SECRET"])
def test_a_secret_that_is_set_is_not_replaced(file: Path, name: str) -> None:
    configure(file, "--defaults")
    before = file.read_text()
    with pytest.raises(CommandError, match=f"{name}: is set already and is not replaced"):
        configure(file, f"{name}={'x' * 60}")
    assert file.read_text() == before


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_a_database_whose_suppressions_have_another_secret_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    database = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE subscribers_suppressionsecret (id, fingerprint)")
        connection.execute("INSERT INTO subscribers_suppressionsecret VALUES (1, ?)", [secret_fingerprint("former")])
        connection.commit()
    url = f"sqlite:///{database}"
    if name == "postgresql":
        url = "postgresql://news@db.example.org/news"
        monkeypatch.setattr("psycopg.connect", lambda *_arguments, **_options: sqlite3.connect(database))
        monkeypatch.setattr(answers, "database_problem", lambda _url: "")
    errors = io.StringIO()
    call_command("configure", f"DATABASE_URL={url}", file=file, stdout=io.StringIO(), stderr=errors)
    assert "this database has been used with another SUPPRESSION_SECRET" in errors.getvalue()
    assert "set SUPPRESSION_SECRET to its former value" in errors.getvalue()
    with closing(sqlite3.connect(database)) as connection:
        present = secret_fingerprint(values(file)["SUPPRESSION_SECRET"])
        connection.execute("UPDATE subscribers_suppressionsecret SET fingerprint = ?", [present])
        connection.commit()
    errors = io.StringIO()
    call_command("configure", "LOG_LEVEL=INFO", file=file, stdout=io.StringIO(), stderr=errors)
    assert errors.getvalue() == ""


def test_all_errors_are_told_at_once_and_nothing_is_written(file: Path) -> None:
    with pytest.raises(CommandError) as caught:
        configure(file, "SITE_URL=digest.example.org", "PROVIDER=resend", "LOG_LEVEL=loud")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [
        "SITE_URL",
        "RESEND_API_KEY",
        "RESEND_WEBHOOK_SECRETS",
        "LOG_LEVEL",
    ]
    assert not file.exists()


def test_an_unknown_setting_is_refused(file: Path) -> None:
    with pytest.raises(CommandError, match="“SITEURL” is not"):
        configure(file, "SITEURL=https://digest.example.org")


def test_a_value_may_come_from_standard_input(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("pass word\n"))
    configure(file, "PROVIDER=smtp", "SMTP_HOST=mail.example.org", "SMTP_USER=news", "SMTP_PASSWORD=-")
    assert values(file)["SMTP_PASSWORD"] == "pass word"


def test_a_database_that_does_not_answer_is_refused_without_its_password(file: Path) -> None:
    url = "DATABASE_URL=postgresql://news:hidden-word@127.0.0.1:1/news"
    with pytest.raises(CommandError, match=r"DATABASE_URL: connection .*failed") as caught:
        configure(file, url)
    assert "hidden-word" not in str(caught.value)
    configure(file, url, "--skip-database-test")
    assert values(file)["DATABASE_URL"].endswith("/news")


def test_a_file_that_is_no_database_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "news.sqlite3").write_text("This is a text file, not a database. " * 100)
    with pytest.raises(CommandError, match="is no SQLite database"):
        configure(file, f"DATABASE_URL=sqlite:///{tmp_path}/news.sqlite3")


def test_a_wrong_answer_is_asked_again_at_once(file: Path, answer: Callable[..., None]) -> None:
    answer(
        SITE_URL=["digest.example.org", "https://digest.example.org"],
        PROVIDER=["mailer", "resend"],
        RESEND_API_KEY=["", "sk_1", "re_abcdefgh"],
        RESEND_WEBHOOK_SECRETS=["whsec_1", WEBHOOK_SECRET],
    )
    output = configure(file)
    assert "SITE_URL must be a scheme and a host" in output
    assert "PROVIDER must be sandbox, resend or smtp" in output
    assert "RESEND_API_KEY is required with PROVIDER=resend" in output
    assert "https://digest.example.org/webhooks/resend/" in output
    assert values(file)["RESEND_API_KEY"] == "re_abcdefgh"


def test_a_second_run_shows_present_values_and_masks_secrets(file: Path, answer: Callable[..., None]) -> None:
    configure(file, "PROVIDER=smtp", "SMTP_HOST=mail.example.org", "SMTP_USER=news", "SMTP_PASSWORD=hidden-word")
    before = file.read_text()
    answer()
    output = configure(file)
    assert "hidden-word" not in output
    assert file.read_text() == before


def test_an_optional_setting_can_be_emptied(file: Path, answer: Callable[..., None]) -> None:
    configure(
        file,
        "PROVIDER=resend",
        "RESEND_API_KEY=re_Ab3dEf9hKm",
        f"RESEND_WEBHOOK_SECRETS={WEBHOOK_SECRET}",
        "RESEND_READ_KEY=re_Zy8xWv7uTs",
    )
    answer(RESEND_READ_KEY=["-"])
    configure(file)
    assert values(file)["RESEND_READ_KEY"] == ""


def test_without_answers_nothing_is_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="Use NAME=value or --defaults in a script"):
        configure(file)
    assert not file.exists()
