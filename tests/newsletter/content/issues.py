"""Hypothesis strategies for all content that can be stored, with unusual text."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import (
    FIELDS_OF_KIND,
    LIMITS,
    FieldName,
    SectionField,
    body_fault,
    body_faults,
    field_faults,
    section_faults,
)

PIECES = (
    "#|##|###|####|# |## |### Fake| |  |·| · |[|]|[a](https://b.example)|](|(|)|<|>|\\|\\ |\\·|\"|'|“|”|’|:|- |---|...|"
    "{quote}|{section}|{no kind}|![a](https://b.example)|![|"
    "```|~~~|````|``` py|**[a](https://b.example)** · C|**|*|_|`|&|&amp;|%|@|{|}|!|?|,|null|~|yes|2026-03-31|"
    "<!-- |-->|<!--|[x]: https://b.example|[x]|[^1]|[^1]: note|<b>|</b>|<br>|~~|| --- ||[![a](https://b.example)](https://c.example)|"
    "Tide|gauge|naïve|日本|🚢|\u00a0|\u200d|e\u0301"
)
words = st.lists(st.one_of(st.sampled_from(PIECES.split("|")), st.text(max_size=6)), max_size=6).map("".join)


def one_line(name: FieldName, *, empty: bool = True) -> st.SearchStrategy[str]:
    """Text that the field may contain."""

    def allowed(text: str) -> str:
        kept = "".join(letter for letter in text if not any(field_faults(name, letter)))[: LIMITS[name]]
        return kept if empty or kept.strip() else f"{kept}§"[-LIMITS[name] :]

    return words.map(allowed).filter(lambda text: not any(field_faults(name, text)))


bodies = (
    st.lists(st.one_of(words, st.sampled_from(["", " ", "\\", "\\ ", "    ## code", " ## x"])), max_size=7)
    .map(lambda lines: "".join(letter for letter in "\n".join(lines) if body_fault(letter) is None))
    .filter(lambda body: not any(body_faults(body)))
)
links = st.one_of(
    st.just(""),
    st.sampled_from(["https://a.example/x_(y)", "https://a.example/((x", "http://a.example/?q=[1]&b=<2>#c"]),
    st.text(st.sampled_from("ab/()[]<>&?=#%:*_~`'\"é·"), max_size=20).map(lambda tail: f"https://a.example/{tail}"),
)
addresses = links.map(lambda url: url.replace("http:", "https:"))
stories = st.builds(
    StoryContent,
    title=one_line("story title"),
    url=links,
    source=one_line("source"),
    body=bodies,
    image=addresses,
    alt=one_line("description"),
).map(lambda story: story if story.image or not story.alt.strip() else replace(story, alt=""))
FIELDS: dict[SectionField, st.SearchStrategy[str]] = {
    "title": one_line("section heading"),
    "body": bodies,
    "url": links,
    "source": one_line("source"),
    "image": addresses,
    "alt": one_line("description"),
}


def sections_of(kind: SectionKind) -> st.SearchStrategy[SectionContent]:
    """Sections of one kind, with the fields of the kind."""
    own = {field: FIELDS[field] for field in FIELDS_OF_KIND[kind].fields}
    stories_below = st.lists(stories, max_size=4).map(tuple)
    built = st.builds(SectionContent, kind=st.just(kind), stories=stories_below, **own)
    return built.map(with_needed_fields).filter(lambda section: not any(section_faults(section)))


def with_needed_fields(section: SectionContent) -> SectionContent:
    """The section with its required fields filled."""
    needed = [*FIELDS_OF_KIND[section.kind].needed, *("alt" for _ in section.image[:1])]
    missing = [field for field in needed if not getattr(section, field).strip()]
    given: dict[str, Any] = {field: "https://a.example/x" if field in ("url", "image") else "§" for field in missing}
    return replace(section, **given)


sections = st.sampled_from(SectionKind).flatmap(sections_of)
issues = st.builds(
    IssueContent,
    title=one_line("title", empty=False),
    slug=st.from_regex(r"[-a-zA-Z0-9_]{1,40}", fullmatch=True),
    date=st.dates(min_value=datetime.date(1, 1, 1)),
    subject=one_line("subject", empty=False),
    preheader=one_line("preheader"),
    categories=st.lists(one_line("category", empty=False), unique=True, max_size=3).map(tuple),
    sections=st.lists(sections, max_size=4).map(tuple),
)
