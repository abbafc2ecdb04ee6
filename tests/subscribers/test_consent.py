"""What readers can do with their subscription: every arrow, every refusal, and the proof of each."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable

import pytest
from django.db.models import F
from django.utils import timezone

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
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
from subscribers.suppression import is_suppressed, suppress_addresses
from tests.people import ADA, BEN, DINA, EMIL, ada, ben, cleo, dina, emil, finn, make_mailing_list

pytestmark = pytest.mark.django_db

GUS = "Gus@Example.org"
EVIDENCE = Evidence(
    form="signup",
    text="You ask for Harbour Notes.",
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
    """What the newest confirmation mail of this subscription names."""
    subscription.refresh_from_db()
    return ConfirmationToken(key=subscription.key, request_number=subscription.request_number)


def time_passes(delta: datetime.timedelta) -> None:
    """Everything that has happened so far was that much earlier."""
    for model, columns in {
        TransactionalMail: ["created_at", "not_before"],
        Subscription: ["created_at", "requested_at", "confirmed_at", "ended_at"],
    }.items():
        model._default_manager.update(**{column: F(column) - delta for column in columns})


def kinds(subscription: Subscription) -> list[str]:
    return list(subscription.consents.order_by("pk").values_list("kind", flat=True))


# --- Asking ------------------------------------------------------------------------------------------------


def test_a_new_reader_waits_until_the_link_is_confirmed() -> None:
    assert ask() is RequestResult.CONFIRMATION
    gus = subscription_of(GUS)
    assert (gus.state, gus.request_number, gus.subscriber.address) == (State.PENDING, 1, GUS)
    assert not Subscription.objects.mailable(timezone.now()).exists()


def test_the_proof_of_a_request_says_who_where_and_to_which_words() -> None:
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


def test_an_address_in_other_letters_is_the_same_person() -> None:
    ask("gus@example.org")
    ask("GUS@example.org")
    assert Subscriber.objects.get().address == "gus@example.org"
    assert Subscription.objects.count() == 1


def test_who_reads_already_gets_one_note_a_day_and_nothing_changes() -> None:
    reader = ada()
    assert ask(ADA) is RequestResult.ALREADY_SUBSCRIBED
    assert ask(ADA) is RequestResult.LIMIT_REACHED
    time_passes(datetime.timedelta(hours=25))
    assert ask(ADA) is RequestResult.ALREADY_SUBSCRIBED
    reader.refresh_from_db()
    assert reader.state == State.ACTIVE
    assert set(TransactionalMail.objects.values_list("kind", flat=True)) == {TransactionalMailKind.ALREADY_SUBSCRIBED}


def test_nobody_can_cause_more_than_three_mails_a_day_and_five_without_an_answer() -> None:
    outcomes = []
    for _day in range(4):
        outcomes += [ask() for _ in range(5)]
        time_passes(datetime.timedelta(hours=25))
    assert outcomes[:5] == [RequestResult.CONFIRMATION] * 3 + [RequestResult.LIMIT_REACHED] * 2
    assert outcomes.count(RequestResult.CONFIRMATION) == TransactionalMail.objects.count() == 5


def test_a_mail_that_the_provider_refused_bars_nobody() -> None:
    for _ in range(3):
        ask()
        TransactionalMail.objects.update(state=TransactionalMailState.FAILED)
    assert ask() is RequestResult.CONFIRMATION


def test_an_editor_can_let_mails_go_to_somebody_whom_strangers_have_used_up() -> None:
    for _ in range(6):
        ask()
        time_passes(datetime.timedelta(hours=25))
    assert ask() is RequestResult.LIMIT_REACHED
    assert actions.allow_signups_again([Subscriber.objects.get().pk]) == 1
    assert ask() is RequestResult.CONFIRMATION


def test_a_confirmation_sets_the_count_of_unanswered_mails_back() -> None:
    for _ in range(3):
        ask()
        time_passes(datetime.timedelta(hours=25))
    ask()
    gus = subscription_of(GUS)
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.OPEN
    actions.unsubscribe(gus.key, HERE)
    time_passes(datetime.timedelta(hours=25))
    assert [ask() for _ in range(3)] == [RequestResult.CONFIRMATION] * 3


def test_a_complaint_keeps_out_and_no_row_names_the_person() -> None:
    suppress_addresses({GUS.lower(): (Reason.COMPLAINT, "")})
    assert ask() is RequestResult.SUPPRESSED
    assert not Subscriber.objects.exists()
    assert not TransactionalMail.objects.exists()
    assert not Consent.objects.exists()


def test_somebody_suppressed_is_not_moved_by_a_request() -> None:
    reader = dina()
    assert ask(DINA) is RequestResult.SUPPRESSED
    reader.refresh_from_db()
    assert (reader.state, reader.request_number) == (State.SUPPRESSED, 0)


def test_asking_again_while_waiting_keeps_the_links_of_all_mails_alive() -> None:
    ask()
    first = link_of(subscription_of(GUS))
    time_passes(datetime.timedelta(days=6))
    ask()
    time_passes(datetime.timedelta(days=6))
    assert double_opt_in.confirm(first, HERE).status is ConfirmationStatus.OPEN


# --- Confirming --------------------------------------------------------------------------------------------


def test_a_confirmation_makes_a_reader_and_keeps_its_proof() -> None:
    ask()
    gus = subscription_of(GUS)
    assert (
        double_opt_in.confirm(link_of(gus), Evidence(form="confirm", ip="192.0.2.9")).status is ConfirmationStatus.OPEN
    )
    gus.refresh_from_db()
    assert gus.state == State.ACTIVE
    assert gus.confirmed_at is not None
    assert list(Subscription.objects.mailable(timezone.now())) == [gus]
    assert kinds(gus) == [ConsentKind.REQUESTED, ConsentKind.CONFIRMED]
    proof = gus.consents.get(kind=ConsentKind.CONFIRMED)
    assert (proof.ip, proof.transactional_mail) == ("192.0.2.9", TransactionalMail.objects.get())


def test_a_second_click_finds_it_confirmed_and_writes_nothing() -> None:
    ask()
    gus = subscription_of(GUS)
    link = link_of(gus)
    double_opt_in.confirm(link, HERE)
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.DONE
    assert kinds(gus).count(ConsentKind.CONFIRMED) == 1


def test_a_late_confirm_click_does_not_undo_an_unsubscribe() -> None:
    ask()
    gus = subscription_of(GUS)
    link = link_of(gus)
    double_opt_in.confirm(link, HERE)
    actions.unsubscribe(gus.key, HERE)
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.ENDED
    gus.refresh_from_db()
    assert gus.state == State.UNSUBSCRIBED


def test_a_new_request_after_leaving_makes_the_old_link_void() -> None:
    ask()
    gus = subscription_of(GUS)
    old = link_of(gus)
    actions.unsubscribe(gus.key, HERE)
    ask()
    assert double_opt_in.confirm(old, HERE).status is ConfirmationStatus.ENDED
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.OPEN


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


def test_a_request_after_an_expired_one_gets_a_link_of_its_own() -> None:
    ask()
    gus = subscription_of(GUS)
    old = link_of(gus)
    time_passes(datetime.timedelta(days=8))
    ask()
    assert double_opt_in.confirm(old, HERE).status is ConfirmationStatus.ENDED
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.OPEN


def test_a_confirmation_link_of_an_erased_reader_belongs_to_nobody() -> None:
    gone = ConfirmationToken(key=uuid.uuid4(), request_number=1)
    assert double_opt_in.confirm(gone, HERE).status is ConfirmationStatus.GONE


def test_a_mailbox_that_came_back_may_confirm_anew_and_its_bounce_is_forgotten() -> None:
    reader = emil()
    assert ask(EMIL) is RequestResult.CONFIRMATION
    assert is_suppressed(EMIL)
    assert double_opt_in.confirm(link_of(reader), HERE).status is ConfirmationStatus.OPEN
    reader.refresh_from_db()
    assert reader.state == State.ACTIVE
    assert not is_suppressed(EMIL)


def test_a_complaint_that_comes_while_waiting_keeps_the_confirmation_from_working() -> None:
    reader = emil()
    ask(EMIL)
    link = link_of(reader)
    suppress_addresses({EMIL: (Reason.COMPLAINT, "")})
    assert double_opt_in.confirm(link, HERE).status is ConfirmationStatus.ENDED
    assert is_suppressed(EMIL)


def test_a_lasting_suppression_alone_is_enough_to_keep_out() -> None:
    waiting = ben()
    suppress_addresses({BEN: (Reason.MANUAL, "")})
    Subscription.objects.filter(pk=waiting.pk).update(state=State.PENDING)
    assert double_opt_in.confirm(link_of(waiting), HERE).status is ConfirmationStatus.ENDED
    assert Suppression.objects.count() == 1


# --- Leaving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [ada, ben, finn])
def test_leaving_takes_effect_at_once(person: Callable[[], Subscription]) -> None:
    reader = person()
    assert actions.unsubscribe(reader.key, HERE)
    reader.refresh_from_db()
    assert (reader.state, reader.paused_until) == (State.UNSUBSCRIBED, None)
    assert reader.ended_at is not None
    assert kinds(reader) == [ConsentKind.UNSUBSCRIBED]


@pytest.mark.parametrize("person", [cleo, dina, emil])
def test_who_is_out_already_stays_as_they_are(person: Callable[[], Subscription]) -> None:
    reader = person()
    before = kinds(reader)
    assert not actions.unsubscribe(reader.key, HERE)
    assert (subscription_of(reader.subscriber.canonical).state, kinds(reader)) == (reader.state, before)


def test_leaving_one_list_keeps_the_others() -> None:
    here, there = ada(), ada(make_mailing_list("tide-tables"))
    actions.unsubscribe(here.key, HERE)
    there.refresh_from_db()
    assert there.state == State.ACTIVE


def test_this_was_not_me_ends_the_request_and_all_further_confirmation_mails() -> None:
    ask()
    gus = subscription_of(GUS)
    actions.decline(gus.key, HERE)
    gus.refresh_from_db()
    assert gus.state == State.UNSUBSCRIBED
    assert ask() is RequestResult.DECLINED
    assert ask(slug="tide-tables") is RequestResult.DECLINED
    assert (TransactionalMail.objects.count(), Subscription.objects.count()) == (1, 1)


def test_this_was_not_me_leaves_the_lists_that_the_person_reads() -> None:
    reader = ada()
    assert ask(ADA, slug="tide-tables") is RequestResult.CONFIRMATION
    actions.decline(Subscription.objects.get(mailing_list__slug="tide-tables").key, HERE)
    reader.refresh_from_db()
    assert reader.state == State.ACTIVE


def test_the_unsubscribe_button_of_an_old_confirmation_mail_unsubscribes_and_blocks_nothing() -> None:
    reader = ada()
    actions.decline(reader.key, HERE)
    reader.refresh_from_db()
    assert reader.state == State.UNSUBSCRIBED
    assert kinds(reader) == [ConsentKind.UNSUBSCRIBED]
    assert ask(ADA) is RequestResult.CONFIRMATION


def test_who_declined_by_mistake_may_ask_again_from_the_same_mail() -> None:
    ask()
    gus = subscription_of(GUS)
    actions.decline(gus.key, HERE)
    assert double_opt_in.request_again(gus.key, EVIDENCE)
    assert double_opt_in.confirm(link_of(gus), HERE).status is ConfirmationStatus.OPEN


def test_undo_after_leaving_asks_by_mail_and_makes_nobody_active() -> None:
    reader = ada()
    actions.unsubscribe(reader.key, HERE)
    assert double_opt_in.request_again(reader.key, EVIDENCE)
    reader.refresh_from_db()
    assert reader.state == State.PENDING
    assert TransactionalMail.objects.get().kind == TransactionalMailKind.CONFIRMATION


def test_asking_again_for_an_erased_reader_does_nothing() -> None:
    assert not double_opt_in.request_again(uuid.uuid4(), EVIDENCE)
    assert not TransactionalMail.objects.exists()


# --- Resting -----------------------------------------------------------------------------------------------


def test_a_paused_reader_gets_no_issues_until_the_pause_ends_by_itself() -> None:
    reader, now = ada(), timezone.now()
    assert actions.pause(reader.key, 2, HERE)
    assert not Subscription.objects.mailable(now).exists()
    assert list(Subscription.objects.mailable(now + datetime.timedelta(weeks=2, minutes=1))) == [reader]
    assert kinds(reader) == [ConsentKind.PAUSED]


def test_a_reader_may_end_the_pause() -> None:
    reader = finn()
    assert actions.resume(reader.key, HERE)
    assert list(Subscription.objects.mailable(timezone.now())) == [reader]
    assert not actions.resume(reader.key, HERE)
    assert kinds(reader) == [ConsentKind.RESUMED]


@pytest.mark.parametrize("person", [ben, cleo, dina])
def test_only_readers_can_pause(person: Callable[[], Subscription]) -> None:
    assert not actions.pause(person().key, 4, HERE)


def test_a_pause_has_one_of_the_offered_lengths() -> None:
    with pytest.raises(ValueError, match="weeks"):
        actions.pause(ada().key, 520, HERE)
