"""The templates: Jinja2, compiled once per process from `templates/mjml/`. Imports jinja2, palette, text, errors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, select_autoescape

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.palette import DARK, LIGHT
from newsletter.rendering.text import underline, wrap_text

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "mjml"


@cache
def environment(directory: Path = TEMPLATES) -> Environment:
    """The Jinja environment: undefined names are errors, and all but `.txt` and `.css` is escaped for HTML."""
    made = Environment(
        loader=FileSystemLoader(directory),
        autoescape=select_autoescape(enabled_extensions=(), disabled_extensions=("txt", "css"), default=True),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.clear()
    made.globals.update(light=LIGHT, dark=DARK)
    made.filters.update(wrapped=wrap_text, underlined=underline)
    return made


@cache
def templates_digest(directory: Path = TEMPLATES) -> bytes:
    """SHA-256 over the names and sources of all templates and the palette."""
    digest = hashlib.sha256(repr((LIGHT, DARK)).encode())
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        source = path.read_bytes()
        digest.update(f"\0{path.relative_to(directory).as_posix()}\0{len(source)}\0".encode() + source)
    return digest.digest()


def fill_template(name: str, context: Mapping[str, object]) -> str:
    """One template with its values. RenderingError for a missing value or a template that is not well-formed."""
    try:
        return environment().get_template(name).render(context)
    except TemplateSyntaxError as error:
        raise RenderingError(
            f"The template {error.name or name} is faulty: {error.message}.", line=error.lineno
        ) from error
    except TemplateError as error:
        raise RenderingError(f"The template {name} cannot be filled: {error.message}.") from error


@cache
def stylesheet(name: str) -> str:
    """A stylesheet with the palette's colours: the same for every issue, so filled once."""
    return fill_template(name, {})
