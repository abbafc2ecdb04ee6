"""The first half of an import: rows of the file become rows of the table StagedRow."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from django.db import connection

from subscribers.imports.outcomes import RANK_OF_STATE, Counts, Outcome, Rank
from subscribers.imports.plan import ImportPlan, ProofKind
from subscribers.imports.rows import ImportRow
from subscribers.models import (
    CustomField,
    Frequency,
    Import,
    ImportRefusal,
    MailingList,
    StagedRow,
    Topic,
    fingerprinter,
    tag_key,
)
from subscribers.profile.fields import FieldValueError, fields_of, parse_value, value_text

#: The most different tags of one file.
MAX_TAG_NAMES = 5000

#: Of a refused row at most this much is kept.
MAX_CELLS, MAX_CELL = 200, 2000

#: Values that are left out are counted by so many names.
MAX_DROPPED = 200

#: Rows of the preview.
PREVIEW_ROWS = 50

#: How the subscribers agreed decides what an “active” of the file is worth here.
WEAK_PROOFS = (ProofKind.SINGLE_OPT_IN, ProofKind.UNKNOWN)


class Choice(IntEnum):
    """What subscribers chose about the mails, staged beside the values of the custom fields under these numbers."""

    FREQUENCY = -2
    PAUSED_UNTIL = -3
    TOPIC_OFF = -4
    """The primary key of a topic of the list."""


COLUMNS = (
    "owner_id",
    "position",
    "canonical",
    "fingerprint",
    "address",
    "rank",
    "first_name",
    "time_zone",
    "language",
    "tags",
    "field_values",
    "note",
    "joined_at",
    "confirmed_at",
    "ended_at",
    "source",
    "evidence",
)

#: What has to be escaped in the text format of COPY.
_ESCAPED = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}

#: Rows that COPY gets at a time: row by row costs more than making the rows.
_COPIED_ROWS = 500


class TooManyTags(Exception):
    """The file has more than MAX_TAG_NAMES different tags."""


def plans_of(stored: Import) -> list[ImportPlan | None]:
    """The plan of each table of the file, in their order; None for a table that is not imported."""
    return [ImportPlan.from_json(plan) if plan else None for plan in stored.plan.get("tables", [])]


def fields_of_plans(mailing_list: MailingList, plans: Iterable[ImportPlan | None]) -> list[CustomField]:
    """The custom fields of the plans, each at its number. Those that do not exist yet are not saved."""
    known, found = fields_of(mailing_list), dict[str, CustomField]()
    for plan in filter(None, plans):
        new = {
            target.key: CustomField(
                mailing_list=mailing_list,
                key=target.key,
                label=target.label or target.key,
                kind=target.field_kind or CustomField._meta.get_field("kind").get_default(),
            )
            for target in plan.new_fields()
        }
        for target in (*plan.new_fields(), *(part for column in plan.mapping.values() for part in column.fields())):
            wanted = known.get(target.key) or new.get(target.key)
            if wanted is not None:
                found.setdefault(target.key, wanted)
    return list(found.values())


@dataclass(slots=True)
class StagedChunk:
    """Rows that are ready to be stored."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    refusals: list[ImportRefusal] = field(default_factory=list)
    preview: list[dict[str, Any]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    count: int = 0
    last: tuple[int, int] | None = None
    """The number of the table and the line of the last row."""

    def refused(self) -> Counts:
        """The refused rows as outcomes."""
        reasons: dict[str, int] = {}
        for refusal in self.refusals:
            reasons[refusal.reason] = reasons.get(refusal.reason, 0) + 1
        return {Outcome.REFUSED: reasons} if reasons else {}


class Stager:
    """Turns rows of one import into staged rows. Numbers of tags stay the same from chunk to chunk."""

    def __init__(self, stored: Import, plans: Sequence[ImportPlan | None], now: datetime.datetime) -> None:
        self._import, self._plans, self._now = stored, plans, now
        self._fields = {
            field.key: (number, field) for number, field in enumerate(fields_of_plans(stored.mailing_list, plans))
        }
        self.tag_names: list[str] = list(stored.tag_names)
        self._tags = {tag_key(name): number for number, name in enumerate(self.tag_names)}
        self._numbers: dict[tuple[str, ...], str] = {}
        self._proofs = [_proof(plan) for plan in plans]
        topics = Topic.objects.filter(mailing_list=stored.mailing_list_id).values_list("slug", "pk")
        self._topics = dict(topics)
        self._fingerprint = fingerprinter()

    def stage(self, rows: Iterable[tuple[int, str, ImportRow]], position: int) -> StagedChunk:
        """Table number, table name and row of each. `position` is the number of rows before. Raises TooManyTags."""
        chunk = StagedChunk()
        for table, name, row in rows:
            position += 1
            if position <= PREVIEW_ROWS:
                chunk.preview.append(_preview(row))
            if row.refusal is not None or row.state is None:
                chunk.refusals.append(_refusal(self._import, position, name, row))
            else:
                chunk.rows.append(self._staged(position, table, name, row, chunk.dropped))
            chunk.count += 1
            chunk.last = table, row.line
        return chunk

    def _staged(self, position: int, table: int, name: str, row: ImportRow, dropped: dict[str, int]) -> tuple[Any, ...]:
        plan = self._plans[table]
        for key in row.dropped:
            _count(dropped, key)
        return (
            self._import.pk,
            position,
            row.canonical,
            self._fingerprint(row.canonical),
            row.address,
            int(_rank(row, plan.proof if plan else None)),
            row.first_name,
            row.time_zone,
            row.language,
            (self._numbers.get(row.tags) or self._numbers_of(row.tags)) if row.tags else "",
            self._pairs(row, dropped),
            row.note,
            row.joined_at and self._past(row.joined_at),
            row.confirmed_at and self._past(row.confirmed_at),
            row.ended_at and self._past(row.ended_at),
            f"{name[-280:]}:{row.line}",
            _evidence(self._proofs[table], row.evidence),
        )

    def _numbers_of(self, names: tuple[str, ...]) -> str:
        """The numbers of these tags. The same tags occur in many rows: some are remembered."""
        numbers = ",".join([str(self._tag(name)) for name in names])
        if len(self._numbers) < MAX_TAG_NAMES:
            self._numbers[names] = numbers
        return numbers

    def _tag(self, name: str) -> int:
        key = tag_key(name)
        number = self._tags.get(key)
        if number is None:
            number = self._tags[key] = len(self.tag_names)
            self.tag_names.append(name)
            if number >= MAX_TAG_NAMES:
                raise TooManyTags
        return number

    def _pairs(self, row: ImportRow, dropped: dict[str, int]) -> str:
        """The values and choices as JSON pairs of number and text."""
        pairs = self._values(row.fields, dropped) if row.fields else []
        if row.frequency and row.frequency != Frequency.EACH:
            pairs.append((Choice.FREQUENCY, row.frequency))
        if row.paused_until and row.paused_until > self._now:
            pairs.append((Choice.PAUSED_UNTIL, str(connection.ops.adapt_datetimefield_value(row.paused_until))))
        for slug in row.topics_off:
            if slug in self._topics:
                pairs.append((Choice.TOPIC_OFF, str(self._topics[slug])))
            else:
                _count(dropped, "topics_off")
        return json.dumps(pairs) if pairs else ""

    def _values(self, values: Mapping[str, str], dropped: dict[str, int]) -> list[tuple[int, str]]:
        """A value that is not of the field's type is left out."""
        pairs: list[tuple[int, str]] = []
        for key, raw in values.items():
            if key not in self._fields:
                continue
            number, custom_field = self._fields[key]
            try:
                value = parse_value(custom_field, raw)
            except FieldValueError:
                _count(dropped, key)
                continue
            texts = value if isinstance(value, tuple) else (value_text(value),) if value is not None else ()
            pairs.extend((number, text) for text in texts)
        return pairs

    def _past(self, value: datetime.datetime) -> datetime.datetime:
        """A date in the future is a mistake of the file."""
        return value if value < self._now else self._now


def _count(dropped: dict[str, int], key: str) -> None:
    """Count a value that is left out."""
    if key in dropped or len(dropped) < MAX_DROPPED:
        dropped[key] = dropped.get(key, 0) + 1


def _rank(row: ImportRow, proof: ProofKind | None) -> Rank:
    rank = RANK_OF_STATE[row.state] if row.state else Rank.PENDING
    if proof == ProofKind.SUPPRESSION_LIST:
        return max(rank, Rank.SUPPRESSED)
    return Rank.PENDING if rank == Rank.ACTIVE and proof in WEAK_PROOFS else rank


def _proof(plan: ImportPlan | None) -> str:
    """How the subscribers agreed, as the first words of the evidence."""
    if plan is None or plan.proof is None:
        return ""
    return f"{plan.proof.value} {plan.proof_date.isoformat()}" if plan.proof_date else plan.proof.value


def _evidence(proof: str, evidence: Mapping[str, str]) -> str:
    return "; ".join([proof, *(f"{name}: {text}" for name, text in evidence.items())])[:300] if evidence else proof


def _preview(row: ImportRow) -> dict[str, Any]:
    return {
        "address": row.address[:320],
        "canonical": row.canonical,
        "name": row.first_name,
        "tags": list(row.tags[:20]),
        "state": "",
        "outcome": Outcome.REFUSED if row.refusal is not None else "",
        "reason": str(row.refusal.value) if row.refusal is not None else "",
        "detail": row.detail[:300],
    }


def _refusal(stored: Import, position: int, table: str, row: ImportRow) -> ImportRefusal:
    # PostgreSQL stores no NUL characters.
    cells = [cell[:MAX_CELL].replace("\x00", "\\0") for cell in row.cells[:MAX_CELLS]]
    return ImportRefusal(
        owner=stored,
        position=position,
        table=table[-255:],
        line=row.line,
        reason=str(row.refusal.value) if row.refusal is not None else "",
        detail=row.detail[:300].replace("\x00", "\\0"),
        cells=cells,
    )


def store_rows(rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert staged rows: with COPY on PostgreSQL, otherwise with one prepared statement."""
    if not rows:
        return
    table, columns = StagedRow._meta.db_table, ", ".join(COLUMNS)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for start in range(0, len(rows), _COPIED_ROWS):
                    copy.write("".join(map(_copy_line, rows[start : start + _COPIED_ROWS])))
            return
        marks = ", ".join(["%s"] * len(COLUMNS))
        adapt = connection.ops.adapt_datetimefield_value
        cursor.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - names of ours
            [(*row[:12], *(adapt(value) for value in row[12:15]), *row[15:]) for row in rows],
        )


def _copy_line(row: tuple[Any, ...]) -> str:
    line = "\t".join(["\\N" if value is None else value if value.__class__ is str else str(value) for value in row])
    is_plain = line.count("\t") == len(row) - 1 and line.count("\\") == row.count(None)
    if not is_plain or "\n" in line or "\r" in line:
        line = "\t".join([_copy_value(value) for value in row])
    return line + "\n"


def _copy_value(value: Any) -> str:
    if value is None:
        return "\\N"
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], str(value))
