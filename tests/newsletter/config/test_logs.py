"""Logging: what happened and where, no personal data, and one line per event whatever it contains."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.config.logs import EXTRA_FIELDS, line_formatter, logging_settings, mask, one_line
from newsletter.sending.schedule import send_now
from newsletter.worker import work_until_idle
from subscribers.consent.tokens import Purpose
from tests.people import make_subscription
from tests.publications import make_issue
from tests.sandboxes import provider_of, running_sandbox

#: Part of every address in the send below. No line may contain it.
MARK = "markedreader"


@pytest.fixture(params=[True, False], ids=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """All log lines of all levels, as the formatter writes them."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(line_formatter(is_json=request.param))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to ada@example.org failed", "to (an address) failed"),
        ("to <Ada.L+news@mail.example.org>, again", "to <(an address)>, again"),
        ("to jörg@bücher.example", "to (an address)"),
        ("?email=ada%40example.org", "?email=(an address)"),
        ("key re_AbCd1234_EfGhIjKlMn", "key (secret)"),
        ("the step re_render_everything", "the step re_render_everything"),
        ("secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", "secret (secret)"),
        ("GET /unsubscribe/AbC-123_x/?a=1", "GET /unsubscribe/(token)/?a=1"),
        ("GET /x/?token=AbC&page=2", "GET /x/?token=(secret)&page=2"),
        ("postgresql://news:pass%40word@db:5432/news", "postgresql://(secret)@db:5432/news"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer (secret)"),
        ("batch 12 attempt 1: accepted", "batch 12 attempt 1: accepted"),
        ("worker host-1:4711 started", "worker host-1:4711 started"),
        (
            "https://digest.example.org/harbour-notes/issues/issue-1/",
            "https://digest.example.org/harbour-notes/issues/issue-1/",
        ),
    ],
)
def test_personal_data_and_secrets_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_token_of_every_link_is_masked(purpose: Purpose) -> None:
    assert mask(f"/{purpose}/AbC-123_x/") == f"/{purpose}/(token)/"


@given(local=st.from_regex(r"[a-z0-9.+_-]{1,20}", fullmatch=True), around=st.text(" ,;<>()\"'", max_size=3))
def test_an_address_is_masked_whatever_surrounds_it(local: str, around: str) -> None:
    assert f"{local}@example.org" not in mask(f"mail{around} {around}{local}@example.org{around}")


@given(st.text(max_size=200))
def test_a_text_becomes_one_line_and_a_printable_text_does_not_change(text: str) -> None:
    assert one_line(text).isprintable()
    assert one_line(text).splitlines() in ([one_line(text)], [])
    if text.isprintable():
        assert one_line(text) == text


def test_untrusted_text_cannot_forge_a_line(written: io.StringIO) -> None:
    forged = "curl\n2026-01-01T00:00:00Z INFO root worker fine\r\x1b[2J\u2028{}"
    logging.getLogger("web").warning("refused: %s", forged, extra={"agent": forged})
    assert len(written.getvalue().splitlines()) == 1
    assert "\x1b" not in written.getvalue()


def test_each_line_of_a_traceback_is_marked_and_masked(written: io.StringIO) -> None:
    try:
        raise ValueError("for ada@example.org\n2026-01-01T00:00:00Z INFO root fine")
    except ValueError:
        logging.getLogger("web").exception("a step failed")
    lines = written.getvalue().splitlines()
    assert "ada@" not in written.getvalue()
    assert "ValueError" in written.getvalue()
    assert all(line.startswith(("    | ", "{")) for line in lines[1:])


def test_a_line_carries_its_context_and_the_extra_fields(written: io.StringIO) -> None:
    with bound_contextvars(batch=12, issue=3, worker="host:7"):
        logging.getLogger("newsletter.sending.post").info("accepted", extra={"batches": 2, "other": "no"})
    line = written.getvalue()
    if line.startswith("{"):
        fields = json.loads(line)
        assert (fields["batch"], fields["issue"], fields["worker"], fields["event"]) == (12, 3, "host:7", "accepted")
        assert (fields["level"], fields["logger"]) == ("info", "newsletter.sending.post")
        assert fields["timestamp"].endswith("Z")
        assert (fields["batches"], "other" in fields) == (2, False)
    else:
        assert re.fullmatch(
            r"\S+Z INFO    newsletter\.sending\.post accepted batch=12 batches=2 issue=3 worker=host:7\n", line
        )


def test_every_field_that_a_log_call_passes_is_written() -> None:
    passed: set[str] = set()
    for package in ("newsletter", "subscribers"):
        for path in (PROJECT_ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            extras = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "extra"]
            names = {extra.id for extra in extras if isinstance(extra, ast.Name)}
            extras += [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id in names
            ]
            keys = (key for extra in extras if isinstance(extra, ast.Dict) for key in extra.keys)
            passed |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    assert {"batch", "retry_seconds"} <= passed
    assert passed <= EXTRA_FIELDS


@pytest.mark.django_db
def test_the_log_of_a_whole_send_names_no_subscriber(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue()
    readers = [make_subscription(f"{MARK}-{number}@example.org", issue.newsletter) for number in range(3)]
    send_now(issue, by="Edda")
    with running_sandbox() as sandbox:
        provider_of(sandbox, monkeypatch)
        work_until_idle()
        assert sandbox.ledger.summary()["messages"] == 3
    logging.getLogger("django.request").warning("Not Found: /confirm/AbCdEf/ for %s", readers[0].subscriber)
    Client().get(f"/unsubscribe/{MARK}/")
    Client().get(f"/nowhere/?email={MARK}@example.org")
    logging.getLogger("django.db.backends").debug("SELECT %s", (f"{MARK}@example.org", {f"{MARK}@example.org": 1}))
    text = written.getvalue()
    assert '"batch"' in text or "batch=" in text
    assert "accepted" in text
    assert MARK not in text


@pytest.mark.parametrize(("log_format", "is_json"), [("json", True), ("text", False)])
def test_the_format_can_be_set(log_format: Any, is_json: bool) -> None:
    assert logging_settings("INFO", log_format)["formatters"]["line"]["is_json"] is is_json


def test_auto_is_text_in_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_terminal in (True, False):
        monkeypatch.setattr("sys.stderr.isatty", lambda is_terminal=is_terminal: is_terminal)
        assert logging_settings("INFO")["formatters"]["line"]["is_json"] is not is_terminal
