"""The differences between two versions of an issue, for editors. Pure.

Stories are matched by their link, else by their title, else by words that are mostly the same; sections by their kind
and title, else by the stories they share, else by their words. A match in another place has moved; a part without a
match was added or removed.
"""

from __future__ import annotations

import bisect
import enum
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import AUDIENCE_LABELS, FIELD_LABELS, LABELS
from newsletter.content.spans import Span, shortened, word_spans

_WORD = re.compile(r"\w+")
_MIN_SIMILARITY = 0.5
"""The share of words that two texts must have in common to count as versions of each other."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs. Spans that are not ADDED make the old value, spans that are not REMOVED the new one."""

    label: str
    spans: tuple[Span, ...]


class ChangeKind(enum.StrEnum):
    """What happened to a part of the issue. A part that moved may have changed too: then it has fields."""

    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"

    @property
    def label(self) -> str:
        """The kind as shown to editors."""
        return _KIND_LABELS[self]


_KIND_LABELS: Mapping[ChangeKind, str] = {
    ChangeKind.CHANGED: translatable("Changed"),
    ChangeKind.ADDED: translatable("Added"),
    ChangeKind.REMOVED: translatable("Removed"),
    ChangeKind.MOVED: translatable("Moved"),
}

DETAILS, STORY = "details", "story"


@dataclass(frozen=True, slots=True)
class Change:
    """One part of an issue that differs."""

    kind: ChangeKind
    what: str
    """DETAILS (title, subject, date …), STORY, or the value of a SectionKind."""
    name: str
    """Its title in the new version, or in the old one if it was removed. May be empty."""
    place: str
    """Its position in the new version, or in the old one if it was removed."""
    came_from: str = ""
    """Its old position, if it moved."""
    fields: tuple[FieldChange, ...] = ()

    @property
    def label(self) -> str:
        """The part as shown to editors: `Story “Cranes”`, `Divider`, `Details`."""
        if self.what == DETAILS:
            return translatable("Details")
        label = translatable("Story") if self.what == STORY else LABELS[SectionKind(self.what)]
        return translatable("{kind} “{title}”", kind=label, title=self.name) if self.name.strip() else label

    @property
    def position(self) -> str:
        """Where the part is, and where it was if it moved."""
        if not self.came_from:
            return self.place
        return translatable("from {old_position} to {position}", old_position=self.came_from, position=self.place)


def difference(old: IssueContent, new: IssueContent) -> tuple[Change, ...]:
    """The changes from `old` to `new`, in the order of `new`; removed parts come last. Empty if both are equal."""
    if old == new:
        return ()
    old_stories, new_stories = tuple(_placed_stories(old)), tuple(_placed_stories(new))
    stories = _story_pairs(old_stories, new_stories)
    sections = _section_pairs(old, new, old_stories, new_stories, stories)
    changes = [*_details_changes(old, new), *_section_changes(old, new, sections)]
    return (*changes, *_story_changes(old_stories, new_stories, stories, sections))


def summary_of(changes: Sequence[Change]) -> str:
    """The changes in a few words of the active language, such as `2 stories changed, 1 story added`."""
    counts = Counter((change.kind, _counted_as(change)) for change in changes)
    return ", ".join(str(_SUMMARIES[what, kind](count)) for (kind, what), count in counts.items()) or str(
        translatable("No changes")
    )


# Matching parts. Stories carry the index of their section and their number in it.


@dataclass(frozen=True, slots=True)
class _Placed:
    section: int
    number: int
    story: StoryContent
    section_name: str

    @property
    def place(self) -> str:
        return translatable("{section}, story {number}", section=self.section_name, number=self.number)


Pairs = dict[int, int]
"""Indexes in the new version by indexes in the old one."""

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
    _pair_similar([_story_words(placed.story) for placed in old], [_story_words(placed.story) for placed in new], found)
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
    _pair_similar(
        [_section_words(part) for part in old.sections], [_section_words(part) for part in new.sections], found
    )
    return found


