"""From the cells of a table to subscribers: addresses, names, states, tags, dates and evidence of consent."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from django.utils.translation import gettext as _

from subscribers.addresses import AddressError, is_plain_address, parse_address
from subscribers.imports.attributes import parse_attributes
from subscribers.imports.cells import (
    ERASED_SUFFIX,
    MAX_DETAIL,
    MAX_NOTE,
    clean_name,
    language_of,
    one_line,
    plain_tags,
    read_address,
    split_name,
    split_tags,
    time_zone_of,
    unique_tags,
)
from subscribers.imports.columns import MAX_LABEL
from subscribers.imports.dates import is_never, parse_datetime, parse_instant
from subscribers.imports.delimited import CHARACTERS
from subscribers.imports.plan import LAST_NAME_KEY, DateOrder, ImportPlan
from subscribers.imports.state_words import FLAGS, normal_word, words_of
from subscribers.imports.states import STATE_RANK, RowRefusal, RowState, StateAnswer
from subscribers.imports.table import ADDRESS_CELL, SourceRow, Table
from subscribers.imports.targets import Target, TargetKind
from subscribers.models import MAX_TEXT, FieldKind, Frequency
from subscribers.profile.fields import NO, YES

__all__ = ["STATE_RANK", "ImportRow", "RowRefusal", "RowState", "read_rows", "refusal_sentence"]

#: What separates tags; the first of them that occurs.
_SEPARATORS = {"ghost": ",", "buttondown": ";"}

#: Different words for states that are remembered.
_MAX_WORDS = 1000

#: Presets whose word for a state may be contradicted by a date of leaving: then the file does not tell.
_CONTRADICTED = frozenset({"beehiiv", "kit", "mailerlite", "other"})

#: What stands for no date.
_NO_DATE = NO | {"", "-", "n/a", "nan", "never", "none", "null", "\\n", "0000-00-00", "0000-00-00 00:00:00"}

#: Answers for rows without a state that do not hold for a subscriber who left.
_NOT_LEFT = (RowState.ACTIVE, RowState.PENDING, RowRefusal.NO_STATE)

#: Without leading zeros: “02134” is a postal code, and 2134 another one.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,16})(?:\.\d+)?")


@dataclass(slots=True)
class ImportRow:
    """One row as it is to be imported, or why it is not."""

    line: int
    """The line in the file on which the row begins."""
    cells: list[str]
    """As in the file, for the file of refused rows."""
    address: str = ""
    """As typed, without a display name. The whole cell if the address is not valid."""
    canonical: str = ""
    """Empty if the address is not valid."""
    first_name: str = ""
    state: RowState | None = None
    """None only if the row is refused."""
    tags: tuple[str, ...] = ()
    """Each once, spelled as first; at most MAX_TAGS of at most MAX_NAME characters (profile.tags)."""
    fields: dict[str, str] = field(default_factory=dict)
    """Values by the key of the custom field, as `profile.fields.parse_value` reads them. No empty values."""
    joined_at: datetime.datetime | None = None
    """In UTC, as the other dates. That of the confirmation if the file has no other."""
    confirmed_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    evidence: dict[str, str] = field(default_factory=dict)
    """By the name of the column: the text of the cell, unchanged. All dates are here, too. No empty values."""
    time_zone: str = ""
    """An IANA name."""
    language: str = ""
    """A code of settings.LANGUAGES."""
    note: str = ""
    frequency: str = ""
    """A code of Frequency."""
    paused_until: datetime.datetime | None = None
    """In UTC."""
    topics_off: tuple[str, ...] = ()
    """The slugs of topics."""
    dropped: list[str] = field(default_factory=list)
    """What is left out: keys of fields and names of columns with a value that cannot be read, and names in JSON objects
    that have no field."""
    refusal: RowRefusal | None = None
    detail: str = ""
    """Of a refused row: the word or the explanation. Of any other row: the columns whose text could not be read."""


def read_rows(table: Table, plan: ImportPlan, *, start_line: int = 1) -> Iterator[ImportRow]:
    """The rows that begin on `start_line` or later, refused ones among them. Raises ImportFileError.

    A word for a state that is not known never makes a row active. The plan has to be one without problems for this
    table, except that it may be without answers: rows without a state are refused then.
    """
    return map(_RowParser(table, plan).read, table.rows(start_line))


def refusal_sentence(refusal: RowRefusal, detail: str = "", address: str = "") -> str:
    """Why a row was refused, in the active language."""
    if refusal == RowRefusal.INVALID_ADDRESS:
        try:
            parse_address(address)
        except AddressError as error:
            return str(error)
    if refusal == RowRefusal.UNKNOWN_STATE:
        return _("The state “%(word)s” is not known.") % {"word": detail}
    return str(refusal.label)


class _RowParser:
    """Reads the rows of one table. All that does not depend on the row is worked out once."""

    def __init__(self, table: Table, plan: ImportPlan) -> None:
        self._width = table.width
        self._delimiter = CHARACTERS.get(table.delimiter, "")
        self._names = _column_names(table)
        self._zone: datetime.tzinfo = datetime.UTC if plan.time_zone == "UTC" else zoneinfo.ZoneInfo(plan.time_zone)
        self._is_day_first = plan.date_order == DateOrder.DAY_FIRST
        self._find_columns(plan)
        self._find_states(plan)

    def _find_columns(self, plan: ImportPlan) -> None:
        self._address = next(iter(plan.columns(TargetKind.ADDRESS)), None)
        self._first_name = next(iter(plan.columns(TargetKind.FIRST_NAME)), None)
        self._last_name = next(iter(plan.columns(TargetKind.LAST_NAME)), None)
        self._full_name = next(iter(plan.columns(TargetKind.FULL_NAME)), None)
        self._tags = plan.columns(TargetKind.TAGS)
        separators = _SEPARATORS.get(plan.preset, ";|,")
        self._split = plain_tags if plan.preset == "own" else partial(split_tags, separators=separators)
        self._tag_all = unique_tags(plan.tag_all)
        self._joined = plan.columns(TargetKind.JOINED_AT)
        self._confirmed = plan.columns(TargetKind.CONFIRMED_AT)
        self._ended = plan.columns(TargetKind.ENDED_AT)
        dates = self._joined + self._confirmed + self._ended
        self._evidence = [(index, self._names[index]) for index in sorted(plan.columns(TargetKind.EVIDENCE) + dates)]
        self._fields = [
            (index, target)
            for index, target in sorted(plan.mapping.items())
            if target.kind in (TargetKind.FIELD, TargetKind.NEW_FIELD)
        ]
        self._attributes = [
            (index, {target.label or target.key: target for target in plan.mapping[index].attributes})
            for index in plan.columns(TargetKind.ATTRIBUTES)
        ]
        self._time_zone = next(iter(plan.columns(TargetKind.TIME_ZONE)), None)
        self._language = next(iter(plan.columns(TargetKind.LANGUAGE)), None)
        self._note = next(iter(plan.columns(TargetKind.NOTE)), None)
        self._frequency = next(iter(plan.columns(TargetKind.FREQUENCY)), None)
        self._paused = plan.columns(TargetKind.PAUSED_UNTIL)
        self._topics = next(iter(plan.columns(TargetKind.TOPICS_OFF)), None)
        self._has_more = bool(
            self._fields
            or self._attributes
            or self._last_name is not None
            or self._time_zone is not None
            or self._language is not None
            or self._note is not None
            or self._frequency is not None
            or self._paused
            or self._topics is not None
        )

    def _find_states(self, plan: ImportPlan) -> None:
        self._states = plan.columns(TargetKind.STATE)
        self._by_dates = plan.preset == "mailcoach"
        flags = FLAGS.get(plan.preset)
        is_own = flags is None or all(self._names[index].lower() in flags for index in self._states)
        self._words = words_of(plan.preset if is_own else "other")
        self._known_words: dict[str, StateAnswer] = {}
        self._default: StateAnswer = plan.default_state or RowRefusal.NO_STATE
        self._is_contradicted = plan.preset in _CONTRADICTED
        # Only at beehiiv such rows are usual, so that an answer is about them.
        is_asked = plan.preset == "beehiiv" or self._default not in _NOT_LEFT
        self._contradicted = self._default if is_asked else RowRefusal.NO_STATE
        self._has_file_state = plan.file_state is not None
        self._untold: set[str] = set()
        # A line break may have torn off the rest of a row, with its state. The address is before or after it.
        self._last_of_state = max(self._ended if self._by_dates else self._states, default=0)

    def read(self, source: SourceRow) -> ImportRow:
        """One row."""
        line, cells = source
        row = ImportRow(line, cells)
        if len(cells) != self._width:
            if any(cells[self._width :]):
                return _refused(row, RowRefusal.TOO_MANY_COLUMNS, str(len(cells)))
            cells = cells[: self._width] + [""] * (self._width - len(cells))
        text = "".join(cells)
        if "\n" in text and self._has_other_rows(cells):
            return _refused(row, RowRefusal.UNCLOSED_QUOTE)
        if "\0" in text:
            row.address = "" if self._address is None else one_line(cells[self._address])
            return _refused(row, RowRefusal.NUL_CHARACTER)
        display_name = self._read_address(row, cells)
        if row.refusal:
            return row
        if len(row.cells) < self._width and not any(map(str.strip, row.cells[self._last_of_state :])):
            return _refused(row, RowRefusal.NO_STATE)
        unreadable: list[str] = []
        if self._evidence:
            row.confirmed_at = self._instant(cells, self._confirmed, unreadable)
            row.joined_at = self._instant(cells, self._joined, unreadable) or row.confirmed_at
            row.ended_at = self._instant(cells, self._ended, unreadable)
            row.dropped += unreadable
            row.evidence = {name: cells[index] for index, name in self._evidence if cells[index].strip()}
        answer, word = self._state_of(row, cells)
        if not isinstance(answer, RowState):
            return _refused(row, answer, word)
        row.state = answer
        self._read_name(row, cells, display_name)
        self._read_tags(row, cells)
        if self._has_more:
            self._read_more(row, cells, unreadable)
        row.detail = ", ".join(unreadable)
        return row

    def _has_other_rows(self, cells: list[str]) -> bool:
        """Whether a quote that is not closed made a cell of the rest of this row and of the rows after it."""
        if self._address is None or not self._delimiter:
            return False
        for index, cell in enumerate(cells):
            rest, *lines = cell.split("\n")
            is_last = index == self._width - 1
            if not lines or len(rest.split(self._delimiter)) != self._width - index:
                continue
            found = lines[0].split(self._delimiter)
            # After the last column, only a whole row tells.
            if len(found) <= self._address or (is_last and (len(found) != self._width or self._width < 3)):
                continue
            if ADDRESS_CELL.fullmatch(found[self._address].strip('" \r')):
                return True
        return False

    def _read_address(self, row: ImportRow, cells: list[str]) -> str:
        """Fills in the address or the refusal; returns the display name."""
        cell = cells[self._address].strip() if self._address is not None else ""
        if is_plain_address(cell) and not cell.endswith(ERASED_SUFFIX):
            row.address, row.canonical = cell, cell.lower()
            return ""
        row.address, row.canonical, name, row.refusal, row.detail = read_address(cell)
        return name

    def _instant(self, cells: list[str], columns: list[int], unreadable: list[str]) -> datetime.datetime | None:
        """The earliest date in these columns."""
        earliest = None
        for index in columns:
            text = cells[index].strip()
            if not text:
                continue
            instant = parse_instant(text, self._zone, is_day_first=self._is_day_first)
            if instant is None and not is_never(text):
                unreadable.append(self._names[index])
            if instant is not None and (earliest is None or instant < earliest):
                earliest = instant
        return earliest

    def _state_of(self, row: ImportRow, cells: list[str]) -> tuple[StateAnswer, str]:
        """The state or the refusal, and the word that tells it."""
        if self._by_dates:
            return _state_by_dates(row), ""
        if not self._states:
            return self._without_word(row, cells), ""
        cell = cells[self._states[0]]
        answer = self._known_words.get(cell) or self._read_word(cell)
        for index in self._states[1:]:
            if other := cells[index].strip():
                cell, answer = _stronger(
                    (cell, answer), (other, self._known_words.get(other) or self._read_word(other))
                )
        if cell in self._untold:
            answer = self._without_word(row, cells)
        elif answer == RowState.ACTIVE and self._is_contradicted and self._has_left(row, cells):
            answer = self._contradicted
        return answer, cell

    def _without_word(self, row: ImportRow, cells: list[str]) -> StateAnswer:
        """The editor's answer for rows whose state no column tells. It does not subscribe those who have left."""
        if not self._has_file_state and self._default in _NOT_LEFT and self._has_left(row, cells):
            return RowState.UNSUBSCRIBED
        return self._default

    def _has_left(self, row: ImportRow, cells: list[str]) -> bool:
        """Whether there is a date of leaving, readable or not, and none of a later return."""
        if row.ended_at is None:
            return any(cells[index].strip().casefold() not in _NO_DATE for index in self._ended)
        return not any(instant and instant > row.ended_at for instant in (row.joined_at, row.confirmed_at))

    def _read_word(self, cell: str) -> StateAnswer:
        word = normal_word(cell)
        # The empty word and some others do not tell: then the editor's answer counts.
        answer = (self._words[word] or self._default) if word in self._words else RowRefusal.UNKNOWN_STATE
        if word in self._words and self._words[word] is None:
            self._untold.add(cell)
        if len(self._known_words) < _MAX_WORDS:
            self._known_words[cell] = answer
        return answer

    def _read_name(self, row: ImportRow, cells: list[str], display_name: str) -> None:
        if self._full_name is not None:
            row.first_name, last_name = split_name(cells[self._full_name])
            if last_name:
                row.fields[LAST_NAME_KEY] = last_name
        if self._first_name is not None:
            row.first_name = clean_name(cells[self._first_name]) or row.first_name
        if display_name and not row.first_name:
            row.first_name = split_name(display_name)[0]

    def _read_tags(self, row: ImportRow, cells: list[str]) -> None:
        if len(self._tags) == 1 and not self._tag_all:
            row.tags = self._split(cells[self._tags[0]])
        elif self._tags or self._tag_all:
            found = [tag for index in self._tags for tag in self._split(cells[index])]
            row.tags = unique_tags((*self._tag_all, *found))

    def _read_more(self, row: ImportRow, cells: list[str], unreadable: list[str]) -> None:
        """What few files have."""
        if self._last_name is not None and (last_name := one_line(cells[self._last_name])):
            row.fields[LAST_NAME_KEY] = last_name[:MAX_TEXT]
        for index, target in self._fields:
            if text := cells[index].strip():
                self._set_field(row, target, text, self._names[index], unreadable)
        for index, fields in self._attributes:
            self._read_attributes(row, cells[index], fields, self._names[index], unreadable)
        if self._note is not None:
            row.note = cells[self._note].strip()[:MAX_NOTE]
        if self._time_zone is not None and (text := cells[self._time_zone].strip()):
            row.time_zone = time_zone_of(text)
            unreadable += [] if row.time_zone else [self._names[self._time_zone]]
        if self._language is not None and (text := cells[self._language].strip()):
            row.language = language_of(text)
            unreadable += [] if row.language else [self._names[self._language]]
        self._read_choices(row, cells, unreadable)

    def _read_choices(self, row: ImportRow, cells: list[str], unreadable: list[str]) -> None:
        """What the subscriber chose about the mails."""
        if self._frequency is not None and (text := cells[self._frequency].strip().lower()):
            row.frequency = text if text in Frequency.values else ""
            unreadable += [] if row.frequency else [self._names[self._frequency]]
        if self._paused:
            row.paused_until = self._instant(cells, self._paused, unreadable)
        if self._topics is not None and (text := cells[self._topics].strip()):
            row.topics_off = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))

    def _read_attributes(
        self, row: ImportRow, cell: str, fields: dict[str, Target], name: str, unreadable: list[str]
    ) -> None:
        """The row is kept if the cell is broken."""
        values = parse_attributes(cell)
        if values is None:
            unreadable.append(name)
            row.dropped.append(name)
            return
        for key, text in values.items():
            target = fields.get(key)
            if target is None:
                row.dropped.append(one_line(f"{name}.{key}")[:MAX_LABEL])
            elif target.kind != TargetKind.IGNORE:
                self._set_field(row, target, text, f"{name}.{key}", unreadable)

    def _set_field(self, row: ImportRow, target: Target, text: str, name: str, unreadable: list[str]) -> None:
        value = _field_value(target.field_kind, text, self._is_day_first)
        if value:
            row.fields[target.key] = value
        else:
            unreadable.append(name)
            row.dropped.append(target.key)


