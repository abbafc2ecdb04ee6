"""What one subscriber got and did: for the list of subscribers and their pages, which know nothing of issues."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from newsletter.models import STARTED, Delivery, DeliveryState, Event, Send
from newsletter.models.reasons import reason_sentence
from newsletter.providers.bounce_classes import BounceClass, RecipientEffect, class_of
from subscribers.directory.issues import IssueHistory, IssueMark, Outcome, register_issues
from subscribers.directory.timeline import Entry, EntryKind, Tone, register_timeline
from subscribers.models import Subscriber

#: Issues that the list looks at, and those that a subscriber's page does. Deliveries are read by issue and subscriber:
#: there is no index by the subscriber alone, which every expansion of an audience would write to.
RECENT, ALL = 100, 2000

COLUMNS = (
    *("issue_id", "subscriber_id", "state", "reason", "detail"),
    *("delayed_at", "delivered_at", "opened_at", "clicked_at", "failed_at", "bounced_at", "complained_at"),
)


def last_sends(limit: int) -> dict[int, tuple[str, datetime.datetime]]:
    """The last issues that were sent, the newest first: title and start by key of the issue."""
    sends = Send.objects.filter(state__in=STARTED, started_at__isnull=False).order_by("-started_at")
    rows = sends.values_list("issue_id", "issue__title", "started_at")[:limit]
    return {issue: (title, at) for issue, title, at in rows if at}


def issue_histories(subscribers: Sequence[int], limit: int) -> Mapping[int, IssueHistory]:
    """The marks of the last issues for these subscribers; `received` counts the last RECENT issues."""
    sends = last_sends(RECENT)
    rows = Delivery.objects.filter(issue__in=list(sends), subscriber__in=list(subscribers)).only(*COLUMNS)
    by_subscriber: dict[int, dict[int, Outcome]] = {}
    for delivery in rows:
        outcome = outcome_of(delivery)
        if outcome:
            by_subscriber.setdefault(delivery.subscriber_id, {})[delivery.issue_id] = outcome
    return {key: _history(outcomes, sends, limit) for key, outcomes in by_subscriber.items()}


def _history(
    outcomes: Mapping[int, Outcome], sends: Mapping[int, tuple[str, datetime.datetime]], limit: int
) -> IssueHistory:
    marks = [IssueMark(sends[issue][0], outcomes[issue], sends[issue][1]) for issue in sends if issue in outcomes]
    shown = tuple(reversed(marks[:limit]))
    received = sum(mark.outcome is not Outcome.BOUNCED for mark in marks)
    return IssueHistory(shown, received, dict(Counter(mark.outcome for mark in shown)))


def outcome_of(delivery: Delivery) -> Outcome | None:
    """The strongest thing that is known; None if the mail did not go out."""
    if delivery.clicked_at:
        return Outcome.CLICKED
    if delivery.opened_at:
        return Outcome.OPENED
    if delivery.bounced_at:
        return Outcome.BOUNCED
    if delivery.delivered_at:
        return Outcome.DELIVERED
    return Outcome.SENT if delivery.state == DeliveryState.ACCEPTED and not delivery.failed_at else None


@dataclass(frozen=True, slots=True)
class KnownBounce:
    """What a bounce was about, and the words of the mail server, which are untrusted."""

    kind: BounceClass
    words: str

    def sentence(self, *, with_words: bool) -> str:
        """What it means, what follows from it, and the words."""
        parts = [str(self.kind.rule.meaning), str(self.kind.rule.recipient.value)]
        if with_words and self.words:
            parts.append(_("The mail server's words: “%(words)s”") % {"words": self.words})
        return " ".join(parts)


def bounces_of(deliveries: Collection[int]) -> dict[int, KnownBounce]:
    """What the bounces of these deliveries were about. Of several, the one that suppresses, else the last."""
    events = Event.objects.filter(delivery_id__in=list(deliveries)).exclude(bounce="").order_by("pk")
    found: dict[int, KnownBounce] = {}
    for delivery, code, words in events.values_list("delivery_id", "bounce", "detail"):
        known = found.get(delivery or 0)
        is_final = known is not None and known.kind.rule.recipient is RecipientEffect.SUPPRESS
        if delivery and not is_final and (kind := class_of(code)):
            found[delivery] = KnownBounce(kind, words)
    return found


def delivery_entries(subscriber: Subscriber, limit: int, *, is_personal: bool) -> list[Entry]:
    """The issues that went to this subscriber, with what became of each. Without `is_personal`: no opens and clicks."""
    sends = last_sends(ALL)
    rows = {
        each.issue_id: each
        for each in Delivery.objects.filter(subscriber=subscriber, issue__in=list(sends)).only(*COLUMNS)
    }
    bounces = bounces_of([row.pk for row in rows.values() if row.bounced_at])
    entries: list[Entry] = []
    for issue, (title, started_at) in sends.items():
        if row := rows.get(issue):
            bounce = bounces.get(row.pk)
            entries += _entries_of(row, title, started_at, bounce, is_personal=is_personal)
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return entries[:limit]


def _entries_of(
    delivery: Delivery, title: str, started_at: datetime.datetime, bounce: KnownBounce | None, *, is_personal: bool
) -> Iterator[Entry]:
    facts: list[tuple[datetime.datetime | None, str, Tone]] = [
        (delivery.delivered_at, _("Delivered: %(issue)s"), Tone.GOOD),
        (delivery.delayed_at, _("Delayed: %(issue)s"), Tone.WARN),
        (delivery.failed_at, _("Failed: %(issue)s"), Tone.BAD),
        (delivery.bounced_at, _("Bounced: %(issue)s"), Tone.BAD),
        (delivery.complained_at, _("Reported as spam: %(issue)s"), Tone.BAD),
    ]
    if is_personal:
        facts += [
            (delivery.opened_at, _("Opened (estimate): %(issue)s"), Tone.INFO),
            (delivery.clicked_at, _("Clicked a link: %(issue)s"), Tone.GOOD),
        ]
    known = [(at, sentence, tone) for at, sentence, tone in facts if at]
    if not known:
        known = [(started_at, *_unreported(delivery))]
    url = reverse("admin:newsletter_issue_report", args=[delivery.issue_id])
    reason = str(reason_sentence(delivery.reason)) if delivery.reason else ""
    bounced = _("Bounced: %(issue)s")
    for at, sentence, tone in known:
        is_failure = tone in (Tone.BAD, Tone.WARN)
        about_bounce = bounce.sentence(with_words=is_personal) if bounce and sentence == bounced else ""
        yield Entry(
            at=at,
            kind=EntryKind.MAIL,
            sentence=sentence % {"issue": title},
            # Mail servers name the address in their answer.
            evidence=" ".join(filter(None, (reason, about_bounce, delivery.detail if is_personal else "")))
            if is_failure
            else "",
            tone=tone,
            url=url,
            url_text=_("Report"),
        )


def _unreported(delivery: Delivery) -> tuple[str, Tone]:
    """The sentence about a mail of which no event has told."""
    return {
        DeliveryState.ACCEPTED: (_("Sent: %(issue)s"), Tone.PLAIN),
        DeliveryState.FAILED: (_("Failed: %(issue)s"), Tone.BAD),
        DeliveryState.SKIPPED: (_("Skipped: %(issue)s"), Tone.WARN),
        DeliveryState.UNKNOWN: (_("Outcome unknown: %(issue)s"), Tone.WARN),
    }.get(DeliveryState(delivery.state), (_("In progress: %(issue)s"), Tone.PLAIN))


def register() -> None:
    """Have the pages of subscribers show issues."""
    register_issues(issue_histories)
    register_timeline(delivery_entries, EntryKind.MAIL)
