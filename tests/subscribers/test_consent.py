"""The steps of a subscription: each transition, each refusal, and the consent that is stored."""

from __future__ import annotations

import datetime
import sqlite3
import uuid
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.consent.actions import DeclineResult
from subscribers.consent.double_opt_in import ConfirmationStatus, RequestResult
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import (
    Consent,
    ConsentKind,
    Evidence,
    Subscriber,
    Subscription,
    Suppression,
    TransactionalMail,
    TransactionalMailKind,
    TransactionalMailState,
)
from subscribers.models import SubscriptionState as State
from subscribers.models import SuppressionReason as Reason
from subscribers.suppression import get_suppression, suppress_addresses
from tests.people import ADA, BEN, DINA, EMIL, ada, ben, cleo, dina, emil, finn, make_mailing_list, make_subscriptions

pytestmark = pytest.mark.django_db

GUS = "Gus@Example.org"
EVIDENCE = Evidence(
    form="signup",
    text="You subscribe to Harbour Notes.",
    version="1",
    language="en",
    source="/subscribe/harbour-notes/",
    ip="192.0.2.7",
    user_agent="Firefox",
)
HERE = Evidence(form="test")


def ask(address: str = GUS, slug: str = "harbour-notes") -> RequestResult:
    return double_opt_in.request_subscription(make_mailing_list(slug), parse_address(address), EVIDENCE)


def subscription_of(address: str) -> Subscription:
    return Subscription.objects.get(subscriber__canonical=address.lower())


def link_of(subscription: Subscription) -> ConfirmationToken:
    """The content of the link in the newest confirmation mail."""
    subscription.refresh_from_db()
    return ConfirmationToken(key=subscription.key, request_number=subscription.request_number)


def time_passes(delta: datetime.timedelta) -> None:
    """Shift all stored times back."""
    for model, columns in {
        TransactionalMail: ["created_at", "not_before"],
        Subscriber: ["created_at", "signups_allowed_at"],
        Subscription: ["created_at", "requested_at", "confirmed_at", "ended_at"],
    }.items():
        model._default_manager.update(**{column: F(column) - delta for column in columns})


def kinds(subscription: Subscription) -> list[str]:
    return list(subscription.consents.order_by("pk").values_list("kind", flat=True))


# --- Requesting ---------------------------------------------------------------------------------------------


def test_a_new_subscription_is_pending_until_it_is_confirmed() -> None:
    assert ask() is RequestResult.CONFIRMATION
    gus = subscription_of(GUS)
    assert (gus.state, gus.request_number, gus.subscriber.address) == (State.PENDING, 1, GUS)
    assert not Subscription.objects.mailable(timezone.now()).exists()


def test_the_consent_of_a_request_stores_address_source_and_text() -> None:
    ask()
    proof = Consent.objects.get()
    assert proof.text is not None
    assert (proof.kind, proof.address, proof.canonical, proof.list_name) == (
        ConsentKind.REQUESTED,
        GUS,
        GUS.lower(),
        "Harbour Notes",
    )
    assert (proof.form, proof.language, proof.source, proof.ip, proof.user_agent) == (
        "signup",
        "en",
        "/subscribe/harbour-notes/",
        "192.0.2.7",
        "Firefox",
    )
    assert (proof.text.text, proof.text.version, len(proof.text.sha256)) == (EVIDENCE.text, "1", 64)
    assert proof.transactional_mail == TransactionalMail.objects.get()


def test_an_address_in_other_case_belongs_to_the_same_subscriber() -> None:
    ask("gus@example.org")
    ask("GUS@example.org")
    assert Subscriber.objects.get().address == "gus@example.org"
    assert Subscription.objects.count() == 1


def test_a_request_for_an_active_subscription_sends_one_mail_a_day() -> None:
    subscription = ada()
    assert ask(ADA) is RequestResult.ALREADY_SUBSCRIBED
    assert ask(ADA) is RequestResult.LIMIT_REACHED
    time_passes(datetime.timedelta(hours=25))
    assert ask(ADA) is RequestResult.ALREADY_SUBSCRIBED
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE
    assert set(TransactionalMail.objects.values_list("kind", flat=True)) == {TransactionalMailKind.ALREADY_SUBSCRIBED}


