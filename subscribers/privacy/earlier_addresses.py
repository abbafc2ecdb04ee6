"""The addresses that a subscriber had before: events, logs and files may still name them."""

from __future__ import annotations

from subscribers.addresses import AddressError, parse_address
from subscribers.models import Change, ChangeKind, Consent, Subscriber, Subscription, SubscriptionState
from subscribers.privacy.registry import DataSubject

OPEN = (SubscriptionState.PENDING, SubscriptionState.ACTIVE)


def with_earlier_addresses(subject: DataSubject) -> list[DataSubject]:
    """The subject, and each address that was changed or merged into its own, also over several steps.

    Not those that another subscriber uses by now. The row that a merge left is the same subscriber, unless it was
    subscribed again.
    """
    changed, merged = _changes(subject)
    earlier = (changed | merged | _of_consents(subject)) - {"", subject.canonical}
    rows = {row.canonical: row for row in Subscriber.objects.filter(canonical__in=earlier)}
    subscribed = Subscription.objects.filter(subscriber__in=rows.values(), state__in=OPEN)
    in_use = set(subscribed.values_list("subscriber__canonical", flat=True)) | (rows.keys() - merged)
    return [subject, *(DataSubject(canonical, rows.get(canonical)) for canonical in sorted(earlier - in_use))]


def _changes(subject: DataSubject) -> tuple[set[str], set[str]]:
    """The addresses before each change, and those that were merged."""
    changed, merged = set(), set()
    kinds = (ChangeKind.ADDRESS, ChangeKind.MERGED)
    changes = Change.objects.filter(subscriber=subject.subscriber_pk, kind__in=kinds)
    for kind, values in changes.values_list("kind", "values"):
        if kind == ChangeKind.MERGED:
            merged.add(str(values["canonical"]))
        else:
            changed.add(_canonical(str(values["from"])))
    return changed, merged


def _of_consents(subject: DataSubject) -> set[str]:
    """Those in the proofs of the subscriptions, which a merge may have moved here."""
    consents = Consent.objects.filter(subscription__in=subject.subscription_pks)
    return set(consents.values_list("canonical", flat=True))


def _canonical(address: str) -> str:
    try:
        return parse_address(address).canonical
    except AddressError:
        return ""
