"""Symptoms: what the rows tell about things that do not move, each as a sentence with what to do.

Only the database is asked, in a few queries, so that every page of the admin may show them.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Exists, Max, Min, OuterRef, Sum
from django.utils import timezone

from newsletter.models import (
    Availability,
    Batch,
    BatchState,
    Edition,
    Event,
    EventState,
    Issue,
    IssueStatus,
    Occurrence,
    RecurringSchedule,
)
from newsletter.monitoring.heartbeat import UNSERVED, Queue, workers
from newsletter.monitoring.wording import counted, duration, ended
from newsletter.providers import get_route
from newsletter.providers.throttle import unavailable_providers
from newsletter.sending.auto_pause import warning_of
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import HAS_A_FACT
from subscribers.models import TransactionalMail, TransactionalMailState

#: How long a schedule, a receipt or a confirmation may wait for a worker before somebody should look.
PATIENCE = datetime.timedelta(minutes=5)

#: How long mails may be accepted without any webhook: providers tell within seconds (R-98).
SILENCE = datetime.timedelta(minutes=30)

#: Seconds that a process of a fleet may run until the first pulses have come.
YOUTH = 120.0

#: How far back webhooks and slots are looked for; what was silent longer ago is no news.
LATELY = datetime.timedelta(days=3)


class Severity(enum.Enum):
    """How bad it is."""

    BROKEN = "broken"
    """Something does not work, and will not until a person acts."""
    LOOK = "look"
    """A person should know, or decide."""
    FINE = "fine"
    """As it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing that was found. `name` is short and stable, for programs; `issue` is whose, if it is one issue's."""

    name: str
    severity: Severity
    sentence: str
    advice: str = ""
    issue: Issue | None = None


def diagnostics() -> list[Diagnostic]:
    """Everything that the rows tell about the whole installation, the worst first."""
    now = timezone.now()
    found = [
        *worker_diagnostics(),
        *tick_diagnostics(),
        *overdue_diagnostics(now),
        *waiting_diagnostics(),
        *recurring_diagnostics(now),
        *throttle_diagnostics(now),
        *paused_diagnostics(),
        *held_diagnostics(),
        *complaint_diagnostics(now),
        *webhook_diagnostics(now),
        *event_diagnostics(now),
        *transactional_diagnostics(now),
    ]
    order = list(Severity)
    return sorted(found, key=lambda diagnostic: order.index(diagnostic.severity))


def worker_diagnostics() -> Iterator[Diagnostic]:
    """Whether anybody does the work."""
    states = workers()
    alive = [state for state in states if state.is_alive]
    if alive:
        latest = min(state.age for state in alive)
        number = counted(len(alive), "worker runs", "workers run")
        yield Diagnostic(name="worker", severity=Severity.FINE, sentence=f"{number}, last seen {duration(latest)} ago.")
        return
    last = min((state.age for state in states), default=None)
    ago = f" The last one was seen {duration(last)} ago and did not stop in order." if last is not None else ""
    yield Diagnostic(
        name="worker",
        severity=Severity.BROKEN,
        sentence=f"No worker runs: nothing is sent, and no webhook is applied.{ago}",
        advice="Start one with manage.py worker, and let a supervisor such as systemd keep it running.",
    )


def tick_diagnostics() -> Iterator[Diagnostic]:
    """Whether Celery processes receive the ticks of every queue. `manage.py worker` needs none."""
    alive = [state for state in workers() if state.is_alive]
    active = [state.queues for state in alive if state.queues is not None]
    has_young = any(state.uptime < YOUTH for state in alive)
    if not active or len(active) < len(alive) or has_young:
        return
    unserved = [queue for queue in Queue if not any(queue in queues for queues in active)]
    if len(unserved) == len(Queue):
        yield Diagnostic(
            name="ticks",
            severity=Severity.BROKEN,
            sentence="Celery workers run, but the scheduler (celery beat) does not: nothing is sent, and no webhook "
            "event is applied.",
            advice="Check that the broker (BROKER_URL) answers, and start the scheduler: "
            "celery --app newsletter.celery beat. Until then, manage.py worker does all work without it.",
        )
        return
    for queue in unserved:
        yield Diagnostic(
            name="ticks",
            severity=Severity.BROKEN,
            sentence=str(UNSERVED[queue]),
            advice=f"Start a Celery worker with --queues {queue}, or find out why the running one takes so long.",
        )


