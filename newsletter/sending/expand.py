"""Expand: the audience becomes deliveries, in chunks, each cut into batches."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from itertools import groupby

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Max, Value, When
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.config.translatable import to_data
from newsletter.models import IN_PROGRESS, Reason, Send, WeeklyPlan
from newsletter.models.bulk_sql import execute_with_rows, fetch_with_rows
from newsletter.models.edition import LARGE_COLUMNS
from newsletter.sending.audience import Audience
from newsletter.sending.limits import is_warming_up
from newsletter.sending.message import batch_key
from newsletter.sending.warm_up import WarmUpGroup, groups_of
from newsletter.sending.waves import LocalTime
from subscribers.models import SubscriptionQuerySet

#: Recipients per transaction: a tenth of a second's work, so that posting starts at once, however long the list is.
RECIPIENTS_PER_CHUNK = 20_000

#: In a warm-up, mails to less engaged recipients wait so long, until the engaged ones of all chunks are in batches.
ENGAGEMENT_DELAY = datetime.timedelta(minutes=5)

#: In a warm-up, the batches of each mailbox provider are so far apart, so that they take turns.
TURN = datetime.timedelta(milliseconds=1)

#: Ranks behind every wave: there are at most 26 hours of waves, a quarter of an hour apart.
AFTER_ALL_WAVES = 1_000

# The ORM has no INSERT … SELECT; the audience is its own query. Columns that are not named have database defaults.
INSERT_DELIVERIES = """
    INSERT INTO newsletter_delivery ({columns}) {audience} {conflict} RETURNING id, subscriber_id
"""
SKIP_EXISTING = "ON CONFLICT (issue_id, subscriber_id) DO NOTHING"
INSERT_DELIVERIES_IN_ORDER = """
    INSERT INTO newsletter_delivery (issue_id, send_id, subscriber_id, mailing_list_id)
    SELECT issue_id, send_id, subscriber_id, mailing_list_id FROM {rows}
    WHERE true ON CONFLICT (issue_id, subscriber_id) DO NOTHING RETURNING id, subscriber_id
"""
DELIVERY_COLUMNS = {
    "issue_id": "bigint",
    "send_id": "bigint",
    "subscriber_id": "bigint",
    "mailing_list_id": "bigint",
}
INSERT_BATCHES = """
    INSERT INTO newsletter_batch
        (send_id, edition_id, first_delivery, last_delivery, key, not_before, mailbox_provider)
    SELECT send_id, edition_id, first_delivery, last_delivery, key, not_before, mailbox_provider FROM {rows}
"""
BATCH_COLUMNS = {
    "send_id": "bigint",
    "edition_id": "bigint",
    "first_delivery": "bigint",
    "last_delivery": "bigint",
    "key": "text",
    "not_before": "timestamptz",
    "mailbox_provider": "text",
}


def expand_audience(batch_size: int, chunk: int = RECIPIENTS_PER_CHUNK) -> bool:
    """Expand one chunk of the send that has waited longest; whether there was one."""
    waiting = Send.objects.may_post().filter(expanded_at__isnull=True)
    send_pk = waiting.order_by("started_at", "pk").values_list("pk", flat=True).first()
    if send_pk is None:
        return False
    expand_chunk(send_pk, batch_size, chunk)
    return True


def expand_chunk(
    send_pk: int, batch_size: int, chunk: int = RECIPIENTS_PER_CHUNK, *, may_be_stopped: bool = False
) -> bool:
    """Make the send's next deliveries and their batches; after the last ones, count who was excluded and why.

    The send's row is locked, so that two workers never expand the same recipients; its `expanded_through` moves in the
    same transaction as the rows, so that a crash leaves no recipient out and takes none twice. With `may_be_stopped`,
    a send is expanded that is paused, or while all sending is stopped. Returns whether it was expanded: not if a part
    of its audience is gone, which pauses it.
    """
    with transaction.atomic():
        _lock_week(send_pk)
        sends = Send.objects.filter(state__in=IN_PROGRESS) if may_be_stopped else Send.objects.may_post()
        waiting = sends.filter(pk=send_pk, expanded_at__isnull=True)
        locked = waiting.select_for_update(of=("self",)).select_related("issue__newsletter", "edition")
        send = locked.defer("manifest", *(f"edition__{name}" for name in LARGE_COLUMNS)).first()
        if send is None or send.started_at is None:
            return False
        audience = Audience.of_send(send)
        if audience.problems:
            send.pause_if_sending(
                Reason.AUDIENCE_GONE, values={"sentences": [to_data(each) for each in audience.problems]}
            )
            return False
        subscriptions = next(audience.unexpanded(send))
        if last := subscriptions.order_by("pk")[:chunk].aggregate(last=Max("pk"))["last"]:
            _expand(send, subscriptions.filter(pk__lte=last), batch_size, list_pk=_through(send, audience))
            Send.objects.filter(pk=send_pk).update(expanded_through=last)
        elif send.expanded_lists + 1 < len(audience.lists):
            Send.objects.filter(pk=send_pk).update(expanded_lists=send.expanded_lists + 1, expanded_through=0)
        else:
            _analyze_tables()
            excluded = audience.excluded(send.started_at, issue=send.issue)
            Send.objects.filter(pk=send_pk).update(expanded_at=timezone.now(), excluded=excluded)
        failpoint(Point.CHUNK_UNCOMMITTED)
    failpoint(Point.CHUNK_COMMITTED)
    return True


def _lock_week(send_pk: int) -> None:
    """Let no other issue of the same week be expanded meanwhile, if it is for a digest.

    Whom an issue leaves out depends on the deliveries of the others, which must be committed.
    """
    awaiting = Send.objects.filter(pk=send_pk, awaits_digest=True)
    for newsletter_pk in awaiting.values_list("issue__newsletter", flat=True):
        WeeklyPlan.objects.lock(newsletter_pk)


def _through(send: Send, audience: Audience) -> int | None:
    """The list through which the next recipients get the issue; None for the newsletter's own."""
    return audience.lists[send.expanded_lists].pk if send.expanded_lists else None


