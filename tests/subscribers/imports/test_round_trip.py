"""An export of this system, imported again: into the list that it is from, and into an empty one."""

from __future__ import annotations

import csv
import datetime
import io
from decimal import Decimal
from typing import Any

import pytest

from subscribers.consent import actions
from subscribers.directory.selection import Selection
from subscribers.exports.export import export_subscribers
from subscribers.models import (
    Consent,
    CustomField,
    Evidence,
    ExportFormat,
    FieldKind,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    SuppressionReason,
)
from subscribers.profile.fields import set_values
from subscribers.profile.tags import add_tag, get_tags
from subscribers.suppression import suppress_addresses
from tests.people import make_mailing_list, make_subscription
from tests.subscribers.imports.importing import check, counts, run, states, uploaded

pytestmark = pytest.mark.django_db

#: Columns that say when and how something was stored here, and not what the subscriber is.
OF_THIS_LIST = {"joined_at", "confirmed_at", "ended_at", "source", "proof", "frequency", "paused_until", "topics_off"}

FIELDS: tuple[tuple[str, FieldKind, tuple[str, ...], Any], ...] = (
    ("boat", FieldKind.TEXT, (), '\'=Elster, "the second"'),
    ("year", FieldKind.NUMBER, (), Decimal("-12.5")),
    ("since", FieldKind.DATE, (), datetime.date(2020, 2, 29)),
    ("crew", FieldKind.YES_NO, (), True),
    ("ports", FieldKind.CHOICES, ("Kiel", "Brest, France"), ("Kiel", "Brest, France")),
)


def subscriber(name: str, state: str) -> Subscription:
    address = f"{name}@readers.example"
    pending = state == SubscriptionState.PENDING
    subscription = make_subscription(address, state=SubscriptionState.PENDING if pending else SubscriptionState.ACTIVE)
    if state == SubscriptionState.UNSUBSCRIBED:
        actions.unsubscribe(subscription.key, Evidence(form="unsubscribe"))
    if state in SuppressionReason.values:
        suppress_addresses({address: (SuppressionReason(state), "")}, Evidence(form="admin"))
    return subscription


@pytest.fixture
def everybody() -> bytes:
    """The export of a list with a subscriber in every state, one of them with everything that can be known."""
    for name, state in (
        ("active", SubscriptionState.ACTIVE),
        ("pending", SubscriptionState.PENDING),
        ("left", SubscriptionState.UNSUBSCRIBED),
        ("bounced", SuppressionReason.HARD_BOUNCE),
        ("complained", SuppressionReason.COMPLAINT),
        ("manual", SuppressionReason.MANUAL),
    ):
        subscriber(name, state)
    known = subscriber("known", SubscriptionState.ACTIVE)
    Subscriber.objects.filter(pk=known.subscriber_id).update(
        first_name="'+Zoë", language="de", time_zone="Europe/Berlin"
    )
    for tag in get_tags(known.mailing_list, ["press", "@patron", "'-x"]):
        add_tag(tag, Subscription.objects.filter(pk=known.pk), by="ida")
    for position, (key, kind, options, value) in enumerate(FIELDS):
        field = CustomField.objects.create(
            mailing_list=known.mailing_list, key=key, label=key, kind=kind, options=list(options), position=position
        )
        set_values(known, {field: value})
    return exported()


def exported(mailing_list: MailingList | None = None) -> bytes:
    return b"".join(export_subscribers(mailing_list or make_mailing_list(), Selection(), ExportFormat.CSV, by="ida"))


def comparable(data: bytes) -> list[dict[str, str]]:
    rows = [
        {column: cell for column, cell in row.items() if column not in OF_THIS_LIST}
        for row in csv.DictReader(io.StringIO(data.decode(), newline=""))
    ]
    return sorted(rows, key=lambda row: row["address"])


def test_a_list_whose_export_is_imported_again_does_not_change(everybody: bytes) -> None:
    before, consents = states(), Consent.objects.count()
    outcome = run(check(uploaded(everybody, "harbour-notes.csv")))
    assert counts(outcome) == {"already": 7}
    assert (states(), Consent.objects.count(), exported()) == (before, consents, everybody)


def test_another_list_gets_what_the_export_has_but_suppressed_addresses(everybody: bytes) -> None:
    copy = make_mailing_list("copy")
    run(check(uploaded(everybody, "harbour-notes.csv", mailing_list=copy)))
    # An address that is suppressed here is on no list.
    expected = [row for row in comparable(everybody) if row["state"] != SubscriptionState.SUPPRESSED]
    assert comparable(exported(copy)) == expected