def overdue_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Schedules whose time has come and which nobody started."""
    for issue in Issue.objects.due(now - PATIENCE).select_related("newsletter")[:10]:
        late = duration((now - (issue.scheduled_at or now)).total_seconds())
        yield Diagnostic(
            name="overdue",
            severity=Severity.BROKEN,
            sentence=f"“{issue.title}” should have started {late} ago.",
            advice="It starts as soon as a worker runs. Take it off the schedule if it is too late for it.",
            issue=issue,
        )


def waiting_diagnostics() -> Iterator[Diagnostic]:
    """Issues that were due and were not sent: only a person can say whether that is still right, or what is wrong.

    A draft that nobody had approved when its slot came is no fault of anything.
    """
    waiting = Issue.objects.filter(status__in=(IssueStatus.SCHEDULED, IssueStatus.DRAFT)).exclude(hold_reason="")
    found = list(waiting.order_by("-updated_at", "pk").select_related("newsletter")[:10])
    approved = set(Edition.objects.filter(issue__in=found).values_list("issue", flat=True))
    for issue in found:
        is_tried_again = issue.next_try_at is not None
        yield Diagnostic(
            name="waiting",
            severity=Severity.BROKEN
            if issue.status == IssueStatus.SCHEDULED or issue.pk in approved
            else Severity.LOOK,
            sentence=f"“{issue.title}” {'did not start' if is_tried_again else 'waits for you'}: {issue.hold_reason}",
            advice="Look into the worker's log, or send it by hand."
            if is_tried_again
            else "Decide on its schedule page.",
            issue=issue,
        )


def recurring_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Slots that cannot be planned or started, and those that came without anything to send."""
    for slot in RecurringSchedule.objects.filter(is_active=True).exclude(problem="").select_related("newsletter")[:10]:
        yield Diagnostic(
            name="slot",
            severity=Severity.BROKEN,
            sentence=f"The slot {slot} of {slot.newsletter.name} is not planned. {slot.problem}",
            advice="Look at the time zone and the slots of the newsletter; the worker's log says more.",
        )
    failing = Occurrence.objects.ahead().filter(next_try_at__isnull=False)
    for run in failing.select_related("schedule__newsletter", "issue")[:10]:
        yield Diagnostic(
            name="slot",
            severity=Severity.BROKEN,
            sentence=f"The slot {run} of {run.schedule.newsletter.name} did not start. {run.outcome}",
            advice="The worker's log says why. Once it is too late for it, the draft waits for you.",
            issue=run.issue,
        )
    came_since = Issue.objects.filter(
        newsletter=OuterRef("schedule__newsletter"), started_at__gte=OuterRef("starts_at")
    )
    empty = Occurrence.objects.filter(~Exists(came_since), issue__isnull=True, finished_at__gte=now - LATELY)
    for run in empty.select_related("schedule__newsletter").order_by("-starts_at")[:10]:
        yield Diagnostic(
            name="slot",
            severity=Severity.LOOK,
            sentence=f"The slot {run} of {run.schedule.newsletter.name} has come: {run.outcome}",
            advice="Send or schedule an issue by hand, or mark one ready for the next slot.",
        )


