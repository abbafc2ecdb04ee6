"""Brake: a send of which too much goes wrong is paused by itself, with the numbers."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.utils import timezone

from newsletter.events.apply import bounce_note
from newsletter.models import Batch, BatchState, Delivery, Event, InvalidTransition, Issue, IssueStatus
from newsletter.providers.base import BounceKind

log = logging.getLogger(__name__)

#: Fewer mails than this prove nothing: one bounce of three is no trend (R-124).
SMALLEST_SAMPLE = 200

#: From these shares on a send is paused, of all mails that went out (R-124; Gmail and Yahoo block at 0.3 %).
LIMITS = {"bounced": 0.04, "complained": 0.003, "unknown": 0.01}

#: From this share on people should know.
COMPLAINTS_TO_WARN = 0.001

#: More bounces than this that are about us and not a reader, within so long, pause a send of any size (R-124): a DNS
#: record or our reputation is at fault, and each further mail makes it worse.
MOST_POLICY_BOUNCES, POLICY_WINDOW = 20, datetime.timedelta(minutes=5)

#: One answer that was lost for good is bad luck; several say that something is wrong.
SMALLEST_DOUBT = 2

#: Fewer complaints than this stop nothing, whatever their share: in a small list one press of a wrong button is 0.5 %.
FEWEST_COMPLAINTS = 3

WORDS = {
    "bounced": "bounced for good",
    "complained": "were reported as spam",
    "unknown": "may or may not have gone out",
}

ADVICE = {
    "bounced": "Find out where these addresses came from before more are mailed.",
    "complained": "Providers block senders for that. Ask yourself who did not want this issue.",
    "unknown": "Look at the provider's log, and decide about the batches that are held.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SendHealth:
    """How many mails of an issue went out, and how many of them went wrong in each way."""

    sample: int
    bounced: int
    complained: int
    unknown: int

    def shares(self) -> dict[str, float]:
        """Each way to go wrong as a share of the sample, 0 to 1."""
        return {name: getattr(self, name) / self.sample if self.sample else 0.0 for name in LIMITS}

    def worries(self, tolerated: dict[str, float]) -> Iterator[str]:
        """A sentence for each share over its limit and worse than what a person has tolerated."""
        if self.sample < SMALLEST_SAMPLE:
            return
        for name, share in self.shares().items():
            is_chance = name == "complained" and self.complained < FEWEST_COMPLAINTS
            if share > LIMITS[name] and share > tolerated.get(name, 0.0) and not is_chance:
                yield (
                    f"{getattr(self, name):,} of {self.sample:,} mails {WORDS[name]}: {100 * share:.2g} %, and the "
                    f"limit is {100 * LIMITS[name]:g} %. {ADVICE[name]}"
                )


def send_health_of(issue: Issue) -> SendHealth:
    """Counted from the batches and from an index of what went wrong: two queries, quick for any size.

    Bounces for good are told apart from full mailboxes by their receipts, and only if all together are too many.
    """
    batches = Batch.objects.filter(edition=issue.edition_id)
    sums = batches.aggregate(
        out=Sum("recipients", filter=Q(state__in=(BatchState.ACCEPTED, BatchState.HELD))),
        held=Sum("recipients", filter=Q(state=BatchState.HELD)),
        doubts=Count("pk", filter=Q(state=BatchState.HELD)),
    )
    wrong = Delivery.objects.filter(Q(bounced_at__isnull=False) | Q(complained_at__isnull=False))
    counts = wrong.filter(edition=issue.edition_id).aggregate(
        bounced=Count("pk", filter=Q(bounced_at__isnull=False)),
        complained=Count("pk", filter=Q(complained_at__isnull=False)),
    )
    sample, bounced = sums["out"] or 0, counts["bounced"]
    if bounced > LIMITS["bounced"] * sample:
        bounced = _count_bounced(issue, BounceKind.HARD)
    # What is tried again is not lost yet; only what nobody may try any more counts.
    unknown = sums["held"] or 0 if sums["doubts"] >= SMALLEST_DOUBT else 0
    return SendHealth(sample=sample, bounced=bounced, complained=counts["complained"], unknown=unknown)


def _count_bounced(issue: Issue, kind: BounceKind, **more: object) -> int:
    """How many mails of the issue bounced in this way, by what their receipts say."""
    returned = Delivery.objects.filter(edition=issue.edition_id, bounced_at__isnull=False)
    receipts = Event.objects.filter(delivery_id__in=returned.values("pk"), note__startswith=bounce_note(kind), **more)
    return receipts.aggregate(mails=Count("delivery_id", distinct=True))["mails"] or 0


def warning_of(issue: Issue) -> str:
    """What people should know before it stops a send; empty if there is nothing, or if it has stopped for it."""
    if issue.edition_id is None or issue.is_braked:
        return ""
    toll = send_health_of(issue)
    share = toll.shares()["complained"]
    if toll.sample < SMALLEST_SAMPLE or toll.complained < 2 or share <= COMPLAINTS_TO_WARN:
        return ""
    return (
        f"{toll.complained:,} of {toll.sample:,} mails {WORDS['complained']}: {100 * share:.2g} %, where mailbox "
        f"providers want less than {100 * COMPLAINTS_TO_WARN:g} %. {ADVICE['complained']}"
    )


def auto_pause_sends() -> bool:
    """Pause every send of which too much goes wrong, with the reason. Only a person lets it go on (R-125)."""
    for issue in Issue.objects.filter(status=IssueStatus.SENDING, edition__isnull=False):
        reason = " ".join((*send_health_of(issue).worries(issue.tolerated), *_refused_because_of_us(issue)))
        if reason:
            _auto_pause(issue, reason)
    return False


def _refused_because_of_us(issue: Issue) -> Iterator[str]:
    """A sentence if mailbox providers refuse us. What came before a person resumed the send is behind it."""
    lately, returned = timezone.now() - POLICY_WINDOW, Delivery.objects.filter(edition=issue.edition_id)
    if returned.filter(bounced_at__isnull=False)[: MOST_POLICY_BOUNCES + 1].count() <= MOST_POLICY_BOUNCES:
        return
    resumed = issue.transitions.filter(target=IssueStatus.SENDING).last()
    since = max(lately, resumed.at) if resumed else lately
    count = _count_bounced(issue, BounceKind.POLICY, received_at__gt=since)
    if count > MOST_POLICY_BOUNCES:
        minutes = POLICY_WINDOW.total_seconds() / 60
        yield (
            f"{count:,} mails of the last {minutes:.0f} minutes were refused because of us and not of the readers. "
            "Look at SPF, DKIM and DMARC of the sender's domain, and at what the bounces say, before more go out."
        )


def _auto_pause(issue: Issue, reason: str) -> None:
    log.warning("issue %s is paused by itself: %s", issue.pk, reason)
    try:
        issue.move(
            IssueStatus.PAUSED,
            only_from=(IssueStatus.SENDING,),
            by="worker",
            reason=reason[:500],
            hold_reason=reason[:500],
            is_braked=True,
        )
    except InvalidTransition:
        log.info("issue %s is not sending any more", issue.pk)
