"""Mails to those who had left: there must be none, over all newsletters (Gmail's “honor unsubscribe”).

The worker compares each accepted batch once, soon after it was accepted, with unsubscribes, declines and suppressions
that came before its bytes were built. The engine itself checks that before each post: a row here means that it failed,
or that something else wrote to the database. An erased subscriber can no longer be compared.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import DateTimeField, Q, QuerySet
from django.utils import timezone

from newsletter.models import (
    IN_PROGRESS,
    Batch,
    BatchState,
    DeliveryState,
    LeavingCheck,
    LeftBy,
    MailAfterLeaving,
    Send,
    SendState,
)
from newsletter.models.prepared import PreparedStatement, fields_of, sql_list
from newsletter.sending.audience import REFUSED
from newsletter.sending.batch import UNSUBSCRIBE_GRACE
from subscribers.models import (
    Consent,
    ConsentForm,
    ConsentKind,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
    fingerprinter,
)

log = logging.getLogger(__name__)

#: Seconds between two runs of the step, and how long a batch has been accepted before it is compared: its transaction
#: may be committed later than its time says.
EVERY, LAG = 60.0, datetime.timedelta(minutes=2)

#: Batches in one run.
BATCHES = 50

#: How far back the first run begins, and how long after its start a send is looked at.
FIRST_DAYS, SEND_DAYS = datetime.timedelta(days=3), datetime.timedelta(days=30)

#: Who leaves while a batch is being built is compared by clocks of several machines.
TOLERANCE = datetime.timedelta(seconds=5)

#: How far back the metric and the diagnostics count.
WINDOW = datetime.timedelta(days=30)

#: How often the place is stored while nothing is sent.
IDLE = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A delivery of a compared batch whose recipient has left by now."""

    delivery_pk: int
    left_by: LeftBy
    left_at: datetime.datetime
    built_at: datetime.datetime
    posted_at: datetime.datetime
    subscription_pk: int = 0

    @property
    def is_after_leaving(self) -> bool:
        """Whether the recipient had left before the bytes were built, or before a repeat that was not allowed.

        For 15 minutes after the first attempt the same bytes are posted again although a recipient has unsubscribed:
        the mail was on its way before. A suppression or a decline always stops that.
        """
        latest = self.left_at + TOLERANCE
        if latest < self.built_at:
            return True
        may_repeat = self.left_by is LeftBy.UNSUBSCRIBED and self.posted_at - self.built_at <= UNSUBSCRIBE_GRACE
        return latest < self.posted_at and not may_repeat


#: Recipients of these batches who have left the list of their delivery, or the newsletter itself, by now.
LEFT_LIST = PreparedStatement(
    f"""
    SELECT d.id, s.id, s.state, s.ended_at, p.declined_at, b.first_attempt_at, b.last_attempt_at
    FROM newsletter_batch b
    JOIN newsletter_delivery d ON d.id BETWEEN b.first_delivery AND b.last_delivery AND d.send_id + 0 = b.send_id
    JOIN newsletter_issue i ON i.id = d.issue_id
    JOIN subscribers_subscription s ON s.subscriber_id = d.subscriber_id
        AND (s.mailing_list_id = COALESCE(d.mailing_list_id, i.newsletter_id) OR s.mailing_list_id = i.newsletter_id)
    JOIN subscribers_subscriber p ON p.id = s.subscriber_id
    WHERE b.id = ANY(%s::bigint[]) AND d.state = '{DeliveryState.ACCEPTED}' AND s.state IN ({sql_list(REFUSED)})
        AND s.ended_at < b.last_attempt_at
    ORDER BY d.id
    """,  # noqa: S608 - names of states are ours
    [
        *fields_of(MailAfterLeaving, "id"),
        *fields_of(Subscription, "id", "state", "ended_at"),
        *fields_of(Subscriber, "declined_at"),
        *fields_of(Batch, "first_attempt_at", "last_attempt_at"),
    ],
)

#: All recipients of these batches, whose addresses are compared with the suppressions by their keyed hash.
ADDRESSES = PreparedStatement(
    f"""
    SELECT d.id, p.canonical, b.first_attempt_at, b.last_attempt_at
    FROM newsletter_batch b
    JOIN newsletter_delivery d ON d.id BETWEEN b.first_delivery AND b.last_delivery AND d.send_id + 0 = b.send_id
    JOIN subscribers_subscriber p ON p.id = d.subscriber_id
    WHERE b.id = ANY(%s::bigint[]) AND d.state = '{DeliveryState.ACCEPTED}'
    """,  # noqa: S608 - names of states are ours
    [
        *fields_of(MailAfterLeaving, "id"),
        *fields_of(Subscriber, "canonical"),
        *fields_of(Batch, "first_attempt_at", "last_attempt_at"),
    ],
)