#: What a provider that takes no mail means, and what to do, by how it stands.
FLOW_ADVICE: dict[Availability, tuple[str, str]] = {
    Availability.SUSPENDED: (
        "refuses everything of ours:",
        "Mend what it says. With another key mail goes on by itself; otherwise resume an issue, or send a test mail.",
    ),
    Availability.QUOTA_EXCEEDED: (
        "takes no more mails today:",
        "Nothing to do: it goes on by itself. A larger plan at the provider goes on at once when you resume an issue.",
    ),
    Availability.CIRCUIT_OPEN: (
        "does not answer as it should:",
        "Nothing to do if it passes: a single post tries again, and all others follow it. Look at its status page.",
    ),
}


def throttle_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Providers that take no mail, and who carries it instead."""
    route = get_route()
    found = unavailable_providers(route)
    names = {trouble.provider for trouble in found}
    instead = next((provider.name for provider in route if provider.name not in names), "")
    for trouble in found:
        meaning, advice = FLOW_ADVICE[trouble.availability]
        wait = (trouble.until - now).total_seconds() if trouble.until else 0.0
        again = f" It is tried again in {duration(wait)}." if wait > 0 else ""
        carried = f" Meanwhile {instead} carries new batches." if instead else ""
        severity = Severity.BROKEN if trouble.availability is Availability.SUSPENDED else Severity.LOOK
        said = f"The provider {trouble.provider} {meaning} {ended(trouble.reason)}{again}{carried}"
        yield Diagnostic(name="flow", severity=severity, sentence=said, advice=advice)


RESUME = "Once the reason is gone, resume it on its report page; nobody gets it twice."
GOES_ON = "It goes on by itself as soon as a provider takes mail again; nobody gets it twice."


def paused_diagnostics() -> Iterator[Diagnostic]:
    """Sends that stand still: broken if a worker stopped them for a reason that a person has to end."""
    for issue in (
        Issue.objects.filter(status=IssueStatus.PAUSED).order_by("started_at").select_related("newsletter")[:10]
    ):
        last = issue.transitions.filter(target=IssueStatus.PAUSED).last()
        by = last.by if last else ""
        # What keeps the provider from taking mail has a diagnostic of its own, which says how bad that is.
        is_broken = by == "worker" and not issue.waits_for_provider
        why = ended(issue.hold_reason) or "no reason given."
        yield Diagnostic(
            name="paused",
            severity=Severity.BROKEN if is_broken else Severity.LOOK,
            sentence=f"“{issue.title}” is paused{f' by {by}' if by else ''}: {why}",
            advice=GOES_ON if issue.waits_for_provider else RESUME,
            issue=issue,
        )


def held_diagnostics() -> Iterator[Diagnostic]:
    """Batches of which nobody knows whether they went out."""
    moving = (IssueStatus.SENDING, IssueStatus.PAUSED, IssueStatus.CANCELLED)
    held = Batch.objects.filter(state=BatchState.HELD, edition__sent_as__status__in=moving).order_by()
    groups = held.values("edition__sent_as").annotate(count=Count("pk"), mails=Sum("recipients"))
    by_issue = {group["edition__sent_as"]: (group["count"], group["mails"]) for group in groups}
    for issue in Issue.objects.filter(pk__in=by_issue).select_related("newsletter"):
        count, mails = by_issue[issue.pk]
        batches = counted(count, "batch", "batches")
        yield Diagnostic(
            name="held",
            severity=Severity.LOOK,
            sentence=f"{batches} of “{issue.title}” ({counted(mails, 'reader')}) may or may not be out, and wait.",
            advice="Look into the provider's log, then decide on the report page; a webhook may still settle it.",
            issue=issue,
        )


def complaint_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Sends of the last days that more readers call spam than a sender can afford (R-124)."""
    lately = Issue.objects.filter(edition__isnull=False, started_at__gte=now - LATELY).order_by("-started_at")
    for issue in lately.select_related("newsletter")[:10]:
        if warning := warning_of(issue):
            yield Diagnostic(
                name="complaints",
                severity=Severity.LOOK,
                sentence=f"“{issue.title}”: {warning}",
                advice="Gmail reports no complaints one by one: look at its Postmaster Tools, too.",
                issue=issue,
            )


