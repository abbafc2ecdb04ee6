"""Bounces: who is suppressed at once, and who after repeated soft bounces.

    apply_events ──► record_bounces ──► suppressions (no mailbox, inactive, null MX)
                          └──► SoftBounce ──► settle_soft_bounces, a day later ──► suppressions

Soft bounces are recorded in the transaction that applies their events, one row per subscriber and send, in any order.
What they mean is decided a day later: by then the other events of that time are known – mails that arrived, and how
many others at the same domain bounced in the same way, which is that domain's fault and not its subscribers'.
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from django.db import transaction
from django.db.models import Case, F, Max, When
from django.utils import timezone

from newsletter.events.soft_points import RARE_SENDS_PER_MONTH, WEEKLY_WINDOW, WINDOW, SoftMark, SoftVerdict, judge
from newsletter.models import IS_DELIVERED, Delivery, Send, SoftBounce
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.bounce_classes import BounceClass, RecipientEffect, class_of
from subscribers.models import (
    LiftedSuppression,
    Subscriber,
    SuppressionReason,
    fingerprint,
    fingerprinter,
    suppression_secret_differs,
)
from subscribers.suppression import SuppressionCause, outranks, suppress_addresses

log = logging.getLogger(__name__)

#: Why a bounce of these classes suppresses at once.
REASONS = {
    BounceClass.NO_MAILBOX: SuppressionReason.HARD_BOUNCE,
    BounceClass.INACTIVE: SuppressionReason.INACTIVE,
    BounceClass.NULL_MX: SuppressionReason.NO_DOMAIN,
}

#: Soft bounces are decided on so long after they were recorded.
SETTLE_AFTER = datetime.timedelta(hours=24)

#: Older ones are deleted: no window reaches so far.
KEPT = datetime.timedelta(days=120)

#: Subscribers per run of the step, and rows that it deletes.
SUBSCRIBERS_PER_RUN, DELETED_PER_RUN = 200, 1_000

#: If more than this share of a send's recipients at a domain bounced in the same way, and at least so many, the domain
#: had a fault: their bounces do not count.
FAULT_SHARE, MIN_FAULT = 0.05, 10

#: If so many addresses of a domain that got mail before are reported as missing within an hour, its DNS failed.
MANY_MISSING, SAME_TIME = 5, datetime.timedelta(hours=1)

# Where the same mail bounced more than once, the first bounce counts, in any order.
RECORD_SOFT_BOUNCES = """
    INSERT INTO newsletter_softbounce
        (subscriber_id, send_id, fingerprint, bounce, at, recorded_at, is_settled)
    SELECT delivery.subscriber_id, delivery.send_id, rows.fingerprint, rows.bounce, rows.at, rows.recorded_at, FALSE
    FROM {rows} JOIN newsletter_delivery AS delivery ON delivery.id = rows.delivery_id
        JOIN subscribers_subscriber AS subscriber ON subscriber.id = delivery.subscriber_id
    WHERE TRUE ORDER BY delivery.subscriber_id, delivery.send_id
    ON CONFLICT (subscriber_id, send_id) DO UPDATE SET fingerprint = excluded.fingerprint, bounce = excluded.bounce,
        at = excluded.at, recorded_at = excluded.recorded_at, is_settled = FALSE
    WHERE excluded.at < newsletter_softbounce.at
        OR (excluded.at = newsletter_softbounce.at AND excluded.bounce < newsletter_softbounce.bounce)
