"""How long a delivery keeps when it was first opened and clicked; what was counted of it stays.

All counters of deliveries can be counted again from the deliveries. What clearing takes away from them is therefore
put into rows of its own (`KEPT`), which a recount leaves and which count with the others: each sum stays as it was.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.events.statistics import counted_from
from newsletter.models import Batch, CountScope, Delivery, Send, SendCount
from newsletter.models.send_count import KEPT, Change
from newsletter.sending.recipients import deliveries_of
from subscribers.models import RetentionProgress
from subscribers.privacy.retention import ROWS_PER_RUN

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

TITLE = _("times of opens and clicks in deliveries")

#: Batches of one run, each with up to 100 deliveries, and deliveries that are counted at a time.
BATCHES_PER_RUN, CHUNK = ROWS_PER_RUN // 100, 500

HAS_TIMES = Q(opened_at__isnull=False) | Q(clicked_at__isnull=False)

#: Counters that the database does not keep by itself.
BY_KEY = (CountScope.HOUR.value, CountScope.DOMAIN.value)


@dataclass(frozen=True, slots=True)
class EngagementTimes:
    """Goes through the batches in the order of their keys, as long as their sends began early enough.

    From then on no times are written to deliveries of such a send: see `newsletter.engagement.delivery_times.are_kept`.
    """

    name: str = "engagement_times"
    title: StrOrPromise = TITLE

    def purge(self, before: datetime.datetime) -> int:
        """See RetentionRule. A run that passed as many batches as it may counts as a full one."""
        batches = _old(before, limit=BATCHES_PER_RUN)
        if not batches:
            return 0
        with transaction.atomic():
            keys = [
                pk for batch in batches for pk in deliveries_of(batch).filter(HAS_TIMES).values_list("pk", flat=True)
            ]
            for start in range(0, len(keys), CHUNK):
                clear_times(keys[start : start + CHUNK])
            RetentionProgress.objects.bulk_create([RetentionProgress(name=self.name)], ignore_conflicts=True)
            progress = RetentionProgress.objects.filter(name=self.name, last_pk__lt=batches[-1].pk)
            progress.update(last_pk=batches[-1].pk, at=timezone.now())
        return ROWS_PER_RUN if len(batches) == BATCHES_PER_RUN else len(keys)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See RetentionRule. Batches whose deliveries have no times are passed quickly."""
        return bool(_old(before, limit=1))


def _old(before: datetime.datetime, *, limit: int) -> list[Batch]:
    """The next batches up to the first whose send began later. One of a send that never began has no times."""
    progress = RetentionProgress.objects.filter(name=EngagementTimes().name).values_list("last_pk", flat=True).first()
    following = Batch.objects.filter(pk__gt=progress or 0).select_related("send").order_by("pk")
    fields = ("first_delivery", "last_delivery", "send_id", "send__started_at")
    found: list[Batch] = []
    for batch in following.only(*fields)[:limit]:
        if batch.send.started_at is not None and batch.send.started_at >= before:
            break
        found.append(batch)
    return found


def clear_times(keys: Sequence[int]) -> None:
    """Empty the times of opening and clicking of these deliveries, in the caller's transaction.

    Who opened a mail has got it: that it was delivered stays, as of the start of the send. Otherwise such a delivery
    would look as if it could be sent again.
    """
    by_send: dict[int, list[int]] = defaultdict(list)
    locked = Delivery.objects.filter(pk__in=keys).filter(HAS_TIMES).order_by("pk").select_for_update()
    for pk, send in locked.values_list("pk", "send_id"):
        by_send[send].append(pk)
    started = dict(Send.objects.filter(pk__in=by_send).values_list("pk", "started_at"))
    for send, pks in sorted(by_send.items()):
        deliveries = Delivery.objects.filter(pk__in=pks)
        before = _counters(deliveries)
        delivered_at = Coalesce("delivered_at", Value(started[send] or timezone.now()))
        deliveries.update(delivered_at=delivered_at, opened_at=None, clicked_at=None)
        _keep(send, before, _counters(deliveries))


def _counters(deliveries: QuerySet[Delivery]) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for scope, key, name, value in counted_from(deliveries.order_by()):
        counts[scope.value, key, name] += value
    return counts


def _keep(send: int, before: Counter[tuple[str, str, str]], now: Counter[tuple[str, str, str]]) -> None:
    """Keep what is missing now. From counters that the database does not keep it has still to be taken."""
    taken: dict[Change, int] = {
        (send, *what): before[what] - now[what] for what in before.keys() | now.keys() if before[what] != now[what]
    }
    SendCount.objects.add(taken, writer=KEPT)
    SendCount.objects.add({change: -value for change, value in taken.items() if change[1] in BY_KEY})
