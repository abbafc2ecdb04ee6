"""Every block in every theme, in both parts: text is complete, headings are in order, and Outlook is supported."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest

from newsletter.content.document import SectionContent, SectionKind
from newsletter.rendering import (
    MergePlaceholder,
    PlaceholderContext,
    RenderingError,
    Theme,
    load_theme,
    placeholder_token,
    render_issue,
)
from newsletter.rendering.validate import validate_mjml, validate_template
from tests.newsletter.rendering.sample_issues import (
    BLOCKS,
    MASTHEAD,
    PICTURE,
    STORIES,
    WEB_URL,
    right_to_left,
    sample_issue,
    sample_issues,
    shipped_themes,
)
from tests.newsletter.rendering.test_issue import Page, write_issue

IN_EVERY_THEME = pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)


def has_contents(theme: Theme) -> bool:
    """Whether its mails show a table of contents: a letter has none."""
    return theme.name != "letter"


def has_story_headings(theme: Theme) -> bool:
    """Whether a story has a heading and may have a picture: in a letter its title runs into the text."""
    return theme.name != "letter"


def render(*sections: SectionContent, theme: Theme) -> tuple[Page, str]:
    rendered = render_issue(write_issue(*sections), MASTHEAD, web_url=WEB_URL, theme=theme)
    return Page(rendered.html), rendered.text


@IN_EVERY_THEME
def test_all_text_of_every_block_is_in_both_parts(theme: Theme) -> None:
    rendered = render_issue(sample_issue(), MASTHEAD, web_url=WEB_URL, theme=theme)
    assert ("In this issue" in Page(rendered.html).text) == has_contents(theme)
    assert "In this issue" in rendered.text
    for part in (Page(rendered.html).text, " ".join(rendered.text.split())):
        for words in (
            "The Slipway",
            "Seams, steam and a slip",
            "anybody may haul out for a day",
            "A plank steamed for an hour bends without a crack",
            "Timber Notes",
            "The sail loft looks for an apprentice",
            "Tides to mind",
            "ten to noon",
            "A boat is never finished, only launched.",
            "Ines, boatbuilder",
            "The Marguerite, hauled out on Sunday.",
            "two strands, never one",
            "seam = length * 1.2",
            "Book a day on the slip",
            "Varnish in damp weather",
            "Advertisement · Boje & Daughters",
            "Rope by the metre",
            "Readers pay no postage.",
            "Kinsale P17 XX00, Ireland",
        ):
            assert words in part, words
    for url in ("https://slipway.example/ines", "https://slipway.example/book?a=1&b=2", "https://rope.example/"):
        assert url in rendered.text
        assert url in [link.get("href") for link in Page(rendered.html).all("a")]
    assert f"[{BLOCKS['image'].alt}]" in rendered.text


@IN_EVERY_THEME
def test_headings_are_in_order_tables_are_for_layout_and_images_have_alt_texts(theme: Theme) -> None:
    page = Page(render_issue(sample_issue(), MASTHEAD, web_url=WEB_URL, theme=theme).html)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    stories = [2, 3, 3, 3, 3, 3, 2, 3, 3, 3] if has_story_headings(theme) else [2, 2]
    contents = [2] if has_contents(theme) else []
    assert levels == [1, 2, *contents, *stories, 3, 2, 3, 2, 2]
    assert all(table["role"] == "presentation" for table in page.all("table"))
    assert [picture["alt"] for picture in page.all("img") if picture["src"] == PICTURE] == [
        *([STORIES[0].alt] if has_story_headings(theme) else []),
        BLOCKS["image"].alt,
        BLOCKS["sponsor"].alt,
    ]
    assert all(picture["width"] for picture in page.all("img"))


@IN_EVERY_THEME
def test_each_entry_of_the_contents_links_to_an_anchor_that_every_program_knows(theme: Theme) -> None:
    page = Page(render_issue(sample_issue(), MASTHEAD, web_url=WEB_URL, theme=theme).html)
    targets = [link.get("href") or "" for link in page.all("a") if (link.get("href") or "").startswith("#")]
    anchors = {anchor["name"] for anchor in page.all("a") if anchor.get("name")}
    assert len(targets) == (4 if has_contents(theme) else 0)
    assert {target.removeprefix("#") for target in targets} <= anchors
    assert anchors == {anchor.get("id") for anchor in page.all("a") if anchor.get("name")}


@IN_EVERY_THEME
def test_a_logo_replaces_the_name_and_has_it_as_alt_text(theme: Theme) -> None:
    masthead = dataclasses.replace(MASTHEAD, logo_url=PICTURE, logo_width=200)
    page = Page(render_issue(sample_issue("lead"), masthead, web_url=WEB_URL, theme=theme).html)
    logo = page.all("img")[0]
    assert (logo["alt"], logo["src"], logo["width"]) == ("The Slipway", PICTURE, "200")


def test_a_logo_without_a_web_address_is_refused() -> None:
    masthead = dataclasses.replace(MASTHEAD, logo_url="javascript:alert(1)")
    with pytest.raises(RenderingError, match="The newsletter’s address"):
        render_issue(sample_issue("lead"), masthead, web_url=WEB_URL)


@IN_EVERY_THEME
def test_every_dark_mode_rule_is_written_for_outlooks_apps_too(theme: Theme) -> None:
    html = render_issue(sample_issue(), MASTHEAD, web_url=WEB_URL, theme=theme).html
    dark = "\n".join(re.findall(r"@media \(prefers-color-scheme:dark\)\{(.*?)\n\}", html, re.DOTALL))
    backgrounds = re.findall(r"^(\S.*)\{background-color:(#\w+)", dark, re.MULTILINE)
    colours = re.findall(r"^(\S.*)\{color:(#\w+)", dark, re.MULTILINE)
    assert len(backgrounds) >= 6
    assert len(colours) >= 8
    for mark, name, rules in (("[data-ogsb] ", "background-color", backgrounds), ("[data-ogsc] ", "color", colours)):
        for selector, colour in rules:
            if selector != "body":
                marked = mark + selector.replace(", ", f",{mark}")
                assert f"{marked}{{{name}:{colour}!important" in html, marked


@IN_EVERY_THEME
def test_right_to_left_languages_are_mirrored(theme: Theme) -> None:
    content, masthead = right_to_left()
    html = render_issue(content, masthead, web_url=WEB_URL, theme=theme).html
    body = html.partition("<body")[2]
    assert "direction:ltr" not in body
    assert "border-left" not in body
    at_the_end = [attributes for _, attributes in Page(html).elements if attributes.get("align") == "left"]
    assert all({"end", "thumb"} & set((attributes.get("class") or "").split()) for attributes in at_the_end)


@pytest.mark.parametrize(("name", "source"), sample_issues(), ids=lambda value: value if len(value) < 40 else "")
def test_the_mjml_of_every_block_has_no_faults(name: str, source: str) -> None:
    assert validate_mjml(source) == ()


@IN_EVERY_THEME
def test_every_template_is_well_formed_without_its_jinja(theme: Theme) -> None:
    for _, source in theme.sources:
        if source.lstrip().startswith("<"):
            assert validate_template(source) == ()


# Kinds


@pytest.mark.parametrize("kind", [kind for kind in SectionKind if kind is not SectionKind.SECTION])
def test_stories_can_follow_every_kind(kind: SectionKind) -> None:
    blocks = [*BLOCKS.values(), SectionContent(kind=SectionKind.TEXT, body="Before them.")]
    before = next(section for section in blocks if section.kind is kind)
    page, text = render(dataclasses.replace(before, stories=BLOCKS["stories"].stories), theme=load_theme("plain"))
    for part in (page.text, " ".join(text.split())):
        assert part.replace(" · ", " ").count("The quiet return of the copper rivet Quayside") == 1
        if before.title:
            assert part.count(before.title) == 1


@IN_EVERY_THEME
def test_the_heading_of_a_callout_belongs_to_the_section_before_it(theme: Theme) -> None:
    for before, level in (((), "h2"), ((BLOCKS["lead"],), "h2"), ((BLOCKS["lead"], BLOCKS["text"]), "h3")):
        page, _ = render(*before, BLOCKS["callout"], theme=theme)
        assert [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)][-1] == level


def test_a_callout_without_a_heading_keeps_the_order_of_headings() -> None:
    page, _ = render(
        SectionContent(kind=SectionKind.CALLOUT, body="# Loud\n\nWords"), BLOCKS["text"], theme=load_theme("plain")
    )
    assert [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)] == ["h1", "h2", "h3"]


@pytest.mark.parametrize("field", ["url", "image"])
def test_a_block_can_link_to_web_addresses_only(field: str) -> None:
    faulty = dataclasses.replace(BLOCKS["image"], **{field: "javascript:alert(1)"})  # type: ignore[arg-type]
    with pytest.raises(RenderingError, match=r"of “Image”"):
        render(faulty, theme=load_theme("plain"))


def test_links_of_blocks_are_listed_with_text_and_place() -> None:
    sections = (BLOCKS["quote"], BLOCKS["button"], BLOCKS["image"], BLOCKS["sponsor"])
    rendered = render_issue(write_issue(*sections), MASTHEAD, web_url=WEB_URL)
    assert [(link.label, link.place) for link in rendered.links] == [
        ("Ines, boatbuilder", "Quote"),
        ("Book a day on the slip", "Book a day on the slip"),
        ("A blue rowing boat on the slip at low water", "Image"),
        ("Rope by the metre", "Rope by the metre"),
    ]


@pytest.mark.parametrize("name", BLOCKS)
def test_parts_of_the_text_are_two_lines_apart(name: str) -> None:
    untitled = dataclasses.replace(BLOCKS[name], title="" if name != "button" else "Press")
    for section in (BLOCKS[name], untitled, dataclasses.replace(untitled, body="Words below.")):
        text = render_issue(
            write_issue(section, BLOCKS["text"], section, BLOCKS["links"]), MASTHEAD, web_url=WEB_URL
        ).text
        assert "\n\n\n\n" not in text
        assert text.count("\n\n\n") == (3 if name == "contents" else 5)  # it is too short to be shown


def test_an_empty_table_of_contents_is_omitted() -> None:
    page, text = render(BLOCKS["text"], BLOCKS["contents"], theme=load_theme("plain"))
    assert "In this issue" not in page.text
    assert "In this issue" not in text


# MergePlaceholder fields


def test_each_field_with_its_fallback_becomes_one_placeholder_in_both_parts() -> None:
    body = "Dear {first_name|reader}, or {first_name|friend}; again {first_name|reader}."
    rendered = render_issue(write_issue(SectionContent(title="Hello", body=body)), MASTHEAD, web_url=WEB_URL)
    assert rendered.merges == (
        MergePlaceholder("m1", "first_name", "reader"),
        MergePlaceholder("m2", "first_name", "friend"),
    )
    assert set(rendered.placeholders) == {"m1", "m2", "preferences_url", "unsubscribe_url"}
    for part, context in ((rendered.html, PlaceholderContext.HTML), (rendered.text, PlaceholderContext.PLAIN)):
        assert part.count(placeholder_token(rendered.nonce, "m1", context)) == 2
        assert part.count(placeholder_token(rendered.nonce, "m2", context)) == 1


def test_a_preheader_from_the_text_contains_no_placeholder() -> None:
    content = dataclasses.replace(sample_issue("lead"), preheader="")
    html = render_issue(content, MASTHEAD, web_url=WEB_URL).html
    assert "Hello reader: the old slip" in html.partition("overflow:hidden")[2].partition("</div>")[0]


def test_a_merge_field_in_code_stays_code() -> None:
    rendered = render_issue(
        write_issue(SectionContent(title="Hello", body="`{first_name|reader}`")), MASTHEAD, web_url=WEB_URL
    )
    assert rendered.merges == ()
    assert "{first_name|reader}" in Page(rendered.html).text


@IN_EVERY_THEME
def test_the_link_of_a_sponsor_is_kept_without_title_or_image(theme: Theme) -> None:
    bare = dataclasses.replace(BLOCKS["sponsor"], image="", alt="")
    for sponsor in (bare, dataclasses.replace(bare, title="")):
        page, text = render(sponsor, theme=theme)
        assert "https://rope.example/" in {link.get("href") for link in page.all("a")}
        assert "https://rope.example/" in text


@IN_EVERY_THEME
def test_a_text_without_a_heading_is_the_lead_or_an_essay(theme: Theme) -> None:
    lead = SectionContent(kind=SectionKind.TEXT, body="Nobody asked for it.")
    essay = SectionContent(kind=SectionKind.TEXT, body="Planks bend.\n\n## Steam\n\nAn hour each.")
    for sections in ((lead, BLOCKS["text"]), (essay,), (BLOCKS["text"], essay)):
        page, text = render(*sections, theme=theme)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        for words in ("Nobody asked for it.",) if lead in sections else ("Planks bend.", "Steam", "An hour each."):
            assert words in page.text
            assert words in text


def test_stories_below_a_text_are_shown_once() -> None:
    section = SectionContent(kind=SectionKind.TEXT, stories=BLOCKS["stories"].stories)
    page, text = render(section, theme=load_theme("plain"))
    for part in (page.text, text):
        assert part.count("The quiet return of the copper rivet") == 1
