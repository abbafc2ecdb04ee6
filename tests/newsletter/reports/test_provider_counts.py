"""What the provider counted of a send: of its mails, or of all mails of its domain where they are too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from newsletter.models import Send
from newsletter.providers.base import Provider
from newsletter.providers.counts import CountsUnreadable
from newsletter.reports import provider_counts as module
from newsletter.reports.provider_counts import provider_counts
from newsletter.sandbox import Fault, SandboxServer
from tests import people
from tests.newsletter.providers.contract import message, new_key
from tests.publications import expand_audiences, make_issue, post_everything, start_sending
from tests.sandbox.peers import wait_until
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox(bounce_share=0.3) as server:
        yield server


@pytest.fixture
def provider(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return provider_of(sandbox, monkeypatch)


@pytest.fixture
def send(provider: Provider, sandbox: SandboxServer) -> Send:
    issue = make_issue()
    people.make_subscriptions(150, issue.newsletter)
    started = start_sending(issue)
    expand_audiences()
    post_everything(provider)
    events = "SELECT count(*) FROM events WHERE happens_at > ?"
    wait_until(sandbox, lambda: not sandbox.team.database.number(events, sandbox.team.clock()))
    return started


def bounced(sandbox: SandboxServer) -> int:
    return sandbox.team.database.number("SELECT count(*) FROM events WHERE type = 'email.bounced'")


def test_a_send_is_counted_mail_by_mail_in_chunks(send: Send, provider: Provider, sandbox: SandboxServer) -> None:
    provider.post_message(message("other@example.org"), key=new_key())
    found = provider_counts(send)
    assert found is not None
    assert (found.provider, found.is_of_send, found.is_complete) == ("resend", True, True)
    assert (found.counts.sent, found.counts.bounced) == (150, bounced(sandbox))
    assert found.counts.bounced_permanently == found.counts.bounced > 10
    assert found.counts.delivered == 150 - found.counts.bounced


def test_a_large_send_is_counted_with_all_mails_of_its_domain(
    send: Send, monkeypatch: pytest.MonkeyPatch, sandbox: SandboxServer
) -> None:
    monkeypatch.setattr(module, "MOST_COUNTED_BY_MAIL", 100)
    found = provider_counts(send)
    assert found is not None
    assert (found.is_of_send, found.counts.sent) == (False, 150)


def test_a_send_that_no_provider_counts_has_none(send: Send, settings: Any) -> None:
    settings.PROVIDER_READ_KEY = ""
    assert provider_counts(send) is None
    assert provider_counts(start_sending(make_issue("issue-2"))) is None


@pytest.mark.parametrize(
    ("kind", "permanent"),
    [("restricted_api_key", True), ("internal_server_error", False), ("html_502", False), ("reset", False)],
)
def test_counts_that_cannot_be_read_are_an_error(
    send: Send, sandbox: SandboxServer, kind: str, permanent: bool
) -> None:
    sandbox.plan(Fault(kind, on="GET /emails/metrics"))
    with pytest.raises(CountsUnreadable) as raised:
        provider_counts(send)
    assert raised.value.permanent == permanent
