"""Validation of settings: one function per rule, each raising ValueError with what is wrong and how to fix it.

Values of secrets never appear in an error.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

from newsletter.config import failpoints
from newsletter.config.prices import PriceList

#: Names that PROVIDER may hold.
PROVIDER_NAMES = frozenset({"sandbox", "resend", "smtp"})

HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:]{2,45}\]?")

HOST_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,3}")

#: What examples and tutorials put in place of a secret.
PLACEHOLDER = re.compile(
    r"change[-_ ]?me|replace[-_ ]?(me|this|with)|placeholder|your[-_ ](api|secret|key|password|token|own)"
    r"|django-insecure-|x{8}|…|\A<.*>\Z",
    re.IGNORECASE,
)

#: Resend's keys are `re_`, eight random characters, `_` and more of them. A word of another length after `re_`, one
#: repeated character or digits in their order come from a test, an example or a sandbox.
NO_REAL_KEY = re.compile(
    r"re_((test|testing|sandbox|dev|demo|local|fake|dummy|mock|sample|example|invalid|staging|ci|key|secret)"
    r"([-_].*)?|(.)\4*|0?123456\d*|)",
    re.IGNORECASE,
)

#: As Django's check security.W009 asks of SECRET_KEY.
MIN_DIFFERENT_CHARACTERS = 5

#: An address or @domain, in ASCII.
RECIPIENT = re.compile(r"[^@\s,]{0,64}@[A-Za-z0-9.-]{1,253}")


#: The fields of the key of a service account, and of a refresh token.
GOOGLE_CREDENTIALS = (("client_email", "private_key"), ("client_id", "client_secret", "refresh_token"))


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine. Names other than localhost are not resolved and count as another machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _providers(info: ValidationInfo) -> list[str]:
    """The names in PROVIDER; [""] if it was invalid, which is an error of its own."""
    return str(info.data.get("provider", "")).split(",")


def delivers_real_mail(providers: Collection[str], smtp_host: str) -> bool:
    """Whether a provider of the route is on another machine."""
    return "resend" in providers or ("smtp" in providers and bool(smtp_host) and not is_loopback(smtp_host))


def split_commas(value: object) -> object:
    """The parts of a comma-separated text, without spaces and empty parts."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def price_tiers(value: str) -> str:
    """The name of a published price list, or tiers as text; empty for none."""
    if value:
        PriceList.parse(value)
    return value


def provider_route(value: str) -> str:
    """One provider name, or several in the order of failover."""
    names = [name.strip() for name in value.split(",")]
    if not set(names) <= PROVIDER_NAMES or len(set(names)) != len(names):
        raise ValueError(
            f"must be sandbox, resend or smtp, or several of them in order such as resend,smtp; it is “{value[:60]}”"
        )
    if {"sandbox", "resend"} <= set(names):
        raise ValueError("must not contain both sandbox and resend, which are one provider at two URLs; remove one")
    return ",".join(names)


def origin(value: str) -> str:
    """Scheme, host and port of a URL, with the host in ASCII."""
    parts = urlsplit(value)
    if "@" in parts.netloc:
        # It may contain a password, which no error shows.
        raise ValueError("must not contain a user name or password")
    # An impossible port or host name raises ValueError, or UnicodeError, which is one.
    host, port = _ascii_host(parts.hostname or ""), parts.port
    is_origin = parts.scheme in {"http", "https"} and not (parts.path.strip("/") or parts.query or parts.fragment)
    # urlsplit removes tabs and line breaks.
    if not is_origin or not HOST_NAME.fullmatch(host) or port == 0 or any(char.isspace() for char in value):
        raise ValueError(f"must be a scheme and a host, such as https://digest.example.org; it is “{value[:60]}”")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def _ascii_host(host: str) -> str:
    """As in a URL: an IPv6 address in brackets, a name encoded by IDNA."""
    return f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")


def https_in_public(value: str) -> str:
    """A URL that uses https unless it points to this machine."""
    if value.startswith("http://") and not is_loopback(urlsplit(value).hostname):
        raise ValueError("must start with https://; http is allowed for 127.0.0.1 only")
    return value


