"""Import and export of issue files: problems by line, confirmed replacement, and round trips."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin import files
from newsletter.content.issue_file import write_issue_file
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, Newsletter
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.publications import content, make_issue, make_newsletter, start_sending

IMPORT = reverse("admin:newsletter_issue_import")
DIGEST = """Harbour Log — 2026-11-20#

Signal of the day#
The harbour grows upwards.

Deep dives#
Taller cranes · Daily The crane lifts forty tonnes.
"""


@pytest.fixture
def newsletter(db: None) -> Newsletter:
    return make_newsletter()


def test_pasted_text_becomes_a_draft_and_the_result_page_counts_its_parts(edda: Client, newsletter: Newsletter) -> None:
    written = content()
    answer = edda.post(IMPORT, {"newsletter": newsletter.pk, "text": write_issue_file(written)})
    assert load_content(Issue.objects.get()) == written
    assert "A new draft was created" in words_on(answer)
    assert "Stories 3" in words_on(answer)


def test_guessed_sources_are_corrected_once_and_kept_for_the_next_digest(edda: Client, newsletter: Newsletter) -> None:
    lines = "\n".join(f"Tide {number} · Brett Mast Text {number} of it." for number in range(5))
    text = f"Log — 2026-07-01#\n\nDives#\n\n{lines}\nCrane · Quay News Nobody knows.\n"
    file = SimpleUploadedFile("digest.txt", text.encode())
    answer = edda.post(IMPORT, {"newsletter": newsletter.pk, "file": file})
    assert "2 sources were guessed" in words_on(answer)
    assert "was guessed in" not in words_on(answer)
    tree = lxml_html.fromstring(answer.content.decode())
    (form,) = tree.xpath("//form[.//input[@name='source']]")
    assert form.xpath(".//input[@name='source']/@value") == ["Brett Mast Text", "Quay"]
    data: dict[str, object] = {
        "newsletter": newsletter.pk,
        "replace": form.xpath(".//input[@name='replace']/@value")[0],
        "text": form.xpath(".//textarea")[0].text.removeprefix("\n"),
        "source": ["Brett  Mast", "Quay News"],
        "keep_sources": "on",
    }
    again = edda.post(IMPORT, data)
    assert "were guessed" not in words_on(again)
    assert "was guessed" not in words_on(again)
    stories = list(load_content(Issue.objects.get()).stories())
    assert {story.source for story in stories} == {"Brett Mast", "Quay News"}
    assert stories[0].body == "Text 0 of it."
    newsletter.refresh_from_db()
    assert newsletter.sources()[-2:] == ("Brett Mast", "Quay News")


def test_problems_are_shown_with_their_lines_and_the_text_is_kept(edda: Client, newsletter: Newsletter) -> None:
    bad = "---\ntitle: Cranes\ndate: yesterday\nmood: calm\n---\n\n## News\n\n### [Broken](no link here\n"
    answer = edda.post(IMPORT, {"newsletter": newsletter.pk, "text": bad})
    shown = words_on(answer)
    assert "Nothing was imported: " in shown
    assert "3 “yesterday” is not a date" in shown
    assert "4 “mood” is not a field" in shown
    assert "### [Broken](no link here" in answer.content.decode()
    assert not Issue.objects.exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xff\xfe\x00", "This line is not UTF-8."),
        (b"x" * 1_000_001, "This file is larger than 1 MB"),
        (b"", "Choose a file, or paste"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    edda: Client, newsletter: Newsletter, data: bytes, sentence: str
) -> None:
    file = SimpleUploadedFile("issue.md", data)
    answer = edda.post(IMPORT, {"newsletter": newsletter.pk, "file": file})
    words = words_on(answer)
    assert sentence in words or (not data and "file is empty" in words)
    assert not Issue.objects.exists()


def test_a_changed_draft_is_replaced_only_after_confirmation(edda: Client, issue: Issue) -> None:
    file = write_issue_file(content(title="From the file"))
    sent = {"newsletter": issue.newsletter_id, "text": file}
    asked = edda.post(IMPORT, sent)
    assert "A draft with this slug already exists" in words_on(asked)
    assert "<ins>From the file</ins>" in asked.content.decode()
    assert "<del>Taller cranes</del>" in asked.content.decode()
    issue.refresh_from_db()
    assert issue.title == "Taller cranes"
    revision = issue.revision
    save_content(issue, content(title="Edited meanwhile"), by="will")
    assert "A draft with this slug already exists" in words_on(edda.post(IMPORT, sent | {"replace": revision}))
    edda.post(IMPORT, sent | {"replace": issue.revision})
    issue.refresh_from_db()
    assert issue.title == "From the file"


@pytest.mark.parametrize("was_there", [True, False])
def test_text_that_is_saved_while_a_file_is_imported_is_kept(
    edda: Client, newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch, was_there: bool
) -> None:
    sent = {"newsletter": newsletter.pk, "text": write_issue_file(content(title="From the file"))}
    if was_there:
        sent["replace"] = make_issue().revision
    existing_draft = files._existing_draft

    def find_before_will_saves(*asked: Any) -> Issue | None:
        existing = existing_draft(*asked)
        save_content(Issue.objects.first() or make_issue(), content(title="Typed meanwhile"), by="will")
        return existing

    monkeypatch.setattr(files, "_existing_draft", find_before_will_saves)
    answer = edda.post(IMPORT, sent)
    assert "has been saved by someone else" in words_on(answer)
    assert "From the file" in answer.content.decode()
    assert Issue.objects.get().title == "Typed meanwhile"


def test_a_file_together_with_pasted_text_is_refused(edda: Client, newsletter: Newsletter) -> None:
    file = SimpleUploadedFile("issue.md", write_issue_file(content("from-file")).encode())
    sent = {"newsletter": newsletter.pk, "file": file, "text": write_issue_file(content("from-text"))}
    assert "You chose a file and also pasted text" in words_on(edda.post(IMPORT, sent))
    assert not Issue.objects.exists()


def test_the_same_file_again_changes_nothing(edda: Client, issue: Issue) -> None:
    sent = {"newsletter": issue.newsletter_id, "text": write_issue_file(load_content(issue))}
    assert "Nothing changed" in words_on(edda.post(IMPORT, sent))
    assert Issue.objects.get().revision == issue.revision


def test_an_import_never_changes_an_issue_that_was_sent(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    sent = {"newsletter": issue.newsletter_id, "text": write_issue_file(content(title="Too late"))}
    assert "the issue is no longer a draft" in words_on(edda.post(IMPORT, sent))
    assert load_content(issue).title == "Taller cranes"


def test_an_export_imports_as_the_same_issue(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "export"))
    assert answer["Content-Disposition"] == 'attachment; filename="issue-1.md"'
    assert answer.content.decode() == write_issue_file(load_content(issue))


def test_without_a_newsletter_the_import_redirects_to_adding_one(edda: Client) -> None:
    assert "Add a newsletter first" in words_on(edda.get(IMPORT, follow=True))


def test_the_untouched_form_is_refused_with_a_hint(edda: Client, newsletter: Newsletter) -> None:
    untouched = form_data(edda, IMPORT, "//form[@enctype]")
    assert "Choose a file, or paste" in words_on(edda.post(IMPORT, untouched))
