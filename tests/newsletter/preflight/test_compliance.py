"""Compliance: the unsubscribe link and the postal address are there and visible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from newsletter.preflight import Severity
from tests.newsletter.preflight.finding import Mail, findings_of_family, inspected, short
from tests.newsletter.preflight.sample_issue import PLAIN_ISSUE, SENDER, inspection_of, mail_of

RENDERED = mail_of(PLAIN_ISSUE)
UNSUBSCRIBE_TOKEN = f"zq{RENDERED.nonce}xhunsubscribe_urlxqz"


class Changed(Mail):
    """The mail of the plain issue with a change."""

    nonce = RENDERED.nonce


def places_with(html: str = RENDERED.html, text: str = RENDERED.text) -> list[tuple[str, str]]:
    inspection = replace(inspection_of(PLAIN_ISSUE), rendered=Changed(html, text))
    return [(finding.severity.value, finding.place) for finding in findings_of_family("compliance", inspection)]


def styled(style: str) -> str:
    """The mail with one more declaration on its unsubscribe link."""
    before, link, after = RENDERED.html.partition(f'href="{UNSUBSCRIBE_TOKEN}"')
    assert link
    tag = before.rindex("<a")
    rest = f"{before[tag:]}{link}{after}"
    end = rest.index(">")
    opened = (
        rest[:end].replace('style="', f'style="{style};')
        if 'style="' in rest[:end]
        else f'{rest[:end]} style="{style}"'
    )
    return before[:tag] + opened + rest[end:]


@pytest.mark.parametrize("part", ["name", "email", "postal_address"])
def test_a_missing_part_of_the_sender_is_an_error(part: str) -> None:
    changes: dict[str, Any] = {part: " "}
    sender = replace(SENDER, **changes)
    assert short(findings_of_family("compliance", inspected(sender=sender))) == [("error", "compliance", "Newsletter")]


@pytest.mark.parametrize(
    ("tracked", "codes"),
    [
        ({"tracks_opens": True}, {"provider_tracks_opens"}),
        ({"tracks_clicks": True}, {"provider_tracks_clicks"}),
        ({"tracks_opens": True, "tracks_clicks": True}, {"provider_tracks_opens", "provider_tracks_clicks"}),
        ({"tracks_opens": True, "tracks_clicks": True, "lets_provider_track": True}, set()),
    ],
    ids=["opens", "clicks", "both", "with-consent"],
)
def test_tracking_by_the_provider_without_consent_is_an_error(tracked: dict[str, Any], codes: set[str]) -> None:
    found = findings_of_family("compliance", inspected(sender=replace(SENDER, **tracked)))
    assert {finding.code for finding in found} == codes
    assert all(finding.severity is Severity.ERROR for finding in found)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_source_that_is_off_at_the_provider_is_a_warning(is_known: bool) -> None:
    sender = replace(SENDER, lets_provider_track=True, is_tracking_known=is_known)
    expected = [(Severity.WARNING, "provider_tracks_nothing")] if is_known else []
    found = findings_of_family("compliance", inspected(sender=sender))
    assert [(finding.severity, finding.code) for finding in found] == expected


def test_a_complete_mail_has_no_findings() -> None:
    assert places_with() == []


def test_a_part_without_an_unsubscribe_link_is_an_error() -> None:
    assert places_with(html=RENDERED.html.replace(UNSUBSCRIBE_TOKEN, "https://a.example")) == [("error", "HTML part")]
    assert places_with(text=RENDERED.text.replace("unsubscribe_url", "preferences_url")) == [("error", "Text part")]


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "visibility:hidden",
        "font-size:0px",
        "font-size:1px",
        "opacity:0",
        "color:#ffffff;background-color:#ffffff",
        "color:#fefefe;background:#fff",
        "max-height:0;overflow:hidden",
    ],
)
def test_an_unsubscribe_link_that_is_not_visible_is_an_error(style: str) -> None:
    html = styled(style)
    for name in style.split(";"):
        html = _without_own(html, name.partition(":")[0])
    assert places_with(html=html) == [("error", "HTML part")]


def _without_own(html: str, name: str) -> str:
    """Remove the same property from the link's own style, so that the one of the test applies."""
    start = html.index(f'href="{UNSUBSCRIBE_TOKEN}"')
    opening, end = html.rindex("<a", 0, start), html.index(">", start)
    tag = html[opening:end]
    before, _, style = tag.partition('style="')
    style, _, after = style.partition('"')
    kept: dict[str, str] = {}
    for declaration in (part for part in style.split(";") if ":" in part):
        kept.setdefault(declaration.partition(":")[0].strip(), declaration.partition(":")[2])
    merged = ";".join(f"{key}:{value}" for key, value in kept.items())
    return f'{html[:opening]}{before}style="{merged}"{after}{html[end:]}'


def test_an_unsubscribe_link_without_text_is_an_error() -> None:
    start = RENDERED.html.index(f'href="{UNSUBSCRIBE_TOKEN}"')
    opened, closed = RENDERED.html.index(">", start) + 1, RENDERED.html.index("</a>", start)
    assert places_with(html=RENDERED.html[:opened] + RENDERED.html[closed:]) == [("error", "HTML part")]


def test_a_part_without_a_visible_postal_address_is_an_error() -> None:
    assert places_with(html=RENDERED.html.replace("4 Quay Street", "")) == [("error", "HTML part")]
    hidden = RENDERED.html.replace("4 Quay Street", '<span style="display:none">4 Quay Street</span>')
    assert places_with(html=hidden) == [("error", "HTML part")]
    assert places_with(text=RENDERED.text.replace("4 Quay Street", "")) == [("error", "Text part")]


def with_sheet(css: str) -> str:
    """The mail with one more style sheet at the end of its head."""
    return RENDERED.html.replace("</head>", f"<style>{css}</style></head>", 1)


@pytest.mark.parametrize(
    "css",
    [
        ".footer { display: none !important } .paper .footer { display: block }",
        "@media (max-width: 479px) { .footer { display: none !important } }",
        "@media (prefers-color-scheme: dark) { .ways { visibility: hidden } }",
        "@media (prefers-color-scheme: dark) { .paper .ways a { color: #15161d !important } }",
        ".paper .ways a { color: #fff !important }",
        ".ways a { font-size: 0.1em !important }",
    ],
)
def test_an_unsubscribe_link_that_a_rule_hides_is_an_error(css: str) -> None:
    assert ("error", "HTML part") in places_with(html=with_sheet(css))


@pytest.mark.parametrize(
    "css",
    [
        "@media (max-width: 479px) { .ways a { display: block !important } .contents { display: none !important } }",
        ".footer { display: none }\n.footer { display: block !important }",
        "[data-ogsc] .footer { display: none !important }",
        ".paper .ways a { color: #777 !important }",
    ],
)
def test_rules_that_do_not_hide_the_link_have_no_findings(css: str) -> None:
    assert places_with(html=with_sheet(css)) == []


def test_of_two_unsubscribe_links_one_may_be_hidden_on_some_screens() -> None:
    second = f'<p class="small"><a href="{UNSUBSCRIBE_TOKEN}">Unsubscribe</a></p></body>'
    html = with_sheet("@media (max-width: 479px) { .ways { display: none !important } }").replace("</body>", second)
    assert places_with(html=html) == []
