"""The audience on an issue's pages: chosen on the compose page, said on all others."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.admin.models import LogEntry
from django.test import Client

from newsletter.content.document import AudienceContent
from newsletter.content.store import load_content
from newsletter.models import Issue
from subscribers.models import Segment
from subscribers.segments.uses import uses_of
from tests import people
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.newsletter.sending.audiences import choose, picked, topic_without
from tests.publications import expand_audiences, make_newsletter, start_sending

CHOSEN = {
    "audience-lists": ["weekend"],
    "audience-segments": ["Locals", "weekend: Sailors"],
    "audience-exclude": ["Customers"],
    "audience-topic": "boats",
}


def offer(issue: Issue) -> None:
    """Another list, segments of both, and a topic."""
    weekend = make_newsletter("weekend", name="Weekend")
    picked(issue.newsletter, "Locals", people.ada(issue.newsletter))
    picked(issue.newsletter, "Customers")
    picked(weekend, "Sailors")
    topic_without(issue.newsletter, "boats")


def test_the_audience_is_chosen_on_the_compose_page(edda: Client, issue: Issue) -> None:
    offer(issue)
    url, revision = page_of(issue, "change"), issue.revision
    assert "All active subscribers of Harbour Notes" in words_on(edda.get(url))
    assert edda.post(url, form_data(edda, url) | CHOSEN, follow=True).status_code == 200
    issue.refresh_from_db()
    assert load_content(issue).audience == AudienceContent(
        lists=("weekend",), segments=("Locals", "weekend: Sailors"), exclude=("Customers",), topic="boats"
    )
    assert issue.revision == revision + 1
    none = {"audience-lists": [], "audience-segments": [], "audience-exclude": [], "audience-topic": ""}
    edda.post(url, form_data(edda, url) | none)
    assert load_content(issue).audience == AudienceContent()


def test_a_form_that_did_not_show_the_audience_leaves_it_as_it_is(edda: Client, issue: Issue) -> None:
    offer(issue)
    choose(issue, segments=("Locals",))
    url = page_of(issue, "change")
    data = {name: value for name, value in form_data(edda, url).items() if not name.startswith("audience-")}
    edda.post(url, data | {"title": "Another title"})
    issue.refresh_from_db()
    assert (issue.title, load_content(issue).audience.segments) == ("Another title", ("Locals",))


def test_a_segment_that_is_included_and_excluded_is_refused_at_its_field(edda: Client, issue: Issue) -> None:
    offer(issue)
    url = page_of(issue, "change")
    page = edda.post(url, form_data(edda, url) | {"audience-segments": ["Locals"], "audience-exclude": ["Locals"]})
    assert "The segment “Locals” is included and excluded." in words_on(page)
    assert load_content(issue).audience == AudienceContent()


def test_a_deleted_segment_is_shown_until_it_is_taken_out(edda: Client, issue: Issue) -> None:
    offer(issue)
    choose(issue, segments=("Locals",))
    Segment.objects.filter(name="Locals").delete()
    url = page_of(issue, "change")
    assert "Locals (does not exist)" in words_on(edda.get(url))
    assert "names the segment “Locals”, which does not exist" in words_on(edda.get(page_of(issue, "schedule")))
    edda.post(url, form_data(edda, url) | {"audience-segments": []})
    assert load_content(issue).audience == AudienceContent()


def test_every_page_says_who_gets_the_issue(edda: Client, issue: Issue) -> None:
    offer(issue)
    choose(issue, segments=("Locals",), topic="boats")
    words = "Active subscribers of Harbour Notes in the segment “Locals”."
    for page in ("schedule", "send_now"):
        assert words in words_on(edda.get(page_of(issue, page)))
    shown = words_on(edda.get(page_of(issue, "dry_run")))
    assert "In the segment Locals: 1" in shown
    assert "Topic Boats" in shown
    start_sending(issue)
    expand_audiences()
    assert words in words_on(edda.get(page_of(issue, "report")))
    assert [use.detail for use in uses_of(Segment.objects.get(name="Locals"))] == ["included · Sending"]


def test_restoring_a_revision_leaves_the_audience_as_it_is(edda: Client, issue: Issue) -> None:
    offer(issue)
    choose(issue, segments=("Locals",))
    first = issue.revisions.order_by("number").values_list("number", flat=True)[0]
    url = page_of(issue, "restore", first)
    edda.post(url, {"based_on": str(Issue.objects.get(pk=issue.pk).revision)}, follow=True)
    assert load_content(issue).audience.segments == ("Locals",)


def test_an_editor_who_may_only_view_cannot_choose_an_audience(
    signed_in: Callable[[str], Client], issue: Issue
) -> None:
    offer(issue)
    assert signed_in("lou").post(page_of(issue, "change"), CHOSEN).status_code == 403
    assert load_content(issue).audience == AudienceContent()


def test_a_segment_that_a_running_send_needs_is_not_deleted_and_the_page_says_so(
    admin_client: Client, issue: Issue
) -> None:
    offer(issue)
    choose(issue, segments=("Locals",))
    start_sending(issue)
    segment = Segment.objects.get(name="Locals")
    answer = admin_client.post(f"/admin/subscribers/segment/{segment.pk}/delete/", follow=True)
    assert "has not made all of its deliveries" in answer.content.decode()
    assert Segment.objects.filter(pk=segment.pk).exists()
    assert not LogEntry.objects.exists()
