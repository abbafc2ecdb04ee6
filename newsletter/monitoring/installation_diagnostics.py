"""Diagnostics of the installation: workers, ticks, providers, webhooks, sign-ups and transactional mails."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Sequence

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.models import (
    STARTED,
    Availability,
    Batch,
    BatchState,
    Event,
    EventState,
    Newsletter,
    ProviderDomain,
    Restore,
    sending_stopped,
)
from newsletter.monitoring.diagnostic import GRACE_PERIOD, RECENT, Diagnostic, Severity
from newsletter.monitoring.formatting import duration, number, utc
from newsletter.monitoring.heartbeat import UNSERVED, Queue, WorkerState, workers
from newsletter.providers import get_route, webhook_providers
from newsletter.providers.base import Provider
from newsletter.providers.throttle import unavailable_providers
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import HAS_EVENT
from subscribers.directory.search import has_index
from subscribers.models import Signup, TransactionalMail, TransactionalMailState
from subscribers.signup.health import confirmation_falls, held_count

#: How long mails may be accepted without any webhook. Providers send the first ones within seconds.
WEBHOOK_TIMEOUT = datetime.timedelta(minutes=30)

#: The most restores that are shown, the latest first.
MAX_RESTORES = 3

#: Seconds that a Celery process may run until its first ticks have come.
STARTUP_GRACE_SECONDS = 120.0


def stop_diagnostics() -> Iterator[Diagnostic]:
    """Whether all sending is stopped."""
    stop = sending_stopped()
    if stop is None:
        return
    sentences = [_("All sending is stopped."), stop.sentence]
    if stop.at:
        sentences.append(_("Stopped by %(by)s at %(at)s.") % {"by": stop.by, "at": utc(stop.at)})
    yield Diagnostic(
        name="sending_stopped",
        severity=Severity.ERROR,
        sentence=" ".join(filter(None, sentences)),
        advice=stop.advice,
    )


def restore_diagnostics() -> Iterator[Diagnostic]:
    """Restored backups whose gap no operator has acknowledged."""
    for restore in Restore.objects.filter(acknowledged_at__isnull=True).order_by("-pk")[:MAX_RESTORES]:
        times = {"from": utc(restore.backup_at), "until": utc(restore.restored_at)}
        if restore.secured_at is None:
            yield Diagnostic(
                name="restored",
                severity=Severity.ERROR,
                sentence=_("The database was restored, and batches that may have been sent are not held yet."),
                advice=_("Start a worker: it holds them before it does anything else."),
            )
        sentences = (
            _("The database was restored at %(until)s from a backup of %(from)s."),
            _(
                "Events between %(from)s and %(until)s are missing: bounces, complaints, sign-ups and unsubscribes of "
                "that time are not recorded."
            ),
        )
        yield Diagnostic(
            name="restored",
            severity=Severity.WARNING,
            sentence=" ".join(sentences) % times,
            advice=_(
                "Replay the events of that time on the provider's webhook page, run manage.py reconcile, and repeat "
                "the unsubscribes that subscribers wrote to you about. Then run manage.py restore --acknowledge."
            ),
        )


def worker_diagnostics(states: Sequence[WorkerState] | None = None) -> Iterator[Diagnostic]:
    """Whether a worker runs. `states` are read if they are not passed."""
    states = workers() if states is None else states
    alive = [state for state in states if state.is_alive]
    if alive:
        sentence = ngettext(
            "%(count)s worker is running. The last heartbeat was %(ago)s ago.",
            "%(count)s workers are running. The last heartbeat was %(ago)s ago.",
            len(alive),
        ) % {"count": number(len(alive)), "ago": duration(min(state.age for state in alive))}
        yield Diagnostic(name="worker", severity=Severity.OK, sentence=sentence)
        return
    sentences = [_("No worker is running: no mail is sent, and no webhook event is applied.")]
    if states:
        ago = duration(min(state.age for state in states))
        sentences.append(_("The last heartbeat was %(ago)s ago; that worker crashed or was killed.") % {"ago": ago})
    yield Diagnostic(
        name="worker",
        severity=Severity.ERROR,
        sentence=" ".join(sentences),
        advice=_("Start one with manage.py worker, and let a supervisor such as systemd keep it running."),
    )


def tick_diagnostics(
    queues: Collection[Queue] = tuple(Queue), states: Sequence[WorkerState] | None = None
) -> Iterator[Diagnostic]:
    """Whether Celery processes receive the ticks of these queues. `manage.py worker` needs none."""
    alive = [state for state in (workers() if states is None else states) if state.is_alive]
    served = [state.queues for state in alive if state.queues is not None]
    is_starting = any(state.uptime < STARTUP_GRACE_SECONDS for state in alive)
    if not served or len(served) < len(alive) or is_starting:
        return
    unserved = [queue for queue in Queue if not any(queue in of_one for of_one in served)]
    if len(unserved) == len(Queue):
        yield Diagnostic(
            name="ticks",
            severity=Severity.ERROR,
            sentence=_(
                "Celery workers are running, but the scheduler (celery beat) is not: no mail is sent, and no webhook "
                "event is applied."
            ),
            advice=_(
                "Check that the broker (BROKER_URL) answers, and start the scheduler: celery --app newsletter.celery "
                "beat. Until then, manage.py worker does all work without it."
            ),
        )
        return
    for queue in (queue for queue in unserved if queue in queues):
        advice = _("Start a Celery worker with --queues %(queue)s, or find out why the running one takes so long.")
        yield Diagnostic(
            name="ticks",
            severity=Severity.ERROR,
            sentence=str(UNSERVED[queue]),
            advice=advice % {"queue": queue.value},
        )


#: What it means that a provider takes no mail, and what to do.
UNAVAILABLE = {
    Availability.SUSPENDED: (
        gettext_lazy("The provider %(provider)s refuses all mail of this account."),
        gettext_lazy(
            "Fix the cause. After that, sending continues with a new key, when you resume a send, or when you send a "
            "test mail."
        ),
    ),
    Availability.QUOTA_EXCEEDED: (
        gettext_lazy("The quota of the provider %(provider)s is used up."),
        gettext_lazy(
            "Nothing to do: sending continues automatically. If you buy a larger quota, resume a send to continue "
            "at once."
        ),
    ),
    Availability.CIRCUIT_OPEN: (
        gettext_lazy("Calls to the provider %(provider)s fail, so only single trial calls are made."),
        gettext_lazy(
            "Nothing to do if this ends soon: sending continues when a trial call succeeds. Otherwise check the "
            "provider's status page."
        ),
    ),
}


def throttle_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Providers that take no mail, and the one that takes over."""
    route = get_route()
    unavailable = unavailable_providers(route)
    names = {status.provider for status in unavailable}
    substitute = next((provider.name for provider in route if provider.name not in names), "")
    for status in unavailable:
        meaning, advice = UNAVAILABLE[status.reported_availability]
        sentences = [meaning % {"provider": status.provider}]
        if status.until and status.until > now:
            wait = duration((status.until - now).total_seconds())
            sentences.append(_("It is tried again in %(wait)s.") % {"wait": wait})
        if substitute:
            sentences.append(_("Meanwhile, new batches go to %(provider)s.") % {"provider": substitute})
        yield Diagnostic(
            name="throttle",
            severity=Severity.ERROR if status.availability is Availability.SUSPENDED else Severity.WARNING,
            sentence=" ".join((*sentences, str(status.reason))),
            advice=str(advice),
        )


