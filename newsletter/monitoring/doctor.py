"""The doctor: why an issue does not move, in sentences, and what to do about it.

Beside what the rows tell, it looks at the settings, the disk and the database, and asks the provider how it is.
"""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterator
from shutil import disk_usage

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from newsletter.config.validation import is_loopback
from newsletter.models import OPEN_BATCH_STATES, Batch, Issue, IssueStatus
from newsletter.monitoring.blockers import blockers_of, pace_diagnostics
from newsletter.monitoring.diagnostics import Diagnostic, Severity, diagnostics, lost_worker_diagnostics
from newsletter.monitoring.health import READ_ONLY, database_file, migrations_to_apply, takes_no_writes
from newsletter.monitoring.progress import progress_of
from newsletter.monitoring.wording import counted, duration, ended
from newsletter.providers import get_route
from newsletter.providers.base import ConnectionCheck, Provider, SupportsConnectionCheck
from newsletter.providers.clock import LARGEST_SKEW

#: Seconds that the broker has for its answer.
BROKER_TIMEOUT = 3

#: Bytes free where SQLite writes: below the first it may fail at any moment, below the second somebody should know.
FULL, NEARLY_FULL = 100_000_000, 1_000_000_000

ORDER = list(Severity)

AWAY = "See its status page, PROVIDER and the key in the settings. Nothing is lost."


def examine(issue: Issue | None = None, *, provider: Provider | None = None) -> list[Diagnostic]:
    """Everything that keeps mail from moving, the worst first; with an issue, what it is waiting for, too."""
    try:
        pending, is_read_only = migrations_to_apply(), takes_no_writes()
    except DatabaseError as error:
        sentence = f"The database does not answer ({type(error).__name__}); nothing else can be looked at."
        advice = "See that it runs and that DATABASE_URL is right."
        return [Diagnostic(name="database", severity=Severity.BROKEN, sentence=sentence, advice=advice)]
    if pending:
        sentence = f"{counted(pending, 'migration')} to apply; until then nothing can work as it should."
        return [
            Diagnostic(name="migrations", severity=Severity.BROKEN, sentence=sentence, advice="Run manage.py migrate.")
        ]
    route = (provider,) if provider else get_route()
    found = [
        *(read_only_diagnostics() if is_read_only else ()),
        *(issue_diagnostics(issue) if issue else ()),
        *diagnostics(),
        *broker_diagnostics(),
        *(diagnostic for each in route for diagnostic in provider_diagnostics(each)),
        *settings_diagnostics(),
        *disk_diagnostics(),
    ]
    return sorted(found, key=lambda diagnostic: ORDER.index(diagnostic.severity))


def read_only_diagnostics() -> Iterator[Diagnostic]:
    """Nothing can be claimed or recorded. Workers cannot say that they live, either."""
    advice = (
        "See whether DATABASE_URL leads to a standby after a failover, whether default_transaction_read_only is set, "
        "or whether the file may be written. Workers go on by themselves afterwards; no mail is lost or repeated."
    )
    yield Diagnostic(name="database", severity=Severity.BROKEN, sentence=READ_ONLY, advice=advice)


# --- One issue -----------------------------------------------------------------------------------------------------


def issue_diagnostics(issue: Issue) -> Iterator[Diagnostic]:
    """Where the issue stands and what it waits for. What `diagnostics` tells of all issues is not repeated."""
    now, status = timezone.now(), IssueStatus(issue.status)
    if status is IssueStatus.DRAFT:
        fell_back = f" It went back to draft: {issue.hold_reason}" if issue.hold_reason else ""
        severity = Severity.LOOK if issue.hold_reason else Severity.FINE
        yield _about(
            issue, severity, f"It is a draft: nobody has scheduled or sent it.{fell_back}", "Schedule or send it."
        )
    elif status is IssueStatus.SCHEDULED and issue.scheduled_at and issue.scheduled_at > now:
        left = duration((issue.scheduled_at - now).total_seconds())
        yield _about(issue, Severity.FINE, f"It is scheduled and starts in {left}, at {_clock(issue.scheduled_at)}.")
    elif status is IssueStatus.SENDING:
        yield from _sending_diagnostics(issue, now)
        yield from lost_worker_diagnostics(issue, now)
    elif status in (IssueStatus.SENT, IssueStatus.CANCELLED):
        when = f" at {_clock(issue.finished_at)}" if issue.finished_at else ""
        end = "sent" if status is IssueStatus.SENT else "cancelled"
        yield _about(issue, Severity.FINE, f"It was {end}{when}. There is nothing left to send.")


