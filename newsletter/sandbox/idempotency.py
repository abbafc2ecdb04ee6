"""Idempotency keys: the answer to each, kept for 24 hours.

Rules: resend.com/docs/dashboard/emails/idempotency-keys. Where Resend's documentation is silent, these rules are
strict, so that mistakes of a client become visible:

* Only an accepted call (200, also a permissive one with errors) uses its key. A refused call (4xx, 429, 5xx) does not,
  and may be repeated with another payload.
* Payloads are equal if their JSON is equal: white space and the order of names do not matter. The path does.
* A replayed answer is the complete first answer, including `errors`.
* Keys belong to the team and not to an API key.
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

RETENTION_SECONDS = 24 * 3600.0
MAX_KEY_LENGTH = 256


def read_key(request: Request) -> str | None:
    """The key of a call, 1 to 256 characters; None if it has none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise refusal("invalid_idempotency_key")
    return key


class IdempotencyKeys:
    """The team's keys: those of running calls in memory, those of answered calls in the database."""

    def __init__(self, database: Database, bodies: Bodies) -> None:
        self._database = database
        self._bodies = bodies
        self._lock = threading.Lock()
        self._held: set[str] = set()

    @contextmanager
    def hold(self, key: str | None) -> Iterator[None]:
        """Lock a key. Raises Refusal (409 concurrent_idempotent_requests) while another call holds it."""
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
        """The stored answer to this call; None if the key is new.

        Raises Refusal (409 invalid_idempotent_request) if the key belongs to another payload.
        """
        row = self._database.row("SELECT * FROM keys WHERE key = ? AND created_at > ?", key, now - RETENTION_SECONDS)
        if row is None:
            return None
        same_body = row["body_sha256"] == sha256 or _canonical(self._bodies.read(row["body"])) == _canonical(body)
        if row["path"] != path or not same_body:
            raise refusal("invalid_idempotent_request")
        return bytes(row["answer"])

    def remember(self, key: str, path: str, sha256: str, body: int, answer: bytes, now: float) -> None:
        """Store an answer, replacing an expired one. Part of the transaction that accepts the mails."""
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
