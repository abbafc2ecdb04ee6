"""What an operator may set: one class, every field documented.

`newsletter.config.environment` reads it, `newsletter.settings` turns it into Django's settings; `settings_text` writes
`.env.example` and the README's table from it, and a test holds them together.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, DirectoryPath, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from newsletter.config import failpoints

PROJECT_ROOT = Path(__file__).resolve().parents[2]

HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:]{2,45}\]?")

#: An address or @domain, in ASCII as mail programs send it.
RECIPIENT = re.compile(r"[^@\s,]{0,64}@[A-Za-z0-9.-]{1,253}")

RESEND_API_URL = "https://api.resend.com"
DEFAULT_DATABASE = "sqlite:///var/newsletter.sqlite3"


def is_loopback(host: str | None) -> bool:
    """Whether mail or links that go to `host` stay on this machine. Names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


#: What PROVIDER may name.
PROVIDER_NAMES = frozenset({"sandbox", "resend", "smtp"})


def _route_of(info: ValidationInfo) -> list[str]:
    """The providers in their order, as far as PROVIDER could be read."""
    return str(info.data.get("provider", "")).split(",")


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_commas)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class Configuration(BaseSettings):
    """Every setting of the system. Secrets are `SecretStr`: they never appear in a print, log or fault."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    site_url: str = Field(
        description="Public address of the site, without a path: every link in a mail or feed starts with it. "
        "https, except on this machine.",
        examples=["https://digest.example.org"],
    )
    secret_key: SecretStr = Field(
        description="Signs sessions and the links in mails; 50 characters or more. Make one with: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
    )
    secret_key_fallbacks: Secrets = Field(
        default=(),
        description="Earlier values of SECRET_KEY, separated by commas: links signed with them still work. "
        "Keep them for as long as old mails may be opened.",
    )
    suppression_secret: SecretStr = Field(
        description="Keys the list of addresses that must not be mailed; 32 characters or more. "
        "Never change it: with another value nobody on that list is recognised.",
    )
    database_url: SecretStr = Field(
        default=SecretStr(DEFAULT_DATABASE),
        description="Where everything is kept: sqlite:///path or postgresql://user:password@host:port/name. "
        "Add ?pgbouncer=true where pgbouncer pools transactions in between.",
    )
    environment: str = Field(
        default="production",
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="Name of this installation; goes out as a tag, so that another installation in the same "
        "Resend team does not take our events for its own. One that does not begin with production is a rehearsal, "
        "and writes only to ALLOWED_RECIPIENTS.",
    )
    broker_url: SecretStr = Field(
        default=SecretStr(""),
        description="Only for workers on more than one machine: amqp://user:password@host:port/vhost (RabbitMQ) or "
        "redis://:password@host:port/number. Each installation needs a vhost or number of its own. docs/scale-out.md "
        "tells when.",
    )
    provider: str = Field(
        default="sandbox",
        description="Who carries the mail: sandbox (manage.py sandbox, nothing leaves this machine), resend, or smtp "
        "(any mail server). Two in their order, such as resend,smtp: the second carries what the first is known not to "
        "have taken while that does not work.",
    )
    sandbox_url: str = Field(
        default="http://127.0.0.1:8026",
        description="Address of the sandbox; must be on this machine.",
    )
    resend_api_key: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="Resend's API key (re_…) with sending access. Needed with PROVIDER=resend.",
    )
    resend_read_key: SecretStr = Field(
        default=SecretStr(""),
        description="A second API key of Resend's (re_…) with full access, used for reading only: with it a batch "
        "whose answer was lost is looked up in Resend's list of mails. Without it a receipt or a person settles it.",
    )
    resend_webhook_secrets: Secrets = Field(
        default=(),
        validate_default=True,
        description="Signing secrets of the webhook (whsec_…), separated by commas: the current one and, while it "
        "is being rotated, the previous. Needed with PROVIDER=resend.",
    )
    price_per_thousand: Decimal | None = Field(
        default=None,
        ge=0,
        max_digits=12,
        decimal_places=4,
        description="What your provider charges for a thousand mails, such as 0.40: dry runs tell what an issue costs.",
    )
    price_currency: str = Field(
        default="USD", pattern=r"^[A-Z]{3}$", description="The currency of that price, by its three letters."
    )
    undo_seconds: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="How long Send now can be undone: nothing is posted before. 0: posting starts at once.",
    )
    overdue_minutes: int = Field(
        default=60,
        ge=5,
        le=10_080,
        description="A schedule that is found later than this, since no worker ran or the database was restored from "
        "a backup, waits for a person; so do sends that were under way.",
    )
    smtp_host: str = Field(
        default="",
        validate_default=True,
        description="Name of the mail server that takes our mail. Needed with PROVIDER=smtp.",
    )
    smtp_port: int = Field(
        default=587,
        ge=1,
        le=65535,
        description="Its port: 587 with SMTP_TLS=starttls, 465 with implicit, 25 with none.",
    )
    smtp_user: str = Field(default="", description="Login at the mail server; without one nobody logs in.")
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted: starttls or implicit, both with the server's certificate "
        "checked, or none.",
    )
    smtp_password: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="Password for SMTP_USER.",
    )
    smtp_timeout: int = Field(
        default=60,
        ge=5,
        le=600,
        description="Seconds to wait for an answer of the mail server. A mail whose last answer does not come in time "
        "may be out: it is held for a person, and not sent twice.",
    )
    allowed_recipients: Names = Field(
        default=(),
        validate_default=True,
        description="Addresses and @domains that may be written to, separated by commas, such as "
        "me@example.org,@example.net; nobody else gets mail. Empty: everybody. Needed for a rehearsal (see "
        "ENVIRONMENT) whose provider takes mail off this machine; * says that it means everybody.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Further host names that the site answers to, separated by commas; SITE_URL's is always in.",
    )
    fetch_allowed_hosts: Names = Field(
        default=(),
        description="Hosts inside your network that feeds and links may be fetched from, separated by commas. "
        "Everything else is fetched from the public internet only.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=5,
        description="How many reverse proxies stand in front and append to X-Forwarded-For. 0: the header is ignored.",
    )
    themes_dir: DirectoryPath | None = Field(
        default=None,
        description="Folder with themes of your own, one folder each; docs/write-a-theme.md tells how to write one.",
    )
    debug: bool = Field(default=False, description="Show details of errors in the browser. Never on a public site.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="How much the processes write to their log."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="How log lines look: json for programs, text for people, auto for text in a terminal and json "
        "everywhere else.",
    )
    metrics_token: SecretStr = Field(
        default=SecretStr(""),
        description="Lets Prometheus read /metrics from another machine: it sends this as a bearer token; 20 "
        "characters or more. Without it /metrics answers on this machine only.",
    )
    failpoint: str = Field(
        default="",
        description="For tests of this system: where a process kills itself, such as claim-committed:3:kill. Only with "
        "PROVIDER=sandbox and ENVIRONMENT=test or development.",
    )

    @field_validator("provider")
    @classmethod
    def _is_a_route(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",")]
        if not set(names) <= PROVIDER_NAMES or len(set(names)) != len(names):
            raise ValueError("must be sandbox, resend or smtp, or different ones of them in their order: resend,smtp")
        if {"sandbox", "resend"} <= set(names):
            raise ValueError("has sandbox and resend, which are one provider at two addresses; choose one of them")
        return ",".join(names)

    @field_validator("site_url", "sandbox_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("must look like https://digest.example.org: scheme and host, no path")
        # UnicodeError is a ValueError: a host that no DNS name can be is a fault like any other.
        is_ipv6 = ":" in parts.hostname
        host = f"[{parts.hostname}]" if is_ipv6 else parts.hostname.encode("idna").decode("ascii")
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}"

    @field_validator("site_url")
    @classmethod
    def _is_encrypted_in_public(cls, value: str) -> str:
        if value.startswith("http://") and not is_loopback(urlsplit(value).hostname):
            raise ValueError("must start with https://; http is for 127.0.0.1 only")
        return value

    @field_validator("sandbox_url")
    @classmethod
    def _stays_on_this_machine(cls, value: str) -> str:
        if not is_loopback(urlsplit(value).hostname):
            raise ValueError("must be on this machine (127.0.0.1): the sandbox is no mail server")
        return value

    @field_validator("secret_key")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 50:
            raise ValueError("must have 50 characters or more")
        return value

    @field_validator("suppression_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("must have 32 characters or more")
        return value

    @field_validator("broker_url")
    @classmethod
    def _is_a_known_broker(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        url = value.get_secret_value()
        if not url:
            return value
        if not url.startswith(("amqp://", "amqps://", "redis://", "rediss://")):
            raise ValueError("must start with amqp://, amqps://, redis:// or rediss://")
        database = info.data.get("database_url")
        if database and database.get_secret_value().startswith("sqlite:"):
            raise ValueError("needs PostgreSQL as DATABASE_URL: an SQLite file is for one machine")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_known_database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            parts = urlsplit(url)
            has_a_port = parts.port is None or parts.port > 0
        except ValueError:
            # Never with its own words: they would name a part of the password.
            has_a_port = False
            parts = urlsplit("")
        if parts.scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
            return value
        if has_a_port and parts.scheme in {"postgres", "postgresql"} and parts.path.strip("/"):
            return value
        raise ValueError(
            "must be sqlite:///path/to/file or postgresql://user:password@host:port/name; "
            "write / : @ in a password as %2F %3A %40"
        )

    @field_validator("resend_api_key")
    @classmethod
    def _is_there_for_resend(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if "resend" in _route_of(info) and not value.get_secret_value().startswith("re_"):
            raise ValueError("is needed with PROVIDER=resend, and starts with re_")
        return value

    @field_validator("resend_read_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith("re_"):
            raise ValueError("starts with re_")
        return value

    @field_validator("resend_webhook_secrets")
    @classmethod
    def _are_signing_secrets(cls, value: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        if "resend" in _route_of(info) and not value:
            raise ValueError("is needed with PROVIDER=resend: the signing secret of the webhook you made there")
        if not all(_is_webhook_secret(secret.get_secret_value()) for secret in value):
            raise ValueError("each must be whsec_ followed by at least 24 bytes in Base64, as Resend shows it")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _is_hard_to_guess(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 20:
            raise ValueError("must have 20 characters or more, or be left out")
        return value

    @field_validator("failpoint")
    @classmethod
    def _is_no_danger_to_readers(cls, value: str, info: ValidationInfo) -> str:
        is_harmless = info.data.get("provider") == "sandbox" and info.data.get("environment") in failpoints.ENVIRONMENTS
        if failpoints.read_failpoint(value) and not is_harmless:
            raise ValueError("is for tests: only with PROVIDER=sandbox and ENVIRONMENT=test or development")
        return value

    @field_validator("smtp_host")
    @classmethod
    def _is_a_host_for_smtp(cls, value: str, info: ValidationInfo) -> str:
        if "smtp" in _route_of(info) and not value:
            raise ValueError("is needed with PROVIDER=smtp: the name of your mail server")
        if value and not HOST_NAME.fullmatch(value):
            raise ValueError("must be the name of a host, such as mail.example.org, without a port")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _is_not_sent_in_the_clear(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        in_the_clear = info.data.get("smtp_tls") == "none" and not is_loopback(info.data.get("smtp_host"))
        if value.get_secret_value() and in_the_clear:
            raise ValueError("would cross the network in the clear with SMTP_TLS=none; use starttls or implicit")
        if bool(value.get_secret_value()) != bool(info.data.get("smtp_user")):
            raise ValueError("belongs to SMTP_USER: set both, or neither")
        return value

    @field_validator("allowed_recipients")
    @classmethod
    def _keep_rehearsals_from_readers(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        # What could not be read has a fault of its own.
        environment, host = str(info.data.get("environment") or "production"), info.data.get("smtp_host")
        leaves = "resend" in _route_of(info) or ("smtp" in _route_of(info) and host and not is_loopback(host))
        if leaves and not value and not environment.startswith("production"):
            raise ValueError(
                f"is needed, since ENVIRONMENT is {environment} and not production, and the provider would carry mail "
                "to real readers: name who may be written to, or * for everybody"
            )
        if wrong := [name for name in value if name != "*" and not RECIPIENT.fullmatch(name)]:
            raise ValueError(f"holds “{wrong[0][:60]}”, which is no address and no @domain")
        return tuple(name.lower() for name in value)

    @property
    def provider_url(self) -> str:
        """Origin of the API that posts go to."""
        return RESEND_API_URL if "resend" in self.provider else self.sandbox_url

    @property
    def provider_key(self) -> str:
        """The API key in force; the sandbox needs none of the operator's."""
        return self.resend_api_key.get_secret_value() if "resend" in self.provider else "re_sandbox"

    @property
    def provider_read_key(self) -> str:
        """The key that reads what the provider has taken; empty if there is none."""
        return self.resend_read_key.get_secret_value() if "resend" in self.provider else "re_sandbox"

    @property
    def webhook_secrets(self) -> list[str]:
        """Secrets that verify webhooks; the sandbox's follows from SECRET_KEY, so that it needs no setting."""
        if "resend" in self.provider:
            return [secret.get_secret_value() for secret in self.resend_webhook_secrets]
        digest = hmac.digest(self.secret_key.get_secret_value().encode(), b"sandbox webhook", hashlib.sha256)
        return ["whsec_" + base64.b64encode(digest).decode("ascii")]


def _is_webhook_secret(value: str) -> bool:
    try:
        return value.startswith("whsec_") and len(base64.b64decode(value[6:], validate=True)) >= 24
    except binascii.Error:
        return False
