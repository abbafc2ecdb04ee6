"""The doctor names endpoints that were disabled, that fail, or whose messages cannot be signed."""

from __future__ import annotations

import datetime

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from newsletter.models import WebhookEndpoint
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.monitoring.outgoing_diagnostics import outgoing_webhook_diagnostics
from newsletter.notifications.endpoints import activate_endpoint, disable_endpoint, open_endpoint, rotate_secret

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(db: None) -> WebhookEndpoint:
    made = WebhookEndpoint(name="Shop", url="https://shop.example/hook", types=["issue.sent"])
    open_endpoint(made)
    return made


def found() -> list[tuple[str, Severity]]:
    return [(each.name, each.severity) for each in outgoing_webhook_diagnostics(timezone.now())]


def test_an_endpoint_that_the_worker_disabled_is_named_until_it_is_activated(endpoint: WebhookEndpoint) -> None:
    assert found() == []
    disable_endpoint(endpoint, by="worker", reason="gone")
    (diagnostic,) = outgoing_webhook_diagnostics(timezone.now())
    assert (diagnostic.name, diagnostic.severity) == ("endpoint_disabled", Severity.WARNING)
    assert diagnostic.sentence == (
        "The webhook endpoint “Shop” was disabled. The endpoint answered 410: it wants no more messages."
    )
    assert Client().get(diagnostic.link).status_code == 302
    assert "endpoint_disabled" in [each.name for each in diagnostics()]
    activate_endpoint(endpoint, by="edda")
    assert found() == []


def test_one_that_an_editor_disabled_is_not(endpoint: WebhookEndpoint) -> None:
    disable_endpoint(endpoint, by="edda", reason="disabled")
    assert found() == []


def test_one_that_fails_is_named_after_an_hour(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.update(failing_since=timezone.now() - datetime.timedelta(minutes=50))
    assert found() == []
    WebhookEndpoint.objects.update(failing_since=timezone.now() - datetime.timedelta(minutes=70))
    assert found() == [("endpoint_failing", Severity.WARNING)]


def test_a_secret_that_cannot_be_derived_is_an_error_until_it_is_replaced(
    endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SECRET_KEY", "another secret key that is as long as needed")
    assert found() == [("endpoint_secret", Severity.ERROR)]
    rotate_secret(endpoint)
    assert found() == []
