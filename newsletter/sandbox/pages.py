"""Fills the templates in `pages/` and escapes every value. Standard library only.

A placeholder is `$name`. A value is escaped unless it is `Html`, which only templates and `Html(…)` literals create.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib.resources import files
from string import Template

_URL = re.compile(r"https?://(?:&amp;|[^\s<>&])+")


class Html(str):
    """Text that is already HTML."""

    __slots__ = ()


def fill(template: str, **values: object) -> Html:
    """The template with its values. Raises KeyError for a missing value."""
    return Html(_template(template).substitute({name: escaped(value) for name, value in values.items()}))


def escaped(value: object) -> Html:
    """A value as HTML."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def joined(parts: list[Html]) -> Html:
    """Pieces of HTML, one per line."""
    return Html("\n".join(parts))


def linked(text: str) -> Html:
    """A text whose http(s) URLs are links."""
    return Html(_URL.sub(_link, escaped(text)))


def _link(match: re.Match[str]) -> str:
    url = match[0].rstrip(".,:;!?)]'")
    rest = match[0][len(url) :]
    return f'<a href="{url}" target="_blank" rel="noreferrer noopener">{url}</a>{rest}'


def asset(name: str) -> bytes:
    """A file of `pages/`, unchanged."""
    return (files(__package__) / "pages" / name).read_bytes()


@cache
def _template(name: str) -> Template:
    return Template(asset(name).decode())
