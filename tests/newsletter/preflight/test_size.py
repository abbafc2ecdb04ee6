"""Size: the bytes of the HTML part with the longest values, and its largest part."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent
from newsletter.preflight.places import placed_sections
from newsletter.preflight.size import LONGEST_VALUE, check_size, size_of, sizes_of_places
from newsletter.rendering import PlaceholderContext, placeholder_token
from tests.newsletter.preflight.finding import Mail, mail, short
from tests.newsletter.preflight.sample_issue import EVERY_KIND, PLAIN_ISSUE, inspection_of

UNSUBSCRIBE_TOKEN = placeholder_token(Mail.nonce, "unsubscribe_url", PlaceholderContext.HTML)


@pytest.mark.parametrize(
    ("size", "expected"), [(90_000, []), (90_001, ["warning"]), (102_000, ["warning"]), (102_001, ["error"])]
)
def test_the_size_includes_the_longest_values(size: int, expected: list[str]) -> None:
    filled = "é" * ((size - LONGEST_VALUE) // 2)
    html = UNSUBSCRIBE_TOKEN + filled + "x" * (size - LONGEST_VALUE - len(filled.encode()))
    assert size_of(html, Mail.nonce) == size
    assert short(check_size(mail(html))) == [(severity, "size", "HTML part") for severity in expected]


def test_the_largest_part_and_story_are_named() -> None:
    long = replace(PLAIN_ISSUE.sections[1].stories[1], body="A word of many. " * 6_000)
    dives = replace(PLAIN_ISSUE.sections[1], stories=(PLAIN_ISSUE.sections[1].stories[0], long))
    content = replace(PLAIN_ISSUE, sections=(PLAIN_ISSUE.sections[0], dives))
    (finding,) = check_size(inspection_of(content))
    assert "The largest part is “Deep dives”" in finding.message
    assert "The largest story is Deep dives, story 2, “One gauge, two tides”" in finding.message


def test_the_parts_together_are_smaller_than_the_whole() -> None:
    inspection = inspection_of(EVERY_KIND)
    assert inspection.rendered is not None
    sizes = sizes_of_places(inspection, inspection.rendered)
    headed = [place for place, _ in placed_sections(EVERY_KIND) if place in sizes]
    assert {"Signal of the week", "Deep dives", "Book a tour of the lock", "Image, part 7"} <= set(headed)
    assert all(size > 0 for size in sizes.values())
    assert sum(sizes[place] for place in headed) < size_of(inspection.rendered.html, inspection.rendered.nonce)
    assert sizes["Deep dives, story 1"] + sizes["Deep dives, story 2"] < sizes["Deep dives"]


def test_a_table_of_contents_is_not_mistaken_for_the_sections() -> None:
    inspection = inspection_of(EVERY_KIND)
    assert inspection.rendered is not None
    named = replace(inspection, content=replace(EVERY_KIND, sections=(SectionContent(title="Nowhere"),)))
    assert sizes_of_places(named, inspection.rendered) == {}


def test_a_greeting_at_the_top_is_not_mistaken_for_the_footer() -> None:
    lead = SectionContent(title="Signal of the week", body="Hello {first_name|reader}: " + "many words here " * 200)
    greeting = replace(PLAIN_ISSUE, sections=(lead, PLAIN_ISSUE.sections[1]))
    plain = replace(
        greeting, sections=(replace(lead, body=lead.body.replace("{first_name|reader}", "")), *greeting.sections[1:])
    )
    sizes = []
    for content in (greeting, plain):
        inspection = inspection_of(content)
        assert inspection.rendered is not None
        sizes.append(sizes_of_places(inspection, inspection.rendered))
    assert sizes[0]["Signal of the week"] - sizes[1]["Signal of the week"] == LONGEST_VALUE
    assert sizes[0]["Deep dives"] == sizes[1]["Deep dives"]
