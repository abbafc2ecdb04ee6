"""Links to a copy of the data and to its deletion: to the confirmed address only, for a day, for one use."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from subscribers.consent import data_requests
from subscribers.consent.data_requests import MAX_LINKS_PER_DAY, read_data_request, send_link, use_data_request
from subscribers.models import DataRequest, DataRequestKind, Subscription, SuppressionReason, TransactionalMail
from subscribers.models import TransactionalMailReason as Reason
from subscribers.models import TransactionalMailState as MailState
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.people import ADA, ada, ben, cleo, dina, emil, finn

pytestmark = pytest.mark.django_db

KINDS = list(DataRequestKind)


def token_in(mail: TransactionalMail) -> str:
    found = re.search(rf"http://127\.0\.0\.1:8000/{mail.kind}/(\S+)", mail.text)
    assert found is not None
    assert found[0] in mail.html
    return found[1]


def sent_token(kind: DataRequestKind) -> str:
    assert send_link(ada().key, kind)
    return token_in(TransactionalMail.objects.get())


@pytest.mark.parametrize("kind", KINDS)
def test_the_link_goes_to_the_address_of_the_subscriber(kind: DataRequestKind, mailoutbox: list[Any]) -> None:
    token = sent_token(kind)
    send_due_transactional_mails()
    (mail,) = mailoutbox
    assert mail.to == [ADA]
    assert token in mail.body
    request = read_data_request(kind, token)
    assert request is not None
    assert request.subscriber.address == ADA


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_works_once(kind: DataRequestKind) -> None:
    token = sent_token(kind)
    request = read_data_request(kind, token)
    assert request is not None
    assert read_data_request(kind, token) is not None, "showing the page does not use the link"
    assert [use_data_request(request), use_data_request(request)] == [True, False]
    assert read_data_request(kind, token) is None


def test_a_link_of_the_one_kind_does_not_work_as_the_other() -> None:
    token = sent_token(DataRequestKind.ACCESS)
    assert read_data_request(DataRequestKind.ERASE, token) is None
    assert read_data_request(DataRequestKind.ACCESS, "forged") is None


def test_a_link_works_for_a_day() -> None:
    token = sent_token(DataRequestKind.ACCESS)
    request = read_data_request(DataRequestKind.ACCESS, token)
    assert request is not None
    DataRequest.objects.update(requested_at=timezone.now() - datetime.timedelta(hours=23))
    assert read_data_request(DataRequestKind.ACCESS, token) is not None
    DataRequest.objects.update(requested_at=timezone.now() - datetime.timedelta(hours=25))
    assert read_data_request(DataRequestKind.ACCESS, token) is None
    assert not use_data_request(request)


def test_a_mail_that_waited_for_a_day_is_not_sent(mailoutbox: list[Any]) -> None:
    sent_token(DataRequestKind.ERASE)
    TransactionalMail.objects.update(created_at=timezone.now() - datetime.timedelta(hours=25))
    send_due_transactional_mails()
    mail = TransactionalMail.objects.get()
    assert (mailoutbox, mail.state, mail.reason) == ([], MailState.WITHDRAWN, Reason.LINK_EXPIRED)


@pytest.mark.parametrize(
    ("person", "gets_link"), [(ada, True), (ben, False), (cleo, True), (dina, False), (emil, True), (finn, True)]
)
def test_only_a_confirmed_address_that_may_be_mailed_gets_a_link(
    person: Callable[[], Subscription], gets_link: bool
) -> None:
    assert send_link(person().key, DataRequestKind.ACCESS) == gets_link
    assert TransactionalMail.objects.exists() == DataRequest.objects.exists() == gets_link


def test_the_mails_to_one_subscriber_are_limited() -> None:
    key = ada().key
    sent = [send_link(key, DataRequestKind.ACCESS) for _ in range(MAX_LINKS_PER_DAY + 1)]
    assert sent == [True] * MAX_LINKS_PER_DAY + [False]
    assert send_link(key, DataRequestKind.ERASE), "each kind has its own limit"
    DataRequest.objects.update(requested_at=timezone.now() - datetime.timedelta(hours=25))
    assert send_link(key, DataRequestKind.ACCESS)


def test_a_suppressed_address_gets_no_mail_that_was_already_written(mailoutbox: list[Any]) -> None:
    sent_token(DataRequestKind.ACCESS)
    suppress_addresses({ADA: (SuppressionReason.COMPLAINT, "")})
    send_due_transactional_mails()
    assert (mailoutbox, TransactionalMail.objects.get().reason) == ([], Reason.SUPPRESSED)


def test_old_requests_are_deleted() -> None:
    sent_token(DataRequestKind.ACCESS)
    data_requests.delete_old_data_requests()
    assert DataRequest.objects.count() == 1
    DataRequest.objects.update(requested_at=timezone.now() - datetime.timedelta(days=31))
    data_requests.delete_old_data_requests()
    assert not DataRequest.objects.exists()
