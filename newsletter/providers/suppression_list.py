"""The protocol of a provider that has a suppression list of its own, and the values that it returns."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from newsletter.providers.reasons import ReasonError


class SuppressionsUnreadable(ReasonError):
    """The provider's suppression list could not be read or changed; `permanent` if asking again will not help."""

    def __init__(self, code: str, detail: str = "", *, permanent: bool) -> None:
        super().__init__(code, detail)
        self.permanent = permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSuppression:
    """An address on the provider's suppression list."""

    id: str
    """The provider's id of the entry."""
    address: str
    origin: str
    """The provider's word: `bounce`, `complaint`, `manual` or another."""
    listed_at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionPage:
    """One page of that list, newest first."""

    entries: tuple[ListedSuppression, ...]
    cursor: str
    """Where the next page begins."""
    has_more: bool


@runtime_checkable
class SupportsSuppressions(Protocol):
    """A provider with a suppression list of its own."""

    @property
    def can_read_suppressions(self) -> bool:
        """Whether the settings allow to read that list."""

    def read_suppressions(self, *, after: str) -> SuppressionPage:
        """One page. `after` is the cursor of the page before; empty for the first. Raises SuppressionsUnreadable."""

    def remove_suppression(self, suppression_id: str) -> None:
        """Remove an entry, if it is there. Raises SuppressionsUnreadable."""
