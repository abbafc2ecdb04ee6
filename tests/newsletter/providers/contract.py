"""What every provider must do, as tests that each provider's own file inherits; `docs/add-a-provider.md` tells how."""

from __future__ import annotations

import datetime
import uuid
from typing import Protocol

import pytest

from newsletter.providers.base import EventRejected, Fate, Message, Outcome, OutcomeKind, Provider
from newsletter.rendering import PlaceholderContext, PlaceholderTemplate, as_json_string, placeholder_token


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


class OtherSide(Protocol):
    """What a provider talks to, as the contract steers and judges it."""

    def recipients(self) -> list[str]:
        """Everybody whom it took a mail for, as often as it did, sorted."""

    def stop(self) -> None:
        """Be gone."""

    def lose_the_next_answer(self) -> None:
        """Take what is posted next, and cut the connection instead of answering."""

    def shut_us_out(self) -> None:
        """Refuse whatever is posted next as from a sender that must not send."""


ADA, BEN, CLEO = "ada@example.org", "ben@example.org", "cleo@example.org"


def is_in_doubt(outcome: Outcome) -> bool:
    """Whether a mail may be out and may not be, as the outcome says."""
    return outcome.kind is OutcomeKind.UNKNOWN or any(result.fate is Fate.UNKNOWN for result in outcome.results)


class ProviderContract:
    """Inherit it, and give the fixtures `other_side` and `provider`, the one under test."""

    def body(self, provider: Provider, *recipients: str) -> bytes:
        tags = [{"delivery": str(number), "edition": "7", "env": "tests"} for number, _ in enumerate(recipients, 1)]
        return provider.join(
            [provider.encode(message(to, tags=each)) for to, each in zip(recipients, tags, strict=True)]
        )

    def test_a_post_is_accepted_with_one_id_per_message(self, provider: Provider, other_side: OtherSide) -> None:
        outcome = provider.post_batch(self.body(provider, ADA, BEN, CLEO), key=new_key(), size=3)
        assert outcome.kind is OutcomeKind.ACCEPTED
        assert len(set(outcome.ids)) == 3
        assert all(0 < len(each) <= 64 for each in outcome.ids)
        assert other_side.recipients() == [ADA, BEN, CLEO]

    def test_slots_survive_the_encoding_and_their_values_arrive(
        self, provider: Provider, other_side: OtherSide
    ) -> None:
        nonce = "0123456789ab"
        token = placeholder_token(nonce, "to", PlaceholderContext.PLAIN)
        encoded = provider.encode(message(token, text=f"Hello {token}", html=f"<p>Hello {token}</p>"))
        template = PlaceholderTemplate.split(encoded, nonce, outer=as_json_string)
        assert len(template.order) == 3
        body = provider.join([template.fill({"to": ADA})])
        assert provider.post_batch(body, key=new_key(), size=1).kind is OutcomeKind.ACCEPTED
        assert other_side.recipients() == [ADA]

    def test_a_single_mail_arrives(self, provider: Provider, other_side: OtherSide) -> None:
        outcome = provider.post_message(message(headers={"List-Id": "<list-1.example.org>"}), key=new_key())
        assert (outcome.kind, len(outcome.ids)) == (OutcomeKind.ACCEPTED, 1)
        assert other_side.recipients() == [ADA]

    def test_nobody_at_the_other_end_means_that_nothing_was_sent(
        self, provider: Provider, other_side: OtherSide
    ) -> None:
        body = self.body(provider, ADA)
        other_side.stop()
        outcome = provider.post_batch(body, key=new_key(), size=1)
        assert outcome.kind is OutcomeKind.LATER
        assert "connection" in outcome.reason

    def test_a_sender_who_must_not_send_is_told_that_a_person_must_act(
        self, provider: Provider, other_side: OtherSide
    ) -> None:
        other_side.shut_us_out()
        outcome = provider.post_batch(self.body(provider, ADA, BEN), key=new_key(), size=2)
        assert outcome.kind is OutcomeKind.HALT
        assert outcome.reason
        assert other_side.recipients() == []

    def test_a_lost_answer_is_never_taken_for_a_refusal_or_an_acceptance(
        self, provider: Provider, other_side: OtherSide
    ) -> None:
        other_side.lose_the_next_answer()
        outcome = provider.post_batch(self.body(provider, ADA), key=new_key(), size=1)
        assert is_in_doubt(outcome)
        assert ADA not in outcome.reason
        assert other_side.recipients() == [ADA]

    def test_who_knows_keys_sends_no_second_mail_and_who_knows_none_takes_few_at_a_time(
        self, provider: Provider, other_side: OtherSide
    ) -> None:
        if provider.key_lifetime == datetime.timedelta(0):
            # sending/test_partial.py proves that nothing in doubt is posted again; here, that few are ever in doubt.
            assert provider.batch_size <= 25, "after a crash so many readers wait for a person"
            return
        other_side.lose_the_next_answer()
        body, key = self.body(provider, ADA, BEN), new_key()
        lost = provider.post_batch(body, key=key, size=2)
        again = [provider.post_batch(body, key=key, size=2) for _ in range(2)]
        assert [outcome.kind for outcome in (lost, *again)] == [
            OutcomeKind.UNKNOWN, OutcomeKind.ACCEPTED, OutcomeKind.ACCEPTED,
        ]  # fmt: skip
        assert again[0].ids == again[1].ids
        assert other_side.recipients() == [ADA, BEN]

    def test_a_receipt_that_proves_nothing_is_refused(self, provider: Provider) -> None:
        with pytest.raises(EventRejected):
            provider.verify({"content-type": "application/json"}, b"{}")
