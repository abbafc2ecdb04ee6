"""The session with a mail server: connections that are kept, pipelining, and idempotency keys at Resend."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

import pytest
from django.conf import settings

from newsletter.providers.base import MessageResult, Outcome, OutcomeKind, ResultKind
from newsletter.providers.smtp import SmtpProvider
from newsletter.providers.smtp import provider as provider_module
from newsletter.providers.smtp import session as session_module
from newsletter.providers.smtp.frozen import Mail, body_of_one, mails_of
from tests.mail_server import DROP, MailFault, MailServer, connect_to, running_mail_server
from tests.newsletter.providers.contract import ADA, BEN, CLEO, message, new_key

#: The tags of the second recipient of `body_of`.
TAGS_OF_BEN = {"delivery": "12", "edition": "7", "env": "tests"}


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server(pipelining=True) as server:
        yield server
        assert server.violations == []


@pytest.fixture
def provider(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> SmtpProvider:
    return connect_to(mail_server, monkeypatch)


@pytest.fixture
def at_resend(mail_server: MailServer, provider: SmtpProvider, monkeypatch: pytest.MonkeyPatch) -> SmtpProvider:
    """A provider that takes the test's mail server for Resend's."""
    mail_server.keys = {}
    monkeypatch.setattr(provider_module, "HOSTS_WITH_KEYS", {"127.0.0.1"})
    return provider


def body_of(provider: SmtpProvider, *recipients: str) -> bytes:
    tags = [{"delivery": str(number), "edition": "7", "env": "tests"} for number, _ in enumerate(recipients, 11)]
    return provider.join([[provider.encode(message(to, tags=each))] for to, each in zip(recipients, tags, strict=True)])


def post(provider: SmtpProvider, *recipients: str) -> Outcome:
    return provider.post_batch(body_of(provider, *recipients), key=new_key(), size=len(recipients))


def kinds(outcome: Outcome) -> list[ResultKind]:
    return [result.kind for result in outcome.results]


# Connections that are kept


def test_a_connection_is_kept_for_the_next_post(provider: SmtpProvider, mail_server: MailServer) -> None:
    for _ in range(3):
        assert post(provider, ADA, BEN).kind is OutcomeKind.ACCEPTED
    assert (mail_server.connections, len(mail_server.mails)) == (1, 6)


def test_a_connection_that_was_idle_for_long_is_replaced(
    provider: SmtpProvider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(provider, ADA)
    monkeypatch.setattr(session_module, "MAX_IDLE", -1.0)
    assert post(provider, BEN).kind is OutcomeKind.ACCEPTED
    assert mail_server.connections == 2


def test_changed_settings_replace_the_connection(
    provider: SmtpProvider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(provider, ADA)
    monkeypatch.setattr(settings, "EMAIL_TIMEOUT", 11)
    post(provider, ADA)
    assert mail_server.connections == 2


@pytest.mark.parametrize("reply", [DROP, "421 4.7.0 too many messages in this connection"])
def test_a_kept_connection_that_takes_no_more_mails_is_replaced_without_a_failure(
    provider: SmtpProvider, mail_server: MailServer, reply: str
) -> None:
    post(provider, ADA)
    mail_server.plan(MailFault("mail", reply))
    assert post(provider, BEN, CLEO).kind is OutcomeKind.ACCEPTED
    assert mail_server.recipients() == [ADA, BEN, CLEO]
    assert mail_server.connections == 2


def test_a_connection_on_which_a_reply_was_missing_is_not_used_again(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("accepted", "gibberish", BEN))
    assert kinds(post(provider, ADA, BEN, CLEO)) == [
        ResultKind.ACCEPTED, ResultKind.UNKNOWN, ResultKind.NOT_ATTEMPTED,
    ]  # fmt: skip
    assert post(provider, CLEO).kind is OutcomeKind.ACCEPTED
    assert (mail_server.connections, mail_server.recipients()) == (2, [ADA, BEN, CLEO])


# Pipelining


def test_a_server_that_asks_for_a_mail_without_a_recipient_gets_none(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.careless = True
    mail_server.plan(MailFault("rcpt", "550 5.1.1 no such user", BEN))
    assert kinds(post(provider, ADA, BEN, CLEO)) == [ResultKind.ACCEPTED, ResultKind.REFUSED, ResultKind.ACCEPTED]
    assert mail_server.recipients() == [ADA, CLEO]


def test_a_recipient_whose_acceptance_is_not_understood_gets_no_empty_mail(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("rcpt", "252 2.5.2 cannot verify, will try", BEN))
    assert kinds(post(provider, ADA, BEN, CLEO)) == [
        ResultKind.ACCEPTED, ResultKind.NOT_ATTEMPTED, ResultKind.NOT_ATTEMPTED,
    ]  # fmt: skip
    assert post(provider, CLEO).kind is OutcomeKind.ACCEPTED
    assert mail_server.recipients() == [ADA, CLEO]


@pytest.mark.parametrize("limits", [{"MAX_REPLY_LINES": 3}, {"MAX_REPLY_SECONDS": -1.0}], ids=["lines", "seconds"])
def test_a_reply_that_does_not_end_is_given_up(
    provider: SmtpProvider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float]
) -> None:
    monkeypatch.setattr(session_module, *limits.popitem())
    mail_server.plan(MailFault("accepted", "\r\n".join(["250-and"] * 9), BEN))
    assert kinds(post(provider, ADA, BEN, CLEO)) == [
        ResultKind.ACCEPTED, ResultKind.UNKNOWN, ResultKind.NOT_ATTEMPTED,
    ]  # fmt: skip


@pytest.mark.parametrize("stop_at", [0, 1, 2])
def test_a_mail_that_may_not_begin_is_not_sent_although_the_server_waits_for_it(
    provider: SmtpProvider, mail_server: MailServer, stop_at: int
) -> None:
    asked: list[tuple[int, int]] = []

    def may_begin(index: int, results: Sequence[MessageResult]) -> str:
        asked.append((index, len(results)))
        return "lease_lost" if index == stop_at else ""

    body = body_of(provider, ADA, BEN, CLEO)
    outcome = provider.post_each(body, key=new_key(), size=3, may_begin=may_begin)
    assert outcome.code == "lease_lost"
    assert asked == [(index, index) for index in range(stop_at + 1)]
    assert mail_server.recipients() == [ADA, BEN, CLEO][:stop_at]


# Resend's mail server


def test_a_key_belongs_to_the_mail_and_not_to_its_place_in_the_body(at_resend: SmtpProvider) -> None:
    both, second = body_of(at_resend, ADA, BEN), body_of(at_resend, ADA, BEN)
    second = body_of_one(second, "key", 1)
    keys = [[mail.headers for mail in mails_of(body, "key", has_keys=True)] for body in (both, second)]
    assert keys[0][1:] == keys[1]
    without_ada = at_resend.join([[at_resend.encode(message(BEN, tags=TAGS_OF_BEN))]])
    [mail] = mails_of(without_ada, "key", has_keys=True)
    assert _key_of(mail) == _key_of(mails_of(both, "key", has_keys=True)[1])


def _key_of(mail: Mail) -> bytes:
    [line] = [line for line in mail.headers.split(b"\r\n") if line.startswith(b"Resend-Idempotency-Key")]
    return line


def test_other_mail_servers_get_no_keys(provider: SmtpProvider, mail_server: MailServer) -> None:
    post(provider, ADA)
    assert b"Idempotency" not in mail_server.mails[0].content
    assert provider.key_lifetime == datetime.timedelta(0)


def test_at_resend_a_mail_without_a_reply_is_posted_again_and_delivered_once(
    at_resend: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("accepted", DROP, BEN))
    outcome = post(at_resend, ADA, BEN)
    unknown = outcome.results[1]
    assert (unknown.kind, bool(unknown.repeat)) == (ResultKind.UNKNOWN, True)
    again = at_resend.post_batch(unknown.repeat, key=new_key(), size=1)
    assert again.ids == ("12.7.tests",)
    assert mail_server.recipients() == [ADA, BEN]


def test_at_resend_a_transactional_mail_that_is_repeated_has_the_same_bytes(
    at_resend: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("accepted", DROP))
    written_at = datetime.datetime(2026, 11, 20, 7, 0, tzinfo=datetime.UTC)
    mail = message(tags={"transactional_mail": "1"}, written_at=written_at)
    outcomes = [at_resend.post_message(mail, key="mail:1").kind for _ in range(2)]
    assert outcomes == [OutcomeKind.UNKNOWN, OutcomeKind.ACCEPTED]
    assert mail_server.recipients() == [ADA]


def test_at_resend_mails_keep_the_rate_limit_of_the_account(
    at_resend: SmtpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(at_resend, "_sleep", sleeps.append)
    outcome = post(at_resend, ADA, BEN, CLEO)
    assert sleeps == [0.1, 0.1]
    assert outcome.rate_limit == 10 / at_resend.batch_size


def test_an_attempt_of_an_earlier_version_at_resend_is_not_repeated(
    at_resend: SmtpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mails had no key. So its account is another one, and its batches are held."""
    with_keys = at_resend.account
    monkeypatch.setattr(provider_module, "HOSTS_WITH_KEYS", set())
    assert with_keys != at_resend.account


def test_keys_differ_between_builds_and_are_the_same_for_every_attempt(at_resend: SmtpProvider) -> None:
    body = body_of(at_resend, ADA, BEN)
    first, again, rebuilt = (
        [mail.headers for mail in mails_of(body, key, has_keys=True)] for key in ("1:1", "1:1", "1:2")
    )
    assert first == again
    assert not {*first} & {*rebuilt}
