"""Auto-pause: a send with too many bounces, complaints or unknown outcomes is paused automatically."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from newsletter.events.soft_points import SECOND_TIME_AFTER
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    Event,
    EventType,
    Reason,
    Send,
    SendCount,
    SendState,
    SoftBounce,
)
from newsletter.models.rates import percent, rate_base
from newsletter.models.send_count import EVENT
from newsletter.providers.bounce_classes import BounceClass, SendEffect, codes_for
from newsletter.sending.content_bounces import content_problems
from newsletter.sending.policy_bounces import policy_problems
from newsletter.sending.spam_rate import KEY, last_spam_rate, spam_rate_problem

log = logging.getLogger(__name__)

#: Fewer mails than this prove nothing: one bounce of three is no trend.
MIN_SAMPLE = 200

#: Above these rates of all mails that were sent, a send is paused. Gmail's and Yahoo's guidelines name 0.3 % spam.
LIMITS = {"bounced": 0.04, "complained": 0.003, "unknown": 0.01}

#: Above this rate operators are warned. Source: Gmail sender guidelines ask for less than 0.1 %.
COMPLAINT_WARNING = 0.001

#: One lost response may be chance; several indicate a fault.
MIN_HELD_BATCHES = 2

#: Fewer complaints than this never pause a send: on a list of 200, one accidental complaint is already 0.5 %.
MIN_COMPLAINTS = 3

#: The counters of bounces and of complaints: deliveries with such an event.
BOUNCED, COMPLAINED = f"{EVENT}{EventType.BOUNCED.value}", f"{EVENT}{EventType.COMPLAINED.value}"

REASONS = {"bounced": Reason.BOUNCE_RATE, "complained": Reason.COMPLAINT_RATE, "unknown": Reason.UNKNOWN_RATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class SendHealth:
    """How many mails of a send were sent, and how many of them failed in each way."""

    sample: int
    bounced: int
    complained: int
    unknown: int

    def rates(self) -> dict[str, float]:
        """Each way to fail as a fraction of the sample, 0 to 1."""
        return {name: getattr(self, name) / self.sample if self.sample else 0.0 for name in LIMITS}

    def problems(self, acknowledged: dict[str, float]) -> Iterator[tuple[Reason, dict[str, Any]]]:
        """A reason with its values for each rate above its limit and above what an operator has acknowledged."""
        if self.sample < MIN_SAMPLE:
            return
        for name, rate in self.rates().items():
            is_chance = name == "complained" and self.complained < MIN_COMPLAINTS
            if rate > LIMITS[name] and rate > acknowledged.get(name, 0.0) and not is_chance:
                yield (
                    REASONS[name],
                    {
                        "count": getattr(self, name),
                        "sample": self.sample,
                        "percent": round(100 * rate, 2),
                        "limit": 100 * LIMITS[name],
                    },
                )


def send_health_of(send: Send) -> SendHealth:
    """From the batches and the counters of bounces and complaints: two queries, quick for any size.

    Bounces that count are told apart from the others by their events, and only if all together are too many.
    """
    sums = Batch.objects.filter(send=send).aggregate(
        sent=Sum("recipients", filter=Q(state__in=(BatchState.ACCEPTED, BatchState.HELD))),
        held=Sum("recipients", filter=Q(state=BatchState.HELD)),
        held_batches=Count("pk", filter=Q(state=BatchState.HELD)),
    )
    counts = SendCount.objects.totals([send.pk], (BOUNCED, COMPLAINED)).get(send.pk, {})
    sample, bounced = sums["sent"] or 0, counts.get(BOUNCED, 0)
    if bounced > LIMITS["bounced"] * sample:
        bounced = _count_bounced(send)
    # A batch that is retried is not lost yet; only held ones count.
    unknown = sums["held"] or 0 if sums["held_batches"] >= MIN_HELD_BATCHES else 0
    return SendHealth(sample=sample, bounced=bounced, complained=counts.get(COMPLAINED, 0), unknown=unknown)


def _count_bounced(send: Send) -> int:
    """How many mails of the send bounced in a way that counts, by their events.

    A domain that is missing counts if it was missing three days before, too: the first time, its DNS may have failed.
    """
    bounced = Delivery.objects.filter(send=send, bounced_at__isnull=False)
    codes = codes_for(send=SendEffect.BOUNCE_RATE)
    events = Event.objects.filter(delivery_id__in=bounced.values("pk"), bounce__in=codes)
    missing = SoftBounce.objects.filter(send=send, bounce=BounceClass.NO_DOMAIN.value)
    before = SoftBounce.objects.filter(
        subscriber=OuterRef("subscriber"), bounce=OuterRef("bounce"), at__lte=OuterRef("at") - SECOND_TIME_AFTER
    )
    mails = events.aggregate(mails=Count("delivery_id", distinct=True))["mails"] or 0
    return mails + missing.filter(Exists(before)).count()


def complaint_warning(send: Send, totals: Mapping[str, int] | None = None) -> str:
    """The warning that comes before a send is paused for complaints; empty if there is none, or if it is paused.

    `totals` are the counters of the send; they are read if they are not passed. The rate is that of the report.
    """
    if send.was_auto_paused:
        return ""
    totals = SendCount.objects.totals([send.pk]).get(send.pk, {}) if totals is None else totals
    complained, base = totals.get(COMPLAINED, 0), rate_base(totals)
    if base.count < MIN_SAMPLE or complained < 2 or complained <= COMPLAINT_WARNING * base.count:
        return ""
    return _(
        "%(count)s of %(mails)s were reported as spam: %(percent)s. Mailbox providers ask for less than %(limit)s, and "
        "block senders above %(pause)s. Check who did not ask for this issue."
    ) % {
        "count": formats.number_format(complained, force_grouping=True),
        "mails": base.words,
        "percent": percent(complained, base.count),
        "limit": percent(1, 1_000),
        "pause": percent(3, 1_000),
    }


def auto_pause_sends() -> bool:
    """Pause every send with a problem, with the numbers; whether one was paused. Only an operator resumes it."""
    paused, now = 0, timezone.now()
    running = Send.objects.filter(state=SendState.SENDING).select_related("issue__newsletter")
    for send in running.defer("manifest"):
        problems = [*send_health_of(send).problems(send.acknowledged), *policy_problems(send), *content_problems(send)]
        if spam_rate := spam_rate_problem(send, now):
            problems.append(spam_rate)
        if problems:
            reasons = [[reason, values] for reason, values in problems]
            if send.pause_if_sending(Reason.AUTO_PAUSED, values={"reasons": reasons}):
                paused += 1
                log.warning("Send paused automatically", extra={"send": send.pk, "reasons": reasons})
    return paused > 0


def rates_of(send: Send) -> dict[str, float]:
    """The present rates, which an operator who resumes the send acknowledges: only higher ones pause it again."""
    spam_rate = last_spam_rate(send.issue.newsletter.sender_email, timezone.now())
    return send_health_of(send).rates() | ({KEY: spam_rate.rate} if spam_rate else {})
