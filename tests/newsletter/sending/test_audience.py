"""Audiences: several lists, segments and topics; each subscriber once, and nobody who said no."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import orjson
import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from newsletter.content.document import AudienceContent
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.store import import_issue, load_content
from newsletter.models import (
    AudiencePart,
    AudiencePartKind,
    Batch,
    Delivery,
    DeliveryState,
    InvalidTransition,
    Issue,
    Reason,
    Send,
    SendState,
)
from newsletter.providers.base import Provider
from newsletter.sending.audience import Audience
from newsletter.sending.audience_words import audience_in_words
from newsletter.sending.batch import claim_batch
from newsletter.sending.check import audience_snapshot, findings_of
from newsletter.sending.control import cancel_send
from newsletter.sending.expand import expand_audience
from newsletter.sending.mailed import mailed_subscribers
from newsletter.sending.manifest import Approval, read_manifest
from newsletter.sending.schedule import IssueRefused, dry_run, schedule_issue, send_now
from newsletter.sending.waves import LocalTime
from subscribers.models import (
    MailingList,
    Segment,
    SegmentPick,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    Tag,
    TopicOptOut,
)
from tests import people
from tests.newsletter.sending.audiences import choose, pick, picked, recipients, topic_without
from tests.publications import content, expand_audiences, make_issue, make_newsletter, send_of, start_sending

BO, CY, DI = "bo@example.org", "cy@example.org", "di@example.org"
WEEKEND = "weekend"


@pytest.fixture
def weekend(db: None) -> MailingList:
    """Another newsletter's list."""
    return make_newsletter(WEEKEND, name="Weekend")


def start(issue: Issue) -> Send:
    start_sending(issue)
    expand_audiences(batch_size=2, chunk=2)
    return send_of(issue)


def tagged(mailing_list: MailingList, name: str, *subscriptions: Subscription) -> Segment:
    """A segment by rule: subscriptions with a tag."""
    tag = Tag.objects.create(mailing_list_id=mailing_list.pk, name=name)
    SubscriptionTag.objects.bulk_create(SubscriptionTag(tag=tag, subscription=each) for each in subscriptions)
    rule = {"kind": "tag", "field": "", "comparison": "is", "value": str(tag.pk)}
    rules = {"match": "all", "rules": [rule]}
    return Segment.objects.create(mailing_list_id=mailing_list.pk, name=name, rules=rules)


# --- Segments and topics of the newsletter's own list


def test_only_subscribers_in_one_of_the_chosen_segments_get_the_issue(issue: Issue) -> None:
    ada, bo, cy = (people.make_subscription(address, issue.newsletter) for address in (people.ADA, BO, CY))
    picked(issue.newsletter, "Locals", ada)
    tagged(issue.newsletter, "Sailors", bo)
    choose(issue, segments=("Locals", "Sailors"))
    send = start(issue)
    assert recipients(issue) == {people.ADA: "", BO: ""}
    assert send.excluded == {"not_in_segment": 1}
    assert cy.pk


def test_excluded_segments_and_topics_leave_subscribers_out_with_the_first_reason(issue: Issue) -> None:
    ada, bo, cy, di = (people.make_subscription(address, issue.newsletter) for address in (people.ADA, BO, CY, DI))
    picked(issue.newsletter, "Customers", bo, cy)
    topic_without(issue.newsletter, "boats", cy, di)
    people.cleo(issue.newsletter)
    choose(issue, exclude=("Customers",), topic="boats")
    before = audience_snapshot(issue)
    send = start(issue)
    assert recipients(issue) == {people.ADA: ""}
    assert send.excluded == before.excluded == {"unsubscribed": 1, "topic": 2, "excluded_segment": 1}
    assert (before.count, ada.pk) == (1, ada.pk)


