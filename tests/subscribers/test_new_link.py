"""“Send me a new link”, on the page of a preferences link that does not work."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from subscribers.models import LinkRequest, MailingList, Subscription, SuppressionReason, TransactionalMail
from subscribers.models import TransactionalMailKind as Kind
from subscribers.signup.links import LIFETIME, MAX_PER_ADDRESS, send_requested_links
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import ADA, BEN, CLEO, DINA, ada, ben, cleo, dina, emil, make_mailing_list

pytestmark = pytest.mark.django_db

DEAD = "/preferences/cut-off"


def ask(client: Client, address: str = ADA) -> Any:
    return client.post(DEAD, {"action": "new-link", "email": address})


def test_a_subscriber_gets_a_mail_with_a_link_that_works(client: Client, mailoutbox: list[Any]) -> None:
    ada()
    assert "Send me a new link" in client.get(DEAD).content.decode()
    answer = ask(client)
    assert (answer.status_code, answer["Location"]) == (303, f"{DEAD}?asked")
    page = client.get(answer["Location"])
    assert page.status_code == 200
    assert "If the address is subscribed" in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert not mailoutbox, "the worker sends it"
    assert not send_requested_links()
    send_due_transactional_mails()
    (mail,) = mailoutbox
    assert mail.to == [ADA]
    link = re.search(r"http://127\.0\.0\.1:8000(/preferences/\S+)", mail.body)
    assert link is not None
    assert client.get(link[1]).status_code == 200
    assert not LinkRequest.objects.exists()


def test_each_active_list_gets_a_mail_in_its_own_language() -> None:
    client = Client()
    subscription = ada()
    german = make_mailing_list("hafen", name="Hafen", language="de")
    Subscription.objects.create(
        mailing_list=german, subscriber=subscription.subscriber, state="active", confirmed_at=timezone.now()
    )
    cleo(german)
    ask(client)
    send_requested_links()
    mails = TransactionalMail.objects.filter(kind=Kind.PREFERENCES_LINK)
    assert set(mails.values_list("subscription__mailing_list__slug", flat=True)) == {"harbour-notes", "hafen"}
    assert len(set(mails.values_list("subject", flat=True))) == 2


def test_the_answer_and_the_work_are_the_same_for_every_address(client: Client) -> None:
    for person in (ada, ben, cleo, dina, emil):
        person()
    answers = set()
    for address in (ADA, BEN, CLEO, DINA, "emil@example.org", "stranger@example.org"):
        with CaptureQueriesContext(connection) as captured:
            answer = ask(client, address)
        page = client.get(answer["Location"])
        answers.add((answer.status_code, answer["Location"], page.content, len(captured)))
    assert len(answers) == 1
    while send_requested_links():
        pass
    assert list(TransactionalMail.objects.values_list("recipient", flat=True)) == [ADA]


def test_a_suppressed_address_gets_no_mail(client: Client, mailoutbox: list[Any]) -> None:
    ada()
    ask(client)
    send_requested_links()
    suppress_addresses({ADA: (SuppressionReason.MANUAL, "")})
    send_due_transactional_mails()
    assert not mailoutbox


def test_mails_to_one_address_are_limited_without_a_word(client: Client) -> None:
    ada()
    answers = {ask(client).status_code for _ in range(MAX_PER_ADDRESS + 3)}
    assert answers == {303}
    assert LinkRequest.objects.count() == MAX_PER_ADDRESS
    send_requested_links()
    assert TransactionalMail.objects.count() == MAX_PER_ADDRESS


def test_requests_of_one_network_are_limited(client: Client, settings: Settings) -> None:
    settings.SIGNUP_NETWORK_LIMIT = 2
    for number in range(2):
        assert ask(client, f"reader-{number}@example.org").status_code == 303
    answer = ask(client)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 3600
    assert "Try again in an hour." in answer.content.decode()
    assert LinkRequest.objects.count() == 2


@pytest.mark.parametrize("typed", ["", "no address", "a" * 400, "\x00@example.org", "<b>@x"])
def test_what_is_no_address_is_an_error_at_the_field(client: Client, typed: str) -> None:
    answer = ask(client, typed)
    page = answer.content.decode()
    assert answer.status_code == 404
    assert 'aria-invalid="true"' in page
    assert "<b>@x" not in page
    assert not LinkRequest.objects.exists()


def test_other_posts_to_a_dead_link_change_nothing(client: Client) -> None:
    assert client.post(DEAD, {"action": "unsubscribe"}).status_code == 404
    assert client.post(DEAD, {"email": ADA}).status_code == 404
    assert not LinkRequest.objects.exists()


def test_a_request_that_waited_for_a_day_is_dropped(client: Client) -> None:
    ada()
    ask(client)
    LinkRequest.objects.update(created_at=timezone.now() - LIFETIME - datetime.timedelta(minutes=1))
    send_requested_links()
    assert not LinkRequest.objects.exists()
    assert not TransactionalMail.objects.exists()


def test_dead_links_of_other_pages_offer_no_new_link(client: Client) -> None:
    for page in ("unsubscribe", "confirm", "decline"):
        assert "Send me a new link" not in client.get(f"/{page}/cut-off").content.decode()
    assert MailingList.objects.count() == 0
