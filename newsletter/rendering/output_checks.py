"""Last look at both finished parts, before anybody gets them.

How much they weigh is for pre-flight to judge, which can name the part that is too heavy.
"""

from __future__ import annotations

import re

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.placeholders import PlaceholderContext, token_pattern
from newsletter.rendering.text import MAX_LINE_OCTETS

REQUIRED_PLACEHOLDERS = frozenset({"unsubscribe_url", "preferences_url"})

# A whole tag first: editors' words stand in its attributes as they are, and may speak of conditional comments.
_TAG_OR_CONDITIONAL = re.compile(
    r"""</?[a-zA-Z](?:[^<>"']|"[^"]*"|'[^']*')*>|(?P<conditional><!--\[if |<!\[endif\]-->)"""
)


def check_output_html(html: str, nonce: str) -> None:
    """Raise RenderingError where the HTML part is not fit to be sent."""
    if not html.startswith("<!DOCTYPE html>"):
        raise RenderingError("The HTML lost its document type; mail programs would lay it out in quirks mode.")
    _check_conditionals(html)
    _check_tokens(html, nonce, PlaceholderContext.HTML, "HTML")


def check_output_text(text: str, nonce: str) -> None:
    """Raise RenderingError where the text part is not fit to be sent."""
    _check_tokens(text, nonce, PlaceholderContext.PLAIN, "text")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line.encode()) > MAX_LINE_OCTETS:
            raise RenderingError(
                f"A line of the text part has {len(line.encode())} octets; mail allows {MAX_LINE_OCTETS}. "
                f"It begins “{line.strip()[:60]}”: shorten that address.",
                line=number,
            )


def placeholders_used(*parts: str, nonce: str) -> tuple[str, ...]:
    """Names of the placeholders whose tokens stand in any of `parts`, sorted."""
    found = {placeholder for part in parts for _, placeholder in re.findall(token_pattern(nonce), part)}
    return tuple(sorted(found))


def _check_conditionals(html: str) -> None:
    is_open = False
    for match in _TAG_OR_CONDITIONAL.finditer(html):
        if not match["conditional"]:
            continue
        opens = match[0].startswith("<!--[if")
        if opens == is_open:
            raise RenderingError("The conditional comments for Outlook are not balanced; it would show a broken page.")
        is_open = opens
    if is_open:
        raise RenderingError("A conditional comment for Outlook is never closed; it would show an empty page.")


def _check_tokens(part: str, nonce: str, context: PlaceholderContext, name: str) -> None:
    tokens = re.findall(token_pattern(nonce), part)
    if len(tokens) != part.lower().count(f"zq{nonce}"):
        raise RenderingError(f"A placeholder of the {name} part was damaged in rendering; it could not be filled.")
    wrong = [placeholder for letter, placeholder in tokens if letter != context.value]
    if wrong:
        raise RenderingError(f"The placeholder “{wrong[0]}” of the {name} part would be escaped for another part.")
    missing = REQUIRED_PLACEHOLDERS.difference(placeholder for _, placeholder in tokens)
    if missing:
        raise RenderingError(f"The {name} part has no place for {', '.join(sorted(missing))}; every mail needs it.")
