"""A send to look at: “Taller cranes” to ten readers in five batches of two, addressed and not yet posted."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone

from newsletter.models import Batch, Issue, WorkerHeartbeat
from newsletter.monitoring import health
from tests.people import make_subscriptions
from tests.publications import address_everybody, make_issue, start_sending


@pytest.fixture
def issue(db: None) -> Issue:
    made = make_issue()
    make_subscriptions(10, made.newsletter)
    start_sending(made)
    address_everybody(batch_size=2)
    return Issue.objects.get(pk=made.pk)


@pytest.fixture
def batches(issue: Issue) -> list[Batch]:
    return list(Batch.objects.order_by("pk"))


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test looks at the migrations itself."""
    monkeypatch.setattr(health, "_all_are_applied", False)


def ago(**span: float) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(**span)


def a_worker(
    name: str = "host:1", *, seen: datetime.datetime | None = None, doing: str = "", minutes: float = 0
) -> WorkerHeartbeat:
    """A row of a worker that had run for so many minutes when it was last seen."""
    seen = seen or timezone.now()
    started = seen - datetime.timedelta(minutes=minutes)
    return WorkerHeartbeat.objects.create(name=name, started_at=started, seen_at=seen, doing=doing)


def set_batch(batch: Batch, **fields: Any) -> None:
    """Put a batch in a state, with bytes where the table wants them."""
    Batch.objects.filter(pk=batch.pk).update(**({"payload": b"frozen", "recipients": 2} | fields))
