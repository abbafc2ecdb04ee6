"""A client of a flood, as a process: signs events, posts them on a few connections, and repeats what got no answer.

`python -m tests.journeys.flood.client HOST:PORT SECRET FILE CONNECTIONS`. The file has the number of posts of each
stage, and a line of JSON for each post: its event id, its body in base64, and how it is forged. For each stage, the
client reads “go” from its input, posts the next part of the file, and prints the statuses in the order of the posts.
"""

from __future__ import annotations

import base64
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass

from tests.raw_http import head_of, webhook_headers

#: How posts are forged; an empty one is genuine.
FORGERIES = ("wrong secret", "wrong signature", "other body", "other id", "old", "early", "unsigned")
OTHER_SECRET = "whsec_" + base64.b64encode(b"another installation's secret...").decode()

#: Svix accepts five minutes of difference.
LATE = 400.0

#: Seconds until a post is repeated that was answered with a 5xx, or not at all. Resend takes longer.
REST = 0.05

#: A connection that ended before the answer did.
NO_ANSWER = -1

#: How often a post is tried before the client gives up.
MOST_TRIES = 400


@dataclass(slots=True)
class Post:
    """One post of a stage, by its place there."""

    place: int
    event_id: str
    body: bytes
    forgery: str
    tries: int = 0

    def request(self, host: str, secret: str) -> bytes:
        """The whole request, signed now."""
        body, headers = self.body, {}
        at = time.time() + {"old": -LATE, "early": LATE}.get(self.forgery, 0.0)
        if self.forgery != "unsigned":
            signed_with = OTHER_SECRET if self.forgery == "wrong secret" else secret
            signed_id = f"{self.event_id}x" if self.forgery == "other id" else self.event_id
            headers = webhook_headers(signed_with, body, signed_id, at=at)
            headers["svix-id"] = self.event_id
        if self.forgery == "wrong signature":
            signature = headers["svix-signature"]
            headers["svix-signature"] = f"{signature[:8]}{'B' if signature[8] == 'A' else 'A'}{signature[9:]}"
        if self.forgery == "other body":
            body = body.replace(b'"created_at"', b'"created_at" ', 1) + b" "
        sent = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        return head_of("POST", "/webhooks/resend/", sent) + b"\r\n" + body


class Connection:
    """One connection of a client, with the post that waits for its answer."""

    def __init__(self, host: str) -> None:
        name, _, port = host.rpartition(":")
        self._address = (name, int(port))
        self.socket: socket.socket | None = None
        self.post: Post | None = None
        self.answer = b""
        self.is_over = False
        """Whether the server closes it after the last answer, or has."""

    def send(self, request: bytes) -> socket.socket:
        """Connect if need be, and send. Raises OSError."""
        if self.socket is None:
            self.socket = socket.create_connection(self._address, timeout=30)
        self.answer, self.is_over = b"", False
        self.socket.sendall(request)
        return self.socket

    def receive(self) -> int:
        """Read what has arrived: the status once the answer is whole, 0 until then, NO_ANSWER if none will come."""
        assert self.socket is not None
        try:
            part = self.socket.recv(4096)
        except OSError:
            part = b""
        if not part:
            self.is_over = True
            return NO_ANSWER
        self.answer += part
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end or len(body) < length_of(head):
            return 0
        self.is_over = b"\r\nconnection: close" in head.lower()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None


def length_of(head: bytes) -> int:
    (line,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(line.partition(b":")[2])


class Client:
    """Posts the parts of a file."""

    def __init__(self, host: str, secret: str, connections: int) -> None:
        self._host, self._secret = host, secret
        self._connections = [Connection(host) for _ in range(connections)]
        #: Posts that wait for their next try, the soonest first.
        self._resting: list[tuple[float, Post]] = []

    def post(self, posts: list[Post]) -> list[int]:
        """Post all of them, one at a time on each connection; the status of each."""
        waiting, statuses, unanswered = posts[::-1], [0] * len(posts), len(posts)
        idle = list(self._connections)
        with selectors.DefaultSelector() as selector:
            while unanswered:
                while idle and (post := self._next(waiting)):
                    connection = idle.pop()
                    if self._send(connection, post):
                        assert connection.socket is not None
                        selector.register(connection.socket, selectors.EVENT_READ, connection)
                    else:
                        idle.append(connection)
                        break
                for key, _ in selector.select(REST):
                    connection = key.data
                    status = connection.receive()
                    if not status:
                        continue
                    selector.unregister(key.fileobj)
                    if connection.is_over:
                        connection.close()
                    idle.append(connection)
                    answered = connection.post
                    assert answered is not None
                    if status == NO_ANSWER or status >= 500:
                        self._rest(answered)
                    else:
                        statuses[answered.place] = status
                        unanswered -= 1
        return statuses

    def _next(self, waiting: list[Post]) -> Post | None:
        if self._resting and self._resting[0][0] <= time.monotonic():
            return self._resting.pop(0)[1]
        return waiting.pop() if waiting else None

    def _send(self, connection: Connection, post: Post) -> bool:
        """Whether it could be sent. The server closes connections that were idle, and may be replaced."""
        try:
            connection.send(post.request(self._host, self._secret))
        except OSError:
            connection.close()
            self._rest(post)
            return False
        connection.post = post
        return True

    def _rest(self, post: Post) -> None:
        post.tries += 1
        assert post.tries < MOST_TRIES, f"No answer to {post.event_id}"
        self._resting.append((time.monotonic() + REST, post))


def main(host: str, secret: str, file: str, connections: int) -> None:
    """Post each stage of the file when it is told to."""
    client = Client(host, secret, connections)
    with open(file, encoding="ascii") as lines:
        stages = json.loads(next(lines))
        print("ready", flush=True)
        for size in stages:
            posts = []
            for place in range(size):
                event_id, body, forgery = json.loads(next(lines))
                posts.append(Post(place, event_id, base64.b64decode(body), forgery))
            assert sys.stdin.readline() == "go\n"
            print(json.dumps(client.post(posts)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
