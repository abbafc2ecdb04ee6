"""The tokens of a theme as a stylesheet for web pages: the same colours and fonts as its mails. Pure."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from newsletter.rendering.theme import Theme

_COLOURS = ("paper", "tint", "title", "ink", "quiet", "link", "accent", "rule", "line", "button")
_LARGE_NAME = 30
"""Pixels of a name that stands on a line of its own in mails, centred between two lines."""

_BAND = (
    "header{background:var(--head);box-shadow:0 0 0 100vmax var(--head);clip-path:inset(0 -100vmax)}"
    ".masthead{border:0}"
    ".brand,.masthead [aria-current]{color:var(--head-name)}"
    ".masthead a:not(.brand,[aria-current]),.tagline{color:var(--head-facts)}"
    "header :focus-visible{outline-color:var(--head-name)}"
)
_NAMEPLATE = (
    ".masthead{flex-direction:column;gap:.6rem;border:0;padding-top:1.9rem}"
    ".brand{font-size:clamp(2.1rem,1.5rem + 3vw,2.9rem);font-weight:400;line-height:1.15;text-align:center}"
    ".brand img{height:3.5rem}"
    ".masthead nav{align-self:stretch;border-block:1px solid var(--title)}"
    ".masthead ul{justify-content:center}"
    ".tagline{font-style:italic;text-align:center}"
    "h1,h2{font-weight:400}"
)


@lru_cache(maxsize=64)
def web_stylesheet(theme: Theme) -> str:
    """Custom properties with a value for light and one for dark screens, and the form of the masthead."""
    tokens = {name: (getattr(theme.light, name), getattr(theme.dark, name)) for name in _COLOURS}
    tokens["button-text"] = (theme.light.button_text, theme.dark.button_text)
    has_band = theme.light.head != theme.light.paper
    if has_band:
        for name in ("head", "head_name", "head_facts"):
            tokens[name.replace("_", "-")] = (getattr(theme.light, name), getattr(theme.dark, name))
    if theme.light.button == theme.light.paper:  # an outline in mails, and filled on pages, where it is a form's button
        tokens["button"] = (theme.light.link, theme.dark.link)
        tokens["button-text"] = (theme.light.paper, theme.dark.paper)
    colours = "".join(f"--{name}:light-dark({light},{dark});" for name, (light, dark) in tokens.items())
    fonts = f"--font-head:{theme.fonts.heading};--font-text:{theme.fonts.body};--radius:{theme.radius}px"
    form = (_BAND if has_band else "") + (_NAMEPLATE if theme.measures.name >= _LARGE_NAME else "")
    # Browsers without light-dark() keep the colours of pages.css, and all of them: half a palette could be unreadable.
    return f":root{{{fonts}}}@supports (color:light-dark(#fff,#000)){{:root{{{colours}}}}}{form}\n"


def stylesheet_hash(stylesheet: str) -> str:
    """The name of this content in its URL: twelve hexadecimal digits of its SHA-256."""
    return hashlib.sha256(stylesheet.encode()).hexdigest()[:12]
