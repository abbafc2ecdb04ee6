"""What every provider must do, as tests that each provider's own file inherits."""

from __future__ import annotations

import uuid

from newsletter.providers.base import Message, OutcomeKind, Provider
from newsletter.sandbox import SandboxServer


def message(to: str = "ada@example.org", **changes: object) -> Message:
    """A small valid mail."""
    fields: dict[str, object] = {
        "sender": "Harbour Notes <notes@mail.example.org>",
        "to": to,
        "subject": "Cranes – news",
        "html": "<p>“Cranes” & more</p>",
        "text": "“Cranes” & more",
        "tags": {"delivery": "1", "env": "tests"},
    }
    return Message(**{**fields, **changes})  # type: ignore[arg-type]


def new_key() -> str:
    """A key that nobody used before."""
    return f"tests:{uuid.uuid4()}"


class ProviderContract:
    """Inherit it, and give the fixtures `sandbox` (the other side) and `provider` (the one under test)."""

    def body(self, provider: Provider, *recipients: str) -> bytes:
        return provider.join([provider.encode(message(to)) for to in recipients])

    def test_a_post_is_accepted_with_one_id_per_message(self, provider: Provider, sandbox: SandboxServer) -> None:
        body = self.body(provider, "ada@example.org", "ben@example.org")
        outcome = provider.post_batch(body, key=new_key(), size=2)
        assert outcome.kind is OutcomeKind.ACCEPTED
        assert len(set(outcome.ids)) == 2
        assert sandbox.ledger.summary()["messages"] == 2

    def test_the_same_bytes_under_the_same_key_bring_the_same_answer_and_no_second_mail(
        self, provider: Provider, sandbox: SandboxServer
    ) -> None:
        body, key = self.body(provider, "ada@example.org"), new_key()
        first = provider.post_batch(body, key=key, size=1)
        again = provider.post_batch(body, key=key, size=1)
        assert (first.kind, first.ids) == (again.kind, again.ids)
        assert sandbox.ledger.summary()["messages"] == 1

    def test_a_single_mail_arrives_with_its_headers(self, provider: Provider, sandbox: SandboxServer) -> None:
        outcome = provider.post_message(message(headers={"List-Id": "<list-1.example.org>"}), key=new_key())
        assert outcome.kind is OutcomeKind.ACCEPTED
        assert sandbox.ledger.summary()["messages"] == 1

    def test_nobody_at_the_other_end_means_that_nothing_was_sent(
        self, provider: Provider, sandbox: SandboxServer
    ) -> None:
        body = self.body(provider, "ada@example.org")
        sandbox.stop()
        outcome = provider.post_batch(body, key=new_key(), size=1)
        assert outcome.kind is OutcomeKind.LATER
        assert "connection" in outcome.reason
