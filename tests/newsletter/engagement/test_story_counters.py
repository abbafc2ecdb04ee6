"""Sums of stories and hours: whenever an edition is listed, and however hits arrive, those of the counters."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.config import failpoints
from newsletter.config.failpoints import Action, Crash, Failpoint, Point
from newsletter.engagement.judge import judge_hits
from newsletter.engagement.rebuild import rebuild_all
from newsletter.engagement.story_counters import list_stories
from newsletter.models import (
    FIRST_LINK,
    OPEN,
    OTHER_LINK,
    WHOLE_MAIL,
    ClickHour,
    ConsentMode,
    EditionStory,
    EngagementCounter,
    Hit,
    Send,
    SendState,
    Verdict,
)
from newsletter.worker.steps import STEPS
from tests.newsletter.engagement.sent import own_links, send_to
from tests.newsletter.engagement.test_judge import hit, judge_all, store
from tests.people import ADA
from tests.publications import make_issue, make_newsletter, start_sending

Sums = tuple[dict[int, tuple[int, int]], dict[datetime.datetime, int]]
"""Humans and machine hits by position, and humans by hour."""


def sums(send: Send) -> Sums:
    rows = EditionStory.objects.filter(edition=send.edition_id)
    hours = ClickHour.objects.filter(edition=send.edition_id, humans__gt=0)
    return (
        {position: (humans, machines) for position, humans, machines in rows.values_list(*COLUMNS)},
        dict(hours.values_list("hour", "humans")),
    )


COLUMNS = ("position", "humans", "machine_hits")


def recounted(send: Send) -> Sums:
    """From the hits, with one link for each story of the sample issue."""
    humans, machines, hours = Counter[int](), Counter[int](), Counter[datetime.datetime]()
    for one in Hit.objects.filter(edition=send.edition_id, number__gte=OTHER_LINK):
        positions = {WHOLE_MAIL} | ({one.number - FIRST_LINK + 1} if one.number >= FIRST_LINK else set())
        is_human = one.verdict == Verdict.HUMAN
        for position in positions:
            humans[position] += is_human and one.is_first
            machines[position] += not is_human
        if is_human and one.is_first:
            hours[one.at.replace(minute=0, second=0, microsecond=0)] += 1
    return {position: (humans[position], machines[position]) for position in range(4)}, dict(hours)


VISITS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cyd"]),
        st.integers(0, 20_000),
        st.sampled_from([OPEN, OTHER_LINK, FIRST_LINK, FIRST_LINK + 1, FIRST_LINK + 2]),
        st.sampled_from(["chrome windows", "machine"]),
    ),
    max_size=12,
)


class AnyOrder(TestCase):
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(VISITS, st.integers(0, 12), st.integers(1, 4))
    def test_the_sums_are_those_of_an_independent_recount(
        self, visits: list[tuple[str, int, int, str]], listed_after: int, piece: int
    ) -> None:
        number = Send.objects.count()
        newsletter = own_links(ConsentMode.AGGREGATE, measures_opens=True)
        send = send_to(ADA, newsletter=newsletter, slug=f"issue-{number}")
        for place, (visitor, seconds, link, agent) in enumerate(visits):
            if place == listed_after:
                list_stories()
            store(hit(send, seconds, link, visitor=visitor, network=visitor, agent=agent))
            if place % piece == 0:
                judge_hits()
        judge_all()
        list_stories()
        before = sums(send)
        assert before == recounted(send)
        rebuild_all()
        assert sums(send) == before == recounted(send)


@pytest.fixture
def send(db: None) -> Send:
    return send_to(ADA, newsletter=own_links(ConsentMode.AGGREGATE))


def test_the_worker_lists_stories() -> None:
    assert [step.run for step in STEPS if step.name == "list_stories"] == [list_stories]


def test_an_edition_is_listed_once_in_pieces(send: Send, django_assert_num_queries: Any) -> None:
    send_to(ADA, newsletter=send.issue.newsletter, slug="issue-2")
    assert list_stories(1)
    assert list_stories(1)
    with django_assert_num_queries(1):
        assert not list_stories(1)
    assert EditionStory.objects.filter(position=WHOLE_MAIL, source="own").count() == 2
    assert EditionStory.objects.count() == 8


def test_an_edition_without_a_source_of_clicks_is_listed_without_stories(db: None) -> None:
    start_sending(make_issue(newsletter=make_newsletter()))
    assert not list_stories()
    assert list(EditionStory.objects.values_list("position", "source")) == [(WHOLE_MAIL, "")]


def test_an_issue_that_is_not_sent_yet_is_not_listed(send: Send) -> None:
    Send.objects.filter(pk=send.pk).update(state=SendState.WITHDRAWN)
    list_stories()
    assert not EditionStory.objects.exists()


def test_sums_stay_when_the_hits_are_gone(send: Send) -> None:
    store(hit(send, 100, FIRST_LINK, visitor="ann"), hit(send, 200, FIRST_LINK + 1, visitor="ann"))
    judge_all()
    Hit.objects.all().delete()
    list_stories()
    assert sums(send)[0] == {WHOLE_MAIL: (2, 0), 1: (1, 0), 2: (1, 0), 3: (0, 0)}
    assert EngagementCounter.objects.exists()


@pytest.mark.parametrize("point", [Point.HITS_UNCOMMITTED, Point.HITS_COMMITTED])
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_judging_loses_and_repeats_no_click(point: Point) -> None:
    send = send_to(ADA, newsletter=own_links(ConsentMode.AGGREGATE))
    list_stories()
    store(hit(send, 100, FIRST_LINK, visitor="ann"))
    failpoints.arm(Failpoint(point=point, hit=1, action=Action.RAISE))
    try:
        with pytest.raises(Crash):
            judge_hits()
    finally:
        failpoints.arm(None)
    judge_all()
    assert sums(send) == recounted(send)
    assert sums(send)[0][1] == (1, 0)
