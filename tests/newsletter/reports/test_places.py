"""Every recipient is in exactly one place, whatever happened, and the numbers of one report agree."""

from __future__ import annotations

import datetime
import itertools

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.events.recording import RecordedEvent, find_deliveries, record_events
from newsletter.models import Delivery, DeliveryState, Event, EventState, EventType, Reason, Send, SendCount, SendState
from newsletter.models.rates import percent, rate_base
from newsletter.models.send_count import Place
from newsletter.reports.issue_report import IssueReport, issue_report
from newsletter.reports.places import CANCELLED, INDEXED_PLACES, PLACE_WORDS, STATES_WITH_REASONS, Group
from newsletter.reports.recipients import Selection, UnknownSelection, page_of_recipients
from newsletter.sending.auto_pause import complaint_warning
from newsletter.sending.control import cancel_send
from subscribers.models import Subscriber
from tests import people
from tests.publications import expand_audiences, make_issue, start_sending

START = datetime.datetime(2026, 11, 20, 7, 20, tzinfo=datetime.UTC)


def report_of(send: Send) -> IssueReport:
    return issue_report(send, START + datetime.timedelta(days=9))


def a_send(recipients: int, *, slug: str = "issue-1", domain: str = "example.org") -> Send:
    """A send that was started at START; its audience is expanded."""
    issue = make_issue(slug)
    have = Subscriber.objects.count()
    for number in range(have, recipients):
        people.make_subscription(f"reader-{number}@{domain}", issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    Send.objects.filter(pk=send.pk).update(started_at=START)
    send.refresh_from_db()
    return send


def keys_of(send: Send) -> list[int]:
    return list(Delivery.objects.filter(send=send).order_by("pk").values_list("pk", flat=True))


def happened(send: Send, count: int, *types: EventType, minutes: int = 5, skip: int = 0, bounce: str = "") -> None:
    """Events of so many deliveries, as applying them records them."""
    keys = keys_of(send)[skip : skip + count]
    Delivery.objects.filter(pk__in=keys).update(state=DeliveryState.ACCEPTED)
    at = START + datetime.timedelta(minutes=minutes)
    events = [RecordedEvent(key, each, at, "", bounce) for key in keys for each in types]
    record_events(events, find_deliveries(keys))
    if bounce:
        Event.objects.bulk_create(
            Event(
                provider="resend",
                event_id=f"bounce-{key}",
                kind="email.bounced",
                body="{}",
                state=EventState.APPLIED,
                bounce=bounce,
                detail="550 no",
                delivery_id=key,
            )
            for key in keys
        )


def test_every_combination_of_state_and_events_is_in_exactly_one_place(db: None) -> None:
    combinations = [
        (
            state,
            {
                f"{event_type.value}_at": START
                for event_type, is_known in zip(EventType, known, strict=True)
                if is_known
            },
        )
        for state in DeliveryState
        for known in itertools.product((False, True), repeat=len(EventType))
    ]
    send = start_sending(make_issue())
    Delivery.objects.bulk_create(
        [
            Delivery(issue=send.issue, send=send, subscriber_id=number, state=state, **facts)
            for number, (state, facts) in enumerate(combinations, 1)
        ],
        batch_size=50,
    )
    report = report_of(send)
    assert report.counts.audience == len(combinations)
    assert sum(row.count for row in report.places) == len(combinations)
    assert len({row.place for row in report.places}) == len(report.places)
    assert {row.place for row in report.places} == set(PLACE_WORDS) - {CANCELLED}
    assert sum(report.in_group(group) for group in Group) == len(combinations)
    assert report.in_group(Group.DELIVERED) == report.counts.delivered
    assert all(sum(each.count or 0 for each in row.reasons) in (0, row.count) for row in report.places)


def test_a_place_that_this_version_does_not_know_is_shown_and_adds_up(db: None) -> None:
    send = a_send(2)
    SendCount.objects.add({(send.pk, "", "", "place.pending"): -1, (send.pk, "", "", "place.lost"): 1})
    assert {row.label: row.count for row in report_of(send).places} == {"Pending": 1, "lost": 1}


def test_those_who_were_cancelled_have_a_place_of_their_own(db: None) -> None:
    send = a_send(6)
    keys = keys_of(send)
    happened(send, 2, EventType.DELIVERED)
    Delivery.objects.filter(pk=keys[2]).update(state=DeliveryState.SKIPPED, reason=Reason.UNSUBSCRIBED)
    cancel_send(send, by="Edda")
    report = report_of(send)
    assert {row.place: row.count for row in report.places} == {"reached": 2, CANCELLED: 3, "skipped": 1}
    (cancelled,) = [row for row in report.places if row.place == CANCELLED]
    assert cancelled.label == "Cancelled before it went out"
    (skipped,) = [row for row in report.places if row.place == "skipped"]
    assert [(row.sentence, row.count) for row in skipped.reasons] == [("The subscriber unsubscribed.", 1)]


def test_a_failure_without_a_reason_says_so(db: None) -> None:
    send = a_send(3)
    Delivery.objects.filter(send=send).update(state=DeliveryState.FAILED)
    Delivery.objects.filter(pk=keys_of(send)[0]).update(reason="validation_error", detail="Bad address.")
    (row,) = report_of(send).places
    assert [(each.code, each.words, each.count) for each in row.reasons] == [
        ("validation_error", "Bad address.", 1),
        ("", "", 2),
    ]


def test_the_warning_has_the_rate_of_the_report(db: None) -> None:
    send = a_send(260)
    happened(send, 250, EventType.DELIVERED)
    happened(send, 3, EventType.COMPLAINED)
    happened(send, 10, EventType.BOUNCED, skip=250)
    report = report_of(send)
    assert report.base.words == "250 delivered mails"
    assert percent(report.counts.complained, report.base.count) == "1.2%"
    assert "3 of 250 delivered mails were reported as spam: 1.2%." in complaint_warning(send)


def test_rates_are_of_accepted_mails_where_no_delivery_is_reported(db: None) -> None:
    send = a_send(30)
    happened(send, 30)
    assert report_of(send).base.words == "30 accepted mails"
    happened(send, 1, EventType.DELIVERED)
    assert report_of(send).base.words == "1 delivered mail"
    assert rate_base({}).count == 0


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [
        (0, 0, "–"),
        (0, 10, "0.00%"),
        (1, 1_000, "0.10%"),
        (15, 10_000, "0.15%"),
        (2, 300, "0.67%"),
        (1, 1_000_000, "under 0.01%"),
        (118, 1_000, "11.8%"),
        (9_999, 10_000, "99.9%"),
        (10_000, 10_000, "100.0%"),
    ],
)
def test_a_percentage_is_never_rounded_to_all_or_nothing(count: int, of: int, text: str) -> None:
    assert percent(count, of) == text


