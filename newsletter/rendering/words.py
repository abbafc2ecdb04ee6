"""The text that a mail has beside its content – labels, date, footer – as plain strings in one language. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from markupsafe import Markup

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.document import IssueContent
from newsletter.content.lines import count_words

WORDS_PER_MINUTE = 275
NAME = "{newsletter}"
"""The place of the newsletter's name in `reason` and `subscribe`."""
_MARKS = tuple("“”„‟‘’‚«»‹›「『\"'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The text of one mail; templates see it as `words`."""

    date: str
    """`Wednesday, 1 July 2026`."""
    day: str
    """The date without its year: `Wednesday, 1 July`."""
    story_count: str
    """`31 stories`; empty if the issue has none."""
    reading_time: str
    """`12 min read`."""
    story: str
    """The noun for one story. `story`, `stories` and `minutes` are for themes that write the numbers themselves."""
    stories: str
    """The noun in the form that `story_count` has."""
    minutes: str
    contents: str
    """The heading of a table of contents without one."""
    sponsor: str
    """The label of paid content; the first words of it, and plain ones (FTC, Native Advertising: A Guide)."""
    reason: str
    """Why the recipient gets this mail, up to the newsletter's name, which is a link."""
    reason_end: str
    """The rest of that sentence, after the name."""
    unsubscribe: str
    preferences: str
    view: str
    """The link to the web page of the issue."""
    archive: str
    feed: str
    ask: str
    """The sentence before the buttons at the end."""
    reply: str
    forward: str
    forwarded: str
    """The question before the link to the sign-up page."""
    subscribe: str
    """That link, with the newsletter's name in place of `{newsletter}`."""
    note: str
    """The label of highlighted text, in themes that show it by colour."""
    quotation: str
    """`{text}` between the quotation marks of the language."""
    issue_number: str = ""
    """`No. 48`; empty if the issue has no number, or its title names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeWords:
    """The texts that a theme replaces, in every language; empty ones are not replaced."""

    story: str = ""
    stories: str = ""
    minutes: str = ""
    contents: str = ""
    sponsor: str = ""
    reason: str = ""
    unsubscribe: str = ""
    preferences: str = ""
    view: str = ""
    archive: str = ""
    feed: str = ""
    ask: str = ""
    reply: str = ""
    forward: str = ""
    forwarded: str = ""
    subscribe: str = ""
    note: str = ""


def words_for(content: IssueContent, *, date: str = "", day: str = "", number: int | None = None) -> Words:
    """The text of a mail in the language that is active now. `date` and `day` are the issue's date in that language.

    `number` is that of the issue in its newsletter.
    """
    count, minutes = sum(1 for _ in content.stories()), reading_minutes(content)
    story_count = str(translatable_plural("{count} story", "{count} stories", count=count))
    reading_time = str(translatable_plural("{count} min read", "{count} min read", count=minutes))
    reason, reason_end = _around_name(str(translatable("You get this mail because you subscribed to {newsletter}.")))
    return Words(
        date=date or f"{content.date:%A}, {content.date.day} {content.date:%B %Y}",
        day=day or f"{content.date:%A}, {content.date.day} {content.date:%B}",
        story_count=story_count if count else "",
        reading_time=reading_time,
        story=_without_number(str(translatable_plural("{count} story", "{count} stories", count=1)), 1),
        stories=_without_number(story_count, count),
        minutes=_without_number(reading_time, minutes),
        contents=str(translatable("In this issue")),
        sponsor=str(translatable("Advertisement")),
        reason=reason,
        reason_end=reason_end,
        unsubscribe=str(translatable("Unsubscribe")),
        preferences=str(translatable("Preferences")),
        view=str(translatable("View in browser")),
        archive=str(translatable("All issues")),
        feed=str(translatable("RSS")),
        ask=str(translatable("Something to add, or something wrong? Reply to this mail.")),
        reply=str(translatable("Reply")),
        forward=str(translatable("Forward")),
        forwarded=str(translatable("Forwarded to you?")),
        subscribe=str(translatable("Subscribe to {newsletter}")),
        note=str(translatable("Note")),
        quotation=str(translatable("“{text}”")),
        issue_number=_issue_number(number, content),
    )


def _issue_number(number: int | None, content: IssueContent) -> str:
    if number is None or re.search(rf"(?<!\d){number}(?!\d)", content.title):
        return ""
    # As text: a number would be shown with separators.
    return str(translatable("No. {number}", number=str(number)))


def with_theme_words(words: Words, own: ThemeWords, content: IssueContent) -> Words:
    """`words` with the texts that a theme replaces."""
    replaced = {field.name: value for field in fields(own) if (value := getattr(own, field.name))}
    if not replaced:
        return words
    if reason := replaced.get("reason"):
        # Themes may leave the name out: it comes last then.
        replaced["reason"], replaced["reason_end"] = _around_name(reason) if NAME in reason else (reason, ".")
    count = sum(1 for _ in content.stories())
    noun = replaced.get("story" if count == 1 else "stories")
    if noun and count:
        replaced["story_count"] = f"{count} {noun}"
    if "minutes" in replaced:
        replaced["reading_time"] = f"{reading_minutes(content)} {replaced['minutes']}"
    return replace(words, **replaced)


def reading_minutes(content: IssueContent) -> int:
    """How long reading the issue takes, at least one minute."""
    words = sum(count_words(section.body) for section in content.sections)
    words += sum(len(story.title.split()) + count_words(story.body) for story in content.stories())
    return max(1, round(words / WORDS_PER_MINUTE))


def in_quotation_marks(html: Markup, quotation: str) -> Markup:
    """The paragraphs of a quotation between marks, unless editors wrote them."""
    start, _, end = quotation.partition("{text}")
    text = html.strip()
    if not (text.startswith("<p>") and text.endswith("</p>")) or text[3:4] in _MARKS:
        return html
    return Markup("<p>{}{}{}</p>").format(start, text[3:-4], end)


def _without_number(phrase: str, number: int) -> str:
    return phrase.replace(str(number), "", 1).strip()


def _around_name(sentence: str) -> tuple[str, str]:
    before, _, after = sentence.partition(NAME)
    return before.rstrip(" "), after