def on_this_machine(value: str) -> str:
    """The URL of a server on this machine."""
    if not is_loopback(urlsplit(value).hostname):
        raise ValueError("must be a URL of this machine, such as http://127.0.0.1:8026")
    return value


def not_a_placeholder(value: SecretStr) -> SecretStr:
    """A secret that is not the text of an example."""
    if PLACEHOLDER.search(value.get_secret_value()):
        raise ValueError("is a placeholder; set your own secret value")
    return value


def signing_key(value: SecretStr) -> SecretStr:
    """A secret that Django accepts as SECRET_KEY without a warning."""
    if len(value.get_secret_value()) < 50:
        raise ValueError("must have at least 50 characters")
    return _random(value)


def hashing_key(value: SecretStr) -> SecretStr:
    """A secret as long as the hash that it keys."""
    if len(value.get_secret_value()) < 32:
        raise ValueError("must have at least 32 characters")
    return _random(value)


def _random(value: SecretStr) -> SecretStr:
    if len(set(value.get_secret_value())) < MIN_DIFFERENT_CHARACTERS:
        raise ValueError(f"must have at least {MIN_DIFFERENT_CHARACTERS} different characters; create a random value")
    return not_a_placeholder(value)


def database(value: SecretStr) -> SecretStr:
    """The URL of an SQLite file or a PostgreSQL database."""
    url = value.get_secret_value()
    try:
        parts = urlsplit(url)
        has_valid_port = parts.port is None or parts.port > 0
    except ValueError:
        # The error's own text would contain a part of the password.
        has_valid_port = False
        parts = urlsplit("")
    if parts.scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return value
    if has_valid_port and parts.scheme in {"postgres", "postgresql"} and parts.path.strip("/"):
        return value
    raise ValueError(
        "must be sqlite:///path/to/file or postgresql://user:password@host:port/name; "
        "write / : @ in a password as %2F %3A %40"
    )