def _expand(send: Send, recipients: SubscriptionQuerySet, batch_size: int, *, list_pk: int | None) -> None:
    """Make the deliveries of these recipients and cut them into batches; by local time, wave by wave."""
    earliest, local = send.undo_until or timezone.now(), LocalTime.of(send)
    if is_warming_up(send.issue.newsletter, earliest):
        _expand_for_warm_up(send, recipients, batch_size, local, earliest, list_pk=list_pk)
        return
    if local is None:
        made = _insert_deliveries(send, recipients.order_by("pk"), list_pk)
        _cut_into_batches(send, [pk for pk, _subscriber in made], batch_size, not_before=earliest)
        return
    zones = dict(recipients.values_list("subscriber", "subscriber__time_zone"))
    waves = local.by_instant(set(zones.values()))
    instants = {zone: instant for instant, names in waves.items() for zone in names}
    made = _insert_deliveries(send, recipients.order_by(_rank_among(waves.values()), "pk"), list_pk)
    # Neighbours of one wave share batches. A subscriber who changes their zone at this very moment gets one alone.
    for instant, run in groupby(made, key=lambda row: instants.get(zones.get(row[1], ""), earliest)):
        pks = [pk for pk, _subscriber in run]
        _cut_into_batches(send, pks, batch_size, not_before=max(earliest, instant))


def _expand_for_warm_up(
    send: Send,
    recipients: SubscriptionQuerySet,
    batch_size: int,
    local: LocalTime | None,
    earliest: datetime.datetime,
    *,
    list_pk: int | None,
) -> None:
    """As `_expand`: the engaged come first, and each batch has the recipients of one mailbox provider only."""
    columns = ("subscriber", "subscriber__time_zone", "subscriber__canonical")
    rows = {
        subscriber: (zone, address) for subscriber, zone, address in recipients.order_by("pk").values_list(*columns)
    }
    waves = local.by_instant({zone for zone, _address in rows.values()}) if local else {}
    instants = {zone: instant for instant, names in waves.items() for zone in names}
    groups = groups_of(send, {subscriber: address for subscriber, (_zone, address) in rows.items()})

    def place_of(subscriber: int) -> tuple[datetime.datetime, WarmUpGroup]:
        return max(earliest, instants.get(rows[subscriber][0], earliest)), groups[subscriber]

    ordered = ((send.issue_id, send.pk, subscriber, list_pk) for subscriber in sorted(rows, key=place_of))
    made = sorted(fetch_with_rows(INSERT_DELIVERIES_IN_ORDER, DELIVERY_COLUMNS, ordered))
    for (start, group), run in groupby(made, key=lambda row: place_of(row[1])):
        pks = [pk for pk, _subscriber in run]
        not_before = start + group.engagement * ENGAGEMENT_DELAY
        _cut_into_batches(
            send, pks, batch_size, not_before=not_before, turn=TURN, mailbox_provider=group.mailbox_provider
        )


def _rank_among(waves: Iterable[list[str]]) -> Case:
    """The place of a recipient's zone among the waves; AFTER_ALL_WAVES for a zone that is in none."""
    ranks = enumerate(waves)
    return Case(*(When(subscriber__time_zone__in=zones, then=rank) for rank, zones in ranks), default=AFTER_ALL_WAVES)


def _analyze_tables() -> None:
    """Let PostgreSQL count the new rows, as after any bulk load; its autovacuum waits until a tenth of all is new."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE (SKIP_LOCKED) newsletter_batch, newsletter_delivery")


def _insert_deliveries(send: Send, audience: SubscriptionQuerySet, list_pk: int | None) -> list[tuple[int, int]]:
    """Make a delivery for each subscriber who has none, in the audience's order; the new rows, and whose they are."""
    values: dict[str, Value | str] = {"issue_id": Value(send.issue_id), "send_id": Value(send.pk)}
    values["subscriber_id"] = "subscriber_id"
    if list_pk is not None:
        values["mailing_list_id"] = Value(list_pk)
    try:
        # Hardly any chunk has such a subscriber, and looking for them costs PostgreSQL two thirds more.
        with transaction.atomic():
            return _insert(audience, values, conflict="")
    except IntegrityError:
        return _insert(audience, values, conflict=SKIP_EXISTING)


def _insert(
    audience: SubscriptionQuerySet, values: Mapping[str, Value | str], *, conflict: str
) -> list[tuple[int, int]]:
    sql, params = audience.values_list(*values.values()).query.sql_with_params()
    statement = INSERT_DELIVERIES.format(columns=", ".join(values), audience=sql, conflict=conflict)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return sorted(cursor.fetchall())


def _cut_into_batches(
    send: Send,
    pks: list[int],
    size: int,
    *,
    not_before: datetime.datetime,
    turn: datetime.timedelta = datetime.timedelta(0),
    mailbox_provider: str = "",
) -> None:
    """Give each of these deliveries its batch; the last one may be smaller. Each may be posted a `turn` later."""
    runs = (pks[start : start + size] for start in range(0, len(pks), size))
    batches = [
        (
            send.pk,
            send.edition_id,
            run[0],
            run[-1],
            batch_key(send.edition, run[0], run[-1], epoch=1),
            not_before + number * turn,
            mailbox_provider,
        )
        for number, run in enumerate(runs)
    ]
    execute_with_rows(INSERT_BATCHES, BATCH_COLUMNS, batches)
