"""The admin speaks the language of the editor; dates and times follow it."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from newsletter.admin.time_format import from_now, in_zone, with_zone
from newsletter.models import Issue, RecurringSchedule, Revision, Send
from newsletter.models.reasons import actor_name
from newsletter.monitoring.formatting import number, utc
from tests.newsletter.admin.pages import page_of

AT = datetime.datetime(2026, 7, 1, 5, tzinfo=datetime.UTC)


def test_a_page_of_the_admin_is_in_the_language_of_the_editor(edda: Client, issue: Issue) -> None:
    german = edda.get(page_of(issue), headers={"Accept-Language": "de"})
    assert '<html lang="de"' in german.content.decode()
    assert german["Content-Language"] == "de"
    assert "Accept-Language" in german["Vary"]
    assert '<html lang="en' in edda.get(page_of(issue)).content.decode()


def test_the_login_page_is_in_the_language_of_the_visitor(client: Client, db: None) -> None:
    answer = client.get(reverse("admin:login"), headers={"Accept-Language": "de"})
    assert "Anmelden" in answer.content.decode()


def test_a_request_does_not_change_the_language_of_the_thread(edda: Client, issue: Issue) -> None:
    before = translation.get_language()
    edda.get(page_of(issue), headers={"Accept-Language": "de"})
    assert translation.get_language() == before


@pytest.mark.parametrize(
    ("language", "long", "named"),
    [
        ("en", "Wednesday, 1 July 2026, 07:00", "1 July 2026, 07:00 (Europe/Berlin)"),
        ("de", "Mittwoch, 1. Juli 2026 07:00", "1. Juli 2026 07:00 (Europe/Berlin)"),
    ],
)
def test_times_follow_the_formats_of_the_language(language: str, long: str, named: str) -> None:
    with translation.override(language):
        assert in_zone(AT, "Europe/Berlin") == long
        assert with_zone(AT, "Europe/Berlin") == named


def test_an_unknown_time_zone_counts_as_utc() -> None:
    assert with_zone(AT, "Mars/Olympus") == "1 July 2026, 05:00 (UTC)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-30, "just now"),
        (30, "in less than a minute"),
        (-250, "4 minutes ago"),
        (46_850, "in 13 hours"),
        (-200_000, "2 days ago"),
    ],
)
def test_a_time_is_shown_as_a_distance_from_now(seconds: int, words: str) -> None:
    assert from_now(timezone.now() + datetime.timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("", ""),
        ("restored:3", "Restored revision 3"),
        ("imported", "Imported from a file"),
        ("suggestion:Use https: everywhere", "Suggestion used: Use https: everywhere"),
        ("Typed by hand", "Typed by hand"),
    ],
)
def test_the_note_of_a_revision_is_stored_as_a_code_and_shown_as_a_sentence(note: str, text: str) -> None:
    assert Revision(note=note).note_text == text


def test_a_recurring_schedule_is_named_by_weekday_and_time() -> None:
    assert str(RecurringSchedule(weekday=1, time=datetime.time(7))) == "Tuesdays 07:00"


# --- In German -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "words"), [(-200_000, "vor 2 Tagen"), (46_850, "in 13 Stunden")])
def test_a_distance_is_in_the_case_that_its_preposition_asks_for(seconds: int, words: str) -> None:
    with translation.override("de"):
        assert from_now(timezone.now() + datetime.timedelta(seconds=seconds)) == words


def test_numbers_and_times_of_diagnostics_follow_the_language() -> None:
    assert (number(12_412), utc(AT)) == ("12,412", "2026-07-01 05:00 UTC")
    with translation.override("de"):
        assert (number(12_412), utc(AT)) == ("12.412", "01.07.2026 05:00 UTC")


def test_what_acts_by_itself_is_named_in_the_language_of_the_editor() -> None:
    with translation.override("de"):
        assert [actor_name(by) for by in ("recurring schedule", "Edda")] == ["wiederkehrender Termin", "Edda"]
        assert str(RecurringSchedule(weekday=1, time=datetime.time(7))) == "Dienstags 07:00"


def test_a_list_of_records_has_labels_in_the_language_of_the_editor(edda: Client, running_send: Send) -> None:
    page = edda.get(reverse("admin:newsletter_send_changelist"), headers={"Accept-Language": "de"})
    shown = page.content.decode()
    assert "Gestartet am" in shown
    assert "tarted at" not in shown


def test_the_zone_of_times_without_one_is_named_on_every_page(edda: Client) -> None:
    page = edda.get(reverse("admin:subscribers_consent_changelist"), headers={"Accept-Language": "de"})
    assert "Zeiten ohne Zeitzone sind in UTC angegeben." in page.content.decode()
