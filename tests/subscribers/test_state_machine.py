"""State machines: their form, and each transition of subscriptions and transactional mails."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from django.db import connection, models
from django.utils import timezone

from subscribers.models import (
    SUBSCRIPTION_MACHINE,
    TRANSACTIONAL_MAIL_MACHINE,
    ConsentKind,
    Evidence,
    Subscription,
    TransactionalMail,
    TransactionalMailKind,
    move_subscriptions,
)
from subscribers.models import SubscriptionState as State
from subscribers.models import TransactionalMailState as MailState
from subscribers.models.transitions import MOVES
from subscribers.state_machine import InvalidTransition, StateMachine
from tests.people import ada, ben, make_subscriptions

pytestmark = pytest.mark.django_db

EVIDENCE = Evidence(form="test")
MACHINES = {Subscription: SUBSCRIPTION_MACHINE, TransactionalMail: TRANSACTIONAL_MAIL_MACHINE}


def row_in(model: type[models.Model], state: str) -> models.Model:
    """A row of one of the two models in this state."""
    subscription = ada()
    row: models.Model = subscription
    if model is TransactionalMail:
        row = TransactionalMail.objects.create(
            kind=TransactionalMailKind.CONFIRMATION, subscription=subscription, recipient="ada@example.org"
        )
    model._default_manager.filter(pk=row.pk).update(state=state)
    row.refresh_from_db()
    return row


def every_pair() -> Iterator[object]:
    """Each model with each pair of its states."""
    for model, machine in MACHINES.items():
        for source in machine.states.values:
            for target in machine.states.values:
                yield pytest.param(model, source, target, id=f"{model.__name__} {source} to {target}")


# --- Every transition of the tables ------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "source", "target"), list(every_pair()))
def test_a_row_moves_along_the_transitions_of_its_table_only(
    model: type[models.Model], source: str, target: str
) -> None:
    machine = MACHINES[model]
    row = row_in(model, source)
    if target in machine.transitions[source]:
        machine.move_row(row, target)
        assert row.state == target  # type: ignore[attr-defined]
    elif any(target in targets for targets in machine.transitions.values()):
        with pytest.raises(InvalidTransition):
            machine.move_row(row, target)
    else:
        with pytest.raises(ValueError, match="No transition"):
            machine.move_row(row, target)
    row.refresh_from_db()
    assert row.state == (target if target in machine.transitions[source] else source)  # type: ignore[attr-defined]


@pytest.mark.parametrize("machine", MACHINES.values(), ids=[model.__name__ for model in MACHINES])
def test_each_table_lists_all_states_and_creates_rows_in_known_ones(machine: StateMachine) -> None:
    assert set(machine.transitions) == set(machine.states.values)
    assert {target for targets in machine.transitions.values() for target in targets} <= set(machine.states.values)
    assert set(machine.initial_states) <= set(machine.states.values)


def test_only_a_confirmation_makes_a_subscription_active() -> None:
    assert SUBSCRIPTION_MACHINE.sources(State.ACTIVE) == (State.PENDING,)
    assert [kind for kind, (target, _) in MOVES.items() if target == State.ACTIVE] == [ConsentKind.CONFIRMED]


def test_a_finished_transactional_mail_stays_finished() -> None:
    assert {state for state in MailState.values if TRANSACTIONAL_MAIL_MACHINE.transitions[state]} == {MailState.PENDING}


@pytest.mark.parametrize("kind", MOVES)
@pytest.mark.parametrize("state", State)
def test_each_step_moves_a_subscription_and_stores_its_consent_or_does_nothing(kind: ConsentKind, state: State) -> None:
    subscription = ada()
    Subscription.objects.update(state=state)
    target, only_from = MOVES[kind]
    is_allowed = target in SUBSCRIPTION_MACHINE.transitions[state] and (not only_from or state in only_from)
    moved = move_subscriptions(Subscription.objects.filter(pk=subscription.pk), kind, EVIDENCE)
    subscription.refresh_from_db()
    assert subscription.state == (target if is_allowed else state)
    assert list(subscription.consents.values_list("kind", flat=True)) == ([kind] if is_allowed else [])
    assert moved == int(is_allowed)


# --- The form ----------------------------------------------------------------------------------------------


def test_the_sources_of_a_state_are_read_from_the_table() -> None:
    assert set(SUBSCRIPTION_MACHINE.sources(State.UNSUBSCRIBED)) == {State.PENDING, State.ACTIVE}
    assert SUBSCRIPTION_MACHINE.sources(State.UNSUBSCRIBED, only_from=[State.PENDING]) == (State.PENDING,)


def test_a_transition_that_no_table_has_is_a_mistake_in_the_code() -> None:
    with pytest.raises(ValueError, match="No transition leads from sent to pending"):
        TRANSACTIONAL_MAIL_MACHINE.sources(MailState.PENDING, only_from=[MailState.SENT])


def test_the_sources_can_be_written_into_sql() -> None:
    assert SUBSCRIPTION_MACHINE.sql_sources(State.PENDING) == "'unsubscribed', 'suppressed'"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM subscribers_subscription WHERE state IN "
            f"({SUBSCRIPTION_MACHINE.sql_sources(State.PENDING)})"
        )
        assert cursor.fetchone() == (0,)


def test_a_set_moves_in_one_statement_and_rows_in_other_states_stay(django_assert_num_queries: object) -> None:
    make_subscriptions(3)
    pending = ben()
    now = timezone.now()
    with django_assert_num_queries(1):  # type: ignore[operator]
        moved = SUBSCRIPTION_MACHINE.move(
            Subscription.objects.all(), State.UNSUBSCRIBED, only_from=[State.ACTIVE], ended_at=now
        )
    assert moved == 3
    assert Subscription.objects.filter(state=State.UNSUBSCRIBED, ended_at=now).count() == 3
    pending.refresh_from_db()
    assert (pending.state, pending.ended_at) == (State.PENDING, None)


def test_a_moved_row_gets_its_changes_in_the_database_and_in_memory() -> None:
    pending, now = ben(), timezone.now()
    SUBSCRIPTION_MACHINE.move_row(pending, State.ACTIVE, confirmed_at=now)
    assert (pending.state, pending.confirmed_at) == (State.ACTIVE, now)
    pending.refresh_from_db()
    assert (pending.state, pending.confirmed_at) == (State.ACTIVE, now)


def test_a_refused_move_names_both_states_and_changes_nothing() -> None:
    active = ada()
    stale = Subscription.objects.get()
    SUBSCRIPTION_MACHINE.move_row(active, State.UNSUBSCRIBED)
    with pytest.raises(InvalidTransition, match="is in the state “Unsubscribed” and cannot change to “Suppressed”"):
        SUBSCRIPTION_MACHINE.move_row(stale, State.SUPPRESSED)
    assert stale.state == State.ACTIVE


class RecordedHistory:
    """Stands in for a history model: keeps what is written, or refuses it."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.rows: list[dict[str, Any]] = []
        self._base_manager, self.is_broken = self, is_broken

    def create(self, **values: Any) -> None:
        if self.is_broken:
            raise RuntimeError("no history")
        self.rows.append(values)


