"""Operator: who runs a command, as the history names them."""

from __future__ import annotations

import getpass
import os
from typing import Any

from django.core.management.base import CommandParser

from newsletter.config.environment import sudo_user
from newsletter.sending.control import one_line

#: The longest name that a history keeps.
MAX_LENGTH = 150


def add_by_option(parser: CommandParser) -> None:
    """The option `--by`."""
    parser.add_argument(
        "--by", default="", help="your name, kept in the history (default: the name of the account that runs this)"
    )


def operator_name(options: dict[str, Any]) -> str:
    """The name from `--by`, else of the account that runs the command; with sudo, of the account that called it."""
    return (one_line(options["by"]) or sudo_user() or _account())[:MAX_LENGTH]


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container, an account may be a number only.
        return f"uid {os.getuid()}"
