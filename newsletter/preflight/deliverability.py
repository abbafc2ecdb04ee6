"""Checks of what spam filters and inboxes judge a mail by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.document import IssueContent
from newsletter.content.fields import LIMITS, field_faults
from newsletter.content.markdown import markdown_to_text
from newsletter.content.merge_faults import Names
from newsletter.content.merge_fields import fallback_of, replace_merge_fields
from newsletter.preflight.findings import Finding, Fix, Inspection, Rendered, error, make_fix, warning
from newsletter.preflight.mail_page import mail_page, stylesheets
from newsletter.preflight.places import (
    HTML_PART,
    PREHEADER,
    SUBJECT,
    TEXT_PART,
    WHOLE_ISSUE,
    placed_bodies,
    placed_links,
    placed_pictures,
    placed_sections,
    placed_stories,
)
from newsletter.preflight.urgency import urgent_words

FAMILY = "deliverability"
VISIBLE_SUBJECT = 60
"""Characters of a subject that most inboxes show."""
VISIBLE_PREHEADER = 90
WORDS_PER_IMAGE = 30
SHORTENERS = frozenset(
    (  # noqa: SIM905 - words
        "bit.ly bl.ink buff.ly cutt.ly goo.gl is.gd lnkd.in ow.ly rb.gy rebrand.ly shorturl.at t.co t.ly tiny.cc "
        "tinyurl.com v.gd"
    ).split()
)

# The space after the colon distinguishes a reply prefix from a name such as re:Invent.
_REPLY_PREFIX = re.compile(r"\s*(?:(?:re|fw|fwd|aw|wg|sv|vs|tr|rv)\s*(?:\[\d+\])?\s*:(?:\s+|$))+", re.IGNORECASE)
_REPEATED_MARKS = re.compile(r"[!?]{2,}|[$€£]{2,}")
_NO_LETTER = re.compile(r"[\W_]+")
_LETTERS = re.compile(r"[^\W\d_]")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s")
_DATA_ADDRESS = re.compile(r"\s*data:|.*url\(\s*[\"']?data:", re.IGNORECASE | re.DOTALL)
_ATTRIBUTES_WITH_ADDRESSES = ("src", "srcset", "background", "href", "style")


def check_deliverability(inspection: Inspection) -> Iterator[Finding]:
    """Errors: an empty or invalid subject, an invalid preheader, an empty text part."""
    content = inspection.content
    yield from _check_subject(content, inspection.merge_names)
    yield from _check_preheader(content, inspection.merge_names)
    yield from _check_urgency(content)
    yield from _check_titles(content)
    yield from _check_images(content)
    yield from _check_shorteners(content)
    if inspection.rendered:
        yield from _check_parts(content, inspection.rendered)


def _check_subject(content: IssueContent, names: Names) -> Iterator[Finding]:
    subject = content.subject
    if not subject.strip():
        yield error(FAMILY, "no_subject", SUBJECT, translatable("The subject is empty. Write one."))
        return
    for fault in field_faults("subject", subject, names):
        yield error(FAMILY, "invalid_subject", SUBJECT, fault)
    subject = replace_merge_fields(subject, fallback_of)
    if len(subject) > VISIBLE_SUBJECT:
        yield warning(
            FAMILY,
            "long_subject",
            SUBJECT,
            translatable(
                "The subject has {length} characters. Most inboxes show only the first {limit}.",
                length=len(subject),
                limit=VISIBLE_SUBJECT,
            ),
        )
    if prefix := _REPLY_PREFIX.match(subject):
        yield warning(
            FAMILY,
            "reply_prefix",
            SUBJECT,
            translatable(
                "The subject starts with “{prefix}” like a reply. Recipients and spam filters regard that as "
                "misleading.",
                prefix=prefix[0].strip(),
            ),
            _without_reply_prefix(content),
        )
    yield from _check_subject_style(content)


def _check_subject_style(content: IssueContent) -> Iterator[Finding]:
    subject = replace_merge_fields(content.subject, fallback_of)
    if not any(character.isalnum() for character in subject):
        yield warning(
            FAMILY,
            "subject_without_words",
            SUBJECT,
            translatable("The subject contains no words. Say in words what the issue is about."),
        )
    if _is_shouting(subject):
        yield warning(
            FAMILY,
            "subject_in_capitals",
            SUBJECT,
            translatable("The subject is written in capital letters, which spam filters regard as a sign of spam."),
        )
    if marks := _REPEATED_MARKS.search(subject):
        yield warning(
            FAMILY,
            "repeated_marks",
            SUBJECT,
            translatable(
                "The subject contains “{marks}”, which spam filters regard as a sign of spam. Use one mark only.",
                marks=marks[0],
            ),
            make_fix(
                translatable("Replace with a single “{mark}”", mark=marks[0][0]),
                content,
                lambda before: replace(before, subject=_REPEATED_MARKS.sub(lambda found: found[0][0], before.subject)),
            ),
        )


def _without_reply_prefix(content: IssueContent) -> Fix | None:
    rest = _REPLY_PREFIX.sub("", content.subject, count=1).strip()
    if not any(character.isalnum() for character in rest):
        return None
    subject = rest[0].upper() + rest[1:]
    label = translatable("Change the subject to “{subject}”", subject=_shortened(subject, 50))
    return make_fix(label, content, lambda before: replace(before, subject=subject))


def _check_preheader(content: IssueContent, names: Names) -> Iterator[Finding]:
    preheader = content.preheader
    for fault in field_faults("preheader", preheader, names):
        yield error(FAMILY, "invalid_preheader", PREHEADER, fault)
    if not preheader.strip():
        yield warning(
            FAMILY,
            "no_preheader",
            PREHEADER,
            translatable(
                "The preheader is empty, so inboxes show the first words of the mail. Write a line that adds to the "
                "subject."
            ),
            _with_preheader(content),
        )
    elif _plain(preheader) == _plain(content.subject):
        yield warning(
            FAMILY,
            "preheader_repeats_subject",
            PREHEADER,
            translatable(
                "The preheader repeats the subject, so inboxes show the same line twice. Write a line that adds to the "
                "subject."
            ),
            _with_preheader(content),
        )


def _with_preheader(content: IssueContent) -> Fix | None:
    """The first sentence of the issue as its preheader, if it differs from the subject."""
    text = next((markdown_to_text(body, merge=fallback_of) for _, body in placed_bodies(content)), "")
    sentence = _shortened(_SENTENCE_END.split(" ".join(text.split()), maxsplit=1)[0], VISIBLE_PREHEADER)
    if not _LETTERS.search(sentence) or _plain(sentence) == _plain(content.subject):
        return None
    label = translatable("Use “{sentence}”", sentence=sentence)
    return make_fix(label, content, lambda before: replace(before, preheader=sentence[: LIMITS["preheader"]]))


def _check_urgency(content: IssueContent) -> Iterator[Finding]:
    for place, line in ((SUBJECT, content.subject), (PREHEADER, content.preheader)):
        if words := urgent_words(line):
            yield warning(
                FAMILY,
                "urgency",
                place,
                translatable(
                    "It says “{words}”. Is that true when the mail is read? Some laws fine false urgency in a subject "
                    "for each mail. Keep it only if it is true; otherwise say what the issue is about.",
                    words=words,
                ),
            )


def _check_titles(content: IssueContent) -> Iterator[Finding]:
    titles = [(place, section.title) for place, section in placed_sections(content)]
    titles += [(place, story.title) for place, story in placed_stories(content)]
    for place, title in titles:
        if _is_shouting(title):
            yield warning(
                FAMILY,
                "title_in_capitals",
                place,
                translatable(
                    "“{title}” is written in capital letters, which spam filters regard as a sign of spam.", title=title
                ),
                field="title",
            )


def _check_images(content: IssueContent) -> Iterator[Finding]:
    images = sum(1 for _ in placed_pictures(content))
    words = sum(len(body.split()) for _, body in placed_bodies(content))
    if images and words < images * WORDS_PER_IMAGE:
        yield warning(
            FAMILY,
            "mostly_images",
            WHOLE_ISSUE,
            translatable_plural(
                "The issue has 1 image and only {words} words. Spam filters distrust mails that consist mostly of "
                "images, and many mail clients do not load them: add text.",
                "The issue has {count} images and only {words} words. Spam filters distrust mails that consist mostly "
                "of images, and many mail clients do not load them: add text.",
                count=images,
                words=words,
            ),
        )


def _check_shorteners(content: IssueContent) -> Iterator[Finding]:
    for link in placed_links(content):
        host = _host(link.url)
        if host in SHORTENERS:
            yield warning(
                FAMILY,
                "shortened_link",
                link.place,
                translatable(
                    "The link {url} is shortened and hides its target. Spam filters block {host}: link to the page "
                    "itself.",
                    url=link.url,
                    host=host,
                ),
                field=link.field,
            )


def _check_parts(content: IssueContent, rendered: Rendered) -> Iterator[Finding]:
    if _has_data_address(rendered.html):
        yield warning(
            FAMILY,
            "embedded_image",
            HTML_PART,
            translatable(
                "The HTML part contains an embedded image (data:). Gmail and Outlook do not show such images: publish "
                "it on the web and use its address."
            ),
        )
    text = _plain(rendered.text)
    if not text:
        message = translatable("The text part is empty, which spam filters regard as a sign of spam. Fix the template.")
        yield error(FAMILY, "no_text_part", TEXT_PART, message)
        return
    for place, story in placed_stories(content):
        if story.title.strip() and _plain(story.title) not in text:
            yield warning(
                FAMILY,
                "story_missing_in_text",
                TEXT_PART,
                translatable(
                    "The text part does not contain {place}, “{title}”. Both parts should have the same content: fix "
                    "the template.",
                    place=place,
                    title=story.title,
                ),
            )


def _has_data_address(html: str) -> bool:
    """Whether an address in the mail is a `data:` address. Such addresses in running text do not count."""
    if "data:" not in html.lower():
        return False
    page = mail_page(html)
    values = (element.get(name, "") for element in page.styles for name in _ATTRIBUTES_WITH_ADDRESSES)
    return any(_DATA_ADDRESS.match(value) for value in (*values, stylesheets(page.root)))


def _is_shouting(text: str) -> bool:
    """Whether most words are in capitals, and more than one of them is too long for an abbreviation."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    capitals = [word for word in words if word.isupper()]
    return len(capitals) >= 3 and len(capitals) / len(words) > 0.6 and sum(len(word) > 3 for word in capitals) > 1


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _plain(text: str) -> str:
    """The letters and digits of a text, for comparing texts with different line breaks and punctuation."""
    return _NO_LETTER.sub("", text.casefold())


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else re.sub(r"\W*\s\S*$", "", text[:limit]) + "…"


def passed_deliverability(_inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    return translatable("The subject and the preheader fit into inboxes, and there are no signs of spam.")
