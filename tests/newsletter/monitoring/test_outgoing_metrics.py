"""Metrics of outgoing webhooks: what waits and fails, by the state of its endpoint."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.models import EndpointState, WebhookEndpoint, WebhookMessage
from newsletter.monitoring.metrics import metrics_text

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

STATES = ("active", "paused", "disabled")


def values() -> dict[str, float]:
    lines = [line for line in metrics_text().decode().splitlines() if "outgoing" in line and not line.startswith("#")]
    return {line.rpartition(" ")[0].removeprefix("newsletter_"): float(line.rpartition(" ")[2]) for line in lines}


def by_state(name: str) -> list[float]:
    return [values()[f'{name}{{state="{state}"}}'] for state in STATES]


def open_endpoint(state: EndpointState, *, failures: int = 0, messages: int = 0, age: int = 0) -> None:
    endpoint = WebhookEndpoint.objects.create(
        name="CRM", url="https://crm.example/hook", state=state, failures=failures
    )
    made_at = timezone.now() - datetime.timedelta(seconds=age)
    for number in range(messages):
        WebhookMessage.objects.create(
            endpoint=endpoint, uid=f"msg_{endpoint.pk}_{number}", type="webhook.test", source="test",
            source_pk=number, at=made_at, created_at=made_at,
        )  # fmt: skip


def test_without_endpoints_every_value_is_there_and_0() -> None:
    assert len(values()) == 10
    assert set(values().values()) == {0}


def test_endpoints_failures_and_waiting_messages_are_told_by_the_state_of_the_endpoint() -> None:
    open_endpoint(EndpointState.ACTIVE, failures=2, messages=3, age=600)
    open_endpoint(EndpointState.ACTIVE, failures=1)
    open_endpoint(EndpointState.PAUSED, messages=1, age=9000)
    open_endpoint(EndpointState.DISABLED, failures=40, messages=2, age=9000)
    WebhookMessage.objects.filter(uid__endswith="_2").update(state="delivered", next_attempt_at=None)
    assert by_state("outgoing_webhook_endpoints") == [2, 1, 1]
    assert by_state("outgoing_webhook_failures") == [3, 0, 40]
    assert by_state("outgoing_webhook_messages_pending") == [2, 1, 2]
    assert 600 <= values()["oldest_pending_outgoing_webhook_age_seconds"] < 9000
