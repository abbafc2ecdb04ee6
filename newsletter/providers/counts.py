"""The protocol of a provider that counts what became of the mails by itself, and the values that it returns."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from newsletter.providers.reasons import ReasonError


class CountsUnreadable(ReasonError):
    """The provider's counts could not be read; `permanent` if asking again will not help."""

    def __init__(self, code: str, detail: str = "", *, permanent: bool) -> None:
        super().__init__(code, detail)
        self.permanent = permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCounts:
    """What a provider counted: numbers of mails, except for `opened` and `clicked`, which are numbers of recipients."""

    sent: int = 0
    delivered: int = 0
    delayed: int = 0
    bounced: int = 0
    bounced_permanently: int = 0
    complained: int = 0
    failed: int = 0
    suppressed: int = 0
    opened: int = 0
    clicked: int = 0

    def __add__(self, other: MailCounts) -> MailCounts:
        """The sum, field by field."""
        return MailCounts(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


@runtime_checkable
class SupportsCounts(Protocol):
    """A provider that counts by itself."""

    @property
    def can_count(self) -> bool:
        """Whether the settings allow to read its counts."""

    @property
    def mails_per_count(self) -> int:
        """The most mails that `count_mails` may name."""

    def count_mails(
        self,
        *,
        since: datetime.datetime,
        until: datetime.datetime,
        domain: str = "",
        mail_ids: Sequence[str] = (),
    ) -> MailCounts:
        """What happened in this time: to these mails, or to all mails from a domain. Raises CountsUnreadable."""
