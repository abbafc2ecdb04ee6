"""Gaps in the inbox are filled from the provider's log: once, in any order, and whatever interrupts it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.events import event_log
from newsletter.events.apply import apply_events
from newsletter.events.endpoint import OVERLAP, check_endpoint, needed_kinds
from newsletter.events.event_log import (
    MIN_REQUESTS,
    next_run_in,
    read_event_logs,
    read_next,
    request_reading,
    request_readings_after_start,
)
from newsletter.models import Event, EventLogReading, EventState, ProviderThrottle, Reason, Restore, RestoreSource
from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.providers.event_log import EventLogUnreadable
from newsletter.sandbox import Fault, SandboxServer
from tests import people
from tests.newsletter.events.logs import HOUR, WrittenLog, endpoint, let_reading_be_due, let_wait_pass
from tests.newsletter.providers.contract import message, new_key
from tests.sandbox.peers import wait_until
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def log() -> WrittenLog:
    return WrittenLog()


def reading() -> EventLogReading:
    return EventLogReading.objects.get()


def stored() -> set[str]:
    return set(Event.objects.values_list("event_id", flat=True))


def read(log: Any, *, runs: int = 300) -> None:
    """Run the step until it has nothing to do."""
    for _ in range(runs):
        let_wait_pass()
        if read_next(log) is None:
            return
    raise AssertionError("the reading does not end")


def arrive(*ids: str) -> None:
    for event_id in ids:
        Event.objects.create(provider="resend", event_id=event_id, kind="email.delivered", body="{}")


def test_events_that_did_not_arrive_are_stored_and_those_that_did_are_not_read(log: WrittenLog) -> None:
    log.write("a", "b", "c", "d", "e")
    arrive("b", "d")
    read(log)
    assert stored() == {"a", "b", "c", "d", "e"}
    assert {call for call in log.calls if len(call) == 1} == {"a", "c", "e"}
    assert (reading().events_read, reading().events_stored, reading().found) == (5, 3, 3)
    assert Event.objects.get(event_id="a").state == EventState.NEW


def test_a_reading_that_is_repeated_stores_nothing(log: WrittenLog) -> None:
    log.write("a", "b")
    read(log)
    before = list(Event.objects.values())
    let_reading_be_due()
    read(log)
    assert list(Event.objects.values()) == before
    assert reading().events_stored == 0


def test_a_reading_goes_back_to_where_the_last_one_began_and_no_further(log: WrittenLog) -> None:
    log.write(*"abcdef", ago=9 * HOUR)
    log.write(*"ghi", ago=5 * HOUR)
    read(log)
    log.calls.clear()
    log.write("j")
    let_reading_be_due()
    read(log)
    assert [call for call in log.calls if call.startswith("page")] == ["page", "page h", "page e"]
    assert stored() == set("abcdefghij")
    assert reading().covered_until == log.entries[0].created_at


def test_an_event_that_is_logged_late_is_found_within_the_overlap(log: WrittenLog) -> None:
    log.write("a", "c")
    read(log)
    log.write("b")
    log.entries.sort(key=lambda entry: entry.id, reverse=True)
    let_reading_be_due()
    read(log)
    assert stored() == {"a", "b", "c"}


def test_events_whose_webhooks_may_be_on_the_way_wait_for_the_next_reading(log: WrittenLog) -> None:
    log.write("a")
    log.write("b", ago=datetime.timedelta(seconds=30))
    read(log)
    assert stored() == {"a"}
    assert reading().covered_until == log.entries[1].created_at


@pytest.mark.parametrize("case", ["operator", "disabled"])
def test_they_do_not_wait_if_an_operator_asks_or_if_none_can_be_on_the_way(log: WrittenLog, case: str) -> None:
    log.write("a", ago=datetime.timedelta(seconds=1))
    if case == "operator":
        request_reading("resend", since=None, by="tests")
    else:
        log.endpoints = [endpoint(is_enabled=False)]
    read(log)
    assert stored() == {"a"}


def test_kinds_that_say_nothing_about_a_mail_are_not_read(log: WrittenLog) -> None:
    log.write("a", kind="contact.created")
    log.write("b")
    read(log)
    assert stored() == {"b"}


def test_an_event_without_a_payload_is_counted_and_does_not_keep_back_the_others(log: WrittenLog) -> None:
    log.write(*"abcdefg")
    log.gone = {"a", "b", "e", "f", "g"}
    read(log)
    assert stored() == {"c", "d"}
    assert reading().events_gone == 5
    assert len(log.calls) == len([call for call in log.calls if len(call) != 1]) + 7


def test_new_events_do_not_shift_the_pages_of_a_reading(log: WrittenLog) -> None:
    log.write(*"abcdef")
    let_wait_pass()
    for number in range(40):
        read_next(log)  # type: ignore[arg-type]
        let_wait_pass()
        if number < 5:
            log.write(f"new-{number}")
    assert stored() >= set("abcdef")
    let_reading_be_due()
    read(log)
    assert stored() == {*"abcdef", *(f"new-{number}" for number in range(5))}


def test_an_event_that_the_log_repeats_is_stored_once(log: WrittenLog) -> None:
    log.write("a", "b", "c", "d")
    log.entries = [entry for entry in log.entries for _ in range(2)]
    log.page_size = 8
    read(log)
    assert stored() == {"a", "b", "c", "d"}
    assert len([call for call in log.calls if len(call) == 1]) == 4


def test_a_lost_cursor_begins_again_and_loses_nothing(log: WrittenLog) -> None:
    log.write(*"abcdefg")
    read_next(log)  # type: ignore[arg-type]
    while not reading().cursor:
        let_wait_pass()
        read_next(log)  # type: ignore[arg-type]
    log.entries = [entry for entry in log.entries if entry.id != reading().cursor]
    let_wait_pass()
    with pytest.raises(EventLogUnreadable, match="no longer knows"):
        read_next(log)  # type: ignore[arg-type]
    read(log)
    assert stored() == set("abcdefg")
    assert (reading().code, reading().failed_at) == ("", None)


class AnyGap(TestCase):
    """Whatever has arrived, whatever the pages are, and wherever the reading is killed: each event is stored once."""

    @hypothesis_settings(max_examples=40)
    @given(
        events=st.integers(0, 12),
        arrived=st.sets(st.integers(0, 11)),
        page_size=st.integers(1, 5),
        point=st.sampled_from([point for point in Point if point.value.startswith("log-")]),
        hit=st.integers(1, 4),
    )
    def test_all_events_are_stored_once(
        self, events: int, arrived: set[int], page_size: int, point: Point, hit: int
    ) -> None:
        log = WrittenLog(page_size=page_size)
        log.write(*(f"e{number}" for number in range(events)))
        arrive(*(f"e{number}" for number in arrived if number < events))
        failpoints.arm(Failpoint(point=point, hit=hit, action=Action.RAISE))
        try:
            read(log)
        except Crash:
            read(log)
        finally:
            failpoints.arm(None)
        assert stored() == {f"e{number}" for number in range(events)}
        assert Event.objects.count() == events
        assert reading().started_at is None


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (EventLogUnreadable("event_log_unavailable", permanent=False, retry_after=7.0), 7),
        (EventLogUnreadable("event_log_unavailable", permanent=False, retry_after=1e9), 3600),
        (EventLogUnreadable("event_log_unavailable", permanent=False, retry_after=0.0), 1),
        (EventLogUnreadable("event_log_unreadable", permanent=False), 60),
        (EventLogUnreadable("event_log_refused", permanent=True), 3600),
    ],
)
def test_after_a_failure_the_provider_is_not_asked_for_a_while(
    log: WrittenLog, failure: EventLogUnreadable, seconds: float
) -> None:
    log.write("a")
    log.failures = [failure]
    with pytest.raises(EventLogUnreadable):
        read_next(log)  # type: ignore[arg-type]
    row = reading()
    assert row.code == failure.code
    assert row.failed_at is not None
    assert row.not_before is not None
    assert round((row.not_before - row.failed_at).total_seconds()) == seconds
    calls = len(log.calls)
    assert read_event_logs([log]) is False  # type: ignore[list-item]
    assert len(log.calls) == calls
    read(log)
    assert (stored(), reading().code) == ({"a"}, "")


def test_what_was_read_before_a_failure_is_kept(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MIN_REQUESTS", 10)
    log.write(*"abc")
    log.failures = [None, None, None, None, EventLogUnreadable("event_log_unavailable", permanent=False)]
    with pytest.raises(EventLogUnreadable):
        read_next(log)  # type: ignore[arg-type]
    assert stored() == {"a", "b"}
    read(log)
    assert stored() == set("abc")


def test_a_page_is_read_at_most_once_a_second(log: WrittenLog) -> None:
    log.write(*"abcdef")
    assert read_next(log) is not None  # type: ignore[arg-type]
    assert read_next(log) is None  # type: ignore[arg-type]
    wait = next_run_in("resend")
    assert wait is not None
    assert 0 < wait <= event_log.PACE_SECONDS


def test_a_run_takes_what_posting_leaves_of_the_rate_limit(log: WrittenLog) -> None:
    log.write(*(f"e{number}" for number in range(30)))
    log.page_size = 30
    throttle = ProviderThrottle.objects.create(provider="resend", account="tests", rate=10.0)

    def requests_of_a_run() -> int:
        let_wait_pass()
        before = len(log.calls)
        read_next(log)  # type: ignore[arg-type]
        return len(log.calls) - before

    # The first run also asks for the endpoint.
    assert requests_of_a_run() == 8 + 1
    assert requests_of_a_run() == 8
    ProviderThrottle.objects.filter(pk=throttle.pk).update(last_permit_at=timezone.now())
    assert requests_of_a_run() == MIN_REQUESTS


def test_while_a_worker_reads_no_other_one_does(log: WrittenLog) -> None:
    log.write("a")
    read_next(log)  # type: ignore[arg-type]
    EventLogReading.objects.update(claimed_until=timezone.now() + datetime.timedelta(minutes=1), not_before=None)
    assert read_next(log) is None  # type: ignore[arg-type]
    # Of a worker that was killed.
    EventLogReading.objects.update(claimed_until=timezone.now() - datetime.timedelta(seconds=1))
    let_reading_be_due()
    assert read_next(log) is not None  # type: ignore[arg-type]


def test_a_wait_by_a_clock_that_was_far_ahead_does_not_stop_reading(log: WrittenLog) -> None:
    log.write("a")
    read(log)
    let_reading_be_due()
    EventLogReading.objects.update(not_before=timezone.now() + 100 * HOUR, claimed_until=timezone.now() + 100 * HOUR)
    assert read_next(log) is not None  # type: ignore[arg-type]


# --- When it is read -------------------------------------------------------------------------------------------------


def test_the_newest_pages_are_read_once_an_hour(log: WrittenLog) -> None:
    read(log)
    for age, is_due in ((50, False), (61, True)):
        log.calls.clear()
        at = timezone.now() - datetime.timedelta(minutes=age)
        EventLogReading.objects.update(finished_at=at, checked_at=timezone.now(), not_before=None)
        assert (read_next(log) is not None) == is_due  # type: ignore[arg-type]
        assert ("page" in log.calls) == is_due


def test_the_log_is_read_after_a_restore(log: WrittenLog) -> None:
    log.write("a")
    read(log)
    Event.objects.all().delete()
    EventLogReading.objects.update(covered_until=timezone.now() - 3 * HOUR)
    now = timezone.now() + datetime.timedelta(seconds=1)
    Restore.objects.create(backup_at=now - 2 * HOUR, restored_at=now, source=RestoreSource.COMMAND, by="tests")
    read_next(log)  # type: ignore[arg-type]
    assert stored() == {"a"}


def test_the_log_is_read_when_a_worker_starts_unless_it_was_read_within_minutes(log: WrittenLog) -> None:
    request_readings_after_start()
    read(log)
    request_readings_after_start()
    assert reading().requested_since is None
    EventLogReading.objects.update(finished_at=timezone.now() - datetime.timedelta(minutes=6))
    request_readings_after_start()
    log.calls.clear()
    read(log)
    assert "page" in log.calls


def test_a_disabled_endpoint_is_found_within_minutes_and_its_log_read_at_once(log: WrittenLog) -> None:
    read(log)
    log.endpoints = [endpoint(is_enabled=False)]
    log.write("a")
    EventLogReading.objects.update(checked_at=timezone.now() - datetime.timedelta(minutes=11))
    let_wait_pass()
    read_next(log)  # type: ignore[arg-type]
    assert stored() == {"a"}
    assert not reading().is_enabled
    # As long as it is disabled, nothing else tells what happens.
    log.write("b", ago=datetime.timedelta(0))
    for field in ("finished_at", "checked_at"):
        EventLogReading.objects.update(**{field: timezone.now() - datetime.timedelta(minutes=11)})
    read(log)
    assert stored() == {"a", "b"}


def test_a_reading_that_leaves_something_out_does_not_pass_for_complete(log: WrittenLog) -> None:
    log.write("old", ago=8 * HOUR)
    log.write("new", ago=2 * HOUR)
    request_reading("resend", since=timezone.now() - 3 * HOUR, by="tests")
    read(log)
    assert (stored(), reading().covered_until) == ({"new"}, None)
    let_reading_be_due()
    read(log)
    assert stored() == {"old", "new"}


def test_a_request_during_a_reading_begins_it_again_and_reads_as_far_back(log: WrittenLog) -> None:
    log.write(*"abcdef", ago=8 * HOUR)
    read_next(log)  # type: ignore[arg-type]
    request_reading("resend", since=timezone.now() - HOUR, by="tests")
    read(log)
    assert stored() == set("abcdef")


def test_the_log_of_another_endpoint_is_never_read(log: WrittenLog) -> None:
    log.write("a")
    for url in ("https://other.example/webhooks/resend/", "https://other.example:x/", endpoint().url + "more/"):
        log.endpoints = [endpoint(url=url)]
        read(log)
        assert (stored(), reading().code, reading().endpoint_url) == (set(), "endpoint_missing", url)
        let_reading_be_due()
    log.endpoints = [endpoint(url="https://other.example/", id="w0"), endpoint()]
    read(log)
    assert (stored(), reading().code) == ({"a"}, "")


def test_without_an_endpoint_the_provider_is_asked_every_ten_minutes_only(log: WrittenLog) -> None:
    log.endpoints = [endpoint(url="https://other.example/")]
    read(log)
    let_wait_pass()
    assert read_next(log) is None  # type: ignore[arg-type]
    EventLogReading.objects.update(checked_at=timezone.now() - datetime.timedelta(minutes=11))
    assert read_next(log) is not None  # type: ignore[arg-type]


def test_a_new_endpoint_has_a_log_of_its_own(log: WrittenLog) -> None:
    log.write("a", ago=20 * HOUR)
    read(log)
    Event.objects.all().delete()
    log.endpoints = [endpoint(id="w2")]
    let_reading_be_due()
    read(log)
    assert stored() == {"a"}


@pytest.mark.parametrize("url", ["{}", "{no_slash}", "{plain}", "{upper}"])
def test_the_endpoint_is_known_by_host_and_path(log: WrittenLog, settings: Any, url: str) -> None:
    settings.SITE_URL = "https://notes.example"
    exact = "https://notes.example/webhooks/resend/"
    spelled = url.format(
        exact, no_slash=exact[:-1], plain="http://notes.example/webhooks/resend/", upper=exact.replace("notes", "NOTES")
    )
    log.endpoints = [endpoint(url=spelled)]
    assert check_endpoint("resend", log).endpoint_id == "w1"


def test_kinds_without_which_bounces_stay_unknown_are_missed(log: WrittenLog) -> None:
    log.endpoints = [endpoint(kinds=frozenset({"email.delivered", "email.bounced"}))]
    missing = check_endpoint("resend", log).missing_kinds
    assert {"email.complained", "email.suppressed", "email.failed"} <= set(missing)
    assert not {"email.delivered", "email.opened", "email.clicked", "email.sent"} & set(missing)
    log.endpoints = [endpoint(kinds=frozenset(needed_kinds(log)))]
    assert check_endpoint("resend", log).missing_kinds == []


def test_a_provider_without_a_log_or_a_key_is_left_alone(log: WrittenLog) -> None:
    log.can_read_event_log = False
    assert read_event_logs([log, object()]) is False  # type: ignore[list-item]
    assert (log.calls, EventLogReading.objects.count()) == ([], 0)


# --- With a sandbox whose webhooks nobody receives --------------------------------------------------------------------


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """What happens in it happened an hour ago."""
    monkeypatch.setattr(settings, "SITE_URL", NOBODY)
    url = f"{NOBODY}/webhooks/resend/"
    with running_sandbox(url, clock=lambda: time.time() - 3600, webhook_workers=1) as server:
        yield server


@pytest.fixture
def provider(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return provider_of(sandbox, monkeypatch)


def send(provider: Provider, *addresses: str) -> None:
    for address in addresses:
        provider.post_message(message(address), key=new_key())


def has_happened(sandbox: SandboxServer) -> None:
    """Wait until nothing is left to happen; posting is tried on for longer."""
    events = "SELECT count(*) FROM events WHERE happens_at > ?"
    wait_until(sandbox, lambda: not sandbox.team.database.number(events, sandbox.team.clock()))


def test_a_stored_event_is_the_one_of_the_webhook(sandbox: SandboxServer, provider: Provider) -> None:
    send(provider, people.ADA, "bounced@resend.dev")
    has_happened(sandbox)
    read(provider)
    rows = sandbox.team.database.rows("SELECT * FROM events")
    posted = {row["svix_id"]: orjson.loads(sandbox.team.endpoint.payload(row)) for row in rows}
    assert {event.event_id: orjson.loads(event.body) for event in Event.objects.all()} == posted
    assert sorted(Event.objects.values_list("kind", flat=True)) == [
        "email.bounced",
        "email.delivered",
        "email.sent",
        "email.sent",
    ]
    times = [orjson.loads(event.body)["created_at"] for event in Event.objects.order_by("pk")]
    assert len(times) == 4
    assert all(provider.parse_webhook(event.body).recipient for event in Event.objects.all())


def test_an_event_of_another_installation_is_stored_and_ignored_as_by_webhook(
    sandbox: SandboxServer, provider: Provider
) -> None:
    other = message(people.ADA)
    object.__setattr__(other, "tags", {"delivery": "1", "env": "other"})
    provider.post_message(other, key=new_key())
    has_happened(sandbox)
    read(provider)
    while apply_events(provider):
        pass
    found = Event.objects.values_list("state", "reason").distinct()
    assert set(found) == {(EventState.IGNORED, Reason.OTHER_INSTALLATION)}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("rate_limit_exceeded", on="GET /webhooks"), "event_log_unavailable"),
        (Fault("internal_server_error", on="GET /webhooks"), "event_log_unavailable"),
        (Fault("service_unavailable", on="GET /webhooks"), "event_log_unavailable"),
        (Fault("html_502", on="GET /webhooks"), "event_log_unreadable"),
        (Fault("reset", on="GET /webhooks"), "event_log_unavailable"),
        (Fault("truncated", on="GET /webhooks"), "event_log_unavailable"),
        (Fault("null_id", on="GET /webhooks"), "event_log_unreadable"),
        (Fault("invalid_permission", on="GET /webhooks"), "event_log_refused"),
        (Fault("restricted_api_key", on="GET /webhooks"), "event_log_refused"),
        (Fault("validation_error", status=400, on="GET /webhooks"), "event_log_refused"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
@pytest.mark.parametrize("spared", [0, 1, 2])
def test_no_answer_of_the_log_loses_an_event(
    sandbox: SandboxServer, provider: Provider, fault: Fault, code: str, spared: int
) -> None:
    """The fault meets the list of endpoints, the log, or an event."""
    if fault.kind == "null_id" and spared == 2:
        pytest.skip("an event is no list")
    send(provider, people.ADA, people.BEN)
    has_happened(sandbox)
    sandbox.plan(*[Fault("none", on="GET /webhooks")] * spared, fault)
    with pytest.raises(EventLogUnreadable) as raised:
        read(provider)
    assert raised.value.code == reading().code == code
    assert raised.value.permanent == (code == "event_log_refused")
    if fault.kind == "rate_limit_exceeded":
        assert raised.value.retry_after == 1.0
    read(provider)
    assert Event.objects.count() == 4


def test_a_key_with_sending_access_is_refused_for_an_hour_and_named(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "re_sandbox_sending")
    provider = provider_of(sandbox, monkeypatch)
    assert get_provider() is provider
    with pytest.raises(EventLogUnreadable, match="full access"):
        read_next(provider)
    assert (reading().code, read_next(provider)) == ("event_log_refused", None)


def test_a_gap_of_many_pages_is_filled_at_the_pace_of_the_rate_limit(
    sandbox: SandboxServer, provider: Provider
) -> None:
    body = provider.join([[provider.encode(message(f"reader-{number}@example.org"))] for number in range(100)])
    for _ in range(3):
        provider.post_batch(body, key=new_key(), size=100)
    has_happened(sandbox)
    ProviderThrottle.objects.create(provider="resend", account=provider.account, rate=100.0)
    read(provider)
    assert Event.objects.count() == 600
    assert (reading().events_read, reading().events_stored) == (600, 600)
    keys = list(Event.objects.order_by("pk").values_list("pk", flat=True))
    assert all(first < second for first, second in pairwise(keys))
    covered = reading().covered_until
    assert covered is not None
    assert covered > timezone.now() - HOUR - OVERLAP
