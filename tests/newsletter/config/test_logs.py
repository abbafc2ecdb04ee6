"""The log: what happened and where, never whom; one line an event, whatever a stranger writes into it."""

from __future__ import annotations

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

from newsletter.config.logs import line_formatter, logging_settings, mask, one_line
from newsletter.sending.schedule import send_now
from newsletter.worker import work_until_idle
from subscribers.consent.tokens import Purpose
from tests.people import make_subscription
from tests.publications import make_issue
from tests.sandboxes import provider_of, running_sandbox

#: Stands in every address of the send below, and may stand in no line.
MARK = "markedreader"


@pytest.fixture(params=[True, False], ids=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Everything that is logged at any level, as our formatter writes it."""
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
    ("said", "kept"),
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
def test_what_must_not_be_kept_is_masked(said: str, kept: str) -> None:
    assert mask(said) == kept


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_token_of_every_link_is_masked(purpose: Purpose) -> None:
    assert mask(f"/{purpose}/AbC-123_x/") == f"/{purpose}/(token)/"


@given(local=st.from_regex(r"[a-z0-9.+_-]{1,20}", fullmatch=True), around=st.text(" ,;<>()\"'", max_size=3))
def test_no_address_survives_whatever_stands_around_it(local: str, around: str) -> None:
    assert f"{local}@example.org" not in mask(f"mail{around} {around}{local}@example.org{around}")


@given(st.text(max_size=200))
def test_a_text_stays_one_line_and_plain_text_stays_itself(said: str) -> None:
    assert one_line(said).isprintable()
    assert one_line(said).splitlines() in ([one_line(said)], [])
    if said.isprintable():
        assert one_line(said) == said


def test_a_line_cannot_be_forged(written: io.StringIO) -> None:
    forged = "curl\n2026-01-01T00:00:00Z INFO root worker fine\r\x1b[2J\u2028{}"
    logging.getLogger("web").warning("refused: %s", forged, extra={"agent": forged})
    assert len(written.getvalue().splitlines()) == 1
    assert "\x1b" not in written.getvalue()


def test_a_traceback_is_marked_line_by_line_and_masked(written: io.StringIO) -> None:
    try:
        raise ValueError("for ada@example.org\n2026-01-01T00:00:00Z INFO root fine")
    except ValueError:
        logging.getLogger("web").exception("a step failed")
    lines = written.getvalue().splitlines()
    assert "ada@" not in written.getvalue()
    assert "ValueError" in written.getvalue()
    assert all(line.startswith(("    | ", "{")) for line in lines[1:])


def test_lines_carry_the_context_they_were_written_in(written: io.StringIO) -> None:
    with bound_contextvars(batch=12, issue=3, worker="host:7"):
        logging.getLogger("newsletter.sending.post").info("accepted")
    line = written.getvalue()
    if line.startswith("{"):
        told = json.loads(line)
        assert (told["batch"], told["issue"], told["worker"], told["event"]) == (12, 3, "host:7", "accepted")
        assert (told["level"], told["logger"]) == ("info", "newsletter.sending.post")
        assert told["timestamp"].endswith("Z")
    else:
        assert re.fullmatch(r"\S+Z INFO    newsletter\.sending\.post accepted batch=12 issue=3 worker=host:7\n", line)


@pytest.mark.django_db
def test_a_whole_send_with_every_trouble_names_no_reader(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_the_format_may_be_chosen(log_format: Any, is_json: bool) -> None:
    assert logging_settings("INFO", log_format)["formatters"]["line"]["is_json"] is is_json


def test_text_is_for_terminals_and_json_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_terminal in (True, False):
        monkeypatch.setattr("sys.stderr.isatty", lambda is_terminal=is_terminal: is_terminal)
        assert logging_settings("INFO")["formatters"]["line"]["is_json"] is not is_terminal
