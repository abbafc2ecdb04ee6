"""The judge: compares the provider's ledger with the database.

It shares no code with the system, so that it cannot share its errors: it reads the tables with plain SQL.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

Row = tuple[Any, ...]

DELIVERIES = """
    SELECT d.id, d.state, d.reason, s.canonical, d.delivered_at IS NOT NULL, d.provider_id
    FROM newsletter_delivery d LEFT JOIN subscribers_subscriber s ON s.id = d.subscriber_id
"""
BATCHES = "SELECT first_delivery, last_delivery, state, reason FROM newsletter_batch"
EVENTS = "SELECT event_id, state FROM newsletter_event"
SEND_STATES = "SELECT state FROM newsletter_send"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The result of a run as numbers. `faults` are sentences; there must be none."""

    accepted: int
    duplicates: int
    lost: int
    unknown: int
    faults: tuple[str, ...]


def rows_of(database: str, sql: str) -> list[Row]:
    """The rows of a query, read without Django."""
    return snapshot_of(database, sql)[0]


def snapshot_of(database: str, *queries: str) -> list[list[Row]]:
    """The rows of each query, all as of one moment: a worker may settle a batch between two reads."""
    if database.startswith("sqlite:///"):
        file = database.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            return [connection.execute(sql).fetchall() for sql in queries]
    with psycopg.connect(database) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return [postgres.execute(sql.encode()).fetchall() for sql in queries]


def judge(
    database: str, summary: Mapping[str, Any], in_ledger: Mapping[int, Sequence[str]], addresses: set[str]
) -> Judgement:
    """Compare. `summary` is the ledger's, `in_ledger` its mails per delivery, `addresses` the expected recipients."""
    deliveries, batches = snapshot_of(database, DELIVERIES, BATCHES)
    twice = len(summary["repeated_recipients"]) or sum(1 for mails in in_ledger.values() if len(mails) > 1)
    faults: list[str] = []
    unknown, lost = 0, len(addresses - {row[3] for row in deliveries})
    for pk, state, reason, _address, _delivered, mail_id in deliveries:
        if mail_id and mail_id not in in_ledger.get(pk, ()):
            faults.append(f"delivery {pk} has the id of another mail")
        if state == "unknown":
            unknown += 1
            if not reason or not _is_held_with_a_reason(pk, batches):
                faults.append(f"delivery {pk} is unknown without a reason")
        elif state in ("skipped", "failed"):
            if not reason:
                faults.append(f"delivery {pk} is {state} without a reason")
            if pk in in_ledger:
                faults.append(f"delivery {pk} is {state}, but it was sent")
        elif pk not in in_ledger:
            lost += 1
    faults += [f"delivery {pk} was sent, but has no row" for pk in in_ledger.keys() - {row[0] for row in deliveries}]
    faults += [
        f"{count} deliveries for one subscriber"
        for count in Counter(row[3] for row in deliveries).values()
        if count > 1
    ]
    faults += [
        f"key {key} was used with different bytes"
        for key, use in summary["keys"].items()
        if len(use["body_sha256"]) > 1
    ]
    accepted = sum(1 for row in deliveries if row[1] == "accepted")
    return Judgement(accepted=accepted, duplicates=twice, lost=lost, unknown=unknown, faults=tuple(faults))


def _is_held_with_a_reason(pk: int, batches: list[Row]) -> bool:
    owners = [(state, reason) for first, last, state, reason in batches if first <= pk <= last and state != "split"]
    return len(owners) == 1 and owners[0][0] in ("held", "unknown") and bool(owners[0][1])


def events_lost(database: str, events: int) -> int:
    """How many of the provider's events were not stored, or not applied."""
    applied = {event for event, state in rows_of(database, EVENTS) if state == "applied"}
    delivered = sum(1 for row in rows_of(database, DELIVERIES) if row[4])
    return max(events - len(applied), events - delivered)
