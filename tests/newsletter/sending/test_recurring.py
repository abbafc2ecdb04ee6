"""Recurring schedules: the approved issue is sent at its hour, once a day, also when clocks change."""

from __future__ import annotations

import datetime
import itertools
import zoneinfo
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.formats import date_format
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.store import load_content, save_content
from newsletter.models import (
    InvalidTransition,
    Issue,
    IssueState,
    Newsletter,
    Occurrence,
    Reason,
    RecurringSchedule,
    Send,
    SendState,
    Weekday,
)
from newsletter.sending import recurring as recurring_module
from newsletter.sending import schedule as schedule_module
from newsletter.sending.recurring import (
    approve_issue,
    instant_on,
    keep_as_draft,
    outlook,
    plan_occurrences,
    start_next_due_occurrence,
)
from newsletter.sending.schedule import IssueRefused, schedule_issue, unschedule_send
from tests import people
from tests.publications import content, just_now, make_issue, make_newsletter, send_of

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "UTC")


@pytest.fixture
def schedule(db: None) -> RecurringSchedule:
    """Tuesdays 07:00 in Berlin, with one subscriber."""
    people.ada(make_newsletter())
    return RecurringSchedule.objects.create(
        newsletter=make_newsletter(), weekday=Weekday.TUESDAY, time=datetime.time(7)
    )


def make_due_and_start(schedule: RecurringSchedule, *, late: datetime.timedelta = datetime.timedelta(0)) -> Occurrence:
    """Make the planned occurrence due, and run the worker's step."""
    plan_occurrences()
    berlin = zoneinfo.ZoneInfo(schedule.newsletter.time_zone)
    now = (timezone.now() - late - datetime.timedelta(minutes=1)).astimezone(berlin)
    RecurringSchedule.objects.filter(pk=schedule.pk).update(weekday=now.weekday(), time=now.time())
    occurrence = schedule.occurrences.get(finished_at__isnull=True)
    schedule.refresh_from_db()
    Occurrence.objects.filter(pk=occurrence.pk).update(date=now.date(), starts_at=instant_on(schedule, now.date()))
    assert start_next_due_occurrence()
    occurrence.refresh_from_db()
    return occurrence


