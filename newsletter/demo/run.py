"""Runs the demo: all processes until Ctrl-C, or one send from file to report."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.demo import sample
from newsletter.demo.processes import Installation
from newsletter.models import Event, EventState, Hit, Newsletter, Send, SendState
from newsletter.reports.statistics import SendReport, report_of
from newsletter.sending.schedule import send_now

Print = Callable[[str], None]

#: Seconds that the send and its events may take.
TIMEOUT = 180.0

#: The issue that is sent when the demo starts.
SENT_ISSUE = "issue-41"

#: Numbers of the report that show the progress of the send.
PROGRESS = ("accepted", "delivered", "bounced", "complained", "clicked")

#: Half of the recipients open and a fifth clicks. Events come a hundred times faster than in reality.
SANDBOX_OPTIONS = ("--open-share", "0.5", "--click-share", "0.2", "--webhook-time-scale", "0.01")


class DemoFailed(Exception):
    """The send did not end in time, or the numbers do not agree."""


def serve(folder: Path, show: Print) -> None:
    """Create the content if needed, start all processes, and run until interrupted."""
    show(f"Preparing the database, the sample content and {sample.SUBSCRIBERS} subscribers …")
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    newsletter = sample.create_newsletter()
    if not newsletter.issues.exists():
        with transaction.atomic():
            _create_content(newsletter)
    sample.set_editor_password(password)
    with _installation(folder) as installation:
        installation.start_sandbox(*SANDBOX_OPTIONS, "--ledger", str(folder / "sandbox.sqlite3"))
        installation.start_web()
        installation.start_worker()
        for unsent in newsletter.issues.filter(slug=SENT_ISSUE, sends__isnull=True):
            # Without an undo window, so that the archive and the report have an issue from the start.
            send_now(unsent, by="demo", may_undo=False)
        show(welcome_text(folder, password, newsletter.slug))
        while True:
            installation.check()
            time.sleep(1)


def run_once(folder: Path, show: Print) -> None:
    """Import an issue, freeze it, send it over HTTP, receive the webhooks, and compare the numbers.

    Raises DemoFailed unless every subscriber got it once and every number agrees with the provider's.
    """
    call_command("migrate", verbosity=0)
    newsletter = sample.create_newsletter()
    sample.create_subscribers(newsletter)
    issue = sample.import_sample(newsletter, "issue-42.md")
    stories = sum(section.stories.count() for section in issue.sections.all())
    show(f"Imported  “{issue.title}” with {stories} stories")
    with _installation(folder) as installation:
        installation.start_sandbox(*SANDBOX_OPTIONS)
        installation.start_web()
        installation.start_worker()
        send = send_now(issue, by="demo")
        edition = send.edition
        show(f"Frozen    as edition {edition.sha256[:12]}, {len(edition.html.encode()) / 1000:.0f} kB of HTML")
        show(f"Sending   to {sample.SUBSCRIBERS} subscribers through the sandbox at {settings.SANDBOX_URL}\n")
        report = _follow(send, installation, show)
        ledger = _ask("/sandbox/ledger")
        webhooks = _ask("/sandbox/webhooks")
    compare(report, ledger, webhooks, show)


def _create_content(newsletter: Newsletter) -> None:
    sample.create_subscribers(newsletter)
    sample.backdate_subscriptions(newsletter)
    sample.import_sample(newsletter, "issue-41.md")
    sample.schedule_for_next_tuesday(sample.import_sample(newsletter, "issue-42.md"))
    sample.import_sample(newsletter, "issue-43-draft.md")


def _installation(folder: Path) -> Installation:
    return Installation(site_url=settings.SITE_URL, sandbox_url=settings.SANDBOX_URL, logs=folder, root=PROJECT_ROOT)


def _follow(send: Send, installation: Installation, show: Print) -> SendReport:
    """Show the progress until the issue is sent and every event of the sandbox is applied."""
    deadline = time.monotonic() + TIMEOUT
    show("".join(f"{name:>12}" for name in PROGRESS))
    shown: list[int] = []
    while True:
        installation.check()
        send.refresh_from_db(fields=["state"])
        is_complete = send.state == SendState.SENT and _all_events_applied()
        report = report_of(send)
        counts = [getattr(report, name) for name in PROGRESS]
        if counts != shown:
            show("".join(f"{count:>12}" for count in counts))
            shown = counts
        if is_complete:
            return report
        if time.monotonic() > deadline:
            raise DemoFailed(f"The send did not end within {TIMEOUT:.0f} s. See the logs in {installation.logs}.")
        time.sleep(0.5)


def _all_events_applied() -> bool:
    """Whether the sandbox has posted all events, and all of them are applied, opens and clicks judged."""
    # In this order: an event that was posted is in the webhook inbox then.
    if _ask("/sandbox/webhooks")["pending"] or Event.objects.filter(state=EventState.NEW).exists():
        return False
    return not Hit.objects.filter(is_due=True).exists()


def compare(report: SendReport, ledger: dict[str, Any], webhooks: dict[str, Any], show: Print) -> None:
    """Show our numbers beside the provider's. Raises DemoFailed unless all agree."""
    events = {kind.removeprefix("email."): sum(counts.values()) for kind, counts in webhooks["by_type"].items()}
    lines = [
        ("accepted", report.accepted, ledger["messages"]),
        ("delivered", report.delivered, events.get("delivered", 0)),
        ("bounced", report.bounced, sample.BOUNCING),
        ("complained", report.complained, sample.COMPLAINING),
        ("clicked", report.clicked, events.get("clicked", 0)),
        ("duplicates", ledger["messages"] - ledger["recipients"], 0),
        ("lost", report.audience - ledger["recipients"], 0),
    ]
    show(f"\n  {'':12}{'report':>8}{'provider':>10}")
    for name, ours, theirs in lines:
        show(f"  {name:12}{ours:>8}{theirs:>10}{'' if ours == theirs else '   differs'}")
    differing = [name for name, ours, theirs in lines if ours != theirs]
    is_complete = report.audience == sample.SUBSCRIBERS and report.accepted == report.delivered + report.bounced
    if differing or not is_complete or not report.clicked:
        problem = f"These numbers differ: {', '.join(differing)}" if differing else "The report is incomplete"
        raise DemoFailed(f"{problem}. Our report must agree with the provider's ledger.")
    show(f"\nAll numbers agree: each of the {sample.SUBSCRIBERS} subscribers got the issue exactly once.")


def _ask(path: str) -> dict[str, Any]:
    with urllib.request.urlopen(settings.SANDBOX_URL + path, timeout=30) as answer:  # noqa: S310 - on this machine
        result: dict[str, Any] = json.load(answer)
    return result


def welcome_text(folder: Path, password: str, newsletter: str) -> str:
    """What the demo prints when it runs: whole addresses, since the usual ports may be taken."""
    site = f"{settings.SITE_URL}/{newsletter}/"
    return f"""
The demo is running. No mail leaves this machine.

  Sign-up   {site}
  Archive   {site}issues/
  Feed      {site}feed.atom
  Admin     {settings.SITE_URL}/admin/
            user {sample.EDITOR}, password {password}
  Sandbox   {settings.SANDBOX_URL}/
            an inbox that shows every mail

Try this:

  1. Subscribe on the site. Then open the confirmation mail in the sandbox and confirm.
  2. Open the draft in the admin and fix the two errors that its checks find.
  3. Send the draft now, or schedule it for one minute from now, and watch its report.
  4. Open a mail in the sandbox and trigger a bounce. Then look up the subscriber in the admin.

Logs are in {folder}.
Press Ctrl-C to stop. The next start keeps the data; start over with: make demo ARGS=--reset
"""
