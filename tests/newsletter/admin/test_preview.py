"""Preview: the mail as readers see it, in a frame that can do nothing to anybody."""

from __future__ import annotations

import pytest
from django.test import Client

from newsletter.content.document import SectionContent
from newsletter.content.store import load_content, save_content
from newsletter.models import Edition, Issue
from newsletter.rendering import PLAIN
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.publications import content, start_sending


def frame(client: Client, issue: Issue, look: str = "desktop") -> str:
    return client.get(page_of(issue, "preview_frame", look)).content.decode()


@pytest.mark.parametrize("look", ["desktop", "phone", "dark", "text"])
def test_each_look_has_a_page_and_a_frame_of_its_own(edda: Client, issue: Issue, look: str) -> None:
    page = edda.get(page_of(issue, "preview"), {"as": look}).content.decode()
    assert f'src="{page_of(issue, "preview_frame", look)}"' in page
    assert "Quay 1 gets a taller crane" in frame(edda, issue, look)


def test_the_frame_is_sandboxed_by_its_own_policy_and_only_we_may_embed_it(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "preview_frame", "desktop"))
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"


def test_links_that_belong_to_a_reader_are_samples(edda: Client, issue: Issue) -> None:
    for look in ("desktop", "text"):
        shown = frame(edda, issue, look)
        assert "/unsubscribe/" not in shown
        assert "/preferences/" not in shown
        assert shown.count("http://127.0.0.1:8000/harbour-notes/#only-a-sample") >= 2


def test_dark_is_dark_and_light_is_light_whatever_the_editor_uses(edda: Client, issue: Issue) -> None:
    dark, light = frame(edda, issue, "dark"), frame(edda, issue)
    assert "@media all" in dark
    assert "@media not all" in light
    assert "prefers-color-scheme" not in dark + light
    assert PLAIN.dark.paper in dark


def test_an_unknown_look_is_not_found(edda: Client, issue: Issue) -> None:
    assert edda.get(page_of(issue, "preview_frame", "smell")).status_code == 404


def test_what_is_typed_and_not_saved_can_be_seen_and_nothing_is_stored(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-title": "Only a thought"}
    before = load_content(issue)
    answer = edda.post(page_of(issue, "preview_unsaved"), sent)
    assert "Only a thought" in answer.content.decode()
    assert answer["Content-Security-Policy"].startswith("sandbox ")
    assert load_content(issue) == before
    assert not Edition.objects.exists()


def test_unsaved_text_with_a_fault_says_so_in_the_frame(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-url": "javascript:alert(1)"}
    shown = edda.post(page_of(issue, "preview_unsaved"), sent).content.decode()
    assert "The text has problems" in shown
    assert "javascript:" not in shown


def test_hostile_words_arrive_as_words(edda: Client, issue: Issue) -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>"
    save_content(issue, content(sections=(SectionContent(title="<b>Bold</b>", body=hostile),)), by="tests")
    shown = frame(edda, issue)
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'href="javascript:' not in shown
    assert "&lt;b&gt;Bold" in shown
    assert "<b>Bold</b>" not in edda.get(page_of(issue)).content.decode()


def test_past_draft_the_frozen_edition_is_shown(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    assert "This is the frozen edition" in words_on(edda.get(page_of(issue, "preview")))
    assert "Quay 1 gets a taller crane" in frame(edda, issue)
