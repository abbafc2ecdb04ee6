"""The contract of all providers, as tests that each provider's test file inherits (docs/add-a-provider.md)."""

from __future__ import annotations

import datetime
import re
import uuid
from typing import Protocol

import pytest

from newsletter.providers.base import EventRejected, Message, Outcome, OutcomeKind, PostsOneByOne, Provider, ResultKind
from newsletter.rendering import PlaceholderContext, placeholder_token
from newsletter.sending.message import encode_template


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
    """An idempotency key that was not used before."""
    return f"tests:{uuid.uuid4()}"


class Remote(Protocol):
    """The server that a provider talks to, as the contract controls and inspects it."""

    def recipients(self) -> list[str]:
        """The recipient of each mail that it accepted, sorted."""

    def stop(self) -> None:
        """Stop, so that connections are refused."""

    def drop_next_answer(self) -> None:
        """Accept the next post, and close the connection without an answer."""

    def block_sender(self) -> None:
        """Refuse the next post because of its sender."""


ADA, BEN, CLEO = "ada@example.org", "ben@example.org", "cleo@example.org"


def is_unknown(outcome: Outcome) -> bool:
    """Whether the outcome says that a mail may have been sent."""
    return outcome.kind is OutcomeKind.UNKNOWN or any(result.kind is ResultKind.UNKNOWN for result in outcome.results)


class ProviderContract:
    """Inherit it, and define the fixtures `remote` and `provider`."""

    def body(self, provider: Provider, *recipients: str) -> bytes:
        tags = [{"delivery": str(number), "edition": "7", "env": "tests"} for number, _ in enumerate(recipients, 1)]
        return provider.join(
            [[provider.encode(message(to, tags=each))] for to, each in zip(recipients, tags, strict=True)]
        )

    def test_a_post_is_accepted_with_one_id_per_message(self, provider: Provider, remote: Remote) -> None:
        outcome = provider.post_batch(self.body(provider, ADA, BEN, CLEO), key=new_key(), size=3)
        assert outcome.kind is OutcomeKind.ACCEPTED
        assert len(set(outcome.ids)) == 3
        assert all(0 < len(each) <= 64 for each in outcome.ids)
        assert remote.recipients() == [ADA, BEN, CLEO]

    def test_placeholders_survive_the_encoding_and_their_values_arrive(
        self, provider: Provider, remote: Remote
    ) -> None:
        nonce = "0123456789ab"
        token = placeholder_token(nonce, "to", PlaceholderContext.PLAIN)
        mail = message(token, text=f"Hello {token}", html=f"<p>Hello {token}</p>")
        template = encode_template(mail, nonce, provider)
        assert len(template.order) >= 3
        body = provider.join([template.pieces({"to": ADA})])
        assert provider.post_batch(body, key=new_key(), size=1).kind is OutcomeKind.ACCEPTED
        assert remote.recipients() == [ADA]

    def test_a_single_mail_arrives(self, provider: Provider, remote: Remote) -> None:
        outcome = provider.post_message(message(headers={"List-Id": "<list-1.example.org>"}), key=new_key())
        assert (outcome.kind, len(outcome.ids)) == (OutcomeKind.ACCEPTED, 1)
        assert remote.recipients() == [ADA]

    def test_a_refused_connection_means_that_nothing_was_sent(self, provider: Provider, remote: Remote) -> None:
        body = self.body(provider, ADA)
        remote.stop()
        outcome = provider.post_batch(body, key=new_key(), size=1)
        assert outcome.kind is OutcomeKind.RETRY_LATER
        assert outcome.code == "connection_refused"

    def test_a_blocked_sender_has_a_blocked_outcome(self, provider: Provider, remote: Remote) -> None:
        remote.block_sender()
        outcome = provider.post_batch(self.body(provider, ADA, BEN), key=new_key(), size=2)
        assert outcome.kind is OutcomeKind.BLOCKED
        assert outcome.code
        assert remote.recipients() == []

    def test_a_missing_answer_has_an_unknown_outcome(self, provider: Provider, remote: Remote) -> None:
        remote.drop_next_answer()
        outcome = provider.post_batch(self.body(provider, ADA), key=new_key(), size=1)
        assert is_unknown(outcome)
        assert ADA not in outcome.reason
        assert remote.recipients() == [ADA]

    def test_a_repeat_sends_no_second_mail_and_without_keys_batches_are_small(
        self, provider: Provider, remote: Remote
    ) -> None:
        if provider.key_lifetime == datetime.timedelta(0):
            # sending/test_partial.py proves that no mail with an unknown outcome is posted again.
            is_recorded = isinstance(provider, PostsOneByOne)
            assert is_recorded or provider.batch_size <= 25, "after a crash so many recipients wait for an operator"
            return
        remote.drop_next_answer()
        body, key = self.body(provider, ADA, BEN), new_key()
        unanswered = provider.post_batch(body, key=key, size=2)
        again = [provider.post_batch(body, key=key, size=2) for _ in range(2)]
        assert [outcome.kind for outcome in (unanswered, *again)] == [
            OutcomeKind.UNKNOWN, OutcomeKind.ACCEPTED, OutcomeKind.ACCEPTED,
        ]  # fmt: skip
        assert again[0].ids == again[1].ids
        assert remote.recipients() == [ADA, BEN]

    def test_its_name_is_the_last_part_of_a_url(self, provider: Provider) -> None:
        assert re.fullmatch(r"[a-z0-9-]{1,16}", provider.name)
        assert provider.supports_webhooks or not provider.has_webhook_secret

    def test_an_event_without_a_signature_is_rejected(self, provider: Provider) -> None:
        with pytest.raises(EventRejected):
            provider.verify_webhook({"content-type": "application/json"}, b"{}")