def test_a_suppressed_or_paused_member_of_a_segment_gets_nothing(issue: Issue) -> None:
    members = [person(issue.newsletter) for person in (people.ada, people.ben, people.dina, people.finn)]
    picked(issue.newsletter, "Locals", *members)
    choose(issue, segments=("Locals",))
    send = start(issue)
    assert recipients(issue) == {people.ADA: ""}
    assert send.excluded == {"waiting_for_confirmation": 1, "suppressed": 1, "paused": 1}


# --- Several lists


def test_a_subscriber_of_several_lists_gets_the_issue_once_through_the_newsletters_own(
    issue: Issue, weekend: MailingList
) -> None:
    people.make_subscription(people.ADA, weekend)
    people.make_subscription(people.ADA, issue.newsletter)
    people.make_subscription(BO, weekend)
    people.make_subscription(CY, issue.newsletter)
    choose(issue, lists=(WEEKEND,))
    assert audience_snapshot(issue).count == dry_run(issue).recipients == 3
    send = start(issue)
    assert recipients(issue) == {people.ADA: "", CY: "", BO: WEEKEND}
    assert (send.expanded_at is not None, send.excluded) == (True, {})


def test_the_first_list_that_includes_a_subscriber_carries_the_issue(issue: Issue, weekend: MailingList) -> None:
    other = make_newsletter("monday", name="Monday")
    for mailing_list in (weekend, other):
        people.make_subscription(people.ADA, mailing_list)
    bo = people.make_subscription(BO, weekend)
    people.make_subscription(BO, other)
    picked(weekend, "Locals", bo)
    people.make_subscription(CY, issue.newsletter)
    choose(issue, lists=(WEEKEND, "monday"), segments=("weekend: Locals",))
    start(issue)
    assert recipients(issue) == {people.ADA: "monday", BO: WEEKEND, CY: ""}


@pytest.mark.parametrize("no", ["unsubscribed", "suppressed", "paused", "topic", "excluded"])
def test_a_no_to_the_newsletter_counts_for_its_other_lists(issue: Issue, weekend: MailingList, no: str) -> None:
    fields: dict[str, Any] = {"state": SubscriptionState(no)} if no in SubscriptionState.values else {}
    if no == "paused":
        fields = {"paused_until": timezone.now() + datetime.timedelta(weeks=1)}
    own = people.make_subscription(people.ADA, issue.newsletter, **fields)
    people.make_subscription(people.ADA, weekend)
    people.make_subscription(BO, weekend)
    topic_without(issue.newsletter, "boats", *([own] if no == "topic" else []))
    picked(issue.newsletter, "Customers", *([own] if no == "excluded" else []))
    choose(issue, lists=(WEEKEND,), topic="boats", exclude=("Customers",))
    assert dry_run(issue).recipients == 1
    start(issue)
    assert recipients(issue) == {BO: WEEKEND}


def test_whoever_has_not_confirmed_here_gets_it_through_the_list_that_they_confirmed(
    issue: Issue, weekend: MailingList
) -> None:
    people.make_subscription(people.BEN, issue.newsletter, state=SubscriptionState.PENDING)
    people.make_subscription(people.BEN, weekend)
    choose(issue, lists=(WEEKEND,))
    send = start(issue)
    assert recipients(issue) == {people.BEN: WEEKEND}
    assert send.excluded == {}


def test_the_mail_has_the_links_and_headers_of_the_list_that_carries_it(
    issue: Issue, weekend: MailingList, provider: Provider
) -> None:
    own = people.make_subscription(people.ADA, issue.newsletter)
    other = people.make_subscription(BO, weekend)
    choose(issue, lists=(WEEKEND,))
    start_sending(issue)
    expand_audiences()
    bodies = [claimed.body for claimed in (claim_batch(provider), claim_batch(provider)) if claimed]
    mails = {mail["to"][0]: mail for body in bodies for mail in orjson.loads(body)}
    for subscription, newsletter in ((own, issue.newsletter), (other, make_newsletter(WEEKEND))):
        mail = mails[subscription.subscriber.address]
        assert mail["headers"]["List-Id"] == f"<list-{newsletter.pk}.127.0.0.1>"
        assert f"subscribed to {newsletter.name}." in " ".join(mail["text"].split())
        assert newsletter.web_url in mail["html"]
        assert mail["headers"]["List-Unsubscribe"].strip("<>") in mail["html"]
    assert mails[people.ADA]["headers"]["List-Unsubscribe"] != mails[BO]["headers"]["List-Unsubscribe"]
    assert "zq" + send_of(issue).edition.nonce not in repr(mails)


