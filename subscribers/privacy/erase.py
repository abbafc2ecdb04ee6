"""Erasure: everything about a subscriber goes, and a keyed hash of the address stays (GDPR Art. 17 and 21).

The hash is a suppression with the reason “erased”: no import adds the address again. The subscriber may sign up again,
and the confirmation lifts it.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

from django.db import connection, transaction

from subscribers.models import Subscriber, SuppressionReason
from subscribers.privacy.earlier_addresses import with_earlier_addresses
from subscribers.privacy.registry import CLEANUPS, DataSubject
from subscribers.privacy.rules import rules
from subscribers.suppression import check_suppression_secret, suppress_addresses

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased: the number of rows by the name of their rule. Holds no address."""

    rows: dict[str, int]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())


def erase_data_subject(subject: DataSubject, *, by: str = "") -> Erasure:
    """Erase all data about a subscriber in one transaction; a repeat finds nothing more.

    `by` is the editor's name for the log; empty: the subscriber. Rows without an index are searched for before the
    transaction; events that come in meanwhile are emptied where they are applied. The addresses that were changed or
    merged into this one are erased with it. An address of which nothing was stored gets no hash. Raises
    SuppressionSecretDiffers: the hash would not be recognised later.
    """
    check_suppression_secret()
    every, subjects = rules(), with_earlier_addresses(subject)
    located = [{rule.name: rule.locate(each) for rule in every} for each in subjects]
    with transaction.atomic():
        # As a request to subscribe does, so that no sign-up adds rows meanwhile.
        pks = [each.subscriber_pk for each in subjects]
        list(Subscriber.objects.select_for_update().filter(pk__in=pks).order_by("pk").values_list("pk"))
        rows = Counter[str]()
        for each, found in zip(subjects, located, strict=True):
            rows.update({rule.name: rule.erase(each, found[rule.name]) for rule in reversed(every)})
        erasure = Erasure({name: count for name, count in rows.items() if count})
        if subject.subscriber or erasure.total:
            suppress_addresses({each.canonical: (SuppressionReason.ERASED, "") for each in subjects})
    log.info("Data subject erased", extra={"by": by, "rows": erasure.total})
    for cleanup in CLEANUPS:
        cleanup()
    _forget_freed_pages()
    return erasure


def _forget_freed_pages() -> None:
    """On SQLite the write-ahead log keeps former pages until it is emptied. Other connections may delay that."""
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
