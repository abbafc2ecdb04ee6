"""The arrows between the states of a membership, and the one step along them, with its proof.

Nothing else in the project changes `Subscription.state`.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from subscribers.models import Consent, ConsentKind, ConsentText, Notice, Subscription, SubscriptionQuerySet
from subscribers.models import SubscriptionState as State


@dataclass(frozen=True, slots=True)
class Arrow:
    """From which states a step leads, and where to."""

    sources: frozenset[State]
    target: State


#: The whole table. A step that is not here does not exist; from other states it changes nothing.
ARROWS: dict[ConsentKind, Arrow] = {
    # A new consent makes a new way in. Asking again while waiting keeps the place.
    ConsentKind.REQUESTED: Arrow(frozenset({State.PENDING, State.UNSUBSCRIBED, State.SUPPRESSED}), State.PENDING),
    # Only out of waiting: a late click does not bring back somebody who has left since.
    ConsentKind.CONFIRMED: Arrow(frozenset({State.PENDING}), State.ACTIVE),
    ConsentKind.PAUSED: Arrow(frozenset({State.ACTIVE}), State.ACTIVE),
    ConsentKind.RESUMED: Arrow(frozenset({State.ACTIVE}), State.ACTIVE),
    ConsentKind.UNSUBSCRIBED: Arrow(frozenset({State.PENDING, State.ACTIVE}), State.UNSUBSCRIBED),
    ConsentKind.DECLINED: Arrow(frozenset({State.PENDING}), State.UNSUBSCRIBED),
    # Who left by themselves stays "unsubscribed"; the suppression keeps mail away from them as well.
    ConsentKind.SUPPRESSED: Arrow(frozenset({State.PENDING, State.ACTIVE}), State.SUPPRESSED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where and how somebody acted, for the proof. All of it is optional but the form."""

    form: str
    """Which form, link or import: `signup`, `confirm`, `one-click` …"""
    text: str = ""
    """The words that the person read and agreed to."""
    version: str = ""
    language: str = ""
    source: str = ""
    ip: str | None = None
    user_agent: str = ""
    detail: str = ""
    at: datetime.datetime | None = None
    """When it was, if not now."""


def move(
    memberships: SubscriptionQuerySet,
    kind: ConsentKind,
    evidence: Evidence,
    *,
    notice: Notice | None = None,
    **changes: Any,
) -> list[Subscription]:
    """Move those of `memberships` that stand at the start of the arrow, write `changes` with it and one proof each.

    Returns the moved ones, as they were before. Two callers at once: the second finds them moved and does nothing.
    """
    arrow = ARROWS[kind]
    with transaction.atomic():
        standing = list(
            memberships.filter(state__in=arrow.sources)
            .select_related("subscriber", "mailing_list")
            .select_for_update(of=("self",))
            .order_by("pk")
        )
        if standing:
            ids = [membership.pk for membership in standing]
            Subscription.objects.filter(pk__in=ids).update(state=arrow.target, **changes)
            record_consents(kind, standing, evidence, notice=notice)
    return standing


def record_consents(
    kind: ConsentKind, memberships: Iterable[Subscription], evidence: Evidence, *, notice: Notice | None = None
) -> None:
    """Append one proof for each membership. Its subscriber and mailing list must be loaded."""
    text = _text_of(evidence)
    Consent.objects.bulk_create(
        [
            Consent(
                subscription=membership,
                kind=kind,
                created_at=evidence.at or timezone.now(),
                address=membership.subscriber.address,
                canonical=membership.subscriber.canonical,
                list_name=membership.mailing_list.name,
                form=evidence.form,
                text=text,
                language=evidence.language,
                source=evidence.source,
                ip=evidence.ip,
                user_agent=evidence.user_agent,
                notice=notice,
                detail=evidence.detail,
            )
            for membership in memberships
        ],
        batch_size=1000,
    )


def _text_of(evidence: Evidence) -> ConsentText | None:
    """The stored words, kept once however many people read them."""
    if not evidence.text:
        return None
    parts = (evidence.form, evidence.version, evidence.text)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    text, _ = ConsentText.objects.get_or_create(
        sha256=digest,
        defaults={"form": evidence.form, "version": evidence.version, "text": evidence.text},
    )
    return text