@pytest.mark.parametrize(
    ("leaves", "reason"),
    [
        ("carrying", Reason.UNSUBSCRIBED),
        ("own", Reason.UNSUBSCRIBED),
        ("own_suppressed", Reason.SUPPRESSED),
        ("own_paused", Reason.SUBSCRIPTION_PAUSED),
    ],
)
def test_a_recipient_of_another_list_who_says_no_after_the_expansion_is_skipped(
    issue: Issue, weekend: MailingList, provider: Provider, leaves: str, reason: Reason
) -> None:
    own = people.make_subscription(people.ADA, issue.newsletter, state=SubscriptionState.PENDING)
    carrying = people.make_subscription(people.ADA, weekend)
    people.make_subscription(people.ADA, make_newsletter("monday", name="Monday"))
    people.make_subscription(BO, weekend)
    choose(issue, lists=(WEEKEND, "monday"))
    start_sending(issue)
    expand_audiences()
    left = Subscription.objects.filter(pk=carrying.pk if leaves == "carrying" else own.pk)
    if leaves == "own_paused":
        left.update(state=SubscriptionState.ACTIVE, confirmed_at=timezone.now())
        left.update(paused_until=timezone.now() + datetime.timedelta(weeks=1))
    else:
        state = SubscriptionState.SUPPRESSED if leaves == "own_suppressed" else SubscriptionState.UNSUBSCRIBED
        left.update(state=state, ended_at=timezone.now())
    claimed = claim_batch(provider)
    assert claimed
    assert [mail["to"] for mail in orjson.loads(claimed.body)] == [[BO]]
    skipped = Delivery.objects.get(state=DeliveryState.SKIPPED)
    assert (skipped.reason, skipped.mailing_list_id) == (reason, weekend.pk)


def test_whoever_leaves_the_own_list_is_skipped_although_another_list_has_them(
    issue: Issue, weekend: MailingList, provider: Provider
) -> None:
    own = people.make_subscription(people.ADA, issue.newsletter)
    people.make_subscription(people.ADA, weekend)
    choose(issue, lists=(WEEKEND,))
    start_sending(issue)
    expand_audience(batch_size=100)
    Subscription.objects.filter(pk=own.pk).update(state=SubscriptionState.UNSUBSCRIBED)
    expand_audiences()
    assert claim_batch(provider) is None
    assert Delivery.objects.get().reason == Reason.UNSUBSCRIBED


@pytest.mark.parametrize("through", ["own", WEEKEND])
def test_whoever_leaves_the_topic_after_the_expansion_is_skipped(
    issue: Issue, weekend: MailingList, provider: Provider, through: str
) -> None:
    is_own = through == "own"
    state = SubscriptionState.ACTIVE if is_own else SubscriptionState.PENDING
    own = people.make_subscription(people.ADA, issue.newsletter, state=state)
    people.make_subscription(people.ADA, weekend)
    people.make_subscription(BO, issue.newsletter)
    topic = topic_without(issue.newsletter, "boats")
    other = topic_without(issue.newsletter, "birds")
    choose(issue, lists=() if is_own else (WEEKEND,), topic="boats")
    start_sending(issue)
    expand_audiences(batch_size=1)
    TopicOptOut.objects.create(topic=topic, subscription=own)
    TopicOptOut.objects.create(topic=other, subscription=Subscription.objects.get(subscriber__address=BO))
    claimed = claim_batch(provider)
    assert claimed
    assert [mail["to"] for mail in orjson.loads(claimed.body)] == [[BO]]
    assert claim_batch(provider) is None
    assert Delivery.objects.get(state=DeliveryState.SKIPPED).reason == Reason.TOPIC_LEFT


