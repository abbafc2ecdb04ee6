"""A digest of the usual shape for tests and benchmarks: a signal, 31 stories of about 90 words, a closing section."""

from __future__ import annotations

import datetime
import re

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.rendering import Masthead

MASTHEAD = Masthead(
    name="The Harbour Digest",
    site_url="https://digest.example.org/harbour/",
    archive_url="https://digest.example.org/harbour/issues/",
    postal_address="Harbour Press\n12 Quay Street\nGalway H91 XY00, Ireland",
    sender_name="Ada at Harbour Press",
    description="What crews and yards learned this week.",
)
WEB_URL = "https://digest.example.org/harbour/issues/2026-07-01/"

TITLES = (
    "How a ferry line moved its bookings off one very large server",
    "The crane that waits: queueing in a port that never closes",
    "Presentation: What tide tables taught us about caching",
    "Weather stations now agree on the time, and why that took nine years",
    "A lighthouse keeper’s guide to paging and on-call",
    "Splitting the cargo manifest into three ledgers without a night of downtime",
    "Measuring fog: cheap sensors against one expensive one",
    "Radio silence as a test: switching off a region every Tuesday",
    "Why the pilots’ association rewrote its rota in two hundred lines",
    "From spreadsheets to a berth planner, one column at a time",
    "Rope, wire or chain: choosing a message format that holds",
    "An index for every mast: search over forty million parts",
    "The harbour master’s dashboard lost half its charts and gained readers",
    "Podcast: Slow boats, fast builds",
    "Backups that were restored every day, and the day it mattered",
    "Buoys as edge servers: two years of salt water and solid state",
    "Customs forms in eleven languages from one template",
    "A quieter alarm: cutting night pages by nine in ten",
    "Lessons from a winch controller that was right and still wrong",
    "The archive on the mole: keeping seventy years of charts readable",
    "Rewriting the toll system while the ships keep coming",
    "Draughts and drafts: version control for naval drawings",
    "What the tugs say: an open protocol for small manoeuvres",
    "Counting containers with one camera and no cloud",
    "Anchors for secrets: rotating keys on machines nobody visits",
    "A fair queue for fishing permits",
    "Two clocks on one ship, and the log that merged them",
    "Testing the storm plan with the people who will use it",
    "The dredger’s digital twin was mostly a good map",
    "Small crews, shared tools: a year of one repository",
    "Selling surplus shore power by the minute",
)
SOURCES = ("Quayside", "Tidemark", "Harbour Review", "Signal Box", "Pilots’ Log")
SENTENCES = (
    "The old system did one thing well and everything else by accident, which nobody noticed until the busiest week.",
    "Engineers moved the slow path into a queue of its own and gave it a limit that operators can read at a glance.",
    "Latency fell by two thirds, but the larger gain was that a failed run could simply be started again.",
    "They kept the paper form for a year beside the new screen and compared both every evening by hand.",
    "What looked like a network fault turned out to be two machines that disagreed about summer time.",
    "The team argues that a boring database, read carefully, beats three clever ones that are only skimmed.",
    "Storage costs rose by a fifth in exchange for answers that no longer depend on who was on duty.",
    "Every change now carries the name of the berth it concerns, so that a search finds the whole story.",
    "A small group of pilots tried each version first and wrote down what made them hesitate.",
    "Moving validation to the edge of the system removed a whole family of errors from its middle.",
    "The design accepts stale answers for a minute and says so on the screen, instead of pretending.",
    "Fewer alarms made the remaining ones louder, and the background began to trust them again.",
    "For similar yards the lesson is to measure the waiting, not the work, before buying anything.",
    "It is a reminder that an interface is a promise, and that promises are cheapest to keep when they are short.",
)
LEAD = (
    "A ferry operator cut its boarding queues in half without new gates: it told passengers, honestly and early, which "
    "of two ramps would be slower. “The fix was a sign,” says its engineer. Behind the sign stands a small model of "
    "the tide, recomputed every minute on hardware from 2014, and a rule that a wrong guess is shown as wrong."
)
CLOSING = (
    "This week’s pieces share a preference for telling people what is known over hiding what is not. Queues with "
    "names, stale answers marked as stale, and alarms that mean something appear in yards of every size. None of "
    "them needed new machines; all of them needed somebody to read the log."
)


def write_digest(stories: int = 31) -> IssueContent:
    """The digest; beyond 31 stories, titles repeat with a number."""
    return IssueContent(
        title="The Harbour Digest — 2026-07-01",
        slug="2026-07-01",
        date=datetime.date(2026, 7, 1),
        subject="The sign that halved a queue",
        categories=("Ports", "Software"),
        sections=(
            SectionContent(title="Signal of the Week", body=LEAD),
            SectionContent(title="Deep Dives", stories=tuple(_write_story(number) for number in range(stories))),
            SectionContent(title="Patterns Across Yards", body=CLOSING),
        ),
    )


def _write_story(number: int) -> StoryContent:
    title = TITLES[number % len(TITLES)]
    address = re.sub(r"\W+", "-", title.lower()).strip("-")
    return StoryContent(
        title=title if number < len(TITLES) else f"{title} ({number + 1})",
        url=f"https://www.example.com/articles/2026/06/{address}?ref=harbour&n={number + 1}",
        source=SOURCES[number % len(SOURCES)],
        body=" ".join(SENTENCES[(3 * number + step) % len(SENTENCES)] for step in range(5)),
    )
