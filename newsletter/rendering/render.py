"""The way in: an issue is rendered here, or in a child process where a theme brings templates of its own.

What crosses over is JSON of plain values, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from newsletter.content.document import IssueContent
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.issue import render_here
from newsletter.rendering.limited_process import run_limited
from newsletter.rendering.shapes import Masthead, RenderedIssue
from newsletter.rendering.theme import PLAIN, Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """Everything that a rendering is made from."""

    content: IssueContent
    masthead: Masthead
    web_url: str
    theme: Theme


_REQUEST = TypeAdapter(RenderRequest)
_RENDERED = TypeAdapter(RenderedIssue)


def render_issue(content: IssueContent, masthead: Masthead, *, web_url: str, theme: Theme = PLAIN) -> RenderedIssue:
    """Render an issue once for all its readers, as `theme` looks. `web_url` is where it can be read on the web.

    The same input gives the same bytes. RenderingError says, in a sentence for the editor, why it cannot be done.
    A theme with templates of an operator's own may take 2 seconds and 256 MB, in a child process (R-153).
    """
    if not theme.needs_limits:
        return render_here(content, masthead, web_url=web_url, theme=theme)
    request = RenderRequest(content=content, masthead=masthead, web_url=web_url, theme=theme)
    return _RENDERED.validate_json(run_limited(render_request, as_json(request)))


def render_request(request: bytes) -> bytes:
    """What the child does: a RenderRequest as JSON in, a RenderedIssue as JSON out."""
    asked = _REQUEST.validate_json(request)
    return as_json(render_here(asked.content, asked.masthead, web_url=asked.web_url, theme=asked.theme))


def as_json(value: object) -> bytes:
    """Our values as JSON. RenderingError for text that is not valid Unicode."""
    try:
        return orjson.dumps(value, default=_plain)
    except orjson.JSONEncodeError as error:
        raise RenderingError(f"The issue holds text that is not valid Unicode: {error}.") from error


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)
