"""The doctor: why mail is not sent, and what to do about it.

It adds to the diagnostics of the database what it finds in the settings, on the disk, and by asking the broker and the
provider.
"""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterator, Mapping, Sequence
from shutil import disk_usage

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.config.validation import is_loopback
from newsletter.events.endpoint import check_endpoint
from newsletter.models import Issue, IssueState, Newsletter, ProviderDomain, Send, SendState
from newsletter.monitoring.diagnostic import Diagnostic, Severity, worst_first
from newsletter.monitoring.diagnostics import blockers_of, diagnostics, limit_diagnostics
from newsletter.monitoring.formatting import duration, number, utc
from newsletter.monitoring.health import (
    READ_ONLY,
    count_unapplied_migrations,
    database_file,
    is_read_only,
    unapplied_sentence,
)
from newsletter.monitoring.pace import next_batch_at
from newsletter.monitoring.picture_diagnostics import picture_diagnostics
from newsletter.monitoring.progress import Progress, progress_of
from newsletter.monitoring.send_diagnostics import lease_diagnostics
from newsletter.monitoring.setup import setup_diagnostics
from newsletter.providers import get_route
from newsletter.providers.base import (
    ConnectionCheck,
    DomainsUnreadable,
    Provider,
    SupportsConnectionCheck,
    SupportsDomains,
)
from newsletter.providers.clock import LARGEST_SKEW
from newsletter.providers.event_log import EventLogUnreadable, SupportsEventLog
from newsletter.providers.smtp.connection import connection_settings
from newsletter.sending.domains import refresh_domains
from subscribers.addresses import domain_of

#: Seconds that the broker has for its answer.
BROKER_TIMEOUT = 3

#: Resend's mail server (Resend docs, “Send with SMTP”).
RESEND_SMTP_HOST = "smtp.resend.com"

#: Free bytes on the disk of an SQLite database: an error below the first, a warning below the second.
FULL, NEARLY_FULL = 100_000_000, 1_000_000_000


def run_diagnostics(issue: Issue | None = None, *, provider: Provider | None = None) -> list[Diagnostic]:
    """Everything that is found, the worst first; with an issue, the state of its send, too.

    `provider` is asked instead of those of the route.
    """
    try:
        unapplied, read_only = count_unapplied_migrations(), is_read_only()
    except DatabaseError as error:
        return [_no_database(error)]
    if unapplied:
        advice = _("Nothing else is checked before that.")
        sentence = unapplied_sentence(unapplied)
        return [Diagnostic(name="migrations", severity=Severity.ERROR, sentence=sentence, advice=advice)]
    route = (provider,) if provider else get_route()
    # First, so that the diagnostics of the database know the present state of the domains.
    domains = [] if read_only else [diagnostic for each in route for diagnostic in _read_domains(each)]
    endpoints = [] if read_only else [diagnostic for each in route for diagnostic in _read_endpoint(each)]
    return worst_first(
        (
            *([_read_only()] if read_only else []),
            *(issue_diagnostics(issue) if issue else ()),
            *diagnostics(),
            *broker_diagnostics(),
            *_route_diagnostics(route),
            *domains,
            *endpoints,
            *settings_diagnostics(),
            *disk_diagnostics(),
            *picture_diagnostics(),
        )
    )


def _no_database(error: DatabaseError) -> Diagnostic:
    # The driver's own message may name the server and the account.
    sentence = _("The database does not answer (%(error)s), so nothing else can be checked.")
    return Diagnostic(
        name="database",
        severity=Severity.ERROR,
        sentence=sentence % {"error": type(error).__name__},
        advice=_("Check that it is running and that DATABASE_URL is right."),
    )


def _read_only() -> Diagnostic:
    """Workers can neither claim nor record anything, and cannot write heartbeats."""
    advice = _(
        "Check whether DATABASE_URL leads to a standby after a failover, whether default_transaction_read_only is set, "
        "or whether the file may be written. After that, workers continue automatically; no mail is lost or sent twice."
    )
    return Diagnostic(name="database", severity=Severity.ERROR, sentence=str(READ_ONLY), advice=advice)


# --- One issue -----------------------------------------------------------------------------------------------------


