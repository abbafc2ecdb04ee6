"""Flow control: one row decides for all workers when the next post may be made, and whether any may."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import DateTimeField, Value
from django.utils import timezone

from newsletter.models import Availability, ProviderThrottle
from newsletter.providers import throttle
from newsletter.providers.base import (
    BlockScope,
    MessageResult,
    Outcome,
    OutcomeKind,
    Provider,
    ResultKind,
    combine_results,
)
from newsletter.providers.resend import ResendProvider
from newsletter.providers.resend.responses import outcome_of_error
from newsletter.providers.smtp import SmtpProvider
from newsletter.providers.throttle import (
    FAILURE_THRESHOLD,
    ISSUE_SHARE,
    MAX_BACKOFF,
    _reserve,
    _rows,
    acquire_permit,
    backoff_seconds,
    clear_suspensions,
    find_outage,
    throttle_status,
    unavailable_providers,
    update_throttle,
)
from tests.installation import separate_installation, wait_until
from tests.publications import pass_time

NO_ANSWER = Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer")
ACCEPTED = Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=10.0)
INVALID_KEY = Outcome(kind=OutcomeKind.BLOCKED, scope=BlockScope.ACCOUNT, code="invalid_api_key", detail="Unknown key")


def rate_limited(seconds: float) -> Outcome:
    return Outcome(kind=OutcomeKind.RETRY_LATER, retry_after=seconds, code="rate_limit_exceeded")


@pytest.fixture
def provider(db: None) -> Provider:
    return account()


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> datetime.datetime:
    """The database's time as throttles read it stands still, so that no result depends on how busy the machine is."""
    now = timezone.now()
    monkeypatch.setattr("newsletter.providers.throttle.Now", lambda: Value(now, output_field=DateTimeField()))
    read = throttle._read

    def read_at(provider: Provider) -> tuple[ProviderThrottle, datetime.datetime] | None:
        found = read(provider)
        return found and (found[0], now)

    monkeypatch.setattr(throttle, "_read", read_at)
    return now


def account(key: str = "re_harbour") -> Provider:
    return ResendProvider(url="http://127.0.0.1:9", api_key=key, webhook_secrets=())


def availability(provider: Provider) -> Availability:
    return throttle_status(provider).availability


def learn(provider: Provider, *outcomes: Outcome) -> None:
    """Make a call with each of these outcomes, as if each backoff were over before the next call."""
    for outcome in outcomes:
        pass_time(MAX_BACKOFF + 1)
        permit = acquire_permit(provider)
        assert permit is not None
        update_throttle(permit, outcome)


def test_reading_the_status_takes_no_permit(provider: Provider) -> None:
    assert throttle_status(provider).wait == 0
    assert not ProviderThrottle.objects.exists()


def test_issues_use_four_fifths_of_the_rate_limit_that_the_provider_names(
    provider: Provider, stopped_clock: datetime.datetime
) -> None:
    learn(provider, ACCEPTED)
    assert 0.0 < throttle_status(provider).wait <= 1 / (10 * ISSUE_SHARE)


def test_transactional_mail_may_use_more_of_the_rate_limit_than_issues(
    provider: Provider, stopped_clock: datetime.datetime
) -> None:
    learn(provider, ACCEPTED)
    ProviderThrottle.objects.update(rate=0.01)
    assert acquire_permit(provider, share=0.95, max_wait=1.0) is None
    ProviderThrottle.objects.update(rate=4.0, last_permit_at=stopped_clock)
    permit = acquire_permit(provider, share=0.95)
    assert permit is not None
    assert permit.waited == pytest.approx(1 / (4 * 0.95), abs=1e-5)
    assert permit.waited < 1 / (4 * ISSUE_SHARE)


def test_a_permit_is_not_given_twice_to_workers_that_read_the_same_row(
    provider: Provider, stopped_clock: datetime.datetime
) -> None:
    learn(provider, ACCEPTED)
    (first,), (second,) = list(_rows()), list(_rows())
    at = stopped_clock + datetime.timedelta(seconds=1)
    assert _reserve(first, at, stopped_clock)
    assert not _reserve(second, at, stopped_clock)


def test_a_request_to_wait_applies_to_all_workers_of_the_account(
    provider: Provider, stopped_clock: datetime.datetime
) -> None:
    learn(provider, rate_limited(7.0))
    status = throttle_status(provider)
    assert (status.availability, status.wait, status.last_call_failed) == (Availability.BACKING_OFF, 7.0, False)
    assert acquire_permit(account()) is None, "another worker of the same account"


def test_a_provider_that_asks_to_wait_for_a_day_is_tried_again_within_minutes(provider: Provider) -> None:
    learn(provider, rate_limited(86_400.0))
    assert throttle_status(provider).wait <= MAX_BACKOFF


def test_another_key_starts_with_a_new_row(provider: Provider) -> None:
    learn(provider, INVALID_KEY)
    assert availability(provider) is Availability.SUSPENDED
    assert availability(account("re_new")) is Availability.AVAILABLE
    assert "re_harbour" not in provider.account


