"""Compliance: the way out and the postal address are there, and can be seen (R-14)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.newsletter.preflight.finding import Mail, findings_of_family, inspected, short
from tests.newsletter.preflight.sample_issue import PLAIN_ISSUE, SENDER, inspection_of, mail_of

RENDERED = mail_of(PLAIN_ISSUE)
WAY_OUT = f"zq{RENDERED.nonce}xhunsubscribe_urlxqz"


class Changed(Mail):
    """The plain issue's mail with something changed in it."""

    nonce = RENDERED.nonce


def places_with(html: str = RENDERED.html, text: str = RENDERED.text) -> list[tuple[str, str]]:
    inspection = replace(inspection_of(PLAIN_ISSUE), rendered=Changed(html, text))
    return [(finding.severity.value, finding.place) for finding in findings_of_family("compliance", inspection)]


def styled(style: str) -> str:
    """The mail with one more declaration on its way out."""
    before, link, after = RENDERED.html.partition(f'href="{WAY_OUT}"')
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
def test_who_sends_and_from_where_must_be_known(part: str) -> None:
    sender = replace(SENDER, **{part: " "})
    assert short(findings_of_family("compliance", inspected(sender=sender))) == [
        ("error", "compliance", "Newsletter")
    ]


def test_a_mail_with_both_in_both_parts_passes() -> None:
    assert places_with() == []


def test_both_parts_must_have_the_way_out() -> None:
    assert places_with(html=RENDERED.html.replace(WAY_OUT, "https://a.example")) == [("error", "HTML part")]
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
def test_a_way_out_that_cannot_be_seen_is_none(style: str) -> None:
    html = styled(style)
    for name in style.split(";"):
        html = _last_word(html, name.partition(":")[0])
    assert places_with(html=html) == [("error", "HTML part")]


def _last_word(html: str, name: str) -> str:
    """Let the style of a test win: take the same property from the link's own style."""
    start = html.index(f'href="{WAY_OUT}"')
    opening, end = html.rindex("<a", 0, start), html.index(">", start)
    tag = html[opening:end]
    before, _, style = tag.partition('style="')
    style, _, after = style.partition('"')
    kept: dict[str, str] = {}
    for declaration in (part for part in style.split(";") if ":" in part):
        kept.setdefault(declaration.partition(":")[0].strip(), declaration.partition(":")[2])
    merged = ";".join(f"{key}:{value}" for key, value in kept.items())
    return f'{html[:opening]}{before}style="{merged}"{after}{html[end:]}'


def test_a_way_out_without_words_is_none() -> None:
    start = RENDERED.html.index(f'href="{WAY_OUT}"')
    opened, closed = RENDERED.html.index(">", start) + 1, RENDERED.html.index("</a>", start)
    assert places_with(html=RENDERED.html[:opened] + RENDERED.html[closed:]) == [("error", "HTML part")]


def test_the_postal_address_must_be_in_both_parts_and_seen() -> None:
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
def test_a_way_out_that_the_head_hides_must_be_fixed(css: str) -> None:
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
def test_other_rules_of_the_head_hide_nothing(css: str) -> None:
    assert places_with(html=with_sheet(css)) == []


def test_of_two_ways_out_each_may_be_for_its_own_screens() -> None:
    second = f'<p class="small"><a href="{WAY_OUT}">Unsubscribe</a></p></body>'
    html = with_sheet("@media (max-width: 479px) { .ways { display: none !important } }").replace("</body>", second)
    assert places_with(html=html) == []
