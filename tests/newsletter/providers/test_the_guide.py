"""Runs the provider that docs/add-a-provider.md prints, against a small server."""

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
from tests.newsletter.providers.contract import ProviderContract, Remote

GUIDE = PROJECT_ROOT / "docs" / "add-a-provider.md"


class Postbox(http.server.ThreadingHTTPServer):
    """The service of the guide: it takes an array of mails completely or not at all, once per key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PostboxHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.answers: dict[str, list[str]] = {}
        self.accepted: list[str] = []
        self.next_fault = ""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def recipients(self) -> list[str]:
        return sorted(self.accepted)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def drop_next_answer(self) -> None:
        self.next_fault = "drop"

    def block_sender(self) -> None:
        self.next_fault = "block"


class PostboxHandler(http.server.BaseHTTPRequestHandler):
    """Answers one post."""

    server: Postbox

    def do_POST(self) -> None:
        postbox, fault = self.server, self.server.next_fault
        postbox.next_fault = ""
        mails = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if fault == "block":
            self._answer(403, {"message": "This sender is blocked."})
            return
        key = self.headers["Idempotency-Key"]
        if key not in postbox.answers:
            postbox.answers[key] = [f"{key[-20:]}-{index}" for index, _ in enumerate(mails)]
            postbox.accepted += [mail["to"] for mail in mails]
        if fault == "drop":
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
        """Do not log."""


@pytest.fixture
def remote() -> Iterator[Remote]:
    postbox = Postbox()
    yield postbox
    postbox.stop()


@pytest.fixture
def provider(remote: Postbox) -> Provider:
    """Made from the first Python block of the guide."""
    source = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)[0]
    module = types.ModuleType("postbox")
    exec(compile(source, str(GUIDE), "exec"), module.__dict__)
    made: Provider = module.PostboxProvider(url=remote.url, token="test")
    return made


class TestContract(ProviderContract):
    """The guide's provider fulfils the contract of all providers."""