def test_consecutive_failures_open_the_circuit_and_then_one_worker_makes_a_trial_call(provider: Provider) -> None:
    learn(provider, *[NO_ANSWER] * FAILURE_THRESHOLD)
    assert availability(provider) is Availability.CIRCUIT_OPEN
    pass_time(MAX_BACKOFF)
    assert throttle_status(provider).reported_availability is Availability.CIRCUIT_OPEN, "half-open"
    assert acquire_permit(provider) is not None
    assert acquire_permit(provider) is None, "one worker makes the trial call"
    assert availability(provider) is Availability.CIRCUIT_OPEN


def test_a_successful_trial_call_closes_the_circuit_and_a_failed_one_does_not(provider: Provider) -> None:
    learn(provider, *[NO_ANSWER] * (FAILURE_THRESHOLD + 1))
    assert availability(provider) is Availability.CIRCUIT_OPEN
    learn(provider, ACCEPTED)
    status = throttle_status(provider)
    assert (status.availability, status.last_call_failed) == (Availability.AVAILABLE, False)


def test_another_worker_may_try_after_a_worker_died_during_the_trial_call(provider: Provider) -> None:
    learn(provider, *[NO_ANSWER] * FAILURE_THRESHOLD)
    pass_time(MAX_BACKOFF)
    assert acquire_permit(provider) is not None
    pass_time(91)
    assert acquire_permit(provider) is not None


def test_failures_of_half_of_a_minutes_calls_open_the_circuit_even_if_none_are_consecutive(provider: Provider) -> None:
    for number in range(12):
        ProviderThrottle.objects.update(last_permit_at=None, backoff_until=None)
        permit = acquire_permit(provider)
        if permit is None:
            break
        update_throttle(permit, NO_ANSWER if number % 2 else ACCEPTED)
    assert availability(provider) is Availability.CIRCUIT_OPEN


def test_a_mail_without_an_answer_is_a_failure_although_the_others_of_the_post_were_not_attempted(
    provider: Provider,
) -> None:
    no_reply = MessageResult(kind=ResultKind.UNKNOWN, code="no_reply_to_message")
    rest = [MessageResult(kind=ResultKind.NOT_ATTEMPTED, code="no_reply_to_message")] * 9
    accepted = MessageResult(kind=ResultKind.ACCEPTED, id="1")
    for results in ([no_reply, *rest], [accepted, no_reply, *rest]):
        ProviderThrottle.objects.all().delete()
        learn(provider, *[combine_results(results)] * FAILURE_THRESHOLD)
        assert availability(provider) is Availability.CIRCUIT_OPEN
    learn(provider, combine_results([accepted, MessageResult(kind=ResultKind.REFUSED, code="mailbox_unavailable")]))
    assert availability(provider) is Availability.AVAILABLE


def test_backoff_doubles_with_full_jitter_up_to_a_limit() -> None:
    for failures, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (12, MAX_BACKOFF), (99, MAX_BACKOFF)):
        drawn = [backoff_seconds(failures, circuit_open=False) for _ in range(400)]
        assert 0 <= min(drawn) < longest / 8, "full jitter"
        assert longest * 7 / 8 < max(drawn) <= longest
    assert min(backoff_seconds(5, circuit_open=True) for _ in range(400)) >= 16


def test_ten_minutes_of_outage_cost_fewer_than_twenty_posts(provider: Provider) -> None:
    posts = 0
    for _second in range(600):
        pass_time(1.0)
        if throttle_status(provider).wait <= 0 and (permit := acquire_permit(provider)):
            update_throttle(permit, NO_ANSWER)
            posts += 1
    assert FAILURE_THRESHOLD < posts < 20


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rate_limit_exceeded", Availability.BACKING_OFF),
        ("daily_quota_exceeded", Availability.QUOTA_EXCEEDED),
        ("monthly_quota_exceeded", Availability.SUSPENDED),
    ],
)
def test_the_three_errors_with_status_429_are_distinguished(
    provider: Provider, name: str, expected: Availability
) -> None:
    learn(provider, outcome_of_error(429, name, "Too much.", {"retry-after": "2"}))
    status = throttle_status(provider)
    assert (status.availability, status.code, status.detail) == (expected, name, "Too much.")
    pass_time(86_400 + 60)
    is_suspended = availability(provider) is Availability.SUSPENDED
    assert is_suspended is (expected is Availability.SUSPENDED)


