"""Checks of what editors wrote: every part whole, nothing twice, nothing that would show as code. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import body_faults, field_faults, section_faults
from newsletter.content.link_key import link_key
from newsletter.preflight.findings import Finding, Inspection, PastIssue, fix_of, look_at, must_fix
from newsletter.preflight.places import WHOLE_ISSUE, placed_bodies, placed_sections, placed_stories
from newsletter.rendering.context import WORDS_PER_MINUTE

FAMILY = "content"
LONG_STORY_WORDS = 120
LONG_ISSUE_WORDS = 5_000


def check_content(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: no stories, a story without title, link or text, a part that lacks what it is made for."""
    content = inspection.content
    if not any(content.stories()):
        yield must_fix(FAMILY, WHOLE_ISSUE, "The issue has no stories. Add at least one.")
    for place, section in placed_sections(content):
        yield from _check_section(section, place)
    for place, story in placed_stories(content):
        yield from _check_story(story, place)
    yield from _check_repeats(content)
    yield from _check_past(content, inspection.past)
    yield from _check_length(content)
    yield from _check_date(inspection)


def _check_section(section: SectionContent, place: str) -> Iterator[Finding]:
    for _, fault in section_faults(section):
        yield must_fix(FAMILY, place, fault)
    if section.kind is SectionKind.SECTION and not section.body.strip() and not section.stories:
        yield look_at(FAMILY, place, "The section is empty: readers see its heading only. Fill it, or remove it.")
    if section.kind is SectionKind.QUOTE and section.url and not section.source.strip():
        yield look_at(
            FAMILY, place, "The quote has a link and no name to carry it, so readers miss it. Say who said it."
        )


def _check_story(story: StoryContent, place: str) -> Iterator[Finding]:
    called = f"The story “{story.title}”" if story.title.strip() else "The story"
    if not story.title.strip():
        yield must_fix(FAMILY, place, "The story has no title. Write one, or remove the story.")
    if not story.url:
        yield must_fix(FAMILY, place, f"{called} has no link. Add the address of its source.")
    if not story.body.strip():
        yield must_fix(FAMILY, place, f"{called} has no text. Write some, or remove the story.")
    for fault in (*field_faults("story title", story.title), *field_faults("source", story.source)):
        yield must_fix(FAMILY, place, fault)
    for line, fault in body_faults(story.body):
        yield must_fix(FAMILY, place, f"Line {line}: {fault}" if "\n" in story.body else fault)
    words = len(story.body.split())
    if words > LONG_STORY_WORDS:
        yield look_at(FAMILY, place, f"{called} has {words} words. Digests read best below {LONG_STORY_WORDS}.")


def _check_repeats(content: IssueContent) -> Iterator[Finding]:
    """Stories whose title or link an earlier one has already."""
    titles: dict[str, str] = {}
    links: dict[str, str] = {}
    for place, story in placed_stories(content):
        title, link = title_key(story.title), link_key(story.url)
        if link and links.setdefault(link, place) != place:
            yield look_at(FAMILY, place, f"The link {story.url} is that of {links[link]} already. Keep one of the two.")
        elif title and titles.setdefault(title, place) != place:
            yield look_at(FAMILY, place, f"The title “{story.title}” is that of {titles[title]} already.")


def _check_past(content: IssueContent, past: tuple[PastIssue, ...]) -> Iterator[Finding]:
    """Stories that one of the last issues had."""
    links = {link_key(link): issue for issue in reversed(past) for link in issue.links}
    titles = {title_key(title): issue for issue in reversed(past) for title in issue.titles}
    for place, story in placed_stories(content):
        by_link, by_title = links.get(link_key(story.url)), titles.get(title_key(story.title))
        if story.url and by_link:
            yield look_at(FAMILY, place, f"Readers had this link already, in {_named(by_link)}. Is there news?")
        elif story.title.strip() and by_title:
            yield look_at(FAMILY, place, f"Readers had a story of this title already, in {_named(by_title)}.")


def _named(issue: PastIssue) -> str:
    return f"“{issue.title}” of {issue.date.isoformat()}"


def _check_length(content: IssueContent) -> Iterator[Finding]:
    words = sum(len(body.split()) for _, body in placed_bodies(content))
    if words > LONG_ISSUE_WORDS:
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"The issue has {words:,} words, {words / WORDS_PER_MINUTE:.0f} minutes of reading. Consider making two of "
            "it.",
        )


def _check_date(inspection: Inspection) -> Iterator[Finding]:
    content, day = inspection.content, inspection.send_day
    if content.date != day:
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"The issue is dated {content.date.isoformat()} and would go out on {day.isoformat()}. "
            "Change the date if readers would wonder.",
            fix_of(f"Set the date to {day.isoformat()}", content, replace(content, date=day)),
        )


def title_key(title: str) -> str:
    """What two titles have in common that say the same."""
    return " ".join(title.casefold().split())


def passed_content(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    count = sum(1 for _ in inspection.content.stories())
    stories = "The one story is" if count == 1 else f"All {count} stories are"
    return f"{stories} whole, and nothing stands twice, here or in the last issues"