def test_requests_send_at_most_three_mails_a_day_and_five_without_an_answer() -> None:
    outcomes = []
    for _day in range(4):
        outcomes += [ask() for _ in range(5)]
        time_passes(datetime.timedelta(hours=25))
    assert outcomes[:5] == [RequestResult.CONFIRMATION] * 3 + [RequestResult.LIMIT_REACHED] * 2
    assert outcomes.count(RequestResult.CONFIRMATION) == TransactionalMail.objects.count() == 5


def test_a_refused_mail_does_not_count_towards_the_limits() -> None:
    for _ in range(3):
        ask()
        TransactionalMail.objects.update(state=TransactionalMailState.FAILED)
    assert ask() is RequestResult.CONFIRMATION


def test_requests_for_many_lists_count_together() -> None:
    lists = [f"list-{number}" for number in range(5)]
    assert [ask(slug=slug) for slug in lists] == [RequestResult.CONFIRMATION] * 3 + [RequestResult.LIMIT_REACHED] * 2
    time_passes(datetime.timedelta(hours=25))
    assert [ask(slug=slug) for slug in lists].count(RequestResult.CONFIRMATION) == 2


def test_a_withdrawn_mail_does_not_count_towards_the_limits() -> None:
    for _ in range(5):
        ask()
        TransactionalMail.objects.update(state=TransactionalMailState.WITHDRAWN)
    assert ask() is RequestResult.CONFIRMATION


def test_an_editor_can_reset_the_limit_of_unanswered_mails() -> None:
    for _ in range(6):
        ask()
        time_passes(datetime.timedelta(hours=25))
    assert ask() is RequestResult.LIMIT_REACHED
    assert actions.allow_signups_again([Subscriber.objects.get().pk]) == 1
    assert ask() is RequestResult.CONFIRMATION


def test_a_confirmation_resets_the_limit_of_unanswered_mails() -> None:
    for _ in range(3):
        ask()
        time_passes(datetime.timedelta(hours=25))
    ask()
    gus = subscription_of(GUS)
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.CONFIRMED
    actions.unsubscribe(gus.key, HERE)
    time_passes(datetime.timedelta(hours=25))
    assert [ask() for _ in range(3)] == [RequestResult.CONFIRMATION] * 3


def test_a_request_for_a_suppressed_address_stores_nothing() -> None:
    suppress_addresses({GUS.lower(): (Reason.MANUAL, "")})
    assert ask() is RequestResult.SUPPRESSED
    assert not Subscriber.objects.exists()
    assert not TransactionalMail.objects.exists()
    assert not Consent.objects.exists()


def test_a_request_does_not_move_a_suppressed_subscription() -> None:
    subscription = dina()
    assert ask(DINA) is RequestResult.ON_HOLD
    subscription.refresh_from_db()
    assert (subscription.state, subscription.request_number) == (State.SUPPRESSED, 0)


def test_a_repeated_request_keeps_earlier_links_valid() -> None:
    ask()
    first = link_of(subscription_of(GUS))
    time_passes(datetime.timedelta(days=6))
    ask()
    time_passes(datetime.timedelta(days=6))
    assert double_opt_in.confirm(first, HERE).status is ConfirmationStatus.CONFIRMED


# --- Confirming ---------------------------------------------------------------------------------------------


def test_a_confirmation_activates_the_subscription_and_stores_a_consent() -> None:
    ask()
    gus = subscription_of(GUS)
    assert (
        double_opt_in.confirm(link_of(gus), Evidence(form="confirm", ip="192.0.2.9")).status
        is ConfirmationStatus.CONFIRMED
    )
    gus.refresh_from_db()
    assert gus.state == State.ACTIVE
    assert gus.confirmed_at is not None
    assert list(Subscription.objects.mailable(timezone.now())) == [gus]
    assert kinds(gus) == [ConsentKind.REQUESTED, ConsentKind.CONFIRMED]
    proof = gus.consents.get(kind=ConsentKind.CONFIRMED)
    assert (proof.ip, proof.transactional_mail) == ("192.0.2.9", TransactionalMail.objects.get())


def test_a_second_confirmation_changes_nothing() -> None:
    ask()
    gus = subscription_of(GUS)
    link = link_of(gus)
    double_opt_in.confirm(link, HERE)
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.DONE
    assert kinds(gus).count(ConsentKind.CONFIRMED) == 1


