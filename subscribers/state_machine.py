"""The form of every state machine: one table of transitions, and the one way to move along them.

A machine stands beside its model. States are written nowhere else: `tests/house/test_states.py` looks for every write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _


class InvalidTransition(Exception):
    """The row is not in a state from which it could move there; the message says in which state it is."""


def history_details(*, by: str, reason: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Who moved a row and why, as the columns of a history."""
    return {"by": by[:150], "reason": reason, "values": dict(values or {})}


@dataclass(frozen=True)
class StateMachine:
    """The transitions of one model's state.

    `transitions` maps each state to the states that may follow it; `initial_states` names the states in which a row may
    be made. `owner` is the foreign key by which a history names the moved row, where there is a history.
    """

    states: type[models.TextChoices]
    transitions: Mapping[str, Collection[str]]
    initial_states: Collection[str]
    field: str = "state"
    owner: str = ""

    def sources(self, target: str, *, only_from: Iterable[str] = ()) -> tuple[str, ...]:
        """The states from which `target` may be reached, of those in `only_from` if any are named.

        Raises ValueError if the table has no such transition: that is a mistake in the code, not in the row.
        """
        allowed = tuple(only_from) or tuple(self.transitions)
        found = tuple(state for state in allowed if target in self.transitions[state])
        if not found:
            raise ValueError(f"No transition leads from {', '.join(allowed)} to {target}.")
        return found

    def sql_sources(self, target: str, *, only_from: Iterable[str] = ()) -> str:
        """The same as an SQL list, such as `'batched', 'unknown'`, for statements that the ORM cannot write."""
        return ", ".join(f"'{state}'" for state in self.sources(target, only_from=only_from))

    def move(self, rows: QuerySet[Any], target: str, *, only_from: Iterable[str] = (), **changes: Any) -> int:
        """Move all of `rows` that may go there, with `changes`, in one statement; how many. The others stay."""
        sources = self.sources(target, only_from=only_from)
        return rows.filter(**{f"{self.field}__in": sources}).update(**{self.field: target}, **changes)

    def move_row(self, row: models.Model, target: str, *, only_from: Iterable[str] = (), **changes: Any) -> None:
        """Move one row, if the database still has it in a state that allows it; the instance gets the values, too.

        Of two callers at once one wins, and the other gets InvalidTransition.
        """
        self._move_in_database(row, target, only_from=only_from, **changes)
        self._copy_to(row, target, changes)

    def move_with_history(
        self,
        row: models.Model,
        target: str,
        history: type[models.Model],
        *,
        only_from: Iterable[str] = (),
        by: str,
        reason: str = "",
        values: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        """`move_row` that also appends to `history` who moved it, from where, and why.

        `history` has a foreign key named `owner` to the row, and the fields source, target, by, reason and values.
        The row is locked first, so that the recorded source is the true one.
        """
        rows = type(row)._base_manager.filter(pk=row.pk)
        with transaction.atomic():
            source = rows.select_for_update().values_list(self.field, flat=True).first()
            self._move_in_database(row, target, only_from=only_from, **changes)
            details = history_details(by=by, reason=reason, values=values)
            history._base_manager.create(**{self.owner: row}, source=source, target=target, **details)
        self._copy_to(row, target, changes)

    def _move_in_database(self, row: models.Model, target: str, *, only_from: Iterable[str], **changes: Any) -> None:
        rows = type(row)._base_manager.filter(pk=row.pk)
        if not self.move(rows, target, only_from=only_from, **changes):
            raise InvalidTransition(self._refusal(row, target))

    def _copy_to(self, row: models.Model, target: str, changes: Mapping[str, Any]) -> None:
        for name, value in {self.field: target, **changes}.items():
            setattr(row, name, value)

    def _refusal(self, row: models.Model, target: str) -> str:
        current = type(row)._base_manager.filter(pk=row.pk).values_list(self.field, flat=True).first()
        name = row._meta.verbose_name
        if current is None:
            return _("This %(name)s no longer exists.") % {"name": name}
        return _("This %(name)s is in the state “%(current)s” and cannot change to “%(target)s”.") % {
            "name": name,
            "current": self.states(current).label,
            "target": self.states(target).label,
        }
