"""Flow: one row decides for all workers when the next post may leave, and whether any may."""

from __future__ import annotations

import datetime
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from newsletter.models import Availability, ProviderThrottle
from newsletter.providers.base import Extent, Outcome, OutcomeKind, Provider
from newsletter.providers.resend.answers import outcome_of_refusal
from newsletter.providers.resend.provider import ResendProvider
from newsletter.providers.smtp import SmtpProvider
from newsletter.providers.throttle import (
    LONGEST_REST,
    SHARE,
    TELLING_FAILURES,
    backoff,
    clear_suspensions,
    look,
    note_outcome,
    outage_reason,
    take_permit,
    troubles,
)
from tests.outside import outside, wait_until
from tests.publications import let_time_pass

SILENT = Outcome(kind=OutcomeKind.UNKNOWN, reason="No answer.")
TAKEN = Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=10.0)


@pytest.fixture
def provider(db: None) -> Provider:
    return team()


def team(key: str = "re_harbour") -> Provider:
    return ResendProvider(url="http://127.0.0.1:9", api_key=key, webhook_secrets=())


def learn(provider: Provider, *outcomes: Outcome) -> None:
    """Post so often, with these answers, as if each rest were over before the next."""
    for outcome in outcomes:
        let_time_pass(LONGEST_REST + 1)
        permit = take_permit(provider)
        assert permit is not None
        note_outcome(permit, outcome)


def test_a_look_takes_nothing(provider: Provider) -> None:
    assert look(provider).seconds == 0
    assert not ProviderThrottle.objects.exists()


def test_the_pace_stays_a_fifth_below_the_limit_that_the_provider_names(provider: Provider) -> None:
    learn(provider, TAKEN)
    assert 0.0 < look(provider).seconds <= 1 / (10 * SHARE)


def test_a_mail_that_a_person_waits_for_needs_not_wait_for_an_issues_share(provider: Provider) -> None:
    learn(provider, TAKEN)
    ProviderThrottle.objects.update(rate=0.01)
    assert take_permit(provider, share=0.95, patience=1.0) is None
    ProviderThrottle.objects.update(rate=4.0, last_at=timezone.now())
    started = time.monotonic()
    assert take_permit(provider, share=0.95) is not None
    assert time.monotonic() - started < 1 / (4 * SHARE)


def test_who_was_asked_to_wait_waits_as_long_and_so_does_everybody(provider: Provider) -> None:
    learn(provider, Outcome(kind=OutcomeKind.LATER, retry_after=7.0, reason="Too many."))
    seen = look(provider)
    assert (seen.standing, round(seen.seconds), seen.is_struggling) == (Availability.RESTING, 7, False)
    assert take_permit(team()) is None, "another worker of the same team"


def test_a_provider_that_asks_for_a_day_is_asked_again_after_minutes(provider: Provider) -> None:
    learn(provider, Outcome(kind=OutcomeKind.LATER, retry_after=86_400.0))
    assert look(provider).seconds <= LONGEST_REST


def test_another_key_begins_with_a_clean_row(provider: Provider) -> None:
    learn(provider, Outcome(kind=OutcomeKind.HALT, extent=Extent.TEAM, reason="The key is refused."))
    assert (look(provider).standing, look(team("re_new")).standing) == (Availability.HALTED, Availability.OPEN)
    assert "re_harbour" not in provider.account


def test_failures_in_a_row_break_the_flow_and_then_a_single_post_tries(provider: Provider) -> None:
    learn(provider, *[SILENT] * TELLING_FAILURES)
    assert look(provider).standing is Availability.BROKEN
    let_time_pass(LONGEST_REST)
    assert take_permit(provider) is not None
    assert take_permit(provider) is None, "one worker has the single post"
    assert look(provider).standing is Availability.BROKEN


def test_the_single_post_that_succeeds_closes_it_for_all_and_one_that_fails_does_not(provider: Provider) -> None:
    learn(provider, *[SILENT] * (TELLING_FAILURES + 1))
    assert look(provider).standing is Availability.BROKEN
    learn(provider, TAKEN)
    assert (look(provider).standing, look(provider).is_struggling) == (Availability.OPEN, False)


def test_a_worker_that_died_with_the_single_post_keeps_nobody_waiting_for_ever(provider: Provider) -> None:
    learn(provider, *[SILENT] * TELLING_FAILURES)
    let_time_pass(LONGEST_REST)
    assert take_permit(provider) is not None
    let_time_pass(91)
    assert take_permit(provider) is not None


def test_half_of_the_posts_of_a_minute_break_it_even_if_none_fail_in_a_row(provider: Provider) -> None:
    for number in range(12):
        ProviderThrottle.objects.update(last_at=None, rests_until=None)
        permit = take_permit(provider)
        if permit is None:
            break
        note_outcome(permit, SILENT if number % 2 else TAKEN)
    assert look(provider).standing is Availability.BROKEN


def test_backoff_is_spread_doubles_and_has_an_end() -> None:
    for failures, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (12, LONGEST_REST), (99, LONGEST_REST)):
        drawn = [backoff(failures, is_broken=False) for _ in range(400)]
        assert 0 <= min(drawn) < longest / 8, "full jitter"
        assert longest * 7 / 8 < max(drawn) <= longest
    assert min(backoff(5, is_broken=True) for _ in range(400)) >= 16


def test_ten_minutes_of_outage_cost_fewer_than_twenty_posts(provider: Provider) -> None:
    posts = 0
    for _second in range(600):
        let_time_pass(1.0)
        if look(provider).seconds <= 0 and (permit := take_permit(provider)):
            note_outcome(permit, SILENT)
            posts += 1
    assert TELLING_FAILURES < posts < 20


