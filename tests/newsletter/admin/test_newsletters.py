"""The admin page of a newsletter: its settings and its recurring schedules."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from newsletter.models import ConsentMode, Newsletter, RecurringSchedule, Weekday
from newsletter.rendering.theme import SHIPPED_THEMES
from subscribers.models import Frequency
from tests import people
from tests.newsletter.admin.pages import form_data, page_of, words_on
from tests.publications import make_issue, make_newsletter, start_sending, today

pytestmark = pytest.mark.any_database

FORM = "//form[@id='newsletter_form']"


@pytest.fixture
def url(db: None) -> str:
    return reverse("admin:newsletter_newsletter_change", args=[make_newsletter().pk])


def test_the_progress_of_a_warm_up_is_shown_with_its_limits(edda: Client, url: str) -> None:
    plan = {"warm_up_since": str(today() - datetime.timedelta(days=4)), "warm_up_plan": "known"}
    assert edda.post(url, form_data(edda, url, FORM) | plan).status_code == 302
    page = words_on(edda.get(url))
    assert (
        "Day 5 of 42: 0 of 7,500 mails sent today. Limit for a single mailbox provider, such as Gmail: 3,750. "
        "Limit per hour: 750." in page
    )
    assert "1,000 · 2,500 · 5,000" in page


@pytest.mark.parametrize("mode", ConsentMode.values)
def test_the_consent_to_tracking_is_chosen(edda: Client, url: str, mode: str) -> None:
    assert edda.post(url, form_data(edda, url, FORM) | {"consent_mode": mode}).status_code == 302
    assert Newsletter.objects.get().consent_mode == mode


SOURCES = [
    ("none", "none", "", ""),
    ("none", "consent", "", ""),
    ("own", "aggregate", "", ""),
    ("own", "consent", "on", ""),
    ("provider", "consent", "", ""),
    ("own", "none", "", "The consent to tracking is “No tracking”."),
    ("provider", "none", "", "The provider tracks single subscribers"),
    ("provider", "aggregate", "", "The provider tracks single subscribers"),
    ("provider", "consent", "on", "Choose links of this site as the source."),
    ("none", "none", "on", "Choose links of this site as the source."),
]


@pytest.mark.parametrize(("source", "mode", "opens", "refusal"), SOURCES)
def test_a_source_of_opens_and_clicks_needs_its_consent(
    edda: Client, url: str, source: str, mode: str, opens: str, refusal: str
) -> None:
    chosen = {"consent_mode": mode, "engagement_source": source, "measures_opens": opens}
    response = edda.post(url, form_data(edda, url, FORM) | {name: value for name, value in chosen.items() if value})
    newsletter = Newsletter.objects.get()
    if refusal:
        assert refusal in words_on(response)
        assert newsletter.engagement_source == "none"
    else:
        assert response.status_code == 302, words_on(response)
        assert (newsletter.engagement_source, newsletter.measures_opens) == (source, bool(opens))
        # The database holds it, too, as the admin is not the only way.
        newsletter.save()


@pytest.mark.parametrize(("source", "mode", "opens", "refusal"), [row for row in SOURCES if row[3]])
def test_the_database_refuses_a_source_without_its_consent(
    url: str, source: str, mode: str, opens: str, refusal: str
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Newsletter.objects.update(consent_mode=mode, engagement_source=source, measures_opens=bool(opens))


def test_the_preview_uses_the_current_version_of_an_edited_theme(
    edda: Client, url: str, tmp_path: Path, settings: Any
) -> None:
    file = tmp_path / "lagoon" / "theme.toml"
    file.parent.mkdir()
    settings.THEME_FOLDERS = (tmp_path,)
    Newsletter.objects.update(theme="lagoon")
    issue = make_issue()
    toml = (SHIPPED_THEMES / "plain" / "theme.toml").read_text(encoding="utf-8")
    for accent in ("#0f766e", "#0f756d"):
        file.write_text(toml.replace("#4353c4", accent), encoding="utf-8")
        os.utime(file, ns=(0, int(accent[1:], 16)))
        assert f"color:{accent}" in edda.get(page_of(issue, "preview_frame", "desktop")).content.decode()
    file.write_text(toml.replace("#4353c4", "#ffffff"), encoding="utf-8")
    assert "the contrast of" in edda.get(page_of(issue, "preview_frame", "desktop")).content.decode()


# --- Weekly digest ---------------------------------------------------------------------------------------------------


def test_the_weekly_digest_is_set_with_its_day_and_time(edda: Client, url: str) -> None:
    page = edda.get(url).content.decode()
    assert "Weekly digest" in page
    assert 'value="09:00"' in page
    chosen = {"offers_weekly": "on", "weekly_weekday": str(Weekday.FRIDAY), "weekly_time": "17:30"}
    response = edda.post(url, form_data(edda, url, FORM) | chosen)
    assert response.status_code == 302, words_on(response)
    newsletter = Newsletter.objects.get()
    assert newsletter.offers_weekly
    assert (newsletter.weekly_weekday, newsletter.weekly_time) == (Weekday.FRIDAY, datetime.time(17, 30))
    people.make_subscription("wim@example.org", newsletter, frequency=Frequency.WEEKLY)
    start_sending(make_issue())
    words = words_on(edda.get(url))
    assert "Issues in it so far: 1. Subscribers who chose it: 1." in words


def test_only_those_who_may_send_change_the_weekly_digest(signed_in: Callable[[str], Client], url: str) -> None:
    editor = signed_in("writer")
    user = User.objects.get(username="writer")
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_newsletter", "change_newsletter")))
    data = form_data(editor, url, FORM)
    assert "weekly_time" not in data
    assert editor.post(url, data | {"offers_weekly": "on"}).status_code == 302
    assert not Newsletter.objects.get().offers_weekly


# --- Recurring schedules ---------------------------------------------------------------------------------------------


def schedule_data(number: int, **fields: str) -> dict[str, str]:
    given = {"weekday": str(Weekday.TUESDAY), "time": "07:00", "is_active": "on", **fields}
    return {"recurring_schedules-TOTAL_FORMS": str(number + 1)} | {
        f"recurring_schedules-{number}-{name}": value for name, value in given.items()
    }


def test_a_recurring_schedule_is_added_in_the_time_zone_of_the_newsletter(edda: Client, url: str) -> None:
    response = edda.post(url, form_data(edda, url, FORM) | schedule_data(0, title="Notes, {date}", sections="One\nTwo"))
    assert response.status_code == 302, words_on(response)
    schedule = RecurringSchedule.objects.get()
    assert (str(schedule), schedule.sections.split()) == ("Tuesdays 07:00", ["One", "Two"])
    assert 'value="07:00"' in edda.get(url).content.decode()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"sections": "One\n" + "x" * 201}, "“xxxx"),
        ({"title": "Notes\u202e"}, "invisible"),
        ({"time": "25:00"}, "Enter a valid time"),
        ({"weekday": "7"}, "Select a valid choice"),
    ],
    ids=["long heading", "invisible", "no time", "no day"],
)
def test_a_recurring_schedule_with_invalid_fields_is_refused_at_each_field(
    edda: Client, url: str, fields: dict[str, str], sentence: str
) -> None:
    assert sentence in words_on(edda.post(url, form_data(edda, url, FORM) | schedule_data(0, **fields)))
    assert not RecurringSchedule.objects.exists()


def test_two_recurring_schedules_at_the_same_time_are_refused(edda: Client, url: str) -> None:
    twice = schedule_data(0) | schedule_data(1)
    assert "duplicate" in words_on(edda.post(url, form_data(edda, url, FORM) | twice))
    assert not RecurringSchedule.objects.exists()
