"""Freezing: an issue is rendered once for all recipients, not again while it is unchanged, and never changed later."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from newsletter.config.translatable import from_data, to_data
from newsletter.content.store import save_content
from newsletter.models import Brand, Edition, EditionIsFrozen, Issue, Newsletter
from newsletter.rendering import RenderingError
from newsletter.rendering.theme import SHIPPED_THEMES
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import edition_hash, freeze_edition, prepare_edition
from newsletter.sending.source import words_of
from tests.publications import content


def test_an_edition_has_the_shared_content_and_placeholders_for_the_rest(issue: Issue) -> None:
    edition = freeze_edition(issue)
    assert edition.subject == "Taller cranes, quieter ferries"
    assert "Quay 3 gets a taller crane" in edition.html
    assert "Quay 3 gets a taller crane" in edition.text
    assert f"zq{edition.nonce}x" in edition.html
    assert edition.content["sections"][1]["stories"][0]["url"] == "https://harbour.example/cranes/1"
    assert [link["url"] for link in edition.links] == [f"https://harbour.example/cranes/{n}" for n in (1, 2, 3)]


def test_the_mail_offers_to_reply_to_sign_up_and_to_follow_the_feed(issue: Issue) -> None:
    newsletter = issue.newsletter
    html = freeze_edition(issue).html
    assert f'href="mailto:{newsletter.reply_to}?subject=' in html
    assert f'/subscribe/{newsletter.slug}/"' in html
    assert f'/{newsletter.slug}/feed.atom"' in html
    Newsletter.objects.update(reply_to="")
    html = freeze_edition(Issue.objects.get(pk=issue.pk)).html
    assert f'href="mailto:{newsletter.sender_email}?subject=' in html


@pytest.mark.parametrize(
    ("language", "date", "day"),
    [
        ("de", "Dienstag, 3. November 2026", "Dienstag, 3. November"),
        ("fr", "mardi 3 novembre 2026", "mardi 3 novembre"),
    ],
)
def test_a_date_is_written_in_words_with_and_without_its_year(issue: Issue, language: str, date: str, day: str) -> None:
    issue.newsletter.language = language
    words = words_of(issue.newsletter, content(date=datetime.date(2026, 11, 3)))
    assert (words.date.lower(), words.day.lower()) == (date.lower(), day.lower())


@pytest.mark.parametrize("theme", ["plain", "workbench", "gazette", "letter"])
def test_the_number_of_the_issue_is_in_the_masthead_unless_the_title_names_it(issue: Issue, theme: str) -> None:
    Newsletter.objects.update(theme=theme)
    Issue.objects.update(number=1048)
    edition = freeze_edition(Issue.objects.select_related("newsletter").get())
    assert "No. 1048" in edition.html
    assert "No. 1048" in edition.text
    save_content(issue, content(title="Harbour Notes #1048"), by="tests")
    assert "No. 1048" not in freeze_edition(Issue.objects.select_related("newsletter").get()).html


def test_freezing_an_unchanged_issue_returns_the_same_edition(issue: Issue) -> None:
    assert freeze_edition(issue).pk == freeze_edition(issue).pk


def forbid_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("The issue was rendered again.")

    monkeypatch.setattr("newsletter.sending.source.render_issue", fail)


def test_an_issue_that_is_changed_back_is_not_rendered_again(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = freeze_edition(issue)
    save_content(issue, content(preheader="Another line."), by="tests")
    freeze_edition(issue)
    save_content(issue, content(), by="tests")
    forbid_rendering(monkeypatch)
    again = freeze_edition(Issue.objects.get(pk=issue.pk))
    assert again == first
    assert edition_hash(issue) == first.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Quay Notes"},
        {"postal_address": "1 Other Street"},
        {"sender_email": "other@mail.example.org"},
        {"reply_to": ""},
        {"language": "de"},
        {"logo_url": "https://harbour.example/logo.png"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_source_depends_on_each_field_of_the_newsletter(issue: Issue, change: dict[str, str]) -> None:
    first = freeze_edition(issue)
    Newsletter.objects.update(**change)
    assert freeze_edition(Issue.objects.get(pk=issue.pk)).source_sha256 != first.source_sha256


@pytest.mark.parametrize(
    "change",
    [
        {"accent": "#7a1f5c"},
        {"accent_dark": "#e8b27a"},
        {"paper": "warm"},
        {"heading_font": "old-serif"},
        {"text_font": "old-serif"},
        {"logo_dark_url": "https://harbour.example/night.png"},
        {"logo_alt": "A lighthouse"},
        {"writer": "Ada Meyer"},
        {"portrait_url": "https://harbour.example/ada.png"},
        {"tagline": "Ships, weekly"},
        {"footer": "A person reads every answer."},
        {"links": [["Mastodon", "https://social.example/@log"]]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_source_depends_on_each_field_of_the_brand(issue: Issue, change: dict[str, Any]) -> None:
    first = freeze_edition(issue)
    Brand.objects.create(newsletter=issue.newsletter, **change)
    again = freeze_edition(Issue.objects.get(pk=issue.pk))
    assert again.source_sha256 != first.source_sha256
    assert Edition.objects.get(pk=first.pk).html == first.html


@pytest.mark.parametrize("part", ["PROGRAM_HASH", "templates_hash"])
def test_an_update_of_the_code_or_the_templates_renders_the_issue_again(
    issue: Issue, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze_edition(issue)
    value = {"PROGRAM_HASH": "another", "templates_hash": lambda: b"another"}[part]
    monkeypatch.setattr(f"newsletter.sending.source.{part}", value)
    forbid_rendering(monkeypatch)
    with pytest.raises(AssertionError, match="was rendered again"):
        freeze_edition(issue)


def test_the_same_bytes_from_another_source_give_the_same_edition(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = freeze_edition(issue)
    monkeypatch.setattr("newsletter.sending.source.PROGRAM_HASH", "another")
    again = freeze_edition(issue)
    assert again == first
    assert again.source_sha256 != first.source_sha256
    forbid_rendering(monkeypatch)
    assert freeze_edition(issue) == first


def test_an_edited_theme_renders_the_issue_again(issue: Issue, tmp_path: Path, settings: Any) -> None:
    own = tmp_path / "quay"
    shutil.copytree(SHIPPED_THEMES / "plain", own)
    settings.THEME_FOLDERS = (tmp_path,)
    Newsletter.objects.update(theme="quay")
    issue = Issue.objects.get(pk=issue.pk)
    first = freeze_edition(issue)
    (own / "style.css").write_text("h1 { color: #102233 }")
    second = freeze_edition(issue)
    assert first.source_sha256 != second.source_sha256
    assert "#102233" in second.html


def test_an_edition_can_be_prepared_without_storing_it(issue: Issue) -> None:
    prepared = prepare_edition(issue)
    assert prepared._state.adding
    assert not Edition.objects.exists()
    assert freeze_edition(issue).sha256 == prepared.sha256 == edition_hash(issue)


def test_a_missing_theme_is_an_error_and_no_other_theme_is_used(issue: Issue) -> None:
    Newsletter.objects.update(theme="velvet")
    with pytest.raises(RenderingError, match="no theme with this name"):
        freeze_edition(Issue.objects.get(pk=issue.pk))
    assert not Edition.objects.exists()


def test_a_changed_issue_gets_another_edition_and_keeps_the_first(issue: Issue) -> None:
    first = freeze_edition(issue)
    save_content(issue, content(preheader="Another line."), by="tests")
    second = freeze_edition(issue)
    assert (first.sha256 != second.sha256, Edition.objects.count()) == (True, 2)


def test_a_frozen_edition_cannot_be_changed(issue: Issue) -> None:
    edition = freeze_edition(issue)
    edition.subject = "Something else"
    with pytest.raises(EditionIsFrozen):
        edition.save()
    with pytest.raises(EditionIsFrozen):
        Edition.objects.filter(pk=edition.pk).update(subject="Something else")


def test_the_headers_name_the_one_click_unsubscribe_address(issue: Issue) -> None:
    headers = freeze_edition(issue).envelope["headers"]
    assert headers["List-Unsubscribe"].startswith("<zq")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Id"] == f"<list-{issue.newsletter_id}.127.0.0.1>"
    assert headers["Feedback-ID"].count(":") == 3


def test_the_list_id_does_not_change_when_the_newsletter_is_renamed(issue: Issue) -> None:
    before = freeze_edition(issue).envelope["headers"]["List-Id"]
    issue.newsletter.name = "Quay Notes"
    issue.newsletter.save()
    assert freeze_edition(issue).envelope["headers"]["List-Id"] == before


@pytest.mark.parametrize("name", ["Notes\r\nBcc: x@example.org", "Notes\u2028", "Notes\u202e", "boss@example.org"])
def test_a_sender_name_that_could_forge_a_header_is_refused(issue: Issue, name: str) -> None:
    issue.newsletter.sender_name = name
    with pytest.raises(EnvelopeError):
        freeze_edition(issue)
    assert not Edition.objects.exists()


def test_a_refusal_that_is_stored_is_shown_in_the_language_of_whoever_reads_it(issue: Issue) -> None:
    issue.newsletter.sender_email = "notes"
    with pytest.raises(EnvelopeError) as refusal:
        freeze_edition(issue)
    stored = to_data(refusal.value.args[0])
    assert str(from_data(stored)).startswith("The newsletter has no valid sender. Enter an email address such as")
    with translation.override("de"):
        assert str(from_data(stored)).startswith("Der Newsletter hat keinen gültigen Absender. Geben Sie eine")
