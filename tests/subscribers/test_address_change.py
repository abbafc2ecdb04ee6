"""Changes of address: in force once both mailboxes have agreed, whoever asked."""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subscribers.addresses import parse_address
from subscribers.consent import address_change
from subscribers.consent.actions import unsubscribe
from subscribers.consent.address_change import MAX_CHANGES_PER_DAY, agree, request_change
from subscribers.consent.data_requests import send_link
from subscribers.consent.double_opt_in import RequestResult, request_subscription
from subscribers.consent.tokens import Purpose, approve_address_url, confirm_address_url, preferences_url
from subscribers.imports.confirmed import import_confirmed
from subscribers.imports.outcomes import KeptReason, Outcome
from subscribers.models import (
    AddressChange,
    AddressChangeState,
    Change,
    ChangeKind,
    DataRequest,
    DataRequestKind,
    Evidence,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailKind,
)
from subscribers.models import TransactionalMailReason as Reason
from subscribers.models import TransactionalMailState as MailState
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import ADA, BEN, CLEO, DINA, EMIL, FINN, ada, ben, cleo, dina, emil, finn, make_mailing_list

pytestmark = pytest.mark.django_db

NEW = "Ada.New@example.net"
SITE = "http://127.0.0.1:8000"


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def asked(address: str = NEW) -> Subscription:
    subscription = ada()
    assert request_change(subscription.key, parse_address(address))
    return subscription


def mail_of(kind: TransactionalMailKind) -> TransactionalMail:
    return TransactionalMail.objects.filter(kind=kind).latest("pk")


def path_in(kind: TransactionalMailKind, purpose: Purpose) -> str:
    found = re.search(rf"{SITE}(/{purpose}/\S+)", mail_of(kind).text)
    assert found is not None
    return found[1]


def confirm_path() -> str:
    return path_in(TransactionalMailKind.ADDRESS_CONFIRM, Purpose.CONFIRM_ADDRESS)


def approve_path() -> str:
    return path_in(TransactionalMailKind.ADDRESS_APPROVE, Purpose.APPROVE_ADDRESS)


def refuse_path(kind: TransactionalMailKind = TransactionalMailKind.ADDRESS_APPROVE) -> str:
    return path_in(kind, Purpose.REFUSE_ADDRESS)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def press(client: Client, path: str, action: str = "agree") -> str:
    answer = client.post(path, {"action": action})
    assert answer.status_code == 200
    return text_of(answer)


def address() -> str:
    return Subscriber.objects.values_list("address", flat=True).get()


# --- Both have to agree ---------------------------------------------------------------------------------------------


def test_the_page_asks_both_mailboxes(client: Client, mailoutbox: list[Any]) -> None:
    path = preferences_url(ada().key).removeprefix(SITE)
    answer = client.post(path, {"action": "address", "email": NEW})
    assert answer.status_code == 303
    assert "one to your present address" in text_of(client.get(answer["Location"]))
    send_due_transactional_mails()
    assert sorted(mail.to[0] for mail in mailoutbox) == sorted([ADA, NEW])
    assert address() == ADA


@pytest.mark.parametrize("order", [("new", "old"), ("old", "new")])
def test_the_address_changes_once_both_have_agreed(client: Client, order: tuple[str, str]) -> None:
    asked()
    paths = {"new": confirm_path(), "old": approve_path()}
    waiting = press(client, paths[order[0]])
    assert "Thank you. The address changes as soon as" in waiting
    assert (address(), AddressChange.objects.get().state) == (ADA, AddressChangeState.OPEN)
    done = press(client, paths[order[1]])
    assert "Mails go to <strong>A•••@example.net</strong> from now on." in done
    ada_now = Subscriber.objects.get()
    assert (ada_now.address, ada_now.canonical) == (NEW, NEW.lower())
    change = Change.objects.get(kind=ChangeKind.ADDRESS)
    assert (change.values, change.by) == ({"from": ADA, "to": NEW}, "")


def test_one_side_alone_changes_nothing_however_often_it_agrees(client: Client) -> None:
    asked()
    for _ in range(3):
        press(client, confirm_path())
        client.post(preferences_url(Subscription.objects.get().key).removeprefix(SITE), {"action": "agree"})
    assert address() == ADA


def test_links_of_mails_to_the_old_address_work_after_the_change(client: Client) -> None:
    subscription = asked()
    press(client, confirm_path())
    press(client, approve_path())
    assert "Your preferences" in text_of(client.get(preferences_url(subscription.key).removeprefix(SITE)))
    assert "Mails go to" in text_of(client.get(approve_path()))