def test_an_old_confirmation_link_does_not_undo_an_unsubscribe() -> None:
    ask()
    gus = subscription_of(GUS)
    link = link_of(gus)
    double_opt_in.confirm(link, HERE)
    actions.unsubscribe(gus.key, HERE)
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.ENDED
    gus.refresh_from_db()
    assert gus.state == State.UNSUBSCRIBED


def test_a_new_request_after_an_unsubscribe_invalidates_the_old_link() -> None:
    ask()
    gus = subscription_of(GUS)
    old = link_of(gus)
    actions.unsubscribe(gus.key, HERE)
    ask()
    assert double_opt_in.confirm(old, HERE).status is ConfirmationStatus.ENDED
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.CONFIRMED


def test_a_request_can_be_confirmed_for_seven_days() -> None:
    ask()
    gus = subscription_of(GUS)
    link = link_of(gus)
    time_passes(datetime.timedelta(days=7, minutes=-1))
    assert double_opt_in.read_request(link).status is ConfirmationStatus.OPEN
    time_passes(datetime.timedelta(minutes=2))
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.EXPIRED
    gus.refresh_from_db()
    assert gus.state == State.PENDING


def test_a_request_after_an_expired_one_gets_a_new_link() -> None:
    ask()
    gus = subscription_of(GUS)
    old = link_of(gus)
    time_passes(datetime.timedelta(days=8))
    ask()
    assert double_opt_in.confirm(old, HERE).status is ConfirmationStatus.ENDED
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.CONFIRMED


def test_a_confirmation_link_of_a_deleted_subscription_is_gone() -> None:
    gone = ConfirmationToken(key=uuid.uuid4(), request_number=1)
    assert double_opt_in.confirm(gone, HERE).status is ConfirmationStatus.GONE


def test_a_confirmation_removes_a_hard_bounce() -> None:
    subscription = emil()
    assert ask(EMIL) is RequestResult.CONFIRMATION
    assert get_suppression(EMIL)
    assert double_opt_in.confirm(link_of(subscription), HERE).status is ConfirmationStatus.CONFIRMED
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE
    assert get_suppression(EMIL) is None


def test_a_complaint_during_a_request_ends_the_confirmation_link() -> None:
    subscription = emil()
    ask(EMIL)
    link = link_of(subscription)
    suppress_addresses({EMIL: (Reason.COMPLAINT, "")})
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.ENDED
    assert get_suppression(EMIL)


def test_a_lasting_suppression_prevents_a_confirmation() -> None:
    waiting = ben()
    suppress_addresses({BEN: (Reason.MANUAL, "")})
    Subscription.objects.filter(pk=waiting.pk).update(state=State.PENDING)
    assert double_opt_in.confirm(link_of(waiting), HERE).status is ConfirmationStatus.ENDED
    assert Suppression.objects.count() == 1


# --- Unsubscribing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [ada, ben, finn])
def test_an_unsubscribe_takes_effect_at_once(person: Callable[[], Subscription]) -> None:
    subscription = person()
    assert actions.unsubscribe(subscription.key, HERE)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.paused_until) == (State.UNSUBSCRIBED, None)
    assert subscription.ended_at is not None
    assert kinds(subscription) == [ConsentKind.UNSUBSCRIBED]


