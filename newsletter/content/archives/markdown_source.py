"""Markdown of other tools without the HTML that mails do not show: scripts are left out, players become links. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.lines import scan_lines

_WITHOUT_WORDS = re.compile(r"<(script|style|noscript|template|svg)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_EMBED = re.compile(
    r"<(iframe|video|audio|embed|object)\b(?P<attributes>[^>]*)>(?P<inner>.*?</\1\s*>)?", re.IGNORECASE | re.DOTALL
)
_SOURCE = re.compile(r"\b(?:src|data)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_TITLE = re.compile(r"\btitle\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9-]*)(?:\s[^<>]*|/)?>")
_HTML_TAGS = frozenset(
    ["script", "style", "noscript", "template", "svg", "form", "input", "button", "label", "select", "textarea"]
)
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_KRAMDOWN = re.compile(r"^[ \t]*\{:[^{}\n]*\}[ \t]*$|[ \t]*\{:[^{}\n]*\}[ \t]*$", re.MULTILINE)


def without_active_html(markdown: str) -> tuple[str, list[ArchiveNote]]:
    """The text, and notes of what was left out. Code blocks stay as they are."""
    dropped: Counter[str] = Counter()
    text = "\n".join(_plain(part, dropped) if is_text else part for part, is_text in _parts(markdown))
    notes = []
    if dropped:
        tags = ", ".join(f"<{name}> ({count})" for name, count in dropped.items())
        notes.append(ArchiveNote(translatable("HTML that mails do not show was left out: {tags}.", tags=tags)))
    return text, notes


def _parts(markdown: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it is text and not a code block."""
    lines = markdown.replace("\r\n", "\n").split("\n")
    fenced = scan_lines(lines).fenced
    start = 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or fenced[at] != fenced[start]:
            yield "\n".join(lines[start:at]), not fenced[start]
            start = at


def _plain(text: str, dropped: Counter[str]) -> str:
    def without_words(found: re.Match[str]) -> str:
        dropped[found[1].lower()] += 1
        return ""

    def linked(found: re.Match[str]) -> str:
        source = _SOURCE.search(found["attributes"]) or _SOURCE.search(found["inner"] or "")
        if source is None:
            dropped[found[1].lower()] += 1
            return ""
        url = f"https:{source[1]}" if source[1].startswith("//") else source[1]
        title = _TITLE.search(found["attributes"])
        words = (title[1] or title[2]) if title else url
        return f"[{words}]({url})"

    def tag(found: re.Match[str]) -> str:
        name = found[1].lower()
        if name in _HTML_TAGS:
            dropped[name] += 1
            return ""
        return found[0]

    shown = _KRAMDOWN.sub("", _TAG.sub(tag, _EMBED.sub(linked, _WITHOUT_WORDS.sub(without_words, text))))
    return _BLANK_LINES.sub("\n\n", shown)
