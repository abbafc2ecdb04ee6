"""One issue and everything that subscribers, operators, workers, the provider and clocks may do to it, in any order.

A Hypothesis state machine: it picks the rules. The provider is the sandbox, and its ledger is the truth about what was
sent. The promises are checked against it after each step, and once more after all work is done.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from newsletter.config.failpoints import Action, Crash, Failpoint, Point, arm
from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    IN_PROGRESS,
    OPEN_BATCH_STATES,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    EventType,
    InvalidTransition,
    Send,
    SendState,
)
from newsletter.providers.base import SignedEvent
from newsletter.providers.resend.provider import ResendProvider
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxOptions, SandboxServer
from newsletter.sending.batch import release_stale_claims
from newsletter.sending.control import cancel_send, drop_cancelled, finish_sends, pause_send, resume_send
from newsletter.sending.expand import expand_audience
from newsletter.sending.post import post_batch
from newsletter.sending.provider_search import search_provider
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import NotHeld, hold_expired, mark_as_sent, send_again, settle_proven
from newsletter.sending.retry import retry_failed
from newsletter.sending.undo import undo_send
from subscribers.consent.actions import unsubscribe
from subscribers.consent.double_opt_in import confirm
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import Evidence, Subscription, SubscriptionState
from tests import people
from tests.publications import make_issue, reset_throttles, send_of, start_sending

#: Faults of a post. A silent provider is a reset that takes longer.
FAULTS = [
    Fault(kind, after_commit=after)
    for kind in ("reset", "html_502")
    for after in (False, True)
] + [
    Fault(kind)
    for kind in (
        "truncated", "missing_id", "duplicate_id", "rate_limit_exceeded", "service_unavailable",
        "concurrent_idempotent_requests", "invalid_idempotent_request", "daily_quota_exceeded", "validation_error",
    )
]  # fmt: skip

EVENTS = ("sent", "delivery_delayed", "delivered", "opened", "clicked", "bounced", "complained")
RANKS = {str(event_type.label): rank for rank, event_type in enumerate(EventType, start=1)}
POINTS = [point for point in Point if point.value.startswith(("chunk", "claim", "before", "request", "answer", "outc"))]
EVIDENCE = Evidence(form="tests")


class Clock:
    """Seconds by which our clock and the provider's are ahead of the real time."""

    ours = 0.0
    theirs = 0.0


def our_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=Clock.ours)


