"""Events of mails, and their delivery to the webhook receiver.

An event is stored when its mail is accepted, and takes effect at `happens_at`. The same row is the webhook queue:
`pending` until a worker takes it (`posting`), then `delivered`, or `pending` again for the next try, or `failed`.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from newsletter.sandbox.database import Database
from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.outcomes import UNKNOWN_TYPE, PlannedEvent
from newsletter.sandbox.time_format import format_time
from newsletter.sandbox.validation import message_id

#: Seconds before each try (times `webhook_time_scale`): resend.com/docs/dashboard/webhooks/retries-and-replays.
RETRY_SECONDS = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
#: What events about received mails have in place of the number of a mail.
OF_RECEIVED = 0
#: Events of one mail are a millisecond apart at least, the resolution of `created_at`.
_STEP = 0.001


@dataclass(frozen=True, slots=True)
class WebhookPost:
    """One event to post to the receiver. Every try posts the same bytes."""

    number: int
    svix_id: str
    body: bytes
    tries: int
    copies: int


class Events:
    """Events of all mails. Times are seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # If a process was killed while it posted, the receiver may not have got the event: post it at least once.
        with database.transaction() as tx:
            tx.execute("UPDATE events SET state = 'pending' WHERE state = 'posting'")

    # Planning

    def plan(
        self, mail: int, planned: list[PlannedEvent], start: float, options: SandboxOptions
    ) -> list[tuple[PlannedEvent, float]]:
        """Store the events of a mail from `start` on. Returns each event with its time."""
        times = [
            start + event.after * options.webhook_time_scale + position * _STEP
            for position, event in enumerate(planned)
        ]
        tries = [times[-1] + (times[-1] - at) for at in times] if options.webhook_reversed else times
        rows = [
            _row(mail, event, happens_at, next_try_at, options)
            for event, happens_at, next_try_at in zip(planned, times, tries, strict=True)
        ]
        with self._database.transaction() as tx:
            tx.executemany(
                """INSERT INTO events (svix_id, mail, type, happens_at, next_try_at, detail, state, copies)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                rows,
            )
        return list(zip(planned, times, strict=True))

    def of_mail(self, mail: int, now: float) -> list[dict[str, Any]]:
        """The events of one mail until now, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM events WHERE mail = ? AND happens_at <= ? ORDER BY happens_at, id", mail, now
        )
        return [{**dict(row), "detail": orjson.loads(row["detail"])} for row in rows]

    # Posting

    def take(self, now: float, limit: int) -> list[WebhookPost]:
        """Take up to `limit` events that are due. No other worker gets them until they are recorded."""
        with self._database.transaction() as tx:
            rows = tx.execute(
                """SELECT events.*, mails.uid, mails.created_at, mails.envelope
                   FROM events LEFT JOIN mails ON mails.id = events.mail
                   WHERE state = 'pending' AND next_try_at <= ? ORDER BY next_try_at, events.id LIMIT ?""",
                (now, limit),
            ).fetchall()
            tx.executemany("UPDATE events SET state = 'posting' WHERE id = ?", [(row["id"],) for row in rows])
        return [WebhookPost(row["id"], row["svix_id"], payload_of(row), row["tries"], row["copies"]) for row in rows]

    def record(self, post: WebhookPost, answer: str, now: float, time_scale: float, *, delivered: bool) -> None:
        """Record a try. `answer` is a status or an error; `delivered` is whether it was a 2xx in time."""
        tries = post.tries + 1
        if delivered:
            copies = post.copies - 1
            state, wait = ("delivered" if copies == 0 else "pending"), 0.0
        else:
            copies = post.copies
            state = "failed" if tries >= len(RETRY_SECONDS) else "pending"
            wait = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)] * time_scale
        with self._database.transaction() as tx:
            tx.execute(
                """UPDATE events SET state = ?, copies = ?, tries = tries + 1, refused = refused + ?,
                                     next_try_at = ?, last_answer = ? WHERE id = ?""",
                (state, copies, int(not delivered), now + wait, answer, post.number),
            )

    def put_back(self, posts: Iterable[WebhookPost]) -> None:
        """Return events that were taken and not posted."""
        with self._database.transaction() as tx:
            tx.executemany("UPDATE events SET state = 'pending' WHERE id = ?", [(post.number,) for post in posts])

    def next_try_at(self) -> float | None:
        """When the next event is due; None if none is pending."""
        row = self._database.row("SELECT min(next_try_at) AS at FROM events WHERE state = 'pending'")
        return None if row is None or row["at"] is None else float(row["at"])

    def waiting(self) -> int:
        """Number of events that have tries left."""
        return self._database.number("SELECT count(*) FROM events WHERE state IN ('pending', 'posting')")

    def untried(self, mails: Iterable[int], now: float) -> int:
        """Number of events of these mails that are due and were not tried yet."""
        marks = ",".join(str(int(mail)) for mail in mails)
        return self._database.number(
            f"""SELECT count(*) FROM events WHERE mail IN ({marks}) AND tries = 0
                AND state IN ('pending', 'posting') AND next_try_at <= ?""",  # noqa: S608
            now,
        )

    def replay(self, now: float, *, svix_id: str | None, mail: int | None, state: str | None) -> int:
        """Post finished events again under the same `svix-id`. Returns their number."""
        with self._database.transaction() as tx:
            return tx.execute(
                """UPDATE events SET state = 'pending', copies = 1, tries = 0, next_try_at = :now
                   WHERE state IN ('delivered', 'failed') AND svix_id = coalesce(:svix_id, svix_id)
                     AND mail = coalesce(:mail, mail) AND state = coalesce(:state, state)""",
                {"now": now, "svix_id": svix_id, "mail": mail, "state": state},
            ).rowcount

    def summary(self) -> dict[str, Any]:
        """Counts of events by state and type, and of tries."""
        types = self._database.rows("SELECT type, state, count(*) FROM events GROUP BY type, state ORDER BY type")
        tries = self._database.one("SELECT total(tries), total(refused) FROM events")
        by_type: dict[str, dict[str, int]] = {}
        for event_type, state, count in types:
            by_type.setdefault(event_type, {})[state] = count
        return {**self.counts(), "tries": int(tries[0]), "tries_refused": int(tries[1]), "by_type": by_type}

    def counts(self) -> dict[str, int]:
        """Events by webhook state; `not_posted` are events that the receiver did not subscribe to."""
        rows = self._database.rows("SELECT state, count(*) FROM events GROUP BY state")
        states: dict[str, int] = {row[0]: row[1] for row in rows}
        return {
            "delivered": states.get("delivered", 0),
            "pending": states.get("pending", 0) + states.get("posting", 0),
            "failed": states.get("failed", 0),
            "not_posted": states.get("silent", 0),
        }


