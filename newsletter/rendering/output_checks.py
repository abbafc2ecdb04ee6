"""Checks of both finished parts. Their size is checked by pre-flight."""

from __future__ import annotations

import re

from newsletter.config.translatable import translatable
from newsletter.content.problems import listed
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.placeholders import PlaceholderContext, token_pattern
from newsletter.rendering.text import MAX_LINE_OCTETS

REQUIRED_PLACEHOLDERS = frozenset({"unsubscribe_url", "preferences_url"})
_HTML_PART, _TEXT_PART = translatable("HTML part"), translatable("Text part")

# Tags first: their attributes contain text of editors, who may write about conditional comments.
_TAG_OR_CONDITIONAL = re.compile(
    r"""</?[a-zA-Z](?:[^<>"']|"[^"]*"|'[^']*')*>|(?P<conditional><!--\[if |<!\[endif\]-->)"""
)


def check_output_html(html: str, nonce: str) -> None:
    """Raise RenderingError if the HTML part must not be sent."""
    if not html.startswith("<!DOCTYPE html>"):
        raise RenderingError(
            translatable("The HTML has no document type, so mail programs would lay it out in quirks mode.")
        )
    _check_conditionals(html)
    _check_tokens(html, nonce, PlaceholderContext.HTML, _HTML_PART)


def check_output_text(text: str, nonce: str) -> None:
    """Raise RenderingError if the text part must not be sent."""
    _check_tokens(text, nonce, PlaceholderContext.PLAIN, _TEXT_PART)
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line.encode()) > MAX_LINE_OCTETS:
            sentence = translatable(
                "A line of the text part has {octets} octets; the maximum in a mail is {limit}. Shorten the address "
                "that starts with “{start}”.",
                octets=len(line.encode()),
                limit=MAX_LINE_OCTETS,
                start=line.strip()[:60],
            )
            raise RenderingError(sentence, line=number)


def placeholders_used(*parts: str, nonce: str) -> tuple[str, ...]:
    """Names of the placeholders with tokens in any of `parts`, sorted."""
    found = {placeholder for part in parts for _, placeholder in re.findall(token_pattern(nonce), part)}
    return tuple(sorted(found))


def _check_conditionals(html: str) -> None:
    is_open = False
    for match in _TAG_OR_CONDITIONAL.finditer(html):
        if not match["conditional"]:
            continue
        opens = match[0].startswith("<!--[if")
        if opens == is_open:
            raise RenderingError(translatable("The conditional comments for Outlook are not balanced."))
        is_open = opens
    if is_open:
        raise RenderingError(translatable("A conditional comment for Outlook is never closed."))


def _check_tokens(part: str, nonce: str, context: PlaceholderContext, label: str) -> None:
    tokens = re.findall(token_pattern(nonce), part)
    if len(tokens) != part.lower().count(f"zq{nonce}"):
        raise RenderingError(translatable("{part}: a placeholder was damaged and cannot be filled.", part=label))
    if wrong := [placeholder for letter, placeholder in tokens if letter != context.value]:
        raise RenderingError(
            translatable(
                "{part}: the placeholder {placeholder} has the escaping of the other part.",
                part=label,
                placeholder=wrong[0],
            )
        )
    if missing := REQUIRED_PLACEHOLDERS.difference(placeholder for _, placeholder in tokens):
        raise RenderingError(
            translatable(
                "{part}: these placeholders are missing: {placeholders}. Every mail needs them.",
                part=label,
                placeholders=listed(sorted(missing)),
            )
        )