def tracking_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether the provider tracks opens or clicks without consent; by its last answer, of at most a day ago."""
    names = {provider.name for provider in get_route()}
    for newsletter in Newsletter.objects.order_by("name"):
        for domain in ProviderDomain.objects.of_sender(newsletter.sender_email, names, now):
            if domain.open_tracking or domain.click_tracking:
                yield _tracking(newsletter, domain)
            elif newsletter.lets_provider_track and None not in (domain.open_tracking, domain.click_tracking):
                yield _tracks_nothing(newsletter, domain)


def _tracks_nothing(newsletter: Newsletter, domain: ProviderDomain) -> Diagnostic:
    sentence = _(
        "%(newsletter)s takes opens and clicks from the provider %(provider)s, which does not track %(domain)s. None "
        "are recorded."
    )
    values = {"newsletter": newsletter.name, "provider": domain.provider, "domain": domain.name}
    advice = _("Turn on tracking of this domain at the provider, or choose another source of opens and clicks.")
    return Diagnostic(name="tracking", severity=Severity.WARNING, sentence=sentence % values, advice=advice)


def _tracking(newsletter: Newsletter, domain: ProviderDomain) -> Diagnostic:
    if newsletter.lets_provider_track:
        sentence = _(
            "The provider %(provider)s tracks %(what)s of all mails from %(domain)s, also those of recipients of "
            "%(newsletter)s who did not agree to it. What it reports about these is not stored."
        )
        advice = _("Make sure that every subscriber agreed. The provider cannot track some recipients and not others.")
    else:
        sentence = _(
            "The provider %(provider)s tracks %(what)s of all mails from %(domain)s, and %(newsletter)s has no consent "
            "to it. Its issues are not sent."
        )
        advice = _(
            "Turn off tracking of this domain at the provider. If all subscribers agreed, choose “With consent” and "
            "the provider as the newsletter's source of opens and clicks instead."
        )
    tracked = {
        (True, True): _("opens and clicks"),
        (True, False): _("opens"),
        (False, True): _("clicks"),
    }
    values = {
        "provider": domain.provider,
        "what": tracked[bool(domain.open_tracking), bool(domain.click_tracking)],
        "domain": domain.name,
        "newsletter": newsletter.name,
    }
    severity = Severity.WARNING if newsletter.lets_provider_track else Severity.ERROR
    return Diagnostic(name="tracking", severity=severity, sentence=sentence % values, advice=advice)


def webhook_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether the provider's webhooks arrive: without them, bounces and complaints stay unknown."""
    provider = next((each for each in get_route() if each.supports_webhooks), None)
    if provider is None:
        return
    if not provider.has_webhook_secret:
        yield Diagnostic(
            name="webhooks",
            severity=Severity.ERROR,
            sentence=_("No signing secret for webhooks is set, so all webhooks are refused."),
            advice=_("Set RESEND_WEBHOOK_SECRETS."),
        )
        return
    last = Event.objects.order_by("-pk").values_list("received_at", flat=True).first()
    ago = duration((now - last).total_seconds()) if last else ""
    if silent_since := _silent_since(now, last):
        yield _webhooks_missing(provider, ago, duration((now - silent_since).total_seconds()))
    elif last:
        sentence = _("The last webhook came %(ago)s ago.") % {"ago": ago}
        yield Diagnostic(name="webhooks", severity=Severity.OK, sentence=sentence)