def _row(
    mail: int, event: PlannedEvent, happens_at: float, next_try_at: float, options: SandboxOptions
) -> tuple[object, ...]:
    svix_id = f"msg_{uuid.uuid4().hex}"
    is_subscribed = event.type in options.webhook_events or event.type == UNKNOWN_TYPE
    fraction = int.from_bytes(hashlib.sha256(svix_id.encode()).digest()[:8], "big")
    copies = 2 if fraction < options.webhook_duplicates * 2**64 else 1
    detail = orjson.dumps(event.detail).decode()
    state = "pending" if options.webhook_url and is_subscribed else "silent"
    return svix_id, mail, event.type, happens_at, next_try_at, detail, state, copies


def payload_of(row: Mapping[str, Any] | sqlite3.Row) -> bytes:
    """The body of a webhook: type and time of the event, envelope of the mail, and the event's detail.

    Of a received mail, the detail is all of the data.
    """
    happened_at = format_time(row["happens_at"])
    detail = orjson.loads(row["detail"])
    if row["mail"] == OF_RECEIVED:
        return orjson.dumps({"type": row["type"], "created_at": happened_at, "data": detail})
    envelope = orjson.loads(row["envelope"])
    if "click" in detail:
        detail["click"]["timestamp"] = happened_at
    data = {
        "email_id": row["uid"],
        "message_id": message_id(row["uid"]),
        "created_at": format_time(row["created_at"]),
        "from": envelope["from"],
        "to": envelope["to"],
        "subject": envelope["subject"],
        **({"tags": envelope["tags"]} if envelope["tags"] else {}),
        **({"headers": envelope["headers"]} if envelope["headers"] else {}),
        **detail,
    }
    return orjson.dumps({"type": row["type"], "created_at": happened_at, "data": data})
