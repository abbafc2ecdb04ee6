"""Client emulation: a finished mail as different screens and mail programs show it. Pure: HTML in, HTML out.

The HTML is what rendering produces: lower-case tags, attributes in double quotes. Changes are made by pattern, so that
everything else stays byte for byte as it is sent.
"""

from __future__ import annotations

import colorsys
import re
from html import escape, unescape

_DARK_RULES = re.compile(r"@media\s*\(\s*prefers-color-scheme:\s*dark\s*\)")
_SCHEME_META = re.compile(r'(<meta name="(?:supported-)?color-schemes?" content=")[^"]*(")')
_SCHEME_RULE = re.compile(r"(?<![-\w])color-scheme\s*:\s*[^;}]+")
_STYLED = re.compile(r'(?P<rules><style\b[^>]*>.*?</style>)|(?P<inline>\s(?:style|bgcolor|color)="[^"]*")', re.DOTALL)
_COLOUR = re.compile(
    r"(?<![\w&])#(?P<hex>[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b"
    r"|rgba?\(\s*(?P<rgb>\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3})(?P<alpha>[^)]*)\)"
    r"|(?<![-.#\w])(?P<name>aqua|black|blue|fuchsia|gray|green|lime|maroon|navy|olive|purple|red|silver|teal|white|yellow)"
    r"(?![-\w(])"
)
#: The sixteen colours of HTML 4; rendering writes others as numbers.
_NAMED = {
    **{"aqua": "00ffff", "black": "000000", "blue": "0000ff", "fuchsia": "ff00ff", "gray": "808080", "green": "008000"},
    **{"lime": "00ff00", "maroon": "800000", "navy": "000080", "olive": "808000", "purple": "800080", "red": "ff0000"},
    **{"silver": "c0c0c0", "teal": "008080", "white": "ffffff", "yellow": "ffff00"},
}
_IMAGE = re.compile(r"<img\b[^>]*>")
_ATTRIBUTE = re.compile(r'\s([a-z-]+)="([^"]*)"')
_BACKGROUND = re.compile(r'\sbackground="[^"]*"|url\([^)]*\)')

#: The lightness that a white background becomes: mail programs that invert show it nearly black, not black.
_LOWEST_LIGHTNESS = 0.08

ALT_BOX = (
    "display:inline-block;box-sizing:border-box;max-width:100%;height:auto;padding:4px 6px;border:1px solid #8a8a8a"
)


def in_light(html: str) -> str:
    """The mail on a light screen, whichever the editor uses."""
    return _with_links_in_new_tabs(_in_scheme(html, "light"))


def in_dark(html: str) -> str:
    """The mail on a dark screen, in its own dark colours."""
    return _with_links_in_new_tabs(_in_scheme(html, "dark"))


def in_forced_dark(html: str) -> str:
    """The mail in a program that ignores dark-mode rules and inverts every colour; images stay as they are.

    Gmail on phones and Outlook's apps do so with mails that have no dark colours. Lightness is inverted, hue and
    saturation stay.
    """
    without_rules = _SCHEME_RULE.sub("color-scheme:dark", _DARK_RULES.sub("@media not all", html))
    inverted = _STYLED.sub(lambda found: _COLOUR.sub(_inverted, found[0]), without_rules)
    return _with_links_in_new_tabs(_SCHEME_META.sub(r"\g<1>dark\g<2>", inverted))


def without_images(html: str) -> str:
    """The mail before the recipient allows images: a box with the alternative text of each."""
    return in_light(_BACKGROUND.sub("", _IMAGE.sub(_alt_box, html)))


def invert_colour(colour: str) -> str:
    """`#rrggbb` with inverted lightness: white becomes nearly black, and black becomes white."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    inverted = colorsys.hls_to_rgb(hue, _LOWEST_LIGHTNESS + (1 - _LOWEST_LIGHTNESS) * (1 - lightness), saturation)
    return "#" + "".join(f"{round(part * 255):02x}" for part in inverted)


def _inverted(found: re.Match[str]) -> str:
    if found["rgb"]:
        parts = [min(int(part), 255) for part in found["rgb"].split(",")]
        inverted = invert_colour("#" + "".join(f"{part:02x}" for part in parts))
        numbers = ",".join(str(int(inverted[start : start + 2], 16)) for start in (1, 3, 5))
        return f"{'rgba' if found['alpha'].strip() else 'rgb'}({numbers}{found['alpha']})"
    digits = _NAMED[found["name"]] if found["name"] else found["hex"]
    return invert_colour("#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)))


def _alt_box(found: re.Match[str]) -> str:
    attributes = dict(_ATTRIBUTE.findall(found[0]))
    alternative = unescape(attributes.get("alt", ""))
    if not alternative:
        return ""
    width = f"width:{attributes['width']}px;" if attributes.get("width", "").isdigit() else ""
    style = f"{attributes.get('style', '').rstrip(';')};{width}{ALT_BOX}".lstrip(";")
    return f'<span role="img" style="{style}">{escape(alternative)}</span>'


def _in_scheme(html: str, scheme: str) -> str:
    html = _SCHEME_RULE.sub(f"color-scheme:{scheme}", html)
    html = _DARK_RULES.sub("@media all" if scheme == "dark" else "@media not all", html)
    return _SCHEME_META.sub(rf"\g<1>{scheme}\g<2>", html)


def _with_links_in_new_tabs(html: str) -> str:
    return html.replace("<head>", '<head><base target="_blank">', 1)
