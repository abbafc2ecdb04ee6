"""Freezing: once for all readers, the same again while nothing changes, never changed afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from newsletter.content.store import save_content
from newsletter.models import Edition, EditionIsFrozen, Issue, Newsletter
from newsletter.rendering import RenderingError
from newsletter.rendering.theme import SHIPPED_THEMES
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import edition_hash, freeze_edition, prepare_edition
from tests.publications import content


def test_an_edition_holds_all_that_readers_share_and_slots_where_they_differ(issue: Issue) -> None:
    edition = freeze_edition(issue)
    assert edition.subject == "Taller cranes, quieter ferries"
    assert "Quay 3 gets a taller crane" in edition.html
    assert "Quay 3 gets a taller crane" in edition.text
    assert f"zq{edition.nonce}x" in edition.html
    assert edition.content["sections"][1]["stories"][0]["url"] == "https://harbour.example/cranes/1"
    assert [link["url"] for link in edition.links] == [f"https://harbour.example/cranes/{n}" for n in (1, 2, 3)]


def test_freezing_an_unchanged_issue_gives_the_same_edition(issue: Issue) -> None:
    assert freeze_edition(issue).pk == freeze_edition(issue).pk


def rendering_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("It was rendered again.")

    monkeypatch.setattr("newsletter.sending.source.render_issue", fail)


def test_what_has_not_changed_is_not_rendered_again(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = freeze_edition(issue)
    save_content(issue, content(preheader="Another line."), by="tests")
    freeze_edition(issue)
    save_content(issue, content(), by="tests")
    rendering_fails(monkeypatch)
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
def test_whatever_the_newsletter_contributes_is_part_of_the_source(issue: Issue, change: dict[str, str]) -> None:
    first = freeze_edition(issue)
    Newsletter.objects.update(**change)
    assert freeze_edition(Issue.objects.get(pk=issue.pk)).source_sha256 != first.source_sha256


@pytest.mark.parametrize("part", ["PROGRAM_DIGEST", "templates_digest"])
def test_after_an_update_of_the_program_or_its_templates_it_is_rendered_anew(
    issue: Issue, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze_edition(issue)
    value = {"PROGRAM_DIGEST": "another", "templates_digest": lambda: b"another"}[part]
    monkeypatch.setattr(f"newsletter.sending.source.{part}", value)
    rendering_fails(monkeypatch)
    with pytest.raises(AssertionError, match="rendered again"):
        freeze_edition(issue)


def test_the_same_bytes_from_another_source_are_the_same_edition(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = freeze_edition(issue)
    monkeypatch.setattr("newsletter.sending.source.PROGRAM_DIGEST", "another")
    assert freeze_edition(issue) == first


def test_a_theme_that_was_edited_is_rendered_anew(issue: Issue, tmp_path: Path, settings: Any) -> None:
    own = tmp_path / "quay"
    shutil.copytree(SHIPPED_THEMES / "plain", own)
    settings.THEME_FOLDERS = (tmp_path,)
    Newsletter.objects.update(theme="quay")
    issue = Issue.objects.get(pk=issue.pk)
    first = freeze_edition(issue)
    (own / "style.css").write_text("h1 { color: #112233 }")
    second = freeze_edition(issue)
    assert first.source_sha256 != second.source_sha256
    assert "#112233" in second.html


def test_an_edition_can_be_looked_at_before_it_is_frozen(issue: Issue) -> None:
    prepared = prepare_edition(issue)
    assert prepared._state.adding
    assert not Edition.objects.exists()
    assert freeze_edition(issue).sha256 == prepared.sha256 == edition_hash(issue)


def test_a_theme_that_is_gone_is_said_and_no_other_look_goes_out(issue: Issue) -> None:
    Newsletter.objects.update(theme="velvet")
    with pytest.raises(RenderingError, match="no theme of this name"):
        freeze_edition(Issue.objects.get(pk=issue.pk))
    assert not Edition.objects.exists()


def test_a_change_gives_another_edition_and_leaves_the_first(issue: Issue) -> None:
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


def test_the_headers_say_where_to_leave_with_one_click(issue: Issue) -> None:
    headers = freeze_edition(issue).envelope["headers"]
    assert headers["List-Unsubscribe"].startswith("<zq")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Id"] == f"<list-{issue.newsletter_id}.127.0.0.1>"
    assert headers["Feedback-ID"].count(":") == 3


def test_the_list_id_stays_when_the_newsletter_is_renamed(issue: Issue) -> None:
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
