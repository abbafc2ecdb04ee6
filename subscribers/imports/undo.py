"""Undoing an import: removes the subscriptions and suppressions that it made, unless something happened since."""

from __future__ import annotations

from collections.abc import Callable, Collection

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from subscribers.models import (
    Change,
    Consent,
    ConsentForm,
    Import,
    ImportSuppression,
    Note,
    Subscriber,
    Subscription,
    Suppression,
)

#: Subscriptions per transaction: their tags, values and changes are deleted with them.
CHUNK = 1000


def undo_chunk(stored: Import, mailed: Callable[[int, Collection[int]], set[int]]) -> bool:
    """Undo the next piece; whether there was one. The import's row is locked.

    A subscription stays if its state, a field or a tag was changed later, if the subscriber did something, or if an
    issue was sent: the links of a mail have to work. What the import added to subscriptions that were there before,
    and the subscriptions that it ended, stay.
    """
    made = Subscription.objects.filter(mailing_list=stored.mailing_list_id, import_pk=stored.pk, pk__gt=stored.last_pk)
    rows = list(made.order_by("pk").select_for_update(of=("self",)).values_list("pk", "subscriber_id")[:CHUNK])
    if not rows:
        return _remove_suppressions(stored)
    sent = mailed(stored.mailing_list_id, [subscriber for _pk, subscriber in rows])
    untouched = _untouched(Subscription.objects.filter(pk__in=[pk for pk, _subscriber in rows]))
    removed = dict(untouched.exclude(subscriber__in=sent).values_list("pk", "subscriber_id"))
    _remove(list(removed))
    _remove_subscribers(stored, list(removed.values()))
    undone = stored.undone
    stored.undone = {
        "removed": undone.get("removed", 0) + len(removed),
        "kept": undone.get("kept", 0) + len(rows) - len(removed),
    }
    stored.last_pk = rows[-1][0]
    stored.save(update_fields=["undone", "last_pk", "heartbeat_at"])
    return True


def _untouched(rows: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Those with one consent, that of the import, and nothing after it."""
    consents = Consent.objects.filter(subscription__in=rows.values("pk")).values("subscription")
    by_import = Count("pk", filter=Q(form=ConsentForm.IMPORT))
    with_one = consents.annotate(all=Count("pk"), imported=by_import).filter(all=1, imported=1)
    return rows.filter(
        ~Exists(Change.objects.filter(subscription=OuterRef("pk"))),
        pk__in=list(with_one.values_list("subscription", flat=True)),
        requested_at__isnull=True,
    )


def _remove(pks: list[int]) -> None:
    """Delete subscriptions. Their consents are proof and stay, without what identifies a subscriber."""
    Consent.objects.filter(subscription__in=pks).update(
        subscription=None, address="", canonical="", source="", ip=None, user_agent="", by="", detail=""
    )
    Subscription.objects.filter(pk__in=pks).delete()


def _remove_subscribers(stored: Import, pks: list[int]) -> None:
    """Delete the subscribers that the import made, if no list has them and no other user wrote a note about them."""
    made = Subscriber.objects.filter(pk__in=pks, created_at__gte=stored.started_at, declined_at__isnull=True)
    others = Note.objects.filter(subscriber=OuterRef("pk")).exclude(by=stored.by)
    made.filter(~Exists(Subscription.objects.filter(subscriber=OuterRef("pk"))), ~Exists(others)).delete()


def _remove_suppressions(stored: Import) -> bool:
    """Remove the next suppressions that are as the import made them; whether there were any."""
    made = ImportSuppression.objects.filter(owner=stored).order_by("pk")[:CHUNK]
    rows = list(made.values_list("pk", "fingerprint", "reason", "created_at"))
    if not rows:
        return False
    by_fingerprint = {key: (reason, created_at) for _pk, key, reason, created_at in rows}
    unchanged = [
        pk
        for pk, key, reason, created_at in Suppression.objects.filter(fingerprint__in=by_fingerprint).values_list(
            "pk", "fingerprint", "reason", "created_at"
        )
        if by_fingerprint[key] == (reason, created_at)
    ]
    Suppression.objects.filter(pk__in=unchanged).delete()
    ImportSuppression.objects.filter(pk__in=[row[0] for row in rows]).delete()
    return True
