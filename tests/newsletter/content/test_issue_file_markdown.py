"""Issue files as people write them: comments, definitions, images, and marks in headings."""

from __future__ import annotations

import pytest

from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.markdown import markdown_to_html
from newsletter.content.problems import IssueFileError, ParsedIssue


def read(body: str) -> ParsedIssue:
    """The issue with this text below its front matter of five lines; it round-trips."""
    reading = read_issue_file(f"---\ntitle: T\nslug: t\ndate: 2026-03-31\n---\n{body}")
    assert read_issue_file(write_issue_file(reading.content)).content == reading.content
    return reading


def notes_of(reading: ParsedIssue) -> list[tuple[int, str]]:
    return [(note.line, note.sentence) for note in reading.notes if "incomplete" not in note.sentence]


def shown(reading: ParsedIssue) -> str:
    bodies = [text for part in reading.content.sections for text in (part.body, *(one.body for one in part.stories))]
    return "\n".join(markdown_to_html(body) for body in bodies)


def test_sections_and_stories_in_a_comment_are_not_published() -> None:
    reading = read(
        "## News\nOne.\n\n<!-- a note -->\n\nTwo.\n\n<!--\n## Not yet public\n\n### [Secret](https://s.example) · S\n"
        "Text.\n-->\n\n## After <!-- todo -->\nThree.\n"
    )

    assert [part.title for part in reading.content.sections] == ["News", "After"]
    assert list(reading.content.stories()) == []
    assert shown(reading) == "<p>One.</p>\n<p>Two.</p>\n<p>Three.</p>"
    assert [(line, "not published" in sentence) for line, sentence in notes_of(reading)] == [
        (9, True),
        (13, True),
        (20, True),
    ]


def test_a_comment_stays_in_the_draft_for_editors() -> None:
    body = "One.\n<!-- ask Ada\n\n## really?\n-->\nTwo."

    assert read(f"## News\n{body}").content.sections == (SectionContent(title="News", body=body),)


def test_a_comment_without_an_end_is_refused_with_its_line() -> None:
    with pytest.raises(IssueFileError, match="Line 8: This HTML comment has no end"):
        read("## News\n\n<!-- ## Not yet public\n\n### [Secret](https://s.example) · S\nText.")
    assert read("## News\n`<!--` begins a comment").notes == ()


def test_a_comment_above_the_first_section_is_no_text_without_a_section() -> None:
    reading = read("<!-- draft two -->\n\n## News\nOne.")

    assert notes_of(reading) == [(6, "This HTML comment is not published. Only editors see it.")]


def test_link_definitions_count_for_the_whole_file() -> None:
    reading = read(
        "## News\n\nSee the [report][1].\n\n### [Cranes][cranes] · Quay\nThey are [back].\n\n## [Walks][1] ahead\nx\n\n"
        '[1]: https://r.example/1 "hover"\n[cranes]: <https://c.example>\n[back]: https://b.example\n'
    )

    assert '<a href="https://r.example/1">report</a>' in shown(reading)
    assert '<a href="https://b.example">back</a>' in shown(reading)
    [story] = reading.content.stories()
    assert (story.title, story.url, story.source) == ("Cranes", "https://c.example", "Quay")
    assert reading.content.sections[1] == SectionContent(title="Walks ahead", body="x")
    assert [line for line, sentence in notes_of(reading) if "https://r.example/1" in sentence] == [13]


def test_a_definition_of_the_text_itself_comes_first() -> None:
    reading = read("## A\n[x]\n\n[x]: https://one.example\n\n## B\n[x]\n\n[x]: https://two.example")

    assert [part.body.split()[-1] for part in reading.content.sections] == [
        "https://one.example",
        "https://two.example",
    ]


def test_a_definition_that_nothing_uses_and_a_label_without_one_are_named() -> None:
    reading = read("## A\nSee [this][that].\n\n[other]: https://o.example\n[^9]: never\n\nAnd[^8].")

    assert [(line, sentence.partition(",")[0]) for line, sentence in notes_of(reading)] == [
        (7, "There is no link “that”"),
        (9, "No text uses the link “other”"),
        (10, "No text refers to the footnote “9”"),
        (12, "There is no footnote “8”"),
    ]


