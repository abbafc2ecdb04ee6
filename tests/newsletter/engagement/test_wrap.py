"""Wrapped links: all of the content, none that serves a subscriber, and plain everywhere but in the mails."""

from __future__ import annotations

import re
from typing import Any

import lxml.html  # type: ignore[import-untyped]
import pytest
from django.test import Client

from newsletter.content.document import IssueContent, SectionContent
from newsletter.engagement.tokens import read_token
from newsletter.engagement.wrap import frozen_engagement, number_of_link, wrapped_html
from newsletter.models import (
    CANARY_EARLY,
    CANARY_LATE,
    FIRST_LINK,
    OPEN,
    ConsentMode,
    Edition,
    EngagementSource,
    Newsletter,
    numbered_links,
)
from newsletter.rendering import IssueLink, RenderingError, render_issue
from newsletter.sending.freeze import edition_hash, freeze_edition, prepare_edition
from newsletter.sending.message import sample_values
from tests.newsletter.engagement.sent import (
    BO,
    agrees,
    delivery_of,
    edition_of,
    mails_of,
    own_links,
    send_to,
    token_of,
    tracked_urls,
    urls_in,
)
from tests.newsletter.rendering.sample_issues import MASTHEAD, WEB_URL, sample_issue, shipped_themes
from tests.people import ADA
from tests.publications import content, make_issue, make_newsletter, story


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_every_link_of_the_content_is_wrapped_in_every_theme(theme: Any) -> None:
    newsletter = Newsletter(engagement_source=EngagementSource.OWN, consent_mode=ConsentMode.AGGREGATE)
    rendered = render_issue(sample_issue(), MASTHEAD, web_url=WEB_URL, theme=theme)
    engagement = frozen_engagement(newsletter, rendered.links)
    edition = Edition(pk=41, html=rendered.html, nonce=rendered.nonce, engagement=engagement)
    wrapped = wrapped_html(edition)
    numbers = [read_token(token_of(url)) for url in tracked_urls(wrapped)]
    found = [read.number for read in numbers if read]
    links = numbered_links(edition)
    assert len(links) > 10
    assert set(found) == {CANARY_EARLY, CANARY_LATE, *range(FIRST_LINK, FIRST_LINK + len(links))}
    in_order = list(dict.fromkeys(found[1:-1]))
    assert in_order == sorted(in_order), "links are numbered in reading order"
    plain = {link["written"] for link in links}
    assert not plain & set(urls_in(wrapped))
    for canary in canaries_of(wrapped):
        wrapped = wrapped.replace(canary, "")
    assert re.sub(r'href="[^"]*"', "", wrapped) == re.sub(r'href="[^"]*"', "", rendered.html)


def canaries_of(html: str) -> list[str]:
    return re.findall(r'<a href="[^"]*" aria-hidden="true".*?</a>', html)


def test_without_a_source_an_edition_has_the_bytes_and_the_hash_that_it_had(db: None) -> None:
    make_newsletter()
    edition = freeze_edition(make_issue())
    assert edition.engagement == {}
    assert wrapped_html(edition) == edition.html
    Newsletter.objects.update(consent_mode=ConsentMode.CONSENT)
    issue = edition.issue
    issue.newsletter.refresh_from_db()
    assert edition_hash(issue) == edition.sha256


def test_the_choice_is_a_part_of_what_is_approved(db: None) -> None:
    make_newsletter()
    issue = make_issue()
    hashes = {edition_hash(issue)}
    for mode, source, opens in (
        (ConsentMode.CONSENT, EngagementSource.PROVIDER, False),
        (ConsentMode.CONSENT, EngagementSource.OWN, False),
        (ConsentMode.AGGREGATE, EngagementSource.OWN, False),
        (ConsentMode.AGGREGATE, EngagementSource.OWN, True),
    ):
        Newsletter.objects.update(consent_mode=mode, engagement_source=source, measures_opens=opens)
        issue.newsletter.refresh_from_db()
        hashes.add(edition_hash(issue))
    assert len(hashes) == 5


