"""The sunset policy: ask who was silent, keep who answers, stop mailing the others; silence must mean something."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from newsletter.models import ConsentMode, Delivery, DeliveryState, Newsletter, Send, SendState, SunsetRound
from newsletter.sending.sunset import follow_sunset_policies, issues_that_count
from subscribers.consent import preferences
from subscribers.consent.actions import unsubscribe
from subscribers.consent.tokens import stay_url
from subscribers.models import (
    Consent,
    ConsentForm,
    ConsentKind,
    Evidence,
    Frequency,
    Subscription,
    SubscriptionState,
    SunsetQuestion,
    SunsetState,
    TransactionalMail,
    TransactionalMailKind,
)
from tests import people
from tests.publications import make_issue, make_newsletter, start_sending

DAY = datetime.timedelta(days=1)
BO = "bo@example.org"
ISSUES = 5


@pytest.fixture
def newsletter(db: None) -> Newsletter:
    """Asks after five issues, of which opens are recorded."""
    return make_newsletter(consent_mode=ConsentMode.CONSENT, sunset_after=ISSUES)


@pytest.fixture
def silent(newsletter: Newsletter) -> Subscription:
    """Ada, who got five issues and opened none; Bo opened each of them."""
    ada = subscribe(newsletter, people.ADA)
    subscribe(newsletter, BO)
    for number in range(ISSUES):
        deliver(newsletter, number)
    return ada


def subscribe(newsletter: Newsletter, address: str, **fields: Any) -> Subscription:
    long_ago = timezone.now() - 400 * DAY
    return people.make_subscription(
        address, newsletter, **({"confirmed_at": long_ago, "tracking_agreed_at": long_ago} | fields)
    )


def deliver(newsletter: Newsletter, number: int, *, opened: tuple[str, ...] = (BO,)) -> Send:
    """Send an issue to all active subscribers; these open it. The first was sent 60 days ago, then one each week."""
    issue = make_issue(f"sunset-{number}", newsletter)
    send, at = start_sending(issue), timezone.now() - (60 - 7 * number) * DAY
    for subscription in Subscription.objects.filter(state=SubscriptionState.ACTIVE).select_related("subscriber"):
        Delivery.objects.create(
            issue=issue,
            send=send,
            subscriber=subscription.subscriber,
            state=DeliveryState.ACCEPTED,
            delivered_at=at,
            opened_at=at if subscription.subscriber.address in opened else None,
        )
    Send.objects.filter(pk=send.pk).update(state=SendState.SENT, started_at=at, expanded_at=at, finished_at=at)
    return send


def run() -> None:
    """Whole rounds, whenever the last one was."""
    SunsetRound.objects.update(finished_at=timezone.now() - 2 * DAY)
    while follow_sunset_policies():
        pass


def mail_was_sent(days_ago: float) -> None:
    at = timezone.now() - days_ago * DAY
    TransactionalMail.objects.update(state="sent", sent_at=at)
    SunsetQuestion.objects.update(asked_at=at, answer_by=at + 30 * DAY)


def state_of(subscription: Subscription) -> tuple[str, str]:
    subscription.refresh_from_db()
    return subscription.state, SunsetQuestion.objects.get(subscription=subscription).state


def test_a_silent_subscriber_is_asked_once(silent: Subscription) -> None:
    run()
    run()
    question = SunsetQuestion.objects.get()
    assert (question.subscription_id, question.state) == (silent.pk, SunsetState.ASKED)
    mail = TransactionalMail.objects.get()
    assert (mail.kind, mail.recipient) == (TransactionalMailKind.STAY, people.ADA)
    assert stay_url(silent.key) in mail.text
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    "change",
    [
        "no policy",
        "no consent mode",
        "not agreed",
        "agreed late",
        "confirmed late",
        "paused",
        "not delivered",
        "clicked",
    ],
)
def test_nobody_is_asked_whose_silence_means_nothing(silent: Subscription, newsletter: Newsletter, change: str) -> None:
    recently = timezone.now() - 40 * DAY
    changes: dict[str, dict[str, Any]] = {
        "not agreed": {"tracking_agreed_at": None},
        "agreed late": {"tracking_agreed_at": recently},
        "confirmed late": {"confirmed_at": recently},
        "paused": {"paused_until": timezone.now() + DAY},
    }
    Subscription.objects.filter(pk=silent.pk).update(**changes.get(change, {"source": ""}))
    if change == "no policy":
        Newsletter.objects.update(sunset_after=None)
    if change == "no consent mode":
        Newsletter.objects.update(consent_mode=ConsentMode.AGGREGATE)
    delivery = Delivery.objects.filter(subscriber=silent.subscriber_id)[:1].get()
    if change == "not delivered":
        Delivery.objects.filter(pk=delivery.pk).update(delivered_at=None)
    if change == "clicked":
        Delivery.objects.filter(pk=delivery.pk).update(clicked_at=timezone.now())
    run()
    assert not SunsetQuestion.objects.exists()


def test_an_issue_without_recorded_opens_or_clicks_does_not_count(newsletter: Newsletter) -> None:
    subscribe(newsletter, people.ADA)
    subscribe(newsletter, BO)
    for number in range(ISSUES - 1):
        deliver(newsletter, number)
    deliver(newsletter, ISSUES, opened=())
    assert len(issues_that_count(newsletter, timezone.now())) == ISSUES - 1
    run()
    assert not SunsetQuestion.objects.exists()


def test_an_issue_of_the_last_three_days_does_not_count_yet(newsletter: Newsletter, silent: Subscription) -> None:
    newest = deliver(newsletter, ISSUES)
    Send.objects.filter(pk=newest.pk).update(started_at=timezone.now() - 2 * DAY)
    assert newest.pk not in [send.pk for send in issues_that_count(newsletter, timezone.now())]


def test_without_an_answer_the_subscription_ends_after_the_answer_time(silent: Subscription) -> None:
    run()
    mail_was_sent(days_ago=29)
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.ASKED)
    mail_was_sent(days_ago=31)
    run()
    assert state_of(silent) == (SubscriptionState.UNSUBSCRIBED, SunsetState.ENDED)
    consent = Consent.objects.get(subscription=silent)
    assert (consent.kind, consent.form) == (ConsentKind.UNSUBSCRIBED, ConsentForm.SUNSET)
    assert silent.ended_at is not None


@pytest.mark.parametrize("mail_state", ["failed", "unknown", "withdrawn"])
def test_a_mail_that_may_not_have_arrived_ends_nothing(silent: Subscription, mail_state: str) -> None:
    run()
    mail_was_sent(days_ago=31)
    TransactionalMail.objects.update(state=mail_state, sent_at=None)
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.WITHDRAWN)


def test_the_answer_time_begins_when_the_mail_is_sent(silent: Subscription) -> None:
    run()
    SunsetQuestion.objects.update(answer_by=timezone.now() - DAY)
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.ASKED)
    TransactionalMail.objects.update(state="sent", sent_at=timezone.now() - 5 * DAY)
    SunsetQuestion.objects.update(answer_by=timezone.now() - DAY)
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.ASKED)
    assert SunsetQuestion.objects.get().answer_by > timezone.now() + 24 * DAY


def test_whoever_opens_an_issue_meanwhile_stays(silent: Subscription) -> None:
    run()
    mail_was_sent(days_ago=31)
    Delivery.objects.filter(subscriber=silent.subscriber_id).update(opened_at=timezone.now())
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.WITHDRAWN)


@pytest.mark.parametrize("action", ["returns", "takes the weekly digest", "withdraws the consent to tracking"])
def test_whoever_does_something_about_the_subscription_stays(
    newsletter: Newsletter, silent: Subscription, action: str
) -> None:
    run()
    mail_was_sent(days_ago=31)
    if action == "returns":
        unsubscribe(silent.key, Evidence(form=ConsentForm.UNSUBSCRIBE))
        Subscription.objects.filter(pk=silent.pk).update(
            state=SubscriptionState.ACTIVE, confirmed_at=timezone.now() - DAY, ended_at=None
        )
    elif action == "takes the weekly digest":
        Newsletter.objects.update(offers_weekly=True)
        assert preferences.set_frequency(silent.key, Frequency.WEEKLY)
    else:
        assert preferences.set_tracking(silent.key, agrees=False, text="", language="en")
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.WITHDRAWN)


def test_nobody_ends_once_opens_and_clicks_are_not_recorded_any_more(
    newsletter: Newsletter, silent: Subscription
) -> None:
    run()
    mail_was_sent(days_ago=31)
    Newsletter.objects.update(consent_mode=ConsentMode.AGGREGATE)
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.WITHDRAWN)


def test_a_policy_that_is_turned_off_ends_nothing(silent: Subscription) -> None:
    run()
    mail_was_sent(days_ago=31)
    Newsletter.objects.update(sunset_after=None)
    run()
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.WITHDRAWN)


def test_only_the_button_of_the_page_keeps_the_subscription(silent: Subscription, client: Client) -> None:
    run()
    address = stay_url(silent.key)
    for method in ("get", "head", "options"):
        assert getattr(client, method)(address).status_code == 200
    assert client.post(address, {"action": "other"}).status_code == 400
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.ASKED)
    page = client.post(address, {"action": "stay"})
    assert "You stay subscribed" in page.content.decode()
    assert people.ADA not in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.STAYED)
    assert client.get(stay_url(silent.key)[:-1]).status_code == 404


def test_whoever_stays_is_asked_again_only_after_as_many_further_issues(
    silent: Subscription, newsletter: Newsletter, client: Client
) -> None:
    run()
    client.post(stay_url(silent.key), {"action": "stay"})
    SunsetQuestion.objects.update(asked_at=timezone.now() - 33 * DAY, answered_at=timezone.now() - 33 * DAY)
    deliver(newsletter, ISSUES)
    run()
    assert SunsetQuestion.objects.count() == 1


def test_the_link_undoes_the_end_of_the_subscription(silent: Subscription, client: Client) -> None:
    run()
    mail_was_sent(days_ago=31)
    run()
    assert "receives Harbour Notes again" in " ".join(client.get(stay_url(silent.key)).content.decode().split())
    client.post(stay_url(silent.key), {"action": "stay"})
    assert state_of(silent) == (SubscriptionState.ACTIVE, SunsetState.STAYED)
    kinds = Consent.objects.filter(subscription=silent).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["unsubscribed", "requested", "confirmed"]
    assert Consent.objects.order_by("pk").last().text.text.startswith("By pressing the button")  # type: ignore[union-attr]


def test_the_link_does_not_undo_a_later_unsubscribe(silent: Subscription, client: Client) -> None:
    run()
    unsubscribe(silent.key, Evidence(form=ConsentForm.UNSUBSCRIBE))
    page = client.post(stay_url(silent.key), {"action": "stay"})
    assert "This subscription has ended" in page.content.decode()
    assert state_of(silent)[0] == SubscriptionState.UNSUBSCRIBED
    mail_was_sent(days_ago=31)
    run()
    assert state_of(silent) == (SubscriptionState.UNSUBSCRIBED, SunsetState.WITHDRAWN)


def test_the_link_does_not_undo_an_unsubscribe_after_a_return(silent: Subscription, client: Client) -> None:
    run()
    mail_was_sent(days_ago=31)
    run()
    Subscription.objects.filter(pk=silent.pk).update(state=SubscriptionState.ACTIVE)
    unsubscribe(silent.key, Evidence(form=ConsentForm.UNSUBSCRIBE))
    client.post(stay_url(silent.key), {"action": "stay"})
    assert state_of(silent) == (SubscriptionState.UNSUBSCRIBED, SunsetState.ENDED)


def test_a_round_looks_at_all_subscribers_in_chunks(newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.sending.sunset.CHUNK", 2)
    monkeypatch.setattr("newsletter.sending.sunset.ASKED_PER_RUN", 1)
    for number in range(5):
        subscribe(newsletter, f"silent-{number}@example.org")
    subscribe(newsletter, BO)
    for number in range(ISSUES):
        deliver(newsletter, number)
    run()
    assert SunsetQuestion.objects.count() == TransactionalMail.objects.count() == 5
    assert follow_sunset_policies() is False


def test_the_database_refuses_a_second_question_in_one_silence(silent: Subscription) -> None:
    run()
    question = SunsetQuestion.objects.get()
    for changes in ({"state": SunsetState.WITHDRAWN}, {"silent_since": timezone.now()}):
        again = {"state": SunsetState.ASKED, "silent_since": question.silent_since} | changes
        with pytest.raises(IntegrityError), transaction.atomic():
            SunsetQuestion.objects.create(subscription=silent, answer_by=timezone.now(), **again)
    with pytest.raises(IntegrityError), transaction.atomic():
        Newsletter.objects.update(sunset_after=4)
