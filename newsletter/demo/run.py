"""Running the demo: everything at once until Ctrl-C, or one send from file to report."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.demo import sample
from newsletter.demo.processes import Installation
from newsletter.models import Edition, Event, EventState, Issue, IssueStatus, Newsletter
from newsletter.reports.statistics import IssueReport, report_of
from newsletter.sending.schedule import send_now

Say = Callable[[str], None]

#: Seconds that the whole send with its receipts may take before the demo says that something is wrong.
PATIENCE = 180.0

#: The issue that has been sent by the time somebody looks.
HISTORY = "issue-41"

#: The sandbox sends events a hundred times faster than people open mails.
SANDBOX = ("--open-share", "0.5", "--click-share", "0.2", "--webhook-time-scale", "0.01")


class DemoFailed(Exception):
    """The demo did not do what it promises; the sentence says what is missing."""


def serve(folder: Path, say: Say) -> None:
    """Set up what is missing, start everything, and stay until interrupted."""
    say("Setting up: database, sample content, 500 readers …")
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    newsletter = sample.make_newsletter()
    if not newsletter.issues.exists():
        with transaction.atomic():
            _fill(newsletter)
    sample.set_editor_password(password)
    with _installation(folder) as installation:
        installation.start_sandbox(*SANDBOX, "--ledger", str(folder / "sandbox.sqlite3"))
        installation.start_web()
        installation.start_worker()
        for unsent in newsletter.issues.filter(slug=HISTORY, status=IssueStatus.DRAFT):
            # A newcomer looks at once, and wants to see an issue that is out.
            send_now(unsent, by="demo", may_undo=False)
        say(_welcome(password, newsletter.slug))
        while True:
            installation.check()
            time.sleep(1)


def once(folder: Path, say: Say) -> None:
    """Import an issue, freeze it, send it to 500 readers over HTTP, receive the webhooks, and prove the numbers.

    Raises DemoFailed unless every reader got it once and every count agrees with the provider's.
    """
    call_command("migrate", verbosity=0)
    newsletter = sample.make_newsletter()
    sample.make_readers(newsletter)
    issue = sample.import_sample(newsletter, "issue-42.md")
    stories = sum(section.stories.count() for section in issue.sections.all())
    say(f"Imported   “{issue.title}”: {stories} stories")
    with _installation(folder) as installation:
        installation.start_sandbox(*SANDBOX)
        installation.start_web()
        installation.start_worker()
        send_now(issue, by="demo")
        edition = Edition.objects.get(sent_as=issue)
        say(f"Frozen     edition {edition.sha256[:12]}, {len(edition.html.encode()) / 1000:.0f} kB")
        say(f"Sending    to {sample.READERS} readers through {settings.SANDBOX_URL}")
        report = _follow(issue, installation, say)
        ledger = _ask("/sandbox/ledger")
        webhooks = _ask("/sandbox/webhooks")
    judge(report, ledger, webhooks, say)


def _fill(newsletter: Newsletter) -> None:
    sample.make_readers(newsletter)
    sample.spread_sign_ups(newsletter)
    sample.import_sample(newsletter, "issue-41.md")
    sample.schedule_for_next_tuesday(sample.import_sample(newsletter, "issue-42.md"))
    sample.import_sample(newsletter, "issue-43-draft.md")


def _installation(folder: Path) -> Installation:
    return Installation(site_url=settings.SITE_URL, sandbox_url=settings.SANDBOX_URL, logs=folder, root=PROJECT_ROOT)


def _follow(issue: Issue, installation: Installation, say: Say) -> IssueReport:
    """Say how far it is, until the issue is sent and every event of the sandbox has arrived and been applied."""
    deadline = time.monotonic() + PATIENCE
    for report in _reports(issue):
        installation.check()
        say(
            f"  accepted {report.accepted:>3}  delivered {report.delivered:>3}  bounced {report.bounced}"
            f"  complained {report.complained}  clicked {report.clicked:>3}"
        )
        if time.monotonic() > deadline:
            raise DemoFailed(f"After {PATIENCE:.0f} s the send was not over; the logs are in {installation.logs}.")
    return report_of(issue)


def _reports(issue: Issue) -> Iterator[IssueReport]:
    """A report each time that it differs from the one before, until nothing more will come."""
    last = None
    while True:
        report = report_of(issue)
        if report != last:
            yield report
            last = report
        issue.refresh_from_db()
        if issue.status == IssueStatus.SENT and _everything_arrived():
            return
        time.sleep(0.25)


def _everything_arrived() -> bool:
    """Whether the sandbox has posted all its events and every one of them has been applied."""
    # In this order: an event that has been posted is in the inbox by then.
    return _ask("/sandbox/webhooks")["pending"] == 0 and not Event.objects.filter(state=EventState.NEW).exists()


def judge(report: IssueReport, ledger: dict[str, Any], webhooks: dict[str, Any], say: Say) -> None:
    """Print what we know beside what the provider knows. Raises DemoFailed unless every line agrees."""
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
    say(f"\n  {'':12}{'report':>8}{'provider':>10}")
    for name, ours, theirs in lines:
        say(f"  {name:12}{ours:>8}{theirs:>10}{'' if ours == theirs else '   does not agree'}")
    wrong = [name for name, ours, theirs in lines if ours != theirs]
    whole = report.audience == sample.READERS and report.accepted == report.delivered + report.bounced
    if wrong or not whole or not report.adds_up or not report.clicked:
        raise DemoFailed(f"The numbers do not add up: {', '.join(wrong) or 'somebody is missing'}.")
    say(f"\nEvery one of {sample.READERS} readers got the issue once.")


def _ask(path: str) -> dict[str, Any]:
    with urllib.request.urlopen(settings.SANDBOX_URL + path, timeout=30) as answer:  # noqa: S310 - on this machine
        result: dict[str, Any] = json.load(answer)
    return result


def _welcome(password: str, newsletter: str) -> str:
    site = settings.SITE_URL
    return f"""
  Site      {site}/{newsletter}/     archive issues/   feed feed.atom
  Admin     {site}/admin/     {sample.EDITOR} / {password}
  Sandbox   {settings.SANDBOX_URL}/     every mail ends here; nothing leaves this machine

  Try       1  subscribe on the site, then open the confirmation mail in the sandbox
            2  open the draft in the admin and fix its two failing checks
            3  schedule it for a minute from now, or send it at once, and watch its report
            4  in the sandbox open a mail, let it bounce, and look the reader up in the admin

  Stop with Ctrl-C; the next start goes on where this one ended. Start over: make demo ARGS=--reset
"""