def _sending_diagnostics(issue: Issue, now: datetime.datetime) -> Iterator[Diagnostic]:
    progress = progress_of(issue, now=now)
    report = progress.report
    if not progress.is_addressed:
        yield _about(
            issue, Severity.FINE, f"Its audience is being addressed: {counted(report.audience, 'reader')} so far."
        )
    if progress.retry_reason and progress.next_try_at:
        wait = (progress.next_try_at - now).total_seconds()
        when = f"in {duration(wait)}, at {_clock(progress.next_try_at)}" if wait > 0 else "as soon as a worker is free"
        said = (
            f"The provider did not take {counted(progress.retrying, 'mail')}: {ended(progress.retry_reason)} "
            f"Next try {when}."
        )
        yield _about(
            issue, Severity.LOOK, said, "Nothing to do if it passes; the same bytes go out under the same key."
        )
    if progress.rate:
        left = f", about {duration(progress.seconds_left)} left" if progress.seconds_left else ""
        share = "" if progress.percent is None else f" {progress.percent} % done,"
        yield _about(issue, Severity.FINE, f"It moves:{share} {progress.rate:.1f} mails a second{left}.")
    elif next_at := _starts_later(issue, now):
        seconds = (next_at - now).total_seconds()
        yield _about(
            issue,
            Severity.FINE,
            f"The next mails go out in {duration(seconds)}, at {_clock(next_at)}, as it was decided.",
        )
    elif progress.is_addressed and report.waiting + report.under_way and not progress.retry_reason:
        to_go = counted(report.waiting + report.under_way, "mail")
        why = "See below." if blockers_of(issue) else "See the log of the workers: every step that fails says why."
        yield _about(issue, Severity.LOOK, f"{to_go} to go, and none accepted in the last minute.", why)
    yield from pace_diagnostics(issue, now)


def _starts_later(issue: Issue, now: datetime.datetime) -> datetime.datetime | None:
    """When its first batch may go out, if that is to come: it can still be undone, or waits for its readers' hour."""
    fresh = Batch.objects.filter(edition=issue.edition_id, state__in=OPEN_BATCH_STATES).order_by("not_before")
    first = fresh.values_list("not_before", flat=True).first()
    return first if first and first > now else None


def _about(issue: Issue, severity: Severity, sentence: str, advice: str = "") -> Diagnostic:
    return Diagnostic(name="issue", severity=severity, sentence=sentence, advice=advice, issue=issue)


def _clock(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


# --- The installation ----------------------------------------------------------------------------------------------


def broker_diagnostics() -> Iterator[Diagnostic]:
    """Whether the broker of a fleet answers; nothing where there is none."""
    if not settings.BROKER_URL:
        return
    try:
        kombu = importlib.import_module("kombu")
    except ImportError:
        sentence = "BROKER_URL is set, but Celery is not installed here, so the broker cannot be asked."
        advice = "Install requirements/celery.txt where workers and beat run."
        yield Diagnostic(name="broker", severity=Severity.LOOK, sentence=sentence, advice=advice)
        return
    patience = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}
    options = patience if settings.BROKER_URL.startswith("redis") else {}
    try:
        with kombu.Connection(settings.BROKER_URL, connect_timeout=BROKER_TIMEOUT, transport_options=options) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0)
    except Exception as error:
        # Each kind of broker has errors of its own; what they say may hold its password.
        what = type(error.__cause__ or error).__name__
        sentence = f"The broker does not answer ({what}): no pulse wakes the Celery workers."
        advice = "See that it runs and that BROKER_URL is right. Until then manage.py worker does all work without it."
        yield Diagnostic(name="broker", severity=Severity.BROKEN, sentence=sentence, advice=advice)
    else:
        yield Diagnostic(name="broker", severity=Severity.FINE, sentence="The broker answers.")