def _webhooks_missing(provider: Provider, ago: str, accepted_ago: str) -> Diagnostic:
    if ago:
        sentence = _("The last webhook came %(ago)s ago, but mails were accepted %(accepted_ago)s ago.")
    else:
        sentence = _("No webhook has ever come, but mails were accepted %(accepted_ago)s ago.")
    sentence %= {"ago": ago, "accepted_ago": accepted_ago}
    advice = _(
        "Check the endpoint on the provider's webhook page: it must be %(url)s, and the provider may have disabled it "
        "after failures. With a wrong signing secret, the site's log has the event “Webhook rejected”."
    )
    return Diagnostic(
        name="webhooks",
        severity=Severity.ERROR,
        sentence=f"{sentence} {_('Bounces and complaints are not recorded.')}",
        advice=advice % {"url": settings.SITE_URL + reverse("webhook", args=[provider.name])},
    )


def has_webhooks() -> Q:
    """Batches that went to a provider that sends webhooks about them."""
    return Q.create([Q(provider__startswith=f"{each.name}:") for each in webhook_providers()], connector=Q.OR)


def _silent_since(now: datetime.datetime, last: datetime.datetime | None) -> datetime.datetime | None:
    """When the batch was accepted that no webhook has followed; None if there is none, or if it is too soon to tell."""
    recent = Batch.objects.filter(
        has_webhooks(),
        state=BatchState.ACCEPTED,
        send__state__in=STARTED,
        send__started_at__gte=now - RECENT,
        finished_at__lte=now - WEBHOOK_TIMEOUT,
    )
    batch = (recent.filter(finished_at__gt=last) if last else recent).order_by("-finished_at").defer("payload").first()
    # A webhook may arrive before the batch is recorded as accepted.
    if batch is None or deliveries_of(batch).filter(HAS_EVENT).exists():
        return None
    return batch.finished_at


