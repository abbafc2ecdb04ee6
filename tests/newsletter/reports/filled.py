"""A send whose report has everything: each place, bounces of each class, domains, hours, earlier issues."""

from __future__ import annotations

import datetime

from django.db.models import QuerySet

from newsletter.events.recording import RecordedEvent, find_deliveries, record_events
from newsletter.models import (
    FIRST_LINK,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Edition,
    EngagementCounter,
    Event,
    EventState,
    EventType,
    Issue,
    Newsletter,
    Reason,
    Send,
    SendState,
    Verdict,
)
from subscribers.consent.actions import unsubscribe
from subscribers.consent.reasons import store_reason
from subscribers.models import ConsentForm, Evidence, LeaveReason, MailLink, Subscription
from tests import people
from tests.publications import expand_audiences, make_issue, start_sending

START = datetime.datetime(2026, 11, 20, 6, 20, tzinfo=datetime.UTC)

#: Recipients of each place, as the report names it.
PLACES = {
    "reached": 60,
    "complained": 3,
    "pending": 5,
    "batched": 2,
    "accepted": 4,
    "delayed": 3,
    "unknown": 2,
    "bounced": 9,
    "suppressed": 4,
    "not_sent": 3,
    "failed": 2,
    "cancelled": 6,
    "skipped": 3,
}

_EVENTS: dict[str, tuple[EventType, ...]] = {
    "reached": (EventType.SENT, EventType.DELIVERED),
    "complained": (EventType.DELIVERED, EventType.COMPLAINED),
    "accepted": (EventType.SENT,),
    "delayed": (EventType.DELAYED,),
    "bounced": (EventType.BOUNCED,),
    "suppressed": (EventType.SUPPRESSED,),
    "not_sent": (EventType.FAILED,),
}
_STATES = {
    "pending": (DeliveryState.PENDING, ""),
    "batched": (DeliveryState.BATCHED, ""),
    "unknown": (DeliveryState.UNKNOWN, "no_answer"),
    "failed": (DeliveryState.FAILED, "validation_error"),
    "cancelled": (DeliveryState.SKIPPED, Reason.SEND_CANCELLED.value),
    "skipped": (DeliveryState.SKIPPED, Reason.UNSUBSCRIBED.value),
}


def fill_every_place(issue: Issue) -> Send:
    """Start a send of the issue to as many recipients as PLACES has, and put them there; a third is at gmx.example."""
    _earlier_issues(issue.newsletter)
    send = start_sending(issue)
    for number in range(sum(PLACES.values())):
        domain = ("gmx.example", "example.org", "post.example")[number % 3]
        people.make_subscription(f"filled-{number}@{domain}", issue.newsletter)
    expand_audiences()
    Send.objects.filter(pk=send.pk).update(started_at=START)
    send.refresh_from_db()
    rows = Delivery.objects.filter(send=send).order_by("pk")
    keys = list(rows.values_list("pk", flat=True))
    # Others of the list get it too: they are delivered.
    extra = len(keys) - sum(PLACES.values())
    place_of = ["reached"] * extra + [place for place, count in PLACES.items() for _number in range(count)]
    for place in PLACES:
        _put([key for key, where in zip(keys, place_of, strict=True) if where == place], place)
    reached = [key for key, where in zip(keys, place_of, strict=True) if where == "reached"]
    _record(reached[:30], EventType.OPENED, minutes=90)
    _record(reached[:12], EventType.CLICKED, minutes=140)
    Batch.objects.filter(send=send).update(state=BatchState.ACCEPTED, finished_at=START)
    _unsubscribe(send, reached[-4:])
    return send


def _unsubscribe(send: Send, keys: list[int]) -> None:
    """Those of these four deliveries, by the links of the mail; two say why."""
    subscribers = Delivery.objects.filter(pk__in=keys).order_by("pk").values_list("subscriber", flat=True)
    forms = (ConsentForm.ONE_CLICK, ConsentForm.ONE_CLICK, ConsentForm.UNSUBSCRIBE, ConsentForm.PREFERENCES)
    for subscriber, form in zip(list(subscribers), forms, strict=True):
        subscription = Subscription.objects.get(subscriber=subscriber, mailing_list=send.issue.newsletter)
        unsubscribe(subscription.key, Evidence(form=form, mail_link=MailLink(subscription.key, send.pk)))
        if form is not ConsentForm.ONE_CLICK:
            store_reason(subscription.key, LeaveReason.TOO_MANY, "", Evidence(form=form))


