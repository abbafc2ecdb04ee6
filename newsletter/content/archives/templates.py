"""Template code of other tools, as someone without a subscription sees it: values are empty, conditions false. Pure.

Known are Mailchimp's `*|NAME|*`, Liquid and Django (`{{ … }}`, `{% … %}`), and Go's templates (`{{ if … }}`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote

MERGE_LINK = "x-merge:"
"""Stands in an address for a value that differs per subscriber, such as that of the link to unsubscribe."""

_TAG = re.compile(
    r"\{\{-?(?P<value>[^{}\n]{0,500}?|[^{}]{0,200}?)-?\}\}|\{%-?(?P<code>[^{}\n]{0,500}?)-?%\}|\*\|(?P<merge>[^|*\n]{1,200})\|\*"
)
_LINK_IN_TAG = re.compile(r"^\s*TrackLink\s+[\"'`](?P<url>https?://[^\"'`\s]+)")
_DEFAULT = re.compile(r"\|\s*default:?\s*\(?[\"'“]([^\"'”]*)[\"'”]\)?")
# beehiiv writes `{{first_name|there}}`; after a bar, Django writes the name of a filter.
_BARE_DEFAULT = re.compile(
    r"\w\|(?!(?:safe|title|upper|lower|capfirst|escape|linebreaks|urlize|striptags|date|trim)$)([^|:{}]+)$"
)
_QUOTED = re.compile(r"^\s*[\"`](.*)[\"`]\s*$")
_OPENS = re.compile(r"^\s*(?:if|unless|ifnot|for|range|with|block|case|comment|raw|verbatim)\b", re.IGNORECASE)
_NEGATED = re.compile(r"^\s*(?:unless\b|ifnot\b|if\s+not\b|IFNOT:)", re.IGNORECASE)
_ELSE = re.compile(r"^\s*(?:else\b|elsif\b|elif\b|ELSE:|ELSEIF:)", re.IGNORECASE)
_CLOSES = re.compile(r"^\s*(?:end\w*\b|END:)", re.IGNORECASE)
_MERGE_OPENS = re.compile(r"^(?:IF|IFNOT|INTERESTED|UNSUBSCRIBED|FEEDBLOCK|RSSITEMS):", re.IGNORECASE)
_ALWAYS_SHOWN = re.compile(r"^\s*(?:(?:raw|verbatim|block)\b|IF:MC_PREVIEW_TEXT)", re.IGNORECASE)
_BEFORE_TAG = re.compile(r"[ \t]*\ue020(?=\s*[,.!?;:])|\ue020")
_IN_ADDRESS = re.compile(r"(?:href|src)\s*=\s*(?:\\?[\"'])?[^\"'>\s]*$|\]\([^()\s]*$", re.IGNORECASE)
_WHOLE = re.compile(r"(?:(?:href|src)\s*=\s*(?:\\?[\"'])?|\]\(<?)$", re.IGNORECASE)
_AT_LINK = re.compile(r"(https?://[^\s\"'<>]+?)@TrackLink\b")
MAX_NOTED = 20_000


@dataclass(slots=True)
class _Open:
    """A condition that is open: whether its text is shown now, and was shown before."""

    shown: bool
    is_merge: bool


@dataclass(slots=True)
class _Result:
    text: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)


def without_tags(text: str, filled: Mapping[str, str] | None = None) -> tuple[str, list[ArchiveNote]]:
    """`text` without template code, and notes of what was left out. `filled` are values by the text of their tags.

    A tag with a default becomes the default. Text that depends on a condition is left out, or its alternative; the note
    holds it.
    """
    text = _AT_LINK.sub(r"\1", text)
    if "{{" not in text and "{%" not in text and "*|" not in text:
        return text, []
    result, stack, end = _Result(), list[_Open](), 0
    for found in _TAG.finditer(text):
        _add(result, stack, text[end : found.start()])
        end = found.end()
        _read_tag(found, text, result, stack, filled or {})
    _add(result, stack, text[end:])
    return _BEFORE_TAG.sub("", "".join(result.text)), list(_notes(result))


def _read_tag(found: re.Match[str], text: str, result: _Result, stack: list[_Open], filled: Mapping[str, str]) -> None:
    is_merge, is_code = found["merge"] is not None, found["code"] is not None
    words = next(part for part in (found["value"], found["code"], found["merge"]) if part is not None).strip()
    opens = (_MERGE_OPENS if is_merge else _OPENS).match(words)
    if opens and not (not is_code and not is_merge and "." not in words and " " not in words):
        stack.append(_Open(bool(_NEGATED.match(words) or _ALWAYS_SHOWN.match(words)), is_merge))
    elif _ELSE.match(words) and stack and stack[-1].is_merge == is_merge:
        stack[-1].shown = not stack[-1].shown
    elif _CLOSES.match(words):
        if stack and stack[-1].is_merge == is_merge:
            stack.pop()
    else:
        _add(result, stack, _value(words, found, text, result, filled))


def _value(words: str, found: re.Match[str], text: str, result: _Result, filled: Mapping[str, str]) -> str:
    if words in filled:
        return filled[words]
    if link := _LINK_IN_TAG.match(words):
        return link["url"]
    if default := _DEFAULT.search(words):
        return default[1]
    if default := _BARE_DEFAULT.search(words):
        return default[1]
    if quoted := _QUOTED.match(words):
        return quoted[1]
    if _IN_ADDRESS.search(text, max(0, found.start() - 2_000), found.start()):
        is_whole = _WHOLE.search(text, max(0, found.start() - 20), found.start())
        return f"{MERGE_LINK}{re.sub(r'[^A-Za-z_]', '', words)}" if is_whole else ""
    result.values.append(found[0])
    return "\ue020"


def _add(result: _Result, stack: list[_Open], text: str) -> None:
    if all(one.shown for one in stack):
        result.text.append(text)
    elif text.strip("\ue020 \n"):
        result.hidden.append(text)


def _notes(result: _Result) -> list[ArchiveNote]:
    notes = []
    if result.values:
        tags = ", ".join(dict.fromkeys(result.values))
        notes.append(ArchiveNote(translatable("Template code was left out: {tags}.", tags=tags[:MAX_NOTED])))
    if result.hidden:
        words = " … ".join(" ".join(re.sub(r"<[^<>]*>", " ", part).split()) for part in result.hidden)
        sentence = translatable(
            "Text for chosen subscribers was left out, as it is on a public page: “{words}”.", words=words[:MAX_NOTED]
        )
        notes.append(ArchiveNote(sentence))
    return notes
