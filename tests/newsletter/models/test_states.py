"""The states of issues, sends, batches, deliveries and events: each moves along its table, and no other way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    EVENT_MACHINE,
    ISSUE_MACHINE,
    SEND_MACHINE,
    STARTED,
    SWITCH_MACHINE,
    Batch,
    Delivery,
    Event,
    InvalidTransition,
    Issue,
    IssueState,
    IssueTransition,
    Send,
    SendingSwitch,
    SendState,
    SendTransition,
)
from newsletter.sending.freeze import freeze_edition
from subscribers.state_machine import StateMachine
from tests import people
from tests.publications import make_issue

pytestmark = pytest.mark.django_db

MACHINES: dict[str, StateMachine] = {
    "issue": ISSUE_MACHINE,
    "send": SEND_MACHINE,
    "batch": BATCH_MACHINE,
    "delivery": DELIVERY_MACHINE,
    "event": EVENT_MACHINE,
    "sending switch": SWITCH_MACHINE,
}


def make_send(state: str = SendState.SENDING, **fields: Any) -> Send:
    issue = make_issue()
    now = timezone.now()
    times = {"scheduled_at": now, "started_at": now, "expanded_at": now, "finished_at": now}
    return Send.objects.create(issue=issue, edition=freeze_edition(issue), state=state, **{**times, **fields})


def make_row(name: str, state: str) -> models.Model:
    """A row in that state, past all transitions, as a test's starting point."""
    if name == "issue":
        issue = make_issue()
        Issue.objects.filter(pk=issue.pk).update(state=state, approved_revision=issue.revision)
        issue.refresh_from_db()
        return issue
    if name == "send":
        return make_send(state)
    if name == "sending switch":
        return SendingSwitch.objects.create(pk=1, state=state, stop_reason="operator", stopped_at=timezone.now())
    if name == "event":
        return Event.objects.create(provider="resend", event_id="msg_1", kind="?", body="{}", state=state)
    send = make_send()
    subscription = people.ada(send.issue.newsletter)
    delivery = Delivery.objects.create(issue=send.issue, send=send, subscriber=subscription.subscriber)
    if name == "delivery":
        Delivery.objects.filter(pk=delivery.pk).update(state=state)
        delivery.refresh_from_db()
        return delivery
    return Batch.objects.create(
        send=send,
        edition=send.edition,
        first_delivery=delivery.pk,
        last_delivery=delivery.pk,
        key="key",
        state=state,
        payload=b"bytes",
    )


PAIRS = [
    pytest.param(name, source, target, id=f"{name}: {source} to {target}")
    for name, machine in MACHINES.items()
    for source, target in itertools.product(machine.states.values, repeat=2)
]


@pytest.mark.parametrize(("name", "source", "target"), PAIRS)
def test_a_row_moves_along_the_table_and_no_other_way(name: str, source: str, target: str) -> None:
    machine, row = MACHINES[name], make_row(name, source)
    rows = type(row)._base_manager.filter(pk=row.pk)
    # An approval is of the revision that stands there; only a move to it needs that.
    changes: dict[str, Any] = {"approved_revision": row.revision} if isinstance(row, Issue) else {}
    if target in machine.transitions[source]:
        machine.move_row(row, target, **changes)
        assert rows.values_list(machine.field, flat=True).get() == target
        return
    if any(target in targets for targets in machine.transitions.values()):
        with pytest.raises(InvalidTransition):
            machine.move_row(row, target, **changes)
        assert machine.move(rows, target, **changes) == 0
    else:
        with pytest.raises(ValueError, match="No transition leads"):
            machine.move_row(row, target, **changes)
    assert rows.values_list(machine.field, flat=True).get() == source


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_stands_in_the_table(name: str) -> None:
    machine = MACHINES[name]
    assert set(machine.transitions) == set(machine.states.values)
    assert set(machine.initial_states) <= set(machine.states.values)
    reachable = set(machine.initial_states).union(*machine.transitions.values())
    assert reachable == set(machine.states.values), "some state can never be reached"


def test_a_send_records_who_moved_it_and_why() -> None:
    send = make_send()
    send.pause("operator", by="Edda", values={"text": "A wrong link."})
    step = SendTransition.objects.get()
    assert (step.source, step.target, step.by) == (SendState.SENDING, SendState.PAUSED, "Edda")
    assert step.sentence == "Decided by an operator. A wrong link."


def test_an_issue_records_its_approval() -> None:
    issue = make_issue()
    issue.move(IssueState.APPROVED, by="Edda", approved_revision=issue.revision)
    step = IssueTransition.objects.get()
    assert (step.source, step.target, step.by) == (IssueState.DRAFT, IssueState.APPROVED, "Edda")


def test_an_issue_is_approved_only_as_it_is() -> None:
    issue = make_issue()
    with pytest.raises(IntegrityError), transaction.atomic():
        issue.move(IssueState.APPROVED, by="Edda", approved_revision=issue.revision - 1)


def test_an_issue_has_one_send_that_is_not_withdrawn() -> None:
    send = make_send()
    again = {"issue": send.issue, "edition": send.edition, "started_at": timezone.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Send.objects.create(state=SendState.SENDING, **again)
    send.move(SendState.WITHDRAWN, by="tests")
    Send.objects.create(state=SendState.SENDING, **again)
    assert send.issue.current_send != send


def test_each_subscriber_has_one_delivery_of_an_issue_whatever_the_number_of_its_sends() -> None:
    send = make_send(SendState.WITHDRAWN)
    other = Send.objects.create(
        issue=send.issue, edition=send.edition, state=SendState.SENDING, started_at=timezone.now()
    )
    subscriber = people.ada(send.issue.newsletter).subscriber
    Delivery.objects.create(issue=send.issue, send=send, subscriber=subscriber)
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(issue=send.issue, send=other, subscriber=subscriber)


@pytest.mark.parametrize(
    ("state", "missing"),
    [
        ("lost", ""),
        (SendState.SCHEDULED, "scheduled_at"),
        *((state, "started_at") for state in STARTED),
        (SendState.SENT, "finished_at"),
        (SendState.SENT, "expanded_at"),
    ],
)
def test_the_database_refuses_impossible_sends(state: str, missing: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_send(state, **({missing: None} if missing else {}))


def test_a_send_is_made_only_in_a_first_state() -> None:
    issue = make_issue()
    with pytest.raises(ValueError, match="not made as sent"):
        Send.objects.create_with_history(SendState.SENT, by="tests", issue=issue, edition=freeze_edition(issue))


def test_the_status_of_an_issue_reads_neither_its_manifest_nor_its_edition() -> None:
    send = make_send()
    for issues in (Issue.objects.all(), Issue.objects.with_send()):
        with CaptureQueriesContext(connection) as queries:
            assert issues.get(pk=send.issue_id).status == send.state
        assert not [query["sql"] for query in queries if '"manifest"' in query["sql"] or '"html"' in query["sql"]]
