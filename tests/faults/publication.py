"""Actions of subscribers, operators, workers, the provider and the clock, as rules that Hypothesis chooses from.

The provider is the sandbox, and its ledger is the truth. After each rule the promises are checked against it; at the
end the send is completed, and no recipient may be missing.
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
    OPEN_BATCH_STATES,
    Batch,
    BatchState,
    Delivery,
    DeliveryStatus,
    Fact,
    InvalidTransition,
    IssueStatus,
)
from newsletter.providers.base import SignedEvent
from newsletter.providers.resend.provider import ResendProvider
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxOptions, SandboxServer
from newsletter.sending.batch import release_stale_claims
from newsletter.sending.control import cancel_issue, drop_cancelled, finish_issues, pause_issue, resume_issue
from newsletter.sending.expand import expand_next
from newsletter.sending.post import post_next
from newsletter.sending.provider_search import search_next
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import NotInDoubt, count_as_sent, hold_expired, send_again, settle_proven
from newsletter.sending.retry import retry_failed
from subscribers.consent.actions import unsubscribe
from subscribers.consent.double_opt_in import confirm
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import Evidence, Subscription, SubscriptionState
from tests import people
from tests.publications import let_it_flow, make_issue, start_sending

#: What may go wrong with a post; silence is a reset that takes longer.
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
RANKS = {fact.label: rank for rank, fact in enumerate(Fact, start=1)}
PLACES = [point for point in Point if point.value.startswith(("chunk", "claim", "before", "request", "answer", "outc"))]
EVIDENCE = Evidence(form="tests")


class Clock:
    """Seconds by which our clock and the provider's are ahead."""

    ours = 0.0
    theirs = 0.0


def our_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=Clock.ours)


