"""Check: what is wrong, how bad it is, and the way to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from newsletter.admin.check import FAMILY_NAMES
from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.store import save_content
from newsletter.models import Issue
from newsletter.preflight import FAMILIES
from tests.newsletter.admin.pages import page_of, words_on
from tests.publications import content, story


@pytest.fixture
def faulty(issue: Issue) -> Issue:
    stories = (story(1), StoryContent(title="A story without a link", body="Words."))
    sections = (SectionContent(title="Signal", body="Words."), SectionContent(title="Dives", stories=stories))
    save_content(issue, content(sections=sections), by="tests")
    return issue


def test_findings_stand_in_groups_with_the_way_to_their_row(edda: Client, faulty: Issue, read_by_ada: None) -> None:
    answer = edda.get(page_of(faulty, "check"))
    assert "1 thing to fix" in words_on(answer)
    assert "Dives, story 2" in words_on(answer)
    # Rows of the compose page, from 0: Signal, Dives, story 1, story 2.
    assert f'href="{page_of(faulty)}#row-3"' in answer.content.decode()
    assert 'id="row-3"' in edda.get(page_of(faulty)).content.decode()


def test_an_issue_without_faults_may_go_on_to_its_schedule(edda: Client, issue: Issue, read_by_ada: None) -> None:
    answer = edda.get(page_of(issue, "check"))
    assert "Nothing must be fixed" in words_on(answer)
    assert page_of(issue, "schedule") in answer.content.decode()


def test_nobody_to_send_it_to_is_a_fault(edda: Client, issue: Issue) -> None:
    assert "thing to fix" in words_on(edda.get(page_of(issue, "check")))


def test_who_may_only_look_is_not_offered_to_change_anything(faulty: Issue, signed_in: Callable[[str], Client]) -> None:
    assert "Go there" not in words_on(signed_in("lou").get(page_of(faulty, "check")))


def test_every_family_of_checks_has_a_name_for_people() -> None:
    families = {check.__name__.removeprefix("check_") for check in FAMILIES}
    assert families | {"rendering"} == set(FAMILY_NAMES)
