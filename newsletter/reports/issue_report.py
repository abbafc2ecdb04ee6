"""The report of an issue: all that its page and its files say of a send, read from counters."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from newsletter.models import Send, SendCount
from newsletter.models.rates import RateBase, rate_base
from newsletter.reports.bounce_table import BounceTable, bounce_table
from newsletter.reports.comparison import Comparison, compare
from newsletter.reports.first_hours import FirstHours, first_hours
from newsletter.reports.mail_domains import DomainRow, mail_domains
from newsletter.reports.places import Group, PlaceRow, places_of
from newsletter.reports.statistics import SendReport, report_from
from newsletter.reports.unsubscribes import UnsubscribeTable, unsubscribe_table


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueReport:
    """`counts` and `places` are of the same counters: the places add up to `counts.audience`."""

    counted_at: datetime.datetime
    counts: SendReport
    base: RateBase
    """What opens, clicks and complaints are shares of."""
    places: tuple[PlaceRow, ...]
    excluded: Mapping[str, int]
    """Subscriptions that got no delivery, by reason."""
    hours: FirstHours
    bounces: BounceTable
    unsubscribes: UnsubscribeTable
    domains: tuple[DomainRow, ...]
    comparison: Comparison | None

    def in_group(self, group: Group) -> int:
        """Recipients in all places of a group."""
        return sum(row.count for row in self.places if row.group == group)


def issue_report(send: Send, now: datetime.datetime) -> IssueReport:
    """Everything, in about ten queries and one for each reason, for any size of the send."""
    totals = SendCount.objects.totals([send.pk]).get(send.pk, {})
    return IssueReport(
        counted_at=now,
        counts=report_from(totals, held_batches=0),
        base=rate_base(totals),
        places=tuple(places_of(send, totals)),
        excluded=send.excluded,
        hours=first_hours(send, now),
        bounces=bounce_table(send, totals),
        unsubscribes=unsubscribe_table(send, totals),
        domains=tuple(mail_domains(send, totals)),
        comparison=compare(send, totals),
    )
