"""Brands: colours that stay readable in every theme, paper, fonts, and what mails show of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import SectionContent
from newsletter.rendering import RenderedIssue, RenderingError, Theme, load_theme, render_issue
from newsletter.rendering.brand import (
    PAPERS,
    READABLE_IN_DARK,
    BrandSettings,
    branded,
    readable,
    weak_pairings,
)
from newsletter.rendering.context import PREHEADER_LENGTH
from newsletter.rendering.palette import READABLE, contrast
from newsletter.rendering.theme import PLAIN
from newsletter.rendering.typography import STACKS
from tests.newsletter.rendering.sample_issues import MASTHEAD, WEB_URL, sample_issue, shipped_themes

THEMES = shipped_themes()
EVERY_THEME = pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
OCHRE = "#c98a3a"
PICTURES = "https://pictures.example/"

colours = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")
brands = st.builds(
    BrandSettings,
    accent=st.one_of(st.just(""), colours),
    accent_dark=st.one_of(st.just(""), colours),
    paper=st.sampled_from(("", *PAPERS)),
)


def render(theme: Theme = PLAIN, **changes: object) -> RenderedIssue:
    masthead = replace(MASTHEAD, **changes)  # type: ignore[arg-type]
    return render_issue(sample_issue(), masthead, web_url=WEB_URL, theme=theme)


@given(theme=st.sampled_from(THEMES), brand=brands)
def test_every_text_is_readable_in_every_brand(theme: Theme, brand: BrandSettings) -> None:
    assert weak_pairings(branded(theme, brand).theme) == ()


@given(theme=st.sampled_from(THEMES), brand=brands)
def test_what_became_of_an_accent_is_what_mails_show(theme: Theme, brand: BrandSettings) -> None:
    result = branded(theme, brand)
    for use in result.accents:
        palette = result.theme.dark if use.scheme == "dark" else result.theme.light
        assert use.used == palette.accent == palette.link
        assert use.is_readable
        assert (use.used == use.chosen) == (use.contrast_chosen == use.contrast)


def test_a_readable_accent_stays_as_it_is() -> None:
    result = branded(PLAIN, BrandSettings(accent="#0a6345"))
    assert result.theme.light.accent == result.accents[0].used == "#0a6345"


def test_a_light_accent_is_made_darker_only_as_far_as_needed() -> None:
    use = branded(PLAIN, BrandSettings(accent=OCHRE)).accents[0]
    assert use.used == use.readable != OCHRE
    assert READABLE <= use.contrast < READABLE + 0.4


def test_the_dark_accent_is_made_from_the_light_one_with_more_contrast() -> None:
    result = branded(PLAIN, BrandSettings(accent="#1f3a4d"))
    dark = result.accents[1]
    assert dark.is_made
    assert contrast(dark.used, result.theme.dark.paper) >= READABLE_IN_DARK
    chosen = branded(PLAIN, BrandSettings(accent="#1f3a4d", accent_dark="#e8b27a")).accents[1]
    assert (chosen.used, chosen.is_made) == ("#e8b27a", False)


def test_exact_colours_are_kept_with_a_suggestion() -> None:
    result = branded(PLAIN, BrandSettings(accent=OCHRE, is_exact=True))
    use = result.accents[0]
    assert (use.used, use.is_readable) == (OCHRE, False)
    assert contrast(use.readable, PLAIN.light.paper) >= READABLE
    assert weak_pairings(result.theme)[0].what.endswith("light")


@EVERY_THEME
def test_buttons_keep_their_form_in_the_accent(theme: Theme) -> None:
    light = branded(theme, BrandSettings(accent="#7a1f5c")).theme.light
    is_outline = theme.light.button == theme.light.paper
    assert (light.button_text if is_outline else light.button) == "#7a1f5c"


@EVERY_THEME
def test_paper_changes_light_and_dark_screens(theme: Theme) -> None:
    for name, ((paper, tint, rule), (dark_paper, _, _)) in PAPERS.items():
        made = branded(theme, BrandSettings(paper=name)).theme
        assert (made.light.paper, made.light.tint, made.light.rule) == (paper, tint, rule)
        assert made.dark.paper == dark_paper


def test_fonts_follow_the_text_where_the_theme_has_one_for_both() -> None:
    plain = branded(PLAIN, BrandSettings(text_font="book-serif")).theme.fonts
    assert plain.body == plain.heading == plain.label == STACKS["book-serif"]
    letter = branded(load_theme("letter"), BrandSettings(text_font="book-serif", heading_font="old-serif")).theme.fonts
    assert (letter.heading, letter.label) == (STACKS["old-serif"], STACKS["system-sans"])


def test_a_brand_without_changes_leaves_the_theme_and_its_hash() -> None:
    assert branded(PLAIN, BrandSettings(is_exact=True)).theme is PLAIN


@given(one=brands, other=brands)
def test_another_brand_is_another_theme(one: BrandSettings, other: BrandSettings) -> None:
    first, second = branded(PLAIN, one).theme, branded(PLAIN, other).theme
    assert (first.sha256 == second.sha256) == (one == other or (one.is_theme_unchanged and other.is_theme_unchanged))


@pytest.mark.parametrize(
    "brand",
    [
        BrandSettings(accent="red"),
        BrandSettings(accent="#fff"),
        BrandSettings(accent_dark="#12345g"),
        BrandSettings(accent="#123456;}"),
        BrandSettings(paper="pink"),
        BrandSettings(text_font="Comic Sans"),
    ],
)
def test_values_that_are_no_colour_paper_or_font_are_refused(brand: BrandSettings) -> None:
    with pytest.raises(RenderingError):
        branded(PLAIN, brand)


@given(colour=colours, background=colours)
def test_any_colour_becomes_readable_on_any_background(colour: str, background: str) -> None:
    assert contrast(readable(colour, [background]), background) >= READABLE


# In mails


@EVERY_THEME
def test_mails_have_the_colours_of_the_brand(theme: Theme) -> None:
    brand = BrandSettings(accent="#7a1f5c", paper="cool", heading_font="slab-serif")
    html = render(branded(theme, brand).theme).html
    assert "#7a1f5c" in html
    assert PAPERS["cool"][0][0] in html
    assert PAPERS["cool"][1][0] in html
    assert "Rockwell" in html


@EVERY_THEME
def test_the_logo_for_dark_screens_replaces_the_other_one_only_there(theme: Theme) -> None:
    html = render(theme, logo_url=f"{PICTURES}day.png", logo_dark_url=f"{PICTURES}night.png", logo_alt="The slip").html
    head, _, body = html.partition("<body")
    assert ".lit{display:none!important}" in head
    assert body.index("day.png") < body.index("display:none; mso-hide:all") < body.index("night.png")
    assert body.count('alt="The slip"') == 2
    assert "display:none; mso-hide" not in render(theme, logo_url=f"{PICTURES}day.png").html.partition("<body")[2]


@EVERY_THEME
def test_the_writer_signs_the_mail(theme: Theme) -> None:
    mail = render(theme, writer="Ada Meyer", portrait_url=f"{PICTURES}ada.png")
    body = mail.html.partition("<body")[2]
    assert body.rindex("Ada Meyer") > body.index("Also read")
    assert body.count("ada.png") == (2 if theme.name == "letter" else 1)
    assert mail.text.index("Ada Meyer") > mail.text.index("Also read")


def test_a_writer_without_a_portrait_is_a_name_only() -> None:
    assert "<img" not in render(load_theme("letter"), writer="Ada Meyer").html.partition("</h1>")[0]


def test_the_line_under_the_name_is_in_gazette_only() -> None:
    shown = {theme.name: "Small boats, weekly" in render(theme, tagline="Small boats, weekly").html for theme in THEMES}
    assert shown == {"gazette": True, "letter": False, "plain": False, "workbench": False}


def test_the_line_under_the_name_is_the_preheader_of_an_issue_without_words() -> None:
    content = replace(sample_issue("divider"), preheader="")
    mail = render_issue(content, replace(MASTHEAD, tagline="Small boats, weekly"), web_url=WEB_URL)
    assert "Small boats, weekly" in mail.html[: mail.html.index("</h1>")]
    opening = replace(content, sections=(SectionContent(title="A", body="First words."),))
    mail = render_issue(opening, replace(MASTHEAD, tagline="Small boats, weekly"), web_url=WEB_URL)
    assert "Small boats, weekly" not in mail.html
    assert PREHEADER_LENGTH > 60


@EVERY_THEME
def test_the_end_has_the_sentence_and_the_links_of_the_brand_in_both_parts(theme: Theme) -> None:
    links = (("Mastodon", "https://social.example/@slip"), ("Code", "https://code.example/slip"))
    mail = render(theme, footer="A person reads every answer.", links=links, reply_to="")
    for part in (mail.html, mail.text):
        positions = [part.rindex(words) for words in ("A person reads", links[0][1], links[1][1], "You get this mail")]
        assert positions == sorted(positions)


@pytest.mark.parametrize(
    "changes",
    [
        {"logo_dark_url": "javascript:alert(1)"},
        {"portrait_url": "//portrait"},
        {"links": (("Word", "data:text/html,x"),)},
    ],
)
def test_addresses_that_are_not_of_the_web_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RenderingError):
        render(**changes)


def test_lines_of_tables_have_the_dark_colour_of_lines() -> None:
    head = render().html.partition("<body")[0]
    rule = head[: head.index(f"border-color:{PLAIN.dark.rule}!important")].rpartition("}")[2]
    assert ".data td" in rule
    assert ".data th" in rule
