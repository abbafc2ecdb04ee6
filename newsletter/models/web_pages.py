"""Which issues have a page on the web: those in the archive, and cancelled ones whose recipients hold its link."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q

from newsletter.models.batch import Batch, BatchState
from newsletter.models.send import Send, SendQuerySet, SendState

#: Batches whose mails were sent, or may have been.
WENT_OUT = (BatchState.CLAIMED, BatchState.ACCEPTED, BatchState.UNKNOWN, BatchState.HELD)


def reachable_sends() -> SendQuerySet:
    """Sends whose issues have a page: the public ones, and those that were cancelled after mails went out.

    The mails link to that page. A cancelled issue is in no list, feed or sitemap.
    """
    sent = Batch.objects.filter(send=OuterRef("pk"), state__in=WENT_OUT)
    is_cancelled = Q(state=SendState.CANCELLED, issue__digest_at__isnull=True) & Exists(sent)
    return Send.objects.filter(Q(pk__in=Send.objects.public().order_by().values("pk")) | is_cancelled)