def test_a_topic_that_is_left_soon_after_a_lost_attempt_does_not_delay_the_others(
    issue: Issue, provider: Provider
) -> None:
    ada, _bo = (people.make_subscription(address, issue.newsletter) for address in (people.ADA, BO))
    topic = topic_without(issue.newsletter, "boats")
    choose(issue, topic="boats")
    start_sending(issue)
    expand_audiences()
    first = claim_batch(provider)
    assert first
    TopicOptOut.objects.create(topic=topic, subscription=ada)
    Batch.objects.update(lease_until=timezone.now())
    second = claim_batch(provider)
    assert second
    assert (second.body, second.key) == (first.body, first.key)
    an_hour_ago = timezone.now() - datetime.timedelta(hours=1)
    Batch.objects.update(lease_until=timezone.now(), first_attempt_at=an_hour_ago)
    assert claim_batch(provider) is None
    assert Batch.objects.get().reason == Reason.RECIPIENT_LEFT_UNKNOWN


def test_whoever_got_the_issue_through_another_list_counts_as_mailed_there(issue: Issue, weekend: MailingList) -> None:
    """An import into that list that is undone keeps them: the links of the mail have to work."""
    ada, bo, cy = (
        people.make_subscription(address, mailing_list).subscriber_id
        for address, mailing_list in ((people.ADA, weekend), (BO, issue.newsletter), (CY, weekend))
    )
    picked(weekend, "Locals", Subscription.objects.get(subscriber=ada))
    choose(issue, lists=(WEEKEND,), segments=("weekend: Locals",))
    start(issue)
    assert mailed_subscribers(weekend.pk, [ada, bo, cy]) == {ada}
    assert mailed_subscribers(issue.newsletter_id, [ada, bo, cy]) == {bo}


# --- Expansion in chunks


def test_a_tag_that_changes_during_the_expansion_counts_for_those_who_come_later(issue: Issue) -> None:
    everyone = people.make_subscriptions(6, issue.newsletter)
    segment = picked(issue.newsletter, "Locals", *everyone[:4])
    choose(issue, segments=("Locals",))
    start_sending(issue)
    expand_audience(batch_size=10, chunk=2)
    SegmentPick.objects.all().delete()
    pick(segment, everyone[0], everyone[5])
    expand_audiences(batch_size=10, chunk=2)
    # The first two got it before the change; of the others, the one who is in the segment now.
    assert set(Delivery.objects.values_list("subscriber", flat=True)) == {
        each.subscriber_id for each in (everyone[0], everyone[1], everyone[5])
    }


def test_the_rules_of_a_send_are_those_of_its_start(issue: Issue) -> None:
    everyone = people.make_subscriptions(4, issue.newsletter)
    segment = tagged(issue.newsletter, "Sailors", *everyone[:3])
    choose(issue, segments=("Sailors",))
    start_sending(issue)
    expand_audience(batch_size=10, chunk=1)
    Segment.objects.filter(pk=segment.pk).update(rules={"match": "any", "rules": []}, name="Changed")
    expand_audiences(batch_size=10, chunk=1)
    assert Delivery.objects.count() == 3
    assert "Sailors" in " ".join(audience_in_words(Audience.of_send(send_of(issue))))