def test_reading_the_pages_changes_nothing(client: Client) -> None:
    asked()
    before = list(AddressChange.objects.values())
    for path in (confirm_path(), approve_path(), refuse_path()):
        for method in (client.get, client.head, client.options, client.put, client.delete):
            method(f"{path}?action=agree")
        assert client.post(path, {"action": "x"}).status_code == 400
    assert list(AddressChange.objects.values()) == before


def test_a_change_of_capital_letters_only_is_possible(client: Client) -> None:
    asked("ADA@example.org")
    press(client, confirm_path())
    press(client, approve_path())
    assert address() == "ADA@example.org"


# --- “It was not me” ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TransactionalMailKind.ADDRESS_APPROVE, TransactionalMailKind.ADDRESS_CONFIRM])
def test_either_mailbox_can_stop_the_change(client: Client, kind: TransactionalMailKind) -> None:
    asked()
    press(client, confirm_path())
    assert "It was not me" in text_of(client.get(refuse_path(kind)))
    assert "The address is not changed." in press(client, refuse_path(kind), "refuse")
    assert "The address is not changed" in press(client, approve_path())
    assert (address(), AddressChange.objects.get().state) == (ADA, AddressChangeState.DECLINED)


def test_the_pages_to_agree_have_the_button_to_stop_the_change_too(client: Client) -> None:
    asked()
    assert "It was not me" in text_of(client.get(approve_path()))
    assert "The address is not changed." in press(client, approve_path(), "refuse")
    assert address() == ADA