def provider_diagnostics(provider: Provider) -> Iterator[Diagnostic]:
    """Whether the provider answers, takes our key, has our clock, and trusts our domain."""
    if not isinstance(provider, SupportsConnectionCheck):
        sentence = f"The provider {provider.name} cannot be asked without sending; its first refusal will tell."
        yield Diagnostic(name="provider", severity=Severity.FINE, sentence=sentence)
        return
    answer = provider.check_connection()
    is_local = provider.name == "resend" and "sandbox" in settings.PROVIDER.split(",")
    away = "PROVIDER is sandbox: run manage.py sandbox." if is_local else AWAY
    advice = "" if answer.is_ok else away
    severity = Severity.FINE if answer.is_ok else Severity.BROKEN
    yield Diagnostic(name="provider", severity=severity, sentence=answer.reason, advice=advice)
    if answer.clock_skew is not None and abs(answer.clock_skew) > LARGEST_SKEW:
        side = "behind" if answer.clock_skew > 0 else "ahead of"
        yield Diagnostic(
            name="clock",
            severity=Severity.BROKEN,
            sentence=f"Our clock is {duration(abs(answer.clock_skew))} {side} the provider's.",
            advice="Let the machine keep its time (NTP): from 5 minutes on, every webhook is refused.",
        )
    yield from _domain_diagnostics(answer)


def _domain_diagnostics(answer: ConnectionCheck) -> Iterator[Diagnostic]:
    for name, status in (answer.domains or {}).items():
        if status == "verified":
            yield Diagnostic(name="domain", severity=Severity.FINE, sentence=f"The provider has verified {name}.")
        else:
            sentence = f"The provider says of {name}: {status.replace('_', ' ')}."
            advice = "Compare its DNS records with those that the provider shows."
            yield Diagnostic(name="domain", severity=Severity.LOOK, sentence=sentence, advice=advice)
    if not answer.domains:
        yield Diagnostic(
            name="domain",
            severity=Severity.FINE,
            sentence="Not looked at: SPF, DKIM and DMARC of the sending domain.",
            advice="The provider's page of the domain shows whether they hold.",
        )


def settings_diagnostics() -> Iterator[Diagnostic]:
    """Settings that are wrong on a public site."""
    is_public = not is_loopback(settings.SITE_HOST)
    if settings.DEBUG and is_public:
        sentence = "DEBUG is on, and the site is public: errors show settings and readers to everybody."
        yield Diagnostic(
            name="debug", severity=Severity.BROKEN, sentence=sentence, advice="Set DEBUG=false and restart."
        )
    if is_public and not settings.IS_ENCRYPTED:
        sentence = "SITE_URL is http: every link in every mail can be read and changed on its way."
        yield Diagnostic(name="https", severity=Severity.BROKEN, sentence=sentence, advice="Set SITE_URL to https://…")
    if "sandbox" in settings.PROVIDER.split(",") and is_public:
        sentence = "PROVIDER is sandbox: no mail leaves this machine."
        advice = "Set PROVIDER and its key when you want to send for real."
        yield Diagnostic(name="sandbox", severity=Severity.LOOK, sentence=sentence, advice=advice)


def disk_diagnostics() -> Iterator[Diagnostic]:
    """How much room the database file has; a server's disk is its own business."""
    file = database_file()
    if file is None:
        return
    free = disk_usage(file.parent).free
    if free < NEARLY_FULL:
        yield Diagnostic(
            name="disk",
            severity=Severity.BROKEN if free < FULL else Severity.LOOK,
            sentence=f"Only {free / 1e6:,.0f} MB are free on the disk that the database is on.",
            advice="Make room: SQLite stops writing when it is full, and nothing is sent then.",
        )
