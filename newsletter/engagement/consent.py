"""Consent at the time of an event: of which deliveries and editions opens and clicks may be stored."""

from __future__ import annotations

import datetime
from collections.abc import Collection

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from newsletter.models import ConsentMode, Delivery, Edition, EngagementSource, Newsletter
from subscribers.models import Subscription

#: Keys of one statement.
CHUNK = 500


def agreed_since(deliveries: Collection[int], source: EngagementSource) -> dict[int, datetime.datetime]:
    """When the subscribers of these deliveries agreed to tracking; those who did not are left out.

    Only newsletters with consent whose source is this one now. Withdrawn consent is none, whenever the mail was sent.
    """
    found: dict[int, datetime.datetime] = {}
    keys = sorted(deliveries)
    subscription = Subscription.objects.filter(
        subscriber=OuterRef("subscriber_id"),
        mailing_list=Coalesce(OuterRef("mailing_list_id"), OuterRef("issue__newsletter_id")),
    )
    for start in range(0, len(keys), CHUNK):
        rows = Delivery.objects.filter(
            pk__in=keys[start : start + CHUNK],
            issue__newsletter__engagement_source=source,
            issue__newsletter__consent_mode=ConsentMode.CONSENT,
        )
        agreed = rows.annotate(agreed_at=Subquery(subscription.values("tracking_agreed_at")[:1]))
        found |= dict(agreed.filter(agreed_at__isnull=False).values_list("pk", "agreed_at"))
    return found


def has_source(source: EngagementSource) -> bool:
    """Whether any newsletter has this source now."""
    return Newsletter.objects.filter(engagement_source=source).exists()


def editions_with_source(editions: Collection[int], source: EngagementSource) -> set[int]:
    """Of these editions, those of newsletters whose source is this one now."""
    rows = Edition.objects.filter(pk__in=list(editions), issue__newsletter__engagement_source=source)
    return set(rows.values_list("pk", flat=True))
