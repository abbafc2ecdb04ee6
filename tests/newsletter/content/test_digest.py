"""Plain-text digests: known sources decide where a text starts, and guesses are reported."""

from __future__ import annotations

import collections
import datetime
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.digest import read_digest
from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.formats import format_of, read_issue, text_of
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.markdown import markdown_to_text
from newsletter.content.plain_text import plain_to_markdown
from newsletter.content.problems import IssueFileError, Problem, Severity

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "samples"
DIGEST = """\
Sources

The Harbour Log — 2026-07-01#

Signal of the week#

In a section of text a dot · is only a dot.

A second paragraph has none.

A third has none either.

Deep dives#

What stands here belongs to the section.

The crane · reborn · Harbour Gazette After two years it’s back, 50,000:1 against.
Tides · Mast Nobody counted *them* until now.

Nor did anybody measure.

Silent · Quay

Categories: News, Tech,News"""


def digest_problems(text: str) -> list[Problem]:
    with pytest.raises(IssueFileError) as caught:
        read_digest(text, known_sources=())
    return list(caught.value.problems)


def digest_of(below_the_title: str) -> str:
    return f"The Harbour Log — 2026-07-01#\n\n{below_the_title}"


def test_a_digest_is_parsed_completely_and_in_order() -> None:
    reading = read_digest(DIGEST, known_sources=["Harbour", "Harbour Gazette", "Quay"])

    assert reading.content == IssueContent(
        title="The Harbour Log — 2026-07-01",
        slug="the-harbour-log-2026-07-01",
        date=datetime.date(2026, 7, 1),
        subject="The Harbour Log — 2026-07-01",
        categories=("News", "Tech"),
        sections=(
            SectionContent(
                title="Signal of the week",
                body="In a section of text a dot · is only a dot.\n\nA second paragraph has none.\n\n"
                "A third has none either.",
            ),
            SectionContent(
                title="Deep dives",
                body="What stands here belongs to the section.",
                stories=(
                    StoryContent(
                        title="The crane · reborn",
                        source="Harbour Gazette",
                        body="After two years it’s back, 50,000:1 against.",
                    ),
                    StoryContent(
                        title="Tides",
                        source="Mast",
                        body="Nobody counted \\*them\\* until now.\n\nNor did anybody measure.",
                    ),
                    StoryContent(title="Silent", source="Quay"),
                ),
            ),
        ),
    )


def test_guesses_and_gaps_are_reported_with_their_lines() -> None:
    reading = read_digest(DIGEST, known_sources=["Harbour", "Harbour Gazette", "Quay"])

    assert [(note.line, note.sentence) for note in reading.notes] == [
        (18, "The source “Mast” was guessed: no known source follows the “·”."),
        (20, "This line has no ` · ` and was added to the story “Tides”."),
        (22, "The story “Silent” has no text yet."),
        (24, "The category “News” is listed twice. It counts once."),
    ]
    assert all(note.severity == Severity.WARNING for note in reading.notes)


def test_without_known_sources_every_source_is_guessed_as_the_first_word() -> None:
    reading = read_digest(DIGEST, known_sources=())

    assert [(story.title, story.source) for story in reading.content.stories()] == [
        ("The crane", "reborn"),
        ("Tides", "Mast"),
        ("Silent", "Quay"),
    ]
    assert [note.line for note in reading.notes if "was guessed" in note.sentence] == [17, 18, 22]


def test_stories_with_the_same_guess_are_one_note_with_their_common_beginning() -> None:
    lines = "\n".join(f"Tide {number} · Brett Mast {word}" for number, word in enumerate("abc"))
    reading = read_digest(f"Log — 2026-07-01#\n\nDives#\n\n{lines}\nCrane · Quay x\n", known_sources=())
    assert [(guess.source, len(guess.guesses), guess.line) for guess in reading.guessed_sources] == [
        ("Brett Mast", 3, 5),
        ("Quay", 1, 8),
    ]
    assert [note.sentence for note in reading.notes][:1] == [
        "The source “Brett” was guessed in 3 stories: no known source follows the “·”."
    ]


@pytest.mark.parametrize(
    ("known", "source", "body"),
    [
        (["O'Reilly"], "O’Reilly", "Radar says so."),
        (["O’Reilly Radar", "O’Reilly"], "O’Reilly Radar", "says so."),
        (["O’Rei"], "O’Reilly", "Radar says so."),
        (["o’reilly radar"], "O’Reilly", "Radar says so."),
    ],
)
def test_the_longest_known_source_wins_and_only_whole_words_count(known: list[str], source: str, body: str) -> None:
    content = read_digest(digest_of("News#\n\nA · O’Reilly Radar says so."), known_sources=known).content

    assert [(story.source, story.body) for story in content.stories()] == [(source, body)]


def test_a_digest_round_trips_through_the_canonical_file() -> None:
    content = read_digest(DIGEST, known_sources=["Harbour Gazette", "Quay"]).content

    assert read_issue_file(write_issue_file(content)).content == content


def test_text_above_the_title_is_ignored_with_a_warning() -> None:
    assert [note.line for note in read_digest("Home\n" + digest_of("News#\n\nx"), known_sources=()).notes] == [1]


