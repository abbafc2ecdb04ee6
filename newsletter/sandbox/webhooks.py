"""Posts events to the receiver: signed as by Svix, by several workers, and retried until they are delivered.

Rules: resend.com/docs/dashboard/webhooks and Svix's "verifying payloads manually".
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import logging
import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from newsletter.sandbox.database import Stopping
from newsletter.sandbox.endpoint import KEPT_ANSWER
from newsletter.sandbox.events import WebhookPost
from newsletter.sandbox.options import signing_key
from newsletter.sandbox.team import Team

log = logging.getLogger(__name__)

#: Events that a worker takes at once: enough to save queries, few enough to share the work.
_CHUNK_SIZE = 16
#: Longest sleep of an idle worker in seconds. A test's clock may advance without waking it.
_IDLE_SECONDS = 0.2
_SHORTEST_SLEEP = 0.002


def sign(secrets: Iterable[str], svix_id: str, timestamp: int, body: bytes) -> str:
    """The `svix-signature` header: one `v1,<Base64 of HMAC-SHA256>` for each secret."""
    signed = f"{svix_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(signing_key(secret), signed, hashlib.sha256) for secret in secrets)
    return " ".join("v1," + base64.b64encode(signature).decode("ascii") for signature in signatures)


class Receiver:
    """A keep-alive connection to the webhook endpoint, used by one thread."""

    def __init__(self) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self._origin = ("", "", 0.0)
        self.answered = ""
        """The beginning of the last answer's body; empty if none came."""

    def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> str:
        """The status of the answer as text, or the name of the error."""
        started = time.monotonic()
        self.answered = ""
        try:
            status = self._status(url, body, headers, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: a URL that cannot be used. It must not end the thread, which posts to the next one.
            self.close()
            return type(error).__name__
        # The socket's timeout restarts with each byte; this deadline is for the complete answer.
        return str(status) if time.monotonic() - started <= timeout else "timeout"

    def _status(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.netloc, timeout)
        if self._connection is not None and self._origin == origin:
            try:
                return self._exchange(self._connection, url, body, headers)
            except (http.client.RemoteDisconnected, ConnectionError):
                # The receiver had closed the idle connection, which is not an error of the event.
                pass
        self.close()
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        self._origin = origin
        return self._exchange(self._connection, url, body, headers)

    def _exchange(self, connection: http.client.HTTPConnection, url: str, body: bytes, headers: dict[str, str]) -> int:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        self.answered = response.read()[:KEPT_ANSWER].decode("utf-8", "replace")
        return response.status

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class WebhookWorkers:
    """Threads that post events. Their queue is the events table, so stopping loses no event."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._threads = [
            threading.Thread(target=self._run, name=f"sandbox-webhooks-{number}", daemon=True)
            for number in range(team.options.webhook_workers)
        ]

    def start(self) -> None:
        """Start posting."""
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> None:
        """Wait until the workers have stopped."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _run(self) -> None:
        team, receiver = self._team, Receiver()
        with contextlib.suppress(Stopping), contextlib.closing(receiver):
            while not team.stopping.is_set():
                posts = self._take() if team.options.webhook_url else []
                if posts:
                    self._post_all(posts, receiver)
                else:
                    self._sleep()

    def _take(self) -> list[WebhookPost]:
        team, now = self._team, self._team.clock()
        if team.endpoint.is_enabled:
            return team.events.take(now, _CHUNK_SIZE)
        team.endpoint.pass_over(now)
        return []

    def _post_all(self, posts: list[WebhookPost], receiver: Receiver) -> None:
        """Post in order. After an error the rest is returned to the queue, so a broken receiver does not delay it."""
        for position, post in enumerate(posts):
            if self._team.stopping.is_set():
                self._team.events.put_back(posts[position:])
                return
            if not self._post(post, receiver):
                self._team.events.put_back(posts[position + 1 :])
                return

    def _post(self, post: WebhookPost, receiver: Receiver) -> bool:
        """Post one event. Returns whether the receiver answered."""
        options = self._team.options
        # The receiver compares the timestamp with its own clock, so this is the real time and not the test's clock.
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "Svix-Webhooks/1.62.0 (sandbox)",
            "svix-id": post.svix_id,
            "svix-timestamp": str(timestamp),
            "svix-signature": sign(options.webhook_secrets, post.svix_id, timestamp, post.body),
        }
        answer = receiver.post(options.webhook_url or "", post.body, headers, options.webhook_timeout)
        delivered = answer.startswith("2") and answer.isdigit()
        if not delivered:
            log.warning("webhook %s was not delivered: %s", post.svix_id, answer)
        now, scale = self._team.clock(), options.webhook_time_scale
        with self._team.database.transaction():
            self._team.events.record(post, answer, now, scale, delivered=delivered)
            self._team.endpoint.record(post, answer, receiver.answered, now, scale, ok=delivered)
        return answer.isdigit()

    def _sleep(self) -> None:
        team = self._team
        with team.database.changed:
            next_try_at = team.events.next_try_at()
            wait = _IDLE_SECONDS if next_try_at is None else next_try_at - team.clock()
            if not team.stopping.is_set():
                team.database.changed.wait(min(max(wait, _SHORTEST_SLEEP), _IDLE_SECONDS))
