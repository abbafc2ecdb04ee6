"""Audience: the issue has recipients, and is not sent too soon after the last one."""

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


def last_send(hours_ago: int, recipients: int = 500) -> LastSend:
    return LastSend(title="Harbour Notes 40", started=NOON - hours_ago * HOUR, recipients=recipients)


def test_an_issue_without_recipients_is_an_error() -> None:
    assert audience_findings(audience=AudienceSnapshot(count=0)) == [("error", "audience", "")]


def test_many_suppressed_addresses_are_a_warning() -> None:
    assert audience_findings(audience=AudienceSnapshot(count=95, excluded={"suppressed": 5})) == []
    assert audience_findings(audience=AudienceSnapshot(count=94, excluded={"suppressed": 6})) == [
        ("warning", "audience", "")
    ]
    assert audience_findings(audience=AudienceSnapshot(count=3, excluded={"suppressed": 2})) == []


def test_a_second_issue_within_twelve_hours_is_a_warning_with_the_time_of_the_first() -> None:
    (finding,) = findings_of_family("audience", inspected(last_send=last_send(11)))
    assert "“Harbour Notes 40” was sent to this mailing list at 2026-06-30 01:00 (UTC)" in finding.message
    assert audience_findings(last_send=last_send(12)) == []


def test_half_as_many_recipients_as_last_time_are_a_warning() -> None:
    assert audience_findings(last_send=last_send(200, 1_000)) == [("warning", "audience", "")]
    assert audience_findings(last_send=last_send(200, 999)) == []
    assert audience_findings(last_send=last_send(200, 10), audience=AudienceSnapshot(count=4)) == []