def issue_diagnostics(issue: Issue) -> Iterator[Diagnostic]:
    """The state of its send, and what that waits for. What `diagnostics` says of all sends is not repeated."""
    now, send = timezone.now(), issue.current_send
    if send is None:
        yield _unsent(issue)
    elif send.state == SendState.SCHEDULED and send.scheduled_at and send.scheduled_at > now:
        left = duration((send.scheduled_at - now).total_seconds())
        sentence = _("The issue is scheduled. It starts in %(left)s, at %(at)s.")
        yield _about("issue_scheduled", issue, Severity.OK, sentence % {"left": left, "at": utc(send.scheduled_at)})
    elif send.state == SendState.SENDING:
        yield from _sending_diagnostics(send, now)
        yield from limit_diagnostics(send, now)
        yield from lease_diagnostics(send, now)
    elif send.finished_at and send.state in (SendState.SENT, SendState.CANCELLED):
        is_sent = send.state == SendState.SENT
        sentence = _("The send was completed at %(at)s.") if is_sent else _("The send was cancelled at %(at)s.")
        yield _about(
            "issue_sent" if is_sent else "issue_cancelled", issue, Severity.OK, sentence % {"at": utc(send.finished_at)}
        )


def _unsent(issue: Issue) -> Diagnostic:
    if issue.is_published_without_send:
        sentence = _("The issue is on the web and was never mailed. It cannot be scheduled or sent.")
        return _about("issue_published", issue, Severity.OK, sentence)
    if issue.state == IssueState.APPROVED:
        name, sentence = "issue_approved", _("The issue is approved for the next occurrence of the recurring schedule.")
    else:
        name, sentence = "issue_draft", _("The issue is a draft, and no send of it is scheduled.")
    return _about(name, issue, Severity.OK, sentence, _("Schedule or send it."))


def _sending_diagnostics(send: Send, now: datetime.datetime) -> Iterator[Diagnostic]:
    issue, progress = send.issue, progress_of(send, now=now)
    if not progress.is_expanded:
        count = progress.report.audience
        sentence = ngettext(
            "The audience is being expanded: %(count)s recipient so far.",
            "The audience is being expanded: %(count)s recipients so far.",
            count,
        )
        yield _about("issue_expanding", issue, Severity.OK, sentence % {"count": number(count)})
    if progress.retry_reason and progress.next_attempt_at:
        yield _retrying(issue, progress, progress.next_attempt_at, now)
    left = progress.report.waiting + progress.report.in_flight
    if progress.rate:
        yield _about("issue_sending", issue, Severity.OK, _speed_sentence(progress))
    elif not progress.retry_reason and (next_at := next_batch_at(send, now)):
        sentence = _("The next mails are sent in %(wait)s, at %(at)s, as planned.")
        wait = duration((next_at - now).total_seconds())
        yield _about("issue_waiting", issue, Severity.OK, sentence % {"wait": wait, "at": utc(next_at)})
    elif progress.is_expanded and left and not progress.retry_reason:
        yield _stalled(send, left)


def _retrying(issue: Issue, progress: Progress, next_at: datetime.datetime, now: datetime.datetime) -> Diagnostic:
    refused = ngettext(
        "%(count)s mail waits for a retry.",
        "%(count)s mails wait for a retry.",
        progress.retrying,
    ) % {"count": number(progress.retrying)}
    if next_at > now:
        wait = duration((next_at - now).total_seconds())
        next_attempt = _("The next attempt is in %(wait)s, at %(at)s.") % {"wait": wait, "at": utc(next_at)}
    else:
        next_attempt = _("The next attempt is made as soon as a worker is free.")
    advice = _("Nothing to do if this ends soon. No recipient gets it twice.")
    return _about(
        "issue_retrying", issue, Severity.WARNING, f"{refused} {next_attempt} {progress.retry_reason}", advice
    )


def _speed_sentence(progress: Progress) -> str:
    sentences = [_("Sending: %(rate)s mails per second.") % {"rate": number(round(progress.rate, 1))}]
    if progress.percent is not None:
        sentences.append(_("%(percent)s %% are done.") % {"percent": progress.percent})
    if progress.seconds_left:
        sentences.append(_("About %(time)s left.") % {"time": duration(progress.seconds_left)})
    return " ".join(sentences)


def _stalled(send: Send, left: int) -> Diagnostic:
    sentence = ngettext(
        "%(count)s mail is left, and none was accepted in the last minute.",
        "%(count)s mails are left, and none was accepted in the last minute.",
        left,
    )
    if blockers_of(send):
        advice = _("Another diagnostic here has the cause.")
    else:
        advice = _("Check the workers' log: every step that fails says why.")
    return _about("issue_stalled", send.issue, Severity.WARNING, sentence % {"count": number(left)}, advice)


