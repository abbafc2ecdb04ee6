"""What the admin shows of the diagnostics: all of the installation, and those that block one send."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models import Send, SendState
from newsletter.monitoring.bounce_diagnostics import policy_diagnostics
from newsletter.monitoring.deliverability_diagnostics import (
    dns_diagnostics,
    leaving_diagnostics,
    postmaster_diagnostics,
    report_mail_diagnostics,
    spam_rate_diagnostics,
)
from newsletter.monitoring.diagnostic import Diagnostic, Severity, worst_first
from newsletter.monitoring.event_diagnostics import endpoint_diagnostics, unused_diagnostics
from newsletter.monitoring.formatting import number, utc
from newsletter.monitoring.heartbeat import Queue, workers
from newsletter.monitoring.installation_diagnostics import (
    confirmation_diagnostics,
    event_diagnostics,
    restore_diagnostics,
    search_diagnostics,
    signup_diagnostics,
    stop_diagnostics,
    throttle_diagnostics,
    tick_diagnostics,
    tracking_diagnostics,
    transactional_diagnostics,
    webhook_diagnostics,
    worker_diagnostics,
)
from newsletter.monitoring.lost_links import lost_link_diagnostics
from newsletter.monitoring.outgoing_diagnostics import outgoing_webhook_diagnostics
from newsletter.monitoring.privacy_diagnostics import (
    orphan_diagnostics,
    retention_diagnostics,
    suppression_list_diagnostics,
)
from newsletter.monitoring.send_diagnostics import (
    complaint_diagnostics,
    held_batch_diagnostics,
    on_hold_diagnostics,
    overdue_diagnostics,
    paused_diagnostics,
    recurring_diagnostics,
    weekly_diagnostics,
)
from newsletter.providers import get_route
from newsletter.providers.throttle import unavailable_providers
from newsletter.sending.limits import UsedUpLimit, used_up_limit
from newsletter.sending.warm_up import LAST_DAY


def diagnostics() -> list[Diagnostic]:
    """Everything that the database tells, the worst first. It takes few queries, so that pages may show it."""
    now, states = timezone.now(), workers()
    return worst_first(
        (
            *stop_diagnostics(),
            *restore_diagnostics(),
            *worker_diagnostics(states),
            *tick_diagnostics(states=states),
            *overdue_diagnostics(now),
            *on_hold_diagnostics(),
            *recurring_diagnostics(now),
            *weekly_diagnostics(now),
            *throttle_diagnostics(now),
            *paused_diagnostics(),
            *held_batch_diagnostics(),
            *complaint_diagnostics(now),
            *policy_diagnostics(now),
            *leaving_diagnostics(now),
            *spam_rate_diagnostics(now),
            *postmaster_diagnostics(),
            *report_mail_diagnostics(now),
            *dns_diagnostics(),
            *tracking_diagnostics(now),
            *webhook_diagnostics(now),
            *endpoint_diagnostics(now),
            *event_diagnostics(now),
            *unused_diagnostics(now),
            *signup_diagnostics(now),
            *confirmation_diagnostics(now),
            *transactional_diagnostics(now),
            *lost_link_diagnostics(now),
            *orphan_diagnostics(now),
            *suppression_list_diagnostics(now),
            *retention_diagnostics(now),
            *search_diagnostics(),
            *outgoing_webhook_diagnostics(now),
        )
    )


def blockers_of(send: Send) -> list[Diagnostic]:
    """Why a running send makes no progress.

    All sending is stopped, no worker runs, no provider accepts mail, or a sending limit is used up.
    """
    if send.state != SendState.SENDING:
        return []
    return [*problems_of(send), *limit_diagnostics(send, timezone.now())]


def problems_of(send: Send) -> list[Diagnostic]:
    """The same without sending limits, which are no problem."""
    if send.state != SendState.SENDING:
        return []
    now, route = timezone.now(), get_route()
    throttles = throttle_diagnostics(now) if len(unavailable_providers(route)) == len(route) else ()
    found = (*stop_diagnostics(), *worker_diagnostics(), *tick_diagnostics([Queue.SENDING]), *throttles)
    return [diagnostic for diagnostic in found if diagnostic.severity is not Severity.OK]


def limit_diagnostics(send: Send, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether a sending limit of the newsletter is used up. Its operator has set the limit, so that is no problem."""
    limit = used_up_limit(send, now)
    if limit is None:
        return
    sentence = f"{limit_sentence(send, limit)} {_('Sending continues at %(at)s.') % {'at': utc(limit.continues_at)}}"
    yield Diagnostic(
        name="sending_limit",
        severity=Severity.OK,
        sentence=sentence,
        advice=_("Nothing to do: sending continues automatically. The newsletter's page has the limits."),
        issue=send.issue,
    )


def limit_sentence(send: Send, limit: UsedUpLimit) -> str:
    """Which limit is used up."""
    values: dict[str, object] = {"newsletter": send.issue.newsletter.name, "day": limit.day, "days": LAST_DAY}
    if limit.daily_cap is not None:
        sentence = _("The warm-up limit of %(newsletter)s is used up: %(count)s mails on day %(day)s of %(days)s.")
        return sentence % {**values, "count": number(limit.daily_cap)}
    if limit.provider_cap is not None:
        sentence = _(
            "All remaining recipients use %(providers)s, and the warm-up limit of %(newsletter)s for a mailbox "
            "provider is used up: %(count)s mails on day %(day)s of %(days)s."
        )
        providers = ", ".join(limit.providers)
        return sentence % {**values, "count": number(limit.provider_cap), "providers": providers}
    hourly = limit.hourly_cap or 0
    sentence = ngettext(
        "The sending limit of %(newsletter)s is used up: %(count)s mail per hour.",
        "The sending limit of %(newsletter)s is used up: %(count)s mails per hour.",
        hourly,
    )
    return sentence % {**values, "count": number(hourly)}
