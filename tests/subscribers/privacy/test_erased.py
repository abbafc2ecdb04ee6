"""What an erased address may do: come back by its owner, and by no one else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from newsletter.settings import database_settings
from subscribers.addresses import parse_address
from subscribers.consent.double_opt_in import RequestResult, confirm, request_subscription
from subscribers.consent.tokens import ConfirmationToken
from subscribers.imports.confirmed import import_confirmed
from subscribers.imports.outcomes import KeptReason, Outcome
from subscribers.models import (
    Evidence,
    LiftedSuppression,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
    SuppressionReason,
)
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from subscribers.transactional.blocked import blocked_reason
from tests.people import ADA, BEN, CLEO, ada, ben, cleo, make_mailing_list


def erase(address: str) -> None:
    erase_data_subject(find_data_subject(address))


@pytest.mark.django_db
def test_no_import_adds_an_erased_address_to_any_list() -> None:
    for make, address in ((ada, ADA), (ben, BEN), (cleo, CLEO)):
        make()
        erase(address)
    other = make_mailing_list("tide-tables", name="Tide Tables")
    result = import_confirmed(other, [ADA, BEN.upper(), CLEO], proof="Exported elsewhere.")
    assert result.outcomes == {Outcome.KEPT: {KeptReason.SUPPRESSED: 3}}
    assert not Subscriber.objects.exists()


@pytest.mark.django_db
def test_an_erased_subscriber_who_declined_is_not_imported_either() -> None:
    Subscriber.objects.filter(pk=ben().subscriber_id).update(declined_at="2026-01-01T00:00:00Z")
    erase(BEN)
    result = import_confirmed(make_mailing_list(), [BEN], proof="Exported elsewhere.")
    assert result.outcomes == {Outcome.KEPT: {KeptReason.SUPPRESSED: 1}}


@pytest.mark.django_db
def test_the_owner_of_an_erased_address_signs_up_again_and_the_confirmation_lifts_the_suppression() -> None:
    mailing_list = ada().mailing_list
    erase(ADA)
    result = request_subscription(mailing_list, parse_address(ADA), Evidence(form="signup"))
    assert result is RequestResult.CONFIRMATION
    subscription = Subscription.objects.get()
    assert blocked_reason(subscription.transactional_mails.get()) is None
    assert Suppression.objects.get().reason == SuppressionReason.ERASED
    confirm(ConfirmationToken(subscription.key, subscription.request_number), Evidence(form="confirm"))
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.ACTIVE
    assert not Suppression.objects.exists()
    assert (LiftedSuppression.objects.get().reason, LiftedSuppression.objects.get().by) == ("erased", "")


def test_deleted_content_is_overwritten_in_the_file_of_sqlite(tmp_path: Path) -> None:
    """Freed pages and the write-ahead log would keep an erased subscriber for long."""
    settings = database_settings(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    connection = sqlite3.connect(settings["NAME"])
    connection.executescript(settings["OPTIONS"]["init_command"])
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)")
    connection.executemany("INSERT INTO t (word) VALUES (?)", [("kanari" * 2_000,)] * 20)
    connection.commit()
    connection.execute("DELETE FROM t")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not [path.name for path in tmp_path.iterdir() if b"kanari" in path.read_bytes()]
    connection.close()
