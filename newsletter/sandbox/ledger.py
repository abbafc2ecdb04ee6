"""The ledger: every accepted mail and every call, to detect duplicates and losses.

It has one row for each time that a mail was accepted, even if a fault changed the answer.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from newsletter.sandbox.bodies import Bodies
from newsletter.sandbox.database import Database
from newsletter.sandbox.paging import Page
from newsletter.sandbox.time_format import day, format_time
from newsletter.sandbox.validation import Mail, bare_address, message_id

#: The latest event of a mail. Final events take precedence: a later open does not replace a complaint.
_LAST_EVENT = """
    CASE WHEN mails.canceled_at IS NOT NULL THEN 'email.canceled' ELSE coalesce(
        (SELECT type FROM events WHERE events.mail = mails.id AND happens_at <= :now
           AND type IN ('email.complained', 'email.bounced', 'email.suppressed', 'email.failed') LIMIT 1),
        (SELECT type FROM events WHERE events.mail = mails.id AND happens_at <= :now
           AND type != 'email.unknown' ORDER BY happens_at DESC, events.id DESC LIMIT 1),
        'email.queued') END AS last_event
"""


@dataclass(frozen=True, slots=True)
class LedgerMail:
    """One accepted mail, without its contents."""

    number: int
    id: str
    body: int
    position: int | None
    created_at: float
    scheduled_at: float | None
    envelope: dict[str, Any]
    #: Resend's word: queued, sent, delivered, opened, clicked, bounced, complained, suppressed, scheduled, canceled…
    last_event: str

    @property
    def message_id(self) -> str:
        """The Message-ID header."""
        return message_id(self.id)

    @property
    def tags(self) -> dict[str, str]:
        """Tags by name."""
        tags: dict[str, str] = self.envelope["tags"]
        return tags

    @property
    def address(self) -> str:
        """The bare address of the first recipient."""
        return bare_address(self.envelope["to"][0])


class Ledger:
    """Accepted mails and calls. Times are seconds since 1970."""

    def __init__(self, database: Database, bodies: Bodies) -> None:
        self._database = database
        self._bodies = bodies

    # Writing

    def add_mails(self, mails: Iterable[tuple[int | None, Mail]], body: int, now: float) -> list[tuple[int, str, Mail]]:
        """Add each (position, mail); returns (number, id, mail) of each. Part of the transaction that accepts."""
        with self._database.transaction() as tx:
            first = self._database.number("SELECT max(id) FROM mails") + 1
            added = [
                (first + offset, str(uuid.uuid4()), position, mail) for offset, (position, mail) in enumerate(mails)
            ]
            tx.executemany(
                """INSERT INTO mails (id, uid, position, body, created_at, scheduled_at, envelope)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                [
                    (number, uid, position, body, now, mail.scheduled_at, orjson.dumps(mail.envelope()).decode())
                    for number, uid, position, mail in added
                ],
            )
            recipients = [
                (number, *recipient) for number, _uid, _position, mail in added for recipient in mail.recipients
            ]
            tx.executemany("INSERT INTO recipients (mail, address, field) VALUES (?, ?, ?)", recipients)
            tx.execute(
                """INSERT INTO usage (day, recipients) VALUES (?, ?)
                   ON CONFLICT (day) DO UPDATE SET recipients = recipients + excluded.recipients""",
                (day(now), len(recipients)),
            )
        return [(number, uid, mail) for number, uid, _position, mail in added]

    def add_call(self, path: str, key: str | None, sha256: str, status: int, fault: str, now: float) -> None:
        """Record one attempt to send; `status` 0 means that no answer was sent."""
        with self._database.transaction() as tx:
            tx.execute(
                "INSERT INTO calls (at, path, key, body_sha256, status, fault) VALUES (?, ?, ?, ?, ?, ?)",
                (now, path, key, sha256, status, fault),
            )

    def cancel(self, mail: LedgerMail, now: float) -> None:
        """Cancel a scheduled mail and its future events."""
        with self._database.transaction() as tx:
            tx.execute("UPDATE mails SET canceled_at = ? WHERE id = ?", (now, mail.number))
            tx.execute("DELETE FROM events WHERE mail = ? AND happens_at > ?", (mail.number, now))
            tx.execute("DELETE FROM suppressions WHERE source = ? AND since > ?", (mail.id, now))

    def reschedule(self, mail: LedgerMail, scheduled_at: float, now: float) -> None:
        """Send a scheduled mail at another time."""
        later = scheduled_at - (mail.scheduled_at or now)
        with self._database.transaction() as tx:
            tx.execute("UPDATE mails SET scheduled_at = ? WHERE id = ?", (scheduled_at, mail.number))
            tx.execute(
                """UPDATE events SET happens_at = happens_at + :later, next_try_at = next_try_at + :later
                   WHERE mail = :mail AND happens_at > :now""",
                {"later": later, "mail": mail.number, "now": now},
            )
            tx.execute(
                "UPDATE suppressions SET since = since + ? WHERE source = ? AND since > ?",
                (later, mail.id, now),
            )

    # Reading

    def mail(self, uid: str, now: float) -> LedgerMail | None:
        """One mail by its id."""
        row = self._database.row(f"SELECT *, {_LAST_EVENT} FROM mails WHERE uid = :uid", now=now, uid=uid)  # noqa: S608
        return _ledger_mail(row) if row else None

    def number_of(self, uid: str) -> int | None:
        """The number of a mail by its id, for paging."""
        return self._database.number("SELECT id FROM mails WHERE uid = ?", uid) or None

    def page(self, page: Page, now: float, search: str = "") -> tuple[list[LedgerMail], bool]:
        """A page of mails, newest first, and whether there are more; `search` is part of a recipient's address."""
        pattern = "%" + search.strip().lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._database.rows(
            f"""SELECT *, {_LAST_EVENT} FROM mails
                WHERE (:pattern = '%%' OR EXISTS (SELECT 1 FROM recipients WHERE mail = mails.id
                                            AND address LIKE :pattern ESCAPE '\\'))
                  AND {page.condition("mails.id")}""",  # noqa: S608
            now=now,
            pattern=pattern,
        )
        mails, more = page.cut(rows)
        return [_ledger_mail(row) for row in mails], more

    def contents(self, mail: LedgerMail) -> dict[str, Any]:
        """A mail as it was requested: `html`, `text` and every other field."""
        return self._bodies.item(mail.body, mail.position)

    def mails_to(self, address: str, now: float) -> list[LedgerMail]:
        """All mails to one address, oldest first."""
        rows = self._database.rows(
            f"""SELECT *, {_LAST_EVENT} FROM mails
                WHERE id IN (SELECT mail FROM recipients WHERE address = :address) ORDER BY id""",  # noqa: S608
            now=now,
            address=bare_address(address),
        )
        return [_ledger_mail(row) for row in rows]

    def recipients_since(self, start: str) -> int:
        """Recipients accepted on UTC days that begin with `start`: a day, or a month such as `2026-11-`."""
        return self._database.number("SELECT sum(recipients) FROM usage WHERE day GLOB ?", start + "*")

    def counts(self) -> dict[str, int]:
        """Numbers of mails, of recipients (to, cc and bcc), and of distinct addresses."""
        number = self._database.number
        return {
            "messages": number("SELECT count(*) FROM mails"),
            "recipients": number("SELECT count(*) FROM recipients"),
            "distinct_recipients": number("SELECT count(DISTINCT address) FROM recipients"),
        }

    def summary(self) -> dict[str, Any]:
        """Numbers of mails, recipients and calls, and the use of each idempotency key.

        `repeated_recipients` are addresses with more than one mail. `keys` has the attempts, the bodies (SHA-256) and
        the answered statuses of each idempotency key.
        """
        number = self._database.number
        return {
            **self.counts(),
            "repeated_recipients": self._counts(
                "SELECT address, count(*) FROM recipients GROUP BY address HAVING count(*) > 1"
            ),
            "calls": number("SELECT count(*) FROM calls"),
            "calls_by_status": self._counts("SELECT status, count(*) FROM calls GROUP BY status ORDER BY status"),
            "calls_without_key": number("SELECT count(*) FROM calls WHERE key IS NULL"),
            "keys": self._keys(),
        }

    def by_tag(self, tag: str) -> dict[str, Any]:
        """Mails by the values of one tag, such as the delivery's id; repeated values are duplicates."""
        counts = self.tag_values(tag)
        total = self._database.number("SELECT count(*) FROM mails")
        return {
            "tag": tag,
            "messages": sum(counts.values()),
            "messages_without": total - sum(counts.values()),
            "distinct_values": len(counts),
            "repeated_values": {value: count for value, count in counts.items() if count > 1},
        }

    def tag_values(self, tag: str) -> dict[str, int]:
        """{value: number of mails} of one tag."""
        return self._counts(
            """SELECT tag.value, count(*) FROM mails, json_each(mails.envelope, '$.tags') AS tag
               WHERE tag.key = ? GROUP BY tag.value""",
            tag,
        )

    def calls(self) -> list[dict[str, Any]]:
        """Every attempt to send, oldest first."""
        rows = self._database.rows("SELECT * FROM calls ORDER BY id")
        return [{**dict(row), "at": format_time(row["at"])} for row in rows]

    def _keys(self) -> dict[str, dict[str, Any]]:
        rows = self._database.rows(
            """SELECT key, count(*) AS attempts, group_concat(DISTINCT body_sha256) AS bodies,
                      group_concat(DISTINCT status) AS statuses
               FROM calls WHERE key IS NOT NULL GROUP BY key ORDER BY min(id)"""
        )
        return {
            row["key"]: {
                "attempts": row["attempts"],
                "body_sha256": row["bodies"].split(","),
                "statuses": [int(status) for status in row["statuses"].split(",")],
            }
            for row in rows
        }

    def _counts(self, sql: str, *values: object) -> dict[str, int]:
        return {str(row[0]): row[1] for row in self._database.rows(sql, *values)}


def _ledger_mail(row: sqlite3.Row) -> LedgerMail:
    return LedgerMail(
        number=row["id"],
        id=row["uid"],
        body=row["body"],
        position=row["position"],
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"],
        envelope=orjson.loads(row["envelope"]),
        last_event=row["last_event"].removeprefix("email."),
    )
