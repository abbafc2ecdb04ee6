"""What a correction changed, as visitors may see it: words and addresses, never Markdown or notes of editors. Pure."""

from __future__ import annotations

from dataclasses import replace

from newsletter.content.difference import Change, difference
from newsletter.content.document import AudienceContent, IssueContent, SectionContent
from newsletter.content.markdown import markdown_to_text
from newsletter.content.merge_fields import fallback_of


def public_difference(old: IssueContent, new: IssueContent) -> tuple[Change, ...]:
    """The changes from `old` to `new` that visitors can see; empty if only invisible ones were made."""
    return difference(_as_read(old), _as_read(new))


def _as_read(content: IssueContent) -> IssueContent:
    """The content as its page shows it: bodies as plain text, without what only mails have."""
    sections = tuple(_section_as_read(section) for section in content.sections)
    return replace(content, subject="", audience=AudienceContent(), sections=sections)


def _section_as_read(section: SectionContent) -> SectionContent:
    stories = tuple(replace(story, body=_text(story.body)) for story in section.stories)
    return replace(section, body=_text(section.body), stories=stories)


def _text(body: str) -> str:
    # The same text as in the mail: HTML comments, which are notes of editors, are not part of it.
    return markdown_to_text(body, merge=fallback_of)
