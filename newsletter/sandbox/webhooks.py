"""Posting events to the receiver: signed as Svix signs, several at a time, again until they are taken.

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
from newsletter.sandbox.events import WebhookPost
from newsletter.sandbox.options import signing_key
from newsletter.sandbox.team import Team

log = logging.getLogger(__name__)

#: Events that a worker takes at once; enough to spare queries, few enough to share the work.
_TAKEN_AT_ONCE = 16
#: Longest sleep of an idle worker: an injected clock moves without telling anybody.
_IDLE_SECONDS = 0.2
_SHORTEST_SLEEP = 0.002


def sign(secrets: Iterable[str], svix_id: str, timestamp: int, body: bytes) -> str:
    """The `svix-signature` header: one `v1,<Base64 of HMAC-SHA256>` for each secret, so that either verifies."""
    signed = f"{svix_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(signing_key(secret), signed, hashlib.sha256) for secret in secrets)
    return " ".join("v1," + base64.b64encode(digest).decode("ascii") for digest in digests)


class Receiver:
    """A kept-alive connection to the webhook endpoint. Belongs to one thread."""

    def __init__(self) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self._origin = ("", "", 0.0)

    def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> str:
        """The status of the answer, as text, or the fault that prevented one."""
        started = time.monotonic()
        try:
            status = self._status(url, body, headers, timeout)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return type(error).__name__
        # The socket's timeout restarts with every byte; the deadline is for the whole answer.
        return str(status) if time.monotonic() - started <= timeout else "too late"

    def _status(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.netloc, timeout)
        if self._connection is not None and self._origin == origin:
            try:
                return _exchange(self._connection, url, body, headers)
            except (http.client.RemoteDisconnected, ConnectionError):
                # The receiver had closed the idle connection; that is no fault of the event.
                pass
        self.close()
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        self._origin = origin
        return _exchange(self._connection, url, body, headers)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _exchange(connection: http.client.HTTPConnection, url: str, body: bytes, headers: dict[str, str]) -> int:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("POST", target, body, headers)
    response = connection.getresponse()
    response.read()
    return response.status


class WebhookWorkers:
    """The threads that post. Their queue is the events table, so that stopping loses nothing."""

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
        """Wait until the workers have seen that the team is stopping."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _run(self) -> None:
        team, receiver = self._team, Receiver()
        with contextlib.suppress(Stopping), contextlib.closing(receiver):
            while not team.stopping.is_set():
                posts = team.events.take(team.clock(), _TAKEN_AT_ONCE) if team.options.webhook_url else []
                if posts:
                    self._post_all(posts, receiver)
                else:
                    self._sleep()

    def _post_all(self, posts: list[WebhookPost], receiver: Receiver) -> None:
        """Post in order. After a fault the rest goes back, so that a dead receiver does not hold it for long."""
        for position, post in enumerate(posts):
            if self._team.stopping.is_set():
                self._team.events.put_back(posts[position:])
                return
            if not self._post(post, receiver):
                self._team.events.put_back(posts[position + 1 :])
                return

    def _post(self, post: WebhookPost, receiver: Receiver) -> bool:
        """Whether the receiver answered at all."""
        options = self._team.options
        # The receiver compares with its own clock, so this is the real one, not an injected one.
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "Svix-Webhooks/1.62.0 (sandbox)",
            "svix-id": post.svix_id,
            "svix-timestamp": str(timestamp),
            "svix-signature": sign(options.webhook_secrets, post.svix_id, timestamp, post.body),
        }
        answer = receiver.post(options.webhook_url or "", post.body, headers, options.webhook_timeout)
        taken = answer.startswith("2") and answer.isdigit()
        if not taken:
            log.warning("Webhook %s was not taken: %s", post.svix_id, answer)
        self._team.events.record(post, answer, self._team.clock(), options.webhook_time_scale, taken=taken)
        return answer.isdigit()

    def _sleep(self) -> None:
        team = self._team
        with team.database.changed:
            next_try_at = team.events.next_try_at()
            wait = _IDLE_SECONDS if next_try_at is None else next_try_at - team.clock()
            if not team.stopping.is_set():
                team.database.changed.wait(min(max(wait, _SHORTEST_SLEEP), _IDLE_SECONDS))
