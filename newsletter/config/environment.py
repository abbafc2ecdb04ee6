"""The environment: read here and in no other module."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from newsletter.config.configuration import PROJECT_ROOT, RENAMED, Configuration
from newsletter.config.env_file import UnreadableEnvFile, check_env_file

#: The variable that names a settings file other than `.env`. The demo uses it.
ENV_FILE_VARIABLE = "NEWSLETTER_ENV_FILE"


class ConfigurationError(Exception):
    """The settings are invalid. `errors` has one sentence per setting, which starts with its name."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def read_configuration(env_file: Path | None = None) -> Configuration:
    """Read the environment and `env_file`; the environment takes precedence.

    Raises ConfigurationError with all errors at once, and UnreadableEnvFile.
    """
    errors = check_env_file(env_file) if env_file else []
    errors += _renamed_settings(env_file)
    try:
        configuration = Configuration(_env_file=env_file)
    except ValidationError as error:
        invalid = [error_sentence(dict(each)) for each in error.errors(include_input=False, include_url=False)]
        raise ConfigurationError([*errors, *(": ".join(filter(None, each)) for each in invalid)]) from error
    if is_continuous_integration() and configuration.may_mail_subscribers:
        errors.append(
            "PROVIDER: delivers real mail to any address, and the variable CI is set: an automated run must not mail "
            "subscribers. Set PROVIDER=sandbox, or ALLOWED_RECIPIENTS and an ENVIRONMENT such as staging. A deployment "
            "runs without CI: env -u CI manage.py migrate"
        )
    if errors:
        raise ConfigurationError(errors)
    return configuration


def configuration_or_exit() -> Configuration:
    """The configuration. If it is invalid, the process exits with a list of all errors and without a traceback."""
    env_file = env_file_path()
    try:
        return read_configuration(env_file)
    except UnreadableEnvFile as error:
        sys.exit(f"The settings cannot be read: {error}")
    except ConfigurationError as error:
        errors = "\n".join(f"  {each}" for each in error.errors)
        sys.exit(
            f"These settings are invalid:\n{errors}\n"
            f"Correct them in the environment or in {env_file.name}. .env.example documents every setting, and "
            "manage.py configure asks for them."
        )


def is_continuous_integration() -> bool:
    """Whether the variable CI says that this is an automated run, as CI services set it."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no", "off")


def env_file_path() -> Path:
    """The settings file: `.env` in the project's folder, unless ENV_FILE_VARIABLE names another."""
    return Path(os.environ.get(ENV_FILE_VARIABLE, PROJECT_ROOT / ".env"))


def program_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of another program that this one starts; `more` adds to ours where it is not empty."""
    return {**os.environ, **{name: value for name, value in more.items() if value}}


def is_tracing_enabled() -> bool:
    """Whether any of OpenTelemetry's own variables is set. OpenTelemetry itself reads their values."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return any(name.startswith("OTEL_") and value for name, value in os.environ.items())


def _renamed_settings(env_file: Path | None) -> list[str]:
    """A sentence for each setting that is still set under its former name."""
    sources = (EnvSettingsSource(Configuration), DotEnvSettingsSource(Configuration, env_file=env_file))
    names = {name.upper() for source in sources for name in source.env_vars}
    return [f"{old}: was renamed to {new}; set {new} instead" for old, new in RENAMED.items() if old in names]


def error_sentence(error: dict[str, object]) -> tuple[str, str]:
    """The name of the setting that is wrong, empty if it is not about one, and what is wrong with it."""
    location = error["loc"]
    name = str(location[0]).upper() if isinstance(location, tuple) and location else ""
    return name, "is missing" if error["type"] == "missing" else str(error["msg"]).removeprefix("Value error, ")


def sudo_user() -> str:
    """The account that called this program with sudo; empty without sudo."""
    return os.environ.get("SUDO_USER", "")
