"""An event that cannot be applied is set aside with its reason, and the others are applied."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, connection, transaction

from newsletter.events.apply import EVENTS_PER_TRANSACTION, apply_events
from newsletter.events.isolate import MAX_IN_A_ROW, REFUSED, apply_isolated
from newsletter.models import Event, EventState, EventTally
from newsletter.providers import get_provider
from newsletter.providers.base import Provider

pytestmark = pytest.mark.django_db

Apply = Callable[..., bool]


def make_events(count: int) -> list[int]:
    Event.objects.bulk_create(
        [
            Event(provider="resend", event_id=f"msg_{number}", kind="email.delivered", body="{}")
            for number in range(count)
        ]
    )
    return list(Event.objects.order_by("pk").values_list("pk", flat=True))


def refusing(poison: Collection[int], error: type[Exception] = DataError) -> Apply:
    """`apply_events` on a database that refuses these events."""

    def apply(provider: Provider, limit: int = EVENTS_PER_TRANSACTION) -> bool:
        new = Event.objects.filter(provider=provider.name, state=EventState.NEW).order_by("pk")
        chunk = list(new.values_list("pk", flat=True)[:limit])
        more = apply_events(provider, limit)
        if set(chunk) & set(poison):
            raise error("refused")
        return more

    def in_a_transaction(provider: Provider, limit: int = EVENTS_PER_TRANSACTION) -> bool:
        with transaction.atomic():
            return apply(provider, limit)

    return in_a_transaction


def run(apply: Apply) -> int:
    """Apply until nothing is left; how many runs it took."""
    for runs in range(1, 60):
        if not apply_isolated(get_provider(), apply):
            return runs
    raise AssertionError("it does not end")


def set_aside() -> list[int]:
    return list(Event.objects.filter(reason=REFUSED).order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize("places", [[0], [1499], [777], [0, 1], [3, 500, 501, 999, 1000], [*range(100, 112)]])
def test_the_refused_events_are_found_and_all_others_applied(places: list[int]) -> None:
    pks = make_events(1500)
    poison = [pks[place] for place in places]
    if places == [1499]:
        # The last one is known to be at fault once another event was applied after it.
        with pytest.raises(DataError):
            run(refusing(poison))
        assert set_aside() == []
        pks = make_more()
    run(refusing(poison))
    assert set_aside() == poison
    assert not Event.objects.filter(state=EventState.NEW).exists()
    assert Event.objects.exclude(pk__in=poison).filter(reason=REFUSED).count() == 0
    refused = Event.objects.get(pk=poison[0])
    assert (refused.state, refused.detail) == (EventState.IGNORED, "DataError")
    assert "set aside" in refused.note
    assert EventTally.objects.unused()[REFUSED] == len(poison)


def make_more() -> list[int]:
    Event.objects.create(provider="resend", event_id="msg_more", kind="email.delivered", body="{}")
    return list(Event.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("error", [DataError, IntegrityError, ValueError, OverflowError, KeyError])
def test_any_error_that_an_event_may_cause_is_isolated(error: type[Exception]) -> None:
    pks = make_events(5)
    run(refusing(pks[2:3], error))
    assert set_aside() == pks[2:3]


@pytest.mark.parametrize("error", [OperationalError, ProgrammingError])
def test_a_failure_of_the_database_itself_sets_nothing_aside(error: type[Exception]) -> None:
    pks = make_events(5)
    with pytest.raises(error):
        apply_isolated(get_provider(), refusing(pks[2:3], error))
    assert set_aside() == []


def test_if_no_event_can_be_applied_all_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pks = make_events(MAX_IN_A_ROW + 10)
    with pytest.raises(KeyError):
        apply_isolated(get_provider(), refusing(pks, KeyError))
    assert Event.objects.filter(state=EventState.NEW).count() == len(pks)
    assert EventTally.objects.unused() == {}


def test_an_error_that_does_not_happen_again_sets_nothing_aside(caplog: pytest.LogCaptureFixture) -> None:
    make_events(5)
    errors = [DataError("once")]

    def apply(provider: Provider, limit: int = EVENTS_PER_TRANSACTION) -> bool:
        if errors:
            raise errors.pop()
        return apply_events(provider, limit)

    run(apply)
    assert set_aside() == []
    assert not Event.objects.filter(state=EventState.NEW).exists()


def test_a_chunk_that_nothing_refuses_is_applied_in_one_go() -> None:
    make_events(5)
    calls: list[int] = []

    def apply(provider: Provider, limit: int = EVENTS_PER_TRANSACTION) -> bool:
        calls.append(limit)
        return apply_events(provider, limit)

    assert apply_isolated(get_provider(), apply) is False
    assert calls == [EVENTS_PER_TRANSACTION]


def test_an_event_that_the_real_database_refuses_is_isolated() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite adds no constraint to a table")
    pks = make_events(40)
    allowed = "state = 'new' OR reason = %s"
    poison = f"ALTER TABLE newsletter_event ADD CONSTRAINT poison CHECK (id <> {pks[17]} OR {allowed})"
    with connection.cursor() as cursor:
        cursor.execute(poison, [REFUSED])
    run(apply_events)
    assert set_aside() == pks[17:18]


def test_the_attempts_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    pks = make_events(1000)
    attempts: list[int] = []
    refuse = refusing(pks[777:778])

    def apply(provider: Provider, limit: int = EVENTS_PER_TRANSACTION) -> bool:
        attempts.append(limit)
        return refuse(provider, limit)

    run(apply)
    assert len(attempts) < 3 * EVENTS_PER_TRANSACTION.bit_length()
