"""What an import is to do with a table: the meaning of its columns, and what the editor answered."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from subscribers.imports.presets import Preset
from subscribers.imports.states import StateAnswer
from subscribers.imports.table import Table
from subscribers.imports.targets import Target, TargetKind

__all__ = ["DateOrder", "ImportPlan", "ProofKind", "Target", "TargetKind", "guess_mapping", "problems"]


class ProofKind(TextChoices):
    """How the people in a file agreed to receive the newsletter."""

    DOUBLE_OPT_IN_ELSEWHERE = "double_opt_in_elsewhere", _("They confirmed by double opt-in at the previous provider")
    SINGLE_OPT_IN = "single_opt_in", _("They signed up without confirmation")
    EXISTING_CUSTOMER = "existing_customer", _("They are existing customers who were offered an opt-out")
    PAPER_OR_EVENT = "paper_or_event", _("They agreed on paper or at an event")
    SUPPRESSION_LIST = "suppression_list", _("The file is a list of people who must not be mailed")
    UNKNOWN = "unknown", _("I do not know")


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
    told_state: StateAnswer | None = None
    """What the file itself says about all its rows, by its name or its columns; None if it does not."""
    needs_state_answer: bool = False
    """Whether the file cannot say which rows are subscribed, so that `default_state` has to be answered."""
    default_state: StateAnswer | None = None
    """The editor's answer for rows whose state the file does not tell."""
    proof: ProofKind | None = None
    statement: str = ""
    """How these people agreed, in the editor's words."""
    proof_date: datetime.date | None = None
    date_order: DateOrder = DateOrder.DAY_FIRST
    time_zone: str = "UTC"
    """An IANA name, for dates without a zone."""
    tag_all: tuple[str, ...] = ()
    """Tags that every row gets."""

    def to_json(self) -> dict[str, Any]:
        """As values that the json module can write."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The plan of `to_json`. Raises ValueError for what is not one."""
        raise NotImplementedError

    def new_fields(self) -> tuple[Target, ...]:
        """The custom fields that have to exist before the import, each once, with key, label and kind."""
        raise NotImplementedError


def guess_mapping(table: Table, preset: Preset) -> ImportPlan:
    """A plan with the preset's mapping, a meaning for the columns that the preset does not know, and the date order."""
    raise NotImplementedError


def problems(plan: ImportPlan, table: Table) -> list[tuple[str, str]]:
    """What is missing or contradictory, as (name of the plan's field, sentence). Empty: the import can run."""
    raise NotImplementedError
