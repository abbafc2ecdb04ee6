"""The differences between two texts, word by word. Pure."""

from __future__ import annotations

import difflib
import enum
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GAP = "…"
"""Replaces the middle of a long run of unchanged words."""

_TOKEN = re.compile(r"\w+\s*|[^\w\s]+\s*|\s+")
_MAX_TOKENS, _MAX_REPEATS = 3_000, 100
"""Tokens of one text, and average repeats of each in the other; beyond them a comparison takes seconds to hours."""
_MAX_RUN, _KEPT_OF_RUN = 160, 60


class SpanKind(enum.StrEnum):
    """What happened to a run of words."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of words. LEFT_OUT replaces unchanged words that are too many to show."""

    kind: SpanKind
    text: str


def word_spans(old: str, new: str) -> tuple[Span, ...]:
    """The words of both texts in one sequence; words that both have in common appear once."""
    if old == new:
        return (Span(SpanKind.SAME, old),) if old else ()
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if _takes_too_long(before, after):
        return _joined([Span(SpanKind.REMOVED, old), Span(SpanKind.ADDED, new)])
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    spans: list[Span] = []
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            spans.append(Span(SpanKind.SAME, "".join(before[start:end])))
        else:
            spans.append(Span(SpanKind.REMOVED, "".join(before[start:end])))
            spans.append(Span(SpanKind.ADDED, "".join(after[new_start:new_end])))
    shared = sum(len(span.text) for span in spans if span.kind == SpanKind.SAME)
    if shared * 4 < max(
        len(old), len(new)
    ):  # hardly any word is unchanged: showing one text after the other reads better
        return _joined([Span(SpanKind.REMOVED, old), Span(SpanKind.ADDED, new)])
    return _joined(spans)


def _takes_too_long(before: Sequence[str], after: Sequence[str]) -> bool:
    if max(len(before), len(after)) > _MAX_TOKENS:
        return True
    counts = Counter(after)
    return sum(counts[token] for token in before) > _MAX_REPEATS * min(len(before), len(after))


def shortened(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The spans, with the middle of long unchanged runs left out."""
    last = len(spans) - 1
    return tuple(
        part for index, span in enumerate(spans) for part in _shortened(span, index > 0, index < last or last == 0)
    )


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(span for span in spans if span.text)


def _shortened(span: Span, keep_start: bool, keep_end: bool) -> Iterator[Span]:
    if span.kind != SpanKind.SAME or len(span.text) <= _MAX_RUN:
        yield span
        return
    start = span.text[:_KEPT_OF_RUN].rpartition(" ")[0] if keep_start else ""
    end = span.text[-_KEPT_OF_RUN:].partition(" ")[2] if keep_end else ""
    yield from _joined([Span(SpanKind.SAME, start), Span(SpanKind.LEFT_OUT, f" {GAP} "), Span(SpanKind.SAME, end)])