def test_the_approved_issue_is_sent_at_its_occurrence(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    occurrence = make_due_and_start(schedule)
    issue.refresh_from_db()
    assert (issue.status, occurrence.issue, occurrence.outcome) == (
        SendState.SENDING,
        issue,
        "“Taller cranes” was sent.",
    )
    assert not start_next_due_occurrence()


def test_the_next_occurrence_is_planned_for_the_next_such_weekday(schedule: RecurringSchedule) -> None:
    plan_occurrences()
    plan_occurrences()
    occurrence = Occurrence.objects.get()
    local = occurrence.starts_at.astimezone(zoneinfo.ZoneInfo("Europe/Berlin"))
    assert (occurrence.date.weekday(), local.date(), local.time()) == (
        Weekday.TUESDAY,
        occurrence.date,
        datetime.time(7),
    )
    assert timezone.now() < occurrence.starts_at <= timezone.now() + datetime.timedelta(days=8)


def test_a_draft_is_made_with_the_title_and_sections_of_the_schedule(schedule: RecurringSchedule) -> None:
    schedule.title, schedule.sections = "Harbour Notes, {date}", "Signal of the day\n\nDeep dives"
    schedule.save()
    plan_occurrences()
    occurrence = Occurrence.objects.get()
    assert occurrence.issue is not None
    made = load_content(occurrence.issue)
    assert made.title == f"Harbour Notes, {date_format(occurrence.date)}"
    assert [section.title for section in made.sections] == ["Signal of the day", "Deep dives"]


def test_without_an_approved_issue_nothing_is_sent_and_the_occurrence_says_so(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    assert make_due_and_start(schedule).reason == Reason.NO_APPROVED_ISSUE
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_an_edit_withdraws_the_approval(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    save_content(issue, content(subject="Half a sente"), by="Emma")
    issue.refresh_from_db()
    assert (issue.state, issue.transitions.last().reason) == (IssueState.DRAFT, Reason.EDITED)  # type: ignore[union-attr]
    assert make_due_and_start(schedule).reason == Reason.NO_APPROVED_ISSUE


def test_an_approval_can_be_withdrawn(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    keep_as_draft(issue, by="Edda")
    assert make_due_and_start(schedule).reason == Reason.NO_APPROVED_ISSUE


def test_the_issue_that_was_made_for_the_occurrence_is_sent_before_older_ones(schedule: RecurringSchedule) -> None:
    older, own = make_issue("issue-1"), make_issue("issue-2")
    plan_occurrences()
    Occurrence.objects.update(issue=own)
    approve_issue(older, by="Edda")
    approve_issue(own, by="Edda")
    assert make_due_and_start(schedule).issue == own


def test_an_issue_that_fails_its_checks_at_the_occurrence_is_held_with_the_reason(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    Newsletter.objects.update(postal_address="")
    occurrence = make_due_and_start(schedule)
    issue.refresh_from_db()
    assert (issue.status, issue.approved_revision) == (IssueState.DRAFT, None)
    assert issue.hold_reason == occurrence.reason == Reason.OCCURRENCE_REFUSED
    assert "could not start at its occurrence" in occurrence.outcome


def test_an_occurrence_that_is_found_too_late_sends_nothing(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    occurrence = make_due_and_start(schedule, late=datetime.timedelta(hours=3))
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT
    assert "minutes late, so nothing was sent" in occurrence.outcome


def test_an_issue_that_cannot_be_sent_cannot_be_approved(schedule: RecurringSchedule) -> None:
    Newsletter.objects.update(postal_address="")
    with pytest.raises(IssueRefused):
        approve_issue(make_issue(), by="Edda")


def test_a_started_issue_cannot_be_approved(schedule: RecurringSchedule) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    make_due_and_start(schedule)
    issue.refresh_from_db()
    with pytest.raises(InvalidTransition):
        approve_issue(issue, by="Edda")


def test_a_day_has_one_occurrence_even_if_the_clock_is_set_back_behind_it(schedule: RecurringSchedule) -> None:
    occurrence = make_due_and_start(schedule)
    plan_occurrences()
    assert schedule.occurrences.get(finished_at__isnull=True).date > occurrence.date
    with pytest.raises(IntegrityError), transaction.atomic():
        Occurrence.objects.create(schedule=schedule, date=occurrence.date, starts_at=timezone.now())


def test_the_plan_follows_a_schedule_that_is_moved_or_deactivated(schedule: RecurringSchedule) -> None:
    plan_occurrences()
    RecurringSchedule.objects.update(weekday=Weekday.FRIDAY)
    plan_occurrences()
    assert Occurrence.objects.get().date.weekday() == Weekday.FRIDAY
    RecurringSchedule.objects.update(time=datetime.time(9, 30))
    plan_occurrences()
    occurrence = Occurrence.objects.get()
    assert occurrence.starts_at.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).time() == datetime.time(9, 30)
    RecurringSchedule.objects.update(is_active=False)
    plan_occurrences()
    assert not Occurrence.objects.exists()


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(datetime.date(2026, 1, 1), datetime.date(2031, 12, 31)),
    time=st.times().map(lambda time: time.replace(second=0, microsecond=0)),
)
def test_the_hour_stays_all_year_except_where_clocks_skip_it(
    zone: str, day: datetime.date, time: datetime.time
) -> None:
    schedule = RecurringSchedule(newsletter=Newsletter(time_zone=zone), weekday=day.weekday(), time=time)
    shown = instant_on(schedule, day).astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None)
    wanted = datetime.datetime.combine(day, time)
    assert shown == wanted or datetime.timedelta(0) < shown - wanted <= datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "time", "instant"),
    [
        (datetime.date(2027, 3, 28), datetime.time(2, 30), "2027-03-28T01:30"),  # skipped: an hour later
        (datetime.date(2026, 10, 25), datetime.time(2, 30), "2026-10-25T00:30"),  # twice: the first
    ],
    ids=["missing", "double"],
)
def test_hours_that_clocks_skip_or_repeat_name_one_instant(
    day: datetime.date, time: datetime.time, instant: str
) -> None:
    schedule = RecurringSchedule(newsletter=Newsletter(time_zone="Europe/Berlin"), weekday=day.weekday(), time=time)
    assert instant_on(schedule, day).strftime("%Y-%m-%dT%H:%M") == instant


# --- A failure of one schedule does not affect others ---------------------------------------------------------------


@pytest.fixture
def two_schedules(schedule: RecurringSchedule, monkeypatch: pytest.MonkeyPatch) -> tuple[Occurrence, Occurrence]:
    """Two newsletters whose schedules are due, each with an approved issue. Starting the first one fails."""
    other = make_newsletter("quay-notes", name="Quay Notes")
    people.ada(other)
    second = RecurringSchedule.objects.create(newsletter=other, weekday=Weekday.TUESDAY, time=datetime.time(7))
    for newsletter in (schedule.newsletter, other):
        approve_issue(make_issue("issue-1", newsletter), by="Edda")
    plan_occurrences()
    occurrences = tuple(make_due(one, minutes) for one, minutes in ((schedule, 2), (second, 1)))
    start = schedule_module.start

    def start_or_fail(issue: Issue, send: Send | None, **how: Any) -> Send:
        if issue.newsletter_id == schedule.newsletter_id:
            raise KeyError("a fault in the program")
        return start(issue, send, **how)

    monkeypatch.setattr(recurring_module, "start", start_or_fail)
    return occurrences  # type: ignore[return-value]


def make_due(schedule: RecurringSchedule, minutes: int) -> Occurrence:
    """Its planned occurrence should have started so many minutes ago."""
    at = timezone.now().astimezone(zoneinfo.ZoneInfo(schedule.newsletter.time_zone))
    at -= datetime.timedelta(minutes=minutes)
    RecurringSchedule.objects.filter(pk=schedule.pk).update(weekday=at.weekday(), time=at.time())
    occurrence = schedule.occurrences.get(finished_at__isnull=True)
    Occurrence.objects.filter(pk=occurrence.pk).update(date=at.date(), starts_at=at)
    occurrence.refresh_from_db()
    return occurrence


def run_step(times: int = 4) -> None:
    for _ in range(times):
        start_next_due_occurrence()


def test_an_occurrence_that_fails_does_not_block_others(two_schedules: tuple[Occurrence, Occurrence]) -> None:
    failing, fine = two_schedules
    run_step()
    fine.refresh_from_db()
    failing.refresh_from_db()
    assert fine.outcome == "“Taller cranes” was sent."
    assert failing.finished_at is None
    assert (failing.reason, failing.values) == (Reason.OCCURRENCE_FAILED, {"error": "KeyError"})


def test_an_occurrence_that_failed_is_retried_after_a_minute_and_not_in_every_round(
    two_schedules: tuple[Occurrence, Occurrence], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, _fine = two_schedules
    run_step()
    assert not start_next_due_occurrence()
    monkeypatch.setattr(recurring_module, "start", schedule_module.start)
    Occurrence.objects.filter(pk=failing.pk).update(retry_start_at=just_now())
    run_step()
    failing.refresh_from_db()
    assert failing.outcome == "“Taller cranes” was sent."


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_an_occurrence_that_failed_waits_a_minute_also_if_the_workers_clock_is_wrong(
    two_schedules: tuple[Occurrence, Occurrence], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    failing, fine = two_schedules
    real = timezone.now
    with monkeypatch.context() as broken:
        broken.setattr(timezone, "now", lambda: real() + datetime.timedelta(hours=hours))
        run_step()
    fine.refresh_from_db()
    failing.refresh_from_db()
    assert fine.finished_at
    assert failing.retry_start_at
    assert failing.retry_start_at - real() < datetime.timedelta(minutes=2)


def test_an_occurrence_that_fails_for_too_long_holds_its_issue(two_schedules: tuple[Occurrence, Occurrence]) -> None:
    failing, _fine = two_schedules
    run_step()
    occurrence = make_due(failing.schedule, 61)
    Occurrence.objects.filter(pk=occurrence.pk).update(retry_start_at=None)
    run_step()
    occurrence.refresh_from_db()
    assert occurrence.finished_at
    assert occurrence.issue
    assert occurrence.issue.hold_reason == Reason.OCCURRENCE_LATE


def test_a_schedule_that_cannot_be_planned_says_why_and_does_not_block_others(schedule: RecurringSchedule) -> None:
    gone = make_newsletter("quay-notes", name="Quay Notes", time_zone="Mars/Olympus")
    broken = RecurringSchedule.objects.create(newsletter=gone, weekday=Weekday.MONDAY, time=datetime.time(7))
    plan_occurrences()
    assert schedule.occurrences.exists()
    broken.refresh_from_db()
    assert (broken.problem, broken.problem_values) == (Reason.ZONE_UNKNOWN, {"zone": "Mars/Olympus"})
    assert "does not know the time zone “Mars/Olympus”" in broken.problem_sentence
    Newsletter.objects.filter(pk=gone.pk).update(time_zone="UTC")
    plan_occurrences()
    plan_occurrences()
    broken.refresh_from_db()
    assert (broken.problem, broken.occurrences.count()) == ("", 1)


def test_a_draft_gets_a_free_slug(schedule: RecurringSchedule) -> None:
    schedule.title = "Harbour Notes, {date}"
    schedule.save()
    plan_occurrences()
    first = Occurrence.objects.get()
    for slug in (f"{first.date}-0700", f"{first.date}-0700-2"):
        make_issue(slug)
    Occurrence.objects.all().delete()
    plan_occurrences()
    made = Occurrence.objects.get().issue
    assert made is not None
    assert made.slug == f"{first.date}-0700-3"


def test_an_occurrence_whose_draft_cannot_be_made_says_so(schedule: RecurringSchedule) -> None:
    schedule.title, schedule.sections = "Harbour Notes", "x" * 300
    schedule.save()
    plan_occurrences()
    occurrence = Occurrence.objects.get()
    assert occurrence.issue is None
    assert occurrence.reason == Reason.DRAFT_NOT_MADE


# --- Which issue is sent --------------------------------------------------------------------------------------------


def test_an_issue_that_was_made_for_friday_is_not_sent_on_tuesday(schedule: RecurringSchedule) -> None:
    friday = RecurringSchedule.objects.create(
        newsletter=schedule.newsletter, weekday=Weekday.FRIDAY, time=datetime.time(7)
    )
    issue = make_issue()
    plan_occurrences()
    friday.occurrences.update(issue=issue)
    approve_issue(issue, by="Edda")
    assert make_due_and_start(schedule).reason == Reason.NO_APPROVED_ISSUE
    issue.refresh_from_db()
    assert (issue.status, issue.approved_revision) == (IssueState.APPROVED, issue.revision)


def test_the_outlook_names_what_each_occurrence_would_send(schedule: RecurringSchedule) -> None:
    friday = RecurringSchedule.objects.create(
        newsletter=schedule.newsletter, weekday=Weekday.FRIDAY, time=datetime.time(7)
    )
    for_friday, other = make_issue("issue-2"), make_issue("issue-1")
    plan_occurrences()
    friday.occurrences.update(issue=for_friday)
    assert {issue for _run, issue in outlook()} == {None}
    for issue in (for_friday, other):
        approve_issue(issue, by="Edda")
    assert {occurrence.schedule: issue for occurrence, issue in outlook()} == {schedule: other, friday: for_friday}


def test_an_approved_issue_that_was_scheduled_and_unscheduled_is_not_approved_any_more(
    schedule: RecurringSchedule,
) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    schedule_issue(issue, wall=datetime.datetime(2037, 7, 1, 7), zone="UTC", by="Edda")
    unschedule_send(send_of(issue), by="Edda")
    assert make_due_and_start(schedule).reason == Reason.NO_APPROVED_ISSUE
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_a_schedule_that_is_moved_to_a_past_hour_comes_next_week(
    schedule: RecurringSchedule,
) -> None:
    issue = make_issue()
    approve_issue(issue, by="Edda")
    plan_occurrences()
    now = timezone.now().astimezone(zoneinfo.ZoneInfo("Europe/Berlin"))
    soon, before = now + datetime.timedelta(minutes=5), now - datetime.timedelta(minutes=5)
    if not soon.date() == now.date() == before.date():
        pytest.skip("It is midnight in Berlin.")
    RecurringSchedule.objects.update(weekday=now.weekday(), time=soon.time())
    Occurrence.objects.update(date=now.date(), starts_at=soon)
    RecurringSchedule.objects.update(time=before.time())
    assert not start_next_due_occurrence()
    plan_occurrences()
    assert not start_next_due_occurrence()
    assert Occurrence.objects.get().date == now.date() + datetime.timedelta(days=7)


def test_a_finished_occurrence_is_kept_when_its_schedule_is_moved(schedule: RecurringSchedule) -> None:
    plan_occurrences()
    stale = Occurrence.objects.get()
    make_due_and_start(schedule)
    RecurringSchedule.objects.update(weekday=(stale.date.weekday() + 3) % 7)
    stale.schedule.refresh_from_db()
    recurring_module._update(stale)
    assert Occurrence.objects.filter(pk=stale.pk, finished_at__isnull=False).exists()


# --- Clocks ----------------------------------------------------------------------------------------------------------

TWENTY_ZONES = (
    *ZONES,
    *("America/Sao_Paulo", "America/St_Johns", "Asia/Amman", "Asia/Kathmandu", "Asia/Tehran", "Asia/Tokyo"),
    *("Atlantic/Azores", "Australia/Adelaide", "Europe/Dublin", "Europe/London", "Pacific/Apia"),
    *("Pacific/Auckland", "Pacific/Chatham", "Pacific/Kiritimati"),
)


@pytest.mark.parametrize("zone", TWENTY_ZONES)
def test_seven_in_the_morning_stays_seven_for_five_years(zone: str) -> None:
    schedule = RecurringSchedule(newsletter=Newsletter(time_zone=zone), weekday=Weekday.TUESDAY, time=datetime.time(7))
    tuesdays = [datetime.date(2026, 1, 6) + datetime.timedelta(weeks=week) for week in range(5 * 52)]
    instants = [instant_on(schedule, day) for day in tuesdays]
    assert {instant.astimezone(zoneinfo.ZoneInfo(zone)).time() for instant in instants} == {datetime.time(7)}
    assert [instant.astimezone(zoneinfo.ZoneInfo(zone)).date() for instant in instants] == tuesdays


def test_a_year_of_tuesdays_has_one_occurrence_each_though_the_clock_goes_back_and_forth(
    schedule: RecurringSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: clock)
    for _ in range(53):
        plan_occurrences()
        occurrence = schedule.occurrences.get(finished_at__isnull=True)
        for hours in (0, -1, 0):
            clock = occurrence.starts_at + datetime.timedelta(hours=hours, minutes=1)
            plan_occurrences()
            assert schedule.occurrences.filter(finished_at__isnull=True).count() == 1
        Occurrence.objects.filter(pk=occurrence.pk).update(finished_at=clock)
    days = list(schedule.occurrences.order_by("date").values_list("date", flat=True))
    assert [later - earlier for earlier, later in itertools.pairwise(days)] == [datetime.timedelta(weeks=1)] * 52


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_a_wrong_clock_of_a_worker_decides_nothing(
    schedule: RecurringSchedule, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A schedule that is due starts in time, and one that is not due does not start."""
    approve_issue(make_issue(), by="Edda")
    plan_occurrences()
    due = make_due(schedule, 1)
    wrong = timezone.now() + datetime.timedelta(hours=hours)
    with monkeypatch.context() as broken:
        broken.setattr(timezone, "now", lambda: wrong)
        run_step()
    due.refresh_from_db()
    assert due.outcome == "“Taller cranes” was sent."
    ahead = Occurrence.objects.create(schedule=schedule, date=due.date + datetime.timedelta(days=1), starts_at=soon())
    with monkeypatch.context() as broken:
        broken.setattr(timezone, "now", lambda: wrong)
        assert not start_next_due_occurrence()
    ahead.refresh_from_db()
    assert ahead.finished_at is None


def soon() -> datetime.datetime:
    return timezone.now() + datetime.timedelta(hours=1)
