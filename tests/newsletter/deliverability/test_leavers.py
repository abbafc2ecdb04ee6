"""No recipient who left gets another mail: what the worker compares, what counts, and what does not."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.deliverability import leavers
from newsletter.deliverability.leavers import LAG, compare_next_batches, mails_after_leaving
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Issue,
    LeavingCheck,
    LeftBy,
    MailAfterLeaving,
    Send,
)
from newsletter.monitoring.deliverability_diagnostics import leaving_diagnostics
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.metrics import metrics_text
from subscribers.models import (
    Consent,
    ConsentForm,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    SuppressionReason,
)
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.export import export_data
from subscribers.privacy.registry import find_data_subject
from subscribers.suppression import suppress_addresses
from tests import people
from tests.newsletter.sending.conftest import issue
from tests.publications import expand_audiences, start_sending

pytestmark = pytest.mark.django_db

__all__ = ["issue"]

MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def built_at() -> datetime.datetime:
    """When the batch was built: long enough ago to be compared."""
    return timezone.now() - datetime.timedelta(hours=1)


@pytest.fixture
def send(issue: Issue, built_at: datetime.datetime) -> Send:
    """Accepted for 20 recipients at the first attempt, in two batches."""
    people.make_subscriptions(20, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=10)
    Delivery.objects.update(state=DeliveryState.ACCEPTED)
    accept(built_at)
    return send


def accept(at: datetime.datetime, *, repeated_at: datetime.datetime | None = None) -> None:
    for batch in Batch.objects.all():
        batch.state, batch.recipients, batch.attempts = BatchState.ACCEPTED, 10, 2 if repeated_at else 1
        batch.first_attempt_at, batch.last_attempt_at = at, repeated_at or at
        batch.finished_at = (repeated_at or at) + MINUTE
        batch.save()


def left(number: int, at: datetime.datetime, state: str = SubscriptionState.UNSUBSCRIBED) -> int:
    """The recipient with this number left at this time; returns the delivery."""
    subscription = Subscription.objects.order_by("pk")[number]
    Subscription.objects.filter(pk=subscription.pk).update(state=state, ended_at=at)
    return Delivery.objects.get(subscriber=subscription.subscriber_id).pk


def compare_all() -> None:
    while compare_next_batches():
        pass


def found() -> dict[int, str]:
    compare_all()
    return dict(MailAfterLeaving.objects.order_by("delivery").values_list("delivery", "left_by"))


def test_a_mail_to_one_who_had_unsubscribed_is_found_once(send: Send, built_at: datetime.datetime) -> None:
    delivery = left(3, built_at - MINUTE)
    assert found() == {delivery: LeftBy.UNSUBSCRIBED}
    assert found() == {delivery: LeftBy.UNSUBSCRIBED}
    assert compare_next_batches() is False


def test_leaving_after_the_mail_was_built_is_fine(send: Send, built_at: datetime.datetime) -> None:
    left(3, built_at + MINUTE)
    left(4, built_at - datetime.timedelta(seconds=1))  # while it was being built
    assert found() == {}


def test_a_suppressed_subscription_counts_and_a_declined_one_is_told_apart(
    send: Send, built_at: datetime.datetime
) -> None:
    suppressed = left(1, built_at - MINUTE, SubscriptionState.SUPPRESSED)
    declined = left(2, built_at - MINUTE)
    subscriber = Delivery.objects.get(pk=declined).subscriber_id
    Subscriber.objects.filter(pk=subscriber).update(declined_at=built_at - MINUTE)
    assert found() == {suppressed: LeftBy.SUPPRESSED, declined: LeftBy.DECLINED}


def test_a_suppressed_address_counts_although_the_subscription_is_active(
    send: Send, built_at: datetime.datetime
) -> None:
    subscription = Subscription.objects.order_by("pk")[5]
    suppress_addresses({subscription.subscriber.canonical: (SuppressionReason.COMPLAINT, "")})
    Subscription.objects.filter(pk=subscription.pk).update(state=SubscriptionState.ACTIVE, ended_at=None)
    assert found() == {}  # suppressed after the mail
    from subscribers.models import Suppression

    Suppression.objects.update(created_at=built_at - MINUTE)
    LeavingCheck.objects.update(checked_until=built_at)
    delivery = Delivery.objects.get(subscriber=subscription.subscriber_id).pk
    assert found() == {delivery: LeftBy.SUPPRESSED}


@pytest.mark.parametrize(
    ("state", "repeated_after", "counts"),
    [
        (SubscriptionState.UNSUBSCRIBED, 14, False),
        (SubscriptionState.UNSUBSCRIBED, 16, True),
        (SubscriptionState.SUPPRESSED, 14, True),
    ],
)
def test_a_repeat_within_15_minutes_is_allowed_to_those_who_only_unsubscribed(
    send: Send, built_at: datetime.datetime, state: str, repeated_after: int, counts: bool
) -> None:
    accept(built_at, repeated_at=built_at + repeated_after * MINUTE)
    left(3, built_at + MINUTE, state)
    assert bool(found()) is counts


def test_who_left_another_newsletter_still_gets_this_one(send: Send, built_at: datetime.datetime) -> None:
    other = MailingList.objects.create(slug="tides", name="Tides")
    subscriber = Subscription.objects.order_by("pk")[0].subscriber
    Subscription.objects.create(
        subscriber=subscriber, mailing_list=other, state=SubscriptionState.UNSUBSCRIBED, ended_at=built_at - MINUTE
    )
    assert found() == {}


def test_who_left_the_newsletter_itself_gets_it_through_no_other_list(
    send: Send, issue: Issue, built_at: datetime.datetime
) -> None:
    other = MailingList.objects.create(slug="tides", name="Tides")
    delivery = left(0, built_at - MINUTE)
    row = Delivery.objects.get(pk=delivery)
    Subscription.objects.create(
        subscriber_id=row.subscriber_id, mailing_list=other, state=SubscriptionState.ACTIVE, confirmed_at=built_at
    )
    Delivery.objects.filter(pk=delivery).update(mailing_list=other)
    assert found() == {delivery: LeftBy.UNSUBSCRIBED}


def test_deliveries_that_were_not_accepted_do_not_count(send: Send, built_at: datetime.datetime) -> None:
    delivery = left(3, built_at - MINUTE)
    Delivery.objects.filter(pk=delivery).update(state=DeliveryState.SKIPPED)
    assert found() == {}


def test_an_import_that_tells_of_an_earlier_unsubscribe_elsewhere_does_not_count(
    send: Send, built_at: datetime.datetime
) -> None:
    delivery = left(3, built_at - MINUTE)
    subscription = Subscription.objects.order_by("pk")[3]
    Consent.objects.create(subscription=subscription, kind="unsubscribed", form=ConsentForm.IMPORT, list_name="L")
    assert found() == {}
    Consent.objects.create(subscription=subscription, kind="unsubscribed", form=ConsentForm.ONE_CLICK, list_name="L")
    LeavingCheck.objects.all().delete()
    assert found() == {delivery: LeftBy.UNSUBSCRIBED}


def test_batches_of_the_last_minutes_wait_and_old_ones_are_not_read_again(
    send: Send, built_at: datetime.datetime
) -> None:
    compare_all()
    assert LeavingCheck.objects.get().checked_until == built_at + MINUTE
    left(3, built_at - MINUTE)
    assert found() == {}
    recent = Batch.objects.order_by("pk").first()
    assert recent
    Batch.objects.filter(pk=recent.pk).update(finished_at=timezone.now() - LAG / 2)
    assert found() == {}
    Batch.objects.filter(pk=recent.pk).update(finished_at=timezone.now() - LAG)
    assert len(found()) == 1


def test_batches_that_were_accepted_at_the_same_time_are_all_compared(
    send: Send, built_at: datetime.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leavers, "BATCHES", 1)
    deliveries = {left(0, built_at - MINUTE), left(19, built_at - MINUTE)}
    assert set(found()) == deliveries


def test_the_number_of_queries_does_not_grow_with_the_recipients(
    send: Send, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(14):  # type: ignore[operator]
        compare_next_batches()


# What is shown


def test_the_metric_is_0_and_counts_what_was_found(send: Send, built_at: datetime.datetime) -> None:
    assert b"newsletter_mails_after_leaving 0.0" in metrics_text()
    left(3, built_at - MINUTE)
    compare_all()
    assert b"newsletter_mails_after_leaving 1.0" in metrics_text()
    MailAfterLeaving.objects.update(mailed_at=built_at - leavers.WINDOW)
    assert b"newsletter_mails_after_leaving 0.0" in metrics_text()


def test_the_doctor_names_the_deliveries(send: Send, built_at: datetime.datetime) -> None:
    assert list(leaving_diagnostics(timezone.now())) == []
    delivery = left(3, built_at - MINUTE)
    compare_all()
    (diagnostic,) = leaving_diagnostics(timezone.now())
    assert diagnostic.severity is Severity.ERROR
    assert str(delivery) in diagnostic.sentence
    assert "had left" in diagnostic.sentence


# Personal data


def test_the_subscriber_sees_it_and_erasure_removes_when_they_left(send: Send, built_at: datetime.datetime) -> None:
    delivery = left(3, built_at - MINUTE)
    compare_all()
    address = Delivery.objects.get(pk=delivery).subscriber.address
    sections = export_data(find_data_subject(address))["sections"]
    assert [row["left_by"] for row in sections["mails_after_leaving"]] == ["unsubscribed"]
    erase_data_subject(find_data_subject(address), by="ida")
    row = MailAfterLeaving.objects.get()
    assert (row.delivery_id, row.left_at) == (delivery, None)
    assert mails_after_leaving(timezone.now()).count() == 1
