"""Merging two addresses of one subscriber: everything moves to the address that is kept, and the stronger “no” wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from subscribers.consent.actions import unsubscribe_all
from subscribers.consent.left_addresses import record_left_address
from subscribers.models import (
    Change,
    ChangeKind,
    ConsentForm,
    Evidence,
    FieldValue,
    Note,
    SegmentPick,
    Subscriber,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    SuppressionReason,
    TopicOptOut,
)
from subscribers.profile.fields import fields_of, set_values, values_of
from subscribers.profile.history import record_change, record_changes
from subscribers.suppression import get_suppression, suppress_addresses

#: Reasons that are a “no” of the subscriber. The others are about one mailbox, which may be why there is another.
HOLDS_FOR_BOTH = (SuppressionReason.COMPLAINT, SuppressionReason.MANUAL, SuppressionReason.ERASED)

OPEN = (SubscriptionState.PENDING, SubscriptionState.ACTIVE)


SubscriberAddress = tuple[int, str]
"""Primary key of a subscriber, and a canonical address."""


class MergeRefused(Exception):
    """The two cannot be merged now; the message says why, in the viewer's language."""


class MergeStep(Protocol):
    """Moves what another app knows of a subscriber, in the transaction of the merge."""

    def lock(self) -> None:
        """Let nothing start that would write it, until the transaction ends. Runs before any subscriber is locked."""

    def move(self, kept: Subscriber, merged: Subscriber) -> None:
        """Runs before all else is moved. May raise MergeRefused."""


_steps: list[MergeStep] = []


def register_merge(step: MergeStep) -> None:
    """Have this step run with each merge. A second registration changes nothing."""
    if step not in _steps:
        _steps.append(step)


def merge(kept_pk: int, merged_pk: int, *, by: str) -> Subscriber:
    """Move everything of `merged` to `kept`, which is returned. Raises MergeRefused and SuppressionSecretDiffers.

    - On a list that only `merged` is on, the subscription moves with its consents, so that links in its mails work.
    - On a list that both are on, `kept` stays active only if neither has ended; that of `merged` ends. Tags, picked
      segments and topics that were left are joined; fields and details are filled where they are empty. The
      unsubscribe links in mails to `merged` end the subscription of `kept`.
    - A complaint, and a suppression by an editor, hold for both addresses; a bounce for its own mailbox only.

    The other address stays as a row without open subscriptions.
    """
    with transaction.atomic():
        for step in _steps:
            step.lock()
        locked = Subscriber.objects.select_for_update(no_key=True).order_by("pk").in_bulk([kept_pk, merged_pk])
        kept, merged = locked[kept_pk], locked[merged_pk]
        for step in _steps:
            step.move(kept, merged)
        evidence = Evidence(form=ConsentForm.ADMIN, by=by, detail=merged.address)
        _merge_subscriptions(kept, merged, evidence)
        _merge_details(kept, merged)
        Note.objects.filter(subscriber=merged).update(subscriber=kept)
        Change.objects.filter(subscriber=merged).update(subscriber=kept)
        # Links in the mails of these lead to what they were joined with.
        joined = list(Subscription.objects.filter(subscriber=merged))
        record_changes(joined, ChangeKind.MERGED, {"into": kept.pk}, by=by)
        record_change(kept, ChangeKind.MERGED, {"from": merged.address, "canonical": merged.canonical}, by=by)
        _share_suppression(kept, merged, evidence)
    return kept


def had_addresses(asked: Iterable[SubscriberAddress]) -> set[SubscriberAddress]:
    """Those that the subscriber had before a change, or that were merged: mails to them were theirs. One query."""
    wanted = set(asked)
    if not wanted:
        return set()
    owners = {subscriber for subscriber, _canonical in wanted}
    changes = Change.objects.filter(kind__in=(ChangeKind.MERGED, ChangeKind.ADDRESS), subscriber__in=owners)
    found = set()
    for subscriber, kind, values in changes.values_list("subscriber", "kind", "values"):
        name = "canonical" if kind == ChangeKind.MERGED else "from"
        found.add((subscriber, str(values.get(name, "")).lower()))
    return wanted & found


def _merge_subscriptions(kept: Subscriber, merged: Subscriber, evidence: Evidence) -> None:
    rows = Subscription.objects.select_related("mailing_list").select_for_update(of=("self",)).order_by("pk")
    both = list(rows.filter(subscriber__in=(kept, merged)))
    ours = {row.mailing_list_id: row for row in both if row.subscriber_id == kept.pk}
    for theirs in (row for row in both if row.subscriber_id == merged.pk):
        if theirs.mailing_list_id in ours:
            _join(ours[theirs.mailing_list_id], theirs, evidence)
        else:
            Subscription.objects.filter(pk=theirs.pk).update(subscriber=kept)
            record_left_address(merged, [theirs], evidence)


def _join(mine: Subscription, theirs: Subscription, evidence: Evidence) -> None:
    """Two subscriptions of one list."""
    if theirs.state == SubscriptionState.UNSUBSCRIBED:
        unsubscribe_all(Subscription.objects.filter(pk=mine.pk), evidence)
    elif theirs.paused_until and mine.state == SubscriptionState.ACTIVE:
        until = max(theirs.paused_until, mine.paused_until or timezone.now())
        Subscription.objects.filter(pk=mine.pk).update(paused_until=until)
    unsubscribe_all(Subscription.objects.filter(pk=theirs.pk), evidence)
    joined: tuple[tuple[type[Model], str], ...] = (
        (SubscriptionTag, "tag"),
        (SegmentPick, "segment"),
        (TopicOptOut, "topic"),
    )
    for model, column in joined:
        rows = model._default_manager.filter(subscription=theirs)
        keys = rows.values_list(f"{column}_id", flat=True)
        copies = [model(subscription=mine, **{f"{column}_id": key}) for key in keys]
        model._default_manager.bulk_create(copies, ignore_conflicts=True)
        rows.delete()
    _join_fields(mine, theirs, by=evidence.by)


def _join_fields(mine: Subscription, theirs: Subscription, *, by: str) -> None:
    values = values_of([mine.pk, theirs.pk])
    fields = fields_of(mine.mailing_list)
    missing = {fields[key]: value for key, value in values[theirs.pk].items() if key not in values[mine.pk]}
    set_values(mine, missing, by=by)
    FieldValue.objects.filter(subscription=theirs).delete()


def _merge_details(kept: Subscriber, merged: Subscriber) -> None:
    for name in ("first_name", "time_zone", "language", "declined_at"):
        if not getattr(kept, name):
            setattr(kept, name, getattr(merged, name))
    kept.created_at = min(kept.created_at, merged.created_at)
    kept.save(update_fields=["first_name", "time_zone", "language", "declined_at", "created_at"])


def _share_suppression(kept: Subscriber, merged: Subscriber, evidence: Evidence) -> None:
    """A “no” of the subscriber holds for both, and ends what has just moved to a suppressed address."""
    found = {each.canonical: get_suppression(each.canonical) for each in (kept, merged)}
    theirs, ours = found[merged.canonical], found[kept.canonical]
    causes = {}
    if ours:
        causes[kept.canonical] = (SuppressionReason(ours.reason), ours.detail)
        if ours.reason in HOLDS_FOR_BOTH:
            causes[merged.canonical] = causes[kept.canonical]
    if theirs and theirs.reason in HOLDS_FOR_BOTH:
        suppress_addresses({kept.canonical: (SuppressionReason(theirs.reason), theirs.detail)}, evidence)
    if causes:
        suppress_addresses(causes, evidence)