@pytest.mark.parametrize(
    ("kind", "comparison", "finds"),
    [
        ("received", "last", {people.ADA}),
        ("received", "not_last", {BO}),
        ("opened", "not_last", {people.ADA, BO}),
        ("ignored", "last", {people.ADA}),
    ],
)
@pytest.mark.parametrize("is_excluded", [False, True])
def test_the_issue_that_is_sent_is_not_the_last_one_of_its_own_audience(
    issue: Issue, kind: str, comparison: str, finds: set[str], is_excluded: bool
) -> None:
    people.make_subscription(people.ADA, issue.newsletter, tracking_agreed_at=timezone.now())
    start(issue)
    Delivery.objects.update(state=DeliveryState.ACCEPTED)
    people.make_subscription(BO, issue.newsletter)
    rule = {"kind": kind, "field": "", "comparison": comparison, "value": "1"}
    rules = {"match": "all", "rules": [rule]}
    Segment.objects.create(mailing_list_id=issue.newsletter_id, name="About the last issue", rules=rules)
    second = make_issue("issue-2")
    choose(second, **{"exclude" if is_excluded else "segments": ("About the last issue",)})
    expected = {people.ADA, BO} - finds if is_excluded else finds
    if not expected:
        # The pre-flight check refuses an issue without recipients.
        assert audience_snapshot(second).count == 0
        return
    before = dry_run(second)
    send = start(second)
    assert set(recipients(second)) == expected
    assert (before.recipients, before.excluded) == (len(expected), send.excluded)


def test_a_subscriber_who_is_in_neither_list_at_once_is_not_lost_between_them(
    issue: Issue, weekend: MailingList
) -> None:
    own = people.make_subscription(people.ADA, issue.newsletter)
    people.make_subscription(people.ADA, weekend)
    locals_ = picked(issue.newsletter, "Locals")
    people.make_subscription(BO, issue.newsletter)
    choose(issue, lists=(WEEKEND,), segments=("Locals",))
    start_sending(issue)
    expand_audience(batch_size=10)
    # The own list is over. From now on it would include her, but nothing is made of it any more.
    pick(locals_, own)
    expand_audiences()
    assert recipients(issue) == {people.ADA: WEEKEND}


def test_a_segment_cannot_be_deleted_while_a_send_makes_its_deliveries(issue: Issue) -> None:
    everyone = people.make_subscriptions(2, issue.newsletter)
    segment = picked(issue.newsletter, "Locals", *everyone)
    choose(issue, segments=("Locals",))
    start_sending(issue)
    expand_audience(batch_size=1, chunk=1)
    with pytest.raises(ProtectedError):
        segment.delete()
    expand_audiences()
    segment.delete()
    assert load_content(issue).audience.segments == ("Locals",)


def test_a_send_whose_segment_is_gone_is_paused_and_nobody_else_gets_it(issue: Issue) -> None:
    everyone = people.make_subscriptions(3, issue.newsletter)
    segment = picked(issue.newsletter, "Locals", everyone[0], everyone[1])
    choose(issue, segments=("Locals",))
    start_sending(issue)
    expand_audience(batch_size=1, chunk=1)
    AudiencePart.objects.update(segment=None)
    segment.delete()
    assert expand_audience(batch_size=1, chunk=1)
    send = send_of(issue)
    assert (send.state, send.hold_reason) == (SendState.PAUSED, Reason.AUDIENCE_GONE)
    assert "The segment “Locals” cannot be used: It was deleted." in send.hold_sentence
    assert Delivery.objects.count() == 1
    cancel_send(send, by="tests")


def test_a_topic_cannot_be_deleted_while_a_send_makes_its_deliveries(issue: Issue) -> None:
    everyone = people.make_subscriptions(2, issue.newsletter)
    topic = topic_without(issue.newsletter, "ships", everyone[1])
    choose(issue, topic="ships")
    start_sending(issue)
    expand_audience(batch_size=1, chunk=1)
    with pytest.raises(ProtectedError):
        topic.delete()
    # As a restored backup or a statement of an operator may leave it.
    AudiencePart.objects.update(topic=None)
    topic.delete()
    assert expand_audience(batch_size=1, chunk=1)
    send = send_of(issue)
    assert (send.state, send.hold_reason) == (SendState.PAUSED, Reason.AUDIENCE_GONE)
    assert "The topic “Ships” was deleted." in send.hold_sentence
    assert Delivery.objects.count() == 1


