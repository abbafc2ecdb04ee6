"""`manage.py rebuild_statistics`: wrong counters are put right and named, right ones stay."""

from __future__ import annotations

import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from newsletter.models import CountScope, Send, SendCount
from subscribers.models import CohortCount, Growth, SubscriptionCount, SubscriptionState
from tests.people import ada, ben
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending


def rebuild(*slugs: str) -> list[str]:
    out = StringIO()
    call_command("rebuild_statistics", *slugs, stdout=out)
    return out.getvalue().splitlines()


@pytest.fixture
def sends(db: None) -> tuple[Send, Send]:
    newsletter = make_newsletter()
    ada(newsletter), ben(newsletter)
    found = start_sending(make_issue("issue-1")), start_sending(make_issue("issue-2"))
    expand_audiences()
    return found


def audience_of(send: Send) -> int:
    return SendCount.objects.totals([send.pk])[send.pk]["audience"]


def test_right_counters_stay_as_they_are(sends: tuple[Send, Send]) -> None:
    assert rebuild() == ["Sends counted anew: 2. Lists: 1. Counters that were wrong: 0."]


def test_wrong_counters_of_a_send_are_put_right_and_named(sends: tuple[Send, Send]) -> None:
    first, _second = sends
    right = audience_of(first)
    SendCount.objects.filter(send=first, name="audience").update(value=F("value") + 1_000)
    SendCount.objects.create(send=first, scope=CountScope.HOUR, key="2026-11-20T07", name="opened", value=3)
    assert rebuild() == [
        f"issue-1, audience: {right + 1_000:,} is now {right}",
        "issue-1, hour 2026-11-20T07 opened: 3 is now 0",
        "Sends counted anew: 2. Lists: 1. Counters that were wrong: 2.",
    ]
    assert audience_of(first) == right
    assert rebuild()[-1].endswith("Counters that were wrong: 0.")


def test_only_the_named_issues_are_counted_anew(sends: tuple[Send, Send]) -> None:
    SendCount.objects.filter(name="audience").update(value=7)
    assert rebuild("issue-2")[-1] == "Sends counted anew: 1. Lists: 1. Counters that were wrong: 1."
    assert [audience_of(send) for send in sends] == [7, 1]


def test_an_issue_that_does_not_exist_is_named(sends: tuple[Send, Send]) -> None:
    with pytest.raises(CommandError, match="has no issue “issue-9”"):
        rebuild("issue-9")


def test_states_of_lists_are_counted_anew_and_growth_stays(sends: tuple[Send, Send]) -> None:
    newsletter = make_newsletter()
    states = SubscriptionCount.objects.by_state()[newsletter.pk]
    today = datetime.datetime.now(datetime.UTC).date()
    growth = SubscriptionCount.objects.growth([newsletter.pk], today - datetime.timedelta(days=1))
    assert sum(day.get(Growth.JOINED, 0) for day in growth.values()) == 1
    SubscriptionCount.objects.filter(day="", name=SubscriptionState.ACTIVE).delete()
    SubscriptionCount.objects.create(mailing_list=newsletter, day="", name=SubscriptionState.SUPPRESSED, value=5)
    assert rebuild()[:2] == [
        "Harbour Notes, subscriptions in state active: 0 is now 1",
        "Harbour Notes, subscriptions in state suppressed: 5 is now 0",
    ]
    found = SubscriptionCount.objects.by_state()[newsletter.pk]
    assert found == states
    assert SubscriptionCount.objects.growth([newsletter.pk], today - datetime.timedelta(days=1)) == growth


def test_cohorts_are_compared_with_the_subscriptions_and_corrected(sends: tuple[Send, Send]) -> None:
    right = set(CohortCount.objects.values_list("month", "source", "name"))
    ((month, _source, _name),) = right
    CohortCount.objects.all().delete()
    assert rebuild()[0] == f"Harbour Notes, active of the cohort {month}: 0 is now 1"
    assert set(CohortCount.objects.values_list("month", "source", "name")) == right
    assert rebuild()[-1].endswith("Counters that were wrong: 0.")
