"""The route: who carries what while the first provider does not, and what is never given to a second."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.utils import timezone

from newsletter.models import Availability, Batch, BatchState, Delivery, Issue, IssueStatus, ProviderThrottle
from newsletter.providers.base import Outcome, OutcomeKind, Provider, provider_account
from newsletter.providers.resend.provider import ResendProvider
from newsletter.providers.throttle import MAX_BACKOFF, throttle_status
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import resume_issue
from newsletter.sending.post import post_next, record_outcome
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.reconcile import hold_expired
from tests import people
from tests.mail_server import MailFault, MailServer, connect_to, running_mail_server
from tests.publications import address_everybody, let_time_pass, make_issue, start_sending
from tests.sandboxes import provider_of


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server


@pytest.fixture
def route(sandbox: SandboxServer, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> tuple[Provider, ...]:
    return provider_of(sandbox, monkeypatch), connect_to(mail_server, monkeypatch)


@pytest.fixture
def under_way(issue: Issue) -> Issue:
    people.make_subscriptions(30, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=15)
    return issue


def break_flow(provider: Provider) -> None:
    far = timezone.now() + datetime.timedelta(minutes=4)
    ProviderThrottle.objects.update_or_create(
        provider=provider.name,
        account=provider.account,
        defaults={"failures": 5, "circuit_opened_at": timezone.now(), "backoff_until": far, "code": "no_answer"},
    )


def post_all(route: tuple[Provider, ...], seconds: float = 1.0) -> None:
    let_time_pass(seconds)
    while post_next(route):
        let_time_pass(seconds)


def test_the_second_carries_new_batches_in_its_own_size_while_the_first_is_broken(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    break_flow(route[0])
    post_all(route)
    assert (len(mail_server.recipients()), sandbox.ledger.summary()["messages"]) == (30, 0)
    assert max(Batch.objects.filter(state=BatchState.ACCEPTED).values_list("recipients", flat=True)) <= 10
    accepted = Batch.objects.filter(state=BatchState.ACCEPTED)
    assert set(accepted.values_list("provider", flat=True)) == {provider_account(route[1])}
    assert report_of(under_way).adds_up


def test_a_batch_in_doubt_at_the_first_never_goes_to_the_second(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    assert post_next(route)
    doubtful = Batch.objects.get(state=BatchState.UNKNOWN)
    break_flow(route[0])
    post_all(route)
    doubtful.refresh_from_db()
    assert (doubtful.state, doubtful.provider, doubtful.epoch) == (BatchState.UNKNOWN, provider_account(route[0]), 1)
    assert len(mail_server.recipients()) == 15
    let_time_pass(300)
    post_all(route)
    ledger = sandbox.ledger.summary()
    assert (ledger["messages"], ledger["recipients"]) == (15, 15)
    assert len(set(mail_server.recipients())) == 15
    assert report_of(under_way).accepted == 30


def test_what_the_first_is_known_not_to_have_taken_goes_to_the_second_under_a_new_key(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    sandbox.plan(Fault("invalid_api_key"))
    assert post_next(route)
    refused = Batch.objects.filter(state=BatchState.READY, attempts=1).get()
    assert throttle_status(route[0]).availability is Availability.SUSPENDED
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.SENDING, "somebody else carries it"
    post_all(route)
    assert len(set(mail_server.recipients())) == 30
    assert refused.key not in {batch.key for batch in Batch.objects.filter(state=BatchState.ACCEPTED)}


def test_a_first_that_works_again_has_its_turn_again(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    break_flow(route[0])
    let_time_pass(1)
    assert post_next(route)
    assert len(mail_server.recipients()) == 10
    let_time_pass(300)
    post_all(route)
    assert len(mail_server.recipients()) == 10
    assert sandbox.ledger.summary()["messages"] == 20


def test_a_fault_of_the_issue_goes_to_nobody_else(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    sandbox.plan(Fault("invalid_from_address"))
    assert post_next(route)
    post_all(route)
    under_way.refresh_from_db()
    assert (under_way.status, mail_server.recipients()) == (IssueStatus.PAUSED, [])


def test_doubt_at_a_provider_that_is_not_in_the_route_any_more_is_held(
    under_way: Issue, route: tuple[Provider, ...]
) -> None:
    claimed = claim_batch(route[0])
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    hold_expired(route[1:])
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, "out by resend" in held.reason) == (BatchState.HELD, True)


def test_a_days_quota_pauses_every_send_until_midnight_and_then_they_go_on_by_themselves(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    only = route[:1]
    other = start_sending(make_issue("issue-2", under_way.newsletter))
    sandbox.plan(Fault("daily_quota_exceeded"))
    assert post_next(only)
    assert {issue.status for issue in Issue.objects.all()} == {IssueStatus.PAUSED}
    follow_provider_outages(only)
    other.refresh_from_db()
    assert (other.status, "daily quota" in other.hold_reason) == (IssueStatus.PAUSED, True)
    let_time_pass(86_400 + 60)
    follow_provider_outages(only)
    assert {issue.status for issue in Issue.objects.all()} == {IssueStatus.SENDING}
    post_all(only)
    assert report_of(under_way).accepted == 30


def test_one_who_resumes_after_a_days_quota_leaves_no_batch_behind(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    only = route[:1]
    sandbox.plan(Fault("daily_quota_exceeded"))
    assert post_next(only)
    under_way.refresh_from_db()
    resume_issue(under_way, by="Edda", reason="The plan is larger now.")
    post_all(only)
    assert report_of(under_way).accepted == 30


def test_one_who_resumes_one_send_after_a_months_quota_lets_all_go_on(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    only = route[:1]
    start_sending(make_issue("issue-2", under_way.newsletter))
    sandbox.plan(Fault("monthly_quota_exceeded"))
    assert post_next(only)
    let_time_pass(40 * 86_400)
    follow_provider_outages(only)
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.PAUSED
    resume_issue(under_way, by="Edda", reason="The plan is larger now.")
    follow_provider_outages(only)
    assert {issue.status for issue in Issue.objects.all()} == {IssueStatus.SENDING}


def test_doubt_under_a_key_that_is_another_now_is_held_since_another_team_would_send_it_twice(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    claimed = claim_batch(route[0])
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    other = (ResendProvider(url=sandbox.url, api_key="re_of_another_team", webhook_secrets=()),)
    Batch.objects.update(not_before=timezone.now())
    taken = claim_batch(other[0])
    assert taken is not None
    assert taken.pk != claimed.pk
    hold_expired(other)
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, "under another key" in held.reason) == (BatchState.HELD, True)


def test_doubt_from_before_accounts_were_noted_is_held_and_posted_by_nobody(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer
) -> None:
    claimed = claim_batch(route[0])
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    Batch.objects.filter(pk=claimed.pk).update(provider="resend", not_before=timezone.now())
    post_all(route)
    hold_expired(route)
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.attempts) == (BatchState.HELD, 1)
    assert "a key or login that was not noted" in held.reason
    assert report_of(under_way).accepted == 30 - held.recipients


def test_a_mail_server_that_wants_a_login_after_all_leaves_the_rest_to_the_next(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("mail", "530 5.7.0 authentication required", after=1, times=99))
    turned = (route[1], route[0])
    post_all(turned)
    under_way.refresh_from_db()
    assert (under_way.status, throttle_status(route[1]).availability) == (IssueStatus.SENDING, Availability.SUSPENDED)
    assert len(mail_server.recipients()) == 1
    assert sandbox.ledger.summary()["recipients"] == 29
    assert report_of(under_way).accepted == 30


def test_a_sender_that_the_mail_server_refuses_pauses_the_issue_and_goes_to_nobody_else(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("mail", "550 5.7.1 sender not allowed", times=99))
    post_all((route[1], route[0]))
    under_way.refresh_from_db()
    assert (under_way.status, sandbox.ledger.summary()["messages"]) == (IssueStatus.PAUSED, 0)


def test_one_batch_that_never_gets_an_answer_does_not_hold_up_all_others(
    under_way: Issue, route: tuple[Provider, ...], sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = route[:1]
    post_batch = only[0].post_batch

    def chokes_on_the_first(body: bytes, *, key: str, size: int) -> Outcome:
        if b"reader-1@" in body:
            return Outcome(kind=OutcomeKind.UNKNOWN, code="http_502")
        return post_batch(body, key=key, size=size)

    monkeypatch.setattr(only[0], "post_batch", chokes_on_the_first)
    posts = 0
    while posts < 12 and sandbox.ledger.summary()["recipients"] < 15:
        let_time_pass(MAX_BACKOFF)
        posts += post_next(only)
    assert sandbox.ledger.summary()["recipients"] == 15
    assert posts <= 7
    assert Batch.objects.get(state=BatchState.UNKNOWN).first_delivery == Delivery.objects.order_by("pk")[0].pk