@pytest.fixture
def few_parameters() -> Iterator[None]:
    """As few parameters per statement as old versions of SQLite allow."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    before = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    yield
    connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, before)


@pytest.mark.usefixtures("few_parameters")
def test_thousands_of_subscriptions_can_be_unsubscribed_at_once() -> None:
    rows = make_subscriptions(1500)
    assert actions.unsubscribe_all(Subscription.objects.all(), HERE) == 1500
    assert actions.allow_signups_again([row.subscriber_id for row in rows]) == 1500
    assert Consent.objects.filter(kind=ConsentKind.UNSUBSCRIBED).count() == 1500


@pytest.mark.parametrize("person", [cleo, dina, emil])
def test_an_ended_subscription_is_not_changed_by_an_unsubscribe(person: Callable[[], Subscription]) -> None:
    subscription = person()
    before = kinds(subscription)
    assert not actions.unsubscribe(subscription.key, HERE)
    assert (subscription_of(subscription.subscriber.canonical).state, kinds(subscription)) == (
        subscription.state,
        before,
    )


def test_an_unsubscribe_ends_one_subscription_only() -> None:
    here, there = ada(), ada(make_mailing_list("tide-tables"))
    actions.unsubscribe(here.key, HERE)
    there.refresh_from_db()
    assert there.state == State.ACTIVE


def test_a_decline_ends_the_request_and_further_confirmation_mails() -> None:
    ask()
    gus = subscription_of(GUS)
    actions.decline(gus.key, HERE)
    gus.refresh_from_db()
    assert gus.state == State.UNSUBSCRIBED
    assert ask() is RequestResult.DECLINED
    assert ask(slug="tide-tables") is RequestResult.DECLINED
    assert (TransactionalMail.objects.count(), Subscription.objects.count()) == (1, 1)


def test_a_decline_does_not_end_other_subscriptions() -> None:
    subscription = ada()
    assert ask(ADA, slug="tide-tables") is RequestResult.CONFIRMATION
    actions.decline(Subscription.objects.get(mailing_list__slug="tide-tables").key, HERE)
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE


def test_a_decline_of_an_active_subscription_only_unsubscribes() -> None:
    subscription = ada()
    assert actions.decline(subscription.key, HERE) is DeclineResult.UNSUBSCRIBED
    subscription.refresh_from_db()
    assert subscription.state == State.UNSUBSCRIBED
    assert kinds(subscription) == [ConsentKind.UNSUBSCRIBED]
    assert ask(ADA) is RequestResult.CONFIRMATION


def test_a_repeated_decline_changes_nothing() -> None:
    subscription = ada()
    ask()
    pending = subscription_of(GUS)
    for key, result in ((subscription.key, DeclineResult.UNSUBSCRIBED), (pending.key, DeclineResult.DECLINED)):
        assert [actions.decline(key, HERE) for _ in range(3)] == [result] * 3
    assert Subscriber.objects.get(canonical=ADA).declined_at is None
    assert kinds(subscription) == [ConsentKind.UNSUBSCRIBED]
    assert kinds(pending) == [ConsentKind.REQUESTED, ConsentKind.DECLINED]
    assert actions.decline(uuid.UUID(int=7), HERE) is DeclineResult.GONE


def test_a_decline_can_be_undone_from_the_same_mail() -> None:
    ask()
    gus = subscription_of(GUS)
    actions.decline(gus.key, HERE)
    double_opt_in.request_again(gus.key, EVIDENCE)
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.CONFIRMED


def test_undoing_an_unsubscribe_sends_a_confirmation_mail() -> None:
    subscription = ada()
    actions.unsubscribe(subscription.key, HERE)
    double_opt_in.request_again(subscription.key, EVIDENCE)
    subscription.refresh_from_db()
    assert subscription.state == State.PENDING
    assert TransactionalMail.objects.get().kind == TransactionalMailKind.CONFIRMATION


def test_a_repeated_request_for_a_deleted_subscription_does_nothing() -> None:
    double_opt_in.request_again(uuid.uuid4(), EVIDENCE)
    assert not TransactionalMail.objects.exists()


# --- Pausing ------------------------------------------------------------------------------------------------


def test_a_paused_subscription_is_not_mailable_until_the_pause_ends() -> None:
    subscription, now = ada(), timezone.now()
    assert actions.pause(subscription.key, 2, HERE)
    assert not Subscription.objects.mailable(now).exists()
    assert list(Subscription.objects.mailable(now + datetime.timedelta(weeks=2, minutes=1))) == [subscription]
    assert kinds(subscription) == [ConsentKind.PAUSED]


def test_a_pause_can_be_ended_early() -> None:
    subscription = finn()
    assert actions.resume(subscription.key, HERE)
    assert list(Subscription.objects.mailable(timezone.now())) == [subscription]
    assert not actions.resume(subscription.key, HERE)
    assert kinds(subscription) == [ConsentKind.RESUMED]


@pytest.mark.parametrize("person", [ben, cleo, dina])
def test_only_active_subscriptions_can_be_paused(person: Callable[[], Subscription]) -> None:
    assert not actions.pause(person().key, 4, HERE)


def test_a_pause_has_one_of_the_offered_lengths() -> None:
    with pytest.raises(ValueError, match="weeks"):
        actions.pause(ada().key, 520, HERE)