def _about(name: str, issue: Issue, severity: Severity, sentence: str, advice: str = "") -> Diagnostic:
    return Diagnostic(name=name, severity=severity, sentence=sentence, advice=advice, issue=issue)


# --- The installation ----------------------------------------------------------------------------------------------


def broker_diagnostics() -> Iterator[Diagnostic]:
    """Whether the broker answers; nothing where none is set."""
    if not settings.BROKER_URL:
        return
    try:
        kombu = importlib.import_module("kombu")
    except ImportError:
        yield Diagnostic(
            name="broker",
            severity=Severity.WARNING,
            sentence=_("BROKER_URL is set, but Celery is not installed here, so the broker cannot be checked."),
            advice=_("Install requirements/celery.txt where workers and the scheduler run."),
        )
        return
    timeouts = {"socket_connect_timeout": BROKER_TIMEOUT, "socket_timeout": BROKER_TIMEOUT}
    options = timeouts if settings.BROKER_URL.startswith("redis") else {}
    try:
        with kombu.Connection(settings.BROKER_URL, connect_timeout=BROKER_TIMEOUT, transport_options=options) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0)
    except Exception as error:
        # Each kind of broker has its own errors, and their messages may contain the password.
        name = type(error.__cause__ or error).__name__
        yield Diagnostic(
            name="broker",
            severity=Severity.ERROR,
            sentence=_("The broker does not answer (%(error)s), so Celery workers get no ticks.") % {"error": name},
            advice=_(
                "Check that it is running and that BROKER_URL is right. Until then, manage.py worker does all work "
                "without it."
            ),
        )
    else:
        yield Diagnostic(name="broker", severity=Severity.OK, sentence=_("The broker answers."))


def _route_diagnostics(route: Sequence[Provider]) -> Iterator[Diagnostic]:
    """What the providers answer, and the steps of the setup, one of which depends on their domains."""
    checks = [each.check_connection() if isinstance(each, SupportsConnectionCheck) else None for each in route]
    for provider, check in zip(route, checks, strict=True):
        yield from provider_diagnostics(provider, check)
    known = [check.domains for check in checks if check and check.domains is not None]
    yield from setup_diagnostics(dict(known[0]) if known else None)


def provider_diagnostics(provider: Provider, check: ConnectionCheck | None) -> Iterator[Diagnostic]:
    """Whether the provider answers and accepts the key, has the same time, and has verified the domains."""
    if check is None:
        sentence = _("The provider %(provider)s cannot be checked without sending a mail.")
        yield Diagnostic(name="provider", severity=Severity.OK, sentence=sentence % {"provider": provider.name})
        return
    severity, advice = (Severity.OK, "") if check.is_ok else (Severity.ERROR, _connection_advice(provider))
    yield Diagnostic(name="provider", severity=severity, sentence=str(check.reason), advice=advice)
    yield from _clock_diagnostics(check.clock_skew or 0.0)
    yield from _domain_diagnostics(check)


def _connection_advice(provider: Provider) -> str:
    if provider.name == "resend" and "sandbox" in settings.PROVIDER.split(","):
        return _("PROVIDER is sandbox: run manage.py sandbox.")
    return _("Check its status page, and PROVIDER and the key in the settings. No mail is lost.")


def _clock_diagnostics(skew: float) -> Iterator[Diagnostic]:
    if abs(skew) <= LARGEST_SKEW:
        return
    if skew > 0:
        sentence = _("This machine's clock is %(time)s behind the provider's.")
    else:
        sentence = _("This machine's clock is %(time)s ahead of the provider's.")
    yield Diagnostic(
        name="clock",
        severity=Severity.ERROR,
        sentence=sentence % {"time": duration(abs(skew))},
        advice=_("Synchronize it (NTP). From 5 minutes on, every webhook is refused."),
    )


def _domain_diagnostics(check: ConnectionCheck) -> Iterator[Diagnostic]:
    """Nothing if the key may not read the domains."""
    for domain, status in (check.domains or {}).items():
        if status == "verified":
            sentence = _("The provider has verified %(domain)s.") % {"domain": domain}
            yield Diagnostic(name="domain", severity=Severity.OK, sentence=sentence)
            continue
        values = {"domain": domain, "status": status.replace("_", " ")}
        yield Diagnostic(
            name="domain",
            severity=Severity.WARNING,
            sentence=_("The provider has not verified %(domain)s. Its status is “%(status)s”.") % values,
            advice=_("Compare its DNS records with those that the provider shows."),
        )


