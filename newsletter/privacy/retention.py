"""How long events, frozen bytes and outgoing webhooks are kept; rules of `subscribers.privacy.retention`."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.archive_import.control import ArchiveUploads
from newsletter.models import Batch, BatchState, Event, EventState, Hit, WebhookMessage
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.privacy.engagement_times import EngagementTimes
from newsletter.providers import erase_client_from_event, erase_from_event
from newsletter.sending.erased import HAS_BYTES, erase_deliveries
from newsletter.sending.recipients import deliveries_of
from subscribers.models import RetentionProgress
from subscribers.privacy.retention import ROWS_PER_RUN, ByKey, add_retention

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

TITLE = _("frozen mails of batches")

#: Batches that are looked at in one run: their bytes are large.
BATCHES_PER_RUN = 50


def add_rules() -> None:
    """Make the worker apply these rules. Called when the app starts."""
    for rule in (WEBHOOKS, CLIENT_DATA, OUTGOING, Payloads(), *HITS, EngagementTimes(), ArchiveUploads()):
        add_retention(rule)


def _clear_bodies(events: QuerySet[Any]) -> None:
    """Kind, times, tags and the kind of a bounce stay: reports and a repeat of the event need them."""
    _rewrite(events, lambda provider, body: erase_from_event(provider, body, is_applied=True))


def _rewrite(events: QuerySet[Any], erase: Callable[[str, str], str]) -> None:
    """Store what `erase` leaves of each body, in one statement. Bodies that stay as they are are not written."""
    bodies = events.values_list("pk", "provider", "body")
    erased = [(pk, kept) for pk, provider, body in bodies if (kept := erase(provider, body)) != body]
    execute_with_rows(SET_BODIES, {"id": "bigint", "body": "text"}, erased)


SET_BODIES = "UPDATE newsletter_event SET body = rows.body FROM {rows} WHERE newsletter_event.id = rows.id"


def _delete_messages(messages: QuerySet[Any]) -> None:
    """With their attempts. Those that still wait are of an endpoint that was paused or disabled for all this time."""
    WebhookMessage.objects.filter(pk__in=list(messages.values_list("pk", flat=True))).delete_with_attempts()


#: Opens and clicks of single subscribers are judged by then, and the judgement stays.
CLIENT_DATA = ByKey(
    name="client_data",
    title=_("IP addresses and user agents in webhook events"),
    rows=Event.objects.all,
    at="received_at",
    clear=lambda events: _rewrite(events, erase_client_from_event),
    unfinished=lambda: Event.objects.filter(state=EventState.NEW).order_by("pk"),
)

OUTGOING = ByKey(
    name="outgoing_webhooks",
    title=_("messages of outgoing webhooks"),
    rows=WebhookMessage.objects.all,
    at="created_at",
    clear=_delete_messages,
)

WEBHOOKS = ByKey(
    name="webhooks",
    title=_("bodies of webhook events"),
    rows=Event.objects.all,
    at="received_at",
    clear=_clear_bodies,
    unfinished=lambda: Event.objects.filter(state=EventState.NEW).order_by("pk"),
)


#: Hits that are not judged yet need what they are judged by.
_due_hits = Hit.objects.filter(is_due=True).order_by

HITS = (
    ByKey(
        name="visitors",
        title=_("hashes of visitors without consent"),
        rows=Hit.objects.all,
        at="at",
        clear=lambda rows: rows.exclude(visitor="").update(visitor="", network="", agent="", is_sealed=True),
        unfinished=lambda: _due_hits("pk"),
    ),
    ByKey(
        name="networks",
        title=_("hashed networks and browsers of opens and clicks"),
        rows=Hit.objects.all,
        at="at",
        clear=lambda rows: rows.update(visitor="", network="", agent="", is_sealed=True),
        unfinished=lambda: _due_hits("pk"),
    ),
    ByKey(
        name="hits",
        title=_("opens and clicks of subscribers"),
        rows=Hit.objects.all,
        at="at",
        clear=lambda rows: rows.delete(),
    ),
)


@dataclass(frozen=True, slots=True)
class Payloads:
    """Frozen bytes. Most are removed when the outcome is known; those of held batches lose their recipients."""

    name: str = "payloads"
    title: StrOrPromise = TITLE

    def purge(self, before: datetime.datetime) -> int:
        """See RetentionRule. A held batch keeps what finds its mails in the provider's list: tags and keyed hashes."""
        finished = Batch.objects.filter(_finished(before)).order_by("pk").values_list("pk", flat=True)[:ROWS_PER_RUN]
        count = Batch.objects.filter(pk__in=list(finished)).update(payload=None)
        return count + sum(_erase_all(batch) for batch in self._next_held(before))

    def _next_held(self, before: datetime.datetime) -> list[Batch]:
        """A few at a time, again and again: a batch of any age may be held."""
        held = Batch.objects.filter(state=BatchState.HELD, attempts__gt=0, last_attempt_at__lt=before)
        if not held.exists():
            return []
        progress, _created = RetentionProgress.objects.get_or_create(name=self.name)
        found = list(held.filter(pk__gt=progress.last_pk).defer("payload").order_by("pk")[:BATCHES_PER_RUN])
        last = found[-1].pk if found else 0
        if last != progress.last_pk:
            RetentionProgress.objects.filter(pk=progress.pk).update(last_pk=last, at=timezone.now())
        return found

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See RetentionRule. Held batches are looked at by each run."""
        return Batch.objects.filter(_finished(before)).exists()


def _finished(before: datetime.datetime) -> Q:
    return Q(finished_at__lt=before, payload__isnull=False) & ~Q(state__in=HAS_BYTES)


def _erase_all(batch: Batch) -> bool:
    return erase_deliveries(batch.pk, list(deliveries_of(batch).values_list("pk", flat=True)))
