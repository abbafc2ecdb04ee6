"""The webhook endpoint and the log of what was posted to it, as Resend keeps them.

Sources: resend.com/docs/api-reference/webhooks (list-events, get-event, list-event-attempts, replay-event), and Svix's
page on retries: an endpoint whose posts have all failed for five days is disabled.
"""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

from newsletter.sandbox.database import Database
from newsletter.sandbox.events import OF_RECEIVED, WebhookPost, payload_of
from newsletter.sandbox.paging import Page

#: Seconds (times `webhook_time_scale`) after which an endpoint is disabled whose posts have all failed.
DISABLED_AFTER = 5 * 86_400.0

#: Characters of the endpoint's answers that the log keeps.
KEPT_ANSWER = 500

_STATUS = """
    CASE WHEN state = 'delivered' THEN 'success' WHEN state = 'failed' AND tries > 0 THEN 'failed'
         WHEN tries > 0 OR state = 'posting' THEN 'attempting' ELSE 'pending' END AS status
"""
_LOGGED = f"SELECT events.*, {_STATUS} FROM events WHERE state != 'silent' AND happens_at <= :now"  # noqa: S608


class Endpoint:
    """The one endpoint of the team. Its URL and its kinds of events are options; the rest is in the database."""

    def __init__(self, database: Database, now: float) -> None:
        self._database = database
        with database.transaction() as tx:
            row = tx.execute("SELECT * FROM endpoint").fetchone()
            if row is None:
                uid = str(uuid.uuid4())
                tx.execute("INSERT INTO endpoint (id, created_at) VALUES (?, ?)", (uid, now))
                row = tx.execute("SELECT * FROM endpoint").fetchone()
        self.id: str = row["id"]
        self.created_at: float = row["created_at"]
        self.is_enabled = row["disabled_at"] is None
        self._failing_since: float | None = row["failing_since"]

    def switch(self, *, is_enabled: bool, now: float) -> None:
        """Enable or disable it. Enabling posts nothing of what happened meanwhile; a replay does."""
        with self._database.transaction() as tx:
            tx.execute(
                "UPDATE endpoint SET disabled_at = ?, failing_since = NULL",
                (None if is_enabled else now,),
            )
            self.is_enabled, self._failing_since = is_enabled, None

    def pass_over(self, now: float) -> None:
        """Events that are due while it is disabled are not posted, and not tried again."""
        if self._database.number("SELECT count(*) FROM events WHERE state = 'pending' AND next_try_at <= ?", now):
            with self._database.transaction() as tx:
                tx.execute("UPDATE events SET state = 'failed' WHERE state = 'pending' AND next_try_at <= ?", (now,))

    def record(self, post: WebhookPost, answer: str, body: str, now: float, time_scale: float, *, ok: bool) -> None:
        """Record an attempt. `answer` is a status or the name of an error; of an error the log says status 0."""
        status = int(answer) if answer.isdigit() else 0
        with self._database.transaction() as tx:
            tx.execute(
                "INSERT INTO attempts (uid, event, at, status, response) VALUES (?, ?, ?, ?, ?)",
                (f"atmpt_{uuid.uuid4().hex}", post.number, now, status, body),
            )
            if ok and self._failing_since is not None:
                self._set_failing_since(tx, None)
            elif not ok and self._failing_since is None:
                self._set_failing_since(tx, now)
            elif not ok and now - (self._failing_since or now) >= DISABLED_AFTER * time_scale:
                self.switch(is_enabled=False, now=now)

    def _set_failing_since(self, tx: sqlite3.Connection, at: float | None) -> None:
        tx.execute("UPDATE endpoint SET failing_since = ?", (at,))
        self._failing_since = at

    # The log

    def page(self, after: sqlite3.Row | None, limit: int, now: float) -> tuple[list[sqlite3.Row], bool]:
        """Events older than `after`, newest first, each with its `status`; and whether there are more."""
        rows = self._database.rows(
            f"""{_LOGGED} AND (happens_at, id) < (:at, :number)
                ORDER BY happens_at DESC, id DESC LIMIT {limit + 1:d}""",
            now=now,
            at=now + 1 if after is None else after["happens_at"],
            number=0 if after is None else after["id"],
        )
        return rows[:limit], len(rows) > limit

    def event(self, svix_id: str, now: float) -> sqlite3.Row | None:
        """One event of the log, with its `status`."""
        return self._database.row(f"{_LOGGED} AND svix_id = :svix_id", now=now, svix_id=svix_id)

    def payload(self, event: sqlite3.Row) -> bytes:
        """The body that was, or would be, posted."""
        if event["mail"] == OF_RECEIVED:
            return payload_of(event)
        mail = self._database.one("SELECT uid, created_at, envelope FROM mails WHERE id = ?", event["mail"])
        return payload_of({**dict(event), **dict(mail)})

    def next_attempt_at(self, event: sqlite3.Row) -> float | None:
        """When it is posted next; None if it is not."""
        return float(event["next_try_at"]) if event["state"] == "pending" and self.is_enabled else None

    def attempts(self, event: sqlite3.Row, page: Page) -> tuple[list[sqlite3.Row], bool]:
        """The attempts to post an event, newest first, and whether there are more."""
        rows = self._database.rows(
            f"SELECT * FROM attempts WHERE event = ? AND {page.condition('id')}",  # noqa: S608 - integers only
            event["id"],
        )
        return page.cut(rows)

    def attempt_number(self, uid: str) -> int | None:
        """The number of an attempt, for paging."""
        return self._database.number("SELECT id FROM attempts WHERE uid = ?", uid) or None

    def replay(self, event: sqlite3.Row, now: float) -> None:
        """Post an event once more, under the same `svix-id`."""
        with self._database.transaction() as tx:
            tx.execute(
                "UPDATE events SET state = 'pending', copies = max(copies, 1), tries = 0, next_try_at = ? WHERE id = ?",
                (now, event["id"]),
            )

    def described(self, url: str, kinds: frozenset[str], at: str) -> dict[str, Any]:
        """The endpoint as GET /webhooks lists it; `at` is its time of creation, formatted."""
        status = "enabled" if self.is_enabled else "disabled"
        return {"id": self.id, "endpoint": url, "events": sorted(kinds), "status": status, "created_at": at}
