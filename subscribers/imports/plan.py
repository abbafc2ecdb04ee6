"""What an import is to do with a table: the meaning of its columns, and what the editor answered."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subscribers.imports.columns import (
    SINGLE_KINDS,
    attribute_fields,
    is_address_column,
    is_day_first,
    is_state_column,
    kind_of_name,
    new_field,
)
from subscribers.imports.presets import Preset
from subscribers.imports.refused import OWN_COLUMNS, is_refused_header
from subscribers.imports.states import RowState, StateAnswer, state_answer
from subscribers.imports.table import Table
from subscribers.imports.targets import Target, TargetKind
from subscribers.models import FieldKind

__all__ = ["DateOrder", "ImportPlan", "ProofKind", "Target", "TargetKind", "guess_mapping", "problems"]

#: So many rows decide about the meaning of columns and the types of fields.
SAMPLE_ROWS = 1000

#: The key of the custom field that last names are stored in.
LAST_NAME_KEY = "last_name"


class ProofKind(TextChoices):
    """How the subscribers in a file agreed to receive the newsletter."""

    DOUBLE_OPT_IN_ELSEWHERE = (
        "double_opt_in_elsewhere",
        gettext_lazy("They confirmed by double opt-in at the previous provider"),
    )
    SINGLE_OPT_IN = "single_opt_in", gettext_lazy("They signed up without confirmation")
    EXISTING_CUSTOMER = "existing_customer", gettext_lazy("They are existing customers who were offered an opt-out")
    PAPER_OR_EVENT = "paper_or_event", gettext_lazy("They agreed on paper or at an event")
    SUPPRESSION_LIST = "suppression_list", gettext_lazy("The file is a list of addresses that must not be mailed")
    UNKNOWN = "unknown", gettext_lazy("I do not know")


#: Proofs that are worth nothing without the day.
_DATED_PROOFS = (ProofKind.DOUBLE_OPT_IN_ELSEWHERE, ProofKind.EXISTING_CUSTOMER, ProofKind.PAPER_OR_EVENT)


class DateOrder(StrEnum):
    """The order of day and month in dates such as 03/04/2026."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """All that is needed to read the rows of one table. An import of a ZIP has one plan per table."""

    preset: str
    """The name of a preset; `other` if the tool is not known."""
    table: str
    """The name of the table."""
    mapping: Mapping[int, Target] = field(default_factory=dict)
    """By column, counted from 0. Columns that are not named are ignored."""
    file_state: StateAnswer | None = None
    """What the file itself says about all its rows, by its name or its columns; None if it does not."""
    needs_state_answer: bool = False
    """Whether the file cannot say which rows are subscribed, so that `default_state` has to be answered."""
    default_state: StateAnswer | None = None
    """The editor's answer for rows whose state the file does not tell. Empty: such rows are refused."""
    proof: ProofKind | None = None
    statement: str = ""
    """How these subscribers agreed, in the editor's words."""
    proof_date: datetime.date | None = None
    date_order: DateOrder = DateOrder.DAY_FIRST
    time_zone: str = "UTC"
    """An IANA name, for dates without a zone."""
    tag_all: tuple[str, ...] = ()
    """Tags that every row gets."""

    def to_json(self) -> dict[str, Any]:
        """As values that the json module can write."""
        return {
            "preset": self.preset,
            "table": self.table,
            "mapping": {str(index): target.to_json() for index, target in sorted(self.mapping.items())},
            "file_state": self.file_state.value if self.file_state else "",
            "needs_state_answer": self.needs_state_answer,
            "default_state": self.default_state.value if self.default_state else "",
            "proof": self.proof.value if self.proof else "",
            "statement": self.statement,
            "proof_date": self.proof_date.isoformat() if self.proof_date else "",
            "date_order": self.date_order.value,
            "time_zone": self.time_zone,
            "tag_all": list(self.tag_all),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The plan of `to_json`. Raises ValueError for what is not one."""
        try:
            return cls(
                preset=values["preset"],
                table=values["table"],
                mapping={int(index): Target.from_json(target) for index, target in values["mapping"].items()},
                file_state=state_answer(values["file_state"]),
                needs_state_answer=bool(values["needs_state_answer"]),
                default_state=state_answer(values["default_state"]),
                proof=ProofKind(values["proof"]) if values["proof"] else None,
                statement=values["statement"],
                proof_date=datetime.date.fromisoformat(values["proof_date"]) if values["proof_date"] else None,
                date_order=DateOrder(values["date_order"]),
                time_zone=values["time_zone"],
                tag_all=tuple(values["tag_all"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"Not a plan of an import: {error!r}") from error

    def columns(self, kind: TargetKind) -> list[int]:
        """The columns with this kind of target, in their order."""
        return sorted(index for index, target in self.mapping.items() if target.kind == kind)

    def has_state_column(self) -> bool:
        """Whether a column tells the state of each row."""
        return self.preset == "mailcoach" or bool(self.columns(TargetKind.STATE))

    def new_fields(self) -> tuple[Target, ...]:
        """The custom fields that have to exist before the import, each once, with key, label and kind."""
        fields = {target.key: target for index in sorted(self.mapping) for target in self.mapping[index].fields()}
        if self.columns(TargetKind.LAST_NAME) or self.columns(TargetKind.FULL_NAME):
            label = _("Last name")
            fields.setdefault(LAST_NAME_KEY, Target(TargetKind.NEW_FIELD, LAST_NAME_KEY, label, FieldKind.TEXT))
        return tuple(target for target in fields.values() if target.kind == TargetKind.NEW_FIELD)


def guess_mapping(table: Table, preset: Preset) -> ImportPlan:
    """A plan with the preset's mapping, a meaning for the columns that the preset does not know, and the date order."""
    rows = [row.cells for row in table.samples(SAMPLE_ROWS)]
    samples = [[cells[index] for cells in rows if index < len(cells)] for index in range(table.width)]
    mapping = _Guess(table, preset, samples).mapping()
    has_state = any(target.kind == TargetKind.STATE for target in mapping.values())
    tells = preset.file_state is not None or preset.name == "mailcoach" or has_state
    dates = [
        cell
        for index, target in mapping.items()
        if target.kind in (TargetKind.JOINED_AT, TargetKind.CONFIRMED_AT, TargetKind.ENDED_AT)
        or target.field_kind == FieldKind.DATE
        for cell in samples[index]
    ]
    return ImportPlan(
        preset=preset.name,
        table=table.name,
        mapping=mapping,
        file_state=preset.file_state,
        needs_state_answer=preset.needs_state_answer or not tells,
        default_state=preset.file_state,
        date_order=DateOrder.DAY_FIRST if is_day_first(dates) else DateOrder.MONTH_FIRST,
    )


class _Guess:
    """The meaning of each column of a table."""

    def __init__(self, table: Table, preset: Preset, samples: list[list[str]]) -> None:
        self._table = table
        self._preset = preset
        self._samples = samples
        self._mapping = dict(preset.mapping)
        # Last names are stored in a field, too. Our own export names its fields.
        self._taken = set() if preset.name == "own" else {LAST_NAME_KEY}

    def mapping(self) -> dict[int, Target]:
        """By column; columns without a name or a value are not in it."""
        self._name_fields()
        self._find_address()
        own = len(OWN_COLUMNS) if is_refused_header(self._table.header) else 0
        for index, name in enumerate(self._table.header):
            if index >= own and index not in self._mapping and (target := self._guessed(index, name)):
                self._mapping[index] = target
        return dict(sorted(self._mapping.items()))

    def _kinds(self) -> set[TargetKind]:
        return {target.kind for target in self._mapping.values()}

    def _name_fields(self) -> None:
        """Presets say which columns are custom fields; names and types come from the table."""
        for index, target in list(self._mapping.items()):
            if target.kind == TargetKind.NEW_FIELD:
                name = target.key or self._table.header[index]
                self._mapping[index] = new_field(name, self._samples[index], self._taken)
            elif target.kind == TargetKind.ATTRIBUTES:
                fields = attribute_fields(self._samples[index], self._taken)
                self._mapping[index] = Target(TargetKind.ATTRIBUTES, attributes=fields)

    def _find_address(self) -> None:
        """By name, else the first column of addresses: names are the owner's, in any language."""
        if TargetKind.ADDRESS in self._kinds():
            return
        free = [index for index in range(self._table.width) if index not in self._mapping]
        named = [
            index
            for index in free
            if self._table.header and kind_of_name(self._table.header[index]) == TargetKind.ADDRESS
        ]
        filled = [index for index in free if is_address_column(self._samples[index])]
        found = next((index for index in named if index in filled), None)
        for index in (found, *filled[:1], *named[:1]):
            if index is not None:
                self._mapping[index] = Target(TargetKind.ADDRESS)
                return

    def _guessed(self, index: int, name: str) -> Target | None:
        samples = self._samples[index]
        kind = kind_of_name(name)
        if kind == TargetKind.STATE and not is_state_column(name, samples):
            kind = None
        if kind in (*SINGLE_KINDS, TargetKind.STATE) and kind in self._kinds():
            kind = None
        if kind == TargetKind.STATE and self._preset.file_state is not None:
            kind = None
        if kind == TargetKind.ATTRIBUTES:
            fields = attribute_fields(samples, self._taken)
            return Target(kind, attributes=fields) if fields else None
        if kind is not None:
            return Target(kind)
        if not name or not any(cell.strip() for cell in samples):
            return None
        key = name.removeprefix("custom_fields.")
        return new_field(key, samples, self._taken)


#: Files of addresses that must not be mailed, by their names.
_SUPPRESSIONS = re.compile(
    r"suppress|block-?_?list|black-?_?list|bounce|complain|spam|unsub|cleaned|opt(?:ed)?[-_ ]?out|do[-_ ]?not[-_ ]?mail"
    r"|abgemeldet|sperrliste|désinscri|desinscri",
    re.IGNORECASE,
)


def problems(plan: ImportPlan, table: Table, file_name: str = "") -> list[tuple[str, str]]:
    """What is missing or contradictory, as (name of the plan's field, sentence). Empty: the import can run.

    `file_name` is the name of the upload: that of a table is the name of its sheet, or of its file in a ZIP.
    """
    return [
        *_mapping_problems(plan, table),
        *_state_problems(plan, f"{file_name} {table.name}"),
        *_proof_problems(plan),
        *_other_problems(plan, table),
    ]


def _mapping_problems(plan: ImportPlan, table: Table) -> list[tuple[str, str]]:
    found = []
    kinds = Counter(target.kind for target in plan.mapping.values())
    if not kinds[TargetKind.ADDRESS]:
        found.append(_("Choose the column that contains the email addresses."))
    found += [
        _("Choose “%(target)s” for one column only.") % {"target": kind.label}
        for kind in TargetKind
        if kind in SINGLE_KINDS and kinds[kind] > 1
    ]
    keys = Counter(field.key for target in plan.mapping.values() for field in target.fields())
    found += [
        _("Two columns become the custom field “%(key)s”. Choose another field for one of them.") % {"key": key}
        for key, count in keys.items()
        if count > 1
    ]
    if any(not 0 <= index < table.width for index in plan.mapping):
        found.append(_("The columns belong to another file. Choose them again."))
    return [("mapping", sentence) for sentence in found]


def _state_problems(plan: ImportPlan, names: str) -> list[tuple[str, str]]:
    answer = plan.default_state
    is_asked = plan.needs_state_answer or not (plan.has_state_column() or plan.file_state)
    if answer is None and is_asked:
        return [("default_state", _("Choose the state of these subscribers. The file does not contain it."))]
    if answer not in (RowState.ACTIVE, RowState.PENDING):
        return []
    if _contradicts(answer, plan.file_state):
        return [
            (
                "default_state",
                _("The addresses in this file must not be subscribed. Keep the state that the file shows."),
            )
        ]
    is_suppression_list = plan.preset == "suppression_list" or plan.proof == ProofKind.SUPPRESSION_LIST
    if is_suppression_list or (plan.file_state is None and _SUPPRESSIONS.search(names)):
        return [
            (
                "default_state",
                _(
                    "This looks like a list of addresses that must not be mailed. Choose “Unsubscribed”, “Bounced” or "
                    "“Reported a mail as spam”. If they are subscribers, rename the file."
                ),
            )
        ]
    return []


def _contradicts(answer: StateAnswer, known: StateAnswer | None) -> bool:
    """Whether an answer, active or pending, would undo what the file shows."""
    if known is None or known == answer:
        return False
    return answer == RowState.ACTIVE or known != RowState.ACTIVE


def _proof_problems(plan: ImportPlan) -> list[tuple[str, str]]:
    if plan.proof is None:
        return [("proof", _("Choose how these subscribers agreed."))]
    found = []
    if not plan.statement.strip() and plan.proof != ProofKind.SUPPRESSION_LIST:
        found.append(
            (
                "statement",
                _("Enter how these subscribers agreed, for example: “Double opt-in on example.org, 2021 to 2026”."),
            )
        )
    has_dates = bool(plan.columns(TargetKind.CONFIRMED_AT) or plan.columns(TargetKind.JOINED_AT))
    if plan.proof in _DATED_PROOFS and plan.proof_date is None and not has_dates:
        found.append(("proof_date", _("Enter when they agreed, or choose a column with the date.")))
    return found


def _other_problems(plan: ImportPlan, table: Table) -> list[tuple[str, str]]:
    found = []
    if plan.table != table.name:
        found.append(("table", _("The answers belong to another file. Start again.")))
    if plan.time_zone not in zoneinfo.available_timezones():
        found.append(("time_zone", _("Choose a time zone such as Europe/Berlin.")))
    return found
