"""Metrics of outgoing webhooks: their endpoints, and what waits for them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db.models import Count, Min, Sum
from prometheus_client.core import Metric

from newsletter.models import EndpointState, MessageState, WebhookEndpoint, WebhookMessage
from newsletter.monitoring.metric_families import age, gauge, gauges, with_zeros


def outgoing_webhooks(now: datetime.datetime) -> Iterator[Metric]:
    """Endpoints and what waits for them, by the state of the endpoint. Three queries over what is not finished."""
    endpoints = WebhookEndpoint.objects.order_by().values_list("state")
    counts = {state: (count, failures) for state, count, failures in endpoints.annotate(Count("pk"), Sum("failures"))}
    numbers = {state: count for state, (count, _failures) in counts.items()}
    help_text = "Number of endpoints of outgoing webhooks by state."
    yield gauges("outgoing_webhook_endpoints", help_text, "state", with_zeros(EndpointState.values, numbers))
    failures = {state: failures or 0 for state, (_count, failures) in counts.items()}
    help_text = "Failed attempts since the last success, of all endpoints in a state."
    yield gauges("outgoing_webhook_failures", help_text, "state", with_zeros(EndpointState.values, failures))
    waiting = WebhookMessage.objects.filter(state=MessageState.PENDING).order_by()
    pending = dict(waiting.values_list("endpoint__state").annotate(Count("pk")))
    help_text = "Number of outgoing webhook messages that wait, by the state of their endpoint."
    yield gauges("outgoing_webhook_messages_pending", help_text, "state", with_zeros(EndpointState.values, pending))
    oldest = waiting.filter(endpoint__state=EndpointState.ACTIVE).aggregate(oldest=Min("created_at"))["oldest"]
    help_text = "Seconds since the oldest message that waits for an active endpoint was made; 0 if none waits."
    yield gauge("oldest_pending_outgoing_webhook_age_seconds", help_text, age(oldest, now))
