"""Audiences for tests: picked segments, topics, and issues that are sent to them."""

from __future__ import annotations

from typing import Any

from newsletter.content.document import AudienceContent
from newsletter.content.store import load_content, save_content
from newsletter.models import Delivery, Issue
from newsletter.sending.audience import Audience
from subscribers.models import MailingList, Segment, SegmentPick, Subscription, Topic, TopicOptOut


def choose(issue: Issue, **audience: Any) -> Audience:
    """Save the issue with this audience; what it is."""
    content = load_content(issue)
    fields = {name: getattr(content, name) for name in content.__slots__} | {"audience": AudienceContent(**audience)}
    save_content(issue, type(content)(**fields), by="tests")
    return Audience.of(issue)


def picked(mailing_list: MailingList, name: str, *members: Subscription) -> Segment:
    """A segment with these members."""
    segment = Segment.objects.create(mailing_list_id=mailing_list.pk, name=name, is_picked=True)
    pick(segment, *members)
    return segment


def pick(segment: Segment, *members: Subscription) -> None:
    SegmentPick.objects.bulk_create(SegmentPick(segment=segment, subscription=member) for member in members)


def topic_without(mailing_list: MailingList, slug: str, *opted_out: Subscription) -> Topic:
    """A topic that these subscriptions have opted out of."""
    topic = Topic.objects.create(mailing_list_id=mailing_list.pk, slug=slug, name=slug.capitalize())
    TopicOptOut.objects.bulk_create(TopicOptOut(topic=topic, subscription=each) for each in opted_out)
    return topic


def recipients(issue: Issue) -> dict[str, str]:
    """The list through which each subscriber gets the issue, by address; empty for the newsletter's own."""
    rows = Delivery.objects.filter(issue=issue).values_list("subscriber__address", "mailing_list__slug")
    return {address: slug or "" for address, slug in rows}
