"""Checks of what editors wrote: every story whole, every link usable, nothing twice. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.links import is_allowed_in_text, web_link_problem
from newsletter.content.markdown import link_targets
from newsletter.preflight.findings import Finding, Inspection, Severity

FAMILY = "content"
LONG_STORY_WORDS = 120


def check_content(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: no stories, a story without title, link or text, a link that leads nowhere."""
    content = inspection.content
    if not any(content.stories()):
        yield _must_fix("", "The issue has no stories. Add at least one.")
    for section in content.sections:
        yield from _check_links_in(section.body, section.title)
        for place, story in _placed(section):
            yield from _check_story(story, place)
    yield from _check_repeats(content)
    if content.date != inspection.send_day:
        yield _look_at(
            "",
            f"The issue is dated {content.date.isoformat()} and would go out on {inspection.send_day.isoformat()}. "
            "Change the date if readers would wonder.",
        )


def _check_story(story: StoryContent, place: str) -> Iterator[Finding]:
    called = f"The story “{story.title}”" if story.title else "The story"
    if not story.title.strip():
        yield _must_fix(place, "The story has no title. Write one, or remove the story.")
    if not story.url:
        yield _must_fix(place, f"{called} has no link. Add the address of its source.")
    elif problem := web_link_problem(story.url):
        yield _must_fix(place, f"The link “{story.url}” {problem}. Correct it.")
    if not story.body.strip():
        yield _must_fix(place, f"{called} has no text. Write some, or remove the story.")
    yield from _check_links_in(story.body, place)
    words = len(story.body.split())
    if words > LONG_STORY_WORDS:
        yield _look_at(place, f"{called} has {words} words. Digests read best below {LONG_STORY_WORDS}.")


def _check_links_in(body: str, place: str) -> Iterator[Finding]:
    for target in link_targets(body):
        if not is_allowed_in_text(target):
            yield _must_fix(
                place, f"The link to “{target}” in the text leads nowhere. Give it a full address with https://."
            )


def _check_repeats(content: IssueContent) -> Iterator[Finding]:
    """Stories whose title or link an earlier one has already."""
    titles: dict[str, str] = {}
    urls: dict[str, str] = {}
    for section in content.sections:
        for place, story in _placed(section):
            title, url = " ".join(story.title.casefold().split()), story.url.rstrip("/")
            if url and urls.setdefault(url, place) != place:
                yield _look_at(place, f"The link {story.url} is that of {urls[url]} already. Keep one of the two.")
            elif title and titles.setdefault(title, place) != place:
                yield _look_at(place, f"The title “{story.title}” is that of {titles[title]} already.")


def _placed(section: SectionContent) -> Iterator[tuple[str, StoryContent]]:
    for number, story in enumerate(section.stories, start=1):
        yield f"{section.title}, story {number}", story


def _must_fix(place: str, sentence: str) -> Finding:
    return Finding(Severity.MUST_FIX, FAMILY, place, sentence)


def _look_at(place: str, sentence: str) -> Finding:
    return Finding(Severity.LOOK_AT, FAMILY, place, sentence)
