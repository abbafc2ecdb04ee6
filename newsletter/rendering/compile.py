"""MJML in, HTML out, or an error: mrml with a fence around each way it fails.

mrml gives no line numbers, renders some faults as raw MJML, and can panic; see the functions below.
"""

from __future__ import annotations

import re

from mjml import mjml2html

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.source import rewrite_mjml

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LEAK = re.compile(r"</?(mj(?:ml|-[a-z-]*))\b", re.IGNORECASE)
_CORRUPT_ATTRIBUTE = re.compile(r"<[a-zA-Z][^<>]*?(\\(?:u\{[0-9a-f]+\}|[nrt\"\\]))[^<>]*>")
_STRANGERS_PICTURE = re.compile(r"https://(?:i\.imgur\.com|www\.mailjet\.com/images)/[\w./-]+")
_POSITION = re.compile(r"position (\d+):\d+")


def compile_mjml(source: str) -> str:
    """The HTML of an MJML document. RenderingError when mrml refuses it, or would have sent it out broken."""
    html = run_mrml(rewrite_mjml(source))
    refuse_leaks(html)
    refuse_corrupt_attributes(html)
    refuse_strangers_pictures(html, source)
    return html


def run_mrml(source: str) -> str:
    """Call mrml on source that has been rewritten. `fonts={}` keeps Google's font links out of readers' mail."""
    try:
        return mjml2html(source, fonts={})
    except Exception as error:
        raise RenderingError(f"The MJML was refused: {error}.", line=_line_of(str(error), source)) from error
    except BaseException as error:
        # A Rust panic arrives as pyo3_runtime.PanicException, outside Exception and importable from nowhere.
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise RenderingError(f"The MJML renderer broke down on this issue: {error}.") from error


def refuse_leaks(html: str) -> None:
    """mrml emits what it does not understand as it stands: readers would see nothing, or everything at once."""
    leak = _LEAK.search(_COMMENT.sub("", html))
    if leak:
        raise RenderingError(
            f"The MJML was only half rendered: <{leak[1]}> is left in the HTML. "
            "Look for tags that are not closed where they were opened."
        )


def refuse_corrupt_attributes(html: str) -> None:
    """mrml writes odd characters in attributes as Rust escapes; `source` prevents it, this notices if it fails."""
    corrupt = _CORRUPT_ATTRIBUTE.search(html)
    if corrupt:
        raise RenderingError(f"An attribute was damaged in rendering: “{corrupt[1]}” in {corrupt[0][:80]}.")


def refuse_strangers_pictures(html: str, source: str) -> None:
    """MJML's own arrows and icons lie with companies that would learn who opens the mail; nobody asked for them."""
    for address in _STRANGERS_PICTURE.findall(html):
        if address not in source:
            raise RenderingError(
                f"The mail would load {address}, which MJML brings along. Name pictures of your own: icon-wrapped-url "
                "and icon-unwrapped-url on <mj-accordion>, left-icon and right-icon on <mj-carousel>."
            )


def _line_of(message: str, source: str) -> int | None:
    position = _POSITION.search(message)
    return source.encode()[: int(position[1])].count(b"\n") + 1 if position else None
