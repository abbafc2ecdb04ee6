"""Batches with an unknown outcome, searched for in the provider's list: sent ones are found, absent ones sent again."""

from __future__ import annotations

import dataclasses
import datetime
import io
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from newsletter.management.commands import reconcile as reconcile_command
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    Issue,
    ProviderSearch,
    Reason,
    SearchResult,
    Send,
    SendState,
)
from newsletter.providers import get_provider, get_route
from newsletter.providers.base import Provider, ProviderSearchFailed, SearchPage, SupportsSearch
from newsletter.providers.resend import search as resend_search
from newsletter.providers.resend.provider import ResendProvider
from newsletter.providers.smtp import SmtpProvider
from newsletter.sandbox import Fault, SandboxOptions, SandboxServer
from newsletter.sending import provider_search as search_module
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import cancel_send, drop_cancelled, finish_sends
from newsletter.sending.provider_search import begin, held_batches, next_search, search_provider, searchable
from newsletter.sending.reconcile import hold, hold_expired, mark_as_sent
from newsletter.sending.retry import retry_failed
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.newsletter.providers.contract import message, new_key
from tests.publications import expand_audiences, make_issue, post_everything, start_sending

DAY = datetime.timedelta(days=1)
ADDRESSES = [f"reader-{number}@example.org" for number in range(1, 8)]

#: The provider processed the post, and its answer was lost.
SENT_WITHOUT_ANSWER = Fault("reset", after_commit=True)
#: The post never reached the provider.
NOT_SENT = Fault("reset")


class Clock:
    """The provider's clock; `ahead` is in seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[SandboxServer]:
    options = SandboxOptions(port=0, api_key="re_full", sending_key="re_sending", rate_limit=1000)
    with SandboxServer(options, clock=clock) as server:
        yield server


@pytest.fixture
def provider(sandbox: SandboxServer, clock: Clock, long_waits: None, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A provider with one key for sending and one for reading, which sent a mail two days ago. It is yesterday."""
    monkeypatch.setattr(settings, "PROVIDER_URL", sandbox.url)
    monkeypatch.setattr(settings, "PROVIDER_API_KEY", "re_sending")
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "re_full")
    monkeypatch.setattr(search_module, "PACE", datetime.timedelta(0))
    provider = get_provider()
    clock.ahead = -2 * DAY.total_seconds()
    provider.post_message(message("zoe@example.org"), key=new_key())
    clock.ahead = -DAY.total_seconds()
    return provider


@pytest.fixture
def send(issue: Issue) -> Send:
    """A send to seven recipients, in batches of three."""
    people.make_subscriptions(len(ADDRESSES), issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=3)
    return send


def recipients(sandbox: SandboxServer) -> list[str]:
    """The addresses that were sent the issue, each as often as it was."""
    return sorted(mail.address for address in ADDRESSES for mail in sandbox.ledger.mails_to(address, 2e9))


def pass_a_day(clock: Clock, provider: Provider) -> None:
    """It is today: idempotency keys have expired, and batches with an unknown outcome are held."""
    clock.ahead = 0.0
    Batch.objects.update(first_attempt_at=F("first_attempt_at") - DAY, last_attempt_at=F("last_attempt_at") - DAY)
    hold_expired((provider,))


def held_a_day_later(clock: Clock, provider: Provider) -> Batch:
    """The only held batch, a day later."""
    pass_a_day(clock, provider)
    return Batch.objects.get(state=BatchState.HELD)


def readable(provider: Provider) -> SupportsSearch:
    found = searchable((provider,))
    assert found is not None
    return found


def reconcile(*arguments: str) -> str:
    """The output of `manage.py reconcile`."""
    output = io.StringIO()
    call_command("reconcile", *arguments, stdout=output)
    return output.getvalue()


def further_reasons(batch: Batch) -> list[str]:
    """The codes that searches have added to the reason of a held batch."""
    return [code for code, _values in (batch.reason_values or {}).get("reasons", ())]


