"""CSS written into style attributes, with premailer.

Each option keeps premailer 3.10 from breaking MJML's output; the tests show what happens without it.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any

import cssutils
from premailer import Premailer

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import RenderingError

_COMMENT_OR_STYLE = re.compile(r"(<!--.*?-->)|<style\b(?![^>]*\bmedia=)", re.DOTALL)
_GEOMETRY = ["width", "height", "bgcolor", "align", "valign"]
_parsing = threading.Lock()
_parsed: dict[tuple[str, int], Any] = {}
_MAX_PARSED = 32
"""One stylesheet per theme and writing direction; each edit of a theme makes another."""


def inline_css(html: str, css: str) -> str:
    """Inline the rules of `css`. Its @media rules and MJML's own styles stay as they are. Never uses the network."""
    premailer = _OfflinePremailer(
        _with_known_doctype(_with_mjml_styles_ignored(html)),
        strip_important=False,  # dark mode and phone widths live by !important
        keep_style_tags=True,  # otherwise CSS is rewritten
        remove_classes=False,
        cache_css_parsing=True,
        disable_validation=True,
        allow_network=False,
        disable_link_rewrites=True,
        align_floating_images=False,
        disable_basic_attributes=_GEOMETRY,  # otherwise height:auto overwrites height="1"
        css_text=[css],
        cssutils_logging_level=logging.CRITICAL,
    )
    try:
        return str(premailer.transform(pretty_print=False))
    except Exception as error:  # errors of lxml and premailer have no common base class
        raise RenderingError(translatable("The styles could not be inlined: {reason}.", reason=str(error))) from error


class _OfflinePremailer(Premailer):  # type: ignore[misc]
    """Premailer that parses each stylesheet once per process and never follows an @import.

    cssutils would fetch imports in spite of allow_network=False, and it is not thread-safe (premailer issue 65).
    """

    def _parse_style_rules(self, css_body: str, ruleset_index: int) -> Any:
        key = css_body, ruleset_index
        with _parsing:
            if key not in _parsed:
                if len(_parsed) >= _MAX_PARSED:
                    del _parsed[next(iter(_parsed))]
                _parsed[key] = super()._parse_style_rules(css_body, ruleset_index)
            return _parsed[key]

    def _process_css_text(self, css_text: str, index: int, rules: list[Any], head: Any) -> None:
        """Keep the stylesheet in the head only for rules that cannot be inlined: else the copy would take 5 KB."""
        inlined, left = self._parse_style_rules(css_text, index)
        if left:
            super()._process_css_text(css_text, index, rules, head)
        else:
            rules.extend(inlined)

    def _parse_css_string(self, css_body: str, validate: bool = True) -> Any:
        return cssutils.CSSParser(fetcher=_fetch_nothing, validate=validate).parseString(css_body)

    def _style_to_basic_html_attributes(self, *_: Any, **__: Any) -> None:
        """Do nothing: all attributes that this writes are disabled, and reading styles takes a tenth of the time."""


def _fetch_nothing(_url: str) -> tuple[None, bytes]:
    return None, b""


def _with_known_doctype(html: str) -> str:
    """premailer drops a doctype in any other spelling, and mail without one is laid out in quirks mode."""
    return html.replace("<!doctype html>", "<!DOCTYPE html>", 1)


def _with_mjml_styles_ignored(html: str) -> str:
    """Mark MJML's styles: inlining its resets into every cell would add a sixth to the size and break Outlook's rules.

    premailer ignores styles with a media attribute anyway, and would not remove the mark from them.
    """
    end = html.find("</head>")
    if html.find("<style", end) >= 0:
        end = len(html)
    # Styles are in the head; most of a mail comes after it
    return _COMMENT_OR_STYLE.sub(lambda match: match[1] or '<style data-premailer="ignore"', html[:end]) + html[end:]