def event_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether webhook events are applied as they come."""
    waiting = Event.objects.filter(state=EventState.NEW).aggregate(count=Count("pk"), oldest=Min("received_at"))
    if not waiting["oldest"] or now - waiting["oldest"] <= GRACE_PERIOD:
        return
    sentence = ngettext(
        "%(count)s webhook event has been waiting to be applied for %(age)s.",
        "%(count)s webhook events are waiting to be applied, the oldest for %(age)s.",
        waiting["count"],
    )
    yield Diagnostic(
        name="events",
        severity=Severity.ERROR,
        sentence=sentence % {"count": number(waiting["count"]), "age": _age(now, waiting["oldest"])},
        advice=_("Check that a worker is running. If one is, its log says why the step apply_events fails."),
    )


def search_diagnostics() -> Iterator[Diagnostic]:
    """Whether the search for subscribers reads the whole table."""
    if has_index():
        return
    if connection.vendor == "postgresql":
        advice = _("Create the extension pg_trgm in this database, which may need a superuser, and run the command.")
    else:
        advice = _("Use an SQLite of version 3.34 or newer with FTS5, and run the command.")
    yield Diagnostic(
        name="search_without_index",
        severity=Severity.WARNING,
        sentence=_("The search for subscribers has no index: it is slow on large lists."),
        advice=advice,
        command="manage.py migrate",
    )


def signup_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether sign-ups are processed, so that their confirmation mails are written."""
    late = Signup.objects.waiting().filter(created_at__lte=now - GRACE_PERIOD)
    waiting = late.aggregate(count=Count("pk"), oldest=Min("created_at"))
    if not waiting["count"]:
        return
    sentence = ngettext(
        "%(count)s sign-up has been waiting to be processed for %(age)s.",
        "%(count)s sign-ups are waiting to be processed, the oldest for %(age)s.",
        waiting["count"],
    )
    yield Diagnostic(
        name="signups",
        severity=Severity.ERROR,
        sentence=sentence % {"count": number(waiting["count"]), "age": _age(now, waiting["oldest"])},
        advice=_("Check that a worker is running. If one is, its log says why the step answer_signups fails."),
    )


def confirmation_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether as many sign-ups are confirmed as usual, and whether sign-ups wait for an editor."""
    for fall in confirmation_falls(now):
        sentence = ngettext(
            "%(share)s of %(count)s sign-up of “%(list)s” since yesterday was confirmed; usually it is %(norm)s.",
            "%(share)s of %(count)s sign-ups of “%(list)s” since yesterday were confirmed; usually it is %(norm)s.",
            fall.requests,
        )
        values = {"count": number(fall.requests), "share": f"{fall.share:.0%}", "norm": f"{fall.norm:.0%}"}
        yield Diagnostic(
            name="confirmations",
            severity=Severity.WARNING,
            sentence=sentence % {**values, "list": fall.list_name},
            advice=_(
                "Bots may use the sign-up form, or confirmation mails land in spam folders. Compare the log of sign-up "
                "decisions in the admin, add a rule, and check the delivery of confirmation mails."
            ),
        )
    if held := held_count():
        sentence = ngettext("%(count)s sign-up is held for review.", "%(count)s sign-ups are held for review.", held)
        yield Diagnostic(
            name="held_signups",
            severity=Severity.WARNING,
            sentence=sentence % {"count": number(held)},
            advice=_("Release or refuse them under Sign-ups in the admin. They are deleted after eight days."),
        )


def transactional_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether subscribers get their confirmation mails."""
    late = TransactionalMail.objects.filter(state=TransactionalMailState.PENDING, not_before__lte=now - GRACE_PERIOD)
    waiting = late.order_by().aggregate(count=Count("pk"), oldest=Min("not_before"))
    if not waiting["count"]:
        return
    sentence = ngettext(
        "%(count)s transactional mail has been waiting to be sent for %(age)s.",
        "%(count)s transactional mails are waiting to be sent, the oldest for %(age)s.",
        waiting["count"],
    )
    yield Diagnostic(
        name="transactional_mail",
        severity=Severity.ERROR,
        sentence=sentence % {"count": number(waiting["count"]), "age": _age(now, waiting["oldest"])},
        advice=_("They are sent when sending resumes.")
        if sending_stopped()
        else _("Check that a worker is running and that the provider accepts mail: run manage.py doctor."),
    )


def _age(now: datetime.datetime, since: datetime.datetime) -> str:
    return duration((now - since).total_seconds())
