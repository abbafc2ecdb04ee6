"""Operators get one mail each about an endpoint that the worker has disabled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage

from newsletter.models import WebhookEndpoint
from newsletter.notifications.endpoints import activate_endpoint, disable_endpoint
from newsletter.notifications.operator_mail import mail_operators
from subscribers.transactional.outbox import MailBackendError
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture
def operators(db: None) -> None:
    make_newsletter()
    User.objects.create_superuser("edda", "edda@example.org", "a long password")
    User.objects.create_superuser("old", "old@example.org", "a long password", is_active=False)
    User.objects.create_superuser("silent", "", "a long password")
    User.objects.create_user("will", "will@example.org", "a long password", is_staff=True)


def test_superusers_are_told_once_what_was_disabled_and_where_to_activate_it(
    endpoint: WebhookEndpoint, operators: None, mailoutbox: list[Any]
) -> None:
    disable_endpoint(endpoint, by="worker", reason="gone")
    assert mail_operators()
    assert not mail_operators()
    (mail,) = mailoutbox
    assert mail.to == ["edda@example.org"]
    assert mail.from_email == "Harbour Notes <notes@mail.example.org>"
    assert mail.subject == "The webhook endpoint “Shop /hook” was disabled"
    assert "The endpoint answered 410" in mail.body
    assert f"/admin/newsletter/webhookendpoint/{endpoint.pk}/change/" in mail.body
    assert mail.idempotency_key.startswith("endpoint-disabled:")


def test_an_editor_who_disables_an_endpoint_needs_no_mail(
    endpoint: WebhookEndpoint, operators: None, mailoutbox: list[Any]
) -> None:
    disable_endpoint(endpoint, by="edda", reason="disabled")
    assert not mail_operators()


def test_one_that_was_activated_meanwhile_needs_none_either(
    endpoint: WebhookEndpoint, operators: None, mailoutbox: list[Any]
) -> None:
    disable_endpoint(endpoint, by="worker", reason="gone")
    activate_endpoint(endpoint, by="edda")
    assert not mail_operators()


@pytest.mark.parametrize(("permanent", "left"), [(True, 0), (False, 1)])
def test_a_mail_that_is_not_accepted_now_is_tried_again_and_one_that_never_will_is_not(
    endpoint: WebhookEndpoint, operators: None, monkeypatch: pytest.MonkeyPatch, permanent: bool, left: int
) -> None:
    def refuse(message: EmailMessage, fail_silently: bool = False) -> int:
        raise MailBackendError("refused", permanent=permanent)

    monkeypatch.setattr(EmailMessage, "send", refuse)
    disable_endpoint(endpoint, by="worker", reason="gone")
    if permanent:
        assert mail_operators()
    else:
        with pytest.raises(MailBackendError):
            mail_operators()
    assert WebhookEndpoint.objects.filter(mail_due=True).count() == left


def test_without_an_operator_with_an_address_the_log_says_so(
    endpoint: WebhookEndpoint, caplog: pytest.LogCaptureFixture, mailoutbox: list[Any], open_at: Callable[..., Any]
) -> None:
    disable_endpoint(endpoint, by="worker", reason="gone")
    assert mail_operators()
    assert mailoutbox == []
    assert "No mail about a disabled webhook endpoint" in caplog.text