def test_a_cancellation_counts_those_of_all_lists_who_were_not_reached(issue: Issue, weekend: MailingList) -> None:
    for address in (people.ADA, BO):
        people.make_subscription(address, issue.newsletter)
        people.make_subscription(address, weekend)
    people.make_subscription(CY, weekend)
    people.make_subscription(DI, weekend)
    choose(issue, lists=(WEEKEND,))
    start_sending(issue)
    expand_audience(batch_size=1, chunk=1)
    cancel_send(send_of(issue), by="tests")
    assert send_of(issue).excluded == {"cancelled_before_their_turn": 3}


def test_warm_up_and_local_times_work_with_several_lists(issue: Issue, weekend: MailingList) -> None:
    for address, mailing_list, zone in (
        (people.ADA, issue.newsletter, "Asia/Tokyo"),
        (BO, weekend, "Europe/Paris"),
        (CY, weekend, "Asia/Tokyo"),
    ):
        subscriber = people.make_subscription(address, mailing_list).subscriber
        subscriber.time_zone = zone
        subscriber.save()
    people.make_subscription(people.ADA, weekend)
    audience = choose(issue, lists=(WEEKEND,))
    wall = datetime.datetime(2030, 5, 1, 7)
    local = LocalTime(wall=wall, zone="UTC")
    assert dry_run(issue, local=local).batches == 3
    issue.newsletter.warm_up_since = timezone.now().date()
    issue.newsletter.save()
    send = start_sending(issue)
    Send.objects.filter(pk=send.pk).update(
        is_local=True,
        scheduled_wall=wall.isoformat(timespec="minutes"),
        scheduled_zone="UTC",
        scheduled_at=timezone.now(),
    )
    expand_audiences()
    assert recipients(issue) == {people.ADA: "", BO: WEEKEND, CY: WEEKEND}
    assert Batch.objects.values("not_before").distinct().count() == 2
    assert len(audience.lists) == 2


# --- What an issue says of its audience


def test_the_audience_is_part_of_the_content_and_ends_an_approval(issue: Issue) -> None:
    revision = issue.revision
    Segment.objects.create(mailing_list_id=issue.newsletter_id, name="Locals")
    issue.move("approved", by="tests", approved_revision=issue.revision)
    choose(issue, segments=("Locals",))
    issue.refresh_from_db()
    assert (issue.state, issue.revision) == ("draft", revision + 1)
    people.ada(issue.newsletter)
    start_sending(issue)
    with pytest.raises(Exception, match="no longer a draft"):
        choose(issue)


def test_a_renamed_segment_stays_in_the_audience(issue: Issue, weekend: MailingList) -> None:
    segment = Segment.objects.create(mailing_list_id=weekend.pk, name="Locals", is_picked=True)
    choose(issue, lists=(WEEKEND,), exclude=("weekend: Locals",))
    Segment.objects.filter(pk=segment.pk).update(name="Natives")
    assert load_content(issue).audience.exclude == ("weekend: Natives",)


def test_a_name_that_names_nothing_stops_the_issue_until_it_exists(issue: Issue) -> None:
    ada = people.ada(issue.newsletter)
    audience = choose(issue, segments=("Locals",), topic="boats", lists=("nowhere",))
    assert len(audience.problems) == 3
    assert audience_snapshot(issue).count == 0
    with pytest.raises(IssueRefused, match="names the segment “Locals”, which does not exist"):
        send_now(issue, by="tests")
    picked(issue.newsletter, "Locals", ada)
    choose(issue, segments=("Locals",))
    assert not Audience.of(issue).problems


def test_deleting_its_only_segment_does_not_send_the_issue_to_everybody(issue: Issue) -> None:
    segment = picked(issue.newsletter, "Locals", people.ada(issue.newsletter))
    choose(issue, segments=("Locals",))
    segment.delete()
    assert Audience.of(issue).of_list(0, timezone.now()).count() == 0
    assert [finding.code for finding in findings_of(issue) if finding.family == "audience"] == ["audience_broken"]