def broker(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """The URL of RabbitMQ or Redis, together with PostgreSQL."""
    url = value.get_secret_value()
    if not url:
        return value
    if not url.startswith(("amqp://", "amqps://", "redis://", "rediss://")):
        raise ValueError("must start with amqp://, amqps://, redis:// or rediss://")
    database_url = info.data.get("database_url")
    if database_url and database_url.get_secret_value().startswith("sqlite:"):
        raise ValueError("requires PostgreSQL in DATABASE_URL: several machines cannot share an SQLite file")
    return value


def resend_key(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """A key of Resend's, or empty; with PROVIDER=resend not one of a test, an example or a sandbox."""
    key = value.get_secret_value()
    if key and not key.startswith("re_"):
        raise ValueError("must start with re_, as Resend's API keys do")
    if "resend" in _providers(info) and (NO_REAL_KEY.fullmatch(key) or PLACEHOLDER.search(key)):
        raise ValueError(
            "is a key for tests or a placeholder, and PROVIDER=resend posts to Resend itself: create a key on Resend's "
            "page of API keys, or set PROVIDER=sandbox to send no real mail"
        )
    return value


def needed_for_resend(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """Not empty with PROVIDER=resend."""
    if "resend" in _providers(info) and not value.get_secret_value():
        raise ValueError("is required with PROVIDER=resend: an API key with sending access")
    return value


def webhook_secrets(value: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
    """Signing secrets as Resend issues them; at least one with PROVIDER=resend."""
    if "resend" in _providers(info) and not value:
        raise ValueError("is required with PROVIDER=resend: the signing secret that Resend shows for the webhook")
    if not all(_is_webhook_secret(secret.get_secret_value()) for secret in value):
        raise ValueError("must hold secrets of the form whsec_ followed by Base64 of at least 24 bytes")
    for secret in value:
        not_a_placeholder(secret)
    return value


def _is_webhook_secret(value: str) -> bool:
    try:
        return value.startswith("whsec_") and len(base64.b64decode(value[6:], validate=True)) >= 24
    except binascii.Error:
        return False


def smtp_host(value: str, info: ValidationInfo) -> str:
    """A host name or IP address; not empty with PROVIDER=smtp."""
    if "smtp" in _providers(info) and not value:
        raise ValueError("is required with PROVIDER=smtp: the host name of the SMTP server")
    if value and not HOST_NAME.fullmatch(value):
        raise ValueError(f"must be a host name, such as mail.example.org; SMTP_PORT has the port. It is “{value[:60]}”")
    return value


def smtp_password(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """A password that comes with a user and is encrypted on its way."""
    is_elsewhere = not is_loopback(info.data.get("smtp_host"))
    is_plain_text = info.data.get("smtp_tls") == "none" and is_elsewhere
    if value.get_secret_value() and is_plain_text:
        raise ValueError("would be sent in plain text with SMTP_TLS=none; set SMTP_TLS to starttls or implicit")
    if bool(value.get_secret_value()) != bool(info.data.get("smtp_user")):
        raise ValueError("belongs to SMTP_USER: set both or neither")
    return not_a_placeholder(value) if is_elsewhere else value


def recipient_allowlist(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Addresses, @domains and *; not empty for a rehearsal whose provider delivers real mail."""
    # An invalid ENVIRONMENT is an error of its own.
    environment = str(info.data.get("environment") or "production")
    if (
        delivers_real_mail(_providers(info), str(info.data.get("smtp_host") or ""))
        and not value
        and not environment.startswith("production")
    ):
        raise ValueError(
            f"is required because ENVIRONMENT={environment} is a rehearsal and its provider delivers real mail: list "
            "the addresses and @domains that may get mail, or set * to allow all"
        )
    if wrong := [name for name in value if name != "*" and not RECIPIENT.fullmatch(name)]:
        raise ValueError(f"contains “{wrong[0][:60]}”, which is neither an address nor an @domain")
    return tuple(name.lower() for name in value)


def bearer_token(value: SecretStr) -> SecretStr:
    """A token that cannot be guessed, or empty."""
    if 0 < len(value.get_secret_value()) < 20:
        raise ValueError("must have at least 20 characters, or be empty")
    return not_a_placeholder(value)


def google_credentials(value: SecretStr) -> SecretStr:
    """The JSON of a service account's key or of a refresh token, read from its file if a path is set; or empty."""
    text = value.get_secret_value()
    if text and not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"is neither JSON nor the path of a file that can be read ({type(error).__name__})"
            ) from None
    try:
        content = json.loads(text) if text else None
    except ValueError:
        # The error's own text may contain a part of the key.
        raise ValueError("is not valid JSON") from None
    if content is not None and not any(_has_texts(content, names) for names in GOOGLE_CREDENTIALS):
        raise ValueError(
            "must have client_email and private_key (the key of a service account), or client_id, client_secret and "
            "refresh_token"
        )
    return SecretStr(text)


def report_address(value: str) -> str:
    """One address in lower case, or nothing."""
    address = value.strip().lower()
    if address and (not RECIPIENT.fullmatch(address) or address.startswith("@") or not address.isascii()):
        raise ValueError("must be one address, such as dmarc@reports.example.org")
    return address


def host_label(value: str) -> str:
    """A part of a host name, or several joined by dots."""
    if not HOST_LABEL.fullmatch(value):
        raise ValueError(f"must be a part of a host name, such as send; it is “{value[:60]}”")
    return value.lower()


def host_labels(values: tuple[str, ...]) -> tuple[str, ...]:
    """At least one of them."""
    if not values:
        raise ValueError("must name at least one selector, such as resend")
    return tuple(host_label(value) for value in values)


def _has_texts(content: object, names: Collection[str]) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(name), str) and content[name] for name in names)


def failpoint(value: str, info: ValidationInfo) -> str:
    """A failpoint, in an installation that cannot mail real subscribers."""
    is_safe = info.data.get("provider") == "sandbox" and info.data.get("environment") in failpoints.ENVIRONMENTS
    if failpoints.read_failpoint(value) and not is_safe:
        raise ValueError("is for tests: it requires PROVIDER=sandbox and ENVIRONMENT=test or development")
    return value


#: Comma-separated values.
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split_commas)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)]

Origin = Annotated[str, AfterValidator(origin)]
