"""Checks of what spam filters and inboxes judge a mail by before anybody reads it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from newsletter.content.document import IssueContent
from newsletter.content.fields import LIMITS, field_faults
from newsletter.content.markdown import markdown_to_text
from newsletter.content.merge_fields import fallback_of
from newsletter.preflight.findings import Finding, Fix, Inspection, Rendered, fix_of, look_at, must_fix
from newsletter.preflight.mail_page import mail_page, stylesheets
from newsletter.preflight.places import (
    HTML_PART,
    PREHEADER,
    SUBJECT,
    TEXT_PART,
    WHOLE_ISSUE,
    placed_bodies,
    placed_links,
    placed_sections,
    placed_stories,
)

FAMILY = "deliverability"
SHOWN_OF_SUBJECT = 60
"""Characters of a subject that most inboxes show."""
SHOWN_OF_PREHEADER = 90
WORDS_PER_PICTURE = 30
SHORTENERS = frozenset(
    (  # noqa: SIM905 - words
        "bit.ly bl.ink buff.ly cutt.ly goo.gl is.gd lnkd.in ow.ly rb.gy rebrand.ly shorturl.at t.co t.ly tiny.cc "
        "tinyurl.com v.gd"
    ).split()
)

# A space behind the colon tells an answer from a name such as re:Invent.
_REPLY = re.compile(r"\s*(?:(?:re|fw|fwd|aw|wg|sv|vs|tr|rv)\s*(?:\[\d+\])?\s*:(?:\s+|$))+", re.IGNORECASE)
_MARKS = re.compile(r"[!?]{2,}|[$€£]{2,}")
_NO_LETTER = re.compile(r"[\W_]+")
_LETTERS = re.compile(r"[^\W\d_]")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s")
_DATA_ADDRESS = re.compile(r"\s*data:|.*url\(\s*[\"']?data:", re.IGNORECASE | re.DOTALL)
_WITH_ADDRESSES = ("src", "srcset", "background", "href", "style")


def check_deliverability(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: an empty or unfit subject (R-19, R-20), an unfit preheader, no text part (R-25)."""
    content = inspection.content
    yield from _check_subject(content)
    yield from _check_preheader(content)
    yield from _check_titles(content)
    yield from _check_pictures(content)
    yield from _check_shorteners(content)
    if inspection.rendered:
        yield from _check_parts(content, inspection.rendered)


def _check_subject(content: IssueContent) -> Iterator[Finding]:
    subject = content.subject
    if not subject.strip():
        yield must_fix(FAMILY, SUBJECT, "The subject is empty. Write one.")
        return
    for fault in field_faults("subject", subject):
        yield must_fix(FAMILY, SUBJECT, fault)
    if len(subject) > SHOWN_OF_SUBJECT:
        yield look_at(
            FAMILY,
            SUBJECT,
            f"The subject is {len(subject)} characters long; most inboxes show the first {SHOWN_OF_SUBJECT}.",
        )
    if faked := _REPLY.match(subject):
        yield look_at(
            FAMILY,
            SUBJECT,
            f"The subject begins with “{faked[0].strip()}” as answers do. Readers and filters take that for a trick.",
            _without_reply(content),
        )
    if not any(character.isalnum() for character in subject):
        yield look_at(FAMILY, SUBJECT, "The subject has no words, only signs. Say in words what the issue is about.")
    if _is_shouting(subject):
        yield look_at(
            FAMILY, SUBJECT, "The subject is written in capitals. Filters and readers take that for shouting."
        )
    if marks := _MARKS.search(subject):
        yield look_at(
            FAMILY,
            SUBJECT,
            f"The subject has “{marks[0]}”, which filters count as a sign of spam. One mark is enough.",
            fix_of(f"Write “{marks[0][0]}” once", content, replace(content, subject=_MARKS.sub(_first, subject))),
        )


def _first(marks: re.Match[str]) -> str:
    return marks[0][0]


def _without_reply(content: IssueContent) -> Fix | None:
    rest = _REPLY.sub("", content.subject, count=1).strip()
    if not any(character.isalnum() for character in rest):
        return None
    subject = rest[0].upper() + rest[1:]
    return fix_of(f"Make it “{_shortened(subject, 50)}”", content, replace(content, subject=subject))