def test_hours_are_cumulative_and_take_in_what_came_before_the_start(db: None) -> None:
    send = a_send(6)
    happened(send, 1, EventType.DELIVERED, minutes=-90)
    happened(send, 2, EventType.DELIVERED, minutes=5, skip=1)
    happened(send, 1, EventType.DELIVERED, minutes=60 * 47, skip=3)
    happened(send, 1, EventType.DELIVERED, minutes=60 * 60, skip=4)
    happened(send, 1, EventType.CLICKED, minutes=60 * 3)
    hours = report_of(send).hours
    delivered = hours.lines[EventType.DELIVERED]
    assert (len(delivered), delivered[0], delivered[46], delivered[47]) == (48, 3, 3, 4)
    assert hours.lines[EventType.CLICKED][2:4] == (0, 1)
    assert EventType.OPENED not in hours.lines
    assert hours.ends[0] == START.replace(hour=8, minute=0)
    young = issue_report(send, START + datetime.timedelta(minutes=50)).hours
    assert young.lines[EventType.DELIVERED] == (3, 3)


def test_the_largest_domains_have_a_row_and_all_others_are_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.reports.mail_domains.MAX_DOMAINS", 1)
    send = start_sending(issue := make_issue())
    for number in range(25):
        people.make_subscription(f"r{number}@gmx.example", issue.newsletter)
    for number in range(3):
        people.make_subscription(f"r{number}@post{number}.example", issue.newsletter)
    expand_audiences()
    happened(send, 28, EventType.DELIVERED)
    happened(send, 2, EventType.COMPLAINED)
    happened(send, 1, EventType.CLICKED, skip=27)
    largest, others = report_of(send).domains
    assert (largest.domain, largest.delivered, largest.complained, largest.level) == ("gmx.example", 25, 2, "limit")
    assert (others.domain, others.delivered, others.clicked, others.has_rates) == ("", 3, 1, False)


def test_bounces_are_shown_by_class_and_add_up(db: None) -> None:
    send = a_send(8)
    happened(send, 3, EventType.BOUNCED, bounce="hard")
    happened(send, 2, EventType.BOUNCED, bounce="policy", skip=3)
    happened(send, 2, EventType.BOUNCED, skip=5)
    happened(send, 1, EventType.CLICKED)
    table = report_of(send).bounces
    assert [(row.code, row.count) for row in table.rows] == [("hard", 3), ("policy", 2), ("", 2)]
    assert (table.total, table.elsewhere) == (7, 1)
    assert table.rows[0].action == "The address is suppressed at once."


