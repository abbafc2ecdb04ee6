"""Who has been sent an issue: asked before subscribers are removed."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q

from newsletter.models import AudiencePart, Delivery, Issue


def mailed_subscribers(list_pk: int, subscribers: Collection[int]) -> set[int]:
    """Those of these subscribers that have a delivery through this list (primary keys), in any state.

    The issue may be one of another newsletter, which was sent to this list as well.
    """
    # By the unique index of issue and subscriber.
    own = list(Issue.objects.filter(newsletter=list_pk).values_list("pk", flat=True))
    others = list(AudiencePart.objects.filter(mailing_list=list_pk).values_list("issue", flat=True))
    through = Q(issue__in=own, mailing_list__isnull=True) | Q(issue__in=others, mailing_list=list_pk)
    found = Delivery.objects.filter(through, subscriber__in=list(subscribers))
    return set(found.values_list("subscriber", flat=True))
