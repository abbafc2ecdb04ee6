"""Import of subscribers who confirmed elsewhere, in sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subscribers.addresses import Address, AddressError, parse_address
from subscribers.models import (
    ConsentForm,
    ConsentKind,
    Evidence,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    record_consents,
)
from subscribers.suppression import filter_suppressed

#: Addresses per transaction: few statements each, and no long locks.
CHUNK = 2000


class ImportRefusal(models.TextChoices):
    """Why an address was not imported."""

    INVALID = "invalid", gettext_lazy("Not a valid address.")
    PENDING = "pending", gettext_lazy("Has not confirmed yet. Only the subscriber can confirm.")
    UNSUBSCRIBED = "unsubscribed", gettext_lazy("Has unsubscribed. Only the subscriber can subscribe again.")
    SUPPRESSED = "suppressed", gettext_lazy("Is suppressed after a bounce or a complaint, or by an editor.")


class ProofMissing(ValueError):
    """An import needs a proof of consent."""

    permanent = True


@dataclass(frozen=True, slots=True)
class RefusedAddress:
    """An address that was not imported, as the import contains it. `detail` explains an invalid address."""

    address: str
    reason: ImportRefusal
    detail: str = ""


@dataclass(slots=True)
class SubscriberImport:
    """The outcome of an import; the three counts add up to the number of addresses in the import."""

    added: int = 0
    already: int = 0
    """Subscribed before, or given twice."""
    refused: list[RefusedAddress] = field(default_factory=list)


def import_confirmed(mailing_list: MailingList, addresses: Iterable[str], *, proof: str) -> SubscriberImport:
    """Subscribe these addresses, and store `proof` – how they agreed, in words – for each. Raises ProofMissing.

    Unsubscribed and suppressed addresses stay as they are. An import can be repeated: each chunk is one transaction.
    """
    if not proof.strip():
        raise ProofMissing(
            _("Enter how these subscribers agreed, for example: “Exported from the old system, double opt-in”.")
        )
    result, known = SubscriberImport(), set[str]()
    for chunk in _chunks(addresses):
        _import_chunk(mailing_list, _readable(chunk, known, result), proof, result)
    return result


def _readable(chunk: list[str], known: set[str], result: SubscriberImport) -> dict[str, Address]:
    """The valid addresses by canonical form, each once per import. Counts the others."""
    readable: dict[str, Address] = {}
    for raw in chunk:
        try:
            address = parse_address(raw)
        except AddressError as error:
            result.refused.append(RefusedAddress(raw, ImportRefusal.INVALID, str(error)))
            continue
        if address.canonical in known:
            result.already += 1
            continue
        known.add(address.canonical)
        readable[address.canonical] = address
    return readable


def _import_chunk(mailing_list: MailingList, wanted: dict[str, Address], proof: str, result: SubscriberImport) -> None:
    with transaction.atomic():
        for canonical in filter_suppressed(wanted):
            result.refused.append(RefusedAddress(wanted.pop(canonical).as_typed, ImportRefusal.SUPPRESSED))
        subscribers = _subscribers(wanted)
        existing = dict(
            Subscription.objects.filter(
                mailing_list=mailing_list, subscriber__in=[subscriber.pk for subscriber in subscribers]
            ).values_list("subscriber_id", "state")
        )
        for subscriber in subscribers:
            state = existing.get(subscriber.pk)
            if state == SubscriptionState.ACTIVE:
                result.already += 1
            elif state is not None:
                # The refusals have the values of the states.
                result.refused.append(RefusedAddress(wanted[subscriber.canonical].as_typed, ImportRefusal(state)))
        _add(mailing_list, [row for row in subscribers if row.pk not in existing], proof, result)


def _subscribers(wanted: dict[str, Address]) -> list[Subscriber]:
    """The rows of these addresses, created where they are missing."""
    Subscriber.objects.bulk_create(
        [Subscriber(address=address.as_typed, canonical=address.canonical) for address in wanted.values()],
        ignore_conflicts=True,
    )
    return list(Subscriber.objects.filter(canonical__in=wanted))


def _add(mailing_list: MailingList, newcomers: list[Subscriber], proof: str, result: SubscriberImport) -> None:
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
    # A subscription that a sign-up creates at the same time stays as it is: pending.
    Subscription.objects.bulk_create(wanted, ignore_conflicts=True)
    stored = dict(Subscription.objects.filter(key__in=[row.key for row in wanted]).values_list("key", "pk"))
    for row in wanted:
        row.pk = stored.get(row.key)
    added = [row for row in wanted if row.pk]
    record_consents(ConsentKind.IMPORTED, added, Evidence(form=ConsentForm.IMPORT, text=proof))
    result.added += len(added)
    result.already += len(wanted) - len(added)


def _chunks(addresses: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(addresses)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
