"""Addresses that a subscriber no longer uses: an old file must not add them again to the lists that they were on."""

from __future__ import annotations

from collections.abc import Iterable

from subscribers.models import Consent, ConsentKind, Evidence, Subscriber, Subscription


def record_left_address(left: Subscriber, subscriptions: Iterable[Subscription], evidence: Evidence) -> None:
    """Append an unsubscribe of the address that `left` has, for each list of these subscriptions.

    They stay as they are, under another address. The proof names no subscription, as that of a deleted one, which
    imports look up. Mailing lists must be loaded.
    """
    Consent.objects.bulk_create(
        [
            Consent(
                subscription=None,
                kind=ConsentKind.UNSUBSCRIBED,
                address=left.address,
                canonical=left.canonical,
                list_name=subscription.mailing_list.name,
                form=evidence.form,
                by=evidence.by,
            )
            for subscription in subscriptions
        ]
    )