def test_totals_give_every_recipient_the_same_links(db: None) -> None:
    send = send_to(ADA, BO, newsletter=own_links(ConsentMode.AGGREGATE, measures_opens=True))
    one, two = mails_of(send).values()
    assert tracked_urls(one["html"]) == tracked_urls(two["html"])
    pixels = [re.findall(r'<img src="([^"]*/l/[^"]*)"', mail["html"]) for mail in (one, two)]
    assert pixels[0] == pixels[1]
    (read,) = [read_token(token_of(url)) for url in pixels[0]]
    assert read
    assert (read.number, read.is_personal) == (OPEN, False)
    assert all((read := read_token(token_of(url))) and read.delivery is None for url in tracked_urls(one["html"]))


def test_with_consent_only_who_agreed_has_links_of_their_own(db: None) -> None:
    newsletter = own_links()
    agrees("eve@example.org", newsletter, None)
    agrees("finn@example.org", newsletter, None)
    send = send_to(ADA, BO, newsletter=newsletter)
    mails = {to: mail["html"] for to, mail in mails_of(send).items()}
    assert tracked_urls(mails["eve@example.org"]) == tracked_urls(mails["finn@example.org"])
    for address in (ADA, BO):
        read = [read_token(token_of(url)) for url in tracked_urls(mails[address])]
        assert {one.delivery for one in read if one} == {delivery_of(address, send).pk}
    assert {one.delivery for url in tracked_urls(mails["eve@example.org"]) if (one := read_token(token_of(url)))} == {
        None
    }


def test_links_that_serve_the_subscriber_and_the_text_part_stay_plain(db: None) -> None:
    body = "Write to [us](mailto:us@example.org), call [us](tel:+49), or see [our archive](http://127.0.0.1:8000/x/)."
    sections = (SectionContent(title="One", body=body, stories=(story(1),)),)
    send = send_to(ADA, newsletter=own_links(), sections=sections)
    (mail,) = mails_of(send).values()
    assert [link["url"] for link in numbered_links(edition_of(send))] == ["https://harbour.example/cranes/1"]
    urls = urls_in(mail["html"])
    assert any(url.startswith("mailto:us@") for url in urls)
    assert any("/unsubscribe/" in url for url in urls)
    assert any("/preferences/" in url for url in urls)
    assert send.issue.web_url in urls
    assert "http://127.0.0.1:8000/x/" in urls
    assert len(tracked_urls(mail["html"])) == 3, "one story and two canaries"
    assert "/l/" not in mail["text"]
    assert "https://harbour.example/cranes/1" in mail["text"]
    assert "/l/" not in str(mail["headers"])


def test_a_link_whose_text_is_its_address_keeps_that_text(db: None) -> None:
    sections = (SectionContent(title="One", body="See <https://quay.example/tide> today."),)
    send = send_to(ADA, newsletter=own_links(), sections=sections)
    (mail,) = mails_of(send).values()
    page = lxml.html.fromstring(mail["html"].encode())
    texts = [link.text_content() for link in page.iter("a") if "/l/" in link.get("href", "")]
    assert "https://quay.example/tide" in texts


def test_the_canaries_come_first_and_last_and_nobody_meets_them(db: None) -> None:
    send = send_to(ADA, newsletter=own_links())
    (mail,) = mails_of(send).values()
    urls = urls_in(mail["html"])
    first, last = read_token(token_of(urls[0])), read_token(token_of(urls[-1]))
    assert first
    assert last
    assert (first.number, last.number) == (CANARY_EARLY, CANARY_LATE)
    for canary in canaries_of(mail["html"]):
        assert 'aria-hidden="true" tabindex="-1"' in canary
        assert "display:none" not in canary
        assert canary.endswith(">&#8203;</a>")


