"""Diagnostics of events that fit no delivery, of the provider's suppression list, and of data that is kept too long."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models import Event, EventState, SuppressionSync
from newsletter.monitoring.diagnostic import RECENT, Diagnostic, Severity
from newsletter.monitoring.formatting import duration, number
from newsletter.privacy.provider_list import READ_EVERY, listed_here_only, listed_there_only, removals_that_fail
from newsletter.providers.reasons import provider_reason_sentence
from subscribers.privacy.retention import days_of, overdue_rules


def orphan_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Events of this installation that fit no delivery, as after a restored backup or with a shared name."""
    orphans = Event.objects.filter(state=EventState.ORPHAN, received_at__gt=now - RECENT).count()
    if not orphans:
        return
    sentence = ngettext(
        "%(count)s webhook event of the last %(days)s days names this installation and fits none of its deliveries.",
        "%(count)s webhook events of the last %(days)s days name this installation and fit none of its deliveries.",
        orphans,
    )
    yield Diagnostic(
        name="orphan_events",
        severity=Severity.WARNING,
        sentence=sentence % {"count": number(orphans), "days": RECENT.days},
        advice=_(
            "Complaints and hard bounces among them have suppressed their addresses. Check whether the database was "
            "restored from a backup, or whether another installation has the same ENVIRONMENT."
        ),
    )


def suppression_list_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether our suppressions and the provider's list agree."""
    for sync in SuppressionSync.objects.order_by("provider"):
        last = sync.finished_at or sync.started_at
        if sync.failed_at and (last is None or now - last > 2 * READ_EVERY):
            yield Diagnostic(
                name="suppression_list",
                severity=Severity.WARNING,
                sentence=_("The suppression list of %(provider)s is not read: %(reason)s")
                % {"provider": sync.provider, "reason": provider_reason_sentence(sync.code, sync.detail)},
                advice=_("Check RESEND_READ_KEY: the key needs full access."),
            )
        yield from _differences(sync)


def _differences(sync: SuppressionSync) -> Iterator[Diagnostic]:
    if failing := removals_that_fail().filter(provider=sync.provider).count():
        sentence = ngettext(
            "%(count)s address may be mailed again, but could not be removed from the list of %(provider)s.",
            "%(count)s addresses may be mailed again, but could not be removed from the list of %(provider)s.",
            failing,
        )
        advice = _(
            "They get no mail until they are removed there. Remove them by hand, or give RESEND_READ_KEY access."
        )
        yield _difference(sync, sentence, advice, failing, Severity.WARNING)
    if not sync.finished_at:
        return
    if there := listed_there_only().filter(provider=sync.provider).count():
        sentence = ngettext(
            "%(count)s address is on the suppression list of %(provider)s and not suppressed here.",
            "%(count)s addresses are on the suppression list of %(provider)s and not suppressed here.",
            there,
        )
        advice = _(
            "Their mails were refused for reasons that are not about the mailbox, such as policy. The provider does "
            "not try them again until they are removed there. Once the cause is fixed, run the command: it removes "
            "them all."
        )
        command = "manage.py remove_provider_suppressions"
        yield _difference(sync, sentence, advice, there, Severity.WARNING, command)
    if here := listed_here_only(sync).count():
        sentence = ngettext(
            "%(count)s address was on the list of %(provider)s, is no longer listed there, and suppressed here.",
            "%(count)s addresses were on the list of %(provider)s, are no longer listed there, and suppressed here.",
            here,
        )
        advice = _("Lift those suppressions that you have removed there on purpose.")
        yield _difference(sync, sentence, advice, here, Severity.OK)


def _difference(
    sync: SuppressionSync, sentence: str, advice: str, count: int, severity: Severity, command: str = ""
) -> Diagnostic:
    return Diagnostic(
        name="suppression_list",
        severity=severity,
        sentence=sentence % {"count": number(count), "provider": sync.provider},
        advice=advice,
        command=command,
    )


def retention_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Data that should have been removed by now."""
    for rule in overdue_rules(now):
        kept = duration(datetime.timedelta(days=days_of(rule)).total_seconds())
        yield Diagnostic(
            name="retention",
            severity=Severity.WARNING,
            sentence=_("Some data is older than the %(kept)s for which it may be kept: %(data)s.")
            % {"kept": kept, "data": rule.title},
            advice=_("Check that a worker is running. If one is, its log says why the step purge_expired fails."),
        )
