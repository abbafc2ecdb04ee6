"""Rankings of stories and sources across issues: as a plain sort of the same rows says."""

from __future__ import annotations

import datetime
from collections import defaultdict

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.models import STORY, WHOLE_MAIL, Edition, EditionStory, Newsletter, Send, SendState
from newsletter.reports.stories import has_counted, top_sources, top_stories
from tests.publications import make_issue, make_newsletter, start_sending

NOW = timezone.now()


def sent(newsletter: Newsletter, slug: str, days_ago: int = 1) -> Send:
    send = start_sending(make_issue(slug, newsletter))
    Send.objects.filter(pk=send.pk).update(started_at=NOW - datetime.timedelta(days=days_ago))
    return send


def clicked(edition: Edition, *stories: tuple[str, str, int], source: str = "own") -> None:
    """Title, source and humans of each."""
    whole = EditionStory(edition=edition, position=WHOLE_MAIL, source=source, first_number=3, last_number=99)
    EditionStory.objects.bulk_create(
        [whole]
        + [
            EditionStory(
                edition=edition,
                position=position,
                kind=STORY,
                title=title,
                source=of,
                humans=humans,
                machine_hits=2 * position,
                first_number=4,
                last_number=4,
            )
            for position, (title, of, humans) in enumerate(stories, start=1)
        ]
    )


SOURCES = st.lists(st.tuples(st.sampled_from(["Daily", "Gazette", "ferry.example"]), st.integers(0, 5)), max_size=8)


class AnyClicks(TestCase):
    @settings(max_examples=25, deadline=None)
    @given(st.lists(SOURCES, min_size=1, max_size=3), st.integers(1, 4))
    def test_the_rankings_are_those_of_a_plain_sort(self, issues: list[list[tuple[str, int]]], limit: int) -> None:
        newsletter = make_newsletter(f"notes-{Newsletter.objects.count()}")
        every: list[tuple[str, str, int]] = []
        for number, stories in enumerate(issues):
            named = [(f"{number}-{place}", source, humans) for place, (source, humans) in enumerate(stories)]
            clicked(sent(newsletter, f"issue-{number}").edition, *named)
            every += named
        ranked = sorted((row for row in every if row[2]), key=lambda row: -row[2])
        assert [row.title for row in top_stories(newsletter.pk, None, limit)] == [row[0] for row in ranked[:limit]]
        by_source = defaultdict[str, list[tuple[str, str, int]]](list)
        for row in every:
            by_source[row[1]].append(row)
        best = {source: max(rows, key=lambda row: row[2]) for source, rows in by_source.items()}
        expected = sorted(
            (-sum(row[2] for row in rows), source, len(rows), best[source][0], best[source][2])
            for source, rows in by_source.items()
            if best[source][2]
        )
        found = [
            (-row.humans, row.source, row.stories, row.best, row.best_humans)
            for row in top_sources(newsletter.pk, None, limit)
        ]
        assert found == expected[:limit]


@pytest.fixture
def newsletter(db: None) -> Newsletter:
    return make_newsletter()


def test_only_issues_of_the_newsletter_and_the_period_are_ranked(newsletter: Newsletter) -> None:
    clicked(sent(newsletter, "new", days_ago=10).edition, ("New", "Daily", 3))
    clicked(sent(newsletter, "old", days_ago=200).edition, ("Old", "Daily", 9))
    clicked(sent(make_newsletter("tides", name="Tides"), "other").edition, ("Other", "Daily", 99))
    since = NOW - datetime.timedelta(days=90)
    assert [row.title for row in top_stories(newsletter.pk, since)] == ["New"]
    assert [row.title for row in top_stories(newsletter.pk, None)] == ["Old", "New"]
    (source,) = top_sources(newsletter.pk, since)
    assert (source.stories, source.humans, source.per_story, source.best) == (1, 3, 3.0, "New")


def test_an_issue_whose_send_was_undone_is_not_ranked(newsletter: Newsletter) -> None:
    send = sent(newsletter, "undone")
    clicked(send.edition, ("Gone", "Daily", 3))
    Send.objects.filter(pk=send.pk).update(state=SendState.WITHDRAWN)
    assert (top_stories(newsletter.pk, None), top_sources(newsletter.pk, None)) == ([], [])


def test_a_story_has_its_issue_its_machine_hits_and_what_its_rate_is_of(newsletter: Newsletter) -> None:
    send = sent(newsletter, "issue-1")
    clicked(send.edition, ("Cranes", "Daily", 3))
    (row,) = top_stories(newsletter.pk, None)
    assert (row.issue, row.issue_title, row.machine_hits, row.base.count) == (send.issue_id, send.issue.title, 2, 0)


def test_clicks_were_counted_if_any_edition_has_a_source_of_them(newsletter: Newsletter) -> None:
    clicked(sent(newsletter, "issue-1").edition, source="")
    assert not has_counted(newsletter.pk)
    clicked(sent(newsletter, "issue-2").edition)
    assert has_counted(newsletter.pk)


def test_rankings_take_four_queries(newsletter: Newsletter, django_assert_max_num_queries: type) -> None:
    for number in range(3):
        clicked(sent(newsletter, f"issue-{number}").edition, *((f"{number}-{n}", f"s{n}", n) for n in range(9)))
    with django_assert_max_num_queries(4):
        assert len(top_stories(newsletter.pk, None)) == 24
        assert len(top_sources(newsletter.pk, None)) == 8
