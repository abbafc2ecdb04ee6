"""What editors and workers do with endpoints: make, pause, disable, activate, new secrets, send again."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from newsletter.models import (
    ENDPOINT_MACHINE,
    MESSAGE_MACHINE,
    EndpointReason,
    EndpointState,
    EndpointTransition,
    MessageState,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
    WebhookType,
)
from newsletter.notifications.facts import TEST
from newsletter.notifications.follow import start_cursors
from newsletter.notifications.signing import current_fingerprint

#: How long a replaced secret still signs, so that the receiver can be changed without a gap.
ROTATION = datetime.timedelta(hours=24)

#: Who is named in the history where the worker moved an endpoint.
WORKER = "worker"


def open_endpoint(endpoint: WebhookEndpoint) -> WebhookSecret:
    """Store a new endpoint with its first secret. It is told of what happens from now on."""
    with transaction.atomic():
        endpoint.save()
        start_cursors(endpoint)
        return WebhookSecret.objects.create(endpoint=endpoint, key_fingerprint=current_fingerprint())


def rotate_secret(endpoint: WebhookEndpoint) -> WebhookSecret:
    """Give it another secret. Messages are signed with both for ROTATION."""
    with transaction.atomic():
        WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        current = WebhookSecret.objects.filter(endpoint=endpoint, expires_at__isnull=True)
        current.update(expires_at=timezone.now() + ROTATION)
        return WebhookSecret.objects.create(endpoint=endpoint, key_fingerprint=current_fingerprint())


def pause_endpoint(endpoint: WebhookEndpoint, *, by: str) -> None:
    """Let its messages wait. Raises InvalidTransition."""
    _move(endpoint, EndpointState.PAUSED, by=by, reason=EndpointReason.PAUSED)


def disable_endpoint(
    endpoint: WebhookEndpoint, *, by: str, reason: str, values: Mapping[str, Any] | None = None
) -> None:
    """Stop its messages: those that wait stay, and no more are made. Raises InvalidTransition.

    An operator is told by mail if it was not an editor.
    """
    _move(endpoint, EndpointState.DISABLED, by=by, reason=reason, values=values, mail_due=by == WORKER)


def activate_endpoint(endpoint: WebhookEndpoint, *, by: str, catches_up: bool = False) -> None:
    """Continue to send. Raises InvalidTransition.

    While it was disabled no messages were made. If it `catches_up`, they are made now, else it is told of what happens
    from now on.
    """
    with transaction.atomic():
        was_disabled = endpoint.state == EndpointState.DISABLED
        fresh: dict[str, Any] = {"failing_since": None, "failures": 0, "not_before": None, "mail_due": False}
        _move(endpoint, EndpointState.ACTIVE, by=by, reason=EndpointReason.ACTIVATED, **fresh)
        if was_disabled and not catches_up:
            start_cursors(endpoint)


def _move(
    endpoint: WebhookEndpoint,
    target: EndpointState,
    *,
    by: str,
    reason: str,
    values: Mapping[str, Any] | None = None,
    **changes: Any,
) -> None:
    ENDPOINT_MACHINE.move_with_history(
        endpoint, target, EndpointTransition, by=by, reason=reason, values=values, **changes
    )


def send_test(endpoint: WebhookEndpoint) -> WebhookMessage:
    """Store a message that only tests the endpoint. The worker sends it within seconds."""
    return WebhookMessage.objects.create(
        endpoint=endpoint,
        uid=f"msg_{uuid.uuid4().hex}",
        type=WebhookType.TEST,
        source=TEST,
        source_pk=endpoint.pk,
        data={"endpoint": endpoint.name},
        at=timezone.now(),
    )


def send_again(messages: QuerySet[WebhookMessage]) -> int:
    """Send finished messages again, under their ids; how many. One statement for any number."""
    finished = (MessageState.DELIVERED, MessageState.FAILED)
    return MESSAGE_MACHINE.move(
        messages, MessageState.PENDING, only_from=finished, tries=0, lease_until=None, next_attempt_at=timezone.now()
    )


def failed_since(endpoint: WebhookEndpoint, since: datetime.datetime) -> QuerySet[WebhookMessage]:
    """Its messages of facts since then that no attempt has delivered."""
    return WebhookMessage.objects.filter(endpoint=endpoint, state=MessageState.FAILED, at__gte=since)