def test_a_segment_with_unusable_rules_is_an_error_with_the_reason(issue: Issue) -> None:
    people.ada(issue.newsletter)
    segment = tagged(issue.newsletter, "Sailors")
    choose(issue, exclude=("Sailors",))
    Tag.objects.all().delete()
    with pytest.raises(IssueRefused, match="“Sailors” cannot be used: The chosen value no longer exists"):
        send_now(issue, by="tests")
    assert segment.pk


def test_a_segment_of_a_list_that_does_not_get_the_issue_is_an_error(issue: Issue, weekend: MailingList) -> None:
    people.ada(issue.newsletter)
    picked(weekend, "Locals")
    assert (
        "belongs to a list to which the issue is not sent" in choose(issue, segments=("weekend: Locals",)).problems[0]
    )


def test_an_audience_without_anybody_is_an_error_that_says_what_to_change(issue: Issue) -> None:
    people.ada(issue.newsletter)
    picked(issue.newsletter, "Locals")
    choose(issue, segments=("Locals",))
    (finding,) = (finding for finding in findings_of(issue) if finding.family == "audience")
    assert (finding.code, "Change the audience" in finding.message) == ("no_recipients", True)


def test_the_database_refuses_a_segment_that_is_included_and_excluded(issue: Issue) -> None:
    segment = Segment.objects.create(mailing_list_id=issue.newsletter_id, name="Locals")
    kinds = (AudiencePartKind.SEGMENT, AudiencePartKind.EXCLUDED)
    with pytest.raises(IntegrityError), transaction.atomic():
        AudiencePart.objects.bulk_create(
            AudiencePart(issue=issue, position=place, kind=kind, name="Locals", segment=segment)
            for place, kind in enumerate(kinds)
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        AudiencePart.objects.create(issue=issue, position=1, kind=AudiencePartKind.TOPIC, name="x", segment=segment)


# --- Files


AUDIENCE = AudienceContent(
    lists=(WEEKEND,), segments=("Locals, near", "weekend: Sailors"), exclude=("Customers",), topic="boats"
)


def test_the_audience_survives_a_file() -> None:
    written = replace(content(), audience=AUDIENCE)
    text = write_issue_file(written)
    assert "\ntopic: boats\nlists: [weekend]\n" in text
    assert read_issue_file(text).content == written


def test_a_file_that_names_no_audience_leaves_it_as_it_is(issue: Issue) -> None:
    Segment.objects.create(mailing_list_id=issue.newsletter_id, name="Locals")
    choose(issue, segments=("Locals",))
    silent = write_issue_file(replace(content(), title="Another title"))
    import_issue(issue.newsletter, read_issue_file(silent))
    issue.refresh_from_db()
    assert (issue.title, load_content(issue).audience.segments) == ("Another title", ("Locals",))
    import_issue(issue.newsletter, read_issue_file(silent.replace("\nslug:", "\nsegments: []\nslug:")))
    assert load_content(issue).audience == AudienceContent()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("segments: {a: b}", "must be a list of names"),
        ("segments: [Locals, Locals]", "has the same name twice"),
        ("segments: ['']", "has an empty name"),
        (f"exclude: ['{'x' * 201}']", "more than 200 characters"),
        (f"lists: [{', '.join(f'l{number}' for number in range(11))}]", "at most 10 other lists"),
        ("segments: [A]\nexclude: [A]", "is included and excluded"),
        ("topic: [a, b]", "must be one line of text"),
    ],
)
def test_a_wrong_audience_in_a_file_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    text = write_issue_file(content()).replace("\nslug:", f"\n{line}\nslug:")
    with pytest.raises(Exception, match=sentence):
        read_issue_file(text)


# --- The manifest