class Publication(RuleBasedStateMachine):
    """One issue that is sent to a few recipients."""

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
        self.order = itertools.count(1)
        self.left: dict[str, int] = {}
        self.frozen: dict[str, int] = {}
        self.ranks: dict[int, int] = {}
        self.events: list[SignedEvent] = []
        self.newcomers = 0

    def teardown(self) -> None:
        """Complete the send, check the promises once more, and roll back."""
        try:
            self._complete_the_send()
            self._every_recipient_is_accounted_for()
        finally:
            arm(None)
            self.provider.close()
            self._sandbox.stop()
            transaction.set_rollback(True)
            self._transaction.__exit__(None, None, None)

    # Subscribers

    @initialize(readers=st.integers(1, 7))
    def subscribers_exist(self, readers: int) -> None:
        people.make_subscriptions(readers, self.issue.newsletter)

    @rule()
    def a_person_signs_up(self) -> None:
        self.newcomers += 1
        now = timezone.now()
        people.make_subscription(
            f"newcomer-{self.newcomers}@example.org", self.issue.newsletter,
            state=SubscriptionState.PENDING, requested_at=now, request_number=1,
        )  # fmt: skip

    @rule(data=st.data())
    def a_subscriber_confirms(self, data: st.DataObject) -> None:
        membership = self._one_of(data, SubscriptionState.PENDING)
        if membership is not None:
            confirm(ConfirmationToken(membership.key, membership.request_number), EVIDENCE)

    @rule(data=st.data())
    def a_subscriber_unsubscribes(self, data: st.DataObject) -> None:
        membership = self._one_of(data, SubscriptionState.ACTIVE)
        if membership is not None:
            assert unsubscribe(membership.key, EVIDENCE)
            self.left[membership.subscriber.canonical] = next(self.order)

    @rule(data=st.data())
    def a_subscriber_is_erased(self, data: st.DataObject) -> None:
        membership = self._one_of(data, SubscriptionState.ACTIVE)
        if membership is not None:
            self.left[membership.subscriber.canonical] = next(self.order)
            membership.subscriber.delete()

    # The editor

    @precondition(lambda self: self._status() == IssueStatus.DRAFT)
    @rule()
    def the_editor_sends(self) -> None:
        start_sending(self.issue)

    @precondition(lambda self: self._status() == IssueStatus.SENDING)
    @rule()
    def the_editor_pauses(self) -> None:
        pause_issue(self.issue, by="tests", reason="A look at it.")

    @precondition(lambda self: self._status() == IssueStatus.PAUSED)
    @rule()
    def the_editor_resumes(self) -> None:
        resume_issue(self.issue, by="tests")

    @precondition(lambda self: self._status() in (IssueStatus.SENDING, IssueStatus.PAUSED))
    @rule(really=st.integers(0, 5))
    def the_editor_cancels(self, really: int) -> None:
        if really == 0:
            cancel_issue(self.issue, by="tests")

    @rule()
    def the_editor_retries_failed_deliveries(self) -> None:
        # Refused if no delivery can be retried, or the send is over.
        with contextlib.suppress(InvalidTransition):
            retry_failed(self.issue, by="tests")

    @precondition(lambda self: Batch.objects.filter(state=BatchState.HELD).exists())
    @rule(data=st.data())
    def an_operator_checks_the_providers_log(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(list(Batch.objects.filter(state=BatchState.HELD).order_by("pk"))))
        is_out = any(batch.first_delivery <= row[3] <= batch.last_delivery for row in self._mails())
        # A batch of a send that is over is not sent again.
        with contextlib.suppress(NotInDoubt):
            (count_as_sent if is_out else send_again)(batch, by="tests")

    # The worker

    @rule(name=st.sampled_from(["address", "post", "post", "apply", "settle", "hold", "drop", "finish", "look up"]))
    def a_worker_takes_a_step(self, name: str) -> None:
        self._step(name)

    @rule(point=st.sampled_from(PLACES), name=st.sampled_from(["post", "address", "apply", "finish"]))
    def a_worker_dies(self, point: Point, name: str) -> None:
        arm(Failpoint(point=point, hit=1, action=Action.RAISE))
        try:
            self._step(name)
        except Crash:
            self.provider.close()
        finally:
            arm(None)

    @rule()
    def a_worker_starts(self) -> None:
        release_stale_claims()

    # The provider and the clock

    @rule(fault=st.sampled_from(FAULTS))
    def the_next_post_fails(self, fault: Fault) -> None:
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
    def an_event_is_repeated(self, data: st.DataObject) -> None:
        store_event("resend", data.draw(st.sampled_from(self.events)))

    @rule(minutes=st.sampled_from([1, 6, 20, 90, 12 * 60, 24 * 60 + 1]))
    def time_passes(self, minutes: int) -> None:
        Clock.ours += minutes * 60
        Clock.theirs += minutes * 60

    @rule(hours=st.sampled_from([-1, 1, 23.5]))
    def our_clock_jumps(self, hours: float) -> None:
        Clock.ours += hours * 3600

    # Invariants

    @invariant()
    def no_recipient_has_it_twice(self) -> None:
        assert not [address for address, count in Counter(row[1] for row in self._mails()).items() if count > 1]

    @invariant()
    def no_subscriber_who_left_before_the_batch_was_frozen_has_it(self) -> None:
        for key in Batch.objects.exclude(payload_sha256="").values_list("key", flat=True):
            self.frozen.setdefault(key, next(self.order))
        for key, address, *_ in self._mails():
            gone = self.left.get(address)
            assert gone is None or key not in self.frozen or self.frozen[key] < gone, f"{address} had left"

    @invariant()
    def every_recipient_is_in_exactly_one_batch(self) -> None:
        self.issue.refresh_from_db()
        if self.issue.edition is None:
            return
        report = report_of(self.issue)
        assert report.adds_up
        batches = Batch.objects.exclude(state=BatchState.SPLIT)
        # A refused recipient who is retried is in a second batch.
        owners = Counter(key for batch in batches.exclude(state=BatchState.REFUSED) for key in _keys_of(batch))
        assert set(owners.values()) <= {1}
        assert len({key for batch in batches for key in _keys_of(batch)}) == report.audience

    @invariant()
    def accepted_deliveries_are_in_the_providers_ledger(self) -> None:
        accepted = Delivery.objects.filter(status=DeliveryStatus.ACCEPTED).values_list("pk", flat=True)
        assert set(accepted) <= {row[3] for row in self._mails()}

    @invariant()
    def the_outcome_of_a_mail_never_goes_back(self) -> None:
        for delivery in Delivery.objects.all():
            rank = RANKS.get(delivery.outcome, 0)
            assert rank >= self.ranks.get(delivery.pk, 0)
            self.ranks[delivery.pk] = rank

    # Helpers of the rules

    def _status(self) -> str:
        self.issue.refresh_from_db()
        return self.issue.status

    def _step(self, name: str) -> bool:
        steps: dict[str, Callable[[], bool]] = {
            "address": lambda: expand_next(3, 4),
            "post": self._post,
            "apply": lambda: apply_events(self.provider, limit=5),
            "settle": settle_proven,
            "hold": lambda: hold_expired((self.provider,)),
            "drop": drop_cancelled,
            "finish": finish_issues,
            "look up": lambda: search_next((self.provider,)),
        }
        return steps[name]()

    def _post(self) -> bool:
        let_it_flow()
        return post_next((self.provider,))

    def _one_of(self, data: st.DataObject, state: SubscriptionState) -> Subscription | None:
        keys = Subscription.objects.filter(state=state).order_by("pk").values_list("pk", flat=True)
        if not keys:
            return None
        return Subscription.objects.select_related("subscriber").get(pk=data.draw(st.sampled_from(list(keys))))

    def _mails(self) -> list[tuple[str, str, str, int]]:
        """Every mail that the provider accepted: (key, address, its id, our delivery)."""
        rows = self._sandbox.team.database.rows(
            "SELECT keys.key, recipients.address, mails.uid, json_extract(mails.envelope, '$.tags.delivery') "
            "FROM mails JOIN recipients ON recipients.mail = mails.id LEFT JOIN keys ON keys.body = mails.body"
        )
        return [(str(row[0]), row[1], row[2], int(row[3])) for row in rows]

    def _complete_the_send(self) -> None:
        """Stop all faults, and let workers run until nothing is left to do."""
        self._sandbox.team.faults.clear()
        if self._status() == IssueStatus.DRAFT:
            start_sending(self.issue)
        for _ in range(40):
            if self._status() == IssueStatus.PAUSED:
                resume_issue(self.issue, by="tests")
            release_stale_claims()
            for name in ("address", "post", "apply", "settle", "hold", "drop", "finish"):
                while self._step(name):
                    pass
            if not Batch.objects.filter(state__in=OPEN_BATCH_STATES).exists() and self._is_addressed():
                break
            Clock.ours += 600
            Clock.theirs += 600

    def _is_addressed(self) -> bool:
        return self._status() == IssueStatus.CANCELLED or self.issue.expanded_at is not None

    def _every_recipient_is_accounted_for(self) -> None:
        with_the_provider = {row[3] for row in self._mails()}
        for delivery in Delivery.objects.all():
            if delivery.status == DeliveryStatus.ACCEPTED:
                assert delivery.pk in with_the_provider
            elif delivery.status == DeliveryStatus.UNKNOWN:
                assert delivery.reason
            else:
                assert delivery.status in (DeliveryStatus.SKIPPED, DeliveryStatus.FAILED), delivery.status
                assert delivery.reason
                assert delivery.pk not in with_the_provider


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
