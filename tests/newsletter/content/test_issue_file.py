"""Markdown issue files: lenient parsing, canonical writing, and round trips."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given, settings

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.problems import IssueFileError, Problem, Severity
from tests.newsletter.content.issues import issues

HARBOUR_LOG = IssueContent(
    title="The Harbour Log — 2026-03-31",
    slug="harbour-log",
    date=datetime.date(2026, 3, 31),
    subject="Cranes, tides and “quiet” ports",
    preheader="What the gauges said",
    categories=("News", "Tech"),
    sections=(
        SectionContent(title="Signal", body="One thing.\n\nAnd *another*."),
        SectionContent(
            title="Deep dives",
            stories=(
                StoryContent(
                    title="Tide [live] · a gauge",
                    url="https://gauges.example/live_(beta)",
                    source="Gauge Weekly",
                    body="It moved.",
                ),
                StoryContent(title="No link yet · really", source="Quay", body="Text."),
                StoryContent(title="Only a title"),
            ),
        ),
    ),
)
HARBOUR_LOG_FILE = """\
---
title: The Harbour Log — 2026-03-31
date: 2026-03-31
subject: Cranes, tides and “quiet” ports
preheader: What the gauges said
slug: harbour-log
categories: [News, Tech]
---

## Signal
One thing.

And *another*.

## Deep dives

### [Tide \\[live\\] · a gauge](<https://gauges.example/live_(beta)>) · Gauge Weekly
It moved.

### No link yet \\· really · Quay
Text.

### [Only a title]()
"""


BLOCKS = (
    SectionContent(kind=SectionKind.CONTENTS, title="In this issue"),
    SectionContent(kind=SectionKind.CALLOUT, title="Closed on Monday", body="The lock, not the café."),
    SectionContent(kind=SectionKind.QUOTE, source="Ada", url="https://a.example/said", body="Ports are quiet."),
    SectionContent(kind=SectionKind.BUTTON, title="Read on", url="https://a.example/on"),
    SectionContent(
        kind=SectionKind.IMAGE,
        image="https://pictures.example/gauge_(old).png",
        alt="A gauge [upside down]",
        url="https://a.example/gauge",
        body="Seen in *June*.",
    ),
    SectionContent(kind=SectionKind.LINKS, title="Elsewhere", body="- [One](https://one.example)"),
    SectionContent(kind=SectionKind.DIVIDER, stories=(StoryContent(title="Only a title"),)),
    SectionContent(
        kind=SectionKind.SPONSOR, source="Rope & Sons", title="Ropes", url="https://rope.example", body="Soft."
    ),
)
BLOCKS_FILE = """\

## In this issue {contents}

## Closed on Monday {callout}
The lock, not the café.

## [](https://a.example/said) · Ada {quote}
Ports are quiet.

## [Read on](https://a.example/on) {button}