"""
RECORD_COLUMNS = {
    "delivery_id": "bigint", "fingerprint": "text", "bounce": "text", "at": "timestamptz", "recorded_at": "timestamptz",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncedMail:
    """One bounce of a mail of ours, as its event tells."""

    kind: BounceClass
    at: datetime.datetime
    canonical: str
    """The address that the mail went to; empty if it is unknown."""
    words: str = ""
    delivery_pk: int | None = None
    """None for mails that no delivery records: such a bounce may suppress at once, and is no soft bounce."""


def record_bounces(mails: Iterable[BouncedMail]) -> dict[str, SuppressionCause]:
    """Record soft bounces; returns the addresses that are to be suppressed at once, by canonical address.

    Runs in the transaction that applies the events. A repeat changes nothing.
    """
    causes: dict[str, SuppressionCause] = {}
    soft: dict[int, BouncedMail] = {}
    for mail in mails:
        if reason := REASONS.get(mail.kind):
            if mail.canonical and (mail.canonical not in causes or outranks(reason, causes[mail.canonical][0])):
                causes[mail.canonical] = (reason, mail.words)
        elif mail.kind.rule.recipient is not RecipientEffect.NOTHING and mail.delivery_pk and mail.canonical:
            known = soft.get(mail.delivery_pk)
            if known is None or (mail.at, mail.kind.value) < (known.at, known.kind.value):
                soft[mail.delivery_pk] = mail
    _record_soft(soft)
    return causes


def _record_soft(mails: Mapping[int, BouncedMail]) -> None:
    now, hashed = timezone.now(), fingerprinter()
    rows = [(key, hashed(mail.canonical), mail.kind.value, mail.at, now) for key, mail in sorted(mails.items())]
    execute_with_rows(RECORD_SOFT_BOUNCES, RECORD_COLUMNS, rows)


# --- A day later ------------------------------------------------------------------------------------------------------


def settle_soft_bounces() -> bool:
    """Decide about subscribers with new soft bounces; whether there may be more. A step of the worker."""
    if suppression_secret_differs():
        return False
    now = timezone.now()
    due = SoftBounce.objects.filter(is_settled=False, recorded_at__lte=now - SETTLE_AFTER)
    found = due.order_by("recorded_at").values_list("subscriber_id", flat=True)[:SUBSCRIBERS_PER_RUN]
    subscribers = sorted(set(found))
    if not subscribers:
        old = SoftBounce.objects.filter(at__lt=now - KEPT).order_by("at").values_list("pk", flat=True)
        return SoftBounce.objects.filter(pk__in=list(old[:DELETED_PER_RUN])).delete()[0] == DELETED_PER_RUN
    with transaction.atomic():
        rows = SoftBounce.objects.filter(subscriber__in=subscribers).order_by("pk").select_for_update()
        settled = [row.pk for row in rows if row.recorded_at <= now - SETTLE_AFTER]
        verdicts = verdicts_on(subscribers)
        if verdicts:
            suppress_addresses({address: (found.reason, found.detail) for address, found in verdicts.items()})
            log.info("Addresses suppressed for repeated bounces", extra={"count": len(verdicts)})
        SoftBounce.objects.filter(pk__in=settled).update(is_settled=True)
    return True


def verdicts_on(subscribers: Collection[int]) -> dict[str, SoftVerdict]:
    """Those of these subscribers who are to be suppressed, by canonical address."""
    addresses = dict(Subscriber.objects.filter(pk__in=subscribers).values_list("pk", "canonical"))
    marks = _marks_of(addresses)
    # Most have one or two bounces: nothing more is asked about them.
    candidates = {pk: found for pk, found in marks.items() if judge(found, window=WEEKLY_WINDOW)}
    if not candidates:
        return {}
    resets, windows = _resets(candidates, addresses), _windows(candidates)
    faults = _Faults()
    verdicts = {}
    for pk, found in candidates.items():
        counted = [mark for mark in found if not faults.has(mark, addresses[pk])]
        verdict = judge(counted, since=resets.get(pk), window=windows[pk])
        if verdict:
            verdicts[addresses[pk]] = verdict
    return verdicts


def _marks_of(addresses: Mapping[int, str]) -> dict[int, list[SoftMark]]:
    """The soft bounces of the present addresses, by subscriber."""
    hashed = fingerprinter()
    hashes = {pk: hashed(canonical) for pk, canonical in addresses.items()}
    marks: dict[int, list[SoftMark]] = defaultdict(list)
    for row in SoftBounce.objects.filter(subscriber__in=addresses).order_by("at"):
        kind = class_of(row.bounce)
        if kind and row.fingerprint == hashes[row.subscriber_id]:
            marks[row.subscriber_id].append(SoftMark(row.at, row.send_id, kind))
    return marks


def _resets(candidates: Mapping[int, Sequence[SoftMark]], addresses: Mapping[int, str]) -> dict[int, datetime.datetime]:
    """When a mail last reached each of them, when they last clicked, or when a suppression of theirs was lifted.

    A mailbox that takes a mail and returns it later was not reached.
    """
    first = min(mark.at for marks in candidates.values() for mark in marks)
    issues = Send.objects.filter(started_at__gte=first - WINDOW).values_list("issue_id", flat=True)
    reached = Delivery.objects.filter(IS_DELIVERED, issue__in=list(issues), subscriber__in=list(candidates))
    arrived = Case(When(bounced_at__isnull=True, then=F("delivered_at")), default=None)
    times = reached.order_by().values_list("subscriber_id").annotate(arrived=Max(arrived), clicked=Max("clicked_at"))
    resets = {pk: [at for at in found if at] for pk, *found in times}
    hashes = {fingerprint(addresses[pk]): pk for pk in candidates}
    lifted = LiftedSuppression.objects.filter(fingerprint__in=hashes).values_list("fingerprint", "lifted_at")
    for key, at in lifted:
        resets.setdefault(hashes[key], []).append(at)
    return {pk: max(found) for pk, found in resets.items() if found}


def _windows(candidates: Mapping[int, Sequence[SoftMark]]) -> dict[int, datetime.timedelta]:
    """The window of each: longer where the newsletter of the last bounce had few sends in the month before it."""
    last = {pk: max(marks, key=attrgetter("at")).send for pk, marks in candidates.items()}
    rows = Send.objects.filter(pk__in=set(last.values())).values_list("pk", "issue__newsletter", "started_at")
    windows = dict.fromkeys(last.values(), WINDOW)
    for pk, newsletter, started_at in rows:
        if started_at:
            month = (started_at - WINDOW, started_at)
            recent = Send.objects.filter(issue__newsletter=newsletter, started_at__range=month)
            is_rare = len(recent.values_list("pk")[: RARE_SENDS_PER_MONTH + 1]) <= RARE_SENDS_PER_MONTH
            windows[pk] = WEEKLY_WINDOW if is_rare else WINDOW
    return {pk: windows[send] for pk, send in last.items()}


class _Faults:
    """Faults of mail domains, looked up once for each send or hour."""

    def __init__(self) -> None:
        self._shared: dict[tuple[int, str, BounceClass], bool] = {}
        self._known: dict[str, bool] = {}

    def has(self, mark: SoftMark, canonical: str) -> bool:
        """Whether this bounce is the domain's fault."""
        domain = "@" + canonical.rpartition("@")[2]
        key = (mark.send, domain, mark.kind)
        if key not in self._shared:
            self._shared[key] = _many_bounced(*key)
        return self._shared[key] or self._is_missing_at_once(mark, domain)

    def _is_missing_at_once(self, mark: SoftMark, domain: str) -> bool:
        if mark.kind is not BounceClass.NO_DOMAIN:
            return False
        around = (mark.at - SAME_TIME, mark.at + SAME_TIME)
        same = SoftBounce.objects.filter(
            bounce=mark.kind.value, at__range=around, subscriber__canonical__endswith=domain
        )
        if len(set(same.values_list("subscriber_id", flat=True)[: MANY_MISSING * 10])) < MANY_MISSING:
            return False
        if domain not in self._known:
            self._known[domain] = _had_deliveries(domain, mark.at)
        return self._known[domain]


def _many_bounced(send: int, domain: str, kind: BounceClass) -> bool:
    """Whether more of the send's recipients at a domain bounced like this than those who do every day."""
    same = SoftBounce.objects.filter(send=send, bounce=kind.value, subscriber__canonical__endswith=domain).count()
    if same < MIN_FAULT:
        return False
    issue = Send.objects.filter(pk=send).values("issue_id")[:1]
    everyone = Delivery.objects.filter(issue__in=issue, send=send, subscriber__canonical__endswith=domain)
    # No more are counted than decide it.
    enough = int(same / FAULT_SHARE) + 1
    return everyone.order_by()[:enough].count() < enough


def _had_deliveries(domain: str, at: datetime.datetime) -> bool:
    """Whether a mail arrived at this domain in the two months before."""
    issues = Send.objects.filter(started_at__range=(at - WEEKLY_WINDOW, at)).values_list("issue_id", flat=True)
    arrived = Delivery.objects.filter(IS_DELIVERED, issue__in=list(issues), subscriber__canonical__endswith=domain)
    return arrived.exists()