@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("rate_limit_exceeded", Availability.RESTING),
        ("daily_quota_exceeded", Availability.SPENT),
        ("monthly_quota_exceeded", Availability.HALTED),
    ],
)
def test_the_three_429s_are_told_apart(provider: Provider, name: str, standing: Availability) -> None:
    learn(provider, outcome_of_refusal(429, name, "Too much.", {"retry-after": "2"}))
    assert look(provider).standing is standing
    let_time_pass(86_400 + 60)
    assert (look(provider).standing is Availability.HALTED) is (standing is Availability.HALTED)


@pytest.mark.parametrize(
    ("status", "name", "message", "extent"),
    [
        (401, "missing_api_key", "", Extent.TEAM),
        (400, "validation_error", "API key is invalid", Extent.TEAM),
        (403, "suspended_api_key", "", Extent.TEAM),
        (403, "a_name_of_tomorrow", "", Extent.TEAM),
        (403, "validation_error", "The mail.example.org domain is not verified.", Extent.ISSUE),
        (422, "invalid_from_address", "", Extent.ISSUE),
    ],
)
def test_a_refusal_of_the_key_stops_the_team_and_one_of_the_sender_its_issue(
    status: int, name: str, message: str, extent: Extent
) -> None:
    outcome = outcome_of_refusal(status, name, message, {})
    assert (outcome.kind, outcome.extent) == (OutcomeKind.HALT, extent)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("7", 7, 7),
        ("1000000000", 86_400, 86_400),
        ("-5", 1, 1),
        ("NaN", 1, 1),
        ("soon", 1, 1),
        ("Mon, 01 Feb 2027 00:00:00 +99999999999", 1, 1),
        (None, 1, 1),
    ],
)
def test_absurd_times_to_wait_are_clamped(said: str | None, least: float, most: float) -> None:
    headers = {} if said is None else {"Retry-After": said}
    wait = outcome_of_refusal(429, "rate_limit_exceeded", "", headers).retry_after
    assert wait is not None
    assert least <= wait <= most


def test_a_date_to_wait_for_is_understood() -> None:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    headers = {"retry-after": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    wait = outcome_of_refusal(429, "rate_limit_exceeded", "", headers).retry_after
    assert wait is not None
    assert 80 < wait <= 90


def test_a_person_lifts_a_halt_and_a_route_stands_still_only_if_nobody_takes_mail(provider: Provider) -> None:
    learn(provider, Outcome(kind=OutcomeKind.HALT, extent=Extent.TEAM, reason="The key is refused."))
    assert outage_reason((provider,)) == "The key is refused."
    assert outage_reason((provider, SmtpProvider())) == ""
    (trouble,) = troubles((provider,))
    assert (trouble.provider, trouble.standing, trouble.until) == ("resend", Availability.HALTED, None)
    clear_suspensions(by="Edda")
    assert (outage_reason((provider,)), troubles((provider,))) == ("", [])


def test_who_was_asked_to_wait_for_a_second_does_not_shorten_the_minutes_that_another_was(provider: Provider) -> None:
    learn(provider, TAKEN)
    ProviderThrottle.objects.update(last_at=None)
    first, second = take_permit(provider), take_permit(provider)
    assert first is not None
    assert second is not None
    note_outcome(first, Outcome(kind=OutcomeKind.LATER, retry_after=120.0, reason="Too many."))
    note_outcome(second, Outcome(kind=OutcomeKind.LATER, retry_after=1.0, reason="Too many."))
    assert look(provider).seconds > 100


@pytest.mark.parametrize("name", ["last_at", "rests_until", "probing_until"])
def test_a_database_clock_that_was_set_back_stops_nobody(provider: Provider, name: str) -> None:
    learn(provider, *[SILENT] * (TELLING_FAILURES if name == "probing_until" else 0), TAKEN)
    ProviderThrottle.objects.update(last_at=None, rests_until=None, probing_until=None)
    if name == "probing_until":
        ProviderThrottle.objects.update(circuit_opened_at=timezone.now() + datetime.timedelta(hours=1))
    ProviderThrottle.objects.update(**{name: timezone.now() + datetime.timedelta(hours=1)})
    assert look(provider).seconds == 0
    assert take_permit(provider) is not None


def test_a_limit_that_nobody_can_mean_does_not_stop_a_send_for_hours(provider: Provider) -> None:
    learn(provider, Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=0.0001))
    assert 0 < look(provider).seconds < 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_four_workers_take_each_slot_once() -> None:
    provider = team()
    learn(provider, Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=50.0))

    def take(_number: int) -> datetime.datetime | None:
        try:
            return timezone.now() if take_permit(provider) else None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        moments = sorted(moment for moment in workers.map(take, range(20)) if moment)
    assert len(moments) >= 10
    assert (moments[-1] - moments[0]).total_seconds() >= (len(moments) - 2) / (50 * SHARE)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("limit", "workers"),
    [(5, 2), pytest.param(2, 2, marks=pytest.mark.faults), pytest.param(10, 4, marks=pytest.mark.faults)],
)
def test_workers_share_a_strict_limit_without_a_refusal(tmp_path: Path, limit: int, workers: int) -> None:
    readers = 100 * limit * 2
    with outside(tmp_path) as installation:
        installation.environment["UNDO_SECONDS"] = "0"
        installation.run("-m", "tests.outside", "seed", str(readers))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", str(limit))
        for number in range(workers):
            installation.processes.start_worker(f"worker {number}")
        # A call is in the ledger once it is answered, which is after its messages are.
        wait_until(lambda: installation.report()["status"] == "sent", "everybody has it")
        ledger = installation.sandbox("/sandbox/ledger")
    assert (ledger["messages"], ledger["recipients"]) == (readers, readers)
    assert ledger["calls_by_status"] == {"200": readers // 100}, "no post was refused"
