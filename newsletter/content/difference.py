"""The difference between two versions of an issue, in words that people read. Pure.

Stories are found again by their link, else by their title, else by words that are mostly the same; sections by their
kind and title, else by the stories they share, else by their words. What is found elsewhere has moved; what is
nowhere found was added or removed.
"""

from __future__ import annotations

import bisect
import difflib
import enum
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.fields import LABELS

GAP = "…"
"""Stands between the two ends of a long run of words that are the same."""

_TOKEN = re.compile(r"\w+\s*|[^\w\s]+\s*|\s+")
_WORD = re.compile(r"\w+")
_LIKENESS = 0.5
"""How much of their words two texts must share to be taken for versions of one another."""
_MOST_TOKENS, _MOST_REPEATS = 3_000, 100
"""Beyond these – in one text, and of each word of it in the other, on average – a comparison takes seconds to hours."""
_LONGEST_RUN, _KEPT_OF_RUN = 160, 60


class SpanKind(enum.StrEnum):
    """What happened to a run of words."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of words with one fate. LEFT_OUT stands for words that are the same in both, and too many to show."""

    kind: SpanKind
    text: str


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs, as spans: those that are not ADDED make the old value, those not REMOVED the new one."""

    label: str
    spans: tuple[Span, ...]


class ChangeKind(enum.StrEnum):
    """What happened to a part of the issue. A part that moved may have changed as well: then it has fields."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Change:
    """One part of an issue that differs."""

    kind: ChangeKind
    what: str
    """What the part is, for people: `envelope`, `section`, `call-out`, `story`…"""
    name: str
    """Its title in the new version, or in the old one if it was removed."""
    place: str
    """Where it stands in the new version, or stood in the old one if it was removed."""
    came_from: str = ""
    """Where it stood before, if it moved."""
    fields: tuple[FieldChange, ...] = ()


def difference(old: IssueContent, new: IssueContent) -> tuple[Change, ...]:
    """What changed from `old` to `new`, in the order of `new`; what was removed comes last. Empty if they are equal."""
    if old == new:
        return ()
    old_stories, new_stories = tuple(_placed_stories(old)), tuple(_placed_stories(new))
    stories = _story_pairs(old_stories, new_stories)
    sections = _section_pairs(old, new, old_stories, new_stories, stories)
    changes = [*_envelope_changes(old, new), *_section_changes(old, new, sections)]
    return (*changes, *_story_changes(old_stories, new_stories, stories, sections))


def summary_of(changes: Sequence[Change]) -> str:
    """The changes in a few words, such as `2 stories changed, 1 story added`."""
    counts = Counter((change.kind, _counted_as(change)) for change in changes)
    named = [f"{_number_of(what, count)} {kind.value}" for (kind, what), count in counts.items()]
    return ", ".join(named) or "nothing changed"


def word_spans(old: str, new: str) -> tuple[Span, ...]:
    """The words of both texts in one row; what both have in common stands once."""
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
    if shared * 4 < max(len(old), len(new)):  # hardly a word stayed: one text for the other reads better
        return _joined([Span(SpanKind.REMOVED, old), Span(SpanKind.ADDED, new)])
    return _joined(spans)


def _takes_too_long(before: Sequence[str], after: Sequence[str]) -> bool:
    if max(len(before), len(after)) > _MOST_TOKENS:
        return True
    counts = Counter(after)
    return sum(counts[token] for token in before) > _MOST_REPEATS * min(len(before), len(after))


