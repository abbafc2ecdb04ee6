"""Issues out of thin air: strategies for every content that can be stored, awkward text on purpose."""

from __future__ import annotations

import datetime

from hypothesis import strategies as st

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.fields import LIMITS, FieldName, body_fault, field_faults

PIECES = (
    "#|##|###|####|# |## |### Fake| |  |·| · |[|]|[a](https://b.example)|](|(|)|<|>|\\|\\ |\\·|\"|'|“|”|’|:|- |---|...|"
    "```|~~~|````|``` py|**[a](https://b.example)** · C|**|*|_|`|&|&amp;|%|@|{|}|!|?|,|null|~|yes|2026-03-31|"
    "Tide|gauge|naïve|日本|🚢|\u00a0|\u200d|e\u0301"
)
words = st.lists(st.one_of(st.sampled_from(PIECES.split("|")), st.text(max_size=6)), max_size=6).map("".join)


def one_line(name: FieldName, *, empty: bool = True) -> st.SearchStrategy[str]:
    """Text that the field may hold."""

    def allowed(text: str) -> str:
        kept = "".join(letter for letter in text if not any(field_faults(name, letter)))[: LIMITS[name]]
        return kept if empty or kept.strip() else f"{kept}§"[-LIMITS[name] :]

    return words.map(allowed)


bodies = st.lists(st.one_of(words, st.sampled_from(["", " ", "\\", "\\ ", "    ## code", " ## x"])), max_size=7).map(
    lambda lines: "".join(letter for letter in "\n".join(lines) if body_fault(letter) is None)
)
links = st.one_of(
    st.just(""),
    st.sampled_from(["https://a.example/x_(y)", "https://a.example/((x", "http://a.example/?q=[1]&b=<2>#c"]),
    st.text(st.sampled_from("ab/()[]<>&?=#%:*_~`'\"é·"), max_size=20).map(lambda tail: f"https://a.example/{tail}"),
)
stories = st.builds(StoryContent, title=one_line("story title"), url=links, source=one_line("source"), body=bodies)
sections = st.builds(
    SectionContent,
    title=one_line("section heading", empty=False),
    body=bodies,
    stories=st.lists(stories, max_size=4).map(tuple),
)
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
