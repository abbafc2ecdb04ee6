"""Preview: the mail as subscribers see it, in sandboxed frames."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.client_emulation import invert_colour
from newsletter.admin.preview import CLIENTS
from newsletter.content.document import SectionContent, SectionKind
from newsletter.content.store import load_content, save_content
from newsletter.models import Edition, Issue, Newsletter
from newsletter.rendering import PLAIN
from newsletter.sending.freeze import prepare_edition
from subscribers.models import Subscriber, Subscription
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.people import ADA, ada, cleo, make_mailing_list, make_subscription
from tests.publications import content, start_sending

pytestmark = pytest.mark.any_database


def frame(editor: Client, issue: Issue, client: str = "desktop") -> str:
    return editor.get(page_of(issue, "preview_frame", client)).content.decode()


@pytest.mark.parametrize("client", [client for client in CLIENTS if client not in ("web", "headers")])
def test_each_emulated_client_has_a_page_and_a_frame_of_its_own(edda: Client, issue: Issue, client: str) -> None:
    page = edda.get(page_of(issue, "preview"), {"as": client}).content.decode()
    assert f'src="{page_of(issue, "preview_frame", client)}"' in page
    assert "Quay 1 gets a taller crane" in frame(edda, issue, client)


def test_the_preview_opens_with_desktop_and_phone_side_by_side(edda: Client, issue: Issue) -> None:
    page = edda.get(page_of(issue, "preview")).content.decode()
    assert page.count("<iframe") == 2
    for client in ("desktop", "phone"):
        assert f'src="{page_of(issue, "preview_frame", client)}"' in page


def test_the_frame_is_sandboxed_by_its_own_policy_and_only_the_site_may_embed_it(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "preview_frame", "desktop"))
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"


def test_links_of_one_recipient_are_samples(edda: Client, issue: Issue) -> None:
    for client in ("desktop", "text"):
        shown = frame(edda, issue, client)
        assert "/unsubscribe/" not in shown
        assert "/preferences/" not in shown
        assert shown.count("http://127.0.0.1:8000/harbour-notes/#only-a-sample") >= 2


def test_dark_and_light_do_not_depend_on_the_screen_of_the_editor(edda: Client, issue: Issue) -> None:
    dark, light = frame(edda, issue, "dark"), frame(edda, issue)
    assert "@media all" in dark
    assert "@media not all" in light
    assert "prefers-color-scheme" not in dark + light
    assert PLAIN.dark.paper in dark


def test_forced_dark_drops_the_dark_mode_rules_and_inverts_the_background(edda: Client, issue: Issue) -> None:
    forced, light = frame(edda, issue, "forced-dark"), frame(edda, issue)
    assert "@media not all" in forced
    assert PLAIN.light.paper in light
    assert invert_colour(PLAIN.light.paper) in forced
    assert PLAIN.light.paper not in forced


def test_without_images_their_descriptions_are_shown(edda: Client, issue: Issue) -> None:
    image = SectionContent(kind=SectionKind.IMAGE, image="https://harbour.example/crane.png", alt="A crane at dusk")
    save_content(issue, content(sections=(*content().sections, image)), by="tests")
    assert "crane.png" in frame(edda, issue)
    shown = frame(edda, issue, "no-pictures")
    assert "crane.png" not in shown
    assert ">A crane at dusk</span>" in shown


def test_the_headers_are_those_for_the_provider_with_sample_values(edda: Client, issue: Issue) -> None:
    shown = html.unescape(frame(edda, issue, "headers"))
    assert "From: Harbour Notes <notes@mail.example.org>" in shown
    assert "To: recipient@example.org" in shown
    assert "Subject: Taller cranes, quieter ferries" in shown
    assert "List-Unsubscribe: <http://127.0.0.1:8000/harbour-notes/#only-a-sample>" in shown
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in shown
    assert prepare_edition(issue).sha256 in shown
    assert "zq" not in shown.split("HTML part")[0]


def test_an_invalid_sender_is_reported_instead_of_the_headers(edda: Client, issue: Issue) -> None:
    Newsletter.objects.update(sender_name="boss@example.org")
    assert "From:" not in frame(edda, issue, "headers")
    assert "Quay 1 gets a taller crane" in frame(edda, issue)


def test_a_missing_theme_is_reported_on_the_page_and_in_the_frame(edda: Client, issue: Issue) -> None:
    Newsletter.objects.update(theme="velvet")
    assert "There is no theme with this name" in words_on(edda.get(page_of(issue, "preview")))
    assert "There is no theme with this name" in frame(edda, issue)


# As one recipient


@pytest.fixture
def greeted(issue: Issue) -> Issue:
    lead = SectionContent(title="Signal of the day", body="Hello {first_name|there}!")
    save_content(issue, content(sections=(lead, *content().sections[1:])), by="tests")
    return issue


@pytest.fixture
def hostile_ada(greeted: Issue) -> Subscription:
    subscription = ada(greeted.newsletter)
    Subscriber.objects.update(first_name='"><img src=x onerror=alert(1)>')
    return subscription


def test_without_a_recipient_fallbacks_are_shown(edda: Client, greeted: Issue) -> None:
    assert "Hello there!" in frame(edda, greeted)


@pytest.mark.parametrize("client", ["desktop", "text", "no-pictures"])
def test_the_mail_of_a_recipient_has_their_name_escaped_and_sample_links(
    edda: Client, greeted: Issue, hostile_ada: Subscription, client: str
) -> None:
    shown = edda.get(page_of(greeted, "preview_frame", client), {"reader": str(hostile_ada.pk)}).content.decode()
    assert "Hello &quot;&gt;&lt;img src=x onerror=alert(1)&gt;!" in shown
    assert "<img" not in shown
    assert "/unsubscribe/" not in shown
    assert str(hostile_ada.key) not in shown


def test_a_subscriber_is_found_by_part_of_the_address_and_stays_selected_in_other_clients(
    edda: Client, greeted: Issue, hostile_ada: Subscription
) -> None:
    cleo(greeted.newsletter)
    found = edda.get(page_of(greeted, "preview"), {"search": "EXAMPLE.org"})
    assert ADA in words_on(found)
    assert "cleo@" not in words_on(found)
    page = edda.get(page_of(greeted, "preview"), {"as": "dark", "reader": str(hostile_ada.pk)}).content.decode()
    assert f'src="{page_of(greeted, "preview_frame", "dark")}?reader={hostile_ada.pk}"' in page
    assert f"?as=text&amp;reader={hostile_ada.pk}" in page


@pytest.mark.parametrize("pk", ["0", "99999999999999999999999", "x", "-1", "' or 1=1"])
def test_an_unknown_recipient_is_not_found(edda: Client, issue: Issue, pk: str) -> None:
    assert edda.get(page_of(issue, "preview_frame", "desktop"), {"reader": pk}).status_code == 404


def test_only_subscribers_in_the_audience_can_be_selected(edda: Client, issue: Issue) -> None:
    elsewhere = make_subscription("other@example.org", make_mailing_list("other-notes"))
    for member in (cleo(issue.newsletter), elsewhere):
        answer = edda.get(page_of(issue, "preview_frame", "desktop"), {"reader": str(member.pk)})
        assert answer.status_code == 404


def test_editors_who_may_not_view_subscribers_see_no_search_and_no_mail_of_one(
    signed_in: Callable[[str], Client], greeted: Issue, hostile_ada: Subscription
) -> None:
    lou = signed_in("lou")
    page = lou.get(page_of(greeted, "preview"), {"search": "ada"})
    assert "Preview as subscriber" not in words_on(page)
    assert ADA not in words_on(page)
    for name, arguments in (("preview", ()), ("preview_frame", ("desktop",))):
        assert lou.get(page_of(greeted, name, *arguments), {"reader": str(hostile_ada.pk)}).status_code == 403


# The web page


def test_the_web_page_of_a_draft_is_for_editors_and_for_frames_of_the_site_only(
    edda: Client, signed_in: Callable[[str], Client], greeted: Issue
) -> None:
    url = reverse("draft", args=["harbour-notes", "issue-1"])
    assert f'src="{url}"' in edda.get(page_of(greeted, "preview"), {"as": "web"}).content.decode()
    shown = edda.get(url)
    assert "Hello there!" in shown.content.decode()
    assert "Quay 1 gets a taller crane" in shown.content.decode()
    policy = shown["Content-Security-Policy"]
    for part in ("sandbox allow-popups", "form-action 'none'", "frame-ancestors 'self'", "default-src 'none'"):
        assert part in policy
    assert (shown["X-Frame-Options"], shown["Cache-Control"]) == ("SAMEORIGIN", "no-store")
    assert "noindex" in shown["X-Robots-Tag"]
    for other in (Client(), signed_in("norm")):
        assert other.get(url).status_code == 404


def test_frames_are_neither_cached_nor_indexed(edda: Client, issue: Issue) -> None:
    for client in ("desktop", "text", "headers"):
        answer = edda.get(page_of(issue, "preview_frame", client))
        assert "no-store" in answer["Cache-Control"]
        assert answer["X-Robots-Tag"] == "noindex, nofollow"


def test_an_unknown_client_is_not_found(edda: Client, issue: Issue) -> None:
    assert edda.get(page_of(issue, "preview_frame", "smell")).status_code == 404


def test_unsaved_text_can_be_previewed_and_nothing_is_stored(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-title": "Only a thought"}
    before = load_content(issue)
    answer = edda.post(page_of(issue, "preview_unsaved"), sent)
    assert "Only a thought" in answer.content.decode()
    assert answer["Content-Security-Policy"].startswith("sandbox ")
    assert load_content(issue) == before
    assert not Edition.objects.exists()


def test_an_error_in_unsaved_text_is_reported_in_the_frame(edda: Client, issue: Issue) -> None:
    sent = form_data(edda, page_of(issue)) | {"rows-2-url": "javascript:alert(1)"}
    shown = edda.post(page_of(issue, "preview_unsaved"), sent).content.decode()
    assert "The text has errors" in shown
    assert "javascript:" not in shown


def test_hostile_text_is_escaped(edda: Client, issue: Issue) -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>"
    save_content(issue, content(sections=(SectionContent(title="<b>Bold</b>", body=hostile),)), by="tests")
    shown = frame(edda, issue)
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'href="javascript:' not in shown
    assert "&lt;b&gt;Bold" in shown
    assert "<b>Bold</b>" not in edda.get(page_of(issue)).content.decode()


def test_the_frozen_edition_of_a_sent_issue_is_shown(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    assert "This is the frozen edition" in words_on(edda.get(page_of(issue, "preview")))
    assert "Quay 1 gets a taller crane" in frame(edda, issue)


def test_the_frame_beside_the_compose_page_may_be_scrolled_and_runs_nothing(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "preview_beside", "desktop"))
    policy, text = answer["Content-Security-Policy"], answer.content.decode()
    assert policy.startswith("sandbox allow-same-origin allow-popups ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert re.search(r'<head[^>]*><meta name="mail-bytes" content="\d{4,6}">', text)
    frame = lxml_html.fromstring(edda.get(page_of(issue)).content.decode()).xpath("//iframe[@name='preview']")[0]
    assert frame.get("sandbox") == "allow-same-origin allow-popups allow-popups-to-escape-sandbox"
    assert edda.get(page_of(issue, "preview_beside", "headers")).status_code == 404
