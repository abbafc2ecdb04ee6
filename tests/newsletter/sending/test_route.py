"""The route: which batches go to the next provider while the first is unavailable, and which never do."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.utils import timezone

from newsletter.models import (
    Availability,
    Batch,
    BatchState,
    Delivery,
    Issue,
    ProviderThrottle,
    Reason,
    Send,
    SendState,
)
from newsletter.providers.base import Outcome, OutcomeKind, Provider, provider_account
from newsletter.providers.resend.provider import ResendProvider
from newsletter.providers.smtp import SmtpProvider
from newsletter.providers.throttle import MAX_BACKOFF, throttle_status
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import resume_send
from newsletter.sending.outcome import record_outcome
from newsletter.sending.post import post_batch
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.reconcile import hold_expired
from tests import people
from tests.mail_server import MailFault, MailServer, connect_to, running_mail_server
from tests.publications import expand_audiences, make_issue, pass_time, start_sending
from tests.sandboxes import provider_of

DAY = 86_400


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server


@pytest.fixture
def route(sandbox: SandboxServer, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> tuple[Provider, ...]:
    """Resend first, then SMTP with smaller batches."""
    monkeypatch.setattr(SmtpProvider, "batch_size", 10)
    return provider_of(sandbox, monkeypatch), connect_to(mail_server, monkeypatch)


@pytest.fixture
def send(issue: Issue) -> Send:
    """A send to thirty recipients, in two batches."""
    people.make_subscriptions(30, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=15)
    return send


def state_of(send: Send) -> str:
    send.refresh_from_db()
    return send.state


def all_send_states() -> set[str]:
    return set(Send.objects.values_list("state", flat=True))


def open_circuit(provider: Provider) -> None:
    until = timezone.now() + datetime.timedelta(minutes=4)
    ProviderThrottle.objects.update_or_create(
        provider=provider.name,
        account=provider.account,
        defaults={"failures": 5, "circuit_opened_at": timezone.now(), "backoff_until": until, "code": "no_answer"},
    )


def post_all(route: tuple[Provider, ...], seconds: float = 1.0) -> None:
    pass_time(seconds)
    while post_batch(route):
        pass_time(seconds)


def test_new_batches_go_to_the_second_provider_in_its_own_size_while_the_circuit_of_the_first_is_open(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    open_circuit(route[0])
    post_all(route)
    assert (len(mail_server.recipients()), sandbox.ledger.summary()["messages"]) == (30, 0)
    assert max(Batch.objects.filter(state=BatchState.ACCEPTED).values_list("recipients", flat=True)) <= 10
    accepted = Batch.objects.filter(state=BatchState.ACCEPTED)
    assert set(accepted.values_list("provider", flat=True)) == {provider_account(route[1])}
    cut = Batch.objects.filter(state=BatchState.SPLIT)
    assert set(cut.values_list("reason", flat=True)) == {Reason.CUT_FOR_PROVIDER}


def test_a_batch_with_an_unknown_outcome_at_the_first_provider_never_goes_to_the_second(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    assert post_batch(route)
    unknown = Batch.objects.get(state=BatchState.UNKNOWN)
    open_circuit(route[0])
    post_all(route)
    unknown.refresh_from_db()
    assert (unknown.state, unknown.provider, unknown.epoch) == (BatchState.UNKNOWN, provider_account(route[0]), 1)
    assert len(mail_server.recipients()) == 15
    pass_time(MAX_BACKOFF)
    post_all(route)
    ledger = sandbox.ledger.summary()
    assert (ledger["messages"], ledger["recipients"]) == (15, 15)
    assert len(set(mail_server.recipients())) == 15
    assert report_of(send).accepted == 30


def test_a_batch_that_the_first_provider_refused_goes_to_the_second_under_a_new_key(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    sandbox.plan(Fault("invalid_api_key"))
    assert post_batch(route)
    refused = Batch.objects.filter(state=BatchState.READY, attempts=1).get()
    assert throttle_status(route[0]).availability is Availability.SUSPENDED
    assert state_of(send) == SendState.SENDING, "the second provider accepts mail"
    post_all(route)
    assert len(set(mail_server.recipients())) == 30
    assert refused.key not in {batch.key for batch in Batch.objects.filter(state=BatchState.ACCEPTED)}


def test_new_batches_go_to_the_first_provider_again_when_it_recovers(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    open_circuit(route[0])
    pass_time(1)
    assert post_batch(route)
    assert len(mail_server.recipients()) == 10
    pass_time(MAX_BACKOFF)
    post_all(route)
    assert len(mail_server.recipients()) == 10
    assert sandbox.ledger.summary()["messages"] == 20


def test_an_issue_that_the_first_provider_refuses_does_not_go_to_the_second(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    sandbox.plan(Fault("invalid_from_address"))
    assert post_batch(route)
    post_all(route)
    assert (state_of(send), mail_server.recipients()) == (SendState.PAUSED, [])
    assert send.hold_reason == Reason.ISSUE_REFUSED


def test_an_unknown_outcome_at_a_provider_that_left_the_route_is_held(send: Send, route: tuple[Provider, ...]) -> None:
    claimed = claim_batch(route[0])
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    hold_expired(route[1:])
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, Reason.PROVIDER_NOT_IN_ROUTE)
    assert held.reason_values == {"provider": "resend"}


def test_a_used_up_daily_quota_pauses_every_send_and_they_resume_after_midnight(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    only = route[:1]
    other = start_sending(make_issue("issue-2", send.issue.newsletter))
    sandbox.plan(Fault("daily_quota_exceeded"))
    assert post_batch(only)
    assert all_send_states() == {SendState.PAUSED}
    follow_provider_outages(only)
    assert (state_of(other), other.hold_reason) == (SendState.PAUSED, Reason.PROVIDER_OUTAGE)
    assert other.hold_values["reasons"][0][0] == "daily_quota_exceeded"
    pass_time(DAY + 60)
    follow_provider_outages(only)
    assert all_send_states() == {SendState.SENDING}
    resumed = other.transitions.last()
    assert resumed is not None
    assert (resumed.by, resumed.reason) == ("worker", Reason.PROVIDER_BACK)
    post_all(only)
    assert report_of(send).accepted == 30


def test_a_send_that_an_operator_paused_at_the_end_of_an_outage_stays_paused(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = route[:1]
    other = start_sending(make_issue("issue-2", send.issue.newsletter))
    sandbox.plan(Fault("daily_quota_exceeded"))
    assert post_batch(only)
    pass_time(DAY + 60)
    resume = Send.resume

    def resume_while_an_operator_pauses_the_rest(resumed: Send, *arguments: str) -> None:
        resume(resumed, *arguments)
        Send.objects.exclude(pk=resumed.pk).update(hold_reason=Reason.OPERATOR)

    monkeypatch.setattr(Send, "resume", resume_while_an_operator_pauses_the_rest)
    follow_provider_outages(only)
    assert sorted([state_of(send), state_of(other)]) == [SendState.PAUSED, SendState.SENDING]


def test_every_batch_is_posted_after_an_operator_resumes_a_send_during_a_quota_outage(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    only = route[:1]
    sandbox.plan(Fault("daily_quota_exceeded"))
    assert post_batch(only)
    resume_send(send, by="Edda", text="The plan is larger now.")
    post_all(only)
    assert report_of(send).accepted == 30


def test_after_a_monthly_quota_outage_resuming_one_send_resumes_all(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    only = route[:1]
    start_sending(make_issue("issue-2", send.issue.newsletter))
    sandbox.plan(Fault("monthly_quota_exceeded"))
    assert post_batch(only)
    pass_time(40 * DAY)
    follow_provider_outages(only)
    assert state_of(send) == SendState.PAUSED
    resume_send(send, by="Edda", text="The plan is larger now.")
    follow_provider_outages(only)
    assert all_send_states() == {SendState.SENDING}


def test_an_unknown_outcome_under_another_api_key_is_held_since_another_account_would_send_it_twice(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    claimed = claim_batch(route[0])
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    other = (ResendProvider(url=sandbox.url, api_key="re_of_another_team", webhook_secrets=()),)
    Batch.objects.update(not_before=timezone.now())
    next_claimed = claim_batch(other[0])
    assert next_claimed is not None
    assert next_claimed.pk != claimed.pk
    hold_expired(other)
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, Reason.OTHER_ACCOUNT)
    assert held.reason_values == {"provider": "resend"}


def test_an_unknown_outcome_whose_account_was_not_recorded_is_held_and_not_posted(
    send: Send, route: tuple[Provider, ...]
) -> None:
    claimed = claim_batch(route[0])
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    Batch.objects.filter(pk=claimed.pk).update(provider="resend", not_before=timezone.now())
    post_all(route)
    hold_expired(route)
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.attempts, held.reason) == (BatchState.HELD, 1, Reason.OTHER_ACCOUNT)
    assert report_of(send).accepted == 30 - held.recipients


def test_recipients_after_a_refused_login_go_to_the_next_provider(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("mail", "530 5.7.0 authentication required", after=1, times=99))
    smtp_first = (route[1], route[0])
    post_all(smtp_first)
    assert (state_of(send), throttle_status(route[1]).availability) == (SendState.SENDING, Availability.SUSPENDED)
    assert len(mail_server.recipients()) == 1
    assert sandbox.ledger.summary()["recipients"] == 29
    assert report_of(send).accepted == 30


def test_a_sender_that_the_mail_server_refuses_pauses_the_send_and_does_not_go_to_the_next_provider(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("mail", "550 5.7.1 sender not allowed", times=99))
    post_all((route[1], route[0]))
    assert (state_of(send), sandbox.ledger.summary()["messages"]) == (SendState.PAUSED, 0)


def test_a_batch_that_never_gets_an_answer_does_not_block_the_others(
    send: Send, route: tuple[Provider, ...], sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = route[:1]
    post_to_provider = only[0].post_batch

    def fail_for_the_first_batch(body: bytes, *, key: str, size: int) -> Outcome:
        if b"reader-1@" in body:
            return Outcome(kind=OutcomeKind.UNKNOWN, code="http_502")
        return post_to_provider(body, key=key, size=size)

    monkeypatch.setattr(only[0], "post_batch", fail_for_the_first_batch)
    posts = 0
    while posts < 12 and sandbox.ledger.summary()["recipients"] < 15:
        pass_time(MAX_BACKOFF)
        posts += post_batch(only)
    assert sandbox.ledger.summary()["recipients"] == 15
    assert posts <= 7
    assert Batch.objects.get(state=BatchState.UNKNOWN).first_delivery == Delivery.objects.order_by("pk")[0].pk