def test_footnotes_at_the_end_of_the_file_are_moved_to_the_texts_that_use_them() -> None:
    reading = read("## A\nOne[^1].\n\n### T · S\nTwo[^2].\n\n[^1]: First, see [^2].\n[^2]: Second.")

    assert reading.content.sections[0].body == "One[^1].\n\n[^1]: First, see [^2].\n\n[^2]: Second."
    assert [story.body for story in reading.content.stories()] == ["Two[^2].\n\n[^2]: Second."]


@pytest.mark.parametrize(
    ("typed", "title", "link"),
    [
        ("**Ropes** and [the walk](https://w.example)", "Ropes and the walk", "https://w.example"),
        ("H<sub>2</sub>O &amp; *salt*", "H₂O & salt", ""),
        ("`<T>` and snake_case", "<T> and snake_case", ""),
        ("2 * 3 * 4 [sic]", "2 * 3 * 4 [sic]", ""),
    ],
)
def test_headings_keep_their_words_and_name_links(typed: str, title: str, link: str) -> None:
    reading = read(f"## {typed}\nText.")

    assert reading.content.sections[0].title == title
    assert [line for line, sentence in notes_of(reading) if link in sentence] == ([6] if link else [])


@pytest.mark.parametrize(
    ("typed", "story"),
    [
        ("### [**Ropes** ~~and~~](https://r.example) · *Quay*", ("Ropes ~~and~~", "https://r.example", "Quay")),
        ("### About [the walk](https://w.example) · Quay", ("About the walk", "https://w.example", "Quay")),
        ("### C\\* and \\[x\\] · Quay", ("C* and [x]", "", "Quay")),
    ],
)
def test_titles_and_sources_of_stories_are_plain_words(typed: str, story: tuple[str, str, str]) -> None:
    [found] = read(f"## S\n{typed}\nText.").content.stories()

    assert (found.title, found.url, found.source) == story


def test_an_image_on_its_own_line_becomes_an_image_block() -> None:
    reading = read(
        "## News\n![A crane](https://p.example/a.png)\nText.\n### T · S\nOne.\n\n"
        "[![A gauge](https://p.example/b.png)](https://g.example)\n\nTwo.\n### U · S\nThree."
    )

    first, second = (
        StoryContent(title="T", source="S", body="One.\n\n\n\nTwo."),
        StoryContent(title="U", source="S", body="Three."),
    )
    crane = SectionContent(kind=SectionKind.IMAGE, image="https://p.example/a.png", alt="A crane")
    text = SectionContent(kind=SectionKind.TEXT, body="Text.", stories=(first,))
    gauge = SectionContent(
        kind=SectionKind.IMAGE,
        image="https://p.example/b.png",
        alt="A gauge",
        url="https://g.example",
        stories=(second,),
    )
    assert reading.content.sections == (SectionContent(title="News"), crane, text, gauge)
    assert [line for line, sentence in notes_of(reading) if "became an image block" in sentence] == [7, 12]


@pytest.mark.parametrize(
    "image", ["![](https://p.example/a.png)", "![a](http://p.example/a.png)", "x ![a](https://p.example/a)"]
)
def test_other_images_become_links_and_are_named(image: str) -> None:
    reading = read(f"## News\n\n{image}")

    assert '<a href="http' in shown(reading)
    assert [(line, "shown as a link" in sentence) for line, sentence in notes_of(reading)] == [(8, True)]


def test_html_that_no_mail_shows_is_named_with_its_line() -> None:
    reading = read("## News\nOne\ntwo <video src=x> and <b>three.\n\n<iframe src='https://x.example'></iframe>")

    assert [(line, sentence.partition(" is shown")[0]) for line, sentence in notes_of(reading)] == [
        (8, "The HTML <video src=x>"),
        (8, "The HTML <b>"),
        (10, "The HTML <iframe src='https://x.example'>"),
        (10, "The HTML </iframe>"),
    ]


def test_a_title_that_yaml_would_cut_is_whole_and_named() -> None:
    reading = read_issue_file("---\ntitle: Harbour Log #1\ndate: 2026-03-31 # Tuesday\nslug: t\n---\n## A\nx")

    assert reading.content.title == "Harbour Log #1"
    [note] = reading.notes
    assert note.line == 2
    assert 'title: "Harbour Log #1"' in note.sentence


def test_texts_that_are_too_long_are_refused() -> None:
    with pytest.raises(IssueFileError, match="Line 7: This text has 100,001 characters"):
        read("## A\n" + "x" * 100_001)
