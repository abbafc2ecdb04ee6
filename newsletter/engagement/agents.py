"""User agents as families: what a hit keeps instead of the text, which could identify a visitor. Pure.

Agents can be forged and change with each release, so a family is one sign among others. Names are compared as whole
words: CUBOT is a maker of phones, and “java” is part of innocent words.
"""

from __future__ import annotations

import re

#: Families that rules know by name. All others are a browser and a system, such as `firefox windows`.
UNKNOWN, NONE, MACHINE, PREVIEW = "", "none", "machine", "preview"
APPLE_PROXY, GOOGLE_PROXY, YAHOO_PROXY = "apple proxy", "google proxy", "yahoo proxy"

#: The whole agent of Apple’s Mail Privacy Protection, as several public detectors have it.
_APPLE = "Mozilla/5.0"

#: Names of programs and libraries, as words of an agent.
_MACHINE_NAMES = (
    "barracuda proofpoint mimecast messagelabs fireeye forcepoint fortiguard trendmicro symantec sophos bingpreview "
    "curl wget libwww-perl python-requests python-urllib aiohttp httpx okhttp go-http-client java apache-httpclient "
    "headlesschrome phantomjs puppeteer playwright selenium node-fetch axios guzzlehttp scrapy crawler spider scanner "
    "censysinspect zgrab masscan nmap ms-office"
)
_MACHINES = frozenset(_MACHINE_NAMES.split())
_MACHINE_PHRASES = ("microsoft office existence discovery", "google web preview", "virustotal")

#: Words that end like the name of a bot and are none.
_NO_BOTS = frozenset({"cubot"})

#: Programs that fetch a link because a human has pasted it somewhere.
_PREVIEW_NAMES = (
    "slackbot slackbot-linkexpanding slack-imgproxy twitterbot facebookexternalhit facebookbot discordbot whatsapp "
    "telegrambot linkedinbot applebot skypeuripreview redditbot pinterestbot mastodon embedly iframely chatgpt-user "
    "perplexity-user claude-user"
)
_PREVIEWS = frozenset(_PREVIEW_NAMES.split())

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")

#: The first that fits: names of browsers contain those of older ones.
_BROWSERS = (
    ("edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("outlook", re.compile(r"\bMicrosoft Outlook\b|\bMSOffice\b")),
    ("thunderbird", re.compile(r"\bThunderbird/")),
    ("firefox", re.compile(r"\b(?:Firefox|FxiOS)/")),
    ("opera", re.compile(r"\bOPR/")),
    ("samsung", re.compile(r"\bSamsungBrowser/")),
    ("chrome", re.compile(r"\b(?:Chrome|CriOS)/")),
    ("safari", re.compile(r"\bSafari/|\bAppleWebKit/")),
)
_SYSTEMS = (
    ("iphone", re.compile(r"\biP(?:hone|od)\b")),
    ("ipad", re.compile(r"\biPad\b")),
    ("android", re.compile(r"\bAndroid\b")),
    ("windows", re.compile(r"\bWindows\b")),
    ("mac", re.compile(r"\bMacintosh\b|\bMac OS X\b")),
    ("linux", re.compile(r"\bLinux\b|\bX11\b")),
)


def agent_family(agent: str | None) -> str:
    """The family of a user agent, at most 24 characters. None means that the source does not tell the agent."""
    if agent is None:
        return UNKNOWN
    if not agent.strip():
        return NONE
    if agent == _APPLE:
        return APPLE_PROXY
    if "GoogleImageProxy" in agent:
        return GOOGLE_PROXY
    if "YahooMailProxy" in agent:
        return YAHOO_PROXY
    words = [word.rstrip(".-_") for word in _WORD.findall(agent)]
    lower = {word.lower() for word in words}
    if lower & _PREVIEWS:
        return PREVIEW
    text = agent.lower()
    if lower & _MACHINES or any(phrase in text for phrase in _MACHINE_PHRASES) or any(map(_is_bot, words)):
        return MACHINE
    return f"{_first(_BROWSERS, agent)} {_first(_SYSTEMS, agent)}"


def system_of(family: str) -> str:
    """The system in a family, such as `windows`; empty for a family that rules know by name."""
    browser, _space, system = family.partition(" ")
    return "" if system in ("", "proxy") or browser == MACHINE else system


def _is_bot(word: str) -> bool:
    """A bot names itself at the end of a word: Googlebot, AhrefsBot, my-bot."""
    return word.lower().endswith("bot") and word.lower() not in _NO_BOTS


def _first(table: tuple[tuple[str, re.Pattern[str]], ...], agent: str) -> str:
    return next((name for name, pattern in table if pattern.search(agent)), "other")
