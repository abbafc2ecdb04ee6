"""Audience: somebody gets it, and not twice on the same day by mistake."""

from __future__ import annotations

import datetime
from typing import Any

from newsletter.preflight import AudienceSnapshot
from newsletter.preflight.findings import LastSend
from tests.newsletter.preflight.finding import Short, findings_of_family, inspected, short
from tests.newsletter.preflight.sample_issue import NOON

HOUR = datetime.timedelta(hours=1)


def audience_findings(**changes: Any) -> list[Short]:
    return short(findings_of_family("audience", inspected(**changes)))


def last_send(hours_ago: int, readers: int = 500) -> LastSend:
    return LastSend(title="Harbour Notes 40", started=NOON - hours_ago * HOUR, recipients=readers)


def test_an_issue_for_nobody_must_be_fixed() -> None:
    assert audience_findings(audience=AudienceSnapshot(count=0)) == [("error", "audience", "")]


def test_a_list_with_many_dead_addresses_deserves_a_look() -> None:
    assert audience_findings(audience=AudienceSnapshot(count=95, excluded={"suppressed": 5})) == []
    assert audience_findings(audience=AudienceSnapshot(count=94, excluded={"suppressed": 6})) == [("warning", "audience", "")]
    assert audience_findings(audience=AudienceSnapshot(count=3, excluded={"suppressed": 2})) == []


def test_a_second_issue_within_twelve_hours_deserves_a_look_and_says_when_the_first_was() -> None:
    (finding,) = findings_of_family("audience", inspected(last_send=last_send(11)))
    assert "“Harbour Notes 40” at 01:00 on 2026-06-30" in finding.message
    assert audience_findings(last_send=last_send(12)) == []


def test_half_the_readers_of_last_time_deserve_a_look() -> None:
    assert audience_findings(last_send=last_send(200, 1_000)) == [("warning", "audience", "")]
    assert audience_findings(last_send=last_send(200, 999)) == []
    assert audience_findings(last_send=last_send(200, 10), audience=AudienceSnapshot(count=4)) == []