def webhook_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether the provider tells us what becomes of mails (R-98)."""
    if not any(provider.has_events for provider in get_route()):
        return
    if not settings.WEBHOOK_SECRETS:
        sentence = "No signing secret for webhooks is set, so none can be believed."
        yield Diagnostic(
            name="webhooks", severity=Severity.BROKEN, sentence=sentence, advice="Set RESEND_WEBHOOK_SECRETS."
        )
        return
    last = Event.objects.order_by("-pk").values_list("received_at", flat=True).first()
    if silent := _silent_since(now, last):
        when = f"The last webhook came {duration((now - last).total_seconds())} ago" if last else "No webhook ever came"
        yield Diagnostic(
            name="webhooks",
            severity=Severity.BROKEN,
            sentence=f"{when}, but mails were accepted {duration((now - silent).total_seconds())} ago. "
            "Bounces and complaints are not being recorded.",
            advice=f"Look at the provider's webhook page: the endpoint is {settings.SITE_URL}/webhooks/resend/, and it "
            "may be switched off after failures. A wrong signing secret shows in our log as “webhook refused”.",
        )
    elif last:
        ago = duration((now - last).total_seconds())
        yield Diagnostic(name="webhooks", severity=Severity.FINE, sentence=f"The last webhook came {ago} ago.")


def _silent_since(now: datetime.datetime, last: datetime.datetime | None) -> datetime.datetime | None:
    """When the batch was accepted that should have been followed by a webhook long ago; None if all is well."""
    lately = Batch.objects.filter(
        state=BatchState.ACCEPTED,
        edition__sent_as__started_at__gte=now - LATELY,
        finished_at__lte=now - SILENCE,
    )
    batch = (lately.filter(finished_at__gt=last) if last else lately).order_by("-finished_at").defer("payload").first()
    # A webhook may be faster than the record of what it is about.
    if batch is None or deliveries_of(batch).filter(HAS_A_FACT).exists():
        return None
    return batch.finished_at


def event_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether webhooks are applied as they come."""
    waiting = Event.objects.filter(state=EventState.NEW).aggregate(count=Count("pk"), oldest=Min("received_at"))
    if waiting["oldest"] and now - waiting["oldest"] > PATIENCE:
        age = duration((now - waiting["oldest"]).total_seconds())
        yield Diagnostic(
            name="receipts",
            severity=Severity.BROKEN,
            sentence=f"{counted(waiting['count'], 'webhook')} stored and not applied, the oldest for {age}.",
            advice="See that a worker runs; if one does, its log says why the step apply_events fails.",
        )


def transactional_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether people who sign up get their mail."""
    waiting = TransactionalMail.objects.filter(
        state=TransactionalMailState.PENDING, not_before__lte=now - PATIENCE
    ).order_by()
    found = waiting.aggregate(count=Count("pk"), oldest=Min("not_before"), attempts=Max("attempts"))
    if found["count"]:
        age = duration((now - found["oldest"]).total_seconds())
        yield Diagnostic(
            name="confirmations",
            severity=Severity.BROKEN,
            sentence=f"{counted(found['count'], 'confirmation mail')} not sent yet, the oldest for {age}.",
            advice="See that a worker runs and that the provider takes mail: manage.py doctor asks it.",
        )


def lost_worker_diagnostics(issue: Issue, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Batches in the hands of a worker that is gone: they come back when its lease ends."""
    alive = [state.name for state in workers() if state.is_alive]
    lost = Batch.objects.filter(edition=issue.edition_id, state=BatchState.CLAIMED, lease_until__gt=now)
    until = lost.exclude(claimed_by__in=alive).aggregate(until=Max("lease_until"))["until"]
    if until and alive:
        yield Diagnostic(
            name="lease",
            severity=Severity.LOOK,
            sentence="A worker that is gone left batches behind; another may take them in "
            f"{duration((until - now).total_seconds())}.",
            advice="Nothing to do: they are posted again with the same bytes and under the same key.",
            issue=issue,
        )