MACHINE = dataclasses.replace(SUBSCRIPTION_MACHINE, owner="subscription")


def unsubscribe(row: Subscription, history: RecordedHistory) -> None:
    values = {"on": "phone"}
    MACHINE.move_with_history(row, State.UNSUBSCRIBED, cast(Any, history), by="ida", reason="asked", values=values)


def test_a_move_with_history_writes_one_history_row() -> None:
    history, active = RecordedHistory(), ada()
    unsubscribe(active, history)
    assert history.rows == [
        {
            "subscription": active,
            "source": State.ACTIVE,
            "target": State.UNSUBSCRIBED,
            "by": "ida",
            "reason": "asked",
            "values": {"on": "phone"},
        }
    ]


def test_a_refused_move_writes_no_history() -> None:
    history, active = RecordedHistory(), ada()
    Subscription.objects.update(state=State.UNSUBSCRIBED)
    with pytest.raises(InvalidTransition):
        unsubscribe(active, history)
    assert history.rows == []


def test_a_move_without_its_history_does_not_happen() -> None:
    active = ada()
    with pytest.raises(RuntimeError, match="no history"):
        unsubscribe(active, RecordedHistory(is_broken=True))
    assert active.state == State.ACTIVE
    assert Subscription.objects.get().state == State.ACTIVE


def test_a_deleted_row_cannot_be_moved() -> None:
    pending = ben()
    Subscription.objects.all().delete()
    with pytest.raises(InvalidTransition, match="no longer exists"):
        SUBSCRIPTION_MACHINE.move_row(pending, State.ACTIVE, confirmed_at=timezone.now())


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_many_callers_at_once_one_moves_the_row() -> None:
    pending, start = ben(), threading.Barrier(8)

    def try_to_move() -> bool:
        try:
            row = Subscription.objects.get(pk=pending.pk)
            start.wait(timeout=10)
            SUBSCRIPTION_MACHINE.move_row(row, State.UNSUBSCRIBED)
        except InvalidTransition:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        outcomes = [future.result() for future in [threads.submit(try_to_move) for _ in range(8)]]
    assert sum(outcomes) == 1
