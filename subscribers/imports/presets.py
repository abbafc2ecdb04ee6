"""The tools whose export files are known, applied to a table: what its columns mean, and what shows the state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from django.utils.translation import gettext_lazy as _

from subscribers.imports.states import RowRefusal, RowState, StateAnswer
from subscribers.imports.table import Table
from subscribers.imports.targets import Target, TargetKind
from subscribers.imports.tools import MAILCHIMP_TAIL, ONLY_OWN, TOOLS, Certainty, Columns, Names, StateSource, Tool

__all__ = ["PRESET_LABELS", "Certainty", "Preset", "StateSource", "preset_named", "recognise"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A tool, applied to one table."""

    name: str
    """A key of PRESET_LABELS."""
    certainty: Certainty
    mapping: Mapping[int, Target] = field(default_factory=dict)
    """The columns that the tool writes, by position. Others are the owner's."""
    state_source: StateSource = StateSource.NOTHING
    file_state: StateAnswer | None = None
    """The state of all rows, if the name or the columns of the file tell it."""
    needs_state_answer: bool = False
    """Whether an editor has to choose the state of the rows."""


#: Presets by name, for showing. Names of tools are not translated.
PRESET_LABELS = {
    "own": _("Export of this system"),
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
    "suppression_list": _("Suppression list"),
    "other": _("Other file"),
}


def recognise(table: Table, file_name: str) -> Preset:
    """The tool that made this table; `other` if none is certain. `file_name` is the name of the upload.

    The name of a file in a ZIP is the table's.
    """
    names = Names(table.header)
    if table.header:
        tool = next((tool for tool in TOOLS if tool.signature(names)), None)
        return _applied(tool, table, file_name) if tool else Preset("other", Certainty.NONE)
    return _sendy(table, file_name) or Preset("other", Certainty.NONE)


def preset_named(name: str, table: Table, file_name: str) -> Preset:
    """The preset that an editor chose, applied to this table. Its certainty is that of `recognise`, or none."""
    recognised = recognise(table, file_name)
    if recognised.name == name:
        return recognised
    tool = next((tool for tool in TOOLS if tool.name == name), None)
    if tool is None or not table.header:
        return Preset(name if name in PRESET_LABELS else "other", Certainty.NONE)
    return replace(_applied(tool, table, file_name), certainty=Certainty.NONE)


def _applied(tool: Tool, table: Table, file_name: str) -> Preset:
    if tool.name == "mailchimp":
        return _mailchimp(table, file_name)
    names = Names(table.header)
    known = dict(tool.columns)
    if tool.name == "own":
        known |= {name: _own_field(name) for name in names.set if name.startswith(_OWN_FIELD)}
    if tool.name == "beehiiv":
        known |= {name: Target(TargetKind.IGNORE) for name in names.set if name.endswith(" tier")}
    if tool.name == "mailerlite" and not names.has("last name"):
        known["name"] = Target(TargetKind.FULL_NAME)
    if tool.name in ONLY_OWN:
        known = {name: Target(TargetKind.IGNORE) for name in names.set} | known
    mapping = _mapped(names, known)
    has_state = any(target.kind == TargetKind.STATE for target in mapping.values())
    file_state = _state_of_suppressions(names, has_state) if tool.name == "suppression_list" else None
    source = StateSource.HEADER if file_state else tool.state_source
    if source == StateSource.NOTHING and has_state:
        source = StateSource.COLUMN
    if source == StateSource.COLUMN and not has_state:
        source = StateSource.NOTHING
    is_unanswered = tool.needs_state_answer and not (tool.name == "mailerlite" and has_state)
    return Preset(
        tool.name, tool.certainty, mapping, source, file_state, is_unanswered or source == StateSource.NOTHING
    )


#: Before the keys of custom fields, in our own exports.
_OWN_FIELD = "field:"


def _own_field(name: str) -> Target:
    return Target(TargetKind.NEW_FIELD, name.removeprefix(_OWN_FIELD))


