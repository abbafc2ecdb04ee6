"""The page that sends a test mail, after success and after a refusal."""

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


def test_the_form_starts_with_the_address_of_the_editor(edda: Client, issue: Issue) -> None:
    form = form_data(edda, page_of(issue, "test"), "//form[.//textarea]")
    assert form["addresses"] == "edda@example.org"


def test_addresses_are_separated_by_commas_or_line_breaks(edda: Client, issue: Issue, sandbox: SandboxServer) -> None:
    typed = "edda@example.org, will@example.org\nsue@example.org"
    answer = edda.post(page_of(issue, "test"), {"addresses": typed}, follow=True)
    assert "The test mail was sent to edda@example.org, will@example.org, sue@example.org" in words_on(answer)
    assert sandbox.ledger.counts()["messages"] == 3


def test_a_refusal_is_shown_and_the_addresses_are_kept(edda: Client, issue: Issue, sandbox: SandboxServer) -> None:
    answer = edda.post(page_of(issue, "test"), {"addresses": "edda@example.org nobody"})
    assert "No test mail was sent" in words_on(answer)
    assert "“nobody”" in words_on(answer)
    assert "edda@example.org nobody" in answer.content.decode()


def test_a_partly_refused_test_names_the_addresses_it_was_sent_to(
    edda: Client, issue: Issue, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("none"), Fault("validation_error", status=422))
    answer = edda.post(page_of(issue, "test"), {"addresses": "edda@example.org will@example.org"})
    assert "Some test mails were not sent. Sent to: edda@example.org" in words_on(answer)
    assert "will@example.org: the mail was not sent." in words_on(answer)
