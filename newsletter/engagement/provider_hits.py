"""The provider's opens and clicks become hits, so that there is one place for them; without consent, nothing does."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from newsletter.engagement.agents import agent_family
from newsletter.engagement.consent import agreed_since
from newsletter.engagement.networks import network_class, network_hash
from newsletter.engagement.tokens import PATH, read_token
from newsletter.engagement.wrap import number_of_link
from newsletter.models import OPEN, OTHER_LINK, Delivery, Edition, EngagementSource, EventType, Hit, HitMethod
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers import click_of
from newsletter.providers.clicks import ClickFacts
from subscribers.consent.tokens import Purpose

#: The events that are about what a recipient does, and not about the mail.
ENGAGEMENT_TYPES = frozenset({EventType.OPENED, EventType.CLICKED})

#: The providers' names of these events.
ENGAGEMENT_KINDS = frozenset({"email.opened", "email.clicked"})

#: The first segments of links to unsubscribe, to preferences and the like: no click on content.
SUBSCRIBER_PATHS = frozenset(Purpose)

JUDGE_AGAIN = """
    UPDATE newsletter_hit SET is_due = TRUE FROM {rows}
    WHERE newsletter_hit.delivery_id = rows.id AND NOT newsletter_hit.is_sealed AND NOT newsletter_hit.is_due
"""

#: Hits of one insert.
HITS_PER_INSERT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One event about an open or a click that belongs to a delivery. `edition` is the one in its tags."""

    provider: str
    body: str
    at: datetime.datetime
    event_type: EventType
    delivery: int
    edition: int | None


def take_provider_events(events: Mapping[int, ProviderEvent]) -> set[int]:
    """Store the hits of subscribers who had agreed by then; returns the keys of their events.

    Runs in the transaction that applies the events: each event becomes one hit at most. What is not stored here must
    not be kept in the event either.
    """
    if not events:
        return set()
    agreed = agreed_since({event.delivery for event in events.values()}, EngagementSource.PROVIDER)
    kept = {
        key: event for key, event in events.items() if event.delivery in agreed and agreed[event.delivery] <= event.at
    }
    editions = _editions(kept.values())
    hits = [hit for event in kept.values() if (hit := _hit(event, editions.get(event.delivery)))]
    Hit.objects.bulk_create(hits, batch_size=HITS_PER_INSERT)
    return set(kept)


def judge_again(deliveries: Collection[int]) -> None:
    """Hits of these deliveries are judged again: it has become known when the mail was delivered."""
    execute_with_rows(JUDGE_AGAIN, {"id": "bigint"}, ((key,) for key in deliveries))


def _editions(events: Collection[ProviderEvent]) -> dict[int, tuple[int, list[dict[str, Any]]]]:
    """By delivery: the edition that was sent to it, with its numbered links."""
    named = {event.delivery: event.edition for event in events}
    without = [delivery for delivery, edition in named.items() if edition is None]
    if without:
        named |= dict(Delivery.objects.filter(pk__in=without).values_list("pk", "send__edition_id"))
    keys = {edition for edition in named.values() if edition is not None}
    found = Edition.objects.filter(pk__in=keys).values_list("pk", "engagement")
    # Editions from before there was a choice have no numbered links: all their links are others.
    links = {pk: engagement.get("links", []) for pk, engagement in found}
    return {
        delivery: (edition, links[edition])
        for delivery, edition in named.items()
        if edition is not None and edition in links
    }


def _hit(event: ProviderEvent, edition: tuple[int, list[dict[str, Any]]] | None) -> Hit | None:
    """The hit of an event; None for a click on a link that has no number, such as the one to unsubscribe."""
    if edition is None:
        return None
    facts = click_of(event.provider, event.body)
    number = OPEN if event.event_type is EventType.OPENED else _number(facts, *edition)
    if number is None:
        return None
    return Hit(
        edition_id=edition[0],
        at=event.at,
        number=number,
        method=HitMethod.FLAGGED if facts.is_flagged else HitMethod.EVENT,
        delivery_id=event.delivery,
        network=network_hash(facts.ip, event.at),
        network_class=network_class(facts.ip),
        agent=agent_family(facts.agent),
    )


def _number(facts: ClickFacts, edition: int, links: Sequence[dict[str, Any]]) -> int | None:
    """The number of the clicked link; a canary is known by its token. None for links that serve one subscriber."""
    if (number := number_of_link(links, facts.link)) is not None:
        return number
    first, _slash, token = _path(facts.link).strip("/").partition("/")
    if first in SUBSCRIBER_PATHS:
        return None
    read = read_token(token) if first == PATH else None
    return read.number if read and read.edition == edition else OTHER_LINK


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
