"""Reads what an installation has stored, with plain SQL: to be compared with the independent count."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Collection
from typing import Any

from tests.faults.judge import rows_of
from tests.journeys.flood.facts import UTC, Mail
from tests.journeys.flood.prepare import ISSUES
from tests.journeys.flood.recount import KINDS

MAILS = """
    SELECT d.id, d.send_id, i.slug, e.edition_id, s.address, s.canonical, d.provider_id, e.started_at,
        n.engagement_source, p.tracking_agreed_at, d.state
    FROM newsletter_delivery d JOIN newsletter_send e ON e.id = d.send_id JOIN newsletter_issue i ON i.id = d.issue_id
        JOIN newsletter_newsletter n ON n.mailing_list_id = i.newsletter_id
        JOIN subscribers_subscriber s ON s.id = d.subscriber_id
        JOIN subscribers_subscription p ON p.subscriber_id = s.id AND p.mailing_list_id = i.newsletter_id
    ORDER BY d.id
"""
TIMES = f"SELECT id, state, {', '.join(f'{kind}_at' for kind in KINDS)} FROM newsletter_delivery"
COUNTERS = "SELECT send_id, scope, key, name, sum(value) FROM newsletter_sendcount GROUP BY 1, 2, 3, 4"
ENGAGEMENT = "SELECT edition_id, number, hour, verdict, hits, visitors FROM newsletter_engagementcounter"
EVENTS = "SELECT event_id, body FROM newsletter_event ORDER BY id"
RESULTS = "SELECT state, reason, count(*) FROM newsletter_event GROUP BY 1, 2"
SUPPRESSIONS = "SELECT fingerprint, reason FROM subscribers_suppression"
SOFT = "SELECT subscriber_id, send_id, bounce, at FROM newsletter_softbounce"
OWNERS = "SELECT id, subscriber_id, send_id FROM newsletter_delivery"
SUBSCRIPTIONS = """
    SELECT s.canonical, p.state FROM subscribers_subscription p JOIN subscribers_subscriber s ON s.id = p.subscriber_id
"""


def time_of(value: Any) -> datetime.datetime:
    """SQLite has times in UTC as text."""
    at = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value))
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


class Ledger:
    """The tables of one installation."""

    def __init__(self, database: str) -> None:
        self._database = database

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return rows_of(self._database, sql)

    def number(self, sql: str) -> int:
        """The only value of a query."""
        ((value,),) = self.rows(sql)
        return int(value)

    def mails(self) -> list[Mail]:
        """All mails; each must have been accepted. None of their subscribers is erased yet."""
        found = []
        for row in self.rows(MAILS):
            delivery, send, issue, edition, address, _canonical, mail_id, started, source, agreed, state = row
            assert state == "accepted"
            assert mail_id
            found.append(
                Mail(
                    delivery=delivery,
                    send=send,
                    issue=issue,
                    edition=edition,
                    links=ISSUES[issue],
                    address=address,
                    is_erased=False,
                    mail_id=mail_id,
                    started_at=time_of(started),
                    has_provider_tracking=source == "provider",
                    agreed_at=time_of(agreed) if agreed else None,
                )
            )
        return found

    def started(self) -> dict[int, datetime.datetime]:
        """When each send started, to the second."""
        rows = self.rows("SELECT id, started_at FROM newsletter_send")
        return {send: time_of(at).replace(microsecond=0) for send, at in rows}

    def times(self) -> dict[int, dict[str, datetime.datetime]]:
        """By delivery: the first time of each kind of event."""
        return {
            pk: {kind: time_of(at) for kind, at in zip(KINDS, times, strict=True) if at is not None}
            for pk, _state, *times in self.rows(TIMES)
        }

    def counters(self) -> dict[int, dict[tuple[str, str, str], int]]:
        """By send: the counters that are not zero, by scope, key and name."""
        found: dict[int, dict[tuple[str, str, str], int]] = {}
        for send, scope, key, name, value in self.rows(COUNTERS):
            if value:
                found.setdefault(send, {})[scope, key, name] = int(value)
        return found

    def engagement(self) -> dict[tuple[int, int, datetime.datetime, str], tuple[int, int]]:
        """By edition, number, hour and verdict: hits and visitors."""
        rows = self.rows(ENGAGEMENT)
        return {
            (edition, number, time_of(hour), verdict): (hits, visitors)
            for edition, number, hour, verdict, hits, visitors in rows
            if hits or visitors
        }

    def results(self) -> dict[str, int]:
        """Events by state and reason."""
        return {f"{state} {reason}".strip(): count for state, reason, count in self.rows(RESULTS)}

    def suppressions(self, secret: str, addresses: Collection[str]) -> dict[str, str]:
        """The reason of each suppressed address; of one that nobody has heard of, its hash."""
        known = {hmac.digest(secret.encode(), each.encode(), "sha256").hex(): each for each in addresses}
        return {known.get(key, key): reason for key, reason in self.rows(SUPPRESSIONS)}

    def soft_bounces(self) -> dict[int, tuple[datetime.datetime, str]]:
        """By delivery: time and class."""
        owners = {(subscriber, send): pk for pk, subscriber, send in self.rows(OWNERS)}
        rows = self.rows(SOFT)
        return {owners[subscriber, send]: (time_of(at), bounce) for subscriber, send, bounce, at in rows}