def test_a_batch_whose_answer_was_lost_is_found_and_accepted(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    assert "Its mails in the provider's list: 3 of 3." in reconcile(send.issue.slug)
    finish_sends()
    send.refresh_from_db()
    assert send.state == SendState.SENT
    assert recipients(sandbox) == ADDRESSES
    ids = {mail.id for address in ADDRESSES for mail in sandbox.ledger.mails_to(address, 2e9)}
    assert set(Delivery.objects.values_list("provider_id", flat=True)) == ids
    search = ProviderSearch.objects.get()
    assert (search.batch_id, search.result, search.by) == (held.pk, SearchResult.FOUND, "manage.py reconcile")
    held.refresh_from_db()
    assert (held.state, held.reason) == (BatchState.ACCEPTED, Reason.FOUND_BY_SEARCH)


def test_a_batch_that_never_arrived_is_proved_absent_and_sent_once_under_a_new_key(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    search_provider((provider,))
    proof = ProviderSearch.objects.get()
    assert (proof.result, proof.batch_id, proof.by) == (SearchResult.ABSENT, held.pk, "worker")
    assert Batch.objects.get(pk=held.pk).reason == proof.reason == Reason.ABSENT_BY_SEARCH
    assert post_everything(provider) == 1
    assert recipients(sandbox) == ADDRESSES
    again = Batch.objects.get(pk=held.pk)
    assert (again.state, again.epoch) == (BatchState.ACCEPTED, 2)
    assert again.key != held.key


def test_a_recipient_who_left_meanwhile_is_not_in_the_batch_that_is_sent_after_the_proof(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    leaver = Delivery.objects.get(pk=held.first_delivery).subscriber
    Subscription.objects.filter(subscriber=leaver).update(state=SubscriptionState.UNSUBSCRIBED)
    search_provider((provider,))
    post_everything(provider)
    assert recipients(sandbox) == sorted(set(ADDRESSES) - {leaver.address})


def test_a_list_that_does_not_reach_back_proves_nothing_and_nothing_is_sent(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    with sandbox.team.database.transaction() as tx:
        # As at a provider that keeps its list for a day.
        tx.execute("DELETE FROM recipients")
        tx.execute("DELETE FROM events")
        tx.execute("DELETE FROM mails")
    assert "proves nothing" in reconcile()
    held.refresh_from_db()
    assert (held.state, held.reason) == (BatchState.HELD, Reason.KEY_EXPIRED)
    assert further_reasons(held) == [Reason.SEARCH_TOO_SHORT]
    assert post_everything(provider) == 0
    assert "Batches with an unknown outcome: 1." in reconcile()
    assert ProviderSearch.objects.count() == 1, "a finished search is not repeated"


def test_a_search_without_a_result_can_be_repeated_by_command(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("DELETE FROM recipients")
        tx.execute("DELETE FROM events")
        tx.execute("DELETE FROM mails")
    search_provider((provider,))
    assert "proves nothing" in reconcile("--again")
    assert ProviderSearch.objects.count() == 2
    held.refresh_from_db()
    assert further_reasons(held) == [Reason.SEARCH_TOO_SHORT]
    mark_as_sent(held, by="Edda")


def test_a_batch_of_which_only_some_mails_are_found_waits_for_an_operator(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("UPDATE mails SET envelope = replace(envelope, 'reader-2@', 'nobody@')")
    search_provider((provider,))
    held.refresh_from_db()
    assert (held.state, held.reason) == (BatchState.HELD, Reason.PARTLY_FOUND)
    values = held.reason_values or {}
    assert (values["found"], values["size"]) == (2, 3)
    assert ProviderSearch.objects.get().result == SearchResult.PARTLY


def test_the_same_mail_of_another_installation_does_not_count_as_found(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held_a_day_later(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("""UPDATE mails SET envelope = replace(envelope, '"env":"tests"', '"env":"staging"')""")
    search_provider((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.ABSENT


def test_a_long_list_is_read_one_page_per_step_and_a_killed_worker_continues_where_it_stopped(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_search, "PAGE_SIZE", 2)
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held_a_day_later(clock, provider)
    mails_read = []
    while not ProviderSearch.objects.exclude(result=SearchResult.OPEN).exists():
        search_provider((provider,))
        mails_read.append(ProviderSearch.objects.get().mails_read)
    # The four mails that were accepted later, then the three of the batch. Each step starts from the row.
    assert mails_read == [2, 4, 6, 8]
    assert ProviderSearch.objects.get().result == SearchResult.FOUND


def test_the_search_starts_above_the_batch_and_not_at_the_newest_mail(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held_a_day_later(clock, provider)
    start_sending(make_issue("issue-2", send.issue.newsletter))
    expand_audiences()
    post_everything(provider)
    search_provider((provider,))
    search = ProviderSearch.objects.get()
    # The seven mails of the issue, and the mail of two days ago.
    assert (search.result, search.mails_read) == (SearchResult.FOUND, 8)


def test_a_read_key_that_may_only_send_is_reported_and_settles_nothing(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "re_sending")
    assert "does not let RESEND_READ_KEY read" in reconcile()
    held.refresh_from_db()
    assert (held.state, further_reasons(held)) == (BatchState.HELD, [Reason.SEARCH_FAILED])
    search = ProviderSearch.objects.get()
    assert (search.result, search.reason) == (SearchResult.UNPROVEN, Reason.SEARCH_FAILED)
    assert search.values["reasons"][0][0] == "read_key_refused"


def test_without_a_read_key_nothing_is_searched_and_the_command_says_what_to_set(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "")
    with pytest.raises(CommandError, match="set RESEND_READ_KEY"):
        reconcile()
    assert searchable(get_route()) is None
    assert search_provider(get_route()) is False


def test_a_search_that_fails_temporarily_is_retried_and_loses_nothing(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held_a_day_later(clock, provider)
    for kind in ("rate_limit_exceeded", "html_502", "reset", "service_unavailable", "truncated"):
        sandbox.plan(Fault(kind, on="GET /emails"))
        with pytest.raises(ProviderSearchFailed):
            search_provider((provider,))
    search_provider((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.FOUND


def test_a_batch_that_was_attempted_minutes_ago_is_not_searched_for_yet(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    assert "still retried under the same idempotency key: 1." in reconcile()
    hold(Batch.objects.get(state=BatchState.UNKNOWN), Reason.RECIPIENT_LEFT_UNKNOWN)
    assert next_search(held_batches(), by="tests") is None
    assert "too recently to search for: 1." in reconcile()
    Batch.objects.update(last_attempt_at=F("last_attempt_at") - search_module.SETTLING)
    assert next_search(held_batches(), by="tests") is not None


def test_a_mail_with_the_tags_of_the_batch_is_found_even_if_its_time_is_wrong(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held_a_day_later(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("UPDATE mails SET created_at = created_at - 3600")
    search_provider((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.FOUND


def test_a_search_is_moot_if_its_batch_was_settled_while_the_page_was_read(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    search = begin(held, by="tests")
    # The instance in memory is older than the row.
    mark_as_sent(Batch.objects.get(pk=held.pk), by="Edda")
    assert search_module.read_page(search, readable(provider)).result == SearchResult.MOOT
    assert Batch.objects.get(pk=held.pk).state == BatchState.ACCEPTED
    assert post_everything(provider) == 0


def test_a_search_is_moot_if_its_batch_was_settled_before_its_payload_was_read(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held_a_day_later(clock, provider)
    # As the worker reads it: the payload is deferred.
    search = next_search(held_batches(), by="tests")
    assert search is not None
    mark_as_sent(Batch.objects.get(state=BatchState.HELD), by="Edda")
    assert search_module.read_page(search, readable(provider)).result == SearchResult.MOOT


def test_the_command_reads_to_the_end_at_its_pace(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_search, "PAGE_SIZE", 3)
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    # A worker has read the first page a moment ago.
    search_module.read_page(begin(held, by="worker"), readable(provider))
    pace = datetime.timedelta(seconds=0.05)
    for module in (search_module, reconcile_command):
        monkeypatch.setattr(module, "PACE", pace)
    output = reconcile()
    assert "6 mails read" in output
    assert "Batches with an unknown outcome: 0." in output


def test_an_open_search_is_closed_once_its_batch_is_settled(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    begin(held, by="tests")
    mark_as_sent(held, by="Edda")
    search_provider((provider,))
    search = ProviderSearch.objects.get()
    assert (search.result, search.reason) == (SearchResult.MOOT, Reason.SETTLED_MEANWHILE)


def test_an_absent_batch_of_a_cancelled_send_is_skipped(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    cancel_send(send, by="Edda")
    held_a_day_later(clock, provider)
    search_provider((provider,))
    drop_cancelled()
    assert post_everything(provider) == 0
    assert Delivery.objects.filter(state=DeliveryState.SKIPPED, reason=Reason.SEND_CANCELLED).count() == 3


def test_a_held_batch_is_posted_again_only_after_a_decision_or_a_recorded_proof(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(NOT_SENT)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    for _ in range(3):
        hold_expired((provider,))
        post_everything(provider)
        held.refresh_from_db()
        assert (held.state, held.epoch) == (BatchState.HELD, 1)
    search_provider((provider,))
    held.refresh_from_db()
    assert held.state == BatchState.READY
    proof = held.provider_searches.get()
    assert (proof.result, proof.finished_at is not None) == (SearchResult.ABSENT, True)


def test_a_batch_that_another_provider_posted_is_not_searched_for_in_the_list_of_this_one(
    send: Send, provider: Provider, clock: Clock
) -> None:
    assert claim_batch(SmtpProvider()) is not None
    Batch.objects.filter(state=BatchState.CLAIMED).update(lease_until=None, state=BatchState.UNKNOWN)
    held = held_a_day_later(clock, provider)
    search_provider((provider,))
    search = held.provider_searches.get()
    assert (search.reason, search.values["reasons"][0][0]) == (Reason.SEARCH_FAILED, "not_posted_by_provider")
    held.refresh_from_db()
    assert held.state == BatchState.HELD


def test_our_clock_set_back_between_two_attempts_does_not_make_a_sent_batch_absent(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    Batch.objects.filter(pk=held.pk).update(first_attempt_at=F("last_attempt_at") + datetime.timedelta(hours=2))
    search_provider((provider,))
    search = ProviderSearch.objects.get()
    assert (search.result, len(search.found)) == (SearchResult.FOUND, 3)
    assert recipients(sandbox) == ADDRESSES


def test_our_clock_behind_at_the_post_does_not_make_a_sent_batch_absent(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    # The clock was right again at the posts of the other batches, from which the search starts.
    two_hours = datetime.timedelta(hours=2)
    Batch.objects.filter(pk=held.pk).update(
        first_attempt_at=F("first_attempt_at") - two_hours, last_attempt_at=F("last_attempt_at") - two_hours
    )
    Send.objects.update(started_at=F("started_at") - DAY - two_hours)
    first = Batch.objects.exclude(pk=held.pk).order_by("pk")[0]
    Batch.objects.filter(pk=first.pk).update(first_attempt_at=F("first_attempt_at") - datetime.timedelta(minutes=30))
    with sandbox.team.database.transaction() as tx:
        # The mails of that batch are older than those of the held one.
        tx.execute("UPDATE mails SET created_at = created_at - 1800 WHERE envelope LIKE '%reader-4@%'")
        tx.execute("UPDATE mails SET created_at = created_at - 1800 WHERE envelope LIKE '%reader-5@%'")
        tx.execute("UPDATE mails SET created_at = created_at - 1800 WHERE envelope LIKE '%reader-6@%'")
    reconcile()
    search = ProviderSearch.objects.get()
    assert (search.result, len(search.found)) == (SearchResult.FOUND, 3)
    assert recipients(sandbox) == ADDRESSES


def test_our_clock_ahead_at_the_post_does_not_make_a_sent_batch_absent(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_search, "PAGE_SIZE", 2)
    Send.objects.update(started_at=F("started_at") - DAY)
    clock.ahead -= 7200.0
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    reconcile()
    held.refresh_from_db()
    assert (held.state, further_reasons(held)) == (BatchState.HELD, [Reason.SEARCH_CLOCKS_DIFFER])
    assert post_everything(provider) == 0


def test_the_list_of_another_account_does_not_make_a_sent_batch_absent(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    options = SandboxOptions(port=0, api_key="re_full", rate_limit=1000)
    with SandboxServer(options, clock=clock) as other_account:
        other = ResendProvider(url=other_account.url, api_key="re_full", read_key="re_full", webhook_secrets=())
        for hours in (48, 1):
            clock.ahead = -hours * 3600.0
            other.post_message(message("zoe@example.org"), key=new_key())
        clock.ahead = 0.0
        search_provider((other,))
    held.refresh_from_db()
    assert (held.state, ProviderSearch.objects.get().result) == (BatchState.HELD, SearchResult.UNPROVEN)
    assert further_reasons(held) == [Reason.SEARCH_WITNESS_MISSING]


def test_similar_mails_without_tags_are_left_to_an_operator(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    held = held_a_day_later(clock, provider)
    assert isinstance(provider, ResendProvider)
    search = provider.search

    def search_without_tags(body: bytes, *, after: str) -> SearchPage:
        page = search(body, after=after)
        return dataclasses.replace(page, found={}, unverifiable=len(page.found))

    monkeypatch.setattr(provider, "search", search_without_tags)
    search_provider((provider,))
    held.refresh_from_db()
    assert (held.state, ProviderSearch.objects.get().result) == (BatchState.HELD, SearchResult.UNPROVEN)
    assert further_reasons(held) == [Reason.SEARCH_WITHOUT_TAGS]


def test_a_failed_page_does_not_block_the_searches_for_other_batches(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(SENT_WITHOUT_ANSWER, SENT_WITHOUT_ANSWER)
    post_everything(provider)
    pass_a_day(clock, provider)
    for held in Batch.objects.filter(state=BatchState.HELD):
        begin(held, by="tests")
    first = next_search(held_batches(), by="tests")
    sandbox.plan(Fault("html_502", on="GET /emails"))
    with pytest.raises(ProviderSearchFailed):
        search_provider((provider,))
    second = next_search(held_batches(), by="tests")
    assert first is not None
    assert second is not None
    assert first.pk != second.pk


@pytest.mark.parametrize(
    ("fault", "result", "posts"),
    [(NOT_SENT, SearchResult.ABSENT, 1), (SENT_WITHOUT_ANSWER, SearchResult.FOUND, 0)],
    ids=["absent", "found"],
)
def test_a_mail_that_failed_is_not_mistaken_for_the_mail_in_its_place(
    send: Send,
    provider: Provider,
    sandbox: SandboxServer,
    clock: Clock,
    fault: Fault,
    result: SearchResult,
    posts: int,
) -> None:
    """Both have the same tags, and both are on one page of the list."""
    post_everything(provider)
    failed = Delivery.objects.order_by("pk")[0]
    Delivery.objects.filter(pk=failed.pk).update(failed_at=timezone.now())
    Event.objects.create(
        provider="resend", event_id="msg_1", kind="email.failed", body="{}", detail="quota", delivery_id=failed.pk
    )
    retry_failed(send, by="Edda")
    sandbox.plan(fault)
    post_everything(provider)
    held_a_day_later(clock, provider)
    search_provider((provider,))
    assert ProviderSearch.objects.get().result == result
    assert post_everything(provider) == posts
    assert recipients(sandbox) == sorted([*ADDRESSES, ADDRESSES[0]])


def test_a_batch_that_may_be_repeated_under_its_key_is_not_searched_for_because_the_list_may_lag(
    send: Send, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = datetime.timedelta(hours=3)
    clock.ahead = -hours.total_seconds()
    sandbox.plan(SENT_WITHOUT_ANSWER)
    post_everything(provider)
    unknown = Batch.objects.get(state=BatchState.UNKNOWN)
    Batch.objects.update(first_attempt_at=F("first_attempt_at") - hours, last_attempt_at=F("last_attempt_at") - hours)
    clock.ahead = 0.0
    search = ResendProvider.search

    def search_in_lagging_list(self: ResendProvider, body: bytes, *, after: str) -> SearchPage:
        return dataclasses.replace(search(self, body, after=after), found={})

    monkeypatch.setattr(ResendProvider, "search", search_in_lagging_list)
    search_provider((provider,))
    unknown.refresh_from_db()
    assert unknown.state == BatchState.UNKNOWN
    Batch.objects.update(not_before=timezone.now())
    post_everything(provider)
    assert recipients(sandbox) == ADDRESSES
