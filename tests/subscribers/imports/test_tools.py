"""Exports of the seven tools end in the right states, twice in a row.

EXPORT_PEOPLE=10000 in the environment makes exports of so many people.
"""

from __future__ import annotations

import os

import pytest

from subscribers.imports.rows import RowState
from subscribers.imports.states import RowRefusal
from subscribers.models import SubscriptionState, Suppression
from tests.subscribers.imports.exports_of import WORDS, export_of
from tests.subscribers.imports.importing import check, counts, run, states, uploaded

pytestmark = pytest.mark.django_db

PEOPLE = int(os.environ.get("EXPORT_PEOPLE", "120"))

STATES = {
    RowState.ACTIVE: SubscriptionState.ACTIVE,
    RowState.PENDING: SubscriptionState.PENDING,
    RowState.UNSUBSCRIBED: SubscriptionState.UNSUBSCRIBED,
    RowState.BOUNCED: SubscriptionState.SUPPRESSED,
    RowState.COMPLAINED: SubscriptionState.SUPPRESSED,
}


@pytest.mark.parametrize("tool", WORDS)
def test_an_export_ends_in_the_right_states_twice_in_a_row(tool: str) -> None:
    export = export_of(tool, PEOPLE)
    expected = {a: STATES[s] for a, s in export.expected.items() if not isinstance(s, RowRefusal)}
    first = run(check(uploaded(export.data, export.name), answer=export.answer), chunk=PEOPLE // 2)
    assert states() == expected
    assert first.outcomes == first.expected
    suppressed = [state for state in expected.values() if state == SubscriptionState.SUPPRESSED]
    assert Suppression.objects.count() == len(suppressed)
    again = run(check(uploaded(export.data, export.name), answer=export.answer))
    assert states() == expected
    assert set(counts(again)) <= {"already", "refused"}
