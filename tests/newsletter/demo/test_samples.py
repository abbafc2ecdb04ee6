"""The demo's issues are complete digests in both formats, with links to reserved domains."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import newsletter.demo
from newsletter.content.document import IssueContent
from newsletter.content.formats import read_issue
from newsletter.content.issue_file import write_issue_file
from newsletter.content.markdown import link_targets
from newsletter.content.problems import ParsedIssue

SAMPLES = Path(newsletter.demo.__file__).parent / "samples"


def read_sample(name: str) -> ParsedIssue:
    known = (SAMPLES / "known-sources.txt").read_text(encoding="utf-8").splitlines()
    return read_issue((SAMPLES / name).read_text(encoding="utf-8"), known)


def shape_of(content: IssueContent) -> list[tuple[str, int]]:
    return [(section.title, len(section.stories)) for section in content.sections]


def links_of(content: IssueContent) -> list[str]:
    bodies = [section.body for section in content.sections] + [story.body for story in content.stories()]
    in_text = [link for body in bodies for link in link_targets(body)]
    blocks = [section.url for section in content.sections if section.url]
    return [*in_text, *blocks, *(story.url for story in content.stories() if story.url)]


def kinds_of(content: IssueContent) -> list[str]:
    return [section.kind.value for section in content.sections]


def test_the_plain_text_digest_is_read_completely_and_without_notes() -> None:
    reading = read_sample("issue-41.txt")

    assert shape_of(reading.content) == [
        ("Signal of the week", 0),
        ("Deep dives", 31),
        ("Patterns across the waterfront", 0),
    ]
    assert reading.content.categories == ("News", "Engineering")
    assert reading.notes == ()
    assert all(story.source and story.body for story in reading.content.stories())


def test_the_markdown_issue_is_complete_and_canonical() -> None:
    reading = read_sample("issue-42.md")

    assert sum(stories for _, stories in shape_of(reading.content)) == 31
    assert kinds_of(reading.content) == [
        *("section", "quote", "section", "section"),
        *("divider", "callout", "button", "links"),
    ]
    assert reading.notes == ()
    assert write_issue_file(reading.content) == (SAMPLES / "issue-42.md").read_text(encoding="utf-8")


def test_the_draft_misses_one_link_and_one_text() -> None:
    reading = read_sample("issue-43-draft.md")

    assert sum(stories for _, stories in shape_of(reading.content)) == 8
    assert kinds_of(reading.content) == ["section", "contents", "section", "section", "callout"]
    assert [note.sentence for note in reading.notes] == [
        "The story “Sluices that open for a song” is incomplete. Missing: Link.",
        "The story “Ropes that retire themselves” is incomplete. Missing: Text.",
    ]


def test_every_link_has_a_reserved_domain() -> None:
    for name in ("issue-42.md", "issue-43-draft.md"):
        links = links_of(read_sample(name).content)

        assert len(set(links)) == len(links)
        assert all((urlsplit(link).hostname or "").endswith(".example") for link in links)


def test_the_stories_are_as_long_as_in_a_real_digest_and_distinct() -> None:
    stories = [*read_sample("issue-41.txt").content.stories(), *read_sample("issue-42.md").content.stories()]
    words = [len(f"{story.title} {story.source} {story.body}".split()) for story in stories]

    assert min(words) >= 70
    assert max(words) <= 110
    assert len({story.title for story in stories}) == len({story.body for story in stories}) == 62
