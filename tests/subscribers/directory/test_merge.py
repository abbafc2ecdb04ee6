"""Merging two addresses: everything moves, and the stronger “no” wins."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from subscribers.consent import actions
from subscribers.consent.tokens import LinkSigner, Purpose, read_key, unsubscribe_url
from subscribers.directory.edit import tag_names_of
from subscribers.directory.merge import had_addresses, merge
from subscribers.imports.confirmed import import_confirmed
from subscribers.imports.outcomes import KeptReason, Outcome
from subscribers.models import (
    Change,
    ChangeKind,
    Consent,
    CustomField,
    Evidence,
    Note,
    Segment,
    Subscriber,
    Subscription,
    SubscriptionState,
    SuppressionReason,
    Topic,
)
from subscribers.profile.fields import set_values, values_of
from subscribers.profile.tags import add_tag, get_tags
from subscribers.suppression import get_suppression, suppress_addresses
from tests.people import ADA, BEN, CLEO, make_mailing_list, make_subscription

pytestmark = pytest.mark.django_db

PENDING, ACTIVE, UNSUBSCRIBED, SUPPRESSED = SubscriptionState


def people(mine: SubscriptionState, theirs: SubscriptionState) -> tuple[Subscription, Subscription]:
    return make_subscription(ADA, state=mine), make_subscription(BEN, state=theirs)


def merged(mine: Subscription, theirs: Subscription) -> tuple[str, str]:
    """The states afterwards."""
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    mine.refresh_from_db()
    theirs.refresh_from_db()
    return mine.state, theirs.state


@pytest.mark.parametrize("theirs", SubscriptionState)
@pytest.mark.parametrize("mine", SubscriptionState)
def test_a_merge_makes_nothing_active_and_an_unsubscribe_wins(
    mine: SubscriptionState, theirs: SubscriptionState
) -> None:
    is_open = mine in (SubscriptionState.ACTIVE, SubscriptionState.PENDING)
    after, other = merged(*people(mine, theirs))
    if is_open and theirs == SubscriptionState.UNSUBSCRIBED:
        assert after == SubscriptionState.UNSUBSCRIBED
    else:
        assert after == mine
    assert other in (SubscriptionState.UNSUBSCRIBED, SubscriptionState.SUPPRESSED)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (SuppressionReason.COMPLAINT, SubscriptionState.SUPPRESSED),
        (SuppressionReason.MANUAL, SubscriptionState.SUPPRESSED),
        (SuppressionReason.HARD_BOUNCE, SubscriptionState.ACTIVE),
        (SuppressionReason.PROVIDER, SubscriptionState.ACTIVE),
    ],
)
def test_a_complaint_holds_for_both_addresses_and_a_bounce_for_its_mailbox(
    reason: SuppressionReason, expected: SubscriptionState
) -> None:
    mine, theirs = people(SubscriptionState.ACTIVE, SubscriptionState.ACTIVE)
    suppress_addresses({BEN: (reason, "")})
    assert merged(mine, theirs) == (expected, SubscriptionState.SUPPRESSED)
    assert (get_suppression(ADA) is None) == (expected == SubscriptionState.ACTIVE)


def test_what_moves_to_a_suppressed_address_ends() -> None:
    mine = make_subscription(ADA)
    suppress_addresses({ADA: (SuppressionReason.COMPLAINT, "")})
    theirs = make_subscription(BEN, make_mailing_list("tide-tables", name="Tide Tables"))
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    theirs.refresh_from_db()
    assert (theirs.subscriber_id, theirs.state) == (mine.subscriber_id, SubscriptionState.SUPPRESSED)
    assert get_suppression(BEN)


def test_a_subscription_of_another_list_moves_with_its_consents_and_links() -> None:
    mine = make_subscription(ADA)
    theirs = make_subscription(BEN, make_mailing_list("tide-tables", name="Tide Tables"))
    actions.pause(theirs.key, 2, Evidence(form="preferences"))
    token = LinkSigner(Purpose.UNSUBSCRIBE).token(theirs.key.bytes)
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    key = read_key(Purpose.UNSUBSCRIBE, token)
    assert key
    moved = Subscription.objects.get(key=key)
    assert (moved.subscriber_id, moved.state) == (mine.subscriber_id, SubscriptionState.ACTIVE)
    assert Consent.objects.get(subscription=moved).address == BEN


def test_no_file_adds_the_merged_address_again_to_a_list_that_its_subscription_left() -> None:
    mine = make_subscription(ADA)
    theirs = make_subscription(BEN, make_mailing_list("tide-tables", name="Tide Tables"))
    actions.unsubscribe(theirs.key, Evidence(form="unsubscribe"))
    merge(mine.subscriber_id, theirs.subscriber_id, by="ida")
    result = import_confirmed(theirs.mailing_list, [BEN], proof="An old file.")
    assert result.outcomes == {Outcome.KEPT: {KeptReason.DELETED: 1}}


def test_tags_fields_segments_topics_notes_and_details_are_joined() -> None:
    mine, theirs = people(SubscriptionState.ACTIVE, SubscriptionState.ACTIVE)
    mailing_list = mine.mailing_list
    for subscription, names in ((mine, ["patron", "de"]), (theirs, ["patron", "press"])):
        for tag in get_tags(mailing_list, names):
            add_tag(tag, Subscription.objects.filter(pk=subscription.pk), by="ida")
    boat, city = (CustomField.objects.create(mailing_list=mailing_list, key=key, label=key) for key in ("boat", "city"))
    set_values(mine, {boat: "Elster"})
    set_values(theirs, {boat: "Möwe", city: "Kiel"})
    segment = Segment.objects.create(mailing_list=mailing_list, name="Jury", is_picked=True)
    segment.picks.create(subscription=theirs)
    topic = Topic.objects.create(mailing_list=mailing_list, name="Ships", slug="ships")
    topic.opt_outs.create(subscription=theirs)
    Note.objects.create(subscriber=theirs.subscriber, text="Called.", by="ida")
    Subscriber.objects.filter(canonical=BEN).update(first_name="Ben", language="de")
    until = timezone.now() + datetime.timedelta(days=9)
    Subscription.objects.filter(pk=theirs.pk).update(paused_until=until)
    merged(mine, theirs)
    assert tag_names_of(mine) == ["de", "patron", "press"]
    assert values_of([mine.pk])[mine.pk] == {"boat": "Elster", "city": "Kiel"}
    assert segment.picks.get().subscription == mine
    assert topic.opt_outs.get().subscription == mine
    assert mine.paused_until == until
    kept = Subscriber.objects.get(canonical=ADA)
    assert (kept.first_name, kept.language) == ("Ben", "de")
    assert kept.notes.get().text == "Called."
    left = Change.objects.get(subscriber__canonical=BEN)
    assert (left.kind, left.subscription, left.values) == (ChangeKind.MERGED, theirs, {"into": kept.pk})
    change = Change.objects.get(kind=ChangeKind.MERGED, subscriber=kept)
    assert (change.subscriber_id, change.by, change.values["from"]) == (kept.pk, "ida", BEN)
    asked = [(kept.pk, BEN), (kept.pk, "gus@example.org"), (kept.pk, "?"), (theirs.subscriber_id, BEN)]
    assert had_addresses(asked) == {(kept.pk, BEN)}


def test_links_in_mails_to_the_merged_address_end_the_subscription_that_is_kept(client: Client) -> None:
    mine, theirs = people(ACTIVE, ACTIVE)
    elsewhere = make_subscription(ADA, make_mailing_list("tide-tables", name="Tide Tables"))
    assert merged(mine, theirs) == (ACTIVE, UNSUBSCRIBED)
    last = make_subscription(CLEO)
    # Merged once more: links of the first address still lead to where its subscription has gone.
    assert merged(last, mine) == (ACTIVE, UNSUBSCRIBED)
    url = unsubscribe_url(theirs.key)
    assert 'value="unsubscribe"' in client.get(url).content.decode()
    client.post(url, {"List-Unsubscribe": "One-Click"})
    client.post(url, {"List-Unsubscribe": "One-Click"})
    last.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (last.state, elsewhere.state) == (UNSUBSCRIBED, ACTIVE)
    assert Consent.objects.filter(subscription=last, kind="unsubscribed").count() == 1


def test_a_merged_address_that_subscribed_again_has_links_of_its_own() -> None:
    mine, theirs = people(ACTIVE, ACTIVE)
    merged(mine, theirs)
    Subscription.objects.filter(pk=theirs.pk).update(state=ACTIVE, confirmed_at=timezone.now(), ended_at=None)
    for _ in range(2):
        actions.unsubscribe(actions.joined_key(theirs.key), Evidence(form="one-click"))
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.state, theirs.state) == (ACTIVE, UNSUBSCRIBED)


def test_two_addresses_that_were_merged_into_each_other_have_links_that_end() -> None:
    mine, theirs = people(ACTIVE, ACTIVE)
    merged(mine, theirs)
    merged(theirs, mine)
    assert {actions.joined_key(mine.key), actions.joined_key(theirs.key)} <= {mine.key, theirs.key}
