"""Sunset policy: subscribers who were silent for n issues are asked whether they want to stay, then not mailed.

    issues that count ─► subscribers silent in the last n of them ─► question by mail ─► stays
                                                                                    └─► no answer: unsubscribed

Silence means something only where a reaction would have been seen. So an issue counts only if opens or clicks of it
were recorded, and a subscriber only if they agreed to tracking before the first of these issues. All n issues must have
been delivered to them. A question, an answer, a new confirmation: each begins the count again.
"""

from __future__ import annotations

import datetime
import logging

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from newsletter.models import ConsentMode, Delivery, Newsletter, Send, SendState, SunsetRound
from subscribers.consent.sunset import ask_to_stay, end, withdraw
from subscribers.models import Subscription, SubscriptionState, SunsetQuestion, SunsetState

log = logging.getLogger(__name__)

#: What one run does at most: subscriptions that it looks at, mails that it writes, questions that it ends.
CHUNK, ASKED_PER_RUN, ENDED_PER_RUN = 5_000, 100, 100

#: An issue counts from then on: until then, subscribers may still open it.
TIME_TO_REACT = datetime.timedelta(days=3)

#: A newsletter's subscribers are looked at so often.
ROUND_EVERY = datetime.timedelta(days=1)

#: How many sends are searched for issues that count.
SEARCHED_SENDS = 100

REACTED = Q(opened_at__isnull=False) | Q(clicked_at__isnull=False)


def follow_sunset_policies() -> bool:
    """End what is overdue, and ask the next chunk of subscribers; whether there may be more. A step of the worker."""
    ended = _end_due(ENDED_PER_RUN)
    policies = Newsletter.objects.filter(sunset_after__isnull=False, consent_mode=ConsentMode.CONSENT).order_by("pk")
    # A sum and not `any`, so that each newsletter has its turn.
    return sum(_ask_next(newsletter) for newsletter in policies) > 0 or ended


def issues_that_count(newsletter: Newsletter, now: datetime.datetime) -> list[Send]:
    """The sends of the last `sunset_after` issues of which opens or clicks were recorded; fewer if there are fewer."""
    # Those who get the weekly digest have no delivery of an ordinary issue, so that their silence is never complete.
    ordinary = Send.objects.filter(issue__newsletter=newsletter.pk, issue__digest_at__isnull=True)
    sends = ordinary.filter(state=SendState.SENT, started_at__lte=now - TIME_TO_REACT)
    newest = sends.order_by("-started_at", "-pk").only("pk", "issue_id", "started_at")[:SEARCHED_SENDS]
    counted = (send for send in newest if Delivery.objects.filter(REACTED, issue=send.issue_id).exists())
    found: list[Send] = []
    while len(found) < (newsletter.sunset_after or 0) and (send := next(counted, None)):
        found.append(send)
    return found


def _ask_next(newsletter: Newsletter) -> bool:
    """Look at the next chunk of the newsletter's subscriptions; False if there is nothing to look at now."""
    now = timezone.now()
    with transaction.atomic():
        SunsetRound.objects.get_or_create(newsletter=newsletter, defaults={"finished_at": now - ROUND_EVERY})
        current = SunsetRound.objects.select_for_update().get(newsletter=newsletter)
        if current.finished_at is not None:
            if current.finished_at + ROUND_EVERY > now:
                return False
            _begin(current, newsletter, now)
        if current.silent_since is None:
            return False
        subscriptions = Subscription.objects.filter(
            mailing_list=newsletter.pk, state=SubscriptionState.ACTIVE, pk__gt=current.through
        )
        last = subscriptions.order_by("pk")[:CHUNK].aggregate(last=Max("pk"))["last"]
        if last is None:
            SunsetRound.objects.filter(pk=current.pk).update(finished_at=now)
            return False
        silent = _silent(subscriptions.filter(pk__lte=last).mailable(now), current)
        pks = list(silent.values_list("pk", flat=True)[:ASKED_PER_RUN])
        if len(pks) == ASKED_PER_RUN:
            last = pks[-1]
        asked = ask_to_stay(
            pks,
            silent_since=current.silent_since,
            answer_time=datetime.timedelta(days=newsletter.sunset_days),
        )
        SunsetRound.objects.filter(pk=current.pk).update(through=last)
    if asked:
        log.info("Silent subscribers asked", extra={"newsletter": newsletter.pk, "count": asked})
    return True


def _begin(current: SunsetRound, newsletter: Newsletter, now: datetime.datetime) -> None:
    """Begin a round; without enough issues that count, it is over at once."""
    counted = issues_that_count(newsletter, now)
    is_enough = newsletter.sunset_after is not None and len(counted) == newsletter.sunset_after
    current.started_at, current.through = now, 0
    current.issues = [send.issue_id for send in counted]
    current.silent_since = counted[-1].started_at if is_enough else None
    current.finished_at = None if is_enough else now
    current.save()


def _silent(subscriptions, current: SunsetRound):  # type: ignore[no-untyped-def]  # a QuerySet subclass
    """Of these, who agreed to tracking before the issues of the round, got all of them and reacted to none."""
    since = current.silent_since
    asked = SunsetQuestion.objects.filter(
        Q(asked_at__gte=since) | Q(answered_at__gte=since), subscription=OuterRef("pk")
    )
    silent = subscriptions.filter(~Exists(asked), tracking_agreed_at__lt=since, confirmed_at__lt=since)
    for issue_pk in current.issues:
        delivered = Delivery.objects.filter(~REACTED, issue=issue_pk, subscriber=OuterRef("subscriber"))
        silent = silent.filter(Exists(delivered.filter(delivered_at__isnull=False)))
    return silent.order_by("pk")


def _end_due(limit: int) -> bool:
    """End the subscriptions whose answer time is over; whether there may be more."""
    due = SunsetQuestion.objects.filter(state=SunsetState.ASKED, answer_by__lte=timezone.now())
    questions = list(due.select_related("subscription").order_by("answer_by", "pk")[:limit])
    for question in questions:
        newsletter = Newsletter.objects.get(pk=question.subscription.mailing_list_id)
        is_over = newsletter.sunset_after is None or newsletter.consent_mode != ConsentMode.CONSENT
        if is_over or _has_reacted(question):
            withdraw(question)
        else:
            end(question, answer_time=datetime.timedelta(days=newsletter.sunset_days))
    return len(questions) == limit


def _has_reacted(question: SunsetQuestion) -> bool:
    """Whether the subscriber opened or clicked an issue since the silence began."""
    issues = Send.objects.filter(
        issue__newsletter=question.subscription.mailing_list_id, started_at__gte=question.silent_since
    )
    deliveries = Delivery.objects.filter(
        issue__in=list(issues.values_list("issue", flat=True)), subscriber=question.subscription.subscriber_id
    )
    return deliveries.filter(REACTED).exists()
