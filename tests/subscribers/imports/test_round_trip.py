"""An export of this system, imported again: into the list that it is from, and into an empty one."""

from __future__ import annotations

import csv
import datetime
import io
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from subscribers.consent import actions
from subscribers.directory.selection import Selection
from subscribers.exports.export import export_subscribers
from subscribers.imports.control import undo
from subscribers.models import (
    Consent,
    CustomField,
    Evidence,
    ExportFormat,
    FieldKind,
    Frequency,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    SuppressionReason,
    Topic,
    TopicOptOut,
)
from subscribers.profile.fields import set_values
from subscribers.profile.tags import add_tag, get_tags
from subscribers.suppression import suppress_addresses
from tests.people import make_mailing_list, make_subscription
from tests.subscribers.imports.importing import check, counts, run, states, uploaded, work

pytestmark = pytest.mark.django_db

#: Columns that say when and how something was stored here, and not what the subscriber is.
OF_THIS_LIST = {"joined_at", "confirmed_at", "ended_at", "source", "proof"}

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
    for tag in get_tags(
        known.mailing_list, ["press", "@patron", "'-x", "Sales; EU", "a|b", '"quoted"', "back\\", "#1"]
    ):
        add_tag(tag, Subscription.objects.filter(pk=known.pk), by="ida")
    for position, (key, kind, options, value) in enumerate(FIELDS):
        field = CustomField.objects.create(
            mailing_list=known.mailing_list, key=key, label=key, kind=kind, options=list(options), position=position
        )
        set_values(known, {field: value})
    until = timezone.now().replace(microsecond=0) + datetime.timedelta(days=90)
    Subscription.objects.filter(pk=known.pk).update(paused_until=until, frequency=Frequency.WEEKLY)
    for slug in ("boats", "ports", "weather"):
        topic = Topic.objects.create(mailing_list=known.mailing_list, name=slug, slug=slug)
        if slug != "ports":
            TopicOptOut.objects.create(topic=topic, subscription=known)
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
    for slug in ("boats", "weather"):
        Topic.objects.create(mailing_list=copy, name=slug, slug=slug)
    run(check(uploaded(everybody, "harbour-notes.csv", mailing_list=copy)))
    # An address that is suppressed here is on no list.
    expected = [row for row in comparable(everybody) if row["state"] != SubscriptionState.SUPPRESSED]
    assert comparable(exported(copy)) == expected


def test_who_is_not_known_gets_what_the_export_has_with_every_reason(everybody: bytes) -> None:
    strangers = everybody.replace(b"@readers.example", b"@strangers.example")
    Subscriber.objects.all().delete()
    for _ in range(2):
        run(check(uploaded(strangers, "harbour-notes.csv")))
        assert comparable(exported()) == comparable(strangers)


def test_a_topic_that_the_list_does_not_have_is_reported(everybody: bytes) -> None:
    copy = make_mailing_list("copy")
    Topic.objects.create(mailing_list=copy, name="boats", slug="boats")
    assert check(uploaded(everybody, "harbour-notes.csv", mailing_list=copy)).dropped_values["topics_off"] == 1


def test_what_subscribers_chose_here_stays(everybody: bytes) -> None:
    Subscription.objects.update(paused_until=None)
    TopicOptOut.objects.all().delete()
    run(check(uploaded(everybody, "harbour-notes.csv"), update_mode="replace"))
    assert not TopicOptOut.objects.exists()
    assert not Subscription.objects.filter(paused_until__isnull=False).exists()


def test_an_ended_subscription_is_not_paused_and_keeps_its_topics(everybody: bytes) -> None:
    ended = everybody.replace(b"known@readers", b"ended@readers").replace(b",active,", b",unsubscribed,")
    TopicOptOut.objects.all().delete()
    run(check(uploaded(ended, "harbour-notes.csv")))
    assert Subscription.objects.get(subscriber__canonical="ended@readers.example").topic_opt_outs.count() == 2
    assert not Subscription.objects.filter(
        subscriber__canonical="ended@readers.example", paused_until__isnull=False
    ).exists()


def test_undo_removes_an_imported_pause_with_its_subscription(everybody: bytes) -> None:
    copy = make_mailing_list("copy")
    stored = run(check(uploaded(everybody, "harbour-notes.csv", mailing_list=copy)))
    undo(stored)
    work(stored)
    assert states(copy) == {}
