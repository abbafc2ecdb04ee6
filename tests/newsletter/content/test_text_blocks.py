"""Issue files without headings, with heads of other tools, and with headings that are no stories."""

from __future__ import annotations

import pytest

from newsletter.content.document import SectionContent, SectionKind
from newsletter.content.issue_file import read_issue_file, write_issue_file
from tests.newsletter.content.test_issue_file import problems_of, with_front_matter


def test_text_above_all_sections_is_a_text_block() -> None:
    body = "A lead.\n\n## News\nOne.\n\n## {text}\nMore."
    reading = read_issue_file(with_front_matter(body))

    assert reading.content.sections == (
        SectionContent(kind=SectionKind.TEXT, body="A lead."),
        SectionContent(title="News", body="One."),
        SectionContent(kind=SectionKind.TEXT, body="More."),
    )
    assert write_issue_file(reading.content).endswith("---\n\nA lead.\n\n## News\nOne.\n\n## {text}\nMore.\n")


def test_a_list_of_stories_needs_no_section() -> None:
    body = "### [A](https://a.example)\n### [B](https://b.example)"
    [section] = read_issue_file(with_front_matter(body)).content.sections

    assert (section.kind, section.body, len(section.stories)) == (SectionKind.TEXT, "", 2)


def test_an_empty_text_block_is_an_error_and_comments_alone_are_none() -> None:
    [problem] = problems_of(with_front_matter("## {text}\n\n## News\nx"))
    assert (problem.line, problem.sentence) == (6, "The text block is empty. Write some text, or remove the block.")
    [section] = read_issue_file(with_front_matter("<!-- ask Ada -->\n\n## News\nx")).content.sections
    assert section.title == "News"


def test_headings_without_a_link_stay_in_the_text() -> None:
    body = "## News\nOne.\n### Events\nTwo.\n### [A](https://a.example)\nThree.\n### Jobs\nFour.\n#### More\nFive."
    first, second = read_issue_file(with_front_matter(body)).content.sections

    assert first.body == "One.\n#### Events\nTwo."
    assert [(story.title, story.body) for story in first.stories] == [("A", "Three.")]
    assert second == SectionContent(kind=SectionKind.TEXT, body="#### Jobs\nFour.\n#### More\nFive.")


@pytest.mark.parametrize(
    ("after", "source", "body"),
    [(" by Ada Quay", "Ada Quay", "x"), (" and [more](https://b.example)", "", "and [more](https://b.example)\n\nx")],
)
def test_words_after_the_link_of_a_story_are_kept(after: str, source: str, body: str) -> None:
    [story] = read_issue_file(with_front_matter(f"## S\n### [T](https://a.example){after}\nx")).content.stories()

    assert (story.title, story.source, story.body) == ("T", source, body)


def test_underlined_headings_are_read_if_the_head_has_no_title() -> None:
    content = read_issue_file("The Log 2026-03-31\n======\n\nLead.\n\nNews\n----\n\nOne.\n").content

    assert content.title == "The Log 2026-03-31"
    assert [section.title for section in content.sections] == ["", "News"]


@pytest.mark.parametrize(
    "head",
    [
        "---\nTitle: T\nDATE: 2026-03-31 10:00:00 +0200\nSlug: t\ntags: [News, Tech]\nlayout: post\n---\n",
        '+++\ntitle = "T"\ndate = 2026-03-31\nslug = "t"\ntags = ["News", "Tech"]\nlayout = "post"\n+++\n',
        '{"title": "T", "date": "2026-03-31", "slug": "t", "categories": ["News", "Tech"], "layout": "post"}\n\n',
        "Title: T\nDate: 2026-03-31 10:00\nSlug: t\nTags: News, Tech\nLayout: post\n\n",
    ],
)
def test_heads_of_every_kind_are_read_and_unknown_keys_are_noted(head: str) -> None:
    reading = read_issue_file(f"{head}## S\nx")

    content = reading.content
    assert (content.title, content.slug, content.date.isoformat()) == ("T", "t", "2026-03-31")
    assert content.categories == ("News", "Tech")
    assert ["layout" in note.sentence.lower() for note in reading.notes] == [True]


def test_a_head_that_grows_by_aliases_is_refused() -> None:
    bomb = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12))
    [problem] = problems_of(f"---\ntitle: T 2026-03-31\n{bomb}---\n## S\nx")
    assert "too large" in problem.sentence
