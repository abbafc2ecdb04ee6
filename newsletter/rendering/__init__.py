"""Pure: issue content in, edition out. May import content's documents, links and Markdown; never Django."""

from newsletter.rendering.errors import RenderingError, SlotError
from newsletter.rendering.issue import render_issue
from newsletter.rendering.shapes import Link, Masthead, Merge, RenderedIssue
from newsletter.rendering.slots import SlotContext, SlotTemplate, as_json_string, as_utf8, slot_token

__all__ = [
    "Link",
    "Masthead",
    "Merge",
    "RenderedIssue",
    "RenderingError",
    "SlotContext",
    "SlotError",
    "SlotTemplate",
    "as_json_string",
    "as_utf8",
    "render_issue",
    "slot_token",
]
