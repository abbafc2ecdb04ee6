"""Drafts from something that exists, in the admin: duplicate, like the last, templates, snippets, recurring drafts."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.document import SectionContent, SectionKind
from newsletter.content.snippets import save_version
from newsletter.content.store import load_content, save_content
from newsletter.content.templates import content_of_template, template_content
from newsletter.models import Issue, IssueTemplate, Newsletter, RecurringDraft, Snippet, SnippetVersion
from tests.newsletter.admin.pages import envelope_data, form_data, page_of, rows_data, words_on
from tests.publications import content, make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.any_database

LIST = reverse("admin:newsletter_issue_changelist")
LIKE_LAST = reverse("admin:newsletter_issue_like_last")
IMPRINT = "## {callout}\nWritten on the quay."


def admin_url(model: str, page: str, *arguments: object) -> str:
    return reverse(f"admin:newsletter_{model}_{page}", args=arguments)


def template_of(newsletter: Newsletter, **fields: Any) -> IssueTemplate:
    stored = {"name": "Weekly", "content": template_content(content()), "saved_by": "edda", **fields}
    return IssueTemplate.objects.create(newsletter=newsletter, **stored)


def snippet_of(newsletter: Newsletter, *texts: str) -> Snippet:
    snippet = Snippet.objects.create(newsletter=newsletter, name="Imprint")
    for text in texts:
        save_version(snippet, text, by="edda")
    return snippet


# --- Duplicate, and like the last


def test_a_sent_issue_is_duplicated_from_the_list(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    button = lxml_html.fromstring(edda.get(LIST).content.decode()).xpath("//button[@form='row-form']")[0]
    answer = edda.post(button.get("formaction"), follow=True)
    assert "“Copy of Taller cranes” is a new draft with the content of “Taller cranes”." in words_on(answer)
    assert load_content(Issue.objects.latest("pk")).sections == load_content(issue).sections


@pytest.mark.parametrize(("name", "status"), [("will", 302), ("sue", 403), ("lou", 403)])
def test_only_those_who_may_add_issues_make_drafts(
    name: str, status: int, issue: Issue, signed_in: Callable[[str], Client]
) -> None:
    template, client = template_of(issue.newsletter), signed_in(name)
    urls = [page_of(issue, "duplicate"), LIKE_LAST, admin_url("issuetemplate", "use", template.pk)]
    assert [client.post(url).status_code for url in urls] == [status] * 3
    assert Issue.objects.count() == (4 if status == 302 else 1)
    assert "row-form" not in client.get(LIST).content.decode() or status == 302


def test_with_one_newsletter_a_draft_like_the_last_takes_one_click(edda: Client, issue: Issue) -> None:
    answer = edda.post(LIKE_LAST, follow=True)
    assert "is a new draft with the sections of the last issue" in words_on(answer)
    assert Issue.objects.count() == 2


def test_with_several_newsletters_the_editor_chooses(edda: Client, issue: Issue) -> None:
    other = make_newsletter("quay-notes", name="Quay Notes")
    make_issue(newsletter=other)
    assert "Choose the newsletter." in words_on(edda.post(LIKE_LAST))
    edda.post(LIKE_LAST, {"newsletter": other.pk})
    assert Issue.objects.latest("pk").newsletter == other


def test_without_an_issue_the_sentence_says_what_to_do(edda: Client) -> None:
    make_newsletter()
    assert "“Harbour Notes” has no issue yet. Start with an empty one." in words_on(edda.post(LIKE_LAST, follow=True))


# --- Slugs and numbers


def test_a_slug_that_is_made_from_the_title_is_never_refused(edda: Client, issue: Issue) -> None:
    add = admin_url("issue", "add")
    for _ in range(2):
        # Other texts: the same would be a double click.
        text = {"preheader": f"Number {Issue.objects.count()}"}
        data = envelope_data(content(slug="")) | rows_data([]) | text | {"newsletter": issue.newsletter_id}
        edda.post(add, form_data(edda, add) | data)
    assert list(Issue.objects.order_by("pk").values_list("slug", flat=True)) == [
        "issue-1",
        "taller-cranes",
        "taller-cranes-2",
    ]


def test_a_number_is_stored_and_that_of_another_issue_is_refused(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue), form_data(edda, page_of(issue)) | {"number": "48"})
    assert Issue.objects.get().number == 48
    other = make_issue("issue-2")
    answer = edda.post(page_of(other), form_data(edda, page_of(other)) | {"number": "48"})
    assert "Another issue of Harbour Notes already has the number 48." in words_on(answer)


@pytest.mark.parametrize(
    ("pattern", "fault"), [("{newsletter} #{nummer}", "Character 15"), ("{date", "no closing brace"), ("#{number}", "")]
)
def test_the_title_pattern_of_a_newsletter_is_checked(edda: Client, issue: Issue, pattern: str, fault: str) -> None:
    url = admin_url("newsletter", "change", issue.newsletter_id)
    answer = edda.post(url, form_data(edda, url, "//form[@id='newsletter_form']") | {"title_pattern": pattern})
    assert fault in words_on(answer) if fault else answer.status_code == 302
    assert make_newsletter().title_pattern == ("" if fault else pattern)


def test_an_empty_issue_has_the_next_title_and_number_of_the_pattern(edda: Client) -> None:
    newsletter = make_newsletter(title_pattern="{newsletter} #{number}")
    add = admin_url("issue", "add")
    shown = form_data(edda, add)
    assert (shown["title"], shown["number"]) == ("Harbour Notes #1", "1")
    edda.post(add, shown | {"newsletter": str(newsletter.pk)})
    assert form_data(edda, add)["title"] == "Harbour Notes #2"


# --- Templates


def test_an_issue_is_saved_as_a_template_without_its_stories(edda: Client, issue: Issue) -> None:
    url = page_of(issue, "save_as_template")
    answer = edda.post(url, {"name": "Weekly", "title_pattern": "Week {week}", "subject_pattern": ""}, follow=True)
    assert "The template “Weekly” is saved." in words_on(answer)
    kept = content_of_template(IssueTemplate.objects.get())
    assert [section.title for section in kept.sections] == ["Signal of the day", "Deep dives", "The pattern"]
    assert not list(kept.stories())
    again = edda.post(url, {"name": "Weekly", "title_pattern": "{wek}"})
    assert "already has a template “Weekly”" in words_on(again)
    assert "“{wek}” is not known" in words_on(again)


def test_a_template_is_edited_as_markdown_and_keeps_its_categories(edda: Client, issue: Issue) -> None:
    template = template_of(issue.newsletter)
    url = admin_url("issuetemplate", "change", template.pk)
    data = form_data(edda, url, "//form[@id='issuetemplate_form']")
    assert data["text"].startswith("## Signal of the day")
    edda.post(url, data | {"text": "## Tides\n\nAll times are local.\n"})
    kept = content_of_template(IssueTemplate.objects.get())
    assert kept.sections == (SectionContent(title="Tides", body="All times are local."),)
    assert kept.categories == ("News", "Tech")


def test_faults_of_a_template_are_named_with_their_lines(edda: Client, issue: Issue) -> None:
    data = {"newsletter": issue.newsletter_id, "name": "Odd", "text": "## Tides\n\n# Title\n", "title_pattern": "{x}"}
    words = words_on(edda.post(admin_url("issuetemplate", "add"), data))
    assert "Line 3: Only the title at the top has one #." in words
    assert "Character 1: “{x}” is not known." in words
    assert not IssueTemplate.objects.exists()


def test_a_template_is_previewed_and_used(edda: Client, issue: Issue) -> None:
    template = template_of(issue.newsletter, title_pattern="Week {week} of {newsletter}")
    frame = edda.get(admin_url("issuetemplate", "frame", template.pk)).content.decode()
    assert "The harbour grows" in frame
    assert "of Harbour Notes" in frame
    answer = edda.post(admin_url("issuetemplate", "use", template.pk), follow=True)
    assert "is a new draft from the template “Weekly”." in words_on(answer)


def test_a_template_that_cannot_be_read_is_written_again(edda: Client, issue: Issue) -> None:
    template = template_of(issue.newsletter, content={"sections": 1})
    url = admin_url("issuetemplate", "change", template.pk)
    assert "“Weekly” cannot be read by this version" in words_on(edda.get(url))
    assert "cannot be read" in edda.get(admin_url("issuetemplate", "frame", template.pk)).content.decode()
    edda.post(url, form_data(edda, url, "//form[@id='issuetemplate_form']") | {"text": "## Tides"})
    assert content_of_template(IssueTemplate.objects.get()).sections == (SectionContent(title="Tides"),)


# --- Snippets


def test_each_text_of_a_snippet_is_a_version(edda: Client, issue: Issue) -> None:
    data = {"newsletter": issue.newsletter_id, "name": "Imprint", "text": IMPRINT}
    edda.post(admin_url("snippet", "add"), data)
    url = admin_url("snippet", "change", Snippet.objects.get().pk)
    for text in (IMPRINT, IMPRINT.replace("quay", "pier")):
        edda.post(url, data | {"text": text})
    assert list(SnippetVersion.objects.values_list("number", "saved_by")) == [(2, "edda"), (1, "edda")]
    assert "Version 2:" in words_on(edda.get(url))


@pytest.mark.parametrize(
    ("text", "fault"), [("", "at least one section, block or story"), ("# Title\n\n# Title", "Line ")]
)
def test_a_text_without_rows_is_refused(edda: Client, issue: Issue, text: str, fault: str) -> None:
    data = {"newsletter": issue.newsletter_id, "name": "Imprint", "text": text}
    assert fault in words_on(edda.post(admin_url("snippet", "add"), data))
    assert not Snippet.objects.exists()


def test_a_snippet_is_inserted_and_its_new_version_offered(edda: Client, issue: Issue) -> None:
    snippet = snippet_of(issue.newsletter, IMPRINT)
    url = page_of(issue, "snippets")
    edda.post(url, {"insert": snippet.versions.get().pk})
    callout = SectionContent(kind=SectionKind.CALLOUT, body="Written on the quay.")
    assert load_content(issue).sections[-1] == callout
    assert "has a newer version" not in words_on(edda.get(page_of(issue)))

    save_version(snippet, IMPRINT.replace("quay", "pier"), by="edda")
    assert "1 snippet in this draft has a newer version." in words_on(edda.get(page_of(issue)))
    assert "“Imprint”, version 1, in row 7" in words_on(edda.get(url))
    edda.post(url, {"update-6": "1"})

    issue.refresh_from_db()
    assert load_content(issue).sections[-1].body == "Written on the pier."
    assert "newer version" not in words_on(edda.get(page_of(issue)))


def test_a_copy_that_was_changed_is_left_alone(edda: Client, issue: Issue) -> None:
    snippet_of(issue.newsletter, IMPRINT, IMPRINT.replace("quay", "pier"))
    own = SectionContent(kind=SectionKind.CALLOUT, body="Written on the quay, by hand.")
    save_content(issue, content(sections=(own,)), by="edda")
    assert "newer version" not in words_on(edda.get(page_of(issue)))


def test_the_menu_of_blocks_has_the_snippets_of_the_newsletter(edda: Client, issue: Issue) -> None:
    snippet_of(issue.newsletter, IMPRINT)
    snippet_of(make_newsletter("quay-notes"), IMPRINT)
    tree = lxml_html.fromstring(edda.get(page_of(issue)).content.decode())
    assert [button.text for button in tree.xpath("//button[@data-snippet]")] == ["Imprint"]
    assert "Written on the quay." in tree.xpath("//button/@data-snippet")[0]


# --- Recurring drafts


def test_a_recurring_draft_is_planned_anew_when_its_time_changes(edda: Client, issue: Issue) -> None:
    add = admin_url("recurringdraft", "add")
    data = {"newsletter": issue.newsletter_id, "weekday": 4, "time": "16:00", "is_active": "on", "most_links": 5}
    edda.post(add, data)
    recurring = RecurringDraft.objects.get()
    planned = datetime.datetime(2026, 12, 4, 15, tzinfo=datetime.UTC)
    RecurringDraft.objects.update(next_at=planned, next_date=planned.date())
    url = admin_url("recurringdraft", "change", recurring.pk)
    edda.post(url, data | {"section": "Links"})
    assert RecurringDraft.objects.get().next_at == planned
    edda.post(url, data | {"time": "17:00"})
    assert RecurringDraft.objects.get().next_at is None
    assert "Not planned yet." in words_on(edda.get(url))


def test_the_template_of_another_newsletter_is_refused(edda: Client, issue: Issue) -> None:
    template = template_of(make_newsletter("quay-notes", name="Quay Notes"))
    data = {"newsletter": issue.newsletter_id, "weekday": 4, "time": "16:00", "most_links": 0, "template": template.pk}
    words = words_on(edda.post(admin_url("recurringdraft", "add"), data))
    assert "This template belongs to “Quay Notes”." in words
    assert not RecurringDraft.objects.exists()