def test_the_manifest_names_lists_segments_and_topic_with_counts(issue: Issue, weekend: MailingList) -> None:
    ada = people.make_subscription(people.ADA, issue.newsletter)
    people.make_subscription(BO, weekend)
    picked(issue.newsletter, "Locals", ada)
    tagged(weekend, "Sailors")
    topic_without(issue.newsletter, "boats")
    choose(issue, lists=(WEEKEND,), segments=("Locals",), exclude=("weekend: Sailors",), topic="boats")
    manifest = dry_run(issue)
    listed = manifest.as_json()["audience"]
    assert [(each["slug"], each["recipients"]) for each in listed["lists"]] == [("harbour-notes", 1), (WEEKEND, 1)]
    assert [(each["list"], each["name"], each["is_excluded"], each["subscribers"]) for each in listed["segments"]] == [
        ("harbour-notes", "Locals", False, 1),
        (WEEKEND, "Sailors", True, 0),
    ]
    assert listed["topic"] == "boats"
    assert read_manifest(orjson.loads(manifest.as_text())) == manifest


def test_changed_rules_with_the_same_recipients_stop_an_approved_send(issue: Issue) -> None:
    ada = people.make_subscription(people.ADA, issue.newsletter)
    segment = tagged(issue.newsletter, "Sailors", ada)
    choose(issue, segments=("Sailors",))
    approved = Approval.of(dry_run(issue))
    rules = segment.rules | {"match": "any"}
    Segment.objects.filter(pk=segment.pk).update(rules=rules, name="Renamed")
    with pytest.raises(IssueRefused, match="the rules of a segment, changed since the approval"):
        send_now(issue, by="tests", approved=approved)
    Segment.objects.filter(pk=segment.pk).update(rules=segment.rules)
    assert send_now(issue, by="tests", approved=approved).audience["segments"][0]["rules"] == segment.rules


def test_a_manifest_from_before_audiences_still_has_its_hash(issue: Issue) -> None:
    people.ada(issue.newsletter)
    stored = dry_run(issue).as_json()
    without = {name: value for name, value in stored.items() if name != "audience"}
    assert read_manifest(without).sha256 == stored["sha256"]


def test_the_audience_of_a_schedule_is_computed_when_sending_starts(issue: Issue, weekend: MailingList) -> None:
    ada = people.make_subscription(people.ADA, issue.newsletter)
    bo = people.make_subscription(BO, issue.newsletter)
    segment = picked(issue.newsletter, "Locals", ada)
    choose(issue, segments=("Locals",))
    wall = datetime.datetime.now() + datetime.timedelta(days=2)
    send = schedule_issue(issue, wall=wall.replace(second=0, microsecond=0), zone="UTC", by="tests")
    assert send.audience == {}
    pick(segment, bo)
    send_now(issue, by="tests")
    expand_audiences()
    assert recipients(issue) == {people.ADA: "", BO: ""}
    with pytest.raises(InvalidTransition):
        send_now(issue, by="tests")


def test_the_audience_is_said_in_words(issue: Issue, weekend: MailingList) -> None:
    assert audience_in_words(Audience.of(issue)) == ("All active subscribers of Harbour Notes.",)
    for name in ("Locals", "Natives"):
        picked(issue.newsletter, name)
    picked(weekend, "Sailors")
    topic_without(issue.newsletter, "boats")
    audience = choose(
        issue, lists=(WEEKEND,), segments=("Locals", "Natives"), exclude=("weekend: Sailors",), topic="boats"
    )
    assert audience_in_words(audience) == (
        "Active subscribers of Harbour Notes in one of the segments “Locals”, “Natives”.",
        "All active subscribers of Weekend.",
        "Without the segment “Sailors”.",
        "Without subscribers who opted out of the topic “Boats”.",
    )


def test_another_issue_of_the_newsletter_keeps_its_own_audience(issue: Issue) -> None:
    picked(issue.newsletter, "Locals")
    choose(issue, segments=("Locals",))
    assert Audience.of(make_issue("issue-2", issue.newsletter)).is_default
