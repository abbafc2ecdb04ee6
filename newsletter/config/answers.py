"""Answers to the questions of `manage.py configure`: which settings it asks for, and what is wrong with an answer."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from newsletter.config.configuration import PROJECT_ROOT, RENAMED, Configuration
from newsletter.config.environment import error_sentence
from newsletter.config.settings_text import default_text
from newsletter.config.validation import is_loopback

#: Secrets that are made instead of asked for, with their length in random bytes.
GENERATED = {"SECRET_KEY": 50, "SUPPRESSION_SECRET": 40, "METRICS_TOKEN": 30}

#: Secrets that a change would break: links in mails that were sent, and the recognition of suppressed addresses.
UNCHANGEABLE = {
    "SECRET_KEY": "links in mails that were sent would stop working. To rotate it, edit the file: move the present "
    "value to SECRET_KEY_FALLBACKS",
    "SUPPRESSION_SECRET": "suppressed addresses would not be recognised, and would get mail again",
}

#: What a first try on one's own machine needs beside the defaults.
FIRST_TRY = {"SITE_URL": "http://127.0.0.1:8000"}

#: A parameter in the query of a URL.
QUERY_VALUE = re.compile(r"(?P<name>[?&][^=&#]*)=[^&#]*")

#: Parameters of database servers and brokers that hold a secret: `password`, `sslpassword` and others of libpq.
SECRET_PARAMETER = re.compile("password|secret|scram_", re.IGNORECASE)

#: Seconds that a database server may take to answer.
DATABASE_TIMEOUT = 5


class _Entered(Configuration):
    """The configuration of entered values only, without the environment and the file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def setting_names() -> list[str]:
    """Every setting, in the order of the configuration: one that depends on others comes after them."""
    return [name.upper() for name in Configuration.model_fields]


def is_secret(name: str) -> bool:
    """Whether its value must not be shown."""
    return "SecretStr" in str(Configuration.model_fields[name.lower()].annotation)


def description(name: str) -> str:
    """What it controls."""
    return Configuration.model_fields[name.lower()].description or ""


def default_of(name: str, values: Mapping[str, str]) -> str:
    """The value that an empty answer stands for; empty if there is none."""
    if name == "TRUSTED_PROXIES" and values.get("SITE_URL", "").startswith("https://"):
        # The web server itself speaks http only, so that there is one proxy at least.
        return "1"
    return FIRST_TRY.get(name) or default_text(name.lower())


def changes(before: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """What to write: values that differ from the file's. A default that the file does not name is not written."""
    return {
        name: value
        for name, value in values.items()
        if value != before.get(name, default_text(name.lower()) if name in setting_names() else "")
    }


def hint(name: str, values: Mapping[str, str]) -> str:
    """What helps to answer, in this installation."""
    if name == "RESEND_WEBHOOK_SECRETS":
        return f"Resend shows it when you add the webhook {values.get('SITE_URL', '')}/webhooks/resend/."
    return ""


def errors_in(values: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each setting that is missing or wrong, by the same rules as at the start of a process."""
    entered: dict[str, Any] = {name.lower(): value for name, value in values.items() if value}
    found = {old: f"was renamed to {new}; set {new} instead" for old, new in RENAMED.items() if old in values}
    try:
        _Entered(**entered)
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            name, sentence = error_sentence(dict(each))
            found.setdefault(name, sentence)
    return found


def generated(values: Mapping[str, str]) -> dict[str, str]:
    """A new value for each secret that is made and that `values` does not have."""
    return {name: secrets.token_urlsafe(size) for name, size in GENERATED.items() if not values.get(name)}


def asked(values: Mapping[str, str]) -> list[str]:
    """The settings to ask for after the answers so far: those that most installations differ in."""
    provider = values.get("PROVIDER") or default_of("PROVIDER", values)
    names = {"SITE_URL", "DATABASE_URL", "PROVIDER"}
    if "resend" in provider:
        names |= {"RESEND_API_KEY", "RESEND_WEBHOOK_SECRETS", "RESEND_READ_KEY"}
    if "smtp" in provider:
        names |= {"SMTP_HOST", "SMTP_PORT", "SMTP_TLS", "SMTP_USER", "SMTP_PASSWORD"}
    if not is_loopback(urlsplit(values.get("SITE_URL") or default_of("SITE_URL", values)).hostname):
        names |= {"ENVIRONMENT", "TRUSTED_PROXIES"}
    wrong = errors_in(values).keys() - GENERATED.keys()
    return [name for name in setting_names() if name in names | wrong]


def database_problem(url: str) -> str:
    """Why this database cannot be used; empty if it can. It is connected to, and nothing is created."""
    if url.startswith("sqlite:"):
        return _sqlite_problem(PROJECT_ROOT / url.removeprefix("sqlite:///"))
    try:
        with psycopg.connect(_address_for_libpq(url), connect_timeout=DATABASE_TIMEOUT) as connection:
            row = connection.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone()
    except psycopg.Error as error:
        return _without_password(" ".join(str(error).split()), urlsplit(url).password)
    if not row or not row[0]:
        return "The account may not create tables there. Make it the owner of the database."
    return ""


#: Of the secret under which suppressed addresses are stored, see `subscribers.models.SuppressionSecret`.
SELECT_FINGERPRINT = "SELECT fingerprint FROM subscribers_suppressionsecret"


def recorded_secret_fingerprint(url: str) -> str:
    """What the database has recorded; empty if it does not answer, or if nothing is recorded."""
    try:
        if url.startswith("sqlite:"):
            file = PROJECT_ROOT / url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                row = connection.execute(SELECT_FINGERPRINT).fetchone()
        else:
            with psycopg.connect(_address_for_libpq(url), connect_timeout=DATABASE_TIMEOUT) as server:
                row = server.execute(SELECT_FINGERPRINT).fetchone()
    except (sqlite3.Error, psycopg.Error):
        # No database, or none of ours yet.
        return ""
    return str(row[0]) if row else ""


def _address_for_libpq(url: str) -> str:
    """Without an option of ours, which libpq does not know; a space as %20, since it takes a plus sign literally."""
    address, _mark, query = url.partition("?")
    options = [option for option in parse_qsl(query) if option[0] != "pgbouncer"]
    return f"{address}?{urlencode(options, quote_via=quote)}"


def _without_password(text: str, password: str | None) -> str:
    return text.replace(password, "…") if password else text


def _sqlite_problem(file: Path) -> str:
    folder = next(parent for parent in file.parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"This account may not write to {folder}."
    if file.is_dir():
        return f"{file} is a directory."
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        return f"This account may not read and write {file}."
    if file.exists() and file.stat().st_size:
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            return f"{file} is no SQLite database that can be read ({error})."
    return ""


def changed_secrets(before: Mapping[str, str], entered: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence for each entered value that would replace a secret that must not change."""
    return [
        f"{name}: is set already and is not replaced: {UNCHANGEABLE[name]}."
        for name, value in entered
        if name in UNCHANGEABLE and before.get(name) and value != before[name]
    ]


def masked(name: str, value: str) -> str:
    """The value as it may be shown: of a secret, only that there is one."""
    if not value or not is_secret(name):
        return value
    if name == "DATABASE_URL" or name == "BROKER_URL":
        parts = urlsplit(value)
        shown = value.replace(f":{parts.password}@", ":…@") if parts.password else value
        return QUERY_VALUE.sub(_masked_query_value, shown)
    return "…" if len(SecretStr(value)) else ""


def _masked_query_value(match: re.Match[str]) -> str:
    return f"{match['name']}=…" if SECRET_PARAMETER.search(unquote(match["name"])) else match[0]
