"""A flood of provider events: posted by several processes, applied by workers that are killed, and counted by hand.

50,000 events on PostgreSQL, 10,000 on SQLite; FLOOD_EVENTS sets another number.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.journeys.flood.expected import ExpectedReport
from tests.journeys.flood.facts import ENVIRONMENT, Mail, Said
from tests.journeys.flood.ledger import EVENTS, SUBSCRIPTIONS, Ledger
from tests.journeys.flood.pages import Admin, check_first_page, check_issue_list, check_report, unused_events
from tests.journeys.flood.plan import Plan
from tests.journeys.flood.posting import Clients, Planned, posting, posts_of
from tests.journeys.flood.recount import Recount
from tests.journeys.site import PASSWORD

pytestmark = pytest.mark.processes

IS_POSTGRESQL = bool(os.environ.get("TEST_DATABASE_URL"))
FLOOD = int(os.environ.get("FLOOD_EVENTS") or (50_000 if IS_POSTGRESQL else 10_000))
SEED = 20261130

#: Mails for each event: three or four tell of each mail.
RECIPIENTS = round(FLOOD / 3.6 / 2.75)

#: With SQLite, one worker runs.
WORKERS = ("worker", "second") if IS_POSTGRESQL else ("worker",)

#: Events that a worker applies in one transaction.
CHUNK = 2_000

PROGRAM = ("-m", "tests.journeys.flood.prepare")


class Flood:
    """A running installation with its mails, and what was posted to it."""

    def __init__(self, installation: SeparateInstallation, folder: Path) -> None:
        self.installation, self.folder = installation, folder
        self.ledger = Ledger(installation.environment["DATABASE_URL"])
        self.answers: list[tuple[Planned, int]] = []

    # --- Before -------------------------------------------------------------------------------------------------------

    def send(self) -> list[Mail]:
        """Send three issues; returns their mails as they are days later, when a few subscribers are erased."""
        installation = self.installation
        installation.environment |= {"ENVIRONMENT": ENVIRONMENT, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        installation.run("manage.py", "createsuperuser", "--noinput", "--username", "edda", "--email", "e@example.org")
        installation.run(*PROGRAM, "sends", str(RECIPIENTS))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", "1000")
        self._work(lambda: not self.ledger.number("SELECT count(*) FROM newsletter_send WHERE state <> 'sent'"))
        mails = self.ledger.mails()
        erased = set(json.loads(installation.run(*PROGRAM, "age")))
        started = self.ledger.started()
        return [
            dataclasses.replace(
                mail,
                started_at=started[mail.send],
                is_erased=is_erased,
                agreed_at=None if is_erased else mail.agreed_at,
            )
            for mail in mails
            for is_erased in [mail.address.lower() in erased]
        ]

    # --- While events arrive ------------------------------------------------------------------------------------------

    def rise(self, events: list[Said]) -> None:
        """Post everything in four stages, while workers are killed: at the beginning, in the middle and at the end."""
        posts = posts_of(events, SEED)
        quarter = -(-len(posts) // 4)
        stages = [posts[start : start + quarter] for start in range(0, len(posts), quarter)]
        web = self.installation.processes.start_web().pid
        secret = self.secret()
        url = self.installation.environment["SITE_URL"]
        with posting(url, secret, self.folder, stages, self.installation.environment) as clients:
            self._stage(clients, "events-uncommitted:1")
            self._stage(clients, "events-committed:1")
            self._stage_of_kills(clients, web)
            # Nobody applies the last quarter while it arrives, so that the next ones die at its beginning and end.
            clients.go()
            self.answers += clients.answers()
        for point in (f"events-uncommitted:{max(1, self.waiting() // CHUNK // 2)}", "events-committed:1"):
            self._die_at(point)
        for point in ("hits-uncommitted:1", "hits-committed:1"):
            self._die_at(point, needs_events=False)
        if chunks := self.waiting() // CHUNK:
            self._die_at(f"events-uncommitted:{chunks}")

    def _stage(self, clients: Clients, point: str) -> None:
        """A worker dies at a point, while a part is posted."""
        clients.go()
        self._die_at(point)
        self.answers += clients.answers()

    def _stage_of_kills(self, clients: Clients, web: int) -> None:
        """Workers, and a process of the web server, are killed wherever they are."""
        before = self.waiting()
        assert before, "the last worker died after its first transaction"
        clients.go()
        self._start_workers()
        wait_until(lambda: self.waiting() != before, "events are applied or arrive")
        children = Path(f"/proc/{web}/task/{web}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        self._kill_workers()
        self.answers += clients.answers()

    def _die_at(self, point: str, *, needs_events: bool = True) -> None:
        """Start a worker, and wait until it has killed itself."""
        if needs_events:
            wait_until(lambda: self.waiting() > 0, "there is something to apply")
        self.installation.environment["FAILPOINT"] = f"{point}:kill"
        worker = self.installation.processes.start_worker(point)
        del self.installation.environment["FAILPOINT"]
        wait_until(lambda: worker.poll() is not None, f"a worker dies at {point}", 180)
        assert worker.returncode == -signal.SIGKILL

    def waiting(self) -> int:
        """Events that are not applied yet."""
        return self.ledger.number("SELECT count(*) FROM newsletter_event WHERE state = 'new'")

    def fall(self) -> None:
        """Let workers do what is left."""
        due = "SELECT count(*) FROM newsletter_hit WHERE is_due"
        self._work(lambda: not self.waiting() and not self.ledger.number(due))

    def _work(self, is_done: Callable[[], bool]) -> None:
        """Let workers work until this is done."""
        self._start_workers()
        wait_until(is_done, "the workers have done everything", 600)
        self._kill_workers()

    def _start_workers(self) -> None:
        for name in WORKERS:
            self.installation.processes.start_worker(name)

    def _kill_workers(self) -> None:
        for name in WORKERS:
            self.installation.processes.kill(name)

    def secret(self) -> str:
        program = "from django.conf import settings; print(settings.WEBHOOK_SECRETS[0])"
        return self.installation.run("manage.py", "shell", "--no-imports", "-c", program).strip()


@pytest.fixture
def flood(tmp_path: Path) -> Iterator[Flood]:
    with separate_installation(tmp_path) as installation:
        yield Flood(installation, tmp_path)


def test_every_number_after_a_flood_is_that_of_an_independent_count(flood: Flood) -> None:
    mails = flood.send()
    events = Plan(mails, SEED).events(FLOOD)
    flood.rise(events)
    flood.fall()
    acknowledged = check_answers(flood, events)
    recount = Recount(mails, acknowledged)
    check_events(flood, acknowledged, recount)
    check_tables(flood, recount)
    check_pages(flood, recount)
    check_rebuilds(flood, recount)


def check_answers(flood: Flood, events: list[Said]) -> list[Said]:
    """Every genuine post was acknowledged, every forged one refused. Returns the events that were acknowledged."""
    forged = Counter(status for post, status in flood.answers if post.forgery)
    assert set(forged) == {400}
    assert sum(forged.values()) == round(0.05 * FLOOD)
    assert Counter(status for post, status in flood.answers if not post.forgery) == {200: FLOOD + round(0.2 * FLOOD)}
    acknowledged = {post.event_id for post, status in flood.answers if status == 200}
    return [said for said in events if said.event_id in acknowledged]


def check_events(flood: Flood, acknowledged: list[Said], recount: Recount) -> None:
    """Each has one row with its own body, and none is there that was not acknowledged."""
    rows = flood.ledger.rows(EVENTS)
    assert Counter(event_id for event_id, _body in rows) == Counter(said.event_id for said in acknowledged)
    bodies = dict(rows)
    for said in acknowledged:
        is_kept = not said.mail.is_erased if said.mail else said.unused.startswith("ignored")
        if is_kept and said.kind not in ("opened", "clicked"):
            assert bodies[said.event_id] == said.body.decode().replace("\x00", "")
    assert flood.ledger.results() == {"applied": recount.applied, **recount.unused}


def check_tables(flood: Flood, recount: Recount) -> None:
    ledger = flood.ledger
    assert differing({pk: each.times for pk, each in recount.recipients.items()}, ledger.times()) == {}
    for send, counters in ledger.counters().items():
        assert differing(recount.counters(send), counters) == {}
    assert differing(recount.engagement(), ledger.engagement()) == {}
    secret = flood.installation.environment["SUPPRESSION_SECRET"]
    assert differing(recount.suppressed, ledger.suppressions(secret, recount.suppressed)) == {}
    soft = {pk: each.soft for pk, each in recount.recipients.items() if each.soft}
    assert differing(soft, ledger.soft_bounces()) == {}
    states = ledger.rows(SUBSCRIPTIONS)
    assert set(states) == {
        (address, "suppressed" if address in recount.suppressed else "active") for address, _state in states
    }


def check_pages(flood: Flood, recount: Recount) -> None:
    """Reports with their files and lists, the first page, the list of issues, and that of events."""
    started = flood.ledger.started()
    order = sorted(recount.sends, key=lambda send: started[send])
    reports = []
    for place, send in enumerate(order):
        newsletter = recount.sends[send][0].mail.has_provider_tracking
        earlier = [each for each in order[:place] if recount.sends[each][0].mail.has_provider_tracking == newsletter]
        reports.append(ExpectedReport(recount, send, started[send], earlier))
    assert [report.mail.issue for report in reports] == ["harbour-1", "tide-1", "harbour-2"]
    admin = Admin(flood.installation.environment["SITE_URL"])
    for report in reports:
        check_report(admin, report)
    check_first_page(admin, reports[::-1])
    check_issue_list(admin, reports)
    unused = {what.partition(" ")[2]: count for what, count in recount.unused.items()}
    assert unused_events(admin) == unused
    check_doctor(flood, unused)


def check_doctor(flood: Flood, unused: dict[str, int]) -> None:
    """What it says of events that are not used, that fit no delivery, and that cannot be read."""
    found = doctor(flood.installation)
    counted = re.findall(r"([\d,]+): ", found["unused_events"])
    assert sorted(counted) == sorted(f"{count:,}" for count in unused.values())
    orphans = sum(unused[reason] for reason in ("no_such_delivery", "other_edition", "other_recipient"))
    assert found["orphan_events"].startswith(f"{orphans:,} webhook events of the last ")
    assert re.match(r"[\d,]+", found["faulty_events"])[0] == f"{min(1_000, unused['event_unreadable']):,}"  # type: ignore[index]


def doctor(installation: SeparateInstallation) -> dict[str, str]:
    """Sentences of the doctor by name. Its status is 1 while no worker runs."""
    command = [sys.executable, "manage.py", "doctor", "--json"]
    done = subprocess.run(command, env=installation.environment, cwd=PROJECT_ROOT, capture_output=True, text=True)
    return {each["name"]: each["sentence"] for each in json.loads(done.stdout)}


def check_rebuilds(flood: Flood, recount: Recount) -> None:
    """Counting everything anew changes nothing."""
    for _ in range(2):
        assert "Counters that were wrong: 0." in flood.installation.run("manage.py", "rebuild_statistics")
        check_tables(flood, recount)
        assert "Editions judged again: 2." in flood.installation.run("manage.py", "rebuild_engagement")


def differing(expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """What is expected and what was found, where that differs."""
    return {
        key: (expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if expected.get(key) != found.get(key)
    }