def shortened(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The spans with the middle of long runs left out that are the same in both."""
    last = len(spans) - 1
    return tuple(
        part for index, span in enumerate(spans) for part in _shortened(span, index > 0, index < last or last == 0)
    )


# Finding parts again. Stories carry the index of their section and their number in it.


@dataclass(frozen=True, slots=True)
class _Placed:
    section: int
    number: int
    story: StoryContent
    section_name: str

    @property
    def place(self) -> str:
        return f"{self.section_name}, story {self.number}"


Pairs = dict[int, int]
"""Indexes into the new version by indexes into the old one."""

Key = str | tuple[str, str] | StoryContent | SectionContent


def _placed_stories(content: IssueContent) -> Iterator[_Placed]:
    for index, section in enumerate(content.sections):
        for number, story in enumerate(section.stories, start=1):
            yield _Placed(index, number, story, _name_of(section))


def _story_pairs(old: Sequence[_Placed], new: Sequence[_Placed]) -> Pairs:
    found: Pairs = {}
    _pair_equal([placed.story for placed in old], [placed.story for placed in new], found)
    _pair_equal([placed.story.url for placed in old], [placed.story.url for placed in new], found)
    _pair_equal([placed.story.title for placed in old], [placed.story.title for placed in new], found)
    _pair_alike([_story_words(placed.story) for placed in old], [_story_words(placed.story) for placed in new], found)
    return found


def _section_pairs(
    old: IssueContent,
    new: IssueContent,
    old_stories: Sequence[_Placed],
    new_stories: Sequence[_Placed],
    stories: Pairs,
) -> Pairs:
    found: Pairs = {}
    _pair_equal(old.sections, new.sections, found)
    _pair_equal([_heading(section) for section in old.sections], [_heading(section) for section in new.sections], found)
    shared = Counter((old_stories[was].section, new_stories[now].section) for was, now in stories.items())
    for (was, now), _ in shared.most_common():
        if was not in found and now not in found.values():
            found[was] = now
    _pair_alike([_section_words(part) for part in old.sections], [_section_words(part) for part in new.sections], found)
    return found


def _pair_equal(old: Sequence[Key], new: Sequence[Key], found: Pairs) -> None:
    """Pair the places that hold the same and are not paired yet, in order. What is empty is the same as nothing."""
    taken = set(found.values())
    waiting: dict[Key, list[int]] = {}
    for now, key in enumerate(new):
        if key and now not in taken:
            waiting.setdefault(key, []).append(now)
    for was, key in enumerate(old):
        if was not in found and waiting.get(key):
            found[was] = waiting[key].pop(0)


def _pair_alike(old: Sequence[frozenset[str]], new: Sequence[frozenset[str]], found: Pairs) -> None:
    """Pair each place that is left with the one whose words are most like its own, if they are enough so."""
    free = set(range(len(new))) - set(found.values())
    for was, words in enumerate(old):
        if was not in found and free:
            now = max(sorted(free), key=lambda place: _likeness(words, new[place]))
            if _likeness(words, new[now]) >= _LIKENESS:
                found[was] = now
                free.remove(now)


def _heading(section: SectionContent) -> Key:
    return (section.kind.value, section.title) if section.title else ""


def _story_words(story: StoryContent) -> frozenset[str]:
    return _words(story.title, story.body)


def _section_words(section: SectionContent) -> frozenset[str]:
    return _words(section.kind, section.title, section.body, section.source, section.url, section.image)


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word.casefold() for text in texts for word in _WORD.findall(text))


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 0.0


# Telling what became of them.


def _envelope_changes(old: IssueContent, new: IssueContent) -> Iterator[Change]:
    rows = (
        ("Title", old.title, new.title),
        ("Subject", old.subject, new.subject),
        ("Preheader", old.preheader, new.preheader),
        ("Date", old.date.isoformat(), new.date.isoformat()),
        ("Slug", old.slug, new.slug),
        ("Categories", ", ".join(old.categories), ", ".join(new.categories)),
    )
    if fields := _field_changes(rows):
        yield Change(ChangeKind.CHANGED, "envelope", new.title, "At the top", fields=fields)


def _section_changes(old: IssueContent, new: IssueContent, pairs: Pairs) -> Iterator[Change]:
    came_from = {now: was for was, now in pairs.items()}
    moved = _moved([came_from[now] for now in sorted(came_from)])
    for index, section in enumerate(new.sections):
        label, place = LABELS[section.kind], f"Part {index + 1}"
        if index not in came_from:
            fields = _field_changes(_section_rows(SectionContent(kind=section.kind), section))
            yield Change(ChangeKind.ADDED, label, _name_of(section), place, fields=fields)
            continue
        was = came_from[index]
        fields = _field_changes(_section_rows(old.sections[was], section))
        yield from _became(label, _name_of(section), place, f"part {was + 1}" if was in moved else "", fields)
    for index, section in enumerate(old.sections):
        if index not in pairs:
            fields = _field_changes(_section_rows(section, SectionContent(kind=section.kind)))
            yield Change(
                ChangeKind.REMOVED, LABELS[section.kind], _name_of(section), f"Part {index + 1}", fields=fields
            )


def _story_changes(old: Sequence[_Placed], new: Sequence[_Placed], pairs: Pairs, sections: Pairs) -> Iterator[Change]:
    came_from = {now: was for was, now in pairs.items()}
    stayed = [was for _, was in sorted(came_from.items()) if sections.get(old[was].section) == new[pairs[was]].section]
    moved = set(came_from.values()) - set(stayed)
    for section in {old[was].section for was in stayed}:
        moved |= _moved([was for was in stayed if old[was].section == section])
    for index, placed in enumerate(new):
        if index not in came_from:
            fields = _field_changes(_story_rows(None, placed.story))
            yield Change(ChangeKind.ADDED, "story", placed.story.title, placed.place, fields=fields)
            continue
        was = came_from[index]
        fields = _field_changes(_story_rows(old[was].story, placed.story))
        yield from _became("story", placed.story.title, placed.place, old[was].place if was in moved else "", fields)
    for index, placed in enumerate(old):
        if index not in pairs:
            fields = _field_changes(_story_rows(placed.story, None))
            yield Change(ChangeKind.REMOVED, "story", placed.story.title, placed.place, fields=fields)


def _became(what: str, name: str, place: str, came_from: str, fields: tuple[FieldChange, ...]) -> Iterator[Change]:
    if came_from:
        yield Change(ChangeKind.MOVED, what, name, place, came_from, fields)
    elif fields:
        yield Change(ChangeKind.CHANGED, what, name, place, fields=fields)


def _moved(before: Sequence[int]) -> set[int]:
    """Of places in the old version, in their new order, the fewest that must have moved for it to come about."""
    ends: list[int] = []  # of the best rising row of each length, the lowest last place
    lengths = []
    for place in before:
        length = bisect.bisect_left(ends, place)
        ends[length : length + 1] = [place]
        lengths.append(length)
    stayed, wanted = set(), len(ends) - 1
    for place, length in zip(reversed(before), reversed(lengths), strict=True):
        if length == wanted:
            stayed.add(place)
            wanted -= 1
    return set(before) - stayed


Row = tuple[str, str, str]
"""A field's label, its old value and its new one."""


def _section_rows(old: SectionContent, new: SectionContent) -> tuple[Row, ...]:
    return (
        ("Kind", LABELS[old.kind], LABELS[new.kind]),
        ("Heading", old.title, new.title),
        ("Link", old.url, new.url),
        ("Source", old.source, new.source),
        ("Image", old.image, new.image),
        ("Description", old.alt, new.alt),
        ("Text", old.body, new.body),
    )


def _story_rows(old: StoryContent | None, new: StoryContent | None) -> tuple[Row, ...]:
    old, new = old or StoryContent(title=""), new or StoryContent(title="")
    return (
        ("Title", old.title, new.title),
        ("Link", old.url, new.url),
        ("Source", old.source, new.source),
        ("Text", old.body, new.body),
    )


def _field_changes(rows: Sequence[Row]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(label, shortened(word_spans(old, new))) for label, old, new in rows if old != new)


def _name_of(section: SectionContent) -> str:
    return section.title or LABELS[section.kind].capitalize()


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(span for span in spans if span.text)


def _shortened(span: Span, keep_start: bool, keep_end: bool) -> Iterator[Span]:
    if span.kind != SpanKind.SAME or len(span.text) <= _LONGEST_RUN:
        yield span
        return
    start = span.text[:_KEPT_OF_RUN].rpartition(" ")[0] if keep_start else ""
    end = span.text[-_KEPT_OF_RUN:].partition(" ")[2] if keep_end else ""
    yield from _joined([Span(SpanKind.SAME, start), Span(SpanKind.LEFT_OUT, f" {GAP} "), Span(SpanKind.SAME, end)])


def _counted_as(change: Change) -> str:
    return change.what if change.what in {"envelope", "story", "section"} else "block"


def _number_of(what: str, count: int) -> str:
    if what == "envelope":
        return "envelope"
    plural = "stories" if what == "story" else f"{what}s"
    return f"{count} {what if count == 1 else plural}"
