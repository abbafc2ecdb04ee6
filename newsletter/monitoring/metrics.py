"""Numbers for Prometheus, read from the rows at each scrape: right however many processes run.

No label ever holds an address, a title or anything else that people wrote.
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

from newsletter.models import (
    OPEN_BATCH_STATES,
    Availability,
    Batch,
    BatchState,
    Delivery,
    DeliveryStatus,
    Edition,
    Event,
    EventState,
    Issue,
    IssueStatus,
)
from newsletter.monitoring.heartbeat import workers
from newsletter.providers import get_route
from newsletter.providers.throttle import ISSUE_SHARE, throttle_status
from subscribers.models import TransactionalMail, TransactionalMailState

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: Issues whose mails are still about to change by our own doing.
UNDER_WAY = (IssueStatus.SENDING, IssueStatus.PAUSED)

#: Seconds over which the rate is measured.
RATE_WINDOW = 60


def metrics_text() -> bytes:
    """Everything in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return generate_latest(registry)


class DatabaseCollector(Collector):
    """Asks the database at each scrape: ten queries and one a provider, over indexes and mails of issues under way."""

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not query."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family of numbers."""
        now = timezone.now()
        yield from _issues(now)
        yield from _batches(now)
        yield _deliveries()
        yield from _receipts(now)
        yield from _notices(now)
        yield from _providers()
        yield from _workers()


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"newsletter_{name}", meaning, value=value)


def _gauges(name: str, meaning: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"newsletter_{name}", meaning, labels=[label])
    for kind, value in values:
        family.add_metric([kind], value)
    return family


def _age(moment: datetime.datetime | None, now: datetime.datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def _issues(now: datetime.datetime) -> Iterator[Metric]:
    counts = dict(Issue.objects.order_by().values_list("status").annotate(count=Count("pk")))
    overdue = Issue.objects.due(now).order_by().aggregate(count=Count("pk"), first=Min("scheduled_at"))
    yield _gauges("issues", "Issues by status.", "status", _complete(IssueStatus.values, counts))
    yield _gauge("schedules_overdue", "Scheduled issues that are due and have not started.", overdue["count"])
    yield _gauge("schedule_overdue_seconds", "How late the first of them is.", _age(overdue["first"], now))


def _batches(now: datetime.datetime) -> Iterator[Metric]:
    # A send that was cancelled may still have batches that nobody knows the outcome of.
    editions = Edition.objects.filter(sent_as__status__in=(*UNDER_WAY, IssueStatus.CANCELLED))
    batches = Batch.objects.filter(edition__in=editions).order_by()
    counts = dict(batches.values_list("state").annotate(count=Count("pk")))
    yield _gauges("batches", "Batches of issues under way or cancelled.", "state", _complete(BatchState.values, counts))
    # Halves of a split batch are dated back to come first; nothing has waited longer than since the start.
    since = Greatest("not_before", "edition__sent_as__started_at")
    is_waiting = Q(state__in=OPEN_BATCH_STATES, not_before__lte=now, edition__sent_as__status=IssueStatus.SENDING)
    oldest = batches.filter(is_waiting).aggregate(oldest=Min(since))["oldest"]
    yield _gauge("oldest_open_batch_seconds", "How long the oldest batch that is due has waited.", _age(oldest, now))
    yield _gauge("accepted_mails_per_second", "Mails accepted a second over the last minute.", _rate(now))


def _rate(now: datetime.datetime) -> float:
    window = now - datetime.timedelta(seconds=RATE_WINDOW)
    # An issue that ended within the window has its share in it.
    editions = Edition.objects.filter(Q(sent_as__status__in=UNDER_WAY) | Q(sent_as__finished_at__gte=window))
    accepted = Batch.objects.filter(edition__in=editions, state=BatchState.ACCEPTED, finished_at__gte=window)
    return float(accepted.aggregate(mails=Sum("recipients"))["mails"] or 0) / RATE_WINDOW


def _deliveries() -> Metric:
    editions = Edition.objects.filter(sent_as__status__in=UNDER_WAY)
    counts = dict(
        Delivery.objects.filter(edition__in=editions).order_by().values_list("status").annotate(count=Count("pk"))
    )
    values = _complete(DeliveryStatus.values, counts)
    return _gauges("deliveries", "Deliveries of issues that are being sent or paused.", "status", values)


def _receipts(now: datetime.datetime) -> Iterator[Metric]:
    waiting = Event.objects.filter(state=EventState.NEW).aggregate(count=Count("pk"), oldest=Min("received_at"))
    last = Event.objects.order_by("-pk").values_list("received_at", flat=True).first()
    yield _gauge("events_waiting", "Webhook events that are stored but not applied.", waiting["count"])
    yield _gauge(
        "oldest_waiting_event_seconds", "How long the oldest of them has waited.", _age(waiting["oldest"], now)
    )
    if last is not None:
        yield _gauge("last_event_timestamp_seconds", "Time of the last webhook event, as Unix time.", last.timestamp())


def _notices(now: datetime.datetime) -> Iterator[Metric]:
    due = TransactionalMail.objects.filter(state=TransactionalMailState.PENDING, not_before__lte=now)
    waiting = due.order_by().aggregate(count=Count("pk"), oldest=Min("not_before"))
    yield _gauge("transactional_waiting", "Transactional mails that are due but not sent.", waiting["count"])
    yield _gauge(
        "oldest_waiting_transactional_seconds", "How long the oldest of them has waited.", _age(waiting["oldest"], now)
    )


def _providers() -> Iterator[Metric]:
    """The throttle of each provider of the route."""
    seen = [(provider.name, throttle_status(provider)) for provider in get_route()]
    availabilities = GaugeMetricFamily(
        "newsletter_provider_availability",
        "1 for the availability of each provider, else 0.",
        labels=["provider", "availability"],
    )
    for name, each in seen:
        for availability in Availability:
            availabilities.add_metric([name, availability.value], float(availability is each.reported_availability))
    yield availabilities
    waits = [(name, each.wait) for name, each in seen]
    yield _gauges("provider_wait_seconds", "Until a post may leave; +Inf where a person must act.", "provider", waits)
    rates = [(name, each.rate * ISSUE_SHARE) for name, each in seen]
    yield _gauges("provider_posts_per_second", "How many posts of issues may leave.", "provider", rates)
    failures = [(name, float(each.failures)) for name, each in seen]
    yield _gauges("provider_failures", "Posts in a row without an answer that helps.", "provider", failures)


def _workers() -> Iterator[Metric]:
    states = workers()
    alive = sum(state.is_alive for state in states)
    yield _gauge("workers_alive", "Workers that were seen within the last two minutes.", alive)
    ages = [(state.name, state.age) for state in states]
    yield _gauges("worker_heartbeat_age_seconds", "Seconds since each worker was last seen.", "worker", ages)


def _complete(kinds: Iterable[str], counts: dict[str, int]) -> list[tuple[str, float]]:
    """Every kind with its count, 0 where there is none: an alert on something that is absent never fires."""
    return [(kind, counts.get(kind, 0)) for kind in kinds]
