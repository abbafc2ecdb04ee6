"""What the admin shows of the diagnostics: all of the installation, and those that block one send."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models import Send, SendState
from newsletter.monitoring.diagnostic import Diagnostic, Severity, worst_first
from newsletter.monitoring.formatting import number
from newsletter.monitoring.heartbeat import Queue
from newsletter.monitoring.installation_diagnostics import (
    event_diagnostics,
    restore_diagnostics,
    signup_diagnostics,
    throttle_diagnostics,
    tick_diagnostics,
    transactional_diagnostics,
    webhook_diagnostics,
    worker_diagnostics,
)
from newsletter.monitoring.send_diagnostics import (
    complaint_diagnostics,
    held_batch_diagnostics,
    on_hold_diagnostics,
    overdue_diagnostics,
    paused_diagnostics,
    recurring_diagnostics,
)
from newsletter.providers import get_route
from newsletter.providers.throttle import unavailable_providers
from newsletter.sending.limits import remaining_of, warm_up_day


def diagnostics() -> list[Diagnostic]:
    """Everything that the database tells, the worst first. It takes few queries, so that pages may show it."""
    now = timezone.now()
    return worst_first(
        (
            *restore_diagnostics(),
            *worker_diagnostics(),
            *tick_diagnostics(),
            *overdue_diagnostics(now),
            *on_hold_diagnostics(),
            *recurring_diagnostics(now),
            *throttle_diagnostics(now),
            *paused_diagnostics(),
            *held_batch_diagnostics(),
            *complaint_diagnostics(now),
            *webhook_diagnostics(now),
            *event_diagnostics(now),
            *signup_diagnostics(now),
            *transactional_diagnostics(now),
        )
    )


def blockers_of(send: Send) -> list[Diagnostic]:
    """Why a running send makes no progress: no worker runs, no provider accepts mail, or a sending limit is used up."""
    if send.state != SendState.SENDING:
        return []
    now = timezone.now()
    route = get_route()
    throttles = throttle_diagnostics(now) if len(unavailable_providers(route)) == len(route) else ()
    found = (*worker_diagnostics(), *tick_diagnostics([Queue.SENDING]), *throttles)
    problems = [diagnostic for diagnostic in found if diagnostic.severity is not Severity.OK]
    return [*problems, *limit_diagnostics(send, now)]


def limit_diagnostics(send: Send, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether a sending limit of the newsletter is used up. Its operator has set the limit, so that is no problem."""
    newsletter = send.issue.newsletter
    if remaining_of(newsletter, now) != 0:
        return
    day = warm_up_day(newsletter, now)
    if day and day.used >= day.cap:
        sentence = _("The warm-up limit of %(newsletter)s is used up: %(count)s mails on day %(day)s.") % {
            "newsletter": newsletter.name,
            "count": number(day.cap),
            "day": day.number,
        }
    else:
        hourly = newsletter.hourly_limit or 0
        sentence = ngettext(
            "The sending limit of %(newsletter)s is used up: %(count)s mail per hour.",
            "The sending limit of %(newsletter)s is used up: %(count)s mails per hour.",
            hourly,
        ) % {"newsletter": newsletter.name, "count": number(hourly)}
    yield Diagnostic(
        name="sending_limit",
        severity=Severity.OK,
        sentence=sentence,
        advice=_("Nothing to do: sending continues automatically. The newsletter's page has the limits."),
        issue=send.issue,
    )
