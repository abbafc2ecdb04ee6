"""The processes of a run: an editor, workers, a web server.

`multiprocessing`'s fork server loads this module once and forks each process from it, so that starting one takes
milliseconds instead of the second that Django needs. Waits are shortened from minutes to hundredths of a second;
nothing else differs from `manage.py worker`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import resource
import sys
import threading
import uuid
import zoneinfo
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from wsgiref.simple_server import WSGIRequestHandler, make_server

import urllib3
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from newsletter import worker
from newsletter.config import failpoints
from newsletter.events.apply import apply_events
from newsletter.models import Issue, Newsletter, WeeklyPlan
from newsletter.providers import resend, smtp
from newsletter.sending import database_mark
from newsletter.sending.control import resume_send
from newsletter.sending.expand import expand_audience
from newsletter.sending.schedule import schedule_issue
from newsletter.sending.weekly import end_on
from newsletter.settings import database_settings
from newsletter.wsgi import application
from subscribers.consent.actions import unsubscribe_all
from subscribers.imports.confirmed import import_confirmed
from subscribers.models import ConsentForm, Evidence, Frequency, MailingList, Subscription
from tests.newsletter.sending.audiences import choose, picked
from tests.publications import make_issue, make_newsletter, send_of

RECIPIENTS, BATCH, CHUNK = 240, 20, 80
#: Mails that one claim by SMTP takes.
SMTP_BATCH = 60
#: Posts that the issue takes if nothing goes wrong.
BATCHES = RECIPIENTS // BATCH
#: Events applied per transaction.
EVENTS = 50


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a process works with, and the fault that is injected into it."""

    database: str
    provider_url: str
    logs: Path
    failpoint: str = ""
    """`point:hit:action`, as in the setting FAILPOINT."""
    hits: Any = None
    """A count that processes share: the failpoint triggers at the hit-th time of all of them together."""
    ahead: Any = None
    """Seconds by which the clock is ahead. Shared, so that a test can set it while the process runs."""
    timeout: float = 5.0
    """Seconds that a post waits for an answer."""
    lease: float = 90.0
    may_search: bool = True
    """Whether there is a key to read the provider's list with."""
    largest_file: int = 0
    """Bytes that a file may have; writing beyond that fails, as on a full disk. 0: no limit."""
    mail_server: int = 0
    """The port of a mail server on this machine, which then is the provider."""
    has_keys: bool = False
    """Whether the mail server takes idempotency keys, as Resend's does."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Other sizes of a `batch` and a `chunk`."""


def enter(stage: Stage) -> None:
    """Set this process up: its database, its provider, its clock, its failpoint."""
    log = (stage.logs / f"{os.getpid()}.log").open("a")
    os.dup2(log.fileno(), sys.stdout.fileno())
    os.dup2(log.fileno(), sys.stderr.fileno())
    prepared = connections.configure_settings({"default": database_settings(stage.database)})
    connections.settings["default"] = prepared["default"]
    with contextlib.suppress(AttributeError):
        del connections["default"]
    settings.PROVIDER_URL = stage.provider_url
    if stage.mail_server:
        _send_by_smtp(stage)
    # A copy of a database counts as one that this machine has not seen before.
    marks = stage.logs / "marks" / uuid.uuid5(uuid.NAMESPACE_URL, stage.database).hex
    patch.object(database_mark, "mark_folder", lambda: marks).start()
    if not stage.may_search:
        settings.PROVIDER_READ_KEY = ""
    if stage.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (stage.largest_file, resource.RLIM_INFINITY))
    _shorten_waits(stage)
    if stage.ahead is not None:
        patch.object(timezone, "now", lambda: _clock(stage.ahead.value)).start()
    failpoints.arm(_failpoint_of(stage))


def _send_by_smtp(stage: Stage) -> None:
    settings.PROVIDER, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp", "127.0.0.1", stage.mail_server
    settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = False, stage.timeout
    changes: dict[str, Any] = {
        "HOSTS_WITH_KEYS": {"127.0.0.1"} if stage.has_keys else set(),
        "RESEND_MAILS_PER_SECOND": 1_000.0,
    }
    patch.multiple("newsletter.providers.smtp.provider", **changes).start()
    patch.object(smtp.SmtpProvider, "batch_size", stage.sizes.get("batch", SMTP_BATCH)).start()


def _failpoint_of(stage: Stage) -> failpoints.Failpoint | None:
    read = failpoints.read_failpoint(stage.failpoint)
    if read is None or stage.hits is None:
        return read
    return failpoints.Failpoint(point=read.point, hit=read.hit, action=read.action, count=partial(_count, stage.hits))


def _count(hits: Any) -> int:
    # The process is killed after it has released the lock. Otherwise all others would wait for it forever.
    with hits.get_lock():
        hits.value += 1
        return int(hits.value)


def _clock(ahead: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=ahead)


