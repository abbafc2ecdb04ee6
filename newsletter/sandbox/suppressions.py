"""Addresses that the team must not mail.

Resend has one suppression list for the team, across domains. Bounces, complaints and API calls add to it.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable

from newsletter.sandbox.database import Database
from newsletter.sandbox.paging import Page


class Suppressions:
    """The team's list. An address that will bounce is listed from the time of the bounce (`since`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, address: str, origin: str, since: float, source: str | None = None) -> sqlite3.Row:
        """Add an address if it is not listed. Returns its row."""
        with self._database.transaction() as tx:
            tx.execute(
                """INSERT INTO suppressions (id, address, origin, source, since) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (address) DO UPDATE SET since = min(since, excluded.since)""",
                (str(uuid.uuid4()), address.strip().lower(), origin, source, since),
            )
            return self._database.one("SELECT * FROM suppressions WHERE address = ?", address.strip().lower())

    def find(self, id_or_address: str, since: float | None) -> sqlite3.Row | None:
        """One entry by id or address; with `since`, only if it is in effect at that time."""
        return self._database.row(
            "SELECT * FROM suppressions WHERE (id = :id OR address = :address) AND since <= coalesce(:since, since)",
            id=id_or_address,
            address=id_or_address.strip().lower(),
            since=since,
        )

    def number_of(self, id_or_address: str) -> int | None:
        """The number of an entry, for paging."""
        row = self.find(id_or_address, since=None)
        return row["number"] if row else None

    def remove(self, id_or_address: str, now: float) -> str | None:
        """Remove an entry. Returns its id; None if there was none."""
        with self._database.transaction() as tx:
            row = self.find(id_or_address, since=now)
            if row is None:
                return None
            tx.execute("DELETE FROM suppressions WHERE number = ?", (row["number"],))
            return str(row["id"])

    def origins(self, addresses: Iterable[str], now: float) -> dict[str, str]:
        """{address: origin} of those that are listed now, in one query."""
        wanted = list(addresses)
        marks = ",".join("?" * len(wanted))
        rows = self._database.rows(
            f"SELECT address, origin FROM suppressions WHERE since <= ? AND address IN ({marks})",  # noqa: S608
            now,
            *wanted,
        )
        return {row["address"]: row["origin"] for row in rows}

    def page(self, page: Page, now: float, origin: str | None) -> tuple[list[sqlite3.Row], bool]:
        """One page of the list, newest first, and whether there is more."""
        rows = self._database.rows(
            f"""SELECT * FROM suppressions
                WHERE since <= ? AND origin = coalesce(?, origin) AND {page.condition("number")}""",  # noqa: S608
            now,
            origin,
        )
        return page.cut(rows)
