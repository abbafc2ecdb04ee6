"""Size: what the reader with the longest addresses gets, and which part weighs most."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.content.document import SectionContent
from newsletter.preflight.places import placed_sections
from newsletter.preflight.size import LONGEST_VALUE, check_size, size_of, sizes_of_places
from newsletter.rendering import PlaceholderContext, placeholder_token
from tests.newsletter.preflight.finding import Mail, mail, short
from tests.newsletter.preflight.sample_issue import EVERY_KIND, PLAIN_ISSUE, inspection_of

WAY_OUT = placeholder_token(Mail.nonce, "unsubscribe_url", PlaceholderContext.HTML)


@pytest.mark.parametrize(
    ("weight", "expected"), [(90_000, []), (90_001, ["warning"]), (102_000, ["warning"]), (102_001, ["error"])]
)
def test_the_weight_is_that_of_the_bytes_with_the_longest_values(weight: int, expected: list[str]) -> None:
    filled = "é" * ((weight - LONGEST_VALUE) // 2)
    html = WAY_OUT + filled + "x" * (weight - LONGEST_VALUE - len(filled.encode()))
    assert size_of(html, Mail.nonce) == weight
    assert short(check_size(mail(html))) == [(severity, "size", "HTML part") for severity in expected]


def test_the_heaviest_part_and_story_are_named() -> None:
    long = replace(PLAIN_ISSUE.sections[1].stories[1], body="A word of many. " * 6_000)
    dives = replace(PLAIN_ISSUE.sections[1], stories=(PLAIN_ISSUE.sections[1].stories[0], long))
    content = replace(PLAIN_ISSUE, sections=(PLAIN_ISSUE.sections[0], dives))
    (finding,) = check_size(inspection_of(content))
    assert "The heaviest part is “Deep dives”" in finding.message
    assert "the heaviest story is Deep dives, story 2, “One gauge, two tides”" in finding.message


def test_the_parts_together_weigh_no_more_than_the_whole_and_each_weighs_something() -> None:
    inspection = inspection_of(EVERY_KIND)
    assert inspection.rendered is not None
    weights = sizes_of_places(inspection, inspection.rendered)
    headed = [place for place, _ in placed_sections(EVERY_KIND) if place in weights]
    assert {"Signal of the week", "Deep dives", "Book a tour of the lock", "Image, part 7"} <= set(headed)
    assert all(weight > 0 for weight in weights.values())
    assert sum(weights[place] for place in headed) < size_of(inspection.rendered.html, inspection.rendered.nonce)
    assert weights["Deep dives, story 1"] + weights["Deep dives, story 2"] < weights["Deep dives"]


def test_a_table_of_contents_is_not_taken_for_the_sections_it_names() -> None:
    inspection = inspection_of(EVERY_KIND)
    assert inspection.rendered is not None
    named = replace(inspection, content=replace(EVERY_KIND, sections=(SectionContent(title="Nowhere"),)))
    assert sizes_of_places(named, inspection.rendered) == {}


def test_a_greeting_in_the_lead_is_not_taken_for_the_footer() -> None:
    lead = SectionContent(title="Signal of the week", body="Hello {first_name|reader}: " + "many words here " * 200)
    greeting = replace(PLAIN_ISSUE, sections=(lead, PLAIN_ISSUE.sections[1]))
    plain = replace(
        greeting, sections=(replace(lead, body=lead.body.replace("{first_name|reader}", "")), *greeting.sections[1:])
    )
    weights = []
    for content in (greeting, plain):
        inspection = inspection_of(content)
        assert inspection.rendered is not None
        weights.append(sizes_of_places(inspection, inspection.rendered))
    assert weights[0]["Signal of the week"] - weights[1]["Signal of the week"] == LONGEST_VALUE
    assert weights[0]["Deep dives"] == weights[1]["Deep dives"]
