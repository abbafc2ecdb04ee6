"""The audience: whom an issue is sent to, as lists, segments and a topic, and the queries over it.

    parts of the issue ─► Audience ─► manifest, pre-flight       as they are now
                              └─────► Send.audience ─► expand    as they were when the send started

Lists and the rules of segments are frozen when a send starts. Whether a subscriber matches them is decided once, when
the chunk with their subscription is expanded: a tag that changes during the expansion counts for those who come later.

The newsletter's own list comes first, then the others in their order. A subscriber of several gets the issue through
the first that includes them. A "no" to the newsletter itself – unsubscribed, suppressed, paused, opted out of the topic
– counts for all lists, and so does an excluded segment.

Subscribers of the newsletter's own list who chose the weekly digest do not get an issue for the whole list by itself,
through no list: it waits for the digest, which only they get. An issue for segments or a topic is sent to them, too:
the digest is the same for all, and must not show it to others. Whether an issue leaves them out is frozen with its
send, so that it is in a digest if, and only if, they were left out.

Some get an issue through another list before they are weekly subscribers of the newsletter's own: they confirm it, or
are imported, in the middle of a week. The digest would repeat that issue. So subscribers with a delivery of one issue
of the week get the others by themselves, too, and not the digest.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from operator import or_
from typing import Any, Self

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from newsletter.config.translatable import Translatable, translatable
from newsletter.content.audience import parts_of
from newsletter.models import AudiencePart, AudiencePartKind, Issue, Send
from newsletter.providers.allowlist import allowed_subscriptions, is_limited
from newsletter.sending.issues_of_week import has_delivery, has_delivery_of_any, issues_of_week, weekly_until
from subscribers.models import (
    Frequency,
    MailingList,
    Segment,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
    Topic,
    TopicOptOut,
)
from subscribers.segments.query import segment_queryset
from subscribers.segments.rules import RulesError, rules_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceList:
    """A list of an audience."""

    pk: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceSegment:
    """A segment of an audience, with all that decides who is in it, except for the subscribers of a picked one."""

    pk: int
    list_pk: int
    name: str
    is_picked: bool
    rules: dict[str, Any]
    is_excluded: bool

    def subscriptions(self, at: datetime.datetime) -> SubscriptionQuerySet:
        """Those in the segment, in any state. Raises RulesError."""
        return segment_queryset(self._as_row(), at)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its rules or picked subscribers."""
        return rules_fingerprint(self._as_row())

    def _as_row(self) -> Segment:
        return Segment(
            pk=self.pk, mailing_list_id=self.list_pk, name=self.name, is_picked=self.is_picked, rules=self.rules
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceTopic:
    """The topic of an issue."""

    pk: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom an issue is sent to. With `problems` it has no recipients."""

    lists: tuple[AudienceList, ...]
    """The newsletter's own first."""
    segments: tuple[AudienceSegment, ...] = ()
    topic: AudienceTopic | None = None
    problems: tuple[str, ...] = ()
    """Why it cannot be computed, as sentences with the way out."""
    leaves_out_weekly: bool = False
    """Whether subscribers who chose the weekly digest get the issue with that."""
    digest_at: datetime.datetime | None = None
    """Of a weekly digest, the end of its week: it is for those who got the digest until then."""
    issues_of_week: tuple[int, ...] = ()
    """Of a weekly digest, the issues in it. Of an issue that leaves out weekly subscribers, those that await the digest
    beside it (primary keys). Subscribers who got one of them by itself get all of them so."""

    @classmethod
    def of(cls, issue: Issue) -> Self:
        """As the issue and its segments are now; one query, without further lists, segments and weekly digests."""
        own = AudienceList(pk=issue.newsletter_id, slug=issue.newsletter.slug, name=issue.newsletter.name)
        parts = list(parts_of(issue))
        segments = tuple(_segment_of(part) for part in parts if part.segment)
        problems = [_missing(part) for part in parts if not (part.mailing_list or part.segment or part.topic)]
        lists = (own, *(_list_of(part.mailing_list) for part in parts if part.mailing_list))
        topics = [
            AudienceTopic(pk=part.topic.pk, slug=part.topic.slug, name=part.topic.name) for part in parts if part.topic
        ]
        problems += _problems_of(lists, segments, timezone.now())
        if issue.is_digest and len(lists) > 1:
            problems.append(DIGEST_OF_OTHER_LISTS)
        leaves_out_weekly = issue.newsletter.offers_weekly and not (issue.is_digest or segments or topics)
        return cls(
            lists=lists,
            segments=segments,
            topic=topics[0] if topics else None,
            problems=tuple(problems),
            leaves_out_weekly=leaves_out_weekly,
            digest_at=issue.digest_at,
            issues_of_week=issues_of_week(issue, leaves_out_weekly=leaves_out_weekly),
        )

    @classmethod
    def of_send(cls, send: Send) -> Self:
        """As it was when the send started, with the present issues of its week; before that, as it is now."""
        if send.started_at is None:
            return cls.of(send.issue)
        if not send.audience:
            newsletter = send.issue.newsletter
            own = AudienceList(pk=newsletter.pk, slug=newsletter.slug, name=newsletter.name)
            same_week = issues_of_week(send.issue, leaves_out_weekly=False)
            return cls(lists=(own,), digest_at=send.issue.digest_at, issues_of_week=same_week)
        frozen, topic = send.audience, send.audience["topic"]
        lists = tuple(AudienceList(**each) for each in frozen["lists"])
        segments = tuple(AudienceSegment(**each) for each in frozen["segments"])
        leaves_out_weekly = frozen.get("leaves_out_weekly", False)
        return cls(
            lists=lists,
            segments=segments,
            topic=AudienceTopic(**topic) if topic else None,
            problems=(*_problems_of(lists, segments, send.started_at), *_problems_of_topic(topic)),
            leaves_out_weekly=leaves_out_weekly,
            digest_at=send.issue.digest_at,
            issues_of_week=issues_of_week(send.issue, leaves_out_weekly=leaves_out_weekly),
        )

    @property
    def is_default(self) -> bool:
        """Whether it is the newsletter's own list and nothing else."""
        return len(self.lists) == 1 and not (self.segments or self.topic or self.problems)

    @property
    def is_whole_list(self) -> bool:
        """Whether every active subscriber of that list is in it, however often they want mail."""
        return self.is_default and not self.leaves_out_weekly and self.digest_at is None

    def as_json(self) -> dict[str, Any]:
        """As a send keeps it; empty for the newsletter's own list."""
        if self.is_default and not self.leaves_out_weekly:
            return {}
        return {
            "lists": [asdict(each) for each in self.lists],
            "segments": [asdict(each) for each in self.segments],
            "topic": asdict(self.topic) if self.topic else None,
            "leaves_out_weekly": self.leaves_out_weekly,
        }

    def of_list(self, place: int, at: datetime.datetime) -> SubscriptionQuerySet:
        """The subscriptions of the list at `place` that get an issue starting `at`, unless another list comes first."""
        mailing_list = self.lists[place]
        subscriptions = audience_queryset(mailing_list.pk, at)
        if self.problems:
            return subscriptions.none()
        for _reason, condition in self._left_out(place, at):
            if condition is not None:
                subscriptions = subscriptions.filter(~condition)
        included = self._is_included(place, at)
        return subscriptions if included is None else subscriptions.filter(included)

    def once_each(self, place: int, at: datetime.datetime) -> SubscriptionQuerySet:
        """As `of_list`, without subscribers who get the issue through an earlier list."""
        return self._without(self.of_list(place, at), range(place), at)

    def _without(
        self, subscriptions: SubscriptionQuerySet, places: Iterable[int], at: datetime.datetime
    ) -> SubscriptionQuerySet:
        for earlier in places:
            same = self.of_list(earlier, at).filter(subscriber=OuterRef("subscriber"))
            subscriptions = subscriptions.filter(~Exists(same))
        return subscriptions

    def unexpanded(self, send: Send) -> Iterator[SubscriptionQuerySet]:
        """What is left to expand of each list, from the one that is expanded now on; subscribers once each.

        Lists that are over are not asked again: a subscriber whom they include only now would get it through none.
        """
        assert send.started_at is not None  # noqa: S101 - only started sends are expanded
        for place in range(send.expanded_lists, len(self.lists)):
            subscriptions = self.of_list(place, send.started_at)
            if len(self.lists) > 1:
                subscriptions = subscriptions.filter(~has_delivery(send.issue_id))
            subscriptions = self._without(subscriptions, range(send.expanded_lists, place), send.started_at)
            yield subscriptions.filter(pk__gt=send.expanded_through) if place == send.expanded_lists else subscriptions

    def excluded(self, at: datetime.datetime, *, issue: Issue | None = None) -> dict[str, int]:
        """How many subscriptions of its lists an issue that starts `at` is not sent to, by reason.

        Subscribers with a delivery of `issue` are not among them, even if they left since: they are counted there.
        """
        if self.is_whole_list:
            return excluded_from(self.lists[0].pk, at, issue=issue)
        counts: Counter[str] = Counter()
        for place, mailing_list in enumerate(self.lists):
            is_recipient = self._is_recipient(at, issue)
            counts.update(excluded_from(mailing_list.pk, at, is_recipient=is_recipient))
            counts.update(dict(self._narrowed(place, at, is_recipient)))
        return {reason: count for reason, count in counts.items() if count}

    def _narrowed(
        self, place: int, at: datetime.datetime, is_recipient: Q | Exists | None
    ) -> Iterator[tuple[str, int]]:
        """Subscriptions that an issue for the whole list would be sent to, by the first reason that leaves them out."""
        if self.problems:
            return
        left = audience_queryset(self.lists[place].pk, at)
        if is_recipient is not None:
            left = left.filter(~is_recipient)
        for reason, condition in self._left_out(place, at):
            if condition is not None:
                yield reason, left.filter(condition).count()
                left = left.filter(~condition)
        included = self._is_included(place, at)
        if included is not None:
            yield "not_in_segment", left.filter(~included).count()

    def _left_out(self, place: int, at: datetime.datetime) -> tuple[tuple[str, Q | Exists | None], ...]:
        """Who of a list does not get the issue although it could be sent to them, in the order of the reasons."""
        return (
            ("own_list_left", self._refused(place, at)),
            ("weekly", self._is_weekly(place)),
            ("each_issue", self._gets_each_issue()),
            ("topic", self._opted_out(place)),
            ("excluded_segment", self._is_excluded(place, at)),
        )

    def _is_weekly(self, place: int) -> Q | None:
        """Whether the subscriber gets the issue with the digest. The newsletter's own list decides that."""
        if not self.leaves_out_weekly:
            return None
        if place == 0:
            is_weekly = Q(frequency=Frequency.WEEKLY)
        else:
            own = Subscription.objects.filter(mailing_list=self.lists[0].pk, subscriber=OuterRef("subscriber"))
            is_weekly = Q(Exists(own.filter(state=SubscriptionState.ACTIVE, frequency=Frequency.WEEKLY)))
        return is_weekly & ~has_delivery_of_any(self.issues_of_week) if self.issues_of_week else is_weekly

    def _gets_each_issue(self) -> Q | None:
        """Whether a subscriber of the newsletter gets the issues of the digest by themselves."""
        if self.digest_at is None:
            return None
        return ~weekly_until(self.digest_at) | has_delivery_of_any(self.issues_of_week)

    def _is_recipient(self, at: datetime.datetime, issue: Issue | None) -> Exists | Q | None:
        """Whether a subscriber gets the issue, through any list; None if each list decides for itself."""
        if issue is not None:
            return has_delivery(issue.pk)
        if len(self.lists) == 1 or self.problems:
            return None
        places = range(len(self.lists))
        return _any_of([self.of_list(place, at).filter(subscriber=OuterRef("subscriber")) for place in places])

    def _refused(self, place: int, at: datetime.datetime) -> Exists | None:
        """Whether the subscriber of another list said no to the newsletter's own."""
        if place == 0:
            return None
        own = Subscription.objects.filter(mailing_list=self.lists[0].pk, subscriber=OuterRef("subscriber"))
        return Exists(own.filter(Q(state__in=REFUSED) | Q(paused_until__gt=at)))

    def _opted_out(self, place: int) -> Exists | None:
        if self.topic is None:
            return None
        opt_outs = TopicOptOut.objects.filter(topic=self.topic.pk)
        if place == 0:
            return Exists(opt_outs.filter(subscription=OuterRef("pk")))
        return Exists(opt_outs.filter(subscription__subscriber=OuterRef("subscriber")))

    def _is_excluded(self, place: int, at: datetime.datetime) -> Q | None:
        excluded = []
        for segment in (each for each in self.segments if each.is_excluded):
            subscriptions = segment.subscriptions(at)
            if segment.list_pk == self.lists[place].pk:
                excluded.append(subscriptions.filter(pk=OuterRef("pk")))
            else:
                excluded.append(subscriptions.filter(subscriber=OuterRef("subscriber")))
        return _any_of(excluded)

    def _is_included(self, place: int, at: datetime.datetime) -> Q | None:
        """None: the list has no included segments, and all of its subscribers are included."""
        of_list = [each for each in self.segments if each.list_pk == self.lists[place].pk and not each.is_excluded]
        return _any_of([segment.subscriptions(at).filter(pk=OuterRef("pk")) for segment in of_list])


#: States in which a subscriber has said no to a list.
REFUSED = (SubscriptionState.UNSUBSCRIBED, SubscriptionState.SUPPRESSED)


DIGEST_OF_OTHER_LISTS = translatable(
    "A weekly digest is sent to the newsletter’s own list only. Remove the other lists from its audience."
)


def _any_of(subscriptions: Iterable[SubscriptionQuerySet]) -> Q | None:
    # EXISTS, not IN: with many subscriptions in the segment PostgreSQL would look for each in a list without index.
    conditions = [Q(Exists(each)) for each in subscriptions]
    return reduce(or_, conditions) if conditions else None


def audience_queryset(list_pk: int, at: datetime.datetime) -> SubscriptionQuerySet:
    """Subscriptions of one list that an issue starting `at` may be sent to. Later confirmations get the next issue."""
    mailable = Subscription.objects.mailable(at).filter(allowed_subscriptions())
    return mailable.filter(mailing_list=list_pk, confirmed_at__lte=at)


def excluded_from(
    list_pk: int,
    at: datetime.datetime,
    *,
    issue: Issue | None = None,
    is_recipient: Q | Exists | None = None,
) -> dict[str, int]:
    """How many subscriptions of one list an issue that starts `at` must not be sent to, by reason.

    Not counted are subscribers with a delivery of `issue`, or for whom `is_recipient` holds.
    """
    if issue is not None:
        is_recipient = has_delivery(issue.pk)
    # All others are in the audience: only these few are compared with the deliveries.
    left_out = ~Q(state=SubscriptionState.ACTIVE) | Q(paused_until__gt=at)
    if is_limited():
        left_out |= ~allowed_subscriptions()
    subscriptions = Subscription.objects.filter(left_out, mailing_list=list_pk, created_at__lte=at)
    if is_recipient is not None:
        subscriptions = subscriptions.filter(~is_recipient)
    counts = subscriptions.aggregate(
        waiting_for_confirmation=Count("pk", filter=Q(state=SubscriptionState.PENDING)),
        unsubscribed=Count("pk", filter=Q(state=SubscriptionState.UNSUBSCRIBED)),
        suppressed=Count("pk", filter=Q(state=SubscriptionState.SUPPRESSED)),
        paused=Count("pk", filter=Q(state=SubscriptionState.ACTIVE, paused_until__gt=at)),
        **_not_allowed(at),
    )
    return {reason: count for reason, count in counts.items() if count}


def _not_allowed(at: datetime.datetime) -> dict[str, Count]:
    """Recipients that an installation without ALLOWED_RECIPIENTS would mail."""
    if not is_limited():
        return {}
    mailable = Q(state=SubscriptionState.ACTIVE) & ~Q(paused_until__gt=at)
    return {"not_allowed": Count("pk", filter=mailable & ~allowed_subscriptions())}


def _list_of(mailing_list: MailingList) -> AudienceList:
    return AudienceList(pk=mailing_list.pk, slug=mailing_list.slug, name=mailing_list.name)


def _segment_of(part: AudiencePart) -> AudienceSegment:
    segment = part.segment
    assert segment is not None  # noqa: S101 - of a part with one
    return AudienceSegment(
        pk=segment.pk,
        list_pk=segment.mailing_list_id,
        name=segment.name,
        is_picked=segment.is_picked,
        rules=segment.rules,
        is_excluded=part.kind == AudiencePartKind.EXCLUDED,
    )


def _missing(part: AudiencePart) -> str:
    if part.kind == AudiencePartKind.LIST:
        problem = translatable("The audience names the list “{name}”, which does not exist.", name=part.name)
    elif part.kind == AudiencePartKind.TOPIC:
        problem = translatable("The audience names the topic “{name}”, which does not exist.", name=part.name)
    else:
        problem = translatable("The audience names the segment “{name}”, which does not exist.", name=part.name)
    return translatable("{problem} Change the audience of the issue on its compose page.", problem=problem)


def _problems_of(
    lists: Iterable[AudienceList], segments: Iterable[AudienceSegment], at: datetime.datetime
) -> list[str]:
    """Segments that cannot be evaluated. Rules cost no query; whether a picked segment still exists costs one."""
    known = {each.pk for each in lists}
    problems: list[str] = []
    for segment in segments:
        if not segment.is_excluded and segment.list_pk not in known:
            problems.append(
                translatable(
                    "The segment “{name}” belongs to a list to which the issue is not sent. Add the list to the "
                    "audience, or remove the segment.",
                    name=segment.name,
                )
            )
        elif problem := _problem_of(segment, at):
            problems.append(
                translatable(
                    "The segment “{name}” cannot be used: {problem} Change its rules, or remove it from the audience.",
                    name=segment.name,
                    problem=problem,
                )
            )
    return problems


def _problems_of_topic(topic: Mapping[str, Any] | None) -> Iterator[str]:
    """A topic that was deleted: with it went the choices of those who do not get it."""
    if topic and not Topic.objects.filter(pk=topic["pk"]).exists():
        yield translatable("The topic “{name}” was deleted.", name=topic["name"])


def _problem_of(segment: AudienceSegment, at: datetime.datetime) -> str:
    if segment.is_picked:
        exists = Segment.objects.filter(pk=segment.pk).exists()
        return "" if exists else translatable("It was deleted.")
    try:
        segment.subscriptions(at)
    except RulesError as error:
        first = error.errors[0]
        return Translatable(first.message, values=first.values)
    return ""
