"""Diagnostics of provider events: whether they arrive, what the log of events told, and what could not be used."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.events.endpoint import MISSING, endpoint_url
from newsletter.events.isolate import REFUSED
from newsletter.models import NEWEST_FIRST, Event, EventLogReading, EventState, EventTally
from newsletter.models.reasons import reason_sentence
from newsletter.monitoring.diagnostic import RECENT, Diagnostic, Severity
from newsletter.monitoring.formatting import duration, number, utc
from newsletter.providers import get_route
from newsletter.providers.event_log import SupportsEventLog
from newsletter.providers.reasons import provider_reason_sentence

#: Reasons of ignored events that should be looked into; the others are normal.
FAULTS = ("event_unreadable", REFUSED)

#: How long a log may go unread before that is a warning.
UNREAD_AFTER = datetime.timedelta(hours=6)

#: Faulty events of this many are counted, not more.
MOST_COUNTED = 1_000


def endpoint_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether the provider posts all events to this site, and what came in by its log only."""
    readable = {each.name for each in get_route() if isinstance(each, SupportsEventLog) and each.can_read_event_log}
    for reading in EventLogReading.objects.filter(provider__in=readable).order_by("provider"):
        yield from _endpoint(reading)
        yield from _log(reading, now)


def _endpoint(reading: EventLogReading) -> Iterator[Diagnostic]:
    values = {"provider": reading.provider, "url": endpoint_url(reading.provider), "other": reading.endpoint_url}
    if reading.code == MISSING:
        if "sandbox" in settings.PROVIDER.split(","):
            # It says at its start where it posts events, and posts none to a site on another machine.
            return
        sentence = _("None of the webhook endpoints at %(provider)s leads to %(url)s: no events arrive.")
        advice = _(
            "Add the endpoint on the provider's webhook page, with its signing secret in RESEND_WEBHOOK_SECRETS. If "
            "the site has moved, change the URL of its endpoint instead: missed events come from its log."
        )
        yield _webhook(Severity.ERROR, sentence % values, advice)
        return
    if not reading.endpoint_id:
        return
    if not reading.is_enabled:
        sentence = _("%(provider)s has disabled the webhook endpoint %(other)s: no events arrive.")
        advice = _(
            "Check that the site answers with 200 there, then enable the endpoint on the provider's webhook page. "
            "Until then, events are read from the provider's log."
        )
        yield _webhook(Severity.ERROR, sentence % values, advice)
    if reading.endpoint_url != values["url"]:
        sentence = _("The webhook endpoint at %(provider)s is %(other)s. It should be %(url)s.")
        advice = _("Correct the URL on the provider's webhook page: redirects are not followed there.")
        yield _webhook(Severity.WARNING, sentence % values, advice)
    if reading.missing_kinds:
        sentence = _("The webhook endpoint at %(provider)s does not get these events: %(kinds)s.")
        advice = _("Select them on the provider's webhook page. Without them, bounces or complaints stay unknown.")
        kinds = ", ".join(map(str, reading.missing_kinds))
        yield _webhook(Severity.ERROR, sentence % {**values, "kinds": kinds}, advice)


def _log(reading: EventLogReading, now: datetime.datetime) -> Iterator[Diagnostic]:
    last = reading.finished_at or reading.checked_at
    if reading.failed_at and (last is None or now - last > UNREAD_AFTER):
        sentence = _("The log of events of %(provider)s is not read: %(reason)s")
        values = {"provider": reading.provider, "reason": provider_reason_sentence(reading.code, reading.detail)}
        advice = _("Check RESEND_READ_KEY: the key needs full access. Missed webhook events are not found until then.")
        yield Diagnostic(name="event_log", severity=Severity.WARNING, sentence=sentence % values, advice=advice)
    if reading.found_at and now - reading.found_at < datetime.timedelta(days=1):
        sentence = ngettext(
            "%(count)s event did not arrive by webhook. It was taken from the log of %(provider)s at %(at)s.",
            "%(count)s events did not arrive by webhook. They were taken from the log of %(provider)s at %(at)s.",
            reading.found,
        )
        values = {"count": number(reading.found), "provider": reading.provider, "at": utc(reading.found_at)}
        advice = _("Nothing to do if the site was down. If not, check its log for rejected webhooks.")
        yield Diagnostic(name="event_log", severity=Severity.WARNING, sentence=sentence % values, advice=advice)
    if reading.started_at:
        ago = duration((now - reading.started_at).total_seconds())
        sentence = _("The log of events of %(provider)s is being read since %(ago)s. Missing events so far: %(count)s.")
        values = {"provider": reading.provider, "ago": ago, "count": number(reading.events_stored)}
        yield Diagnostic(name="event_log", severity=Severity.OK, sentence=sentence % values)


def unused_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Recent events that could not be read or applied, one diagnostic for each reason; and how many are not used."""
    for reason in FAULTS:
        # By an index, of which only the beginning is read.
        of_reason = Event.objects.filter(reason=reason, state=EventState.IGNORED).exclude(reason="")
        newest = of_reason.order_by(NEWEST_FIRST)[:MOST_COUNTED]
        times = [at for at in newest.values_list("received_at", flat=True) if at > now - RECENT]
        if times:
            sentence = ngettext(
                "%(count)s event of the last %(days)s days was set aside. %(reason)s",
                "%(count)s events of the last %(days)s days were set aside. %(reason)s",
                len(times),
            )
            values = {"count": number(len(times)), "days": RECENT.days, "reason": reason_sentence(reason)}
            advice = _(
                "Look at them under “Provider events” in the admin. Once the cause is fixed, apply them again there."
            )
            yield Diagnostic(name="faulty_events", severity=Severity.WARNING, sentence=sentence % values, advice=advice)
    if totals := EventTally.objects.unused():
        parts = (f"{number(count)}: {reason_sentence(reason)}" for reason, count in totals.items())
        sentence = _("Provider events that are not used, by reason: %(parts)s")
        yield Diagnostic(name="unused_events", severity=Severity.OK, sentence=sentence % {"parts": " · ".join(parts)})


def _webhook(severity: Severity, sentence: str, advice: str) -> Diagnostic:
    return Diagnostic(name="webhook_endpoint", severity=severity, sentence=sentence, advice=advice)