def _state_of_suppressions(names: Names, has_state: bool) -> RowState | None:
    """SendGrid and Mailgun export bounces and complaints to files of their own: only bounces have these columns."""
    is_bounces = names.has("status", "reason", "email", "created") or names.has("address", "code", "error")
    return RowState.BOUNCED if is_bounces and not has_state else None


def _mapped(names: Names, known: Columns) -> dict[int, Target]:
    """By position. Of two columns with the same name and one meaning, the first has it."""
    mapping: dict[int, Target] = {}
    taken: set[tuple[str, TargetKind]] = set()
    for index, name in enumerate(names.lower):
        target = known.get(name)
        if target is None:
            continue
        key = (name, target.kind)
        mapping[index] = Target(TargetKind.IGNORE) if key in taken else target
        taken.add(key)
    return mapping


_MAILCHIMP_FILES: tuple[tuple[re.Pattern[str], StateAnswer], ...] = (
    (re.compile(r"non[-_ ]?subscribed|transactional"), RowRefusal.NEVER_OPTED_IN),
    (re.compile(r"unsubscribed"), RowState.UNSUBSCRIBED),
    (re.compile(r"cleaned"), RowState.BOUNCED),
    (re.compile(r"subscribed"), RowState.ACTIVE),
)


def _mailchimp(table: Table, file_name: str) -> Preset:
    """The columns before the tail are the owner's merge fields. Some of them have names of the tail, too."""
    names = Names(table.header)
    start = max(names.last("member_rating"), -1)
    if start < 0:
        start = max(names.last("optin_time"), 0)
    if start > 0 and names.lower[start - 1] == "email_type":
        start -= 1
    tail = {
        index: MAILCHIMP_TAIL[name]
        for index, name in enumerate(names.lower)
        if index >= start and name in MAILCHIMP_TAIL
    }
    by_name = _state_of_mailchimp_file(table.name) or _state_of_mailchimp_file(file_name)
    by_tail = _state_of_mailchimp_tail(names)
    # A file that was renamed makes no row active.
    file_state = by_tail or by_name
    source = StateSource.HEADER if by_tail else StateSource.FILE_NAME if by_name else StateSource.NOTHING
    return Preset("mailchimp", Certainty.HIGH, tail, source, file_state, file_state is None)


def _state_of_mailchimp_file(file_name: str) -> StateAnswer | None:
    name = PurePosixPath(file_name).name.lower()
    return next((state for pattern, state in _MAILCHIMP_FILES if pattern.search(name)), None)


def _state_of_mailchimp_tail(names: Names) -> RowState | None:
    """Columns between REGION and LEID are Mailchimp's own. Merge fields in front of them can have the same names."""
    own = names.lower[names.last("region") + 1 : max(names.last("leid"), 0)]
    if "clean_time" in own:
        return RowState.BOUNCED
    return RowState.UNSUBSCRIBED if "unsub_time" in own else None


_SENDY_FILE = re.compile(r"-(active|unconfirmed|unsubscribed|bounced|marked-as-spam|all)(?: ?\(\d+\))?\.csv\Z")
_SENDY_STATES: dict[str, StateAnswer | None] = {
    "active": RowState.ACTIVE,
    "unconfirmed": RowState.PENDING,
    "unsubscribed": RowState.UNSUBSCRIBED,
    "bounced": RowState.BOUNCED,
    "marked-as-spam": RowState.COMPLAINED,
    # Everybody in one file, without a state.
    "all": RowRefusal.NO_STATE,
}


def _sendy(table: Table, file_name: str) -> Preset | None:
    """A file without a header: name, address, and the owner's fields. Only its name tells the state."""
    samples = table.samples(5)
    if not all(len(row.cells) > 1 and "@" in row.cells[1] and "@" not in row.cells[0] for row in samples):
        return None
    found = _SENDY_FILE.search(PurePosixPath(table.name).name.lower()) or _SENDY_FILE.search(file_name.lower())
    if found is None:
        return None
    mapping = {0: Target(TargetKind.FULL_NAME), 1: Target(TargetKind.ADDRESS)}
    return Preset("sendy", Certainty.MIDDLE, mapping, StateSource.FILE_NAME, _SENDY_STATES[found[1]])
