"""Taking over readers who confirmed elsewhere, in sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction
from django.utils import timezone

from subscribers.addresses import Address, AddressError, parse_address
from subscribers.models import ConsentKind, MailingList, Subscriber, Subscription, SubscriptionState
from subscribers.suppression import suppressed_among
from subscribers.transitions import Evidence, record_consents

#: Addresses per round: few statements each, and no transaction that keeps others waiting for long.
CHUNK = 2000

REFUSED_STATES = {
    SubscriptionState.PENDING: "Has been asked and has not confirmed yet; only they can.",
    SubscriptionState.UNSUBSCRIBED: "Has unsubscribed; only they can come back.",
    SubscriptionState.SUPPRESSED: "Must not be mailed: a bounce or a complaint.",
}


class ProofMissing(ValueError):
    """Nobody becomes active without a stored proof (R-55)."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """One address that was not taken over, as it was given, and why, as a sentence."""

    address: str
    reason: str


@dataclass(slots=True)
class ImportResult:
    """What became of the addresses; the three add up to as many as were given."""

    added: int = 0
    already: int = 0
    """On the list before, or given twice."""
    refused: list[Refusal] = field(default_factory=list)


def import_confirmed(mailing_list: MailingList, addresses: Iterable[str], *, proof: str) -> ImportResult:
    """Make these people active on the list, with `proof` – how they agreed, in words – stored for each.

    Never brings back who unsubscribed or is suppressed (R-55), and is safe to repeat: each chunk is whole or not
    at all. Raises ProofMissing.
    """
    if not proof.strip():
        raise ProofMissing("Say how these people agreed, for example: “Exported from the old system, double opt-in”.")
    result, seen = ImportResult(), set[str]()
    for chunk in _chunks(addresses):
        _import_chunk(mailing_list, _readable(chunk, seen, result), proof, result)
    return result


def _readable(chunk: list[str], seen: set[str], result: ImportResult) -> dict[str, Address]:
    """The valid addresses by canonical form, each once over the whole import; the rest is counted."""
    readable: dict[str, Address] = {}
    for raw in chunk:
        try:
            address = parse_address(raw)
        except AddressError as error:
            result.refused.append(Refusal(raw, str(error)))
            continue
        if address.canonical in seen:
            result.already += 1
            continue
        seen.add(address.canonical)
        readable[address.canonical] = address
    return readable


def _import_chunk(mailing_list: MailingList, wanted: dict[str, Address], proof: str, result: ImportResult) -> None:
    with transaction.atomic():
        for canonical in suppressed_among(wanted):
            reason = REFUSED_STATES[SubscriptionState.SUPPRESSED]
            result.refused.append(Refusal(wanted.pop(canonical).as_given, reason))
        subscribers = _subscribers(wanted)
        standing = dict(
            Subscription.objects.filter(
                mailing_list=mailing_list, subscriber__in=[subscriber.pk for subscriber in subscribers]
            ).values_list("subscriber_id", "state")
        )
        for subscriber in subscribers:
            state = standing.get(subscriber.pk)
            if state == SubscriptionState.ACTIVE:
                result.already += 1
            elif state is not None:
                reason = REFUSED_STATES[SubscriptionState(state)]
                result.refused.append(Refusal(wanted[subscriber.canonical].as_given, reason))
        _add(mailing_list, [row for row in subscribers if row.pk not in standing], proof, result)


def _subscribers(wanted: dict[str, Address]) -> list[Subscriber]:
    """The rows of these people, made where they are missing."""
    Subscriber.objects.bulk_create(
        [Subscriber(address=address.as_given, canonical=address.canonical) for address in wanted.values()],
        ignore_conflicts=True,
    )
    return list(Subscriber.objects.filter(canonical__in=wanted))


def _add(mailing_list: MailingList, newcomers: list[Subscriber], proof: str, result: ImportResult) -> None:
    now = timezone.now()
    wanted = [
        Subscription(
            mailing_list=mailing_list,
            subscriber=subscriber,
            state=SubscriptionState.ACTIVE,
            created_at=now,
            confirmed_at=now,
        )
        for subscriber in newcomers
    ]
    # Somebody may sign up in this very moment: their own membership stays, and is not ours to make active.
    Subscription.objects.bulk_create(wanted, ignore_conflicts=True)
    stored = dict(Subscription.objects.filter(key__in=[row.key for row in wanted]).values_list("key", "pk"))
    for row in wanted:
        row.pk = stored.get(row.key)
    added = [row for row in wanted if row.pk]
    record_consents(ConsentKind.IMPORTED, added, Evidence(form="import", text=proof))
    result.added += len(added)
    result.already += len(wanted) - len(added)


def _chunks(addresses: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(addresses)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
