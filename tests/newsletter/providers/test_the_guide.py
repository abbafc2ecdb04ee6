"""The provider of docs/add-a-provider.md, as it is printed there, against a small server: the guide cannot rot."""

from __future__ import annotations

import http.server
import json
import re
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.providers.base import Provider
from tests.newsletter.providers.contract import OtherSide, ProviderContract

GUIDE = PROJECT_ROOT / "docs" / "add-a-provider.md"


class Postbox(http.server.ThreadingHTTPServer):
    """The imagined service: an array of mails, whole or not at all, once per key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PostboxHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: dict[str, list[str]] = {}
        self.taken: list[str] = []
        self.next = ""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def recipients(self) -> list[str]:
        return sorted(self.taken)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def lose_the_next_answer(self) -> None:
        self.next = "lose"

    def shut_us_out(self) -> None:
        self.next = "shut out"


class PostboxHandler(http.server.BaseHTTPRequestHandler):
    """Answers one post."""

    server: Postbox

    def do_POST(self) -> None:
        postbox, what = self.server, self.server.next
        postbox.next = ""
        mails = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if what == "shut out":
            self._answer(403, {"message": "This sender must not send."})
            return
        key = self.headers["Idempotency-Key"]
        if key not in postbox.answers:
            postbox.answers[key] = [f"{key[-20:]}-{place}" for place, _ in enumerate(mails)]
            postbox.taken += [mail["to"] for mail in mails]
        if what == "lose":
            self.close_connection = True
            return
        self._answer(200, {"ids": postbox.answers[key]})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def other_side() -> Iterator[OtherSide]:
    postbox = Postbox()
    yield postbox
    postbox.stop()


@pytest.fixture
def provider(other_side: Postbox) -> Provider:
    """Made from the first piece of Python in the guide."""
    source = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)[0]
    module = types.ModuleType("postbox")
    exec(compile(source, str(GUIDE), "exec"), module.__dict__)
    made: Provider = module.PostboxProvider(url=other_side.url, token="test")
    return made


class TestContract(ProviderContract):
    """The guide's provider keeps the contract of all providers."""
