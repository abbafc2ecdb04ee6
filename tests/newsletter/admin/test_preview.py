"""Preview: the mail as readers see it, in a frame that can do nothing to anybody."""

from __future__ import annotations

import html
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from newsletter.admin.client_emulation import invert_colour
from newsletter.admin.preview import LOOKS
from newsletter.content.document import SectionContent, SectionKind
from newsletter.content.store import load_content, save_content
from newsletter.models import Edition, Issue, Newsletter
from newsletter.rendering import PLAIN
from newsletter.sending.freeze import prepare_edition
from subscribers.models import Subscriber, Subscription
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.people import ADA, ada, cleo, make_mailing_list, make_subscription
from tests.publications import content, start_sending


def frame(client: Client, issue: Issue, look: str = "desktop") -> str:
    return client.get(page_of(issue, "preview_frame", look)).content.decode()


@pytest.mark.parametrize("look", [look for look in LOOKS if look not in ("web", "headers")])
def test_each_look_has_a_page_and_a_frame_of_its_own(edda: Client, issue: Issue, look: str) -> None:
    page = edda.get(page_of(issue, "preview"), {"as": look}).content.decode()
    assert f'src="{page_of(issue, "preview_frame", look)}"' in page
    assert "Quay 1 gets a taller crane" in frame(edda, issue, look)


def test_the_preview_opens_with_desktop_and_phone_side_by_side(edda: Client, issue: Issue) -> None:
    page = edda.get(page_of(issue, "preview")).content.decode()
    assert page.count("<iframe") == 2
    for look in ("desktop", "phone"):
        assert f'src="{page_of(issue, "preview_frame", look)}"' in page


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


def test_forced_dark_drops_the_rules_for_the_dark_and_turns_the_ground_around(edda: Client, issue: Issue) -> None:
    forced, light = frame(edda, issue, "forced-dark"), frame(edda, issue)
    assert "@media not all" in forced
    assert PLAIN.light.paper in light
    assert invert_colour(PLAIN.light.paper) in forced
    assert PLAIN.light.paper not in forced


def test_with_pictures_off_their_words_are_shown(edda: Client, issue: Issue) -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="https://harbour.example/crane.png", alt="A crane at dusk")
    save_content(issue, content(sections=(*content().sections, picture)), by="tests")
    assert "crane.png" in frame(edda, issue)
    shown = frame(edda, issue, "no-pictures")
    assert "crane.png" not in shown
    assert ">A crane at dusk</span>" in shown


def test_the_headers_are_those_of_the_provider_with_samples_where_readers_differ(edda: Client, issue: Issue) -> None:
    shown = html.unescape(frame(edda, issue, "headers"))
    assert "From: Harbour Notes <notes@mail.example.org>" in shown
    assert "To: reader@example.org" in shown
    assert "Subject: Taller cranes, quieter ferries" in shown
    assert "List-Unsubscribe: <http://127.0.0.1:8000/harbour-notes/#only-a-sample>" in shown
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in shown
    assert prepare_edition(issue).sha256 in shown
    assert "zq" not in shown.split("HTML part")[0]


def test_a_sender_that_no_mail_could_carry_is_said_instead_of_headers(edda: Client, issue: Issue) -> None:
    Newsletter.objects.update(sender_name="boss@example.org")
    assert "From:" not in frame(edda, issue, "headers")
    assert "Quay 1 gets a taller crane" in frame(edda, issue)


def test_a_theme_that_is_gone_is_said_on_the_page_and_in_the_frame(edda: Client, issue: Issue) -> None:
    Newsletter.objects.update(theme="velvet")
    assert "no theme of this name" in words_on(edda.get(page_of(issue, "preview")))
    assert "no theme of this name" in frame(edda, issue)


# As a reader


@pytest.fixture
def greeted(issue: Issue) -> Issue:
    lead = SectionContent(title="Signal of the day", body="Hello {first_name|there}!")
    save_content(issue, content(sections=(lead, *content().sections[1:])), by="tests")
    return issue


@pytest.fixture
def hostile_ada(greeted: Issue) -> Subscription:
    reader = ada(greeted.newsletter)
    Subscriber.objects.update(first_name='"><img src=x onerror=alert(1)>')
    return reader


def test_without_a_reader_fallbacks_are_shown(edda: Client, greeted: Issue) -> None:
    assert "Hello there!" in frame(edda, greeted)


@pytest.mark.parametrize("look", ["desktop", "text", "no-pictures"])
def test_a_readers_mail_has_their_name_as_words_and_links_that_do_nothing(
    edda: Client, greeted: Issue, hostile_ada: Subscription, look: str
) -> None:
    shown = edda.get(page_of(greeted, "preview_frame", look), {"reader": str(hostile_ada.pk)}).content.decode()
    assert "Hello &quot;&gt;&lt;img src=x onerror=alert(1)&gt;!" in shown
    assert "<img" not in shown
    assert "/unsubscribe/" not in shown
    assert str(hostile_ada.key) not in shown


def test_a_reader_is_found_by_a_part_of_the_address_and_stays_while_looks_change(
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
def test_nobody_is_not_found(edda: Client, issue: Issue, pk: str) -> None:
    assert edda.get(page_of(issue, "preview_frame", "desktop"), {"reader": pk}).status_code == 404


def test_only_readers_to_whom_it_would_go_can_be_picked(edda: Client, issue: Issue) -> None:
    elsewhere = make_subscription("other@example.org", make_mailing_list("other-notes"))
    for member in (cleo(issue.newsletter), elsewhere):
        answer = edda.get(page_of(issue, "preview_frame", "desktop"), {"reader": str(member.pk)})
        assert answer.status_code == 404


def test_who_may_not_see_readers_sees_no_picker_and_nobodys_mail(
    signed_in: Callable[[str], Client], greeted: Issue, hostile_ada: Subscription
) -> None:
    lou = signed_in("lou")
    page = lou.get(page_of(greeted, "preview"), {"search": "ada"})
    assert "As this reader" not in words_on(page)
    assert ADA not in words_on(page)
    for name, arguments in (("preview", ()), ("preview_frame", ("desktop",))):
        assert lou.get(page_of(greeted, name, *arguments), {"reader": str(hostile_ada.pk)}).status_code == 403


# The web page


def test_the_web_page_of_a_draft_is_for_editors_and_in_our_frames_only(
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
    for nobody in (Client(), signed_in("norm")):
        assert nobody.get(url).status_code == 404


def test_no_frame_is_kept_or_found(edda: Client, issue: Issue) -> None:
    for look in ("desktop", "text", "headers"):
        answer = edda.get(page_of(issue, "preview_frame", look))
        assert "no-store" in answer["Cache-Control"]
        assert answer["X-Robots-Tag"] == "noindex, nofollow"


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
