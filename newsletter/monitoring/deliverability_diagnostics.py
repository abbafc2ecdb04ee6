"""Diagnostics of deliverability: mails after leaving, spam rate, Postmaster Tools, DMARC reports, and DNS."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.deliverability.check import Asked, findings_of, on_the_internet, refresh
from newsletter.deliverability.findings import DnsFinding, Result
from newsletter.deliverability.leavers import WINDOW, mails_after_leaving
from newsletter.deliverability.postmaster import is_connected
from newsletter.deliverability.report_mails import failure_sentence, inbound_provider
from newsletter.deliverability.senders import sender_domains
from newsletter.models import DomainCheck, PostmasterDay, PostmasterReading, ReportMail, ReportMailState
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.monitoring.formatting import number, utc
from newsletter.outbound.google import google_message
from newsletter.sending.spam_rate import MAX_AGE, WARNING_RATE, last_spam_rate, spam_rate_warning

#: The most deliveries that are named.
MAX_NAMED = 5

#: A mail that waits for longer is late.
LATE_REPORT = datetime.timedelta(days=1)

SEVERITIES = {
    Result.ERROR: Severity.ERROR,
    Result.WARNING: Severity.WARNING,
    Result.OK: Severity.OK,
    Result.NOT_SET: Severity.OK,
}


def leaving_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether recipients who had left got a mail."""
    found = mails_after_leaving(now)
    named = list(found.select_related("delivery__issue")[:MAX_NAMED])
    if not named:
        return
    count = found.count()
    sentence = ngettext(
        "%(count)s mail of the last %(days)s days went to a recipient who had left before it was built: %(named)s.",
        "%(count)s mails of the last %(days)s days went to recipients who had left before they were built: %(named)s.",
        count,
    )
    deliveries = [
        _("delivery %(number)s of “%(issue)s”") % {"number": row.delivery_id, "issue": row.delivery.issue.title}
        for row in named
    ]
    names = ", ".join([*deliveries, *(["…"] if count > MAX_NAMED else [])])
    yield Diagnostic(
        name="mails_after_leaving",
        severity=Severity.ERROR,
        sentence=sentence % {"count": number(count), "days": WINDOW.days, "named": names},
        advice=_(
            "Pause running sends and find the cause: each post is checked against those who left. Look for programs "
            "that write to the database, for clocks that differ, and for a restored backup. Then report the fault."
        ),
    )


def spam_rate_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether Gmail's spam rate of a sender is too high, once for each domain that Postmaster Tools know."""
    since = (now - MAX_AGE).date()
    if not PostmasterDay.objects.filter(day__gte=since, spam_rate__gte=WARNING_RATE).exists():
        return
    seen = set()
    for domain in sender_domains():
        rate = last_spam_rate(f"postmaster@{domain}", now)
        if rate is None or rate.domain in seen:
            continue
        seen.add(rate.domain)
        if warning := spam_rate_warning(rate):
            yield Diagnostic(
                name="spam_rate",
                severity=Severity.ERROR if rate.rate >= settings.SPAM_RATE_LIMIT else Severity.WARNING,
                sentence=warning,
                advice=_(
                    "Find out who did not ask for these mails: the latest imports, and subscribers who never open. "
                    "From SPAM_RATE_LIMIT on, no send starts until the rate is acknowledged on the Deliverability page."
                ),
            )


def postmaster_diagnostics() -> Iterator[Diagnostic]:
    """Whether Postmaster Tools could be read, where they are connected."""
    failed = PostmasterReading.objects.filter(domain__in=sender_domains()).exclude(code="")
    for reading in failed.order_by("domain") if is_connected() else ():
        sentence = _("The spam rate of %(domain)s could not be read from Gmail’s Postmaster Tools. %(reason)s")
        values = {"domain": reading.domain, "reason": google_message(reading.code)}
        yield Diagnostic(
            name="postmaster",
            severity=Severity.WARNING,
            sentence=sentence % values,
            advice=_("The next attempt is at %(at)s.") % {"at": utc(reading.next_at)},
        )


def report_mail_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether mails to DMARC_REPORT_ADDRESS can be fetched, wait for long, or were refused."""
    if not settings.DMARC_REPORT_ADDRESS:
        return
    if inbound_provider() is None:
        yield Diagnostic(
            name="report_mails_unread",
            severity=Severity.WARNING,
            sentence=_("DMARC_REPORT_ADDRESS is set, and the mails that arrive there cannot be read."),
            advice=_("Set RESEND_READ_KEY to a key with full access, or empty DMARC_REPORT_ADDRESS."),
        )
        return
    waiting = ReportMail.objects.filter(state=ReportMailState.WAITING, received_at__lt=now - LATE_REPORT)
    oldest = waiting.order_by("next_at").first()
    if oldest is not None:
        yield Diagnostic(
            name="report_mails_late",
            severity=Severity.WARNING,
            sentence=_("Mails with DMARC reports wait for more than a day. %(reason)s")
            % {"reason": failure_sentence(oldest)},
            advice=_("They are fetched by the worker (queue background). The Deliverability page lists them."),
        )
    refused = ReportMail.objects.filter(state=ReportMailState.REFUSED, finished_at__gte=now - WINDOW)
    if count := refused.count():
        sentence = ngettext(
            "%(count)s mail with a DMARC report was refused in the last %(days)s days.",
            "%(count)s mails with DMARC reports were refused in the last %(days)s days.",
            count,
        )
        yield Diagnostic(
            name="report_mails_refused",
            severity=Severity.WARNING,
            sentence=sentence % {"count": number(count), "days": WINDOW.days},
            advice=_("The Deliverability page lists them with the reason."),
        )


def dns_diagnostics() -> Iterator[Diagnostic]:
    """The errors and warnings of the last check of each sender's domain."""
    checks = {check.domain: check for check in DomainCheck.objects.filter(domain__in=sender_domains())}
    for domain in sorted(checks):
        found = findings_of(checks[domain])
        yield from as_diagnostics(domain, (each for each in found if each.result in (Result.ERROR, Result.WARNING)))


def deliverability_report(now: datetime.datetime, asked: Asked | None = None) -> list[Diagnostic]:
    """Everything about deliverability, with the DNS asked now; the findings are kept for the page. Takes seconds."""
    found = [*leaving_diagnostics(now), *spam_rate_diagnostics(now), *postmaster_diagnostics()]
    found += report_mail_diagnostics(now)
    for domain in sender_domains():
        check, _is_new = DomainCheck.objects.get_or_create(domain=domain)
        refresh(check, asked or on_the_internet(), now)
        found += as_diagnostics(domain, findings_of(check))
    return found


def as_diagnostics(domain: str, findings: Iterable[DnsFinding]) -> Iterator[Diagnostic]:
    """Findings of the DNS, named by their code."""
    for each in findings:
        sentence = _("%(domain)s, %(record)s: %(sentence)s")
        yield Diagnostic(
            name=each.code,
            severity=SEVERITIES[each.result],
            sentence=sentence % {"domain": domain, "record": each.label, "sentence": each.sentence},
            advice=each.advice,
        )
