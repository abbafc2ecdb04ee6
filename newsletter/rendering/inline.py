"""Author CSS into style attributes, with premailer.

Each option below keeps premailer 3.10 from breaking what MJML made; the tests show what happens without it.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any

import cssutils
from premailer import Premailer

from newsletter.rendering.errors import RenderingError

_COMMENT_OR_STYLE = re.compile(r"(<!--.*?-->)|<style\b(?![^>]*\bmedia=)", re.DOTALL)
_GEOMETRY = ["width", "height", "bgcolor", "align", "valign"]
_parsing = threading.Lock()
_parsed: dict[tuple[str, int], Any] = {}
_MOST_PARSED = 32
"""A sheet for each theme and direction of writing; a theme that is being edited makes new ones."""


def inline_css(html: str, css: str) -> str:
    """Inline the rules of `css`; keep its @media rules, and MJML's own styles, as they are. No network, ever."""
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
    except Exception as error:  # lxml's and premailer's errors have no common family
        raise RenderingError(f"The styles could not be put into the HTML: {error}.") from error


class _OfflinePremailer(Premailer):  # type: ignore[misc]
    """Premailer that parses each stylesheet once per process, and never follows an @import.

    cssutils would fetch it in spite of allow_network=False. It is not thread-safe either (premailer's issue 65).
    """

    def _parse_style_rules(self, css_body: str, ruleset_index: int) -> Any:
        key = css_body, ruleset_index
        with _parsing:
            if key not in _parsed:
                if len(_parsed) >= _MOST_PARSED:
                    del _parsed[next(iter(_parsed))]
                _parsed[key] = super()._parse_style_rules(css_body, ruleset_index)
            return _parsed[key]

    def _parse_css_string(self, css_body: str, validate: bool = True) -> Any:
        return cssutils.CSSParser(fetcher=_fetch_nothing, validate=validate).parseString(css_body)

    def _style_to_basic_html_attributes(self, *_: Any, **__: Any) -> None:
        """All five attributes that this would write are switched off; reading every style for them cost a tenth."""


def _fetch_nothing(_url: str) -> tuple[None, bytes]:
    return None, b""


def _with_known_doctype(html: str) -> str:
    """premailer drops a doctype it does not find letter for letter, and mail without one is laid out in quirks mode."""
    return html.replace("<!doctype html>", "<!DOCTYPE html>", 1)


def _with_mjml_styles_ignored(html: str) -> str:
    """Inlining MJML's resets into every cell would add a sixth to the size and mangle Outlook's rules.

    Styles with a media attribute are passed over by premailer anyway, and would keep the mark.
    """
    end = html.find("</head>")
    if html.find("<style", end) >= 0:
        end = len(html)
    # Styles stand in the head, and most of a mail is behind it
    return _COMMENT_OR_STYLE.sub(lambda match: match[1] or '<style data-premailer="ignore"', html[:end]) + html[end:]
