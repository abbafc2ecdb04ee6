"""The source of an edition: the text of a mail is in the newsletter's language, and part of its hash."""

from __future__ import annotations

import pytest
from django.utils import translation

from newsletter.config import translatable
from newsletter.models import Issue, Newsletter
from newsletter.sending.freeze import freeze_edition
from newsletter.sending.source import source_hash, source_of


def issue_in(issue: Issue, language: str) -> Issue:
    Newsletter.objects.update(language=language)
    return Issue.objects.get(pk=issue.pk)


@pytest.mark.parametrize(
    ("language", "date"),
    [
        ("en", "Wednesday, 1 July 2026"),
        ("de", "Mittwoch, 1. Juli 2026"),
        ("de-AT", "Mittwoch, 1. Juli 2026"),
        ("fr", "mercredi 1 juillet 2026"),
        ("es", "miércoles, 1 de julio de 2026"),
    ],
)
def test_dates_of_mails_follow_the_language_of_the_newsletter(issue: Issue, language: str, date: str) -> None:
    Issue.objects.update(date="2026-07-01")
    edition = freeze_edition(issue_in(issue, language))
    assert date in edition.html
    assert date in edition.text


@pytest.mark.parametrize("language", ["en", "xx", "ar"])
def test_without_translations_mails_are_in_english(issue: Issue, language: str) -> None:
    assert "View in browser" in freeze_edition(issue_in(issue, language)).text


def test_the_language_of_the_editor_does_not_matter(issue: Issue) -> None:
    with translation.override("de"):
        in_german = source_of(issue).words
    assert source_of(issue).words == in_german


def test_a_changed_translation_changes_the_source(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = freeze_edition(issue)
    monkeypatch.setattr(translatable, "_gettext", lambda message: {"Unsubscribe": "Stop mails"}.get(message, message))
    assert source_hash(issue, source_of(issue)) != first.source_sha256
    assert "Stop mails" in freeze_edition(issue).text
