"""After a complaint: a new request waits for 30 days, and only the subscriber's confirmation makes it active."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from subscribers import suppression
from subscribers.addresses import parse_address
from subscribers.consent import double_opt_in
from subscribers.consent.actions import unsubscribe, unsubscribe_everywhere
from subscribers.consent.double_opt_in import PROVIDER_DELAY, ConfirmationStatus, RequestResult
from subscribers.consent.tokens import ConfirmationToken
from subscribers.directory.add import add_with_confirmation, add_with_proof
from subscribers.directory.lift import lift_suppression
from subscribers.directory.proof import ProofKind
from subscribers.models import (
    CONFIRMED_AFTER_HOLD,
    Consent,
    Evidence,
    LiftedSuppression,
    MailingList,
    Signup,
    SignupState,
    Subscription,
    Suppression,
    TransactionalMail,
    TransactionalMailKind,
    TransactionalMailReason,
    fingerprint,
)
from subscribers.models import SubscriptionState as State
from subscribers.models import SuppressionReason as Reason
from subscribers.privacy.retention import purge_expired
from subscribers.signup.queue import delete_old_signups, process_signups, store_signup
from subscribers.suppression import get_suppression, suppress_addresses
from subscribers.transactional.blocked import blocked_reason
from subscribers.transactional.compose import enqueue_mail
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import DINA, make_mailing_list, make_subscription
from tests.subscribers.imports.importing import imported
from tests.subscribers.imports.test_engine import row

pytestmark = pytest.mark.django_db

HERE = Evidence(form="signup", ip="192.0.2.7")
DAY = datetime.timedelta(days=1)


def complained(ago: datetime.timedelta = DAY) -> Subscription:
    """Dina, whose complaint came so long ago."""
    subscription = make_subscription(DINA, request_number=1)
    at = timezone.now() - ago
    suppress_addresses({DINA: (Reason.COMPLAINT, "")}, Evidence(form="suppression", at=at))
    Suppression.objects.update(created_at=at)
    subscription.refresh_from_db()
    return subscription


def lifted() -> Subscription:
    subscription = complained()
    lift_suppression(subscription.subscriber, words="She pressed the wrong button.", by="ida")
    return subscription


def suppressed(reason: Reason) -> Subscription:
    subscription = make_subscription(DINA, request_number=1)
    suppress_addresses({DINA: (reason, "")})
    subscription.refresh_from_db()
    return subscription


def sign_up() -> None:
    store_signup(make_mailing_list(), parse_address(DINA), HERE)
    process_signups()


def editor_adds() -> None:
    add_with_proof(
        make_mailing_list(), parse_address(DINA), first_name="", kind=ProofKind.PAPER_OR_EVENT, statement="x", by="ida"
    )


def old_link() -> ConfirmationStatus:
    subscription = Subscription.objects.get()
    return double_opt_in.confirm(ConfirmationToken(subscription.key, subscription.request_number), HERE).status


class Clock:
    """The time that the code sees."""

    def __init__(self) -> None:
        self.skipped = datetime.timedelta(0)

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + self.skipped


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(timezone, "now", found.now)
    return found


STATES: dict[str, Callable[[], Subscription]] = {
    "unsubscribed": lambda: make_subscription(DINA, state=State.UNSUBSCRIBED, request_number=1),
    "bounced": lambda: suppressed(Reason.HARD_BOUNCE),
    "complained yesterday": complained,
    "complained 29 days ago": lambda: complained(29 * DAY),
    "complained 31 days ago": lambda: complained(31 * DAY),
    "complained, lifted by an editor": lifted,
    "suppressed by an editor": lambda: suppressed(Reason.MANUAL),
    "on the provider's list": lambda: suppressed(Reason.PROVIDER),
}

ACTIONS: dict[str, Callable[[], Any]] = {
    "signs up": sign_up,
    "asks again by a link": lambda: double_opt_in.request_again(Subscription.objects.get().key, HERE),
    "an editor asks": lambda: add_with_confirmation(make_mailing_list(), parse_address(DINA), first_name="", by="ida"),
    "an editor adds with proof": editor_adds,
    "an import": lambda: imported([row(DINA)]),
    "opens an old link": old_link,
}

#: In the order of ACTIONS. Where nothing is said, nothing happens.
OUTCOMES = {
    "unsubscribed": ("mail", "mail", "mail"),
    "bounced": ("mail", "mail", "mail"),
    "complained yesterday": ("waits", "waits"),
    "complained 29 days ago": ("waits", "waits"),
    "complained 31 days ago": ("mail", "mail"),
    "complained, lifted by an editor": ("mail", "mail", "mail"),
    "suppressed by an editor": (),
    "on the provider's list": (),
}
CELLS = [
    (state, action, (*OUTCOMES[state], *("",) * len(ACTIONS))[position])
    for state in STATES
    for position, action in enumerate(ACTIONS)
]


@pytest.mark.parametrize(("state", "action", "outcome"), CELLS)
def test_each_state_answers_each_action_as_the_rule_says(state: str, action: str, outcome: str) -> None:
    before = STATES[state]().state
    ACTIONS[action]()
    mails = TransactionalMail.objects.filter(kind=TransactionalMailKind.CONFIRMATION)
    assert (mails.count(), Signup.objects.on_hold().count()) == (outcome == "mail", outcome == "waits")
    assert Subscription.objects.get().state == (State.PENDING if outcome == "mail" else before)


def test_every_state_and_every_action_is_in_the_table() -> None:
    assert OUTCOMES.keys() == STATES.keys()


def test_the_mail_is_sent_after_30_days_and_the_confirmation_lifts_the_complaint(
    clock: Clock, mailoutbox: list[Any]
) -> None:
    complained(10 * DAY)
    sign_up()
    clock.skipped = 19 * DAY
    process_signups()
    assert not TransactionalMail.objects.exists()
    clock.skipped = 20 * DAY
    process_signups()
    assert not Signup.objects.on_hold().exists()
    # Defaults of columns have the time of the machine.
    TransactionalMail.objects.update(created_at=clock.now())
    send_due_transactional_mails()
    assert not mailoutbox, "the provider is told first to deliver mail again"
    clock.skipped += PROVIDER_DELAY
    send_due_transactional_mails()
    assert [mail.to for mail in mailoutbox] == [[DINA]]
    assert get_suppression(DINA), "until she confirms"
    assert old_link() is ConfirmationStatus.CONFIRMED
    assert Subscription.objects.get().state == State.ACTIVE
    assert get_suppression(DINA) is None
    record = LiftedSuppression.objects.get()
    assert (record.reason, record.by, record.explanation) == (Reason.COMPLAINT, "", CONFIRMED_AFTER_HOLD)


def test_a_complaint_about_the_mail_after_the_hold_begins_a_new_one(clock: Clock) -> None:
    complained(31 * DAY)
    sign_up()
    suppress_addresses({DINA: (Reason.COMPLAINT, "")})
    assert Subscription.objects.get().state == State.SUPPRESSED
    assert old_link() is ConfirmationStatus.ENDED
    assert double_opt_in.request_subscription(make_mailing_list(), parse_address(DINA), HERE) is RequestResult.ON_HOLD
    clock.skipped = 30 * DAY
    assert (
        double_opt_in.request_subscription(make_mailing_list(), parse_address(DINA), HERE) is RequestResult.CONFIRMATION
    )


def test_a_complaint_of_somebody_who_is_not_stored_holds_a_sign_up_that_is_stored_only_as_such() -> None:
    suppress_addresses({DINA: (Reason.COMPLAINT, "")})
    sign_up()
    assert Signup.objects.on_hold().count() == 1
    assert not Subscription.objects.exists()


def test_repeated_requests_wait_as_one_and_cause_one_mail(clock: Clock) -> None:
    subscription = complained()
    sign_up()
    store_signup(make_mailing_list(), parse_address(DINA.upper().replace("EXAMPLE.ORG", "example.org")), HERE)
    process_signups()
    double_opt_in.request_again(subscription.key, HERE)
    assert Signup.objects.on_hold().count() == 1
    assert Signup.objects.filter(state=SignupState.REFUSED).count() == 1
    clock.skipped = 30 * DAY
    process_signups()
    process_signups()
    assert TransactionalMail.objects.count() == 1


def test_the_database_refuses_a_second_request_on_hold() -> None:
    complained()
    sign_up()
    first = Signup.objects.on_hold().get()
    again = Signup(
        mailing_list=first.mailing_list, address=DINA, evidence={}, reason=first.reason, due_at=timezone.now()
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        again.save()


def test_lifting_the_complaint_ends_the_hold_at_once() -> None:
    subscription = complained()
    sign_up()
    lift_suppression(subscription.subscriber, words="She pressed the wrong button.", by="ida")
    process_signups()
    assert not Signup.objects.on_hold().exists()
    mail = TransactionalMail.objects.get()
    assert mail.not_before <= timezone.now()


def test_a_request_that_is_on_hold_keeps_its_proof_and_is_not_late(clock: Clock) -> None:
    complained()
    sign_up()
    clock.skipped = 20 * DAY
    assert not Signup.objects.waiting().exists()
    purge_expired()
    delete_old_signups()
    stored = Signup.objects.on_hold().get()
    clock.skipped = 30 * DAY
    assert Signup.objects.waiting().exists()
    process_signups()
    proof = Consent.objects.filter(kind="requested").get()
    assert (proof.ip, proof.created_at) == ("192.0.2.7", stored.created_at)


def test_a_request_on_hold_that_fails_once_is_tried_again(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    complained()
    sign_up()
    clock.skipped = 30 * DAY
    MailingList.objects.update(sender_name="two\nlines")
    process_signups()
    assert "could not be processed" in caplog.text
    MailingList.objects.update(sender_name="One line")
    clock.skipped += DAY
    process_signups()
    assert TransactionalMail.objects.count() == 1


def test_other_mails_stay_blocked_after_the_hold() -> None:
    subscription = complained(31 * DAY)
    Subscription.objects.update(state=State.ACTIVE)
    mail = enqueue_mail(TransactionalMailKind.ALREADY_SUBSCRIBED, subscription, {}, one_click_url="https://x.example")
    assert blocked_reason(mail) == TransactionalMailReason.SUPPRESSED


def test_a_mail_of_an_earlier_request_is_not_sent_after_a_complaint() -> None:
    subscription = make_subscription(DINA, state=State.UNSUBSCRIBED)
    sign_up()
    suppress_addresses({DINA: (Reason.COMPLAINT, "")})
    assert blocked_reason(TransactionalMail.objects.get()) == TransactionalMailReason.SUPPRESSED
    assert double_opt_in.confirm(ConfirmationToken(subscription.key, 1), HERE).status is ConfirmationStatus.ENDED


def test_the_mail_after_the_hold_is_announced_to_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(suppression, "LIFT_LISTENERS", [heard.extend])
    complained(31 * DAY)
    sign_up()
    assert heard == [fingerprint(DINA)]


def test_the_confirmation_mail_to_an_address_that_bounced_is_announced_to_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(suppression, "LIFT_LISTENERS", [heard.extend])
    suppressed(Reason.HARD_BOUNCE)
    sign_up()
    assert heard == [fingerprint(DINA)]
    mail = TransactionalMail.objects.get()
    assert mail.not_before is not None
    assert mail.not_before - mail.created_at >= PROVIDER_DELAY - datetime.timedelta(minutes=1)


@pytest.mark.parametrize("leave", [unsubscribe, unsubscribe_everywhere])
def test_a_request_that_waits_is_withdrawn_by_an_unsubscribe_after_it(
    leave: Callable[[uuid.UUID, Evidence], object],
) -> None:
    subscription = complained()
    other = make_mailing_list("tide-tables", name="Tide Tables")
    for mailing_list in (subscription.mailing_list, other):
        store_signup(mailing_list, parse_address(DINA.title()), HERE)
        store_signup(mailing_list, parse_address("gus@example.net"), HERE)
    process_signups()
    assert Signup.objects.on_hold().count() == 2
    leave(subscription.key, Evidence(form="one-click"))
    waiting = [signup.mailing_list for signup in Signup.objects.on_hold()]
    assert waiting == ([other] if leave is unsubscribe else [])
    assert Signup.objects.filter(address="gus@example.net").count() == 2