## [](https://a.example/gauge) {image}
![A gauge \\[upside down\\]](<https://pictures.example/gauge_(old).png>)
Seen in *June*.

## Elsewhere {links}
- [One](https://one.example)

## {divider}

### [Only a title]()

## [Ropes](https://rope.example) · Rope & Sons {sponsor}
Soft.
"""


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(IssueFileError) as caught:
        read_issue_file(text)
    return [problem for problem in caught.value.problems if problem.severity == Severity.ERROR]


def with_front_matter(body: str) -> str:
    return f"---\ntitle: T\nslug: t\ndate: 2026-03-31\n---\n{body}"


@settings(deadline=None, max_examples=150)
@given(issues)
def test_any_content_round_trips(content: IssueContent) -> None:
    text = write_issue_file(content)

    assert read_issue_file(text).content == content
    assert write_issue_file(read_issue_file(text).content) == text
    assert read_issue_file(text.replace("\n", "\r\n")).content == content


def test_the_canonical_form() -> None:
    assert write_issue_file(HARBOUR_LOG) == HARBOUR_LOG_FILE


def test_the_canonical_form_of_blocks() -> None:
    content = replace(HARBOUR_LOG, sections=BLOCKS)

    assert write_issue_file(content).partition("\n---\n")[2] == BLOCKS_FILE
    assert read_issue_file(write_issue_file(content)).content == content


@pytest.mark.parametrize(
    ("typed", "section"),
    [
        ("## · Ada {quote}\nHers.", SectionContent(kind=SectionKind.QUOTE, source="Ada", body="Hers.")),
        (
            "## Mind the step {Callout} ##\nReally.",
            SectionContent(kind=SectionKind.CALLOUT, title="Mind the step", body="Really."),
        ),
        ("##   {divider}  ", SectionContent(kind=SectionKind.DIVIDER)),
        ("## News {section}\nText.", SectionContent(title="News", body="Text.")),
        (
            "## {image}\n\n  \n![x]( https://a.example/x )",
            SectionContent(kind=SectionKind.IMAGE, image="https://a.example/x", alt="x"),
        ),
        ("## Two sets {a, b}\nText.", SectionContent(title="Two sets {a, b}", body="Text.")),
        ("## What \\{quote} means\nText.", SectionContent(title="What {quote} means", body="Text.")),
        ("## About \\{quote}\nText.", SectionContent(title="About {quote}", body="Text.")),
        ("## News\n![](https://a.example/x)", SectionContent(title="News", body="![](https://a.example/x)")),
    ],
)
def test_blocks_are_parsed_leniently(typed: str, section: SectionContent) -> None:
    assert read_issue_file(with_front_matter(typed)).content.sections == (section,)


@pytest.mark.parametrize(
    ("typed", "line", "sentence"),
    [
        ("## Old {qoute}\nText.", 6, "no block of the kind “qoute”. The kinds are {section}, {text}, {callout}"),
        ("## A\nText.\n## {button}", 8, "The button has no link"),
        ("## Press {button}\nand text", 6, "“Button” has no field “Text”"),
        ("## [x](https://a.example) {callout}\ntext", 6, "“Call-out” has no field “Link”"),
        ("## {image}\n![](https://a.example/x.png)", 6, "The image has no description"),
        ("## {image}\n![x](http://a.example/x.png)", 6, "must start with https://"),
        ("## [broken](https://a.example words {quote}\nx", 6, "The link cannot be parsed"),
        ("## · Ada {quote}\n\nHello\n{first_name}", 9, "has no fallback"),
        ("## A\n\nHello\n{{ name }}", 9, "templates are not run"),
        ("## For {first_name|you}\nx", 6, "Merge fields work in running text only"),
    ],
)
def test_missing_and_extra_fields_of_a_block_are_reported_with_their_line(typed: str, line: int, sentence: str) -> None:
    [problem] = [found for found in problems_of(with_front_matter(typed)) if sentence in found.sentence]

    assert problem.line == line


def test_an_image_in_the_text_of_a_sponsor_is_escaped() -> None:
    sponsor = SectionContent(kind=SectionKind.SPONSOR, source="Rope & Sons", body="![a](https://a.example/x)\nText.")
    text = write_issue_file(replace(HARBOUR_LOG, sections=(sponsor,)))

    assert "\n\\ ![a](https://a.example/x)\nText." in text
    assert read_issue_file(text).content.sections == (sponsor,)


def test_body_lines_that_look_like_structure_are_escaped() -> None:
    body = "\n# one\n## two\n### three\n#### four\n\\ held\n```\n## open\n**[a](https://b.example)** · C\n"
    content = replace(HARBOUR_LOG, sections=(SectionContent(title="S", body=body),))
    text = write_issue_file(content)

    assert text.endswith(
        "## S\n\\\n\\ # one\n\\ ## two\n\\ ### three\n#### four\n\\ \\ held\n\\ ```\n\\ ## open\n"
        "\\ **[a](https://b.example)** · C\n\\\n"
    )
    assert read_issue_file(text).content == content


def test_a_closed_code_block_is_not_escaped() -> None:
    body = "```sh\n# install\n## twice\n\\ x\n```"
    content = replace(HARBOUR_LOG, sections=(SectionContent(title="S", body=body),))

    assert body in write_issue_file(content)
    assert read_issue_file(write_issue_file(content)).content == content


def test_content_that_a_file_cannot_represent_is_refused() -> None:
    with pytest.raises(IssueFileError, match=r"U\+0007"):
        write_issue_file(replace(HARBOUR_LOG, sections=(SectionContent(title="S", body="ding \x07"),)))
    with pytest.raises(IssueFileError, match="without changing"):
        write_issue_file(replace(HARBOUR_LOG, subject=""))


def test_an_h1_is_the_title_and_may_end_with_the_date() -> None:
    reading = read_issue_file("\ufeff# The Harbour Log — 2026-03-31\r\n\r\n## Signal\r\nOne.\r\n")

    assert reading.content == IssueContent(
        title="The Harbour Log — 2026-03-31",
        slug="the-harbour-log-2026-03-31",
        date=datetime.date(2026, 3, 31),
        subject="The Harbour Log — 2026-03-31",
        sections=(SectionContent(title="Signal", body="One."),),
    )
    assert [(note.line, note.severity) for note in reading.notes] == [(1, Severity.WARNING)] * 2


@pytest.mark.parametrize(
    ("typed", "story"),
    [
        (
            "**[Cranes](https://a.example)** · Quay\nThey are back.",
            StoryContent(title="Cranes", url="https://a.example", source="Quay", body="They are back."),
        ),
        (
            "**[Cranes](https://a.example)** · Harbour Gazette They are back, and in numbers that nobody saw.",
            StoryContent(
                title="Cranes",
                url="https://a.example",
                source="Harbour Gazette",
                body="They are back, and in numbers that nobody saw.",
            ),
        ),
        (
            "**[Cranes](https://a.example)** · Mast They are back, and in numbers that nobody saw.",
            StoryContent(
                title="Cranes",
                url="https://a.example",
                source="Mast",
                body="They are back, and in numbers that nobody saw.",
            ),
        ),
        ("**[Cranes](https://a.example)**", StoryContent(title="Cranes", url="https://a.example")),
        (
            "**[Cranes](https://a.example)** · Two Words",
            StoryContent(title="Cranes", url="https://a.example", source="Two Words"),
        ),
        (
            '### [[Film] Cranes](https://a.example/x_(y) "hover") — Quay ##',
            StoryContent(title="[Film] Cranes", url="https://a.example/x_(y)", source="Quay"),
        ),
        ("### Cranes · then and now · Quay", StoryContent(title="Cranes · then and now", source="Quay")),
        ("###   [Cranes]()  ", StoryContent(title="Cranes")),
        ("###", StoryContent(title="")),
    ],
)
def test_stories_are_parsed_leniently(typed: str, story: StoryContent) -> None:
    reading = read_issue_file(with_front_matter(f"## News\n\n{typed}\n"), known_sources=["Harbour", "Harbour Gazette"])

    assert list(reading.content.stories()) == [story]


def test_a_bold_link_at_the_start_of_a_sentence_is_ordinary_text() -> None:
    body = "**[Cranes](https://a.example)** are back."

    assert read_issue_file(with_front_matter(f"## News\n{body}")).content.sections[0].body == body


def test_a_guessed_source_is_reported_with_its_line() -> None:
    text = with_front_matter("## News\n**[Cranes](https://a.example)** · Mast They are back, and in numbers unseen.")

    assert read_issue_file(text).notes == (
        Problem(7, "The source “Mast” was guessed: the first word after the “·”.", Severity.WARNING),
    )


def test_missing_fields_of_a_story_are_reported_with_its_line() -> None:
    notes = read_issue_file(HARBOUR_LOG_FILE).notes

    assert notes == (
        Problem(20, "The story “No link yet · really” is incomplete. Missing: Link.", Severity.WARNING),
        Problem(23, "The story “Only a title” is incomplete. Missing: Link, Source, Text.", Severity.WARNING),
    )


def test_yaml_values_are_read_as_text() -> None:
    text = (
        "---\ntitle: 2026\nsubject: No\nslug: null\npreheader: ~\ncategories: News, Tech\ndate: '2026-03-31'\n---\n## S"
    )
    content = read_issue_file(text).content

    assert (content.title, content.subject, content.slug, content.preheader) == ("2026", "No", "2026", "")
    assert content.categories == ("News", "Tech")


def test_all_problems_of_a_file_are_reported_at_once_with_their_lines() -> None:
    text = """\
---
title: T
titel: Typo
date: 2026-02-30
slug: no spaces please
slug: again
subject: "two\\nlines"
preheader: [a, b]
categories: [News, {a: b}]
---
Lost words.
### A story too early
## News
### [Cranes](javascript:alert(1)) · Quay
### [Cranes](https://a.example and more
##
# Second title
"""
    assert [(problem.line, problem.sentence.split(".")[0]) for problem in problems_of(text)] == [
        (4, "“2026-02-30” is not a date"),
        (5, "The slug “no spaces please” may contain only the letters a to z, digits, hyphens and underscores"),
        (6, "“slug” appears twice"),
        (7, "“Subject” contains a line break"),
        (8, "“preheader” must be one line of text"),
        (9, "“categories” must be a list of names, such as [News, Tech]"),
        (14, "Link “javascript:alert(1)”: The address is not a full web address"),
        (15, "The link cannot be parsed"),
        (16, "This section has no heading"),
        (17, "Only the title at the top has one #"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (
            "---\ntitle: T 2026-03-31\ncategories: ['Food, drink']\n---\n## S",
            3,
            "The category “Food, drink” contains a comma",
        ),
        ("---\ntitle: T\nsubject: a: b\n---\n## S", 3, "not valid YAML"),
        ("---\ntitle: T\n", 1, "has no end"),
        ("---\ntitle: T\nsubject: ring \x07\n---\n## S", 3, "control character"),
        ("---\n- a\n---\n## S", 2, "lines such as"),
        ("---\ntitle: " + "[" * 5000 + "\n---\n## S", 2, "brackets"),
        ("---\ndate: 2026-03-31\n---\n## S", 1, "no title"),
        ("---\ntitle: T\n---\n## S", 1, "no date"),
        (with_front_matter("## S\nfine\nring \x07\n"), 8, "U+0007"),
        (with_front_matter("## S\u202e"), 6, "U+202E"),
        (with_front_matter("## S\n### [a](//evil.example)"), 7, "not a full web address"),
        (with_front_matter("## S\n### [a](https://a.example b)"), 7, "link cannot be parsed"),
        (with_front_matter("# Other\n## S\n"), 6, "differs"),
        (with_front_matter("## " + "S" * 201), 6, "201 characters; the maximum is 200"),
    ],
)
def test_a_faulty_file_is_refused_with_line_and_advice(text: str, line: int, sentence: str) -> None:
    problems = problems_of(text)

    assert [problem.line for problem in problems] == [line]
    assert sentence in problems[0].sentence


def test_a_section_in_a_code_block_is_reported() -> None:
    reading = read_issue_file(with_front_matter("## S\n```\n## T\n```\n"))

    assert [note.line for note in reading.notes] == [8]


def test_an_unclosed_code_fence_hides_nothing() -> None:
    content = read_issue_file(with_front_matter("## S\n```\n## T\nx")).content

    assert [section.title for section in content.sections] == ["S", "T"]