def test_a_long_line_or_a_story_that_ends_in_a_hash_is_not_a_heading() -> None:
    content = read_digest(
        digest_of("News#\n\nSharp · Quay It is written in C#\n\n" + "x" * 150 + "#"), known_sources=()
    ).content

    assert [section.title for section in content.sections] == ["News"]


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "No line ends in #"),
        ("The Harbour Log#\n\nNews#\n\nText.", 1, "no date"),
        ("The Harbour Log — 2026-02-30#\n\nNews#\n\nText.", 1, "no date"),
        (digest_of("Lost.\n\nNews#\n\nText."), 3, "This text has no heading"),
        (digest_of("News#\n\nring \x07"), 5, "U+0007"),
        (digest_of("News#\n\nA · " + "x" * 101 + " Text."), 5, "101 characters"),
        (digest_of("News#\n\nA · Qu\u202eay Text."), 5, "U+202E"),
        (digest_of("News#\n\nText.\n\nCategories: News,,Tech"), 7, "A category has no name"),
    ],
)
def test_a_faulty_digest_is_refused_with_line_and_advice(text: str, line: int, sentence: str) -> None:
    problems = [problem for problem in digest_problems(text) if problem.severity == Severity.ERROR]

    assert [problem.line for problem in problems] == [line]
    assert sentence in problems[0].sentence


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_a_plain_line_is_literal_in_markdown(line: str) -> None:
    # Addresses become links with their own text; renderers collapse spaces.
    words = " ".join(line.replace(":", "").split())

    assert markdown_to_text(plain_to_markdown(words)) == words


def test_prose_needs_no_escaping() -> None:
    prose = "“It’s 99.9% · AT&T, R&D; snake_case, 5 * 3 < 16 – (a) [b] #1!”"

    assert plain_to_markdown(prose) == prose


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\ntitle: T#\n---", "markdown"),
        ("\n# T 2026-03-31\n\nNews#", "markdown"),
        ("Sources\n\nT#\n\n## x", "digest"),
        ("just words", None),
        ("", None),
    ],
)
def test_the_format_is_recognised_by_its_first_mark(text: str, expected: str | None) -> None:
    assert format_of(text) == expected


def test_one_function_reads_both_formats() -> None:
    assert read_issue(DIGEST, ["Harbour Gazette"]) == read_digest(DIGEST, known_sources=["Harbour Gazette"])
    assert read_issue("# T 2026-03-31\n## S\nx").content.title == "T 2026-03-31"
    with pytest.raises(IssueFileError, match="This file is not an issue"):
        read_issue("just words")


def test_bytes_that_are_not_utf_8_are_refused_with_their_line() -> None:
    assert text_of("Kräne · ’".encode()) == "Kräne · ’"
    with pytest.raises(IssueFileError, match="Line 2: This line is not UTF-8"):
        text_of(b"fine\nKr\xe4ne")


@pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"the sample digests are missing: {SAMPLES.name}/ next to the checkout"
)
def test_the_sample_digest_is_parsed_completely() -> None:
    text = (SAMPLES / "engineering-at-scale-2026-07-01.txt").read_text(encoding="utf-8")
    known = {line.partition(" · ")[2].partition(" ")[0] for line in text.splitlines()} | {"Brett Terpstra"}
    reading = read_issue(text, known)
    content = reading.content
    signal, dives, closing = content.sections

    assert (content.title, content.slug) == ("Engineering @ Scale — 2026-07-01", "engineering-at-scale-2026-07-01")
    assert (content.date, content.categories) == (datetime.date(2026, 7, 1), ("News", "Tech"))
    assert [section.title for section in content.sections] == [
        "Signal of the Day",
        "Deep Dives",
        "Patterns Across Companies",
    ]
    assert signal.body.startswith("OpenAI solved WebRTC’s port exhaustion")
    assert closing.body.endswith("The infrastructure is the application.")
    assert len(dives.stories) == 31
    assert [source for source, _ in collections.Counter(story.source for story in dives.stories).most_common(3)] == [
        "AWS",
        "Vercel",
        "Cloudflare",
    ]
    assert reading.notes == ()
    lines = [line.strip() for line in text.splitlines() if " · " in line]
    assert [f"{story.title} · {story.source} {story.body}" for story in dives.stories] == lines
    assert read_issue_file(write_issue_file(content)).content == content


@pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"the sample digests are missing: {SAMPLES.name}/ next to the checkout"
)
def test_every_guess_in_the_sample_is_reported_with_its_line() -> None:
    text = (SAMPLES / "engineering-at-scale-2026-07-01.txt").read_text(encoding="utf-8")
    guesses = (guess for source in read_issue(text).guessed_sources for guess in source.guesses)

    assert sorted(guess.line for guess in guesses) == [
        number for number, line in enumerate(text.splitlines(), start=1) if " · " in line
    ]
    assert "Brett" in {source.guesses[0].words.partition(" ")[0] for source in read_issue(text).guessed_sources}


def test_long_lines_do_not_take_quadratic_time() -> None:
    started = time.thread_time()
    read_digest(digest_of("News#\n\n" + "a · " * 100_000), known_sources=["Mast", "Quay"])
    read_issue_file("# T 2026-03-31\n## S\n### " + " " * 100_000 + "x\n" + "```x\n" * 20_000)

    assert time.thread_time() - started < 60  # about two seconds; a quadratic reader needs many minutes