@pytest.mark.parametrize(
    ("status", "name", "message", "scope", "code"),
    [
        (401, "missing_api_key", "", BlockScope.ACCOUNT, "missing_api_key"),
        (400, "validation_error", "API key is invalid", BlockScope.ACCOUNT, "invalid_api_key"),
        (403, "suspended_api_key", "", BlockScope.ACCOUNT, "suspended_api_key"),
        (403, "an_unknown_name", "", BlockScope.ACCOUNT, "an_unknown_name"),
        (403, "No Slug", "", BlockScope.ACCOUNT, "http_403"),
        (
            403,
            "validation_error",
            "The mail.example.org domain is not verified.",
            BlockScope.ISSUE,
            "validation_error",
        ),
        (422, "invalid_from_address", "", BlockScope.ISSUE, "invalid_from_address"),
    ],
)
def test_an_error_about_the_key_blocks_the_account_and_one_about_the_sender_blocks_the_issue(
    status: int, name: str, message: str, scope: BlockScope, code: str
) -> None:
    outcome = outcome_of_error(status, name, message, {})
    assert (outcome.kind, outcome.scope, outcome.code) == (OutcomeKind.BLOCKED, scope, code)


@pytest.mark.parametrize(
    ("value", "least", "most"),
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
def test_an_invalid_retry_after_is_replaced_by_one_second(value: str | None, least: float, most: float) -> None:
    headers = {} if value is None else {"Retry-After": value}
    wait = outcome_of_error(429, "rate_limit_exceeded", "", headers).retry_after
    assert wait is not None
    assert least <= wait <= most


def test_retry_after_may_be_a_date() -> None:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    headers = {"retry-after": at.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    wait = outcome_of_error(429, "rate_limit_exceeded", "", headers).retry_after
    assert wait is not None
    assert 80 < wait <= 90


def test_an_outage_needs_every_provider_to_be_stopped_and_an_operator_clears_it(provider: Provider) -> None:
    learn(provider, INVALID_KEY)
    outage = find_outage((provider,))
    assert outage is not None
    assert outage.reason == "The provider does not accept the API key. Details: Unknown key"
    assert find_outage((provider, SmtpProvider())) is None
    (status,) = unavailable_providers((provider,))
    assert (status.provider, status.availability, status.until) == ("resend", Availability.SUSPENDED, None)
    clear_suspensions(by="Edda")
    assert (find_outage((provider,)), unavailable_providers((provider,))) == (None, [])


def test_a_short_request_to_wait_does_not_shorten_a_longer_one(provider: Provider) -> None:
    learn(provider, ACCEPTED)
    ProviderThrottle.objects.update(last_permit_at=None)
    first, second = acquire_permit(provider), acquire_permit(provider)
    assert first is not None
    assert second is not None
    update_throttle(first, rate_limited(120.0))
    update_throttle(second, rate_limited(1.0))
    assert throttle_status(provider).wait > 100


@pytest.mark.parametrize("name", ["last_permit_at", "backoff_until", "half_open_until"])
def test_setting_the_databases_clock_back_stops_no_send(provider: Provider, name: str) -> None:
    learn(provider, *[NO_ANSWER] * (FAILURE_THRESHOLD if name == "half_open_until" else 0), ACCEPTED)
    ProviderThrottle.objects.update(last_permit_at=None, backoff_until=None, half_open_until=None)
    if name == "half_open_until":
        ProviderThrottle.objects.update(circuit_opened_at=timezone.now() + datetime.timedelta(hours=1))
    ProviderThrottle.objects.update(**{name: timezone.now() + datetime.timedelta(hours=1)})
    assert throttle_status(provider).wait == 0
    assert acquire_permit(provider) is not None


def test_an_absurdly_low_rate_limit_does_not_stop_a_send_for_hours(provider: Provider) -> None:
    learn(provider, Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=0.0001))
    assert 0 < throttle_status(provider).wait < 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_four_workers_take_each_permit_once() -> None:
    provider = account()
    learn(provider, Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=50.0))

    def acquire(_number: int) -> datetime.datetime | None:
        try:
            return timezone.now() if acquire_permit(provider) else None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        times = sorted(at for at in workers.map(acquire, range(20)) if at)
    assert len(times) >= 10
    assert (times[-1] - times[0]).total_seconds() >= (len(times) - 2) / (50 * ISSUE_SHARE)


@pytest.mark.processes
def test_workers_share_a_strict_rate_limit_without_a_429(tmp_path: Path) -> None:
    limit, workers = 5, 2
    recipients = 100 * limit * 2
    with separate_installation(tmp_path) as installation:
        installation.environment["UNDO_SECONDS"] = "0"
        installation.run("-m", "tests.installation", "seed", str(recipients))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", str(limit))
        for number in range(workers):
            installation.processes.start_worker(f"worker {number}")
        # A call is in the ledger when it is answered, which is after its messages are.
        wait_until(lambda: installation.report()["state"] == "sent", "the issue is sent")
        ledger = installation.sandbox("/sandbox/ledger")
    assert (ledger["messages"], ledger["recipients"]) == (recipients, recipients)
    calls = ledger["calls_by_status"]
    # A process that the machine holds up between its permit and its post comes late, into the window of the next ones.
    assert calls.pop("429", 0) <= 1, "no post was refused for the workers' own pace"
    assert calls == {"200": recipients // 100}
