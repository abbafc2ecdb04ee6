"""Recurring drafts: one draft a time, with the links since the one before, whatever happens to the worker."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.content.store import load_content
from newsletter.content.templates import template_content
from newsletter.models import (
    DraftMade,
    Feed,
    Issue,
    IssueTemplate,
    Newsletter,
    RecurringDraft,
    SavedLink,
    SavedLinkState,
)
from newsletter.sending.recurring_drafts import make_recurring_drafts, plan
from tests.feeds import make_links
from tests.publications import content, just_now, make_issue, make_newsletter, today

pytestmark = pytest.mark.django_db


def recurring(**fields: Any) -> RecurringDraft:
    """One whose time has just come."""
    defaults = {"weekday": today().weekday(), "time": datetime.time(9), "next_date": today(), "next_at": just_now()}
    return RecurringDraft.objects.create(newsletter=make_newsletter(), **{**defaults, **fields})


def template(**fields: Any) -> IssueTemplate:
    stored = {"content": template_content(content()), "name": "Weekly", "saved_by": "edda"}
    return IssueTemplate.objects.create(newsletter=make_newsletter(), **{**stored, **fields})


def come_again(one: RecurringDraft) -> None:
    day = today() + datetime.timedelta(days=7)
    RecurringDraft.objects.filter(pk=one.pk).update(next_at=just_now(), next_date=day, retry_at=None)


def test_it_is_planned_for_its_next_day_first() -> None:
    one = recurring(next_date=None, next_at=None)
    assert not make_recurring_drafts()
    one.refresh_from_db()
    assert one.next_at
    assert one.next_at > timezone.now()
    assert one.next_date
    assert one.next_date.weekday() == one.weekday
    assert not Issue.objects.exists()


def test_a_draft_is_made_of_the_template_when_its_time_has_come() -> None:
    one = recurring(template=template(title_pattern="Week {week}"))
    assert make_recurring_drafts()
    draft = Issue.objects.get()
    assert draft.title.startswith("Week ")
    assert load_content(draft).sections == content().sections
    one.refresh_from_db()
    assert one.next_at
    assert one.next_at > timezone.now()
    assert DraftMade.objects.get().issue == draft
    assert not make_recurring_drafts()


def test_without_a_template_the_draft_is_like_the_last_issue() -> None:
    make_issue()
    recurring()
    make_recurring_drafts()
    newest = Issue.objects.latest("pk")
    assert [section.title for section in load_content(newest).sections] == [
        "Signal of the day",
        "Deep dives",
        "The pattern",
    ]


def test_the_first_draft_of_a_newsletter_is_empty() -> None:
    recurring()
    make_recurring_drafts()
    assert load_content(Issue.objects.get()).sections == ()


def test_it_takes_the_newest_kept_links_and_no_more_than_it_may() -> None:
    make_links(1, 2, 3, state=SavedLinkState.KEPT)
    make_links(4, feed=Feed.objects.get())
    one = recurring(template=template(), most_links=2, section="Links")
    make_recurring_drafts()
    sections = {
        part.title: [story.title for story in part.stories] for part in load_content(Issue.objects.get()).sections
    }
    assert sections["Links"] == ["Quay 3", "Quay 2"]
    assert SavedLink.objects.filter(state=SavedLinkState.USED).count() == 2
    come_again(one)
    make_recurring_drafts()
    assert list(DraftMade.objects.order_by("date").values_list("links", flat=True)) == [2, 1]


def test_one_that_is_not_active_makes_nothing() -> None:
    recurring(is_active=False)
    assert not make_recurring_drafts()
    assert not Issue.objects.exists()


def test_a_day_has_one_draft_even_if_its_time_comes_again() -> None:
    one = recurring()
    for _ in range(3):
        RecurringDraft.objects.filter(pk=one.pk).update(next_at=just_now(), next_date=today())
        make_recurring_drafts()
    assert Issue.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        DraftMade.objects.create(recurring_draft=one, date=today(), made_at=timezone.now())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", [Point.DRAFT_UNCOMMITTED, Point.DRAFT_COMMITTED])
def test_a_worker_killed_while_it_makes_a_draft_makes_one_in_the_end(point: Point) -> None:
    make_links(1, state=SavedLinkState.KEPT)
    recurring(template=template(), most_links=5)
    failpoints.arm(Failpoint(point=point, hit=1, action=Action.RAISE))
    try:
        with pytest.raises(Crash):
            make_recurring_drafts()
    finally:
        failpoints.arm(None)
    assert Issue.objects.count() == (point is Point.DRAFT_COMMITTED)
    while make_recurring_drafts():
        pass
    draft = Issue.objects.get()
    assert [story.title for story in load_content(draft).stories()][-1:] == ["Quay 1"]
    assert DraftMade.objects.get().issue == draft


def test_a_template_that_cannot_be_read_is_named_and_blocks_no_other() -> None:
    broken = recurring(template=template(content={"sections": "?"}), next_at=just_now() - datetime.timedelta(hours=1))
    recurring()
    while make_recurring_drafts():
        pass
    broken.refresh_from_db()
    assert "Correct the template" in broken.problem_sentence
    assert "“Weekly” cannot be read" in broken.problem_sentence
    assert broken.retry_at
    assert broken.retry_at > timezone.now()
    assert Issue.objects.count() == 1

    IssueTemplate.objects.update(content=template_content(content()))
    RecurringDraft.objects.filter(pk=broken.pk).update(retry_at=just_now())
    make_recurring_drafts()
    broken.refresh_from_db()
    assert not broken.problem_sentence
    assert RecurringDraft.objects.filter(pk=broken.pk, retry_at=None).exists()


def test_a_zone_that_this_machine_does_not_know_is_a_problem() -> None:
    one = recurring(next_date=None, next_at=None)
    Newsletter.objects.update(time_zone="Nowhere/Land")
    make_recurring_drafts()
    one.refresh_from_db()
    assert "Nowhere/Land" in one.problem_sentence


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weekday=st.integers(0, 6),
    time=st.times().map(lambda time: time.replace(second=0, microsecond=0)),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"]),
    days=st.integers(0, 400),
)
def test_a_plan_is_the_next_such_hour_on_the_clocks_of_the_newsletter(
    weekday: int, time: datetime.time, zone: str, days: int
) -> None:
    one = RecurringDraft(weekday=weekday, time=time, newsletter=Newsletter(time_zone=zone))
    last = timezone.localdate(timezone=zoneinfo.ZoneInfo(zone)) + datetime.timedelta(days=days)
    planned = plan(one, after=last)
    assert last < planned["next_date"] <= last + datetime.timedelta(days=7)
    assert planned["next_date"].weekday() == weekday
    assert planned["next_at"] > timezone.now()