def _pair_equal(old: Sequence[Key], new: Sequence[Key], found: Pairs) -> None:
    """Pair equal keys that are not paired yet, in order. Empty keys match nothing."""
    taken = set(found.values())
    waiting: dict[Key, list[int]] = {}
    for now, key in enumerate(new):
        if key and now not in taken:
            waiting.setdefault(key, []).append(now)
    for was, key in enumerate(old):
        if was not in found and waiting.get(key):
            found[was] = waiting[key].pop(0)


def _pair_similar(old: Sequence[frozenset[str]], new: Sequence[frozenset[str]], found: Pairs) -> None:
    """Pair each remaining part with the one whose words are most similar, if they are similar enough."""
    free = set(range(len(new))) - set(found.values())
    for was, words in enumerate(old):
        if was not in found and free:
            now = max(sorted(free), key=lambda place: _similarity(words, new[place]))
            if _similarity(words, new[now]) >= _MIN_SIMILARITY:
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


def _similarity(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 0.0


# Describing changes.


def _details_changes(old: IssueContent, new: IssueContent) -> Iterator[Change]:
    rows = (
        (FIELD_LABELS["title"], old.title, new.title),
        (FIELD_LABELS["subject"], old.subject, new.subject),
        (FIELD_LABELS["preheader"], old.preheader, new.preheader),
        (translatable("Date"), old.date.isoformat(), new.date.isoformat()),
        (FIELD_LABELS["slug"], old.slug, new.slug),
        (translatable("Categories"), ", ".join(old.categories), ", ".join(new.categories)),
        (AUDIENCE_LABELS["topic"], old.audience.topic, new.audience.topic),
        (AUDIENCE_LABELS["lists"], ", ".join(old.audience.lists), ", ".join(new.audience.lists)),
        (AUDIENCE_LABELS["segments"], ", ".join(old.audience.segments), ", ".join(new.audience.segments)),
        (AUDIENCE_LABELS["exclude"], ", ".join(old.audience.exclude), ", ".join(new.audience.exclude)),
    )
    if fields := _field_changes(rows):
        yield Change(ChangeKind.CHANGED, DETAILS, new.title, "", fields=fields)


def _section_changes(old: IssueContent, new: IssueContent, pairs: Pairs) -> Iterator[Change]:
    came_from = {now: was for was, now in pairs.items()}
    moved = _moved([came_from[now] for now in sorted(came_from)])
    for index, section in enumerate(new.sections):
        place = _part(index)
        if index not in came_from:
            fields = _field_changes(_section_rows(SectionContent(kind=section.kind), section))
            yield Change(ChangeKind.ADDED, section.kind, section.title, place, fields=fields)
            continue
        was = came_from[index]
        fields = _field_changes(_section_rows(old.sections[was], section))
        yield from _moved_or_changed(section.kind, section.title, place, _part(was) if was in moved else "", fields)
    for index, section in enumerate(old.sections):
        if index not in pairs:
            fields = _field_changes(_section_rows(section, SectionContent(kind=section.kind)))
            yield Change(ChangeKind.REMOVED, section.kind, section.title, _part(index), fields=fields)


def _story_changes(old: Sequence[_Placed], new: Sequence[_Placed], pairs: Pairs, sections: Pairs) -> Iterator[Change]:
    came_from = {now: was for was, now in pairs.items()}
    stayed = [was for _, was in sorted(came_from.items()) if sections.get(old[was].section) == new[pairs[was]].section]
    moved = set(came_from.values()) - set(stayed)
    for section in {old[was].section for was in stayed}:
        moved |= _moved([was for was in stayed if old[was].section == section])
    for index, placed in enumerate(new):
        if index not in came_from:
            fields = _field_changes(_story_rows(None, placed.story))
            yield Change(ChangeKind.ADDED, STORY, placed.story.title, placed.place, fields=fields)
            continue
        was = came_from[index]
        fields = _field_changes(_story_rows(old[was].story, placed.story))
        yield from _moved_or_changed(
            STORY, placed.story.title, placed.place, old[was].place if was in moved else "", fields
        )
    for index, placed in enumerate(old):
        if index not in pairs:
            fields = _field_changes(_story_rows(placed.story, None))
            yield Change(ChangeKind.REMOVED, STORY, placed.story.title, placed.place, fields=fields)


def _moved_or_changed(
    what: str, name: str, place: str, came_from: str, fields: tuple[FieldChange, ...]
) -> Iterator[Change]:
    if came_from:
        yield Change(ChangeKind.MOVED, what, name, place, came_from, fields)
    elif fields:
        yield Change(ChangeKind.CHANGED, what, name, place, fields=fields)


def _moved(before: Sequence[int]) -> set[int]:
    """The smallest set of old positions that must have moved; `before` lists the old positions in their new order."""
    ends: list[int] = []  # the lowest last position of the rising sequences of each length
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
        (translatable("Kind"), str(LABELS[old.kind]), str(LABELS[new.kind])),
        (FIELD_LABELS["section heading"], old.title, new.title),
        (FIELD_LABELS["link"], old.url, new.url),
        (FIELD_LABELS["source"], old.source, new.source),
        (FIELD_LABELS["image"], old.image, new.image),
        (FIELD_LABELS["description"], old.alt, new.alt),
        (FIELD_LABELS["text"], old.body, new.body),
    )


