"""Address: the audience becomes deliveries, in chunks, each cut into batches."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from itertools import groupby

from django.db import connection, transaction
from django.db.models import Case, Count, Exists, Max, OuterRef, Q, Value, When
from django.utils import timezone

from newsletter.config.failpoints import Point, reached
from newsletter.models import Delivery, Edition, Issue, IssueStatus
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.allowlist import allowed_subscriptions, is_limited
from newsletter.sending.keys import batch_key
from newsletter.sending.waves import LocalTime
from subscribers.models import Subscription, SubscriptionState

#: Readers per transaction: a tenth of a second's work, so that posting starts at once, however long the list is.
CHUNK = 20_000

#: Behind every wave: there are at most 26 hours of them, in steps of a quarter of an hour.
NO_WAVE = 1_000

# The ORM has no INSERT … SELECT; the audience is its own query. What is not named here is a default of the database.
INSERT_DELIVERIES = """
    INSERT INTO newsletter_delivery (edition_id, subscriber_id) {audience}
    ON CONFLICT (edition_id, subscriber_id) DO NOTHING RETURNING id, subscriber_id
"""
INSERT_BATCHES = """
    INSERT INTO newsletter_batch (edition_id, first_delivery, last_delivery, key, not_before)
    SELECT edition_id, first_delivery, last_delivery, key, not_before FROM {given}
"""
BATCH_COLUMNS = {
    "edition_id": "bigint",
    "first_delivery": "bigint",
    "last_delivery": "bigint",
    "key": "text",
    "not_before": "timestamptz",
}


def expand_next(batch_size: int, chunk: int = CHUNK) -> bool:
    """Address one chunk of the issue that has waited longest; whether there was one."""
    waiting = Issue.objects.filter(status=IssueStatus.SENDING, expanded_at__isnull=True)
    issue_pk = waiting.order_by("started_at", "pk").values_list("pk", flat=True).first()
    if issue_pk is None:
        return False
    expand_chunk(issue_pk, batch_size, chunk)
    return True


def expand_chunk(issue_pk: int, batch_size: int, chunk: int = CHUNK) -> None:
    """Make the issue's next deliveries and their batches; after the last ones, note who was left out and why.

    The issue's row is locked, so that two workers never address the same readers; its `expanded_through` moves in
    the same transaction as the rows, so that a crash leaves no reader out and takes none twice.
    """
    with transaction.atomic():
        waiting = Issue.objects.filter(pk=issue_pk, status=IssueStatus.SENDING, expanded_at__isnull=True)
        issue = waiting.select_for_update().first()
        if issue is None or issue.edition is None or issue.started_at is None:
            return
        audience = audience_of(issue.newsletter_id, issue.started_at).filter(pk__gt=issue.expanded_through)
        if last := audience.order_by("pk")[:chunk].aggregate(last=Max("pk"))["last"]:
            _address(issue, issue.edition, audience.filter(pk__lte=last), batch_size)
            Issue.objects.filter(pk=issue_pk).update(expanded_through=last)
        else:
            _take_statistics()
            excluded = excluded_from(issue.newsletter_id, issue.started_at, edition=issue.edition)
            Issue.objects.filter(pk=issue_pk).update(expanded_at=timezone.now(), excluded=excluded)
        reached(Point.CHUNK_UNCOMMITTED)
    reached(Point.CHUNK_COMMITTED)


def _address(issue: Issue, edition: Edition, readers, batch_size: int) -> None:  # type: ignore[no-untyped-def]
    """Make the deliveries of these readers and cut them into batches; where each has their own time, wave by wave."""
    earliest, local = issue.posts_from or timezone.now(), LocalTime.of(issue)
    if local is None:
        made = _insert_deliveries(edition, readers.order_by("pk"))
        _cut_into_batches(edition, [key for key, _subscriber in made], batch_size, not_before=earliest)
        return
    zones = dict(readers.values_list("subscriber", "subscriber__time_zone"))
    waves = local.by_instant(set(zones.values()))
    instants = {zone: instant for instant, names in waves.items() for zone in names}
    made = _insert_deliveries(edition, readers.order_by(_rank_among(waves.values()), "pk"))
    # Neighbours of one wave; who moved to another zone at this very moment stands between others, alone.
    for instant, run in groupby(made, key=lambda row: instants.get(zones.get(row[1], ""), earliest)):
        keys = [key for key, _subscriber in run]
        _cut_into_batches(edition, keys, batch_size, not_before=max(earliest, instant))


def _rank_among(waves: Iterable[list[str]]) -> Case:
    """The place of a reader's zone among the waves; behind all of them for one that is in none."""
    ranks = enumerate(waves)
    return Case(*(When(subscriber__time_zone__in=zones, then=rank) for rank, zones in ranks), default=NO_WAVE)


def audience_of(list_pk: int, moment: datetime.datetime):  # type: ignore[no-untyped-def]  # a QuerySet subclass
    """Memberships that an issue starting at `moment` goes to. Who confirms later gets the next one."""
    mailable = Subscription.objects.mailable(moment).filter(allowed_subscriptions())
    return mailable.filter(mailing_list=list_pk, confirmed_at__lte=moment)


def excluded_from(list_pk: int, moment: datetime.datetime, *, edition: Edition | None = None) -> dict[str, int]:
    """How many members of the list an issue that starts at `moment` does not go to, by reason.

    Who has a delivery of `edition` is not among them, even if they left since: they are counted there.
    """
    addressed = Delivery.objects.filter(edition=edition, subscriber=OuterRef("subscriber"))
    members = Subscription.objects.filter(~Exists(addressed), mailing_list=list_pk, created_at__lte=moment)
    counts = members.aggregate(
        waiting_for_confirmation=Count("pk", filter=Q(state=SubscriptionState.PENDING)),
        unsubscribed=Count("pk", filter=Q(state=SubscriptionState.UNSUBSCRIBED)),
        suppressed=Count("pk", filter=Q(state=SubscriptionState.SUPPRESSED)),
        paused=Count("pk", filter=Q(state=SubscriptionState.ACTIVE, paused_until__gt=moment)),
        **_not_allowed(moment),
    )
    return {reason: count for reason, count in counts.items() if count}


def _not_allowed(moment: datetime.datetime) -> dict[str, Count]:
    """Who would be mailed by an installation that may write to everybody."""
    if not is_limited():
        return {}
    mailable = Q(state=SubscriptionState.ACTIVE) & ~Q(paused_until__gt=moment)
    return {"not_allowed": Count("pk", filter=mailable & ~allowed_subscriptions())}


def _take_statistics() -> None:
    """Let PostgreSQL see how many there are, as after any bulk load; by itself it looks when a tenth of all is new."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE (SKIP_LOCKED) newsletter_batch, newsletter_delivery")


def _insert_deliveries(edition: Edition, audience) -> list[tuple[int, int]]:  # type: ignore[no-untyped-def]
    """Make a delivery for everybody who has none, in the order of the audience; the new keys in order, and whose."""
    readers = audience.values_list(Value(edition.pk), "subscriber_id")
    sql, params = readers.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(INSERT_DELIVERIES.format(audience=sql), params)
        return sorted(cursor.fetchall())


def _cut_into_batches(edition: Edition, keys: list[int], size: int, *, not_before: datetime.datetime) -> None:
    """Give each of these deliveries its batch; the last one may be smaller."""
    runs = (keys[start : start + size] for start in range(0, len(keys), size))
    batches = [(edition.pk, run[0], run[-1], batch_key(edition, run[0], run[-1], epoch=1), not_before) for run in runs]
    execute_with_rows(INSERT_BATCHES, BATCH_COLUMNS, batches)
