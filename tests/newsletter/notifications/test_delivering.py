"""Messages are posted, signed, retried and given up on; a slow or broken endpoint delays no other."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from newsletter import outbound
from newsletter.models import (
    EndpointState,
    EndpointTransition,
    MessageState,
    Reason,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from newsletter.notifications import delivering
from newsletter.notifications.delivering import DELAYS, LONGEST_ASKED, deliver_messages, rest_after, retry_delay
from newsletter.notifications.endpoints import (
    activate_endpoint,
    failed_since,
    pause_endpoint,
    rotate_secret,
    send_again,
    send_test,
)
from newsletter.notifications.signing import secret_text
from newsletter.outbound import Limits
from newsletter.sending.switch import stop_all_sending
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests.newsletter.notifications.receiver import Receiver, Reply, is_signed
from tests.newsletter.notifications.story import make_all, subscribe, unsubscribe

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Moves the time forward, for all that asks Django for it."""
    passed = [datetime.timedelta(0)]
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + passed[0])

    def move(**by: float) -> None:
        passed[0] += datetime.timedelta(**by)

    return move


def state_of(message: WebhookMessage) -> str:
    return WebhookMessage.objects.get(pk=message.pk).state


def test_a_message_arrives_signed_with_its_type_its_time_and_its_data(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    subscription = subscribe("ada@example.org")
    make_all()
    assert deliver_messages()
    assert not deliver_messages()
    first, second = receiver.received
    assert is_signed(first, secret_text(WebhookSecret.objects.get()))
    assert first.headers["content-type"] == "application/json"
    assert first.headers["user-agent"].startswith("newsletter (+")
    assert set(first.content) == {"type", "timestamp", "data"}
    assert (first.content["type"], second.content["type"]) == ("subscriber.subscribed", "subscriber.confirmed")
    assert datetime.datetime.fromisoformat(first.content["timestamp"]).tzinfo
    assert first.content["data"]["subscriber"] == subscription.subscriber_id
    assert abs(int(first.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert {each.uid for each in receiver.received} == set(WebhookMessage.objects.values_list("uid", flat=True))
    assert set(WebhookMessage.objects.values_list("state", flat=True)) == {"delivered"}


def test_an_address_is_in_a_message_only_where_the_endpoint_asks_for_it(
    open_at: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    open_at("/without"), open_at("/with", includes_addresses=True)
    subscribe("Ada@example.org")
    make_all()
    assert deliver_messages()
    assert all(b"@" not in each.body for each in receiver.at("/without"))
    assert [each.content["data"]["address"] for each in receiver.at("/with")] == ["Ada@example.org"] * 2


def test_an_erased_address_is_not_sent_by_a_message_that_waits(
    open_at: Callable[..., WebhookEndpoint], receiver: Receiver
) -> None:
    open_at(includes_addresses=True)
    subscribe("ada@example.org")
    make_all()
    erase_data_subject(find_data_subject("ada@example.org"))
    deliver_messages()
    assert [each for each in receiver.received if b"ada" in each.body] == []


def test_while_the_secret_is_replaced_either_secret_verifies(endpoint: WebhookEndpoint, receiver: Receiver) -> None:
    old = WebhookSecret.objects.get()
    new = rotate_secret(endpoint)
    send_test(endpoint)
    deliver_messages()
    (received,) = receiver.received
    assert received.headers["webhook-signature"].count("v1,") == 2
    assert is_signed(received, secret_text(old))
    assert is_signed(received, secret_text(new))


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_any_other_status_is_a_failure_that_is_logged_and_retried(
    endpoint: WebhookEndpoint, receiver: Receiver, status: int
) -> None:
    receiver.replies["/hook"] = Reply(status, b"Sorry." * 200, {"Location": f"{receiver.url}/elsewhere"})
    message = send_test(endpoint)
    deliver_messages()
    attempt = WebhookAttempt.objects.get()
    assert (attempt.status, attempt.code, attempt.message) == (status, "", message)
    assert len(attempt.answer) == (500 if status >= 400 else 0)
    assert receiver.at("/elsewhere") == []
    message.refresh_from_db()
    assert (message.state, message.tries, message.lease_until) == ("pending", 1, None)


def test_the_answer_is_kept_without_what_the_database_cannot_store(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.replies["/hook"] = Reply(200, b"ok \x00 \xff \xe2\x82\xac")
    send_test(endpoint)
    deliver_messages()
    assert WebhookAttempt.objects.get().answer == "ok  � €"


def test_attempts_follow_the_plan_of_the_standard_and_then_end(
    endpoint: WebhookEndpoint, receiver: Receiver, clock: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)
    receiver.replies["/hook"] = Reply(500)
    message = send_test(endpoint)
    for number, delay in enumerate(DELAYS, start=1):
        assert deliver_messages()
        assert len(receiver.received) == number
        clock(seconds=delay.total_seconds() - 1)
        deliver_messages()
        assert len(receiver.received) == number
        clock(seconds=1)
    assert deliver_messages()
    assert [delay.total_seconds() for delay in DELAYS] == [5, 300, 1800, 7200, 18000, 36000, 36000]
    assert (state_of(message), WebhookAttempt.objects.count()) == ("failed", len(DELAYS) + 1)
    clock(days=4)
    assert not deliver_messages()
    assert {each.uid for each in receiver.received} == {message.uid}


@pytest.mark.parametrize(("status", "waits"), [(429, 1800), (503, 1800), (500, 10)])
def test_an_endpoint_that_asks_for_a_wait_gets_it(
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    clock: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    waits: int,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)
    receiver.replies["/hook"] = Reply(status, headers={"Retry-After": "1800"})
    send_test(endpoint)
    assert deliver_messages()
    other = send_test(endpoint)
    receiver.replies["/hook"] = Reply(204)
    if waits == 1800:
        clock(seconds=waits / 2)
        assert not deliver_messages(), "neither the message nor another one"
    clock(seconds=waits)
    assert deliver_messages()
    assert state_of(other) == "delivered"


def test_a_wait_for_days_is_cut_to_an_hour(
    endpoint: WebhookEndpoint, receiver: Receiver, clock: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)
    receiver.replies["/hook"] = Reply(503, headers={"Retry-After": "864000"})
    message = send_test(endpoint)
    assert deliver_messages()
    receiver.replies["/hook"] = Reply(204)
    clock(seconds=LONGEST_ASKED.total_seconds() + 1)
    assert deliver_messages()
    assert state_of(message) == "delivered"


def test_retries_spread_out() -> None:
    for tries, delay in enumerate(DELAYS, start=1):
        found = {retry_delay(tries) / delay for _ in range(20)}
        assert len(found) > 10
        assert all(0.8 <= each <= 1.2 for each in found)


def test_an_endpoint_rests_longer_with_each_failure() -> None:
    rests = [rest_after(failures).total_seconds() for failures in range(1, 9)]
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300]
    assert rest_after(10_000).total_seconds() == 300


def test_a_broken_endpoint_gets_one_attempt_a_round_whatever_waits(
    endpoint: WebhookEndpoint, receiver: Receiver, clock: Callable[..., None]
) -> None:
    receiver.replies["/hook"] = Reply(500)
    for _ in range(5):
        send_test(endpoint)
    assert deliver_messages()
    assert not deliver_messages()
    assert len(receiver.received) == 1
    # The others were only claimed: they have all their attempts left.
    assert sorted(WebhookMessage.objects.values_list("tries", flat=True)) == [0, 0, 0, 0, 1]
    receiver.replies.clear()
    clock(seconds=7)
    assert deliver_messages()
    assert set(WebhookMessage.objects.values_list("state", flat=True)) == {"delivered"}
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since, endpoint.not_before) == (0, None, None)


def test_a_slow_endpoint_keeps_no_other_waiting(
    open_at: Callable[..., WebhookEndpoint], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same round the others get theirs, while the slow one is cut off when its time is up."""
    monkeypatch.setattr(delivering, "LIMITS", Limits(seconds=0.5, bytes=500, redirects=0))
    slow, quick = open_at("/slow"), open_at("/quick")
    receiver.replies["/slow"] = Reply(waits=True)
    for _ in range(4):
        send_test(slow), send_test(quick)
    assert deliver_messages()
    assert (len(receiver.at("/slow")), len(receiver.at("/quick"))) == (1, 4)
    attempt = WebhookAttempt.objects.get(message__endpoint=slow)
    assert (attempt.status, attempt.code, attempt.detail["seconds"]) == (None, "timeout", 0.5)
    assert not WebhookMessage.objects.filter(endpoint=quick).exclude(state=MessageState.DELIVERED).exists()


def test_a_round_is_bounded_in_time_and_number(
    endpoint: WebhookEndpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        send_test(endpoint)
    monkeypatch.setattr(delivering, "PER_LANE", 4)
    seconds = itertools.count(0, 2)
    assert deliver_messages(clock=lambda: float(next(seconds)))
    # Begun at 2 and 4 of 5 seconds.
    assert len(receiver.received) == 2
    assert WebhookMessage.objects.filter(state="pending", tries=0, lease_until=None).count() == 4
    assert deliver_messages()
    assert len(receiver.received) == 6


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://169.254.169.254/latest/meta-data/", "private_host"),
        ("http://[::1]:8000/", "private_host"),
        ("http://10.0.0.7/hook", "private_host"),
        ("ftp://example.org/", "invalid_address"),
        ("http://user:word@127.0.0.1/", "credentials"),
    ],
)
def test_the_guards_of_all_fetches_hold_for_endpoints(
    open_at: Callable[..., WebhookEndpoint], url: str, code: str
) -> None:
    endpoint = open_at()
    WebhookEndpoint.objects.update(url=url)
    send_test(endpoint)
    assert deliver_messages()
    assert WebhookAttempt.objects.get().code == code


def test_an_answer_410_disables_at_once(endpoint: WebhookEndpoint, receiver: Receiver) -> None:
    receiver.replies["/hook"] = Reply(410)
    waiting = [send_test(endpoint), send_test(endpoint)]
    deliver_messages()
    endpoint.refresh_from_db()
    assert (endpoint.state, endpoint.mail_due) == (EndpointState.DISABLED, True)
    (line,) = EndpointTransition.objects.all()
    assert (line.by, line.reason) == ("worker", "gone")
    assert not deliver_messages()
    # What waits is sent when an editor activates it again.
    receiver.replies.clear()
    activate_endpoint(endpoint, by="edda")
    WebhookMessage.objects.update(next_attempt_at=timezone.now())
    assert deliver_messages()
    assert [state_of(message) for message in waiting] == ["delivered", "delivered"]


def test_five_days_of_failures_disable_and_one_success_in_between_does_not(
    endpoint: WebhookEndpoint, receiver: Receiver, clock: Callable[..., None]
) -> None:
    def fail_for(days: int) -> None:
        receiver.replies["/hook"] = Reply(503)
        for _ in range(days):
            send_test(endpoint)
            deliver_messages()
            clock(days=1)

    fail_for(4)
    receiver.replies.clear()
    deliver_messages()
    fail_for(5)
    assert WebhookEndpoint.objects.get().state == EndpointState.ACTIVE
    fail_for(1)
    found = WebhookEndpoint.objects.get()
    assert (found.state, found.mail_due) == (EndpointState.DISABLED, True)
    (line,) = EndpointTransition.objects.all()
    assert line.reason == "failing"
    assert "for more than 5 days" in line.sentence


def test_a_paused_endpoint_gets_nothing_until_it_is_activated(endpoint: WebhookEndpoint, receiver: Receiver) -> None:
    send_test(endpoint)
    pause_endpoint(endpoint, by="edda")
    assert not deliver_messages()
    activate_endpoint(endpoint, by="edda")
    assert deliver_messages()
    assert len(receiver.received) == 1


def test_a_copy_that_was_restored_posts_nothing_and_a_stop_for_another_reason_does_not_matter(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    send_test(endpoint)
    values = {"from_at": "2026-11-01T00:00:00+00:00", "until_at": "2026-11-02T00:00:00+00:00"}
    stop_all_sending(by="worker", reason=Reason.RESTORED, values=values)
    assert not deliver_messages()
    assert receiver.received == []
    stop_all_sending(by="edda", text="The API key leaked.")
    assert deliver_messages()


def test_an_endpoint_whose_secret_is_lost_gets_nothing(
    endpoint: WebhookEndpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_test(endpoint)
    monkeypatch.setattr(settings, "SECRET_KEY", "another secret key that is as long as needed")
    assert not deliver_messages()
    rotate_secret(endpoint)
    assert deliver_messages()
    assert len(receiver.received) == 1


def test_an_editor_sends_one_again_or_all_that_failed_since_a_time(
    endpoint: WebhookEndpoint, receiver: Receiver, clock: Callable[..., None]
) -> None:
    before, delivered = send_test(endpoint), send_test(endpoint)
    WebhookMessage.objects.filter(pk=before.pk).update(state="failed")
    deliver_messages()
    clock(hours=2)
    since = timezone.now()
    clock(hours=1)
    after = send_test(endpoint)
    WebhookMessage.objects.filter(pk=after.pk).update(state="failed", tries=8)
    assert send_again(failed_since(endpoint, since)) == 1
    assert send_again(WebhookMessage.objects.filter(pk=delivered.pk)) == 1
    assert send_again(WebhookMessage.objects.filter(pk=delivered.pk)) == 0
    deliver_messages()
    assert [each.uid for each in receiver.received] == [delivered.uid, after.uid, delivered.uid]
    assert state_of(before) == "failed"


def test_a_thread_that_fails_unexpectedly_leaves_the_others_recorded(
    open_at: Callable[..., WebhookEndpoint], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, fine = open_at("/odd"), open_at("/fine")
    send_test(odd), send_test(fine)
    real = outbound.post

    def post(url: str, *args: Any, **kwargs: Any) -> Any:
        if url.endswith("/odd"):
            raise RuntimeError("a fault of ours")
        return real(url, *args, **kwargs)

    monkeypatch.setattr(delivering, "post", post)
    with pytest.raises(RuntimeError):
        deliver_messages()
    assert WebhookMessage.objects.get(endpoint=fine).state == MessageState.DELIVERED
    assert WebhookMessage.objects.get(endpoint=odd).lease_until
    assert not deliver_messages()


def test_an_attempt_cannot_be_changed_but_its_answer_can_be_emptied(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.replies["/hook"] = Reply(200, b"Thank you, ada@example.org")
    send_test(endpoint)
    deliver_messages()
    attempts = WebhookAttempt.objects.all()
    for change in ({"status": 500}, {"answer": "No"}, {"code": "timeout"}, {"duration": 99_999}):
        with pytest.raises(IntegrityError), transaction.atomic():
            attempts.update(**change)
    assert attempts.update(answer="") == 1


def test_messages_of_one_subscriber_arrive_in_order_while_nothing_fails(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    for name in ("ada", "ben"):
        unsubscribe(subscribe(f"{name}@example.org"))
    make_all()
    deliver_messages()
    order = [each.content["type"] for each in receiver.received]
    assert order == ["subscriber.subscribed", "subscriber.confirmed", "subscriber.unsubscribed"] * 2
