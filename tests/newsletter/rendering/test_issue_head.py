"""The head of a mail: the newsletter's name is said once, and the date is written in words."""

from __future__ import annotations

import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.rendering.issue_head import issue_head, mail_link

NAME, DAY = "The Harbour Log", datetime.date(2026, 11, 3)
WRITTEN = ("Tuesday, 3 November 2026", "Tuesday, 3 November", "mardi 3 novembre")


def heading(title: str) -> str:
    return issue_head(title, NAME, DAY, *WRITTEN).title


@pytest.mark.parametrize(
    "title",
    [
        "",
        "The Harbour Log",
        "the harbour log",
        "The Harbour Log — 2026-11-03",
        "The Harbour Log: 3.11.2026",
        "The Harbour Log · 03.11.2026",
        "The Harbour Log, Tuesday 3 November 2026",
        "The Harbour Log Tuesday 3 November",
        "The Harbour Log: November 3, 2026",
        "The Harbour Log – mardi 3 novembre",
        "The Harbour Log – 3 novembre",
        "The Harbour Log | 3 November",
        "2026-11-03",
        "Tuesday, 3 November 2026",
    ],
)
def test_a_title_of_name_and_date_says_nothing_of_its_own(title: str) -> None:
    head = issue_head(title, NAME, DAY, *WRITTEN)
    assert (head.title, head.is_date) == ("", True)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Three tugs short", "Three tugs short"),
        ("The Harbour Log: Three tugs short", "Three tugs short"),
        ("The Harbour Log – three tugs short", "three tugs short"),
        ("The Harbour Logbook", "The Harbour Logbook"),
        ("The Harbour Log is ten years old", "The Harbour Log is ten years old"),
        ("Three tugs short, says The Harbour Log", "Three tugs short, says The Harbour Log"),
        ("The Harbour Log — 2026-11-04", "2026-11-04"),
        ("The Harbour Log #214", "#214"),
        ("The Harbour Log 214: fog", "214: fog"),
    ],
)
def test_a_title_that_begins_with_the_name_is_cut(title: str, expected: str) -> None:
    assert heading(title) == expected


@given(st.text(max_size=60))
def test_any_title_of_its_own_is_kept_as_it_is(title: str) -> None:
    head = issue_head(f"News {title}", NAME, DAY, *WRITTEN)
    assert head.title == f"News {title}".strip()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), st.text("abc äß&?=/%+", max_size=40))
def test_a_link_to_a_new_mail_keeps_subject_and_body(subject: str, body: str) -> None:
    parts = urlsplit(mail_link("ada+log@example.org", subject=subject, body=body))
    assert (parts.scheme, parts.path) == ("mailto", "ada+log@example.org")
    fields = parse_qs(parts.query, keep_blank_values=True)
    assert fields == {"subject": [subject], "body": [body]}
