"""Logs of visits, made up after what is known of scanners, proxies and people."""

from __future__ import annotations

import datetime
from typing import Any

from newsletter.engagement.agents import agent_family
from newsletter.engagement.rules import Fact, Visit, judge
from newsletter.models import FIRST_LINK

DELIVERED = datetime.datetime(2026, 11, 24, 7, tzinfo=datetime.UTC)

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 "
    "Mobile/15E148 Safari/604.1"
)
CUBOT = "Mozilla/5.0 (Linux; Android 14; CUBOT KINGKONG 9) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
SLACK = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
BARRACUDA = "BarracudaCentral (barracuda)"

HOME, OFFICE, CLOUD = "home", "office", "cloud"


def at(seconds: float) -> datetime.datetime:
    """A time, in seconds after the delivery."""
    return DELIVERED + datetime.timedelta(seconds=seconds)


def link(place: int) -> int:
    """The number of a link, the first of which is 0."""
    return FIRST_LINK + place


def fact(seconds: float, number: int, agent: str | None = CHROME, network: str = HOME, **fields: Any) -> Fact:
    """One hit."""
    return Fact(at=at(seconds), number=number, network=network, agent=agent_family(agent), **fields)


def visit(*facts: Fact, links: int = 10, **fields: Any) -> Visit:
    """A visit of hits in the order of their times."""
    return Visit(facts=sorted(facts, key=lambda one: one.at), links=links, **{"delivered_at": DELIVERED, **fields})


def judged(*facts: Fact, **fields: Any) -> list[tuple[str, str]]:
    """Verdict and rule of each hit."""
    return [(one.verdict.value, one.rule) for one in judge(visit(*facts, **fields))]
