"""Checks of the text that editors wrote: complete parts, no repetitions, no unknown merge fields. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.body_notes import COMMENT, UNCLOSED, body_notes, comment_lines
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import body_faults, field_faults, section_faults
from newsletter.content.lines import count_words, is_blank
from newsletter.content.links import link_key
from newsletter.content.merge_faults import Names
from newsletter.preflight.findings import Finding, Inspection, PastIssue, error, make_fix, warning
from newsletter.preflight.places import WHOLE_ISSUE, placed_bodies, placed_sections, placed_stories
from newsletter.rendering.words import WORDS_PER_MINUTE

FAMILY = "content"
LONG_STORY_WORDS = 120
LONG_ISSUE_WORDS = 5_000


def check_content(inspection: Inspection) -> Iterator[Finding]:
    """Errors: no stories; a story without title, link or text; a part without a required field."""
    content = inspection.content
    if not any(content.stories()):
        yield error(FAMILY, "no_stories", WHOLE_ISSUE, translatable("The issue has no stories. Add at least one."))
    for (place, section), after in zip(placed_sections(content), [*content.sections, None][1:], strict=True):
        is_above_image = after is not None and after.kind is SectionKind.IMAGE
        yield from _check_section(section, place, inspection.merge_names, is_above_image=is_above_image)
    for place, story in placed_stories(content):
        yield from _check_story(story, place, inspection.merge_names)
    for place, body in placed_bodies(content):
        yield from _check_markdown(body, place)
    yield from _check_duplicates(content)
    yield from _check_past(content, inspection.past)
    yield from _check_length(content)
    yield from _check_date(inspection)


def _check_section(section: SectionContent, place: str, names: Names, *, is_above_image: bool) -> Iterator[Finding]:
    for field, fault in section_faults(section, names):
        yield error(FAMILY, "invalid_part", place, fault, field=field)
    has_content = section.stories or not is_blank(section.body) or is_above_image
    if section.kind is SectionKind.SECTION and not has_content:
        yield warning(
            FAMILY,
            "empty_section",
            place,
            translatable(
                "The section is empty: only its heading is shown. Add stories or text, or remove the section."
            ),
            field="body",
        )
    if section.kind is SectionKind.QUOTE and section.url and not section.source.strip():
        yield warning(
            FAMILY,
            "quote_without_name",
            place,
            translatable("The quote has a link but no name, so the link is not shown. Enter the name of the speaker."),
            field="source",
        )


def _check_story(story: StoryContent, place: str, names: Names) -> Iterator[Finding]:
    name = story.title.strip() or place
    if not story.title.strip():
        yield error(
            FAMILY,
            "story_without_title",
            place,
            translatable("The story has no title. Write one, or remove the story."),
            field="title",
        )
    if not story.url:
        yield error(
            FAMILY,
            "story_without_link",
            place,
            translatable("The story “{story}” has no link. Add the address of its source.", story=name),
            field="url",
        )
    if is_blank(story.body):
        yield error(
            FAMILY,
            "story_without_text",
            place,
            translatable("The story “{story}” has no text. Write some, or remove the story.", story=name),
            field="body",
        )
    yield from _check_story_fields(story, place, names)
    words = count_words(story.body)
    if words > LONG_STORY_WORDS:
        yield warning(
            FAMILY,
            "long_story",
            place,
            translatable(
                "The story “{story}” has {words:,} words. The stories of a digest should have fewer than {limit}.",
                story=name,
                words=words,
                limit=LONG_STORY_WORDS,
            ),
            field="body",
        )


def _check_story_fields(story: StoryContent, place: str, names: Names) -> Iterator[Finding]:
    for fault in field_faults("story title", story.title, names):
        yield error(FAMILY, "invalid_story_field", place, fault, field="title")
    for fault in field_faults("source", story.source, names):
        yield error(FAMILY, "invalid_story_field", place, fault, field="source")
    for line, fault in body_faults(story.body, names):
        yield error(FAMILY, "invalid_story_text", place, _in_line(story.body, line, fault), field="body")


def _check_markdown(body: str, place: str) -> Iterator[Finding]:
    """An error: a comment without an end. Warnings: what recipients see in another form, or not at all."""
    comments, unclosed = comment_lines(body)
    for line in unclosed:
        yield error(FAMILY, "unclosed_comment", place, _in_line(body, line, UNCLOSED), field="body")
    for line in comments:
        yield warning(FAMILY, "comment", place, _in_line(body, line, COMMENT), field="body")
    for line, note in body_notes(body, with_refused_links=False):
        yield warning(FAMILY, "shown_differently", place, _in_line(body, line, note), field="body")


def _in_line(body: str, line: int, sentence: str) -> str:
    return translatable("Line {line}: {problem}", line=line, problem=sentence) if "\n" in body else sentence


def _check_duplicates(content: IssueContent) -> Iterator[Finding]:
    """Stories with the title or link of an earlier story."""
    titles: dict[str, str] = {}
    links: dict[str, str] = {}
    for place, story in placed_stories(content):
        title, link = title_key(story.title), link_key(story.url)
        if link and links.setdefault(link, place) != place:
            yield warning(
                FAMILY,
                "duplicate_link",
                place,
                translatable(
                    "The link {url} is already used in {place}. Remove one of the two stories.",
                    url=story.url,
                    place=links[link],
                ),
                field="url",
            )
        elif title and titles.setdefault(title, place) != place:
            yield warning(
                FAMILY,
                "duplicate_title",
                place,
                translatable(
                    "The title “{title}” is already used in {place}. Change one of the two titles.",
                    title=story.title,
                    place=titles[title],
                ),
                field="title",
            )


def _check_past(content: IssueContent, past: tuple[PastIssue, ...]) -> Iterator[Finding]:
    """Stories that were part of one of the last issues."""
    links = {link_key(link): issue for issue in reversed(past) for link in issue.links}
    titles = {title_key(title): issue for issue in reversed(past) for title in issue.titles}
    for place, story in placed_stories(content):
        by_link, by_title = links.get(link_key(story.url)), titles.get(title_key(story.title))
        if story.url and by_link:
            yield warning(
                FAMILY,
                "link_sent_before",
                place,
                translatable(
                    "This link was already in “{issue}” of {date}. Keep the story only if there is news.",
                    issue=by_link.title,
                    date=by_link.date.isoformat(),
                ),
                field="url",
            )
        elif story.title.strip() and by_title:
            yield warning(
                FAMILY,
                "title_sent_before",
                place,
                translatable(
                    "A story with this title was already in “{issue}” of {date}. Change the title or remove it.",
                    issue=by_title.title,
                    date=by_title.date.isoformat(),
                ),
                field="title",
            )


def _check_length(content: IssueContent) -> Iterator[Finding]:
    words = sum(count_words(body) for _, body in placed_bodies(content))
    if words > LONG_ISSUE_WORDS:
        yield warning(
            FAMILY,
            "long_issue",
            WHOLE_ISSUE,
            translatable(
                "The issue has {words:,} words, about {minutes} minutes of reading. Consider two shorter issues.",
                words=words,
                minutes=round(words / WORDS_PER_MINUTE),
            ),
        )


def _check_date(inspection: Inspection) -> Iterator[Finding]:
    content, day = inspection.content, inspection.send_date
    if content.date != day:
        yield warning(
            FAMILY,
            "date_differs",
            WHOLE_ISSUE,
            translatable(
                "The date of the issue is {date}, but it would be sent on {day}. Change the date if this is not "
                "intended.",
                date=content.date.isoformat(),
                day=day.isoformat(),
            ),
            make_fix(
                translatable("Set the date to {date}", date=day.isoformat()),
                content,
                lambda before: replace(before, date=day),
            ),
        )


def title_key(title: str) -> str:
    """Equal for titles that differ only in case and white space."""
    return " ".join(title.casefold().split())


def passed_content(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    return translatable_plural(
        "The story is complete and has not been sent before.",
        "All {count} stories are complete. None is repeated here or was part of the last issues.",
        count=sum(1 for _ in inspection.content.stories()),
    )
