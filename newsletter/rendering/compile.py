"""MJML compiled to HTML by mrml, with checks for everything that mrml gets wrong without an error.

mrml reports no line numbers, emits some invalid input as raw MJML, and can panic.
"""

from __future__ import annotations

import re

from mjml import mjml2html

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.source import rewrite_mjml

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LEFT_MJML = re.compile(r"</?(mj(?:ml|-[a-z-]*))\b", re.IGNORECASE)
_CORRUPT_ATTRIBUTE = re.compile(r"<[a-zA-Z][^<>]*?(\\(?:u\{[0-9a-f]+\}|[nrt\"\\]))[^<>]*>")
_DEFAULT_IMAGE = re.compile(r"https://(?:i\.imgur\.com|www\.mailjet\.com/images)/[\w./-]+")
_POSITION = re.compile(r"position (\d+):\d+")


def compile_mjml(source: str) -> str:
    """The HTML of an MJML document. Raises RenderingError if mrml refuses the source or would corrupt it."""
    html = run_mrml(rewrite_mjml(source))
    refuse_left_mjml(html)
    refuse_corrupt_attributes(html)
    refuse_default_images(html, source)
    return html


def run_mrml(source: str) -> str:
    """Run mrml on rewritten source. `fonts={}` keeps links to Google's fonts out of the mail."""
    try:
        return mjml2html(source, fonts={})
    except Exception as error:
        sentence = translatable("The MJML was refused: {reason}.", reason=str(error))
        raise RenderingError(sentence, line=_line_of(str(error), source)) from error
    except BaseException as error:
        # A Rust panic arrives as pyo3_runtime.PanicException: not an Exception, and not importable.
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise RenderingError(translatable("The MJML renderer crashed: {reason}.", reason=str(error))) from error


def refuse_left_mjml(html: str) -> None:
    """mrml emits elements that it does not understand as they are: recipients would see too little or too much."""
    left = _LEFT_MJML.search(_COMMENT.sub("", html))
    if left:
        raise RenderingError(
            translatable(
                "The MJML was rendered only in part: <{tag}> is left in the HTML. Look for elements that are not "
                "closed where they were opened.",
                tag=left[1],
            )
        )


def refuse_corrupt_attributes(html: str) -> None:
    """mrml writes some characters in attributes as Rust escapes; `source` prevents it, this check detects failures."""
    corrupt = _CORRUPT_ATTRIBUTE.search(html)
    if corrupt:
        raise RenderingError(
            translatable(
                "An attribute was corrupted in rendering: “{escape}” in {element}.",
                escape=corrupt[1],
                element=corrupt[0][:80],
            )
        )


def refuse_default_images(html: str, source: str) -> None:
    """MJML's default arrows and icons are hosted by companies that would learn who opens the mail."""
    for address in _DEFAULT_IMAGE.findall(html):
        if address not in source:
            raise RenderingError(
                translatable(
                    "The mail would load {url}, a default image of MJML. Use images of your own: icon-wrapped-url and "
                    "icon-unwrapped-url on <mj-accordion>, left-icon and right-icon on <mj-carousel>.",
                    url=address,
                )
            )


def _line_of(message: str, source: str) -> int | None:
    position = _POSITION.search(message)
    return source.encode()[: int(position[1])].count(b"\n") + 1 if position else None
