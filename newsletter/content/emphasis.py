"""Emphasis written so that Markdown recognises it: with asterisks where they work, with HTML where they do not. Pure.

`**C++**code` and `**重点：**内容` are not bold in Markdown, because of the punctuation beside the asterisks. Until the
whole text is known, characters for private use stand for the marks.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MARKS = {"strong": ("\ue000", "\ue001"), "em": ("\ue002", "\ue003"), "s": ("\ue004", "\ue005")}
"""The stand-ins of a mark's beginning and end."""
STAND_INS = re.compile("[\ue000-\ue005]")

_SIGNS = {"strong": "**", "em": "*", "s": "~~"}
_RUN = re.compile("[\ue000-\ue005]+")
_STOPS = ".,:;!?，。、：；！？"
_OPENING = {opening: kind for kind, (opening, _) in MARKS.items()}
_CLOSING = {closing: kind for kind, (_, closing) in MARKS.items()}


@dataclass(slots=True)
class _Pair:
    """The places of a mark's two ends."""

    kind: str
    start: int
    end: int
    is_html: bool = False


def with_marks(text: str) -> str:
    """`text` with marks for the stand-ins."""
    if not STAND_INS.search(text):
        return text
    text = _tidy(text)
    pairs, runs = _pairs(text), [found.span() for found in _RUN.finditer(text)]
    by_place = {place: pair for pair in pairs for place in (pair.start, pair.end)}
    _choose_html(text, runs, by_place)
    written = []
    for place, letter in enumerate(text):
        pair = by_place.get(place)
        if pair is None:
            written.append("" if STAND_INS.match(letter) else letter)
        elif pair.is_html:
            written.append(f"<{'/' if place == pair.end else ''}{pair.kind}>")
        else:
            written.append(_SIGNS[pair.kind])
    return "".join(written)


def _tidy(text: str) -> str:
    """Join marks that end where the same begins, end them at paragraphs, and leave stops outside."""
    for opening, closing in MARKS.values():
        text = re.sub(f"{closing}([ \t]*){opening}", r"\1", text)
        text = re.sub(f"{opening}[^{closing}]*{closing}", lambda found: _by_paragraph(found[0]), text)
    for _ in MARKS:  # marks may be within each other
        for opening, closing in MARKS.values():
            text = re.sub(f"([{_STOPS}]+|\\\\?\\s+)({closing})", r"\2\1", text)
            text = re.sub(f"({opening})(\\s+)", r"\2\1", text)
            text = text.replace(opening + closing, "")
    return text


def _by_paragraph(marked: str) -> str:
    opening, closing = marked[0], marked[-1]
    return re.sub(r"\n\s*\n", lambda found: f"{closing}{found[0]}{opening}", marked) if "\n" in marked else marked


def _pairs(text: str) -> list[_Pair]:
    waiting: list[_Pair] = []
    found: list[_Pair] = []
    for match in STAND_INS.finditer(text):
        letter, place = match[0], match.start()
        if letter in _OPENING:
            waiting.append(_Pair(_OPENING[letter], place, -1))
            continue
        same = [pair for pair in waiting[-6:] if pair.kind == _CLOSING[letter]]
        if same:
            pair = same[-1]
            pair.end = place
            del waiting[waiting.index(pair) :]
            found.append(pair)
    return found


def _choose_html(text: str, runs: list[tuple[int, int]], by_place: dict[int, _Pair]) -> None:
    """Mark the pairs that Markdown would not recognise; a run of marks is written in one way."""
    bad = {run for run in runs if not _works(text, run, by_place)}
    run_of = {place: run for run in runs for place in range(*run)}
    waiting = list(bad)
    while waiting:
        for place in range(*waiting.pop()):
            pair = by_place.get(place)
            if pair and not pair.is_html:
                pair.is_html = True
                more = {run_of[pair.start], run_of[pair.end]} - bad
                bad |= more
                waiting += more


def _works(text: str, run: tuple[int, int], by_place: dict[int, _Pair]) -> bool:
    """Whether Markdown recognises the marks of a run (CommonMark, left- and right-flanking delimiter runs)."""
    start, end = run
    pairs = [(by_place[place], place) for place in range(start, end) if place in by_place]
    openings = {place == pair.start for pair, place in pairs}
    if len(openings) != 1 or (len(pairs) > 1 and any(pair.kind == "s" for pair, _ in pairs)):
        return not pairs
    before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
    outside, inside = (before, after) if True in openings else (after, before)
    return not inside.isspace() and (not _is_sign(inside) or outside.isspace() or _is_sign(outside))


def _is_sign(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "PS"