def _shorten_waits(stage: Stage) -> None:
    """Set short waits, and small batches and chunks, so that there are many."""
    resend.ResendProvider.batch_size = stage.sizes.get("batch", BATCH)
    timeout, lease = urllib3.Timeout(connect=1, read=stage.timeout), datetime.timedelta(seconds=stage.lease)
    steps = {
        "expand_audience": partial(expand_audience, chunk=stage.sizes.get("chunk", CHUNK)),
        "apply_events": partial(apply_events, limit=EVENTS),
    }
    modules: dict[str, dict[str, Any]] = {
        "worker.loop": {"IDLE_SECONDS": 0.1, "LONGEST_BACKOFF": 0.1, "BACKGROUND_IDLE": 0.4},
        "worker.steps": steps,
        "providers.resend.provider": {"TIMEOUT": timeout},
        "sending.post": {"MAX_BACKOFF": 0.05, "RECORD_DELAY": 0.1, "LEASE": lease},
        "providers.throttle": {"MAX_BACKOFF": 0.05, "HALF_OPEN_TIMEOUT": datetime.timedelta(seconds=1)},
        "sending.batch": {"LEASE": lease},
        "sending.progress": {"LEASE": lease},
        "sending.provider_search": {"LEASE": lease, "PACE": datetime.timedelta(seconds=0.1)},
        "events.event_log": {
            "PACE_SECONDS": 0.05,
            "READ_EVERY": datetime.timedelta(seconds=0.5),
            "CHECK_EVERY": datetime.timedelta(seconds=5),
            "SETTLING": datetime.timedelta(0),
            "CLAIM": datetime.timedelta(seconds=2),
        },
        "monitoring.heartbeat": {"HEARTBEAT_INTERVAL": 0.2},
    }
    for module, changes in modules.items():
        # Fails for a name that no longer exists.
        patch.multiple(f"newsletter.{module}", **changes).start()


def prepare(stage: Stage, recipients: int = RECIPIENTS) -> None:
    """Create the tables, a draft, and subscribers who signed up two hours ago."""
    enter(stage)
    patch.object(timezone, "now", partial(_clock, -7200.0)).start()
    call_command("migrate", verbosity=0)
    issue = make_issue(stories=2)
    addresses = (f"reader-{number}@readers.example" for number in range(recipients))
    import_confirmed(issue.newsletter, addresses, proof="Made for a test.")
    connections.close_all()


def prepare_lists(stage: Stage, recipients: int = RECIPIENTS) -> None:
    """As `prepare`, for an issue to two lists: a third of the recipients are on each alone, the others on both.

    Not recipients are thirty subscribers in an excluded segment, and twenty who left the newsletter's own list.
    """
    enter(stage)
    patch.object(timezone, "now", partial(_clock, -7200.0)).start()
    call_command("migrate", verbosity=0)
    weekend = make_newsletter("weekend", name="Weekend")
    issue = make_issue(stories=2)
    numbers, third = range(recipients + 50), recipients // 3
    on_both = [*numbers[third : 2 * third], *numbers[recipients:]]
    for mailing_list, some in ((issue.newsletter, numbers[:third]), (weekend, numbers[2 * third : recipients])):
        addresses = [f"reader-{number}@readers.example" for number in (*some, *on_both)]
        import_confirmed(mailing_list, addresses, proof="Made for a test.")
    own = Subscription.objects.filter(mailing_list=issue.newsletter_id).order_by("pk")
    excluded = [f"reader-{number}@readers.example" for number in numbers[recipients : recipients + 30]]
    left = [f"reader-{number}@readers.example" for number in numbers[recipients + 30 :]]
    picked(issue.newsletter, "Customers", *own.filter(subscriber__canonical__in=excluded))
    unsubscribe_all(own.filter(subscriber__canonical__in=left), Evidence(form=ConsentForm.PREFERENCES))
    choose(issue, lists=("weekend",), exclude=("Customers",))
    connections.close_all()


def prepare_weekly(stage: Stage, recipients: int = RECIPIENTS) -> None:
    """As `prepare`, where a half get the weekly digest, and a half of each half has chosen the other frequency."""
    prepare(stage, recipients)
    newsletter = Issue.objects.get().newsletter
    MailingList.objects.filter(pk=newsletter.pk).update(offers_weekly=True)
    pks = list(Subscription.objects.order_by("pk").values_list("pk", flat=True))
    weekly, changing = set(pks[::2]), set(pks[: len(pks) // 2])
    for subscription in Subscription.objects.filter(pk__in=pks):
        before, after = Frequency.WEEKLY, Frequency.EACH
        if subscription.pk not in weekly:
            before, after = after, before
        chosen = after if subscription.pk in changing else ""
        Subscription.objects.filter(pk=subscription.pk).update(frequency=before, next_frequency=chosen)
    ends_at = timezone.now() + datetime.timedelta(days=7)
    day = ends_at.astimezone(zoneinfo.ZoneInfo(newsletter.time_zone)).date()
    Newsletter.objects.update(weekly_weekday=day.weekday())
    WeeklyPlan.objects.create(newsletter=newsletter, date=day, ends_at=end_on(Newsletter.objects.get(), day))
    connections.close_all()


def end_week(stage: Stage) -> None:
    """Let the week of the newsletter be over."""
    enter(stage)
    WeeklyPlan.objects.update(ends_at=timezone.now() - datetime.timedelta(seconds=1))


def publish(stage: Stage) -> None:
    """Act as the editor who schedules the issue, unless it has a send.

    Their clock is an hour behind, so that the scheduled time, which must be in the future, is in the workers' past.
    """
    enter(stage)
    patch.object(timezone, "now", partial(_clock, -3600.0)).start()
    issue = Issue.objects.get()
    if issue.current_send is None:
        wall = timezone.now().replace(tzinfo=None, second=0, microsecond=0) + datetime.timedelta(minutes=59)
        schedule_issue(issue, wall=wall, zone="UTC", by="tests")


def resume(stage: Stage) -> None:
    """Act as the operator who resumes a paused send."""
    enter(stage)
    resume_send(send_of(Issue.objects.get()), by="tests", text="The provider's log was checked.")


def work(stage: Stage) -> None:
    """Act as a worker until killed."""
    enter(stage)
    worker.work(threading.Event())


def serve(stage: Stage, port: int) -> None:
    """Act as the web server until killed."""
    enter(stage)
    with make_server("127.0.0.1", port, application, handler_class=_Quiet) as server:
        server.serve_forever()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: its lines would bury all others."""
