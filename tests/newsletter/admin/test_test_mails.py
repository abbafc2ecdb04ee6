"""The page that sends a test: what it says when it worked, and when it did not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from newsletter.models import Issue
from newsletter.sandbox import Fault, SandboxServer
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.sandboxes import provider_of, running_sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        provider_of(server, monkeypatch)
        yield server


def test_the_form_suggests_the_editors_own_address(edda: Client, issue: Issue) -> None:
    form = form_data(edda, page_of(issue, "test"), "//form[.//textarea]")
    assert form["addresses"] == "edda@example.org"


def test_several_addresses_may_be_separated_any_way(edda: Client, issue: Issue, sandbox: SandboxServer) -> None:
    typed = "edda@example.org, will@example.org\nsue@example.org"
    answer = edda.post(page_of(issue, "test"), {"addresses": typed}, follow=True)
    assert "on its way to edda@example.org, will@example.org, sue@example.org" in words_on(answer)
    assert sandbox.ledger.counts()["messages"] == 3


def test_what_was_refused_is_said_and_the_addresses_stay(edda: Client, issue: Issue, sandbox: SandboxServer) -> None:
    answer = edda.post(page_of(issue, "test"), {"addresses": "edda@example.org nobody"})
    assert "No test was sent" in words_on(answer)
    assert "“nobody”" in words_on(answer)
    assert "edda@example.org nobody" in answer.content.decode()


def test_a_test_that_went_to_some_only_names_them(edda: Client, issue: Issue, sandbox: SandboxServer) -> None:
    sandbox.plan(Fault("none"), Fault("validation_error", status=422))
    answer = edda.post(page_of(issue, "test"), {"addresses": "edda@example.org will@example.org"})
    assert "Some went out, some did not. Sent: edda@example.org" in words_on(answer)
    assert "will@example.org: it was not sent" in words_on(answer)
