"""GET /emails/metrics: counts of all mails, of a domain, of some mails, and by period."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from newsletter.sandbox.account import domain_id
from newsletter.sandbox.metrics import METRICS
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, Caller, Clock, mail
from tests.sandbox.test_webhook_log import CallerOf, answer

LATER = 3600.0


@pytest.fixture
def counted(start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock) -> tuple[Caller, list[str]]:
    """A sandbox with the ids of five mails, an hour after they were sent."""
    caller = caller_of(start_sandbox(moving=True, webhook_time_scale=1.0, click_share=1.0))
    recipients = (ADA, BEN, "bounced@resend.dev", "complained@resend.dev")
    mails = [mail(address) for address in recipients]
    ids = [row["id"] for row in caller.send(*mails).json()["data"]]
    other = mail(ADA, **{"from": "Other <other@other.test>"})
    ids.append(caller.send_one(other).json()["id"])
    clock.advance(LATER)
    return caller, ids


def metrics(caller: Caller, query: str = "") -> dict[str, Any]:
    return answer(caller, f"/emails/metrics?{query}")


def test_every_metric_is_counted_by_default(counted: tuple[Caller, list[str]]) -> None:
    found = metrics(counted[0])
    assert (found["object"], found["metrics"], found["dimensions"]) == ("metrics", list(METRICS), [])
    assert "data" not in found
    totals = found["totals"]
    assert set(totals) == set(METRICS)
    names = ("sent", "delivered", "bounced", "bounced_permanent", "bounced_transient", "complained", "unique_clicked")
    assert [totals[name] for name in names] == [5, 4, 1, 1, 0, 1, 3]
    assert totals["delivery_rate"] == 0.8


def test_an_open_that_repeats_counts_once_among_the_unique(counted: tuple[Caller, list[str]]) -> None:
    caller, ids = counted
    answer(caller, "/sandbox/events", "POST", {"email_id": ids[0], "type": "email.opened"}, status=201)
    totals = metrics(caller, "metrics=opened,unique_opened")["totals"]
    assert totals == {"opened": 4, "unique_opened": 3}


def test_counts_of_some_mails_are_of_these_only(counted: tuple[Caller, list[str]]) -> None:
    caller, ids = counted
    found = metrics(caller, f"metrics=sent,complained&email_id={ids[0]},{ids[3]}")
    assert found["totals"] == {"sent": 2, "complained": 1}
    rows = metrics(caller, f"metrics=sent&dimensions=email&email_id={ids[0]},{ids[3]}")["data"]
    assert {row["email_id"]: row["sent"] for row in rows} == {ids[0]: 1, ids[3]: 1}


def test_counts_are_broken_down_by_domain_and_period(counted: tuple[Caller, list[str]]) -> None:
    caller, _ids = counted
    rows = metrics(caller, "metrics=sent&dimensions=domain")["data"]
    assert {row["domain_name"]: row["sent"] for row in rows} == {"letters.test": 4, "other.test": 1}
    assert {row["domain_id"] for row in rows} == {domain_id("letters.test"), domain_id("other.test")}
    only = metrics(caller, f"metrics=sent&domain_id={domain_id('other.test')}")
    assert only["totals"] == {"sent": 1}
    (row,) = metrics(caller, "metrics=sent&dimensions=period&granularity=monthly")["data"]
    assert row["sent"] == 5


def test_only_events_within_the_range_count(counted: tuple[Caller, list[str]], clock: Clock) -> None:
    caller, _ids = counted
    assert metrics(caller, "metrics=sent&end_date=2001-01-01")["totals"] == {"sent": 0}
    clock.advance(7 * 86_400)
    assert metrics(caller, "metrics=sent")["totals"] == {"sent": 0}
    assert metrics(caller, "metrics=sent&start_date=2026-01-01&end_date=2099-01-01")["totals"] == {"sent": 5}


@pytest.mark.parametrize(
    "query",
    [
        "metrics=nonsense",
        "dimensions=nonsense",
        "granularity=yearly",
        "timezone=Nowhere",
        "start_date=yesterday",
        "start_date=2026-02-02&end_date=2026-01-31",
        "email_id=x",
        "email_id=" + ",".join(str(uuid.UUID(int=number)) for number in range(101)),
        "dimensions=email,broadcast",
        f"email_id={uuid.UUID(int=1)}&broadcast_id={uuid.UUID(int=2)}",
    ],
)
def test_invalid_parameters_are_refused(caller: Caller, query: str) -> None:
    assert answer(caller, f"/emails/metrics?{query}", status=422)["name"] == "validation_error"
