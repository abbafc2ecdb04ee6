"""Subscribers, operators, workers, the provider and the clock in random order; see `publication`."""

from __future__ import annotations

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.publication import Publication, our_now


def walk(monkeypatch: pytest.MonkeyPatch, *, walks: int, steps: int) -> None:
    """Let Hypothesis run `walks` random sequences of up to `steps` actions."""
    monkeypatch.setattr(timezone, "now", our_now)
    run_state_machine_as_test(
        Publication,
        settings=settings(
            max_examples=walks,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


@pytest.mark.django_db
def test_in_any_order_each_recipient_gets_the_issue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walk(monkeypatch, walks=8, steps=25)


@pytest.mark.faults
@pytest.mark.django_db
@pytest.mark.parametrize("number", range(2))
def test_in_very_many_orders_each_recipient_gets_the_issue_once(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    walk(monkeypatch, walks=25, steps=40)