def _story_rows(old: StoryContent | None, new: StoryContent | None) -> tuple[Row, ...]:
    old, new = old or StoryContent(title=""), new or StoryContent(title="")
    return (
        (FIELD_LABELS["title"], old.title, new.title),
        (FIELD_LABELS["link"], old.url, new.url),
        (FIELD_LABELS["source"], old.source, new.source),
        (FIELD_LABELS["image"], old.image, new.image),
        (FIELD_LABELS["description"], old.alt, new.alt),
        (FIELD_LABELS["text"], old.body, new.body),
    )


def _field_changes(rows: Sequence[Row]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(label, shortened(word_spans(old, new))) for label, old, new in rows if old != new)


def _name_of(section: SectionContent) -> str:
    return section.title or LABELS[section.kind]


def _part(index: int) -> str:
    return translatable("Part {number}", number=index + 1)


def _counted_as(change: Change) -> str:
    return change.what if change.what in {DETAILS, STORY, SectionKind.SECTION} else "block"


_SUMMARIES: Mapping[tuple[str, ChangeKind], Callable[[int], str]] = {
    (DETAILS, ChangeKind.CHANGED): lambda _: translatable("details changed"),
    (STORY, ChangeKind.CHANGED): lambda count: translatable_plural(
        "{count} story changed", "{count} stories changed", count=count
    ),
    (STORY, ChangeKind.ADDED): lambda count: translatable_plural(
        "{count} story added", "{count} stories added", count=count
    ),
    (STORY, ChangeKind.REMOVED): lambda count: translatable_plural(
        "{count} story removed", "{count} stories removed", count=count
    ),
    (STORY, ChangeKind.MOVED): lambda count: translatable_plural(
        "{count} story moved", "{count} stories moved", count=count
    ),
    (SectionKind.SECTION, ChangeKind.CHANGED): lambda count: translatable_plural(
        "{count} section changed", "{count} sections changed", count=count
    ),
    (SectionKind.SECTION, ChangeKind.ADDED): lambda count: translatable_plural(
        "{count} section added", "{count} sections added", count=count
    ),
    (SectionKind.SECTION, ChangeKind.REMOVED): lambda count: translatable_plural(
        "{count} section removed", "{count} sections removed", count=count
    ),
    (SectionKind.SECTION, ChangeKind.MOVED): lambda count: translatable_plural(
        "{count} section moved", "{count} sections moved", count=count
    ),
    ("block", ChangeKind.CHANGED): lambda count: translatable_plural(
        "{count} block changed", "{count} blocks changed", count=count
    ),
    ("block", ChangeKind.ADDED): lambda count: translatable_plural(
        "{count} block added", "{count} blocks added", count=count
    ),
    ("block", ChangeKind.REMOVED): lambda count: translatable_plural(
        "{count} block removed", "{count} blocks removed", count=count
    ),
    ("block", ChangeKind.MOVED): lambda count: translatable_plural(
        "{count} block moved", "{count} blocks moved", count=count
    ),
}