def test_an_issue_is_compared_with_the_median_of_those_before_it(db: None) -> None:
    clicked_before = (2, 6, 20)
    for number, clicked in enumerate(clicked_before):
        send = a_send(20, slug=f"earlier-{number}")
        happened(send, 20, EventType.DELIVERED)
        happened(send, clicked, EventType.CLICKED)
        at = START - datetime.timedelta(days=7 * (3 - number))
        Send.objects.filter(pk=send.pk).update(state=SendState.SENT, started_at=at, finished_at=at)
    send = a_send(20)
    happened(send, 20, EventType.DELIVERED)
    happened(send, 8, EventType.CLICKED)
    comparison = report_of(send).comparison
    assert comparison is not None
    assert (comparison.issues, comparison.median.clicked) == (3, 0.3)
    assert comparison.difference("clicked") == pytest.approx(10)
    earliest = Send.objects.select_related("issue").get(issue__slug="earlier-0")
    assert report_of(earliest).comparison is None, "nothing was sent before it"


def test_too_few_recipients_have_no_comparison(db: None) -> None:
    earlier = a_send(19, slug="earlier")
    happened(earlier, 19, EventType.DELIVERED)
    Send.objects.filter(pk=earlier.pk).update(
        state=SendState.SENT, started_at=START - datetime.timedelta(days=7), finished_at=START
    )
    send = a_send(19)
    happened(send, 19, EventType.DELIVERED)
    assert report_of(send).comparison is None


# People behind numbers


def test_the_lists_of_people_are_as_long_as_the_numbers(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.reports.recipients.PER_PAGE", 2)
    send = a_send(24)
    happened(send, 5, EventType.DELIVERED, EventType.COMPLAINED)
    happened(send, 3, EventType.BOUNCED, skip=4, bounce="soft")
    happened(send, 4, EventType.SUPPRESSED, skip=8)
    happened(send, 3, EventType.FAILED, skip=12)
    keys = keys_of(send)
    Delivery.objects.filter(pk__in=keys[16:19]).update(state=DeliveryState.SKIPPED, reason=Reason.UNSUBSCRIBED)
    Delivery.objects.filter(pk__in=keys[19:20]).update(state=DeliveryState.FAILED, reason="validation_error")
    report = report_of(send)
    listed = 0
    for place in report.places:
        if place.place in set(INDEXED_PLACES):
            assert len(listed_of(send, Selection(place=place.place))) == place.count
            listed += 1
        if place.place in set(STATES_WITH_REASONS):
            for reason in place.reasons:
                found = listed_of(send, Selection(state=place.place, reason=reason.code))
                assert len(found) == reason.count
                listed += 1
    assert listed == 6
    assert len(listed_of(send, Selection(bounce="soft"))) == report.bounces.rows[0].count == 3


def listed_of(send: Send, selection: Selection) -> list[int]:
    """All pages, one after the other."""
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = page_of_recipients(send, selection, after)
        found += [row.delivery for row in page.rows]
        after = page.after
    assert len(set(found)) == len(found)
    return found


def test_a_rare_class_of_bounces_is_found_a_part_at_a_time(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.reports.recipients.READ_FOR_A_CLASS", 4)
    send = a_send(12)
    happened(send, 10, EventType.BOUNCED, bounce="hard")
    happened(send, 1, EventType.BOUNCED, bounce="policy", skip=10)
    first = page_of_recipients(send, Selection(bounce="policy"))
    assert (first.rows, first.after) == ((), keys_of(send)[3])
    assert listed_of(send, Selection(bounce="policy")) == [keys_of(send)[10]]
    assert len(listed_of(send, Selection(bounce="hard"))) == 10


def test_an_erased_subscriber_is_in_the_list_without_an_address(db: None) -> None:
    send = a_send(2)
    happened(send, 2, EventType.COMPLAINED)
    Subscriber.objects.filter(pk=Delivery.objects.get(pk=keys_of(send)[0]).subscriber_id).delete()
    page = page_of_recipients(send, Selection(place=Place.COMPLAINED.value))
    assert [row.address for row in page.rows] == ["", "reader-1@example.org"]


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"place": "reached"},
        {"place": "nowhere"},
        {"state": "skipped"},
        {"state": "pending", "reason": "unsubscribed"},
        {"reason": "unsubscribed"},
        {"place": "bounced", "bounce": "hard"},
        {"place": "bounced", "reason": "unsubscribed"},
    ],
)
def test_only_what_an_index_finds_is_listed(chosen: dict[str, str]) -> None:
    with pytest.raises(UnknownSelection):
        Selection(**chosen)


def test_the_number_of_queries_does_not_depend_on_the_number_of_recipients(db: None) -> None:
    def queries(send: Send) -> int:
        happened(send, 3, EventType.DELIVERED)
        happened(send, 1, EventType.BOUNCED, skip=3, bounce="hard")
        with CaptureQueriesContext(connection) as found:
            issue_report(send, timezone.now())
        return len(found)

    small, large = queries(a_send(25)), queries(a_send(60, slug="issue-2"))
    assert small == large <= 10