def test_the_stored_html_the_web_page_and_previews_show_plain_links(db: None, client: Client) -> None:
    send = send_to(ADA, newsletter=own_links())
    edition = edition_of(send)
    page = client.get(send.issue.get_absolute_url()).content.decode()
    for html in (edition.html, page, str(sample_values(send.issue.newsletter, {}))):
        assert "/l/" not in html
    assert "https://harbour.example/cranes/1" in page


def test_with_the_provider_as_source_only_the_canaries_are_ours(db: None) -> None:
    newsletter = make_newsletter(consent_mode=ConsentMode.CONSENT, engagement_source=EngagementSource.PROVIDER)
    send = send_to(ADA, newsletter=newsletter)
    (mail,) = mails_of(send).values()
    assert len(tracked_urls(mail["html"])) == 2
    assert "https://harbour.example/cranes/1" in urls_in(mail["html"])
    links = numbered_links(edition_of(send))
    assert number_of_link(links, "https://harbour.example/cranes/2") == FIRST_LINK + 1
    assert number_of_link(links, "https://harbour.example/") is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://me:secret@quay.example/", "user name or a password"),
        ("https://me@quay.example/", "user name or a password"),
        ("http://192.0.2.7/x", "number instead of a host"),
        ("http://[2001:db8::1]/", "number instead of a host"),
        ("http://2130706433/", "number instead of a host"),
        ("http://127.1/", "number instead of a host"),
        ("http://0x7f.0.0.1/", "number instead of a host"),
        ("https://quay.example:99999/", "cannot be read"),
        (f"https://{'ü' * 70}.example/", "host name is not valid"),
    ],
)
def test_a_link_that_must_not_be_led_to_is_refused_when_the_issue_is_frozen(url: str, problem: str) -> None:
    newsletter = Newsletter(engagement_source=EngagementSource.OWN, consent_mode=ConsentMode.AGGREGATE)
    with pytest.raises(RenderingError, match=problem):
        frozen_engagement(newsletter, [IssueLink(url, "Quay", "Deep dives")])
    newsletter.engagement_source = EngagementSource.NONE
    assert frozen_engagement(newsletter, [IssueLink(url, "Quay", "Deep dives")]) == {}


def test_a_refused_link_is_told_to_the_editor(db: None) -> None:
    issue = make_issue("bad", own_links(), sections=(SectionContent(title="One", body="[Go](http://192.0.2.7/x)"),))
    with pytest.raises(RenderingError, match=r"“Go” to http://192\.0\.2\.7/x cannot lead through this site"):
        prepare_edition(issue)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/l/abc", "HTTP://127.0.0.1:8000/unsubscribe/x", "#top", "mailto:a@b"]
)
def test_our_own_pages_are_never_led_to(url: str) -> None:
    newsletter = Newsletter(engagement_source=EngagementSource.OWN, consent_mode=ConsentMode.AGGREGATE)
    assert frozen_engagement(newsletter, [IssueLink(url, "x", "y")])["links"] == []


def test_an_international_host_is_led_to_in_ascii() -> None:
    newsletter = Newsletter(engagement_source=EngagementSource.OWN, consent_mode=ConsentMode.AGGREGATE)
    link = IssueLink("https://Bücher.example:8443/ä?q=ü", "Books", "Deep dives")
    (kept,) = frozen_engagement(newsletter, [link])["links"]
    assert kept["url"] == "https://xn--bcher-kva.example:8443/ä?q=ü"
    assert number_of_link([kept], link.url) == FIRST_LINK


def test_a_link_that_stands_twice_has_two_numbers(db: None) -> None:
    written: IssueContent = content(sections=(SectionContent(title="One", stories=(story(1), story(1))),))
    send = send_to(ADA, newsletter=own_links(), sections=written.sections)
    (mail,) = mails_of(send).values()
    numbers = [read.number for url in tracked_urls(mail["html"]) if (read := read_token(token_of(url)))]
    assert numbers[1:-1] == [FIRST_LINK, FIRST_LINK + 1]
