"""Facts: what happened, read from the tables that prove it. Pure reading: nothing is written where facts are made."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Model

from newsletter.models import SendState, SendTransition, WebhookEndpoint, WebhookType
from subscribers.models import Consent, ConsentForm, ConsentKind, SuppressionReason

#: Kinds of consents that start or end a subscription. Those that pause it say nothing to other systems.
KINDS = {
    ConsentKind.REQUESTED: WebhookType.SUBSCRIBED,
    ConsentKind.CONFIRMED: WebhookType.CONFIRMED,
    ConsentKind.IMPORTED: WebhookType.CONFIRMED,
    ConsentKind.UNSUBSCRIBED: WebhookType.UNSUBSCRIBED,
    ConsentKind.DECLINED: WebhookType.UNSUBSCRIBED,
    ConsentKind.SUPPRESSED: WebhookType.UNSUBSCRIBED,
}

#: Reasons of a suppression that have a type of their own.
REASONS = {
    SuppressionReason.HARD_BOUNCE: WebhookType.BOUNCED,
    SuppressionReason.COMPLAINT: WebhookType.COMPLAINED,
}

MOVES: dict[str, WebhookType] = {
    SendState.SCHEDULED: WebhookType.ISSUE_SCHEDULED,
    SendState.SENT: WebhookType.ISSUE_SENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact: the key of the row that proves it, and what a message says. Holds no address."""

    pk: int
    type: WebhookType
    at: datetime.datetime
    data: dict[str, Any] = field(default_factory=dict)
    subscriber_pk: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One table of facts. Its keys ascend, and its rows do not change."""

    name: str
    """Stored with each message and cursor: it never changes."""
    model: type[Model]
    read: Callable[[WebhookEndpoint, int, int], Iterable[Fact]]
    """The facts for an endpoint with keys above the first number and up to the second."""


def _consents(endpoint: WebhookEndpoint, after: int, upto: int) -> Iterator[Fact]:
    rows = Consent.objects.filter(pk__gt=after, pk__lte=upto, subscription__isnull=False, kind__in=KINDS)
    # The answer to the question why, after the unsubscribe.
    rows = rows.exclude(form=ConsentForm.UNSUBSCRIBE_REASON)
    if not endpoint.includes_imports:
        rows = rows.exclude(form=ConsentForm.IMPORT)
    if endpoint.newsletter_id:
        rows = rows.filter(subscription__mailing_list=endpoint.newsletter_id)
    names = ("pk", "kind", "form", "reason", "created_at", "list_name", "subscription_id")
    about = {"subscriber": F("subscription__subscriber"), "slug": F("subscription__mailing_list__slug")}
    for row in rows.order_by("pk").values(*names, **about):
        yield Fact(
            pk=row["pk"],
            type=REASONS.get(row["reason"], KINDS[row["kind"]]),
            at=row["created_at"],
            subscriber_pk=row["subscriber"],
            data={
                "subscriber": row["subscriber"],
                "subscription": row["subscription_id"],
                "list": {"slug": row["slug"], "name": row["list_name"]},
                "form": row["form"],
                "reason": row["reason"],
            },
        )


def _sends(endpoint: WebhookEndpoint, after: int, upto: int) -> Iterator[Fact]:
    rows = SendTransition.objects.filter(pk__gt=after, pk__lte=upto, target__in=MOVES).exclude(source=F("target"))
    if endpoint.newsletter_id:
        rows = rows.filter(send__issue__newsletter=endpoint.newsletter_id)
    about = {
        "issue": F("send__issue"),
        "slug": F("send__issue__slug"),
        "title": F("send__issue__title"),
        "subject": F("send__edition__subject"),
        "scheduled_at": F("send__scheduled_at"),
        "newsletter": F("send__issue__newsletter__slug"),
        "newsletter_name": F("send__issue__newsletter__name"),
    }
    row: dict[str, Any]
    for row in rows.order_by("pk").values("pk", "target", "at", "send_id", **about):  # type: ignore[assignment]
        scheduled = row["scheduled_at"]
        yield Fact(
            pk=row["pk"],
            type=MOVES[row["target"]],
            at=row["at"],
            data={
                "send": row["send_id"],
                "issue": {name: row[of] for name, of in (("id", "issue"), ("slug", "slug"), ("title", "title"))},
                "subject": row["subject"],
                "newsletter": {"slug": row["newsletter"], "name": row["newsletter_name"]},
                "scheduled_at": scheduled.isoformat() if scheduled else None,
            },
        )


CONSENTS = Source(name="consent", model=Consent, read=_consents)
SENDS = Source(name="send", model=SendTransition, read=_sends)
SOURCES = (CONSENTS, SENDS)

#: The source of messages that an editor asked for to try an endpoint.
TEST = "test"