def _refused(row: ImportRow, refusal: RowRefusal, detail: str = "") -> ImportRow:
    row.refusal, row.detail = refusal, one_line(detail)[:MAX_DETAIL]
    return row


def _stronger(one: tuple[str, StateAnswer], other: tuple[str, StateAnswer]) -> tuple[str, StateAnswer]:
    """Of two words with their answers, the one that counts. A refusal is stronger than all states."""
    return max(
        one, other, key=lambda found: STATE_RANK[found[1]] if isinstance(found[1], RowState) else len(STATE_RANK)
    )


def _state_by_dates(row: ImportRow) -> RowState:
    if row.ended_at:
        return RowState.UNSUBSCRIBED
    return RowState.ACTIVE if row.joined_at else RowState.PENDING


def _column_names(table: Table) -> list[str]:
    """A name for each column, none of them twice."""
    names: list[str] = []
    for index in range(table.width):
        base = (table.header[index] if table.header else "") or f"Column {index + 1}"
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base} ({number})"
        names.append(name)
    return names


def _field_value(kind: FieldKind | None, text: str, is_day_first: bool) -> str | None:
    """The value as `parse_value` reads it; None if it is not one of this type."""
    if kind == FieldKind.DATE:
        instant = parse_datetime(text, is_day_first=is_day_first)
        return instant.date().isoformat() if instant else None
    if kind == FieldKind.NUMBER:
        return text if _NUMBER.fullmatch(text) else None
    if kind == FieldKind.YES_NO:
        return text if text.casefold() in YES | NO else None
    line = text if text.isprintable() else one_line(text)
    return line if len(line) <= MAX_TEXT else None
