"""Pure: issue content in, edition out. May import content's documents, links and Markdown; never Django."""

from newsletter.rendering.errors import RenderingError, SlotError
from newsletter.rendering.render import render_issue
from newsletter.rendering.shapes import Link, Masthead, Merge, RenderedIssue
from newsletter.rendering.slots import SlotContext, SlotTemplate, as_json_string, as_utf8, slot_token
from newsletter.rendering.theme import PLAIN, Theme, load_theme, pairings, theme_names
from newsletter.rendering.theme_file import ThemeError, ThemeFault

__all__ = [
    "PLAIN",
    "Link",
    "Masthead",
    "Merge",
    "RenderedIssue",
    "RenderingError",
    "SlotContext",
    "SlotError",
    "SlotTemplate",
    "Theme",
    "ThemeError",
    "ThemeFault",
    "as_json_string",
    "as_utf8",
    "load_theme",
    "pairings",
    "render_issue",
    "slot_token",
    "theme_names",
]
