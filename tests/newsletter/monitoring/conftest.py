"""A running send: “Taller cranes” to ten recipients in five batches of two, expanded and not yet posted."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from newsletter.models import Batch, Issue, Send, WorkerHeartbeat
from newsletter.monitoring import health
from tests.people import make_subscriptions
from tests.publications import expand_audiences, make_issue, send_of, start_sending


@pytest.fixture
def issue(db: None) -> Issue:
    made = make_issue()
    make_subscriptions(10, made.newsletter)
    start_sending(made)
    expand_audiences(batch_size=2)
    return Issue.objects.get(pk=made.pk)


@pytest.fixture
def send(issue: Issue) -> Send:
    return send_of(issue)


@pytest.fixture
def batches(issue: Issue) -> list[Batch]:
    return list(Batch.objects.order_by("pk"))


@pytest.fixture(autouse=True)
def _migrations_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test checks the migrations itself, whatever an earlier one has found."""
    monkeypatch.setattr(health, "_is_migrated", False)


def ago(**span: float) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(**span)


def a_worker(
    name: str = "host:1", *, seen: datetime.datetime | None = None, doing: str = "", minutes: float = 0
) -> WorkerHeartbeat:
    """The row of a worker that had run for so many minutes at its last heartbeat."""
    seen = seen or timezone.now()
    started = seen - datetime.timedelta(minutes=minutes)
    return WorkerHeartbeat.objects.create(name=name, started_at=started, seen_at=seen, doing=doing)


def set_batch(batch: Batch, **fields: Any) -> None:
    """Put a batch in a state, with the bytes that the database requires in some states."""
    Batch.objects.filter(pk=batch.pk).update(**({"payload": b"frozen", "recipients": 2} | fields))


def refresh(send: Send, **fields: Any) -> Send:
    """The send as it is in the database, after these fields were set there."""
    Send.objects.filter(pk=send.pk).update(**fields)
    return Send.objects.select_related("issue__newsletter").get(pk=send.pk)
