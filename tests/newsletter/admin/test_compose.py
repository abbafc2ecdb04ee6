"""The compose page: content is stored through `save_content`, and typed text is never lost."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.rows import row_formset, rows_of
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.revisions import content_of
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, SendState
from newsletter.sending.control import cancel_send
from newsletter.sending.schedule import unschedule_send
from tests.newsletter.admin.pages import envelope_data, form_data, page_of, rows_data, words_on
from tests.newsletter.content.issues import sections
from tests.publications import content, make_issue, make_newsletter, schedule_send, send_of, start_sending

pytestmark = pytest.mark.any_database

ADD = reverse("admin:newsletter_issue_add")


def titles_of(issue: Issue) -> list[str]:
    return [story.title for story in load_content(issue).stories()]


def test_a_new_issue_is_stored_as_submitted(edda: Client) -> None:
    newsletter, written = make_newsletter(), content()
    data = envelope_data(written) | rows_data(rows_of(written)) | {"newsletter": newsletter.pk, "based_on": 0}
    answer = edda.post(ADD, data, follow=True)
    issue = Issue.objects.get()
    assert load_content(issue) == written
    assert issue.revision == 1
    assert "is saved" in words_on(answer)


def test_an_empty_slug_is_made_from_the_title(edda: Client) -> None:
    data = envelope_data(content(slug="", title="Locks & Weirs")) | rows_data([])
    edda.post(ADD, data | {"newsletter": make_newsletter().pk, "based_on": 0})
    assert Issue.objects.get().slug == "locks-and-weirs"


def test_saving_an_untouched_page_changes_nothing(edda: Client, issue: Issue) -> None:
    before, revision = load_content(issue), issue.revision
    answer = edda.post(page_of(issue), form_data(edda, page_of(issue)))
    issue.refresh_from_db()
    assert answer.status_code == 302
    assert (load_content(issue), issue.revision) == (before, revision)


def test_without_javascript_a_position_number_moves_a_story_up(edda: Client, issue: Issue) -> None:
    data = form_data(edda, page_of(issue))
    data["rows-4-ORDER"] = "3"  # rows: section, section, story 1, 2, 3, section
    edda.post(page_of(issue), data)
    assert titles_of(issue) == [f"Quay {number} gets a taller crane" for number in (3, 1, 2)]


def test_without_javascript_a_position_number_moves_a_story_down(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"rows-2-ORDER": "5"})
    assert titles_of(issue) == [f"Quay {number} gets a taller crane" for number in (2, 3, 1)]


def test_without_javascript_an_extra_row_becomes_a_story_of_the_last_section(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"rows-6-title": "A ferry that waits"})
    assert load_content(issue).sections[-1].stories == (StoryContent(title="A ferry that waits"),)


def test_stories_of_a_removed_section_move_to_the_section_above(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"rows-1-DELETE": "on"})
    first, _ = load_content(issue).sections
    assert (first.title, len(first.stories)) == ("Signal of the day", 3)


def test_a_removed_story_is_gone_after_saving(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"rows-3-DELETE": "on"})
    assert len(titles_of(issue)) == 2


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("rows-2-title", "Cranes\x0b again", "contains the invisible character U+000B"),
        ("rows-2-title", "Cranes \u202e again", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("rows-2-url", "javascript:alert(1)", "is not a full web address"),
        ("rows-2-source", "x" * 101, "has 101 characters; the maximum is 100"),
        ("rows-2-body", "bell \x07", "contains the invisible character U+0007"),
        ("rows-1-title", "", "The section has no heading"),
        ("title", "Two\u2028lines", "“Title” contains a line break"),
        ("slug", "no spaces", "valid “slug”"),
        ("category_names", "News, " + "x" * 61, "has 61 characters; the maximum is 60"),
        ("date", "yesterday", "valid date"),
    ],
)
def test_an_error_is_shown_at_its_field_and_no_typed_text_is_lost(
    edda: Client, issue: Issue, field: str, value: str, sentence: str
) -> None:
    before = load_content(issue)
    sent = form_data(edda, page_of(issue)) | {"rows-3-body": "Words that must survive.", field: value}
    answer = edda.post(page_of(issue), sent)
    assert sentence in words_on(answer)
    assert "Words that must survive." in answer.content.decode()
    assert load_content(issue) == before


def test_rows_keep_their_submitted_order_when_one_has_an_error(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-4-ORDER": "3", "rows-2-url": "nowhere"}
    shown = edda.post(page_of(issue), sent).content.decode()
    assert shown.index("Quay 3 gets") < shown.index("Quay 1 gets")


def test_a_story_above_all_sections_is_refused_at_its_row(edda: Client, issue: Issue) -> None:
    answer = edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"rows-2-ORDER": "1"})
    assert "This story has no section above it" in words_on(answer)


def test_the_slug_of_another_issue_is_refused(edda: Client, issue: Issue) -> None:
    make_issue("issue-2")
    answer = edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"slug": "issue-2"})
    assert "already has the slug “issue-2”" in words_on(answer)


def test_a_stale_save_is_refused_and_the_typed_text_stays_in_the_form(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-body": "Mine."}
    theirs = content(title="Theirs")
    save_content(issue, theirs, by="will")
    answer = edda.post(page_of(issue), sent)
    assert "a newer revision of this issue was saved" in words_on(answer)
    assert "Mine." in answer.content.decode()
    assert load_content(issue) == theirs


def test_a_stale_save_shows_who_saved_and_the_difference(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-title": "Quay 1 gets a smaller crane"}
    theirs = load_content(issue)
    save_content(issue, replace(theirs, preheader="Three, not two"), by="will")
    shown = edda.post(page_of(issue), sent).content.decode()
    words = " ".join(lxml_html.fromstring(shown).xpath("//section[@aria-labelledby='newer-heading']")[0].itertext())

    assert "by will" in words
    assert "<ins>smaller </ins>" in shown
    assert "<del>taller </del>" in shown
    assert "Changes by will since you opened this page" in words
    assert "Three, not" in words


def test_a_stale_save_with_an_error_says_when_the_difference_is_shown(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-url": "nowhere"}
    save_content(issue, content(title="Theirs"), by="will")
    words = words_on(edda.post(page_of(issue), sent))

    assert "Correct the errors shown at the fields" in words
    assert "Changes by will since you opened this page" in words


def test_both_texts_of_an_edit_conflict_are_kept_as_revisions(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"title": "Mine"}
    save_content(issue, content(title="Theirs"), by="will")
    edda.post(page_of(issue), sent | {"replace_revision": str(issue.revision)})

    kept = [content_of(revision).title for revision in issue.revisions.order_by("number")]
    assert kept == ["Taller cranes", "Theirs", "Mine"]


def test_a_story_gets_a_picture_without_javascript(edda: Client, issue: Issue) -> None:
    page = edda.get(page_of(issue)).content.decode()
    sent = form_data(edda, page_of(issue))
    picture = {"rows-2-image": "https://a.example/crane.jpg", "rows-2-alt": "A crane"}
    edda.post(page_of(issue), sent | picture)

    stories = list(load_content(issue).stories())
    assert page.index('name="rows-2-body"') < page.index('name="rows-2-image"')  # within <noscript>
    assert [(story.image, story.alt) for story in stories] == [tuple(picture.values()), ("", ""), ("", "")]
    shown = edda.get(page_of(issue)).content.decode()
    assert shown.index('name="rows-2-image"') < shown.index('name="rows-2-body"')  # now beside the other fields


def test_a_description_without_a_picture_is_reported_at_its_row(edda: Client, issue: Issue) -> None:
    page = edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"rows-2-alt": "A crane"})

    assert "The description has no image." in page.content.decode()


def test_blocks_can_be_composed_without_javascript(edda: Client, issue: Issue) -> None:
    extra = {"kind": "quote", "body": "Ports are quiet.", "source": "Ada"}
    sent = form_data(edda, page_of(issue)) | {f"rows-6-{name}": value for name, value in extra.items()}
    edda.post(page_of(issue), sent)

    assert load_content(issue).sections[-1] == SectionContent(
        kind=SectionKind.QUOTE, body="Ports are quiet.", source="Ada"
    )


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"kind": "button", "title": "Press"}, "The button has no link"),
        ({"kind": "image", "image": "http://a.example/x.png", "alt": "x"}, "The address must start with https://"),
        ({"kind": "image", "image": "https://a.example/x.png"}, "The image has no description"),
        ({"kind": "callout", "body": "x", "url": "https://a.example"}, "“Call-out” has no field “Link”"),
        ({"kind": "story", "title": "x", "image": "http://a.example/x.png"}, "must start with https://"),
        ({"kind": "quote", "body": "Dear {{ name }}"}, "would be sent as typed: templates are not run"),
        ({"kind": "story", "title": "For {first_name|you}"}, "Merge fields work in running text only"),
        ({"kind": "hologram", "title": "x"}, "not one of the available choices"),
        ({"kind": "links"}, "The link list is empty"),
    ],
)
def test_missing_and_unsupported_fields_of_a_block_are_reported_at_its_row(
    edda: Client, issue: Issue, row: dict[str, str], sentence: str
) -> None:
    before = load_content(issue)
    sent = form_data(edda, page_of(issue)) | {f"rows-6-{name}": value for name, value in row.items()}

    assert sentence in words_on(edda.post(page_of(issue), sent))
    assert load_content(issue) == before


def test_a_double_click_on_save_is_no_edit_conflict(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"title": "Mine"}
    for _ in range(2):
        assert edda.post(page_of(issue), sent).status_code == 302
    issue.refresh_from_db()
    assert (issue.title, issue.revision) == ("Mine", 2)


@pytest.mark.parametrize("slug", ["", "issue-1"])
def test_a_double_click_on_the_first_save_creates_one_issue(edda: Client, slug: str) -> None:
    written = content(slug=slug)
    data = envelope_data(written) | rows_data(rows_of(written)) | {"newsletter": make_newsletter().pk, "based_on": 0}
    first, second = edda.post(ADD, data), edda.post(ADD, data)
    assert second.status_code == 302
    assert second["Location"] == first["Location"] == page_of(Issue.objects.get())
    assert Issue.objects.get().revision == 1


def test_a_new_issue_never_replaces_another_issue_with_its_slug(edda: Client, issue: Issue) -> None:
    before, written = load_content(issue), content(title="Others")
    data = envelope_data(written) | rows_data(rows_of(written)) | {"newsletter": issue.newsletter_id, "based_on": 0}
    assert "already has the slug “issue-1”" in words_on(edda.post(ADD, data))
    assert load_content(Issue.objects.get()) == before


def test_a_draft_that_was_scheduled_before_cannot_be_deleted(edda: Client, issue: Issue) -> None:
    assert "Delete draft" in words_on(edda.get(page_of(issue)))
    unschedule_send(schedule_send(issue), by="sue", text="Not yet.")
    shown = words_on(edda.get(page_of(issue)))
    assert "This draft cannot be deleted" in shown
    assert "Delete draft" not in shown
    assert edda.post(page_of(issue, "delete"), {"post": "yes"}).status_code == 403
    (send,) = issue.sends.all()
    assert send.transitions.count() == 2


def test_a_newsletter_keeps_its_slug_once_an_issue_was_scheduled(edda: Client, issue: Issue) -> None:
    newsletter = issue.newsletter
    page = reverse("admin:newsletter_newsletter_change", args=[newsletter.pk])
    for slug in ("quay-notes", "dock-notes"):
        edda.post(page, form_data(edda, page, "//form[@id='newsletter_form']") | {"slug": slug})
        newsletter.refresh_from_db()
        if slug == "quay-notes":
            schedule_send(issue)  # from here on, the frozen mail contains the slug
    assert newsletter.slug == "quay-notes"
    assert "The slug can no longer change" in words_on(edda.get(page))


def test_a_stale_save_may_replace_the_revision_that_was_shown_and_no_later_one(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"title": "Mine"}
    save_content(issue, content(title="Theirs"), by="will")
    agreed = sent | {"replace_revision": str(issue.revision)}
    save_content(issue, content(title="Theirs again"), by="will")
    assert "a newer revision of this issue was saved" in words_on(edda.post(page_of(issue), agreed))
    edda.post(page_of(issue), sent | {"replace_revision": str(issue.revision)})
    issue.refresh_from_db()
    assert issue.title == "Mine"


def test_a_save_after_sending_started_is_refused_and_the_typed_text_stays(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-body": "Too late, but not lost."}
    before = load_content(issue)
    start_sending(issue)
    answer = edda.post(page_of(issue), sent)
    assert "The status of this issue is now “Sending”" in words_on(answer)
    assert "Too late, but not lost." in answer.content.decode()
    assert load_content(issue) == before


@pytest.mark.parametrize("status", [SendState.SENDING, SendState.CANCELLED])
def test_the_content_of_a_started_issue_is_read_only(edda: Client, issue: Issue, status: SendState) -> None:
    start_sending(issue)
    if status == SendState.CANCELLED:
        cancel_send(send_of(issue), by="tests")
    shown = edda.get(page_of(issue))
    assert "its content can no longer change" in words_on(shown)
    assert "Quay 1 gets a taller crane" in words_on(shown)
    assert 'id="issue_form"' not in shown.content.decode()


def test_an_editor_with_view_permission_only_sees_no_form_and_cannot_post_one(
    signed_in: Callable[[str], Client], issue: Issue
) -> None:
    lou = signed_in("lou")
    assert 'id="issue_form"' not in lou.get(page_of(issue)).content.decode()
    assert lou.post(page_of(issue), {"title": "Hers"}).status_code == 403


def test_posted_model_fields_that_the_form_lacks_are_ignored(edda: Client, issue: Issue) -> None:
    other = make_newsletter("other-notes")
    approval = {"state": "approved", "approved_revision": "2"}
    forged = approval | {"status": "sent", "revision": "99", "hold_reason": "x", "newsletter": str(other.pk)}
    edda.post(page_of(issue), form_data(edda, page_of(issue)) | forged | {"title": "Changed"})
    issue.refresh_from_db()
    assert (issue.title, issue.state, issue.revision, issue.hold_reason) == ("Changed", "draft", 2, "")
    assert issue.newsletter_id != other.pk


def test_only_drafts_can_be_deleted(edda: Client, issue: Issue) -> None:
    started = start_sending(make_issue("issue-2")).issue
    assert edda.post(page_of(started, "delete"), {"post": "yes"}).status_code == 403
    edda.post(page_of(issue, "delete"), {"post": "yes"})
    assert list(Issue.objects.all()) == [started]


def test_an_issue_of_two_hundred_rows_can_be_submitted(edda: Client) -> None:
    written = content(stories=200)
    data = envelope_data(written) | rows_data(rows_of(written))
    edda.post(ADD, data | {"newsletter": make_newsletter().pk, "based_on": 0})
    assert load_content(Issue.objects.get()) == written


sections_as_submitted = sections.filter(lambda section: is_trimmed(section) and all(map(is_trimmed, section.stories)))


def is_trimmed(part: SectionContent | StoryContent) -> bool:
    """Whether a form keeps it as it is: forms strip one-line fields and empty texts of blanks."""
    ends = [value for name in asdict(part) if isinstance(value := getattr(part, name), str) and name != "body"]
    is_row = isinstance(part, SectionContent) or any((*ends, part.body))
    body = part.body.replace("\u2028", " ")
    return is_row and all(value == value.strip() for value in ends) and (not part.body or bool(body.strip()))


@settings(deadline=None, max_examples=40)
@given(st.lists(sections_as_submitted, max_size=4))
def test_content_is_the_same_after_a_round_trip_through_rows(parts: list[SectionContent]) -> None:
    written = IssueContent(title="T", slug="t", date=datetime.date(2026, 11, 20), subject="T", sections=tuple(parts))
    data: dict[str, Any] = rows_data(rows_of(written))
    formset = row_formset(data, None)
    assert formset.is_valid(), formset.errors
    assert formset.sections() == written.sections


def test_text_typed_into_an_issue_that_was_deleted_meanwhile_can_be_saved_as_a_new_one(
    edda: Client, issue: Issue
) -> None:
    newsletter, written = issue.newsletter, load_content(issue)
    typed = form_data(edda, page_of(issue)) | {"preheader": "Typed for an hour"}
    typed.pop("newsletter")  # it cannot be changed, and browsers do not send such fields
    issue.delete()

    answer = edda.post(page_of(issue), typed)
    assert answer.status_code == 200
    assert not Issue.objects.exists()
    assert "This issue was deleted while you were writing" in words_on(answer)

    page = lxml_html.fromstring(answer.content.decode())
    assert page.xpath("string(//input[@name='preheader']/@value)") == "Typed for an hour"
    edda.post(page_of(issue), typed | {"newsletter": newsletter.pk})
    assert load_content(Issue.objects.get()) == replace(written, preheader="Typed for an hour")


def test_the_csrf_token_of_an_open_page_is_for_editors_only(edda: Client) -> None:
    url = reverse("admin:newsletter_issue_token")
    assert edda.get(url).json()["token"]
    assert Client().get(url).status_code == 302


def test_a_text_block_may_be_empty_above_stories_only() -> None:
    story = StoryContent(title="A", url="https://a.example", body="x")
    listed = (SectionContent(kind=SectionKind.TEXT, stories=(story,)),)
    alone = (SectionContent(kind=SectionKind.TEXT), SectionContent(title="B", body="x"))
    for parts, is_valid in ((listed, True), (alone, False)):
        assert row_formset(rows_data(rows_of(content(sections=parts))), None).is_valid() is is_valid
