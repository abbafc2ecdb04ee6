"""Colours as mails write them, for the contrast that rendering's palette measures. Pure."""

from __future__ import annotations

import re

#: WCAG 2.2, 1.4.3: enough for words of 24 px, or 18.66 px in bold.
READABLE_LARGE = 3.0

_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*(?:[,/]\s*(?P<alpha>[\d.]+%?)\s*)?\)")
_NAMED = {
    "black": "#000000",
    "white": "#ffffff",
    "red": "#ff0000",
    "green": "#008000",
    "blue": "#0000ff",
    "gray": "#808080",
    "grey": "#808080",
    "silver": "#c0c0c0",
    "navy": "#000080",
}


def parse_colour(written: str) -> str | None:
    """The colour that CSS would read, as `#rrggbb`, where it covers what is behind it; None for anything else."""
    text = written.strip().lower()
    text = _NAMED.get(text, text)
    if _HEX.fullmatch(text):
        return text if len(text) == 7 else "#" + "".join(digit * 2 for digit in text[1:])
    if (found := _RGB.fullmatch(text)) and found["alpha"] in (None, "1", "1.0", "100%"):
        return "#" + "".join(f"{min(int(part), 255):02x}" for part in found.group(1, 2, 3))
    return None
