"""Families of user agents: whole words decide, so that innocent names are not taken for machines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.engagement.agents import agent_family, system_of
from newsletter.models import Hit
from tests.newsletter.engagement.logs import BARRACUDA, CHROME, CUBOT, GMAIL, IPHONE, SLACK, YAHOO


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (None, ""),
        ("", "none"),
        ("  ", "none"),
        ("Mozilla/5.0", "apple proxy"),
        (GMAIL, "google proxy"),
        (YAHOO, "yahoo proxy"),
        (CHROME, "chrome windows"),
        (IPHONE, "safari iphone"),
        (CUBOT, "chrome android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "firefox linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/142.0 Safari/537.36 Edg/142.0", "edge windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15_1) AppleWebKit/605.1.15 Safari/605.1.15", "safari mac"),
        ("Something new", "other other"),
    ],
)
def test_agents_of_people_and_proxies(agent: str | None, family: str) -> None:
    assert agent_family(agent) == family


@pytest.mark.parametrize(
    "agent",
    [
        BARRACUDA,
        "curl/8.5.0",
        "python-requests/2.32",
        "Go-http-client/2.0",
        "Java/17.0.2",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0)",
        "some-bot/1",
        "Mozilla/5.0 AppleWebKit/537.36 HeadlessChrome/142.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0) BingPreview/1.0b",
        "Microsoft Office Existence Discovery",
    ],
)
def test_agents_that_say_that_they_are_machines(agent: str) -> None:
    assert agent_family(agent) == "machine"


@pytest.mark.parametrize(
    "agent", [SLACK, "facebookexternalhit/1.1 Twitterbot/1.0", "WhatsApp/2.24", "TelegramBot (like TwitterBot)"]
)
def test_agents_of_previews(agent: str) -> None:
    assert agent_family(agent) == "preview"


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; Android 14; CUBOT) Chrome/142.0",
        "Mozilla/5.0 (Windows NT 10.0) JavaFX/17 Chrome/142.0",
        "Mozilla/5.0 (Windows NT 10.0) Chrome/142.0 bottle/1.0",
    ],
)
def test_words_that_contain_the_name_of_a_machine_are_innocent(agent: str) -> None:
    assert agent_family(agent).startswith("chrome ")


@given(st.none() | st.text())
def test_a_family_fits_its_column(agent: str | None) -> None:
    assert len(agent_family(agent)) <= (Hit._meta.get_field("agent").max_length or 0)


def test_the_system_of_a_family() -> None:
    assert [system_of(family) for family in ("", "none", "machine", "apple proxy", "chrome windows")] == [
        *[""] * 4,
        "windows",
    ]
