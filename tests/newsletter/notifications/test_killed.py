"""A worker that is killed anywhere loses no message, and no fact becomes two messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.models import MessageState, WebhookEndpoint, WebhookMessage
from newsletter.notifications import follow
from newsletter.notifications.delivering import LEASE, deliver_messages
from newsletter.notifications.follow import make_messages
from subscribers.models import Consent
from tests.newsletter.notifications.receiver import Receiver
from tests.newsletter.notifications.story import send_an_issue, subscribe, unsubscribe

#: With transactions of their own, so that a kill rolls back what was not committed.
pytestmark = pytest.mark.django_db(transaction=True)

POINTS = [point for point in Point if point.value.startswith("webhook")]
SUBSCRIBERS = 6


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


@pytest.mark.parametrize("hit", [1, 2, 5])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: str(point.value))
def test_every_fact_arrives_under_one_id_of_its_own(
    point: Point, hit: int, endpoint: WebhookEndpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "WINDOW", 3)
    monkeypatch.setattr("newsletter.notifications.delivering.PER_LANE", 3)
    for number in range(SUBSCRIBERS):
        unsubscribe(subscribe(f"subscriber{number}@example.org"))
    send_an_issue()
    failpoints.arm(Failpoint(point=point, hit=hit, action=Action.RAISE))
    was_killed = run_until_idle()
    assert was_killed, "the failpoint was not reached"
    facts = Consent.objects.count() + 1
    messages = WebhookMessage.objects.all()
    assert len({(row.source, row.source_pk, row.type) for row in messages}) == len(messages) == facts
    assert set(messages.values_list("state", flat=True)) == {MessageState.DELIVERED}
    # Some may have arrived twice, under the same id.
    assert {each.uid for each in receiver.received} == set(messages.values_list("uid", flat=True))
    bodies = {(each.uid, each.body) for each in receiver.received}
    assert len(bodies) == facts
    assert facts <= len(receiver.received) <= facts + 3


def run_until_idle() -> bool:
    """Run both steps as workers do, with a new worker after a kill; whether there was one."""
    was_killed = False
    while True:
        try:
            if not (make_messages() | deliver_messages()):
                return was_killed
        except Crash:
            was_killed = True
            failpoints.arm(None)
            assert not transaction.get_connection().in_atomic_block
            expire_leases()


def expire_leases() -> None:
    """As time does."""
    for row in WebhookMessage.objects.filter(lease_until__isnull=False):
        WebhookMessage.objects.filter(pk=row.pk).update(lease_until=(row.lease_until or row.at) - LEASE)
