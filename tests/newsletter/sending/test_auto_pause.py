"""A send of which too much goes wrong is paused by itself, says why, and goes on only for a reason."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.events.apply import bounce_note
from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Event, EventState, Issue, IssueStatus
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.monitoring.status import as_lines
from newsletter.providers.base import BounceKind
from newsletter.sending.auto_pause import auto_pause_sends, send_health_of, warning_of
from newsletter.sending.control import ReasonNeeded, pause_issue, resume_issue
from tests import people
from tests.publications import address_everybody, start_sending


def out_to(issue: Issue, readers: int, *, waiting: int = 100) -> Issue:
    """An issue that `readers` have, while the last batch still waits."""
    people.make_subscriptions(readers + waiting, issue.newsletter)
    start_sending(issue)
    address_everybody()
    last = Delivery.objects.order_by("pk")[readers - 1].pk
    Delivery.objects.filter(pk__lte=last).update(status=DeliveryStatus.ACCEPTED)
    for batch in Batch.objects.filter(last_delivery__lte=last):
        batch.recipients = batch.last_delivery - batch.first_delivery + 1
        batch.state = BatchState.ACCEPTED
        batch.save()
    return issue


def bounced_with(kind: BounceKind, count: int, *, minutes_ago: float = 0) -> None:
    """So many of the mails bounced, and the webhooks said how."""
    at = timezone.now() - datetime.timedelta(minutes=minutes_ago)
    keys = list(Delivery.objects.filter(bounced_at=None).order_by("pk").values_list("pk", flat=True)[:count])
    Delivery.objects.filter(pk__in=keys).update(bounced_at=at)
    Event.objects.bulk_create(
        Event(
            provider="resend",
            event_id=f"msg_{kind.value}_{key}",
            kind="email.bounced",
            body="{}",
            state=EventState.APPLIED,
            note=f"{bounce_note(kind)} 550 no",
            delivery_id=key,
            received_at=at,
        )
        for key in keys
    )


def went_wrong(fact: str, count: int) -> None:
    """So many more of the mails went wrong; those that bounced, for good."""
    if fact == "bounced":
        bounced_with(BounceKind.HARD, count)
        return
    keys = list(Delivery.objects.filter(complained_at=None).order_by("pk").values_list("pk", flat=True)[:count])
    Delivery.objects.filter(pk__in=keys).update(complained_at=timezone.now())


def status_after_a_look(issue: Issue) -> str:
    auto_pause_sends()
    issue.refresh_from_db()
    return issue.status


@pytest.mark.parametrize(
    ("fact", "fine", "too_many"), [("bounced", 8, 9), ("complained", 2, 3)], ids=["bounces", "complaints"]
)
def test_it_stops_above_the_limit_and_not_at_it(issue: Issue, fact: str, fine: int, too_many: int) -> None:
    out_to(issue, 200)
    went_wrong(fact, fine)
    assert status_after_a_look(issue) == IssueStatus.SENDING
    went_wrong(fact, too_many - fine)
    assert status_after_a_look(issue) == IssueStatus.PAUSED
    assert f"{too_many} of 200 mails" in issue.hold_reason
    assert issue.transitions.get(target="paused").by == "worker"


def test_one_bounce_of_three_is_no_trend(issue: Issue) -> None:
    out_to(issue, 3, waiting=0)
    Batch.objects.update(state=BatchState.ACCEPTED, recipients=3)
    went_wrong("bounced", 1)
    assert status_after_a_look(issue) == IssueStatus.SENDING


def test_one_batch_that_is_held_is_bad_luck_and_two_stop_the_send(issue: Issue) -> None:
    out_to(issue, 300)
    held = Batch.objects.filter(state=BatchState.ACCEPTED).order_by("pk")
    Batch.objects.filter(pk=held[0].pk).update(state=BatchState.HELD, payload=b"frozen")
    assert status_after_a_look(issue) == IssueStatus.SENDING
    Batch.objects.filter(pk=held[0].pk).update(state=BatchState.HELD, payload=b"frozen")  # the next one
    assert status_after_a_look(issue) == IssueStatus.PAUSED
    assert "may or may not have gone out" in issue.hold_reason


@pytest.fixture
def braked(issue: Issue) -> Issue:
    out_to(issue, 200)
    went_wrong("bounced", 9)
    auto_pause_sends()
    issue.refresh_from_db()
    return issue


def test_it_goes_on_only_for_a_reason_that_is_kept_with_the_name(braked: Issue) -> None:
    with pytest.raises(ReasonNeeded):
        resume_issue(braked, by="Edda", reason=" ")
    resume_issue(braked, by="Edda", reason="An old list; the rest is fresh.")
    step = braked.transitions.last()
    assert step is not None
    assert (braked.status, step.by, step.reason) == (IssueStatus.SENDING, "Edda", "An old list; the rest is fresh.")


def test_the_same_numbers_do_not_stop_it_again_and_worse_ones_do(braked: Issue) -> None:
    resume_issue(braked, by="Edda", reason="An old list; the rest is fresh.")
    assert status_after_a_look(braked) == IssueStatus.SENDING
    went_wrong("bounced", 1)
    assert status_after_a_look(braked) == IssueStatus.PAUSED


def test_a_pause_by_hand_needs_no_reason_to_end(issue: Issue) -> None:
    out_to(issue, 200)
    pause_issue(issue, by="Edda", reason="")
    resume_issue(issue, by="Edda")
    assert issue.status == IssueStatus.SENDING


def test_counting_costs_two_queries_whatever_the_size(
    issue: Issue, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    out_to(issue, 200)
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert send_health_of(issue).sample == 200


def test_full_mailboxes_are_no_reason_to_stop(issue: Issue) -> None:
    out_to(issue, 200)
    bounced_with(BounceKind.SOFT, 40)
    bounced_with(BounceKind.HARD, 8)
    assert status_after_a_look(issue) == IssueStatus.SENDING
    bounced_with(BounceKind.HARD, 1)
    assert status_after_a_look(issue) == IssueStatus.PAUSED
    assert "9 of 200 mails bounced for good" in issue.hold_reason


def test_who_refuses_us_rather_than_a_reader_stops_the_send_at_more_than_twenty_in_five_minutes(issue: Issue) -> None:
    out_to(issue, 600)
    bounced_with(BounceKind.POLICY, 30, minutes_ago=6)
    bounced_with(BounceKind.POLICY, 20)
    assert status_after_a_look(issue) == IssueStatus.SENDING
    bounced_with(BounceKind.POLICY, 1)
    assert status_after_a_look(issue) == IssueStatus.PAUSED
    assert "21 mails of the last 5 minutes were refused because of us" in issue.hold_reason
    assert issue.is_braked


def test_what_refused_us_before_a_person_resumed_does_not_stop_it_again(issue: Issue) -> None:
    out_to(issue, 600)
    bounced_with(BounceKind.POLICY, 21)
    assert status_after_a_look(issue) == IssueStatus.PAUSED
    resume_issue(issue, by="Edda", reason="The SPF record is mended.")
    assert status_after_a_look(issue) == IssueStatus.SENDING
    bounced_with(BounceKind.POLICY, 21)
    assert status_after_a_look(issue) == IssueStatus.PAUSED


def test_complaints_are_a_warning_before_they_stop_a_send(issue: Issue) -> None:
    out_to(issue, 1_000)
    went_wrong("complained", 1)
    assert not warning_of(issue)
    went_wrong("complained", 1)
    assert status_after_a_look(issue) == IssueStatus.SENDING
    assert "2 of 1,000 mails were reported as spam: 0.2 %" in warning_of(issue)
    (diagnostic,) = [diagnostic for diagnostic in diagnostics() if diagnostic.name == "complaints"]
    assert "2 of 1,000" in diagnostic.sentence
    assert any("warning: 2 of 1,000" in line for line in as_lines([issue]))
    went_wrong("complained", 2)
    assert status_after_a_look(issue) == IssueStatus.PAUSED
    assert warning_of(issue) == "", "the reason of the pause says it"


def test_one_complaint_of_a_few_is_no_warning(issue: Issue) -> None:
    out_to(issue, 100)
    went_wrong("complained", 1)
    assert not warning_of(issue)


def test_two_complaints_in_a_small_list_warn_and_do_not_stop_it(issue: Issue) -> None:
    out_to(issue, 300)
    went_wrong("complained", 1)
    assert not warning_of(issue), "one of 300 is 0.3 %, and one person"
    went_wrong("complained", 1)
    assert status_after_a_look(issue) == IssueStatus.SENDING
    assert "2 of 300 mails were reported as spam: 0.67 %" in warning_of(issue)
