"""Evidence of consent: a file whose every change is found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from subscribers.models import ConsentKind, Evidence, record_consents
from subscribers.privacy.evidence import (
    EvidenceBroken,
    consents_of_list,
    consents_of_subject,
    evidence_lines,
    verify_evidence,
)
from subscribers.privacy.registry import find_data_subject
from tests.people import ADA, ada, ben, make_mailing_list

TEXT = "Yes, send me – “mails”."


def made_lines(*, by_address: bool = False) -> list[str]:
    evidence = Evidence(form="signup", text=TEXT, ip="192.0.2.7", user_agent="Agent\u2028x")
    first, second = ada(), ben()
    elsewhere = ada(make_mailing_list("tide-tables", name="Tide Tables"))
    for subscription in (first, second, elsewhere):
        record_consents(ConsentKind.REQUESTED, [subscription], evidence)
    consents = consents_of_subject(find_data_subject(ADA)) if by_address else consents_of_list(make_mailing_list())
    return list(evidence_lines(consents, about="a test"))


def records(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line)["record"] for line in lines]


@pytest.mark.django_db
def test_a_file_of_a_list_has_each_consent_and_each_text_once() -> None:
    lines = made_lines()
    head, text, one, two, end = records(lines)
    assert head["about"] == "a test"
    assert text["text"]["text"] == TEXT
    assert {row["consent"]["list_name"] for row in (one, two)} == {"Harbour Notes"}
    assert one["consent"]["text_sha256"] == text["text"]["sha256"]
    assert end == {"consents": 2, "texts": 1}
    found = verify_evidence(lines)
    assert (found.count, found.last_hash) == (2, json.loads(lines[-1])["hash"])


@pytest.mark.django_db
def test_a_file_of_an_address_has_its_consents_on_every_list() -> None:
    consents = [row["consent"] for row in records(made_lines(by_address=True)) if "consent" in row]
    assert {row["list_name"] for row in consents} == {"Harbour Notes", "Tide Tables"}
    assert {row["canonical"] for row in consents} == {ADA}


@pytest.mark.django_db
def test_every_change_of_a_file_is_found() -> None:
    lines = made_lines()
    for number in range(len(lines)):
        changed = [*lines[:number], lines[number].replace("2", "3", 1), *lines[number + 1 :]]
        removed = [*lines[:number], *lines[number + 1 :]]
        swapped = [*lines[:number], *lines[number : number + 2][::-1], *lines[number + 2 :]]
        for broken in (changed, removed, lines[:number]):
            with pytest.raises(EvidenceBroken):
                verify_evidence(broken)
        if number + 1 < len(lines):
            with pytest.raises(EvidenceBroken):
                verify_evidence(swapped)
    with pytest.raises(EvidenceBroken, match="follows the last record"):
        verify_evidence([*lines, lines[-1]])
    with pytest.raises(EvidenceBroken, match="Line 3"):
        verify_evidence([*lines[:2], lines[2].replace("192.0.2.7", "192.0.2.8"), *lines[3:]])


@pytest.mark.django_db
def test_a_file_that_was_written_anew_is_told_by_its_last_hash() -> None:
    lines = made_lines()
    assert verify_evidence(lines, expected=json.loads(lines[-1])["hash"]).count == 2
    with pytest.raises(EvidenceBroken, match="not the expected one"):
        verify_evidence(lines, expected="0" * 64)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_other_file_is_refused(lines: list[str]) -> None:
    with pytest.raises(EvidenceBroken):
        verify_evidence(lines)


@pytest.mark.django_db
def test_the_number_of_queries_does_not_grow_with_the_consents(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    subscription = ada()
    for _ in range(5):
        record_consents(ConsentKind.REQUESTED, [subscription] * 10, Evidence(form="signup", text=TEXT))
    with django_assert_max_num_queries(2):
        assert len(list(evidence_lines(consents_of_list(subscription.mailing_list), about="x"))) == 53
