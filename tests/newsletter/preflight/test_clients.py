"""Clients: features that mail clients do not support, beyond those of the shipped themes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent, SectionKind
from newsletter.preflight.client_features import features_used
from newsletter.preflight.clients import client_data, known_features
from newsletter.preflight.mail_page import mail_page
from newsletter.rendering.theme import load_theme, theme_names
from tests.newsletter.preflight.finding import findings_of_family, mail
from tests.newsletter.preflight.sample_issue import EVERY_KIND, PLAIN_ISSUE, inspection_of, mail_of


def used(html: str) -> frozenset[str]:
    return features_used(mail_page(f"<html><head></head><body>{html}</body></html>"))


def test_the_data_files_match_each_other() -> None:
    data = client_data()
    assert data.date >= "2026-05-13"
    assert set(data.shares) <= set(data.families)
    assert 0 < sum(data.shares.values()) <= 100
    assert all(len(letters) == len(data.clients) for letters in data.support.values())
    assert data.baseline <= data.support.keys()


@pytest.mark.parametrize("theme", theme_names())
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_baseline_contains_the_features_of_the_shipped_themes(theme: str, language: str) -> None:
    needed = known_features(mail_page(mail_of(EVERY_KIND, load_theme(theme), language).html))
    missing = sorted(needed - client_data().baseline)
    assert not missing, f"If {theme} needs these features, add them to client_baseline.toml: {missing}"


@pytest.mark.parametrize(
    ("html", "features"),
    [
        ('<p style="display:flex;gap:4px">x</p>', {"css-display-flex", "css-gap", "css-unit-px"}),
        ('<p style="margin-left:1rem;border-top-left-radius:2em">x</p>', {"css-margin", "css-border-radius"}),
        ('<p style="color:var(--ink);width:calc(1px + 1vw)">x</p>', {"css-variables", "css-unit-calc", "css-unit-vw"}),
        ('<p style="background:linear-gradient(#fff, #000)">x</p>', {"css-linear-gradient", "css-background"}),
        ("<style>@media (hover) { a:hover > b { color: red } }</style>", {"css-at-media-hover", "css-selector-child"}),
        ("<style>a::before { inset: 0 }</style>", {"css-pseudo-element-before", "css-inset"}),
        ("<style>@import 'x.css'; @font-face { font-family: x }</style>", {"css-at-import", "css-at-font-face"}),
        ('<img src="https://p.example/a.WEBP?w=1" srcset="https://p.example/b.avif 2x">', {"image-webp", "image-avif"}),
        ('<img src="data:image/gif;base64,R0">', {"image-base64"}),
        ('<a href="mailto:a@b.example" target="_blank">x</a>', {"html-mailto-links", "html-target"}),
        (
            '<input type="checkbox"><article>x</article><ol></ol>',
            {"html-input-checkbox", "html-semantics", "html-lists"},
        ),
    ],
)
def test_the_features_of_a_mail_are_found(html: str, features: set[str]) -> None:
    found = used(html)
    assert features <= found
    assert features <= client_data().support.keys()


def test_conditional_comments_and_properties_for_outlook_are_ignored() -> None:
    assert "css-display-grid" not in used('<!--[if mso]><p style="display:grid">x</p><![endif]-->')
    assert not any(feature.startswith("css-mso") for feature in used('<p style="mso-line-height-rule:exactly">x</p>'))


def test_an_unsupported_feature_is_reported_with_the_clients_and_their_shares() -> None:
    (finding,) = findings_of_family("clients", mail('<html><body><p style="display:grid">x</p></body></html>'))
    assert (finding.severity.value, finding.place) == ("warning", "Theme")
    assert "do not support “display:grid”: Outlook [Windows, Windows Mail] (4 % of opens)." in finding.message


def test_an_unsupported_image_format_is_reported_with_its_place() -> None:
    picture = SectionContent(kind=SectionKind.IMAGE, image="https://p.example/lock.avif", alt="The lock")
    content = replace(PLAIN_ISSUE, sections=(*PLAIN_ISSUE.sections, picture))
    (finding,) = findings_of_family("clients", inspection_of(content))
    assert finding.place == "Image, part 3"
    assert "Outlook [Windows" in finding.message