SUPPRESSED = PreparedStatement(
    "SELECT fingerprint, created_at FROM subscribers_suppression WHERE fingerprint = ANY(%s::text[])",
    [*fields_of(Suppression, "fingerprint"), DateTimeField()],
)


def compare_next_batches() -> bool:
    """Compare the next accepted batches with those who left; whether there may be more. A step of the worker."""
    now = timezone.now()
    since = LeavingCheck.objects.values_list("checked_until", flat=True).first()
    batches = _accepted_between(since or now - FIRST_DAYS, now - LAG)
    if not batches:
        if since is None or since < now - IDLE:
            _set_place(now - LAG)
        return False
    found = [one for one in _candidates([batch.pk for batch in batches]) if one.is_after_leaving]
    known = _without_imports(found)
    with transaction.atomic():
        _store(known, now)
        _set_place(max(batch.finished_at for batch in batches if batch.finished_at))
    if known:
        log.error("Mails after leaving", extra={"deliveries": sorted({one.delivery_pk for one in known})[:20]})
    return len(batches) >= BATCHES


def _accepted_between(since: datetime.datetime, until: datetime.datetime) -> list[Batch]:
    """The next batches by the time at which they were accepted; all of the last time, however many they are."""
    sends = Send.objects.filter(
        Q(state__in=IN_PROGRESS)
        | Q(finished_at__gte=since)
        | Q(state=SendState.CANCELLED, started_at__gte=until - SEND_DAYS)
    )
    accepted = Batch.objects.filter(
        send__in=list(sends.order_by().values_list("pk", flat=True)),
        state=BatchState.ACCEPTED,
        finished_at__gt=since,
        finished_at__lte=until,
        first_attempt_at__isnull=False,
    ).only("pk", "finished_at")
    batches = list(accepted.order_by("finished_at", "pk")[:BATCHES])
    return [*batches, *_of_the_same_time(accepted, batches)] if len(batches) == BATCHES else batches


def _of_the_same_time(accepted: QuerySet[Batch], batches: Sequence[Batch]) -> list[Batch]:
    return list(accepted.filter(finished_at=batches[-1].finished_at).exclude(pk__in=[batch.pk for batch in batches]))


def _candidates(batch_pks: list[int]) -> Iterator[Candidate]:
    for delivery, subscription, state, ended_at, declined_at, built_at, posted_at in LEFT_LIST.rows(batch_pks):
        left_by = LeftBy.SUPPRESSED if state == SubscriptionState.SUPPRESSED else LeftBy.UNSUBSCRIBED
        if declined_at and left_by is LeftBy.UNSUBSCRIBED:
            left_by = LeftBy.DECLINED
        yield Candidate(
            delivery_pk=delivery,
            left_by=left_by,
            left_at=ended_at,
            built_at=built_at,
            posted_at=posted_at,
            subscription_pk=subscription,
        )
    if Suppression.objects.exists():
        yield from _suppressed(batch_pks)


def _suppressed(batch_pks: list[int]) -> Iterator[Candidate]:
    hashed = fingerprinter()
    rows = [(hashed(canonical), *row) for row in ADDRESSES.rows(batch_pks) for canonical in row[1:2]]
    since = dict(SUPPRESSED.rows([row[0] for row in rows]))
    for fingerprint, delivery, _canonical, built_at, posted_at in rows:
        if fingerprint in since:
            yield Candidate(
                delivery_pk=delivery,
                left_by=LeftBy.SUPPRESSED,
                left_at=since[fingerprint],
                built_at=built_at,
                posted_at=posted_at,
            )


def _without_imports(found: Iterable[Candidate]) -> list[Candidate]:
    """Without those who left elsewhere: an import that came after the mail tells a time before it."""
    kept = []
    for one in found:
        ends = Consent.objects.filter(subscription=one.subscription_pk, kind=ConsentKind.UNSUBSCRIBED)
        last = ends.order_by("-pk").values_list("form", flat=True).first() if one.subscription_pk else None
        if last != ConsentForm.IMPORT:
            kept.append(one)
    return kept


def _store(found: Iterable[Candidate], now: datetime.datetime) -> None:
    rows = {
        one.delivery_pk: MailAfterLeaving(
            delivery_id=one.delivery_pk,
            left_by=one.left_by,
            left_at=one.left_at,
            mailed_at=one.posted_at,
            found_at=now,
        )
        for one in found
    }
    MailAfterLeaving.objects.bulk_create(rows.values(), ignore_conflicts=True, batch_size=500)


def _set_place(until: datetime.datetime) -> None:
    LeavingCheck.objects.update_or_create(pk=LeavingCheck.PK, defaults={"checked_until": until})


def mails_after_leaving(now: datetime.datetime) -> QuerySet[MailAfterLeaving]:
    """Those of the last WINDOW, the newest first."""
    return MailAfterLeaving.objects.filter(mailed_at__gt=now - WINDOW).order_by("-mailed_at", "-pk")
