"""Batches in doubt against the provider's own list: what went out is found, what is posted anew is proved absent."""

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
    DeliveryStatus,
    Event,
    Issue,
    IssueStatus,
    ProviderSearch,
    SearchResult,
)
from newsletter.providers import get_provider, get_route
from newsletter.providers.base import Provider, ProviderSearchFailed, SearchPage
from newsletter.providers.resend import search as resend_search
from newsletter.providers.resend.provider import ResendProvider
from newsletter.providers.smtp import SmtpProvider
from newsletter.sandbox import Fault, SandboxOptions, SandboxServer
from newsletter.sending import post as post_module
from newsletter.sending import provider_search as search_module
from newsletter.sending.batch import READER_LEFT, claim_batch
from newsletter.sending.control import cancel_issue, drop_cancelled, finish_issues
from newsletter.sending.provider_search import begin, doubtful, looking_up, next_search, search_next
from newsletter.sending.reconcile import count_as_sent, hold, hold_expired
from newsletter.sending.retry import retry_failed
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.newsletter.providers.contract import message, new_key
from tests.publications import address_everybody, make_issue, post_everything, start_sending

DAY = datetime.timedelta(days=1)
READERS = [f"reader-{number}@example.org" for number in range(1, 8)]


class Clock:
    """The provider's clock, which a test may move."""

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
def provider(sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """It is yesterday. Posts with a key that may only send, reads with another; has sent one mail the day before."""
    monkeypatch.setattr(settings, "PROVIDER_URL", sandbox.url)
    monkeypatch.setattr(settings, "PROVIDER_API_KEY", "re_sending")
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "re_full")
    monkeypatch.setattr(search_module, "PACE", datetime.timedelta(0))
    # However slow the machine is, what is in doubt is not posted again before the test has looked at it.
    monkeypatch.setattr(post_module, "_wait", lambda outcome, attempts: datetime.timedelta(minutes=5))
    provider = get_provider()
    clock.ahead = -2 * DAY.total_seconds()
    provider.post_message(message("zoe@example.org"), key=new_key())
    clock.ahead = -DAY.total_seconds()
    return provider


@pytest.fixture
def under_way(issue: Issue) -> Issue:
    """An issue for seven readers, in batches of three."""
    people.make_subscriptions(len(READERS), issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=3)
    return issue


def recipients(sandbox: SandboxServer) -> list[str]:
    """Everybody who was sent the issue, as often as they were."""
    return sorted(mail.address for reader in READERS for mail in sandbox.ledger.mails_to(reader, 2e9))


def a_day_passes(clock: Clock, provider: Provider) -> Batch:
    """It is today: the key is forgotten, and the only batch in doubt is held."""
    a_day_passes_for_all(clock, provider)
    return Batch.objects.get(state=BatchState.HELD)


def a_day_passes_for_all(clock: Clock, provider: Provider) -> None:
    clock.ahead = 0.0
    Batch.objects.update(first_attempt_at=F("first_attempt_at") - DAY, last_attempt_at=F("last_attempt_at") - DAY)
    hold_expired((provider,))


def reconcile(*arguments: str) -> str:
    """What `manage.py reconcile` says."""
    said = io.StringIO()
    call_command("reconcile", *arguments, stdout=said)
    return said.getvalue()