def _check_preheader(content: IssueContent) -> Iterator[Finding]:
    preheader = content.preheader
    for fault in field_faults("preheader", preheader):
        yield must_fix(FAMILY, PREHEADER, fault)
    if not preheader.strip():
        yield look_at(
            FAMILY,
            PREHEADER,
            "There is no preheader, so inboxes show the mail's first words. Write a line that completes the subject.",
            _with_preheader(content),
        )
    elif _plain(preheader) == _plain(content.subject):
        yield look_at(
            FAMILY,
            PREHEADER,
            "The preheader repeats the subject, so inboxes show the same line twice. Let it tell more.",
            _with_preheader(content),
        )


def _with_preheader(content: IssueContent) -> Fix | None:
    """The first sentence of the issue as its preheader, where there is one that tells something of its own."""
    text = next((markdown_to_text(body, merge=fallback_of) for _, body in placed_bodies(content)), "")
    sentence = _shortened(_SENTENCE_END.split(" ".join(text.split()), maxsplit=1)[0], SHOWN_OF_PREHEADER)
    if not _LETTERS.search(sentence) or _plain(sentence) == _plain(content.subject):
        return None
    return fix_of(f"Use “{sentence}”", content, replace(content, preheader=sentence[: LIMITS["preheader"]]))


def _check_titles(content: IssueContent) -> Iterator[Finding]:
    titles = [(place, section.title) for place, section in placed_sections(content)]
    titles += [(place, story.title) for place, story in placed_stories(content)]
    for place, title in titles:
        if _is_shouting(title):
            yield look_at(
                FAMILY, place, f"“{title}” is written in capitals. Filters and readers take that for shouting."
            )


def _check_pictures(content: IssueContent) -> Iterator[Finding]:
    pictures = sum(1 for section in content.sections if section.image)
    words = sum(len(body.split()) for _, body in placed_bodies(content))
    if pictures and words < pictures * WORDS_PER_PICTURE:
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"The issue has {words} words beside {pictures} {'picture' if pictures == 1 else 'pictures'}. Filters "
            "distrust mails that are mostly pictures, and many readers do not load them: say more in words.",
        )


def _check_shorteners(content: IssueContent) -> Iterator[Finding]:
    for link in placed_links(content):
        host = _host(link.url)
        if host in SHORTENERS:
            yield look_at(
                FAMILY,
                link.place,
                f"The link {link.url} hides where it leads. Filters block {host} for those who misuse it: link to the "
                "page itself.",
            )


def _check_parts(content: IssueContent, rendered: Rendered) -> Iterator[Finding]:
    if _carries_data(rendered.html):
        yield look_at(
            FAMILY,
            HTML_PART,
            "The HTML part carries a picture inside itself (data:). Gmail and Outlook do not show such pictures: put "
            "it on the web and give its address.",
        )
    text = _plain(rendered.text)
    if not text:
        yield must_fix(
            FAMILY, TEXT_PART, "The text part is empty. Mails without one look like spam: mend the template."
        )
        return
    for place, story in placed_stories(content):
        if story.title.strip() and _plain(story.title) not in text:
            yield look_at(
                FAMILY,
                TEXT_PART,
                f"The text part lacks {place}, “{story.title}”. Both parts should say the same: mend the template.",
            )


def _carries_data(html: str) -> bool:
    """Whether an address of the mail is a `data:` one. What a text says about such addresses does not count."""
    if "data:" not in html.lower():
        return False
    page = mail_page(html)
    values = (element.get(name, "") for element in page.looks for name in _WITH_ADDRESSES)
    return any(_DATA_ADDRESS.match(value) for value in (*values, stylesheets(page.root)))


def _is_shouting(text: str) -> bool:
    """Whether most words are all in capitals, and more than one of them is too long for an abbreviation."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    loud = [word for word in words if word.isupper()]
    return len(loud) >= 3 and len(loud) / len(words) > 0.6 and sum(len(word) > 3 for word in loud) > 1


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _plain(text: str) -> str:
    """The letters and digits of a text: what is left of it whatever its line breaks and marks are."""
    return _NO_LETTER.sub("", text.casefold())


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else re.sub(r"\W*\s\S*$", "", text[:most]) + "…"


def passed_deliverability(_inspection: Inspection) -> str:
    """What to say where nothing was found."""
    return "Subject and preheader fit what inboxes show, and nothing looks like spam"
