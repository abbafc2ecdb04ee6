"""From the cells of a table to people: addresses, names, states, tags, dates and evidence of consent."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field

from subscribers.imports.plan import ImportPlan
from subscribers.imports.states import STATE_RANK, RowRefusal, RowState
from subscribers.imports.table import Table

__all__ = ["STATE_RANK", "ImportRow", "RowRefusal", "RowState", "read_rows"]


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
    """Each once, whatever its capital letters; at most MAX_TAGS of at most MAX_NAME characters (profile.tags)."""
    fields: dict[str, str] = field(default_factory=dict)
    """Values by the key of the custom field, as `profile.fields.parse_value` reads them. No empty values."""
    joined_at: datetime.datetime | None = None
    """In UTC, as the other dates."""
    confirmed_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    evidence: dict[str, str] = field(default_factory=dict)
    """By the name of the column: the text of the cell, unchanged. All dates are here, too. No empty values."""
    time_zone: str = ""
    """An IANA name."""
    language: str = ""
    """A code of settings.LANGUAGES."""
    note: str = ""
    refusal: RowRefusal | None = None
    detail: str = ""
    """Of a refused row: the word or the explanation. Of any other row: the columns whose text could not be read."""


def read_rows(table: Table, plan: ImportPlan, *, start_line: int = 1) -> Iterator[ImportRow]:
    """The rows that begin on `start_line` or later, refused ones among them. Raises ImportFileError.

    A word for a state that is not known never makes a row active.
    """
    raise NotImplementedError