def test_a_batch_whose_answer_was_lost_is_found_in_the_list_and_accepted(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    assert "It went out: 3 of its 3 mails" in reconcile(under_way.slug)
    finish_issues()
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.SENT
    assert recipients(sandbox) == READERS
    ids = {mail.id for reader in READERS for mail in sandbox.ledger.mails_to(reader, 2e9)}
    assert set(Delivery.objects.values_list("provider_id", flat=True)) == ids
    record = ProviderSearch.objects.get()
    assert (record.batch_id, record.result, record.by) == (held.pk, SearchResult.FOUND, "manage.py reconcile")


def test_a_batch_that_never_arrived_is_proved_absent_and_sent_once_under_a_new_key(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    search_next((provider,))
    proof = ProviderSearch.objects.get()
    assert (proof.result, proof.batch_id, proof.by) == (SearchResult.ABSENT, held.pk, "worker")
    assert post_everything(provider) == 1
    assert recipients(sandbox) == READERS
    again = Batch.objects.get(pk=held.pk)
    assert (again.state, again.epoch) == (BatchState.ACCEPTED, 2)
    assert again.key != held.key


def test_who_left_meanwhile_is_not_in_what_is_sent_after_the_proof(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    leaver = Delivery.objects.get(pk=held.first_delivery).subscriber
    Subscription.objects.filter(subscriber=leaver).update(state=SubscriptionState.UNSUBSCRIBED)
    search_next((provider,))
    post_everything(provider)
    assert recipients(sandbox) == sorted(set(READERS) - {leaver.address})


def test_a_list_that_does_not_reach_back_proves_nothing_and_nothing_is_sent(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    with sandbox.team.database.transaction() as tx:
        # As a provider does that keeps its list for a day.
        tx.execute("DELETE FROM recipients")
        tx.execute("DELETE FROM events")
        tx.execute("DELETE FROM mails")
    assert "proves nothing" in reconcile()
    held.refresh_from_db()
    assert (held.state, "proves nothing" in held.reason) == (BatchState.HELD, True)
    assert post_everything(provider) == 0
    assert "Batches with an unknown outcome: 1." in reconcile(), "and it is not looked up twice for nothing"
    assert ProviderSearch.objects.count() == 1
    assert "proves nothing" in reconcile("--again")
    count_as_sent(held, by="Edda")


def test_a_batch_of_which_only_some_is_there_waits_for_a_person(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("UPDATE mails SET envelope = replace(envelope, 'reader-2@', 'nobody@')")
    search_next((provider,))
    held.refresh_from_db()
    assert held.state == BatchState.HELD
    assert held.reason.startswith("Only 2 of its 3 mails are in the provider's list")
    assert ProviderSearch.objects.get().result == SearchResult.PARTLY


def test_the_same_mail_of_another_installation_is_not_taken_for_ours(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("""UPDATE mails SET envelope = replace(envelope, '"env":"tests"', '"env":"staging"')""")
    search_next((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.ABSENT


def test_a_long_list_is_read_a_page_a_turn_and_a_killed_worker_goes_on_where_it_was(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_search, "PAGE_SIZE", 2)
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes(clock, provider)
    read = []
    while not ProviderSearch.objects.exclude(result=SearchResult.OPEN).exists():
        search_next((provider,))
        read.append(ProviderSearch.objects.get().mails_read)
    # The four others, accepted later, then the three: five turns are too many, and each begins anew from the row.
    assert read == [2, 4, 6, 8]
    assert ProviderSearch.objects.get().result == SearchResult.FOUND


def test_reading_begins_above_the_batch_and_not_with_todays_mails(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes(clock, provider)
    start_sending(make_issue("issue-2", under_way.newsletter))
    address_everybody()
    post_everything(provider)
    search_next((provider,))
    look_up = ProviderSearch.objects.get()
    assert (look_up.result, look_up.mails_read) == (SearchResult.FOUND, 8), "seven, and zoe's"


def test_a_key_that_may_only_send_is_named_and_settles_nothing(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "re_sending")
    assert "does not let RESEND_READ_KEY read" in reconcile()
    held.refresh_from_db()
    assert (held.state, ProviderSearch.objects.get().result) == (BatchState.HELD, SearchResult.UNPROVEN)


def test_without_a_key_to_read_with_the_command_says_what_to_set(
    under_way: Issue, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "")
    with pytest.raises(CommandError, match="set RESEND_READ_KEY"):
        reconcile()
    assert looking_up(get_route()) is None
    assert search_next(get_route()) is False


def test_a_list_that_does_not_answer_is_asked_again_and_loses_nothing(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes(clock, provider)
    for kind in ("rate_limit_exceeded", "html_502", "reset", "service_unavailable", "truncated"):
        sandbox.plan(Fault(kind, on="GET /emails"))
        with pytest.raises(ProviderSearchFailed):
            search_next((provider,))
    search_next((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.FOUND


def test_what_was_tried_minutes_ago_is_not_looked_up_yet(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    assert "still retried under the same idempotency key: 1." in reconcile()
    hold(Batch.objects.get(state=BatchState.UNKNOWN), READER_LEFT)
    assert next_search(doubtful(), by="tests") is None
    assert "too recently to search for: 1." in reconcile()
    Batch.objects.update(last_attempt_at=F("last_attempt_at") - search_module.SETTLING)
    assert next_search(doubtful(), by="tests") is not None


def test_a_mail_with_the_batchs_tags_is_its_own_whatever_the_clocks_say(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes(clock, provider)
    with sandbox.team.database.transaction() as tx:
        tx.execute("UPDATE mails SET created_at = created_at - 3600")
    search_next((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.FOUND


def test_what_a_receipt_settles_meanwhile_makes_the_look_up_moot(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    look_up = begin(held, by="tests")
    # Between the page and the result: the row in memory is older than the database.
    count_as_sent(Batch.objects.get(pk=held.pk), by="Edda")
    reader = looking_up((provider,))
    assert reader is not None
    assert search_module.read_page(look_up, reader).result == SearchResult.MOOT
    assert Batch.objects.get(pk=held.pk).state == BatchState.ACCEPTED
    assert post_everything(provider) == 0


def test_the_bytes_of_a_batch_that_is_settled_meanwhile_are_not_missed(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes(clock, provider)
    # As the worker finds it: without its bytes, which are read when they are needed.
    look_up = next_search(doubtful(), by="tests")
    assert look_up is not None
    count_as_sent(Batch.objects.get(state=BatchState.HELD), by="Edda")
    reader = looking_up((provider,))
    assert reader is not None
    assert search_module.read_page(look_up, reader).result == SearchResult.MOOT


def test_the_command_reads_to_the_end_at_its_pace(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_search, "PAGE_SIZE", 3)
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    reader = looking_up((provider,))
    assert reader is not None
    # A worker has read the first page a moment ago.
    search_module.read_page(begin(held, by="worker"), reader)
    pace = datetime.timedelta(seconds=0.05)
    for module in (search_module, reconcile_command):
        monkeypatch.setattr(module, "PACE", pace)
    said = reconcile()
    assert "6 mails read" in said
    assert "Batches with an unknown outcome: 0." in said


def test_a_look_up_that_nobody_needs_any_more_is_closed(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    begin(held, by="tests")
    count_as_sent(held, by="Edda")
    search_next((provider,))
    assert ProviderSearch.objects.get().result == SearchResult.MOOT


def test_a_cancelled_issue_that_is_proved_absent_is_left_out(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    cancel_issue(under_way, by="Edda")
    a_day_passes(clock, provider)
    search_next((provider,))
    drop_cancelled()
    assert post_everything(provider) == 0
    assert Delivery.objects.filter(status=DeliveryStatus.SKIPPED).count() == 3


def test_nothing_leads_out_of_doubt_to_another_post_but_a_person_or_a_recorded_proof(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    for _ in range(3):
        hold_expired((provider,))
        post_everything(provider)
        held.refresh_from_db()
        assert (held.state, held.epoch) == (BatchState.HELD, 1)
    search_next((provider,))
    held.refresh_from_db()
    assert held.state == BatchState.READY
    proof = held.provider_searches.get()
    assert (proof.result, proof.finished_at is not None) == (SearchResult.ABSENT, True)


def test_what_another_provider_had_posted_is_not_searched_for_in_this_ones_list(
    under_way: Issue, provider: Provider, clock: Clock
) -> None:
    assert claim_batch(SmtpProvider()) is not None
    Batch.objects.filter(state=BatchState.CLAIMED).update(lease_until=None, state=BatchState.UNKNOWN)
    held = a_day_passes(clock, provider)
    search_next((provider,))
    assert "was not posted through this provider" in held.provider_searches.get().sentence
    held.refresh_from_db()
    assert held.state == BatchState.HELD


def test_a_clock_that_was_set_back_between_two_attempts_proves_nobody_absent(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    Batch.objects.filter(pk=held.pk).update(first_attempt_at=F("last_attempt_at") + datetime.timedelta(hours=2))
    assert "It went out: 3 of its 3 mails" in reconcile(under_way.slug)
    assert recipients(sandbox) == READERS


def test_a_clock_that_was_behind_at_the_post_proves_nobody_absent(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    # It was right again for the others, of which reading would begin.
    two_hours = datetime.timedelta(hours=2)
    Batch.objects.filter(pk=held.pk).update(
        first_attempt_at=F("first_attempt_at") - two_hours, last_attempt_at=F("last_attempt_at") - two_hours
    )
    Issue.objects.update(started_at=F("started_at") - DAY - two_hours)
    first = Batch.objects.exclude(pk=held.pk).order_by("pk")[0]
    Batch.objects.filter(pk=first.pk).update(first_attempt_at=F("first_attempt_at") - datetime.timedelta(minutes=30))
    with sandbox.team.database.transaction() as tx:
        # That one's mails are older than those of the batch in doubt.
        tx.execute("UPDATE mails SET created_at = created_at - 1800 WHERE envelope LIKE '%reader-4@%'")
        tx.execute("UPDATE mails SET created_at = created_at - 1800 WHERE envelope LIKE '%reader-5@%'")
        tx.execute("UPDATE mails SET created_at = created_at - 1800 WHERE envelope LIKE '%reader-6@%'")
    assert "It went out: 3 of its 3 mails" in reconcile()
    assert recipients(sandbox) == READERS


def test_a_clock_that_was_ahead_at_the_post_proves_nobody_absent(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_search, "PAGE_SIZE", 2)
    Issue.objects.update(started_at=F("started_at") - DAY)
    clock.ahead -= 7200.0
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    reconcile()
    held.refresh_from_db()
    assert held.state == BatchState.HELD
    assert "clock" in held.reason
    assert post_everything(provider) == 0


def test_the_list_of_another_team_proves_nobody_absent(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    options = SandboxOptions(port=0, api_key="re_full", rate_limit=1000)
    with SandboxServer(options, clock=clock) as strangers:
        other = ResendProvider(url=strangers.url, api_key="re_full", read_key="re_full", webhook_secrets=())
        for hours in (48, 1):
            clock.ahead = -hours * 3600.0
            other.post_message(message("zoe@example.org"), key=new_key())
        clock.ahead = 0.0
        search_next((other,))
    held.refresh_from_db()
    assert (held.state, ProviderSearch.objects.get().result) == (BatchState.HELD, SearchResult.UNPROVEN)
    assert "another team" in held.reason


def test_mails_that_look_alike_and_bear_no_tags_are_for_a_person(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    held = a_day_passes(clock, provider)
    reader = looking_up((provider,))
    assert isinstance(reader, ResendProvider)
    look_up = reader.search

    def look_up_without_tags(body: bytes, *, after: str) -> SearchPage:
        sight = look_up(body, after=after)
        return dataclasses.replace(sight, found={}, unverifiable=len(sight.found))

    monkeypatch.setattr(reader, "search", look_up_without_tags)
    search_next((reader,))
    held.refresh_from_db()
    assert (held.state, ProviderSearch.objects.get().result) == (BatchState.HELD, SearchResult.UNPROVEN)
    assert "without their tags" in held.reason


def test_one_list_that_fails_keeps_no_other_batch_waiting(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock
) -> None:
    sandbox.plan(Fault("reset", after_commit=True), Fault("reset", after_commit=True))
    post_everything(provider)
    a_day_passes_for_all(clock, provider)
    for held in Batch.objects.filter(state=BatchState.HELD):
        begin(held, by="tests")
    first = next_search(doubtful(), by="tests")
    sandbox.plan(Fault("html_502", on="GET /emails"))
    with pytest.raises(ProviderSearchFailed):
        search_next((provider,))
    second = next_search(doubtful(), by="tests")
    assert first is not None
    assert second is not None
    assert first.pk != second.pk


@pytest.mark.parametrize(
    ("fault", "result", "posts"),
    [(Fault("reset"), SearchResult.ABSENT, 1), (Fault("reset", after_commit=True), SearchResult.FOUND, 0)],
    ids=["absent", "there"],
)
def test_a_mail_that_failed_is_not_taken_for_the_one_in_its_place(
    under_way: Issue,
    provider: Provider,
    sandbox: SandboxServer,
    clock: Clock,
    fault: Fault,
    result: SearchResult,
    posts: int,
) -> None:
    """Both bear the same tags, and both stand on one page of the list."""
    post_everything(provider)
    failed = Delivery.objects.order_by("pk")[0]
    Delivery.objects.filter(pk=failed.pk).update(failed_at=timezone.now())
    Event.objects.create(
        provider="resend", event_id="msg_1", kind="email.failed", body="{}", note="quota", delivery_id=failed.pk
    )
    retry_failed(under_way, by="Edda")
    sandbox.plan(fault)
    post_everything(provider)
    a_day_passes(clock, provider)
    search_next((provider,))
    assert ProviderSearch.objects.get().result == result
    assert post_everything(provider) == posts
    assert recipients(sandbox) == sorted([*READERS, READERS[0]])


def test_what_is_still_tried_under_its_key_is_not_posted_under_another_because_a_list_is_behind(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = datetime.timedelta(hours=3)
    clock.ahead = -hours.total_seconds()
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    doubtful_one = Batch.objects.get(state=BatchState.UNKNOWN)
    Batch.objects.update(first_attempt_at=F("first_attempt_at") - hours, last_attempt_at=F("last_attempt_at") - hours)
    clock.ahead = 0.0
    look_up = ResendProvider.search

    def behind(self: ResendProvider, body: bytes, *, after: str) -> SearchPage:
        return dataclasses.replace(look_up(self, body, after=after), found={})

    monkeypatch.setattr(ResendProvider, "search", behind)
    search_next((provider,))
    doubtful_one.refresh_from_db()
    assert doubtful_one.state == BatchState.UNKNOWN
    Batch.objects.update(not_before=timezone.now())
    post_everything(provider)
    assert recipients(sandbox) == READERS
