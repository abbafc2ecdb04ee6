"""Words of urgency, about which pre-flight asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter.preflight.urgency import urgent_words
from tests.newsletter.preflight.finding import findings_of_family, inspected
from tests.newsletter.preflight.sample_issue import PLAIN_ISSUE


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Last chance: the winter course", "Last chance"),
        ("Today  only", "Today only"),
        ("Only 3 seats left", "Only 3 seats left"),
        ("Tickets end tonight", "end tonight"),
        ("Nur noch heute im Hafen", "Nur noch heute"),
        ("Dernière chance", "Dernière chance"),
        ("Última oportunidad", "Última oportunidad"),
    ],
)
def test_urgency_is_found_in_four_languages(line: str, words: str) -> None:
    assert urgent_words(line) == words


@pytest.mark.parametrize(
    "line", ["At last, chances for cranes", "Insurgent tides", "The last day boat", "", "Resoluciones"]
)
def test_other_words_are_not_urgent(line: str) -> None:
    assert urgent_words(line) == ""


def test_pre_flight_asks_about_subject_and_preheader() -> None:
    content = replace(PLAIN_ISSUE, subject="Last chance to moor", preheader="Hurry: the gates close at noon")
    asked = [one for one in findings_of_family("deliverability", inspected(content)) if one.code == "urgency"]
    assert [(one.severity.value, one.place) for one in asked] == [("warning", "Subject"), ("warning", "Preheader")]
    assert "“Last chance”" in asked[0].message
