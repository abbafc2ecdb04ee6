"""Metrics for Prometheus, read from the database at each scrape: the same from every process.

No label holds an address, a title or anything else that an editor or subscriber wrote.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Greatest
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from newsletter.deliverability.leavers import mails_after_leaving
from newsletter.models import (
    IN_PROGRESS,
    OPEN_BATCH_STATES,
    Availability,
    Batch,
    BatchState,
    DeliveryState,
    Event,
    EventLogReading,
    EventState,
    EventTally,
    Send,
    SendCount,
    SendState,
    sending_stopped,
)
from newsletter.models.send_count import STATE
from newsletter.monitoring.heartbeat import workers
from newsletter.monitoring.installation_diagnostics import has_webhooks
from newsletter.monitoring.metric_families import age, gauge, gauges, with_zeros
from newsletter.monitoring.outgoing_metrics import outgoing_webhooks
from newsletter.monitoring.progress import RATE_WINDOW
from newsletter.providers import get_route
from newsletter.providers.throttle import ISSUE_SHARE, throttle_status
from subscribers.models import Signup, TransactionalMail, TransactionalMailState

CONTENT_TYPE = CONTENT_TYPE_LATEST


def metrics_text() -> bytes:
    """Every metric in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return generate_latest(registry)


class DatabaseCollector(Collector):
    """Reads the database at each scrape: a dozen queries, and one per provider.

    They use indexes, counters, and the batches of running sends; those cost the most.
    """

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: registering must not query."""
        return ()

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        yield gauge("sending_stopped", "1 while all sending is stopped, else 0.", float(sending_stopped() is not None))
        yield from _sends(now)
        yield from _batches(now)
        yield _deliveries()
        help_text = "Mails of the last 30 days to recipients who had left before; must be 0."
        yield gauge("mails_after_leaving", help_text, mails_after_leaving(now).count())
        yield from _events(now)
        yield from outgoing_webhooks(now)
        yield from _signups(now)
        yield from _transactional_mails(now)
        yield from _providers()
        yield from _workers()


def _sends(now: datetime.datetime) -> Iterator[Metric]:
    counts = dict(Send.objects.order_by().values_list("state").annotate(count=Count("pk")))
    overdue = Send.objects.due(now).order_by().aggregate(count=Count("pk"), first=Min("scheduled_at"))
    yield gauges("sends", "Number of sends by state.", "state", with_zeros(SendState.values, counts))
    yield gauge("sends_overdue", "Number of scheduled sends that are due and have not started.", overdue["count"])
    help_text = "Seconds since the oldest overdue send was due; 0 if none is overdue."
    yield gauge("oldest_overdue_send_seconds", help_text, age(overdue["first"], now))


def _batches(now: datetime.datetime) -> Iterator[Metric]:
    # A cancelled send may still have batches with an unknown outcome.
    sends = Send.objects.filter(state__in=(*IN_PROGRESS, SendState.CANCELLED)).order_by().values("pk")
    batches = Batch.objects.filter(send__in=sends).order_by()
    counts = dict(batches.values_list("state").annotate(count=Count("pk")))
    help_text = "Number of batches by state, of sends that are sending, paused or cancelled."
    yield gauges("batches", help_text, "state", with_zeros(BatchState.values, counts))
    # Halves of a split batch are dated back so that they come first, but have not waited since before the start.
    since = Greatest("not_before", "send__started_at")
    is_due = Q(state__in=OPEN_BATCH_STATES, not_before__lte=now, send__state=SendState.SENDING)
    oldest = batches.filter(is_due).aggregate(oldest=Min(since))["oldest"]
    help_text = "Seconds that the oldest due batch of a running send has waited; 0 if none is due."
    yield gauge("oldest_open_batch_age_seconds", help_text, age(oldest, now))
    help_text = "Mails that providers accepted per second, over the last minute."
    yield gauge("accepted_mails_per_second", help_text, _rate(now))
    help_text = "Of these, the mails of providers that send webhooks about them."
    yield gauge("accepted_mails_with_webhooks_per_second", help_text, _rate(now, has_webhooks()))


def _rate(now: datetime.datetime, *conditions: Q) -> float:
    window = now - datetime.timedelta(seconds=RATE_WINDOW)
    # Mails of a send that ended within the window count, too.
    sends = Send.objects.filter(Q(state__in=IN_PROGRESS) | Q(finished_at__gte=window)).order_by().values("pk")
    accepted = Batch.objects.filter(*conditions, send__in=sends, state=BatchState.ACCEPTED, finished_at__gte=window)
    return float(accepted.aggregate(mails=Sum("recipients"))["mails"] or 0) / RATE_WINDOW


def _deliveries() -> Metric:
    running = list(Send.objects.filter(state__in=IN_PROGRESS).order_by().values_list("pk", flat=True))
    names = {f"{STATE}{state}": state for state in DeliveryState.values}
    counts = dict.fromkeys(DeliveryState.values, 0)
    for totals in SendCount.objects.totals(running, names).values():
        for name, value in totals.items():
            counts[names[name]] += value
    help_text = "Number of deliveries by state, of sends that are sending or paused."
    return gauges("deliveries", help_text, "state", with_zeros(DeliveryState.values, counts))


def _events(now: datetime.datetime) -> Iterator[Metric]:
    waiting = Event.objects.filter(state=EventState.NEW).aggregate(count=Count("pk"), oldest=Min("received_at"))
    last = Event.objects.order_by("-pk").values_list("received_at", flat=True).first()
    yield gauge("events_waiting", "Number of webhook events that are stored and not applied.", waiting["count"])
    help_text = "Seconds that the oldest waiting webhook event has waited; 0 if none waits."
    yield gauge("oldest_waiting_event_age_seconds", help_text, age(waiting["oldest"], now))
    orphans = Event.objects.filter(state=EventState.ORPHAN).count()
    yield gauge("events_orphan", "Number of webhook events of this installation that fit no delivery.", orphans)
    help_text = "Number of webhook events that were not used, by reason: ignored ones, and those that fit no delivery."
    yield gauges("events_unused", help_text, "reason", EventTally.objects.unused().items())
    readings = EventLogReading.objects.order_by("provider")
    help_text = "1 if the provider posts events to the endpoint of this site, else 0."
    enabled = [(each.provider, float(bool(each.endpoint_id) and each.is_enabled)) for each in readings]
    yield gauges("webhook_endpoint_enabled", help_text, "provider", enabled)
    if last is not None:
        help_text = "Unix time at which the last webhook event was received."
        yield gauge("last_event_timestamp_seconds", help_text, last.timestamp())


def _signups(now: datetime.datetime) -> Iterator[Metric]:
    waiting = Signup.objects.waiting().aggregate(count=Count("pk"), oldest=Min("created_at"))
    yield gauge("signups_waiting", "Number of sign-ups that are stored and not processed.", waiting["count"])
    help_text = "Seconds that the oldest waiting sign-up has waited; 0 if none waits."
    yield gauge("oldest_waiting_signup_age_seconds", help_text, age(waiting["oldest"], now))


def _transactional_mails(now: datetime.datetime) -> Iterator[Metric]:
    due = TransactionalMail.objects.filter(state=TransactionalMailState.PENDING, not_before__lte=now)
    waiting = due.order_by().aggregate(count=Count("pk"), oldest=Min("not_before"))
    help_text = "Number of transactional mails that are due and not sent."
    yield gauge("transactional_mails_waiting", help_text, waiting["count"])
    help_text = "Seconds that the oldest waiting transactional mail has waited; 0 if none waits."
    yield gauge("oldest_waiting_transactional_mail_age_seconds", help_text, age(waiting["oldest"], now))


def _providers() -> Iterator[Metric]:
    """The throttle of each provider in the route."""
    statuses = [throttle_status(provider) for provider in get_route()]
    availabilities = GaugeMetricFamily(
        "newsletter_provider_availability",
        "1 for the current availability of each provider, 0 for the others.",
        labels=["provider", "availability"],
    )
    for status in statuses:
        for availability in Availability:
            is_current = availability is status.reported_availability
            availabilities.add_metric([status.provider, availability.value], float(is_current))
    yield availabilities
    help_text = "Seconds until the next batch may be posted; +Inf while the account is suspended."
    yield gauges("provider_wait_seconds", help_text, "provider", [(each.provider, each.wait) for each in statuses])
    help_text = "Batches that may be posted per second."
    rates = [(each.provider, each.rate * ISSUE_SHARE) for each in statuses]
    yield gauges("provider_posts_per_second", help_text, "provider", rates)
    failures = [(each.provider, float(each.failures)) for each in statuses]
    yield gauges("provider_failures", "Consecutive failed calls.", "provider", failures)


def _workers() -> Iterator[Metric]:
    states = workers()
    alive = sum(state.is_alive for state in states)
    help_text = "Number of workers with a heartbeat within the last two minutes, without those known to have ended."
    yield gauge("workers_alive", help_text, alive)
    ages = [(state.name, state.age) for state in states]
    yield gauges("worker_heartbeat_age_seconds", "Seconds since the last heartbeat of each worker.", "worker", ages)
