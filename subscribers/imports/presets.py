"""The tools whose export files are known: how a file is recognised, and what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import TextChoices
from django.utils.translation import pgettext_lazy

from subscribers.imports.states import StateAnswer
from subscribers.imports.table import Table
from subscribers.imports.targets import Target


class Certainty(TextChoices):
    """How sure it is that the file comes from the tool."""

    HIGH = "high", pgettext_lazy("certainty", "Recognised by its columns")
    MIDDLE = "middle", pgettext_lazy("certainty", "Probably")
    LOW = "low", pgettext_lazy("certainty", "Perhaps")
    NONE = "none", pgettext_lazy("certainty", "Not recognised")


class StateSource(TextChoices):
    """What tells the state of a row."""

    COLUMN = "column", pgettext_lazy("source of the state", "A column")
    DATES = "dates", pgettext_lazy("source of the state", "The dates of joining and leaving")
    FILE_NAME = "file_name", pgettext_lazy("source of the state", "The name of the file")
    HEADER = "header", pgettext_lazy("source of the state", "The columns that the file has")
    NOTHING = "nothing", pgettext_lazy("source of the state", "Nothing in the file")


@dataclass(frozen=True, slots=True)
class Preset:
    """A tool, applied to one table."""

    name: str
    """A key of PRESET_LABELS."""
    certainty: Certainty
    mapping: Mapping[int, Target] = field(default_factory=dict)
    """The columns that the tool writes, by position. Others are the owner's."""
    state_source: StateSource = StateSource.NOTHING
    told_state: StateAnswer | None = None
    """The state of all rows, if the name or the columns of the file tell it."""
    needs_state_answer: bool = False
    """Whether an editor has to say which people are in the file."""


#: Presets by name, for showing. Names of tools are not translated.
PRESET_LABELS: dict[str, str] = {
    "mailchimp": "Mailchimp",
    "substack": "Substack",
    "ghost": "Ghost",
    "buttondown": "Buttondown",
    "kit": "Kit",
    "beehiiv": "beehiiv",
    "listmonk": "listmonk",
    "keila": "Keila",
    "mailcoach": "Mailcoach",
    "emailoctopus": "EmailOctopus",
    "sendy": "Sendy",
    "mailerlite": "MailerLite",
    "brevo": "Brevo",
    "curated": "Curated",
    "shopify": "Shopify",
    "other": "",
}


def recognise(table: Table, file_name: str) -> Preset:
    """The tool that made this table; `other` if none is certain. `file_name` is the name of the upload.

    The name of a file in a ZIP is the table's.
    """
    raise NotImplementedError


def preset_named(name: str, table: Table, file_name: str) -> Preset:
    """The preset that an editor chose, applied to this table. Its certainty is that of `recognise`, or none."""
    raise NotImplementedError
