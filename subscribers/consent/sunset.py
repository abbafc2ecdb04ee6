"""The sunset policy of one subscriber: ask, stay with one click, and end the subscription without an answer."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F
from django.utils import timezone, translation
from django.utils.formats import date_format

from subscribers.consent.actions import unsubscribe_all
from subscribers.consent.tokens import stay_url, unsubscribe_url
from subscribers.models import (
    SUNSET_MACHINE,
    Change,
    Consent,
    ConsentForm,
    ConsentKind,
    Evidence,
    Subscription,
    SunsetQuestion,
    SunsetState,
    TransactionalMailKind,
    TransactionalMailState,
    move_subscriptions,
)
from subscribers.models import SubscriptionState as State
from subscribers.suppression import get_suppression
from subscribers.transactional.compose import enqueue_mail

#: Mails that may still be sent: the answer time begins when one is.
NOT_SENT_YET = TransactionalMailState.PENDING


def ask_to_stay(
    subscription_pks: Iterable[int], *, silent_since: datetime.datetime, answer_time: datetime.timedelta
) -> int:
    """Ask these subscribers whether they want to stay; how many were asked. Of two callers at once, one asks."""
    now = timezone.now()
    count = 0
    for pk in subscription_pks:
        with transaction.atomic():
            rows = Subscription.objects.mailable(now).filter(pk=pk).select_for_update(of=("self",))
            subscription = rows.select_related("subscriber", "mailing_list").first()
            if subscription is None or subscription.sunset_questions.filter(silent_since__gte=silent_since).exists():
                continue
            if subscription.sunset_questions.filter(state=SunsetState.ASKED).exists():
                continue
            answer_by = now + answer_time
            SunsetQuestion.objects.create(
                subscription=subscription,
                silent_since=silent_since,
                asked_at=now,
                answer_by=answer_by,
                mail=_write(subscription, answer_by),
            )
            count += 1
    return count


def _write(subscription: Subscription, answer_by: datetime.datetime):  # type: ignore[no-untyped-def]
    with translation.override(subscription.mailing_list.page_language):
        date = date_format(timezone.localtime(answer_by), "DATE_FORMAT")
    unsubscribe = unsubscribe_url(subscription.key)
    context = {"stay_url": stay_url(subscription.key), "unsubscribe_url": unsubscribe, "answer_by": date}
    return enqueue_mail(TransactionalMailKind.STAY, subscription, context, one_click_url=unsubscribe)


def latest_question(key: uuid.UUID) -> SunsetQuestion | None:
    """The newest question to the subscription with this key."""
    questions = SunsetQuestion.objects.filter(subscription__key=key)
    return questions.select_related("subscription__subscriber", "subscription__mailing_list").first()


def stay(key: uuid.UUID, evidence: Evidence) -> bool:
    """The subscriber wants to stay; whether the subscription is active now.

    A subscription that ended for want of an answer becomes active again. One that ended in any other way does not.
    """
    with transaction.atomic():
        rows = Subscription.objects.with_key(key)
        subscription = rows.select_for_update(of=("self",)).select_related("subscriber").first()
        question = latest_question(key)
        if subscription is None or question is None:
            return False
        if subscription.state == State.UNSUBSCRIBED and _ended_by(question):
            _return(subscription, evidence)
        subscription.refresh_from_db(fields=["state"])
        is_active = subscription.state == State.ACTIVE
        if is_active:
            open_or_ended = SunsetQuestion.objects.filter(
                pk=question.pk, state__in=(SunsetState.ASKED, SunsetState.ENDED)
            )
            SUNSET_MACHINE.move(open_or_ended, SunsetState.STAYED, answered_at=timezone.now())
    return is_active


def _ended_by(question: SunsetQuestion) -> bool:
    """Whether the last thing that happened to the subscription is that it ended for want of an answer."""
    last = Consent.objects.filter(subscription=question.subscription_id).order_by("-pk").first()
    return question.state == SunsetState.ENDED and last is not None and last.form == ConsentForm.SUNSET


def _return(subscription: Subscription, evidence: Evidence) -> None:
    if get_suppression(subscription.subscriber.canonical):
        return
    now, rows = timezone.now(), Subscription.objects.filter(pk=subscription.pk)
    number = F("request_number") + 1
    move_subscriptions(rows, ConsentKind.REQUESTED, evidence, requested_at=now, request_number=number, ended_at=None)
    move_subscriptions(rows, ConsentKind.CONFIRMED, evidence, confirmed_at=now, ended_at=None, paused_until=None)


def withdraw(question: SunsetQuestion) -> None:
    """The subscriber has reacted in another way."""
    SUNSET_MACHINE.move(
        SunsetQuestion.objects.filter(pk=question.pk), SunsetState.WITHDRAWN, answered_at=timezone.now()
    )


def _has_acted(subscription: Subscription, *, since: datetime.datetime) -> bool:
    """Whether the subscriber confirmed again, changed their preferences, or does not agree to tracking any more.

    Without tracking, silence means nothing.
    """
    confirmed_at = subscription.confirmed_at
    if subscription.tracking_agreed_at is None or (confirmed_at is not None and confirmed_at >= since):
        return True
    return Change.objects.filter(subscription=subscription, by="", created_at__gte=since).exists()


def end(question: SunsetQuestion, *, answer_time: datetime.timedelta) -> bool:
    """End the subscription of a question without an answer; whether it ended.

    Not before the answer time after the mail was really sent; without a mail that certainly was, never.
    """
    now = timezone.now()
    with transaction.atomic():
        # Locked in this order by an answer, too.
        rows = Subscription.objects.filter(pk=question.subscription_id)
        subscription = rows.select_for_update().get()
        current = SunsetQuestion.objects.select_related("mail").get(pk=question.pk)
        if current.state != SunsetState.ASKED:
            return False
        if _has_acted(subscription, since=current.asked_at):
            withdraw(current)
            return False
        mail = current.mail
        if mail is not None and mail.state == NOT_SENT_YET:
            SunsetQuestion.objects.filter(pk=current.pk).update(answer_by=now + datetime.timedelta(days=1))
            return False
        if mail is not None and mail.sent_at is not None and mail.sent_at + answer_time > now:
            SunsetQuestion.objects.filter(pk=current.pk).update(answer_by=mail.sent_at + answer_time)
            return False
        mailable = Subscription.objects.mailable(now).filter(pk=current.subscription_id)
        was_sent = mail is not None and mail.state == TransactionalMailState.SENT
        if not was_sent or not unsubscribe_all(mailable, Evidence(form=ConsentForm.SUNSET)):
            withdraw(current)
            return False
        SUNSET_MACHINE.move(SunsetQuestion.objects.filter(pk=current.pk), SunsetState.ENDED)
    return True
