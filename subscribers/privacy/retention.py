"""Retention: data that identifies subscribers is removed after a set time (GDPR Art. 5(1)(e)).

One rule for each kind of data; other apps add theirs. The worker removes a bounded number of rows at a time, in the
order of their keys, so that no index by time is needed.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models import Consent, RetentionProgress, Signup, TransactionalMail, TransactionalMailState
from subscribers.transactional.blocked import TO_NEW_ADDRESS

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

log = logging.getLogger(__name__)

#: Rows of one rule in one run.
ROWS_PER_RUN = 1_000

#: Seconds between two runs of the step, and how long one may go on with a kind of which there is more.
EVERY, RUN_SECONDS = 600.0, 5.0

#: Data that is older than allowed by more than this is reported.
GRACE = datetime.timedelta(days=2)


class RetentionRule(Protocol):
    """One kind of data with a limited time."""

    @property
    def name(self) -> str:
        """A key of settings.RETENTION_DAYS."""

    @property
    def title(self) -> StrOrPromise:
        """What is removed, for diagnostics."""

    def purge(self, before: datetime.datetime) -> int:
        """Remove what is older, at most ROWS_PER_RUN rows. Returns how many."""

    def is_overdue(self, before: datetime.datetime) -> bool:
        """Whether anything older is still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByKey:
    """Removes from rows whose keys ascend with time. It stops at the first row that is not old enough.

    `rows` yields the queryset, `at` names the column with the time, `clear` removes the data of these rows. A row in
    `unfinished` stops it, too.
    """

    name: str
    title: StrOrPromise
    rows: Callable[[], QuerySet[Any]]
    at: str
    clear: Callable[[QuerySet[Any]], object]
    unfinished: Callable[[], QuerySet[Any]] | None = None

    def purge(self, before: datetime.datetime) -> int:
        """See RetentionRule."""
        last = self._last_pk()
        old = self._old(last, before)
        if old:
            with transaction.atomic():
                self.clear(self.rows().filter(pk__in=old))
                RetentionProgress.objects.bulk_create([RetentionProgress(name=self.name)], ignore_conflicts=True)
                progress = RetentionProgress.objects.filter(name=self.name, last_pk__lt=old[-1])
                progress.update(last_pk=old[-1], at=timezone.now())
        return len(old)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See RetentionRule. One query, unless the first row is old: pages ask this of every rule."""
        progress = RetentionProgress.objects.filter(name=self.name).values("last_pk")[:1]
        left = self.rows().filter(pk__gt=Coalesce(Subquery(progress), 0)).order_by("pk")
        first = left.values_list("pk", self.at).first()
        if first is None or first[1] >= before:
            return False
        return self.unfinished is None or not self.unfinished().filter(pk=first[0]).exists()

    def _last_pk(self) -> int:
        return RetentionProgress.objects.filter(name=self.name).values_list("last_pk", flat=True).first() or 0

    def _old(self, last: int, before: datetime.datetime, limit: int = ROWS_PER_RUN) -> list[int]:
        """The keys of the next old rows without a gap."""
        found = []
        waiting = set(self.unfinished().values_list("pk", flat=True)[:limit]) if self.unfinished else set()
        for pk, at in self.rows().filter(pk__gt=last).order_by("pk").values_list("pk", self.at)[:limit]:
            if at >= before or pk in waiting:
                break
            found.append(pk)
        return found


_ADDED: dict[str, RetentionRule] = {}


def add_retention(rule: RetentionRule) -> None:
    """Add the rule of another app. A rule with the same name is replaced, so that this may be repeated."""
    _ADDED[rule.name] = rule


def retention_rules() -> Sequence[RetentionRule]:
    """Every rule."""
    return (*OWN_RULES, *_ADDED.values())


def days_of(rule: RetentionRule) -> int:
    """How many days its data is kept."""
    days: int = settings.RETENTION_DAYS[rule.name]
    return days


def purge_expired(clock: Callable[[], float] = time.monotonic) -> bool:
    """Remove what is older than its setting allows. A step of the worker; returns whether there may be more.

    Each kind gets its share of RUN_SECONDS: a large list brings millions of events a day. Rows are removed
    ROWS_PER_RUN at a time, each time in a transaction of its own, so that no lock is held for long.
    """
    now, has_more = timezone.now(), False
    rules = retention_rules()
    for rule in rules:
        ends_at = clock() + RUN_SECONDS / len(rules)
        before = now - datetime.timedelta(days=days_of(rule))
        total = count = rule.purge(before)
        while count >= ROWS_PER_RUN and clock() < ends_at:
            total += (count := rule.purge(before))
        if total:
            log.info("Old data removed", extra={"rule": rule.name, "rows": total})
        has_more = has_more or count >= ROWS_PER_RUN
    return has_more


def overdue_rules(now: datetime.datetime) -> list[RetentionRule]:
    """The rules whose data is older than it may be, by more than GRACE."""
    return [rule for rule in retention_rules() if rule.is_overdue(now - datetime.timedelta(days=days_of(rule)) - GRACE)]


def _clear_mails(mails: QuerySet[Any]) -> None:
    """That a mail was sent stays with its subscriber; an address to which another wanted to change theirs does not."""
    mails.update(subject="", text="", html="", headers={}, detail="")
    mails.filter(kind__in=TO_NEW_ADDRESS).update(recipient="")


OWN_RULES: tuple[RetentionRule, ...] = (
    ByKey(
        name="evidence",
        title=_("IP addresses and user agents of consents"),
        rows=Consent.objects.all,
        at="created_at",
        clear=lambda rows: rows.update(ip=None, user_agent=""),
    ),
    ByKey(
        name="mails",
        title=_("contents of transactional mails"),
        rows=TransactionalMail.objects.all,
        at="created_at",
        clear=_clear_mails,
        unfinished=lambda: TransactionalMail.objects.filter(state=TransactionalMailState.PENDING).order_by("pk"),
    ),
    ByKey(
        name="signups",
        title=_("sign-ups"),
        rows=Signup.objects.all,
        at="created_at",
        clear=lambda rows: rows.delete(),
        unfinished=lambda: Signup.objects.filter(due_at__isnull=False).order_by("pk"),
    ),
)
