"""Mails that the team received: their metadata, their attachments, and signed addresses from which these are loaded."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from newsletter.sandbox.database import Database
from newsletter.sandbox.paging import Page
from newsletter.sandbox.time_format import format_time

#: Seconds for which the address of an attachment is valid. Source: resend.com/docs/dashboard/receiving/attachments.
DOWNLOAD_SECONDS = 3600

#: What the address of the original mail has in place of the id of an attachment.
ORIGINAL = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFile:
    """An attachment of a received mail."""

    filename: str | None
    content_type: str
    content: bytes


class Received:
    """Received mails. Times are seconds since 1970."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Addresses of an earlier process need not work: they are valid for an hour.
        self._key = secrets.token_bytes(32)

    def add(
        self,
        *,
        sender: str,
        to: Sequence[str],
        subject: str,
        files: Sequence[ReceivedFile],
        original: bytes | None,
        now: float,
    ) -> str:
        """Store a mail; its id."""
        uid = str(uuid.uuid4())
        with self._database.transaction() as tx:
            number = tx.execute(
                """INSERT INTO received (uid, created_at, sender, recipients, subject, original)
                   VALUES (?, ?, ?, ?, ?, ?)""",
                (uid, now, sender, orjson.dumps(list(to)).decode(), subject, original),
            ).lastrowid
            tx.executemany(
                "INSERT INTO received_files (uid, mail, filename, content_type, content) VALUES (?, ?, ?, ?, ?)",
                [(str(uuid.uuid4()), number, file.filename, file.content_type, file.content) for file in files],
            )
        return uid

    def mail(self, uid: str) -> sqlite3.Row | None:
        """One mail."""
        return self._database.row("SELECT * FROM received WHERE uid = ?", uid)

    def number_of(self, uid: str) -> int | None:
        """The number of a mail, for paging."""
        return self._database.number("SELECT id FROM received WHERE uid = ?", uid) or None

    def page(self, page: Page) -> tuple[list[sqlite3.Row], bool]:
        """A page of mails, newest first, and whether there are more."""
        return page.cut(self._database.rows(f"SELECT * FROM received WHERE {page.condition('id')}"))  # noqa: S608

    def files(self, mail: sqlite3.Row, page: Page | None = None) -> tuple[list[sqlite3.Row], bool]:
        """The attachments of a mail in their order, or a page of them; and whether there are more."""
        if page is None:
            return self._database.rows("SELECT * FROM received_files WHERE mail = ? ORDER BY id", mail["id"]), False
        query = f"SELECT * FROM received_files WHERE mail = ? AND {page.condition('id')}"  # noqa: S608 - integers only
        return page.cut(self._database.rows(query, mail["id"]))

    def file(self, mail: sqlite3.Row, uid: str) -> sqlite3.Row | None:
        """One attachment of a mail."""
        return self._database.row("SELECT * FROM received_files WHERE mail = ? AND uid = ?", mail["id"], uid)

    def content(self, mail: sqlite3.Row, uid: str) -> ReceivedFile | None:
        """An attachment, or the whole mail, with its contents."""
        if uid == ORIGINAL:
            whole = mail["original"]
            return None if whole is None else ReceivedFile(filename=None, content_type="message/rfc822", content=whole)
        row = self.file(mail, uid)
        if row is None:
            return None
        return ReceivedFile(filename=row["filename"], content_type=row["content_type"], content=row["content"])

    def file_number(self, uid: str) -> int | None:
        """The number of an attachment, for paging."""
        return self._database.number("SELECT id FROM received_files WHERE uid = ?", uid) or None

    def download_path(self, mail: str, file: str, expires_at: float) -> str:
        """The path of an attachment with its signature: who has it needs no key."""
        values = {"expires": int(expires_at), "signature": self._signature(mail, file, int(expires_at))}
        return f"/sandbox/received/{mail}/attachments/{file}?{urlencode(values)}"

    def is_signed(self, mail: str, file: str, expires: str, signature: str, now: float) -> bool:
        """Whether an address was made here and is still valid."""
        if not expires.isascii() or not expires.isdigit() or int(expires[:15]) < now:
            return False
        return hmac.compare_digest(self._signature(mail, file, int(expires[:15])).encode(), signature.encode())

    def _signature(self, mail: str, file: str, expires: int) -> str:
        return hmac.new(self._key, f"{mail} {file} {expires}".encode(), hashlib.sha256).hexdigest()


def event_data(mail: sqlite3.Row, files: Sequence[sqlite3.Row]) -> dict[str, Any]:
    """The `data` of the event email.received: metadata only."""
    shown = ("id", "filename", "content_type", "content_disposition", "content_id")
    described = [described_file(file) for file in files]
    return {
        "email_id": mail["uid"],
        "created_at": format_time(mail["created_at"]),
        "from": mail["sender"],
        "to": orjson.loads(mail["recipients"]),
        "bcc": [],
        "cc": [],
        "message_id": f"<{mail['uid']}@received.test>",
        "subject": mail["subject"],
        "attachments": [{name: file[name] for name in shown} for file in described],
    }


def described_file(file: sqlite3.Row) -> dict[str, Any]:
    """An attachment as GET /emails/receiving/{id} names it."""
    return {
        "id": file["uid"],
        "filename": file["filename"],
        "content_type": file["content_type"],
        "content_disposition": "attachment",
        "content_id": None,
        "size": len(file["content"]),
    }
