"""Whatever an archive has fits the fields of an issue, and no word or link of it is lost without a note."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.archive_import.fit import content_without_utm, fit, without_utm
from newsletter.archive_import.plan import links_of, with_pictures
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import LIMITS, MAX_TEXT, content_faults
from newsletter.content.markdown import markdown_to_text

ANY_TEXT = st.text(max_size=400)
WORDS = st.lists(st.from_regex(r"[a-z]{3,12}", fullmatch=True), max_size=80).map(" ".join)
ADDRESSES = st.sampled_from(
    [
        "",
        "https://a.example/1",
        "javascript:alert(1)",
        "pictures/a b.png",
        "http://b.example/x.png",
        "https://c.example/{a|b}",
    ]
)


def issue(**changes: object) -> IssueContent:
    fields = {"title": "Tides", "slug": "tides", "date": datetime.date(2021, 3, 1), "subject": "Tides"}
    return IssueContent(**{**fields, **changes})  # type: ignore[arg-type]


STORIES = st.builds(StoryContent, title=ANY_TEXT, url=ADDRESSES, source=ANY_TEXT, body=ANY_TEXT)
SECTIONS = st.builds(
    SectionContent,
    kind=st.sampled_from(SectionKind),
    title=ANY_TEXT,
    body=ANY_TEXT,
    url=ADDRESSES,
    source=ANY_TEXT,
    image=ADDRESSES,
    alt=ANY_TEXT,
    stories=st.lists(STORIES, max_size=2).map(tuple),
)


@given(
    title=ANY_TEXT,
    slug=ANY_TEXT,
    preheader=ANY_TEXT,
    categories=st.lists(ANY_TEXT, max_size=3).map(tuple),
    sections=st.lists(SECTIONS, max_size=3).map(tuple),
)
def test_any_content_fits(
    title: str, slug: str, preheader: str, categories: tuple[str, ...], sections: tuple[SectionContent, ...]
) -> None:
    content = issue(title=title, slug=slug, preheader=preheader, categories=categories, sections=sections)
    fitted, _notes = fit(content)
    assert list(content_faults(fitted)) == []


@given(title=WORDS, preheader=WORDS, heading=WORDS, story=WORDS, body=WORDS)
def test_no_word_is_lost(title: str, preheader: str, heading: str, story: str, body: str) -> None:
    sections = (SectionContent(title=heading, body=body, stories=(StoryContent(title=story, body=body),)),)
    fitted, _notes = fit(issue(title=title, preheader=preheader, sections=sections))
    kept = " ".join(
        [
            fitted.title,
            fitted.preheader,
            *(f"{section.title} {markdown_to_text(section.body)}" for section in fitted.sections),
            *(f"{one.title} {markdown_to_text(one.body)}" for one in fitted.stories()),
        ]
    )
    missing = set(f"{title} {preheader} {heading} {story} {body}".split()) - set(kept.replace("…", " ").split())
    assert missing == set()


def test_a_short_issue_is_not_changed() -> None:
    content = issue(sections=(SectionContent(title="High water", body="At *nine*."),))
    assert fit(content) == (content, ())


def test_a_long_title_is_shortened_and_kept_whole_in_the_text() -> None:
    title = "tide " * 60
    fitted, notes = fit(issue(title=title))
    assert len(fitted.title) <= LIMITS["title"]
    assert fitted.sections[0].body == title.strip()
    assert "“Title” was shortened to 200 characters" in notes[0].sentence


def test_a_long_text_is_divided_between_paragraphs() -> None:
    paragraph = "word " * 999 + "end"
    text = "\n\n".join([paragraph] * 45)
    fitted, notes = fit(issue(sections=(SectionContent(title="Long", body=text),)))
    assert len(text) > 2 * MAX_TEXT
    assert "\n\n".join(section.body for section in fitted.sections) == text
    assert [note.sentence for note in notes] == ["A long text was divided into 3 parts."]


def test_a_link_that_is_none_stands_in_the_text() -> None:
    fitted, notes = fit(issue(sections=(SectionContent(title="X", stories=(StoryContent(title="A", url="old/a"),)),)))
    story = next(fitted.stories())
    assert (story.url, story.body) == ("", "`old/a`")
    assert "It stands in the text instead." in notes[0].sentence


def test_an_image_without_https_becomes_a_text_with_its_link() -> None:
    image = SectionContent(kind=SectionKind.IMAGE, image="http://b.example/x.png", alt="A buoy", body="In May")
    fitted, _notes = fit(issue(sections=(image,)))
    assert fitted.sections[0].kind == SectionKind.TEXT
    assert links_of(fitted) == ["http://b.example/x.png"]
    assert "In May" in fitted.sections[0].body


def test_an_image_without_a_description_is_named_by_its_file() -> None:
    image = SectionContent(kind=SectionKind.IMAGE, image="https://b.example/old-buoy.png")
    fitted, _notes = fit(issue(sections=(image,)))
    assert fitted.sections[0].alt == "old buoy"


def test_template_braces_become_round_brackets_with_a_note() -> None:
    fitted, notes = fit(issue(sections=(SectionContent(title="X", body="Hi {{ name }},\nhello *|FNAME|*!"),)))
    assert fitted.sections[0].body == "Hi (( name )),\nhello (FNAME)!"
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://a.example/?utm_source=x", "https://a.example/"),
        ("https://a.example/?utm_source=x&utm_medium=y#top", "https://a.example/#top"),
        ("https://a.example/?a=1&utm_source=x&b=2", "https://a.example/?a=1&b=2"),
        ("https://a.example/?utm_source=x&b=2", "https://a.example/?b=2"),
        ("https://a.example/?a=1&utm_source=x", "https://a.example/?a=1"),
        ("[a](https://a.example/?utm_source=x) and (utm_b)", "[a](https://a.example/) and (utm_b)"),
        ("Is it ?utm_source=x here", "Is it ?utm_source=x here"),
        ("https://a.example/?nutm_source=x", "https://a.example/?nutm_source=x"),
    ],
)
def test_utm_parameters_are_removed_from_addresses_only(typed: str, kept: str) -> None:
    assert without_utm(typed) == kept


def test_utm_parameters_are_removed_everywhere() -> None:
    url = "https://a.example/?utm_source=x"
    section = SectionContent(
        title="X", body=f"<{url}>", stories=(StoryContent(title="A", url=url, body=f"[b]({url})"),)
    )
    assert set(links_of(content_without_utm(issue(sections=(section,))))) == {"https://a.example/"}


def test_addresses_of_pictures_are_replaced_as_a_whole() -> None:
    body = '![A](a.png) ![B](<a.png>) ![C](a.png "title") [x](a.png2)\n\n[r]: a.png\n\na.png'
    content = with_pictures(issue(sections=(SectionContent(title="X", body=body),)), [("a.png", "https://m.example/1")])
    assert content.sections[0].body == (
        '![A](https://m.example/1) ![B](<https://m.example/1>) ![C](https://m.example/1 "title") [x](a.png2)\n\n'
        "[r]: https://m.example/1\n\na.png"
    )
