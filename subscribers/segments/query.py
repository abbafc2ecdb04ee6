"""From a tree of rules to one filter over the subscriptions of a list."""

from __future__ import annotations

import datetime
from functools import reduce
from operator import and_, or_

from django.db.models import Exists, OuterRef, Q

from subscribers.models import Segment, SegmentPick, Subscription, SubscriptionQuerySet
from subscribers.segments.kinds import Facts, Rule
from subscribers.segments.rules import Group, Match, kind_of, rules_of


def condition_of(part: Rule | Group, facts: Facts) -> Q:
    """The filter of a checked rule or group."""
    if isinstance(part, Rule):
        return kind_of(part).condition(part, facts)
    conditions = [condition_of(each, facts) for each in part.rules]
    if part.match == Match.ALL:
        return reduce(and_, conditions)
    matched = reduce(or_, conditions)
    return ~matched if part.match == Match.NONE else matched


def matching(part: Rule | Group, facts: Facts) -> SubscriptionQuerySet:
    """The subscriptions of the list that a checked rule or group matches, in any state, each once."""
    return Subscription.objects.filter(condition_of(part, facts), mailing_list=facts.mailing_list.pk)


def segment_queryset(segment: Segment, now: datetime.datetime | None = None) -> SubscriptionQuerySet:
    """The subscriptions in the segment, in any state, each once; `now` is the time for rules about days.

    Raises RulesError if its rules cannot be used, for example because a tag was deleted.
    """
    facts = Facts(segment.mailing_list, now)
    if segment.is_picked:
        picked = SegmentPick.objects.filter(segment=segment.pk, subscription=OuterRef("pk"))
        return Subscription.objects.filter(Exists(picked), mailing_list=facts.mailing_list.pk)
    return matching(rules_of(segment, facts), facts)
