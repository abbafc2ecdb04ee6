"""The settings as text: `.env.example` and the README's table (`manage.py show_settings`)."""

from __future__ import annotations

import textwrap

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from newsletter.config.configuration import DEFAULT_DATABASE, Configuration


def env_example() -> str:
    """The text of `.env.example`: every setting with its description; the optional ones commented out."""
    lines = [
        "# Copy this file to .env and fill in the three that are not commented out.",
        "# Written by: manage.py show_settings --write",
    ]
    for name, field in Configuration.model_fields.items():
        lines.append("")
        lines += textwrap.wrap(field.description or "", 98, initial_indent="# ", subsequent_indent="# ")
        value = _shown_default(name)
        example = (field.examples or [""])[0]
        lines.append(f"{name.upper()}={example}" if field.is_required() else f"# {name.upper()}={value}")
    return "\n".join(lines) + "\n"


def settings_table() -> str:
    """Every setting as a Markdown table, for the README."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Configuration.model_fields.items():
        default = "**needed**" if field.is_required() else f"`{_shown_default(name)}`" if _shown_default(name) else ""
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def _shown_default(name: str) -> str:
    default = Configuration.model_fields[name].get_default()
    if isinstance(default, bool):
        return str(default).lower()
    if name == "database_url":
        return DEFAULT_DATABASE
    if default is None or default is PydanticUndefined or isinstance(default, SecretStr | tuple):
        return ""
    return str(default)
