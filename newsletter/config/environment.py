"""The environment: read once, here and nowhere else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import ValidationError

from newsletter.config.configuration import PROJECT_ROOT, Configuration

#: The variable that names another file than `.env`; the demo uses it for its own.
ENV_FILE_VARIABLE = "NEWSLETTER_ENV_FILE"


class ConfigurationError(Exception):
    """The environment is not usable; `faults` names every wrong or missing setting, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_configuration(env_file: Path | None = None) -> Configuration:
    """The configuration from the environment and `env_file` (the environment wins), or all of its faults.

    Raises ConfigurationError.
    """
    try:
        return Configuration(_env_file=env_file)
    except ValidationError as error:
        faults = [_fault_sentence(dict(fault)) for fault in error.errors(include_input=False, include_url=False)]
        raise ConfigurationError(faults) from error


def configuration_or_exit() -> Configuration:
    """The configuration, or the end of the process with a list of all faults and no traceback."""
    env_file = Path(os.environ.get(ENV_FILE_VARIABLE, PROJECT_ROOT / ".env"))
    try:
        return read_configuration(env_file)
    except ConfigurationError as error:
        faults = "\n".join(f"  {fault}" for fault in error.faults)
        sys.exit(
            f"The settings are not usable, so nothing was started:\n{faults}\n"
            f"Set them in the environment or in {env_file.name}; .env.example explains each."
        )


def tracing_is_wanted() -> bool:
    """Whether any of OpenTelemetry's own variables is set; what they mean is read by OpenTelemetry itself."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return any(name.startswith("OTEL_") and value for name, value in os.environ.items())


def _fault_sentence(fault: dict[str, object]) -> str:
    location = fault["loc"]
    name = str(location[0]).upper() if isinstance(location, tuple) and location else ""
    message = "is missing" if fault["type"] == "missing" else str(fault["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