#: Links of the edition that `count_clicks` makes, in the order of the mail.
LINKS = [
    {"url": f"https://{name}.example/", "written": f"https://{name}.example/", "label": label, "place": place}
    for name, label, place in (
        ("crane", "Taller cranes", "News, story 1"),
        ("ebb", "The long ebb", "News, story 2"),
    )
]


def count_clicks(send: Send) -> None:
    """Clicks of humans and machines on both LINKS, from START on."""
    # An edition cannot be changed; one that was frozen so would need a whole issue with links.
    QuerySet(Edition).filter(pk=send.edition_id).update(engagement={"source": "own", "opens": True, "links": LINKS})
    hour = START.replace(minute=0)
    for number, verdict, hours, hits, visitors in (
        (FIRST_LINK, Verdict.HUMAN, 0, 7, 5),
        (FIRST_LINK, Verdict.HUMAN, 3, 2, 2),
        (FIRST_LINK, Verdict.MACHINE, 1, 11, 4),
        (FIRST_LINK, Verdict.NEITHER, 1, 2, 2),
        (FIRST_LINK, Verdict.UNSURE, 2, 3, 3),
        (FIRST_LINK + 1, Verdict.HUMAN, 0, 4321, 4321),
    ):
        EngagementCounter.objects.create(
            edition_id=send.edition_id,
            number=number,
            hour=hour + datetime.timedelta(hours=hours),
            verdict=verdict,
            hits=hits,
            visitors=visitors,
        )


def _put(keys: list[int], place: str) -> None:
    state, reason = _STATES.get(place, (DeliveryState.ACCEPTED, ""))
    Delivery.objects.filter(pk__in=keys).update(state=state, reason=reason)
    for event_type in _EVENTS.get(place, ()):
        _record(keys, event_type, minutes=20)
    details = {"bounced": "550 5.1.1 no such user", "suppressed": "On the list.", "not_sent": "reached_daily_quota"}
    if place in details:
        kind = {"not_sent": "failed"}.get(place, place)
        for number, key in enumerate(keys):
            bounce = ("hard", "hard", "soft", "policy")[number % 4] if place == "bounced" else ""
            Event.objects.create(
                provider="resend",
                event_id=f"{place}-{key}",
                kind=f"email.{kind}",
                body="{}",
                state=EventState.APPLIED,
                bounce=bounce,
                detail=details[place],
                delivery_id=key,
            )


def _record(keys: list[int], event_type: EventType, *, minutes: int) -> None:
    """Spread over some hours."""
    at = START + datetime.timedelta(minutes=minutes)
    step = datetime.timedelta(minutes=25)
    bounces = ("hard", "hard", "soft", "policy")
    events = [
        RecordedEvent(
            key, event_type, at + step * number, "", bounces[number % 4] if event_type is EventType.BOUNCED else ""
        )
        for number, key in enumerate(keys)
    ]
    record_events(events, find_deliveries(keys))


def _earlier_issues(newsletter: Newsletter) -> None:
    """Two sent issues of thirty recipients each."""
    for number in (1, 2):
        issue = make_issue(f"earlier-{number}", newsletter)
        at = START - datetime.timedelta(days=7 * number)
        send = start_sending(issue)
        Delivery.objects.bulk_create(
            Delivery(
                issue=issue,
                send=send,
                subscriber_id=10_000_000 + each,
                state=DeliveryState.ACCEPTED,
                delivered_at=at,
                clicked_at=at if each % 5 == 0 else None,
            )
            for each in range(30)
        )
        Send.objects.filter(pk=send.pk).update(state=SendState.SENT, started_at=at, finished_at=at, expanded_at=at)