def _read_domains(provider: Provider) -> Iterator[Diagnostic]:
    """Ask for the domains and keep the answer; a diagnostic for each sender's domain whose tracking stays unknown."""
    senders = Newsletter.objects.exclude(sender_email="").order_by("name").values_list("sender_email", flat=True)
    addresses = {domain_of(address): address for address in senders}
    try:
        refresh_domains(provider)
    except DomainsUnreadable as error:
        if addresses:
            sentence = _("It is not known whether the provider %(provider)s tracks opens and clicks. %(reason)s")
            yield _tracking_unknown(sentence % {"provider": provider.name, "reason": error})
        return
    if isinstance(provider, SupportsDomains):
        yield from _unreported_domains(provider, addresses)
    elif provider.name == "smtp" and addresses:
        yield from _unchecked_mail_server()


def _read_endpoint(provider: Provider) -> Iterator[Diagnostic]:
    """Ask for the webhook endpoint and keep the answer; a diagnostic if it stays unknown."""
    if not isinstance(provider, SupportsEventLog):
        return
    if provider.can_read_event_log:
        try:
            check_endpoint(provider.name, provider)
        except EventLogUnreadable as error:
            if error.code == "event_log_unavailable":
                # The check of the connection says so.
                return
            sentence = _("It is not known whether %(provider)s posts all events to this site. %(reason)s")
            values = {"provider": provider.name, "reason": error}
            advice = _("Check the endpoint on the provider's webhook page.")
            yield Diagnostic(
                name="webhook_endpoint", severity=Severity.WARNING, sentence=sentence % values, advice=advice
            )
        return
    sentence = _("Events that do not arrive by webhook are not looked for in the log of %(provider)s.")
    advice = _("Set RESEND_READ_KEY to an API key with full access. It is never used to send.")
    yield Diagnostic(
        name="event_log", severity=Severity.OK, sentence=sentence % {"provider": provider.name}, advice=advice
    )


def _unreported_domains(provider: Provider, addresses: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Nothing with the sandbox: it takes any domain, lists none by default, and no mail leaves it."""
    if "sandbox" in settings.PROVIDER.split(","):
        return
    now = timezone.now()
    for domain, address in addresses.items():
        if not ProviderDomain.objects.of_sender(address, (provider.name,), now).with_known_tracking().exists():
            sentence = _(
                "It is not known whether the provider %(provider)s tracks opens and clicks of mails from %(domain)s: "
                "its list of domains does not say."
            )
            yield _tracking_unknown(sentence % {"provider": provider.name, "domain": domain})


def _unchecked_mail_server() -> Iterator[Diagnostic]:
    """Only for Resend's: tracking of the domain concerns mails by SMTP, too. Other mail servers cannot be asked."""
    is_resends = connection_settings().host.lower().rstrip(".") == RESEND_SMTP_HOST
    if is_resends and "resend" not in settings.PROVIDER.split(","):
        sentence = _(
            "It is not known whether Resend tracks opens and clicks: with PROVIDER=smtp, its domains are not read."
        )
        yield _tracking_unknown(sentence)


def _tracking_unknown(sentence: str) -> Diagnostic:
    advice = _("Check the tracking of your domain at the provider: it must be off unless subscribers agreed.")
    return Diagnostic(name="tracking", severity=Severity.WARNING, sentence=sentence, advice=advice)


def settings_diagnostics() -> Iterator[Diagnostic]:
    """Settings that are wrong on a public site."""
    if is_loopback(settings.SITE_HOST):
        return
    if settings.DEBUG:
        yield Diagnostic(
            name="debug",
            severity=Severity.ERROR,
            sentence=_("DEBUG is true on a public site: error pages show settings and addresses to every visitor."),
            advice=_("Set DEBUG=false and restart."),
        )
    if not settings.IS_ENCRYPTED:
        yield Diagnostic(
            name="https",
            severity=Severity.ERROR,
            sentence=_("SITE_URL is http: links in mails can be read and changed on their way."),
            advice=_("Set SITE_URL to https://…"),
        )


def disk_diagnostics() -> Iterator[Diagnostic]:
    """Whether the disk of an SQLite database is nearly full; the disk of a database server is not visible here."""
    file = database_file()
    free = disk_usage(file.parent).free if file else NEARLY_FULL
    if free < NEARLY_FULL:
        yield Diagnostic(
            name="disk",
            severity=Severity.ERROR if free < FULL else Severity.WARNING,
            sentence=_("Only %(free)s MB are free on the disk of the database.") % {"free": number(round(free / 1e6))},
            advice=_("Free some space: SQLite cannot write to a full disk, and nothing is sent then."),
        )
