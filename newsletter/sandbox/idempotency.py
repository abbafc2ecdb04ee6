"""Idempotency keys: what was answered to each, for 24 hours.

Rules: resend.com/docs/dashboard/emails/idempotency-keys. What Resend does not say is decided here, always so that a
careful client is right to rely on it, and a careless one is found out:

* Only an accepted call (200, also a permissive one with errors) uses up its key. A refused one (4xx, 429, 5xx) does
  not, and may come again with another payload.
* The payload is equal when its JSON is: white space and the order of names in an object don't count. The path counts.
* A replayed answer is the first one whole, `errors` included.
* Keys are the team's, whichever API key was used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from newsletter.sandbox.bodies import Bodies
from newsletter.sandbox.database import Database
from newsletter.sandbox.exchange import Request
from newsletter.sandbox.refusals import refusal

KEPT_SECONDS = 24 * 3600.0
MAX_KEY = 256


def read_key(request: Request) -> str | None:
    """The key of a call: 1 to 256 characters; None if it has none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise refusal("invalid_idempotency_key")
    return key


class IdempotencyKeys:
    """The team's keys: those in use right now in memory, the answered ones in the database."""

    def __init__(self, database: Database, bodies: Bodies) -> None:
        self._database = database
        self._bodies = bodies
        self._lock = threading.Lock()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, key: str | None) -> Iterator[None]:
        """Work under a key alone; 409 concurrent_idempotent_requests while another call does."""
        if key is None:
            yield
            return
        with self._lock:
            if key in self._held:
                raise refusal("concurrent_idempotent_requests")
            self._held.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(key)

    def answer_to(self, key: str | None, path: str, body: bytes, sha256: str, now: float) -> bytes | None:
        """What was answered to this very call under this key; None if the key is fresh.

        409 invalid_idempotent_request if the key belongs to another payload.
        """
        row = self._database.row("SELECT * FROM keys WHERE key = ? AND created_at > ?", key, now - KEPT_SECONDS)
        if row is None:
            return None
        same_body = row["body_sha256"] == sha256 or _canonical(self._bodies.read(row["body"])) == _canonical(body)
        if row["path"] != path or not same_body:
            raise refusal("invalid_idempotent_request")
        return bytes(row["answer"])

    def remember(self, key: str, path: str, sha256: str, body: int, answer: bytes, now: float) -> None:
        """Keep what was answered; an outlived key starts anew. Part of the transaction that accepts the mails."""
        with self._database.transaction() as tx:
            tx.execute(
                """INSERT OR REPLACE INTO keys (key, path, body_sha256, body, answer, created_at)
                   VALUES (?, ?, ?, ?, ?, ?)""",
                (key, path, sha256, body, answer, now),
            )


def _canonical(body: bytes) -> bytes:
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return body