class Publication(RuleBasedStateMachine):
    """One issue for a handful of recipients."""

    def __init__(self) -> None:
        super().__init__()
        Clock.ours = Clock.theirs = 0.0
        self._transaction = transaction.atomic()
        self._transaction.__enter__()
        self._sandbox = SandboxServer(
            SandboxOptions(port=0, rate_limit=10_000), clock=lambda: time.time() + Clock.theirs
        ).start()
        self.provider = ResendProvider(
            url=self._sandbox.url, api_key="re_sandbox", read_key="re_sandbox",
            webhook_secrets=tuple(django_settings.WEBHOOK_SECRETS),
        )  # fmt: skip
        self.issue = make_issue(stories=1)
        self.sequence = itertools.count(1)
        self.left_at: dict[str, int] = {}
        self.built_at: dict[str, int] = {}
        self.ranks: dict[int, int] = {}
        self.events: list[SignedEvent] = []
        self.sign_ups = 0

    def teardown(self) -> None:
        """Do all remaining work, check the result, and leave nothing behind."""
        try:
            self._do_all_remaining_work()
            self._check_every_delivery()
        finally:
            arm(None)
            self.provider.close()
            self._sandbox.stop()
            transaction.set_rollback(True)
            self._transaction.__exit__(None, None, None)

    # Subscribers

    @initialize(count=st.integers(1, 7))
    def make_subscriptions(self, count: int) -> None:
        people.make_subscriptions(count, self.issue.newsletter)

    @rule()
    def a_subscriber_signs_up(self) -> None:
        self.sign_ups += 1
        now = timezone.now()
        people.make_subscription(
            f"new-{self.sign_ups}@example.org", self.issue.newsletter,
            state=SubscriptionState.PENDING, requested_at=now, request_number=1,
        )  # fmt: skip

    @rule(data=st.data())
    def a_subscriber_confirms(self, data: st.DataObject) -> None:
        subscription = self._any_subscription(data, SubscriptionState.PENDING)
        if subscription is not None:
            confirm(ConfirmationToken(subscription.key, subscription.request_number), EVIDENCE)

    @rule(data=st.data())
    def a_subscriber_unsubscribes(self, data: st.DataObject) -> None:
        subscription = self._any_subscription(data, SubscriptionState.ACTIVE)
        if subscription is not None:
            assert unsubscribe(subscription.key, EVIDENCE)
            self.left_at[subscription.subscriber.canonical] = next(self.sequence)

    @rule(data=st.data())
    def a_subscriber_is_erased(self, data: st.DataObject) -> None:
        subscription = self._any_subscription(data, SubscriptionState.ACTIVE)
        if subscription is not None:
            self.left_at[subscription.subscriber.canonical] = next(self.sequence)
            subscription.subscriber.delete()

    # Operators

    @precondition(lambda self: self._send() is None)
    @rule()
    def an_operator_sends_the_issue(self) -> None:
        start_sending(self.issue)

    @precondition(lambda self: self._state() == SendState.SENDING)
    @rule()
    def an_operator_pauses_the_send(self) -> None:
        pause_send(send_of(self.issue), by="tests", text="Checking a link.")

    @precondition(lambda self: self._state() == SendState.PAUSED)
    @rule()
    def an_operator_resumes_the_send(self) -> None:
        resume_send(send_of(self.issue), by="tests")

    @precondition(lambda self: self._state() in IN_PROGRESS)
    @rule(chance=st.integers(0, 5))
    def an_operator_cancels_the_send(self, chance: int) -> None:
        if chance == 0:
            cancel_send(send_of(self.issue), by="tests")

    @precondition(lambda self: self._state() in IN_PROGRESS)
    @rule(chance=st.integers(0, 2))
    def an_operator_undoes_the_send(self, chance: int) -> None:
        if chance:
            return
        # Refused once a mail was sent, or may have been.
        with contextlib.suppress(InvalidTransition):
            undo_send(send_of(self.issue), by="tests")

    @precondition(lambda self: self._send() is not None)
    @rule()
    def an_operator_retries_failed_deliveries(self) -> None:
        # Refused if no delivery has failed, or if the send was cancelled.
        with contextlib.suppress(InvalidTransition):
            retry_failed(send_of(self.issue), by="tests")

    @precondition(lambda self: Batch.objects.filter(state=BatchState.HELD).exists())
    @rule(data=st.data())
    def an_operator_decides_about_a_held_batch_by_the_providers_log(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(list(Batch.objects.filter(state=BatchState.HELD).order_by("pk"))))
        was_sent = any(batch.first_delivery <= row[3] <= batch.last_delivery for row in self._mails())
        # A batch of a send that is over is not sent again.
        with contextlib.suppress(NotHeld):
            (mark_as_sent if was_sent else send_again)(batch, by="tests")

    # Workers

    @rule(name=st.sampled_from(["expand", "post", "post", "apply", "settle", "hold", "drop", "finish", "search"]))
    def a_worker_takes_a_step(self, name: str) -> None:
        self._step(name)

    @rule(point=st.sampled_from(POINTS), name=st.sampled_from(["post", "expand", "apply", "finish"]))
    def a_worker_crashes(self, point: Point, name: str) -> None:
        arm(Failpoint(point=point, hit=1, action=Action.RAISE))
        try:
            self._step(name)
        except Crash:
            self.provider.close()
        finally:
            arm(None)

    @rule()
    def a_worker_starts(self) -> None:
        release_stale_claims(include_own=True)

    # The provider and the clocks

    @rule(fault=st.sampled_from(FAULTS))
    def the_next_post_goes_wrong(self, fault: Fault) -> None:
        self._sandbox.plan(fault)

    @rule(data=st.data(), kind=st.sampled_from(EVENTS))
    def an_event_arrives(self, data: st.DataObject, kind: str) -> None:
        mails = self._mails()
        if not mails:
            return
        _key, address, mail, delivery = mails[data.draw(st.integers(0, len(mails) - 1))]
        signed = SignedEvent(event_id=f"msg_{len(self.events)}", body=_event(kind, mail, address, delivery))
        self.events.append(signed)
        store_event("resend", signed)

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def an_event_arrives_again(self, data: st.DataObject) -> None:
        store_event("resend", data.draw(st.sampled_from(self.events)))

    @rule(minutes=st.sampled_from([1, 6, 20, 90, 12 * 60, 24 * 60 + 1]))
    def time_passes(self, minutes: int) -> None:
        Clock.ours += minutes * 60
        Clock.theirs += minutes * 60

    @rule(hours=st.sampled_from([-1, 1, 23.5]))
    def our_clock_jumps(self, hours: float) -> None:
        Clock.ours += hours * 3600

    # What always holds

    @invariant()
    def no_recipient_gets_the_issue_twice(self) -> None:
        assert not [address for address, count in Counter(row[1] for row in self._mails()).items() if count > 1]

    @invariant()
    def no_subscriber_who_left_before_their_batch_was_built_gets_the_issue(self) -> None:
        for key in Batch.objects.exclude(payload_sha256="").values_list("key", flat=True):
            self.built_at.setdefault(key, next(self.sequence))
        for key, address, *_ in self._mails():
            left_at = self.left_at.get(address)
            assert left_at is None or key not in self.built_at or self.built_at[key] < left_at, f"{address} had left"

    @invariant()
    def every_recipient_is_in_one_batch_and_in_one_count(self) -> None:
        send = self._send()
        if send is None:
            return
        report = report_of(send)
        batches = Batch.objects.filter(send=send).exclude(state=BatchState.SPLIT)
        # A failed delivery that is retried is in another batch, too.
        owners = Counter(key for batch in batches.exclude(state=BatchState.REFUSED) for key in _keys_of(batch))
        assert set(owners.values()) <= {1}
        assert len({key for batch in batches for key in _keys_of(batch)}) == report.audience

    @invariant()
    def the_provider_has_every_accepted_delivery(self) -> None:
        accepted = Delivery.objects.filter(state=DeliveryState.ACCEPTED).values_list("pk", flat=True)
        assert set(accepted) <= {row[3] for row in self._mails()}

    @invariant()
    def every_mail_belongs_to_a_delivery_of_the_current_send(self) -> None:
        assert {row[3] for row in self._mails()} <= set(Delivery.objects.values_list("pk", flat=True))
        assert not Delivery.objects.exclude(send=self._send()).exists()

    @invariant()
    def the_rank_of_what_is_known_about_a_mail_never_falls(self) -> None:
        for delivery in Delivery.objects.all():
            rank = RANKS.get(delivery.outcome, 0)
            assert rank >= self.ranks.get(delivery.pk, 0)
            self.ranks[delivery.pk] = rank

    # Helpers

    def _send(self) -> Send | None:
        return self.issue.current_send

    def _state(self) -> str:
        send = self._send()
        return send.state if send else ""

    def _step(self, name: str) -> bool:
        steps: dict[str, Callable[[], bool]] = {
            "expand": lambda: expand_audience(3, 4),
            "post": self._post,
            "apply": lambda: apply_events(self.provider, limit=5),
            "settle": settle_proven,
            "hold": lambda: hold_expired((self.provider,)),
            "drop": drop_cancelled,
            "finish": finish_sends,
            "search": lambda: search_provider((self.provider,)),
        }
        return steps[name]()

    def _post(self) -> bool:
        reset_throttles()
        return post_batch((self.provider,))

    def _any_subscription(self, data: st.DataObject, state: SubscriptionState) -> Subscription | None:
        keys = Subscription.objects.filter(state=state).order_by("pk").values_list("pk", flat=True)
        if not keys:
            return None
        return Subscription.objects.select_related("subscriber").get(pk=data.draw(st.sampled_from(list(keys))))

    def _mails(self) -> list[tuple[str, str, str, int]]:
        """Every mail that the provider accepted: (key, address, the provider's id, our delivery)."""
        rows = self._sandbox.team.database.rows(
            "SELECT keys.key, recipients.address, mails.uid, json_extract(mails.envelope, '$.tags.delivery') "
            "FROM mails JOIN recipients ON recipients.mail = mails.id LEFT JOIN keys ON keys.body = mails.body"
        )
        return [(str(row[0]), row[1], row[2], int(row[3])) for row in rows]

    def _do_all_remaining_work(self) -> None:
        """No more faults; the workers continue until nothing is left to do."""
        self._sandbox.team.faults.clear()
        send = self._send() or start_sending(self.issue)
        for _ in range(40):
            send.refresh_from_db()
            if send.state == SendState.PAUSED:
                resume_send(send, by="tests")
            release_stale_claims(include_own=True)
            for name in ("expand", "post", "apply", "settle", "hold", "drop", "finish"):
                while self._step(name):
                    pass
            if not Batch.objects.filter(state__in=OPEN_BATCH_STATES).exists() and self._is_expanded():
                break
            Clock.ours += 600
            Clock.theirs += 600

    def _is_expanded(self) -> bool:
        send = send_of(self.issue)
        return send.state == SendState.CANCELLED or send.expanded_at is not None

    def _check_every_delivery(self) -> None:
        sent = {row[3] for row in self._mails()}
        for delivery in Delivery.objects.all():
            if delivery.state == DeliveryState.ACCEPTED:
                assert delivery.pk in sent
            elif delivery.state == DeliveryState.UNKNOWN:
                assert delivery.reason
            else:
                assert delivery.state in (DeliveryState.SKIPPED, DeliveryState.FAILED), delivery.state
                assert delivery.reason
                assert delivery.pk not in sent


def _keys_of(batch: Batch) -> list[int]:
    return list(deliveries_of(batch).values_list("pk", flat=True))


def _event(kind: str, mail: str, address: str, delivery: int) -> str:
    data: dict[str, Any] = {
        "email_id": mail,
        "to": [address],
        "tags": {"delivery": str(delivery), "env": django_settings.ENVIRONMENT},
    }
    if kind == "bounced":
        data["bounce"] = {"type": "Permanent", "subType": "NoEmail", "message": "550 5.1.1 no such user"}
    if kind == "clicked":
        data["click"] = {"link": "https://harbour.example/"}
    return orjson.dumps({"type": f"email.{kind}", "created_at": timezone.now().isoformat(), "data": data}).decode()