def test_one_click_of_the_mail_to_the_new_address_stops_the_change(client: Client) -> None:
    asked()
    header = mail_of(TransactionalMailKind.ADDRESS_CONFIRM).headers["List-Unsubscribe"]
    answer = client.post(header.strip("<>").removeprefix(SITE), {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, answer.content) == (200, b"Unsubscribed.\n")
    assert AddressChange.objects.get().state == AddressChangeState.DECLINED
    assert Subscription.objects.get().state == "active"


def test_the_new_address_gets_no_more_mails_after_it_was_not_me(mailoutbox: list[Any], client: Client) -> None:
    subscription = asked()
    press(client, refuse_path(TransactionalMailKind.ADDRESS_CONFIRM), "refuse")
    TransactionalMail.objects.all().delete()
    assert request_change(subscription.key, parse_address(NEW))
    send_due_transactional_mails()
    assert [mail.to for mail in mailoutbox] == [[ADA]]
    assert mail_of(TransactionalMailKind.ADDRESS_CONFIRM).reason == Reason.DECLINED


def test_a_change_that_is_done_stays_done(client: Client) -> None:
    asked()
    press(client, confirm_path())
    press(client, approve_path())
    assert "Mails go to" in press(client, refuse_path(), "refuse")
    assert address() == NEW


# --- Ended requests -------------------------------------------------------------------------------------------------


def test_links_work_for_seven_days(client: Client) -> None:
    asked()
    AddressChange.objects.update(requested_at=timezone.now() - datetime.timedelta(days=6, hours=23))
    press(client, confirm_path())
    AddressChange.objects.update(requested_at=timezone.now() - datetime.timedelta(days=7, hours=1))
    assert "This link is no longer valid" in press(client, approve_path())
    assert address() == ADA


def test_a_newer_request_replaces_the_open_one(client: Client, mailoutbox: list[Any]) -> None:
    subscription = asked()
    old_confirm, old_approve = confirm_path(), approve_path()
    assert request_change(subscription.key, parse_address("other@example.net"))
    press(client, old_confirm)
    press(client, old_approve)
    assert address() == ADA
    new_confirm, new_approve = confirm_path(), approve_path()
    send_due_transactional_mails()
    assert sorted(mail.to[0] for mail in mailoutbox) == [ADA, "other@example.net"]
    press(client, new_confirm)
    press(client, new_approve)
    assert address() == "other@example.net"


def test_requests_are_limited_by_subscriber_and_by_new_address() -> None:
    key = asked().key
    more = [request_change(key, parse_address(f"new-{number}@example.net")) for number in range(MAX_CHANGES_PER_DAY)]
    assert more == [True] * (MAX_CHANGES_PER_DAY - 1) + [False]
    finn_key = finn().key
    assert request_change(finn_key, parse_address(NEW))
    AddressChange.objects.update(canonical=NEW.lower(), subscriber=Subscriber.objects.get(canonical=ADA), state="done",
                                 new_confirmed_at=timezone.now(), old_approved_at=timezone.now())  # fmt: skip
    assert not request_change(finn_key, parse_address(NEW))


def test_old_changes_are_deleted() -> None:
    asked()
    address_change.delete_old_changes()
    assert AddressChange.objects.exists()
    AddressChange.objects.update(requested_at=timezone.now() - datetime.timedelta(days=31))
    address_change.delete_old_changes()
    assert not AddressChange.objects.exists()


@pytest.mark.parametrize("person", [ben, cleo, dina, emil])
def test_only_an_active_subscriber_can_ask(client: Client, person: Any) -> None:
    subscription = person()
    mails = TransactionalMail.objects.count()
    path = preferences_url(subscription.key).removeprefix(SITE)
    assert client.post(path, {"action": "address", "email": NEW}).status_code == 200
    assert not request_change(subscription.key, parse_address(NEW))
    assert (AddressChange.objects.count(), TransactionalMail.objects.count()) == (0, mails)


@pytest.mark.parametrize("typed", ["", "no address", "a@b", "x\x00@example.org", "x" * 1000])
def test_an_invalid_address_is_an_error_of_its_field(client: Client, typed: str) -> None:
    path = preferences_url(ada().key).removeprefix(SITE)
    shown = text_of(client.post(path, {"action": "address", "email": typed}))
    assert 'href="#new-address"' in shown
    assert "<details open>" in shown
    assert not AddressChange.objects.exists()


# --- Whom the new address belongs to --------------------------------------------------------------------------------


def test_the_answer_and_the_work_are_the_same_for_every_new_address(client: Client) -> None:
    for person in (ben, cleo, dina, emil, finn):
        person()
    path = preferences_url(ada().key).removeprefix(SITE)
    answers = set()
    for new in (NEW, BEN, CLEO, DINA, EMIL, FINN, ADA):
        AddressChange.objects.all().delete()
        TransactionalMail.objects.all().delete()
        with CaptureQueriesContext(connection) as captured:
            answer = client.post(path, {"action": "address", "email": new})
        work = tuple(re.split(" WHERE | VALUES | SET |SAVEPOINT", query["sql"])[0] for query in captured)
        answers.add((answer.status_code, answer["Location"], work))
        assert TransactionalMail.objects.count() == 2
    assert len(answers) == 1


def test_only_the_owner_of_a_taken_address_learns_that_it_is_taken(client: Client, mailoutbox: list[Any]) -> None:
    finn()
    asked(FINN)
    approve = approve_path()
    send_due_transactional_mails()
    to_finn, to_ada = sorted(mailoutbox, key=lambda mail: mail.to != [FINN])
    assert "already belongs to a subscriber" in to_finn.body
    assert "confirm-address" not in to_finn.body
    assert "already" not in to_ada.body
    press(client, approve)
    assert set(Subscriber.objects.values_list("address", flat=True)) == {ADA, FINN}


def test_an_address_that_is_taken_in_the_meantime_is_refused(client: Client) -> None:
    asked()
    press(client, confirm_path())
    Subscriber.objects.create(address=NEW, canonical=NEW.lower())
    assert "the new address cannot be used" in press(client, approve_path())
    assert Subscriber.objects.filter(address=ADA).exists()
    assert AddressChange.objects.get().state == AddressChangeState.REFUSED


@pytest.mark.parametrize(
    ("reason", "is_mailed", "moves"),
    [(SuppressionReason.COMPLAINT, False, False), (SuppressionReason.HARD_BOUNCE, True, True)],
)
def test_a_suppressed_new_address_follows_the_rules_of_a_sign_up(
    client: Client, mailoutbox: list[Any], reason: SuppressionReason, is_mailed: bool, moves: bool
) -> None:
    suppress_addresses({NEW.lower(): (reason, "")})
    asked()
    send_due_transactional_mails()
    assert ([NEW] in [mail.to for mail in mailoutbox]) == is_mailed
    confirm = re.search(rf"{SITE}(/confirm-address/\S+)", str([mail.body for mail in mailoutbox]))
    change = AddressChange.objects.get()
    token = confirm[1].split("\\")[0] if confirm else confirm_address_url(change.key)
    agree(Purpose.CONFIRM_ADDRESS, token.rpartition("/")[2])
    agree(Purpose.APPROVE_ADDRESS, approve_address_url(change.key).rpartition("/")[2])
    assert (address() == NEW) == moves
    assert Suppression.objects.exists() != moves


def test_a_mail_about_a_change_is_not_sent_after_an_unsubscribe(mailoutbox: list[Any]) -> None:
    subscription = asked()
    Subscription.objects.filter(pk=subscription.pk).update(state="unsubscribed")
    send_due_transactional_mails()
    assert mailoutbox == []
    assert set(TransactionalMail.objects.values_list("state", "reason")) == {
        (MailState.WITHDRAWN, Reason.NOT_SUBSCRIBED)
    }


def test_links_to_the_data_that_went_to_the_old_address_stop_working(client: Client) -> None:
    subscription = asked()
    send_link(subscription.key, DataRequestKind.ERASE)
    press(client, confirm_path())
    press(client, approve_path())
    assert DataRequest.objects.get().used_at is not None


# --- What mails and pages show --------------------------------------------------------------------------------------


def test_no_mail_contains_the_other_address_or_what_was_typed() -> None:
    asked("visit-my-shop@pills.example")
    to_old = mail_of(TransactionalMailKind.ADDRESS_APPROVE)
    to_new = mail_of(TransactionalMailKind.ADDRESS_CONFIRM)
    assert "pills" not in f"{to_old.subject}{to_old.text}{to_old.html}"
    for mail in (to_old, to_new):
        assert "ada" not in f"{mail.subject}{mail.text}".lower()


def test_the_page_for_the_new_mailbox_shows_nothing_of_the_old(client: Client) -> None:
    asked()
    page = text_of(client.get(confirm_path()))
    assert "A•••@example.net" in page
    assert "example.org" not in page.replace("editors@example.org", "").replace("notes@mail.example.org", "")
    both = text_of(client.get(approve_path()))
    assert "a•••@example.org" in both
    assert ADA not in both
    assert NEW not in both


def test_the_preferences_page_says_who_has_agreed(client: Client) -> None:
    path = preferences_url(asked().key).removeprefix(SITE)
    assert "The new address has not confirmed yet." in text_of(client.get(path))
    press(client, confirm_path())
    page = text_of(client.get(path))
    assert "The new address has confirmed." in page
    assert "Your present address has not approved yet." in page
    assert NEW not in page


def test_the_pages_speak_the_language_of_the_subscriber(client: Client) -> None:
    asked()
    Subscriber.objects.update(language="de")
    assert client.get(confirm_path())["Content-Language"] == "de"


# --- At the same time -----------------------------------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_both_sides_can_agree_at_the_same_moment() -> None:
    asked()
    tokens = {
        Purpose.CONFIRM_ADDRESS: confirm_path().rpartition("/")[2],
        Purpose.APPROVE_ADDRESS: approve_path().rpartition("/")[2],
    }
    start = threading.Barrier(4)

    def press_at_once(purpose: Purpose) -> None:
        try:
            start.wait(timeout=10)
            agree(purpose, tokens[purpose])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(press_at_once, purpose) for purpose in [*tokens, *tokens]]:
            future.result()
    assert address() == NEW
    assert Change.objects.filter(kind=ChangeKind.ADDRESS).count() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_agreeing_and_refusing_at_the_same_moment_one_wins() -> None:
    for _ in range(5):
        AddressChange.objects.all().delete()
        Subscriber.objects.all().delete()
        asked()
        approve = approve_path().rpartition("/")[2]
        agree(Purpose.CONFIRM_ADDRESS, confirm_path().rpartition("/")[2])
        start = threading.Barrier(2)

        def press_at_once(act: Callable[[str, Purpose], object], token: str, start: threading.Barrier) -> None:
            try:
                start.wait(timeout=10)
                act(token, Purpose.APPROVE_ADDRESS)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            acts: list[Callable[[str, Purpose], object]] = [
                address_change.refuse,
                lambda token, purpose: agree(purpose, token),
            ]
            for future in [threads.submit(press_at_once, act, approve, start) for act in acts]:
                future.result()
        is_done = AddressChange.objects.get().state == AddressChangeState.DONE
        assert (address() == NEW) == is_done


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_requests_at_the_same_moment_one_stays_open() -> None:
    subscription, start = ada(make_mailing_list()), threading.Barrier(2)

    def ask(number: int) -> None:
        try:
            start.wait(timeout=10)
            assert request_change(subscription.key, parse_address(f"new-{number}@example.net"))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(ask, number) for number in (1, 2)]:
            future.result()
    assert sorted(AddressChange.objects.values_list("state", flat=True)) == ["open", "replaced"]


def test_no_file_adds_the_former_address_again_to_the_lists_that_its_subscriber_is_on_or_left() -> None:
    subscription = asked()
    left = ada(make_mailing_list("tide-tables", name="Tide Tables"))
    unsubscribe(left.key, Evidence(form="unsubscribe"))
    for purpose, url in ((Purpose.CONFIRM_ADDRESS, confirm_path()), (Purpose.APPROVE_ADDRESS, approve_path())):
        agree(purpose, url.rpartition("/")[2])
    for mailing_list in (subscription.mailing_list, left.mailing_list):
        result = import_confirmed(mailing_list, [ADA], proof="An old file.")
        assert result.outcomes == {Outcome.KEPT: {KeptReason.DELETED: 1}}
    assert address() == NEW
    # Its owner may sign up again.
    asked_for = request_subscription(subscription.mailing_list, parse_address(ADA), Evidence(form="signup"))
    assert asked_for is RequestResult.CONFIRMATION
