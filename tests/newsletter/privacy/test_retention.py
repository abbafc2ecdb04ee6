"""Retention: each kind of data is removed after its time and not before, and the doctor names what is overdue."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import zstandard
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    Batch,
    BatchState,
    Event,
    EventState,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
)
from newsletter.monitoring.privacy_diagnostics import orphan_diagnostics, retention_diagnostics
from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.sending.batch import claim_batch
from newsletter.sending.outcome import record_outcome
from newsletter.sending.reconcile import hold
from subscribers.models import Consent, RetentionProgress, Signup, TransactionalMail
from subscribers.privacy import retention
from subscribers.privacy.retention import overdue_rules, purge_expired, retention_rules
from tests import people
from tests.newsletter.privacy.canary import NO_ANSWER, batch_of
from tests.newsletter.privacy.test_erasure import event_body
from tests.newsletter.sending.conftest import provider, sandbox
from tests.publications import expand_audiences, make_issue, start_sending

pytestmark = pytest.mark.django_db

__all__ = ["provider", "sandbox"]

NOW = timezone.now()


def ago(days: float) -> datetime.datetime:
    return NOW - datetime.timedelta(days=days)


def make_consent(days: float) -> Consent:
    return Consent.objects.create(
        kind="requested", list_name="L", form="signup", ip="192.0.2.7", user_agent="Agent", address=people.ADA,
        created_at=ago(days),
    )  # fmt: skip


def make_event(days: float, state: EventState = EventState.APPLIED) -> Event:
    return Event.objects.create(
        provider="resend", event_id=f"m-{days}-{state}", kind="email.delivered", state=state,
        body=event_body("email.delivered", delivery="1").body, received_at=ago(days),
    )  # fmt: skip


def make_mail(days: float, state: str = "sent") -> TransactionalMail:
    subscription = (
        people.ada() if not TransactionalMail.objects.exists() else TransactionalMail.objects.all()[0].subscription
    )
    return TransactionalMail.objects.create(
        kind="confirmation", subscription=subscription, recipient=people.ADA, subject="Please confirm", state=state,
        created_at=ago(days),
    )  # fmt: skip


def make_signup(days: float) -> Signup:
    return Signup.objects.create(
        mailing_list=people.make_mailing_list(), address=people.ADA, evidence={}, due_at=None, created_at=ago(days)
    )


CLICK = {
    "type": "email.clicked",
    "created_at": "2026-11-20T07:00:00+00:00",
    "data": {
        "email_id": "mail-1",
        "to": [people.ADA],
        "tags": {"delivery": "1", "env": "tests"},
        "click": {"ipAddress": "192.0.2.7", "link": "https://a.example/", "timestamp": "t", "userAgent": "Agent"},
    },
}


def make_click(days: float, state: EventState = EventState.APPLIED, body: dict[str, Any] = CLICK) -> Event:
    return Event.objects.create(
        provider="resend", event_id=f"c-{days}-{state}-{Event.objects.count()}", kind="email.clicked", state=state,
        body=orjson.dumps(body).decode(), received_at=ago(days), detail="https://a.example/",
    )  # fmt: skip


def make_message(days: float, state: str = "delivered") -> WebhookMessage:
    endpoint = WebhookEndpoint.objects.first() or WebhookEndpoint.objects.create(name="Shop", url="https://a.example/")
    message = WebhookMessage.objects.create(
        endpoint=endpoint, uid=f"msg_{days}_{state}", type="webhook.test", source="test", source_pk=1, state=state,
        at=ago(days), created_at=ago(days),
    )  # fmt: skip
    WebhookAttempt.objects.create(message=message, duration=1, status=200, at=ago(days))
    return message


def purge() -> None:
    while purge_expired():
        pass


def test_every_rule_has_a_setting_and_every_setting_a_rule_or_a_colleague() -> None:
    assert {rule.name for rule in retention_rules()} <= set(settings.RETENTION_DAYS)


def test_addresses_of_networks_and_browsers_leave_a_consent_after_their_time() -> None:
    old, new = make_consent(91), make_consent(89)
    purge()
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.ip, old.user_agent, old.address) == (None, "", people.ADA)
    assert (new.ip, new.user_agent) == ("192.0.2.7", "Agent")


def test_an_old_event_keeps_its_id_its_kind_and_its_time_only() -> None:
    old, new = make_event(31), make_event(29)
    purge()
    old.refresh_from_db()
    assert "@" not in old.body
    parsed = get_provider().parse_webhook(old.body)
    assert (parsed.kind, parsed.tags["delivery"]) == ("email.delivered", "1")
    new.refresh_from_db()
    assert "@" in new.body
    store_event("resend", event_body("email.delivered", delivery="1"))
    assert Event.objects.filter(event_id=old.event_id).count() == 1


def test_an_event_that_waits_is_not_touched() -> None:
    waiting, later = make_event(40, EventState.NEW), make_event(35)
    purge()
    waiting.refresh_from_db()
    assert "@" in waiting.body
    later.refresh_from_db()
    assert "@" in later.body
    apply_events(get_provider())
    purge()
    assert not Event.objects.filter(body__contains="@").exists()


def test_the_network_and_the_browser_leave_a_click_after_a_week_and_all_else_stays_until_its_time() -> None:
    old, new = make_click(8), make_click(6)
    purge()
    old.refresh_from_db()
    new.refresh_from_db()
    assert "192.0.2.7" not in old.body
    assert "Agent" not in old.body
    body = orjson.loads(old.body)
    assert body["data"]["click"] == {"link": "https://a.example/", "timestamp": "t"}
    assert body == {**CLICK, "data": {**CLICK["data"], "click": body["data"]["click"]}}  # type: ignore[dict-item]
    assert orjson.loads(new.body) == CLICK
    assert (old.detail, old.state, old.kind) == ("https://a.example/", "applied", "email.clicked")


@pytest.mark.parametrize("name", ["ip", "ip_address", "ipAddress", "user_agent", "userAgent"])
def test_the_names_that_providers_use_are_known_wherever_they_stand(name: str) -> None:
    event = make_click(8, body={"type": "email.opened", "data": {"open": [{name: "192.0.2.7", "at": 1}]}})
    purge()
    event.refresh_from_db()
    assert orjson.loads(event.body) == {"type": "email.opened", "data": {"open": [{"at": 1}]}}


def test_a_click_that_is_not_applied_yet_keeps_what_its_rules_need() -> None:
    waiting = make_click(8, EventState.NEW)
    purge()
    waiting.refresh_from_db()
    assert "192.0.2.7" in waiting.body


def test_a_body_that_cannot_be_read_or_has_neither_is_left_as_it_is() -> None:
    plain = make_event(8)
    odd = Event.objects.create(provider="resend", event_id="odd", body="{", state="ignored", received_at=ago(8))
    before = plain.body
    purge()
    plain.refresh_from_db()
    odd.refresh_from_db()
    assert (plain.body, odd.body) == (before, "{")


def test_old_messages_to_other_systems_are_deleted_with_their_attempts() -> None:
    make_message(31)
    make_message(31, "pending")
    new = make_message(29)
    purge()
    assert list(WebhookMessage.objects.all()) == [new]
    assert WebhookAttempt.objects.count() == 1


def test_a_run_goes_on_with_a_kind_of_which_there_is_much_until_its_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_RUN", 2)
    monkeypatch.setattr(retention.ByKey._old, "__defaults__", (2,))
    for _ in range(9):
        make_consent(100)
    seconds = itertools.count(0.0, retention.RUN_SECONDS / len(retention_rules()) / 4)
    assert purge_expired(clock=lambda: next(seconds))
    assert Consent.objects.filter(ip__isnull=True).count() == 8
    assert not purge_expired(clock=lambda: 0.0)
    assert Consent.objects.filter(ip__isnull=True).count() == 9


def test_the_bodies_of_events_are_looked_for_by_their_keys_only() -> None:
    """No query looks through the bodies, and no run writes what it has written."""
    for _ in range(3):
        make_click(8)
    purge()
    with CaptureQueriesContext(connection) as queries:
        purge()
    written = [query["sql"] for query in queries if "newsletter_event" in query["sql"] and "body" in query["sql"]]
    assert written == []


def test_the_subject_of_an_old_mail_is_removed_unless_it_waits() -> None:
    old, waiting = make_mail(91), make_mail(91, "pending")
    purge()
    old.refresh_from_db()
    waiting.refresh_from_db()
    assert (old.subject, waiting.subject) == ("", "Please confirm")


def test_the_address_of_a_stranger_leaves_an_old_mail_to_them() -> None:
    old, own = make_mail(91), make_mail(91)
    TransactionalMail.objects.filter(pk=old.pk).update(kind="address_confirm", recipient="stranger@example.net")
    purge()
    old.refresh_from_db()
    own.refresh_from_db()
    assert (old.recipient, bool(own.recipient)) == ("", True)


def test_old_sign_ups_are_deleted() -> None:
    make_signup(31)
    new = make_signup(29)
    purge()
    assert list(Signup.objects.all()) == [new]


def test_the_recipients_of_a_batch_that_was_held_for_long_are_removed(provider: Provider) -> None:
    issue = make_issue()
    people.ada(issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    claimed = claim_batch(provider)
    assert claimed is not None
    provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
    record_outcome(claimed, NO_ANSWER)
    hold(batch_of(send), "recipient_left_unknown")

    def body() -> bytes:
        return zstandard.decompress(bytes(batch_of(send).payload or b""))

    purge()
    assert people.ADA.encode() in body()
    Batch.objects.update(last_attempt_at=ago(36))
    purge()
    assert b"@" not in body()
    assert batch_of(send).state == BatchState.HELD
    # The provider's list can still be searched.
    assert len(provider.search(body(), after="").found) == 1  # type: ignore[attr-defined]


def test_bytes_that_stayed_with_a_finished_batch_are_removed() -> None:
    issue = make_issue()
    people.ada(issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    Batch.objects.update(state=BatchState.DROPPED, payload=b"x", finished_at=ago(34))
    purge()
    assert batch_of(send).payload is not None
    Batch.objects.update(finished_at=ago(36))
    assert [rule.name for rule in overdue_rules(NOW)] == []
    assert [rule.name for rule in overdue_rules(NOW + datetime.timedelta(days=2))] == ["payloads"]
    purge()
    assert batch_of(send).payload is None


@pytest.mark.parametrize(
    ("make", "limit", "name"),
    [
        (make_consent, 90, "evidence"),
        (make_event, 30, "webhooks"),
        (make_mail, 90, "mails"),
        (make_signup, 30, "signups"),
        (make_click, 7, "client_data"),
        (make_message, 30, "outgoing_webhooks"),
    ],
)
def test_the_doctor_names_what_is_overdue(make: Callable[[float], object], limit: int, name: str) -> None:
    def names(at: datetime.datetime) -> list[str]:
        # An event of any age is late for the rule of its client data, which comes before that of its body.
        return [rule.name for rule in overdue_rules(at) if rule.name == name or make is not make_event]

    make(limit + 1.5)
    assert names(NOW) == []
    make(limit + 3)
    # The first one stands before it: rows go in the order of their keys.
    late = NOW + datetime.timedelta(days=1)
    assert names(late) == [name]
    title = str(next(rule.title for rule in retention_rules() if rule.name == name))
    assert any(title in found.sentence for found in retention_diagnostics(late))
    purge()
    assert list(retention_diagnostics(late)) == []


def test_a_run_is_bounded_and_goes_on_where_the_last_one_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_RUN", 2)
    monkeypatch.setattr(retention.ByKey._old, "__defaults__", (2,))
    for _ in range(5):
        make_consent(100)
    late = itertools.count(0.0, retention.RUN_SECONDS)
    assert purge_expired(clock=lambda: next(late))
    assert Consent.objects.filter(ip__isnull=True).count() == 2
    assert purge_expired(clock=lambda: next(late))
    assert not purge_expired(clock=lambda: next(late))
    assert Consent.objects.filter(ip__isnull=True).count() == 5
    assert RetentionProgress.objects.get(name="evidence").last_pk == Consent.objects.latest("pk").pk


def test_orphans_are_counted_by_the_doctor() -> None:
    make_event(1, EventState.ORPHAN)
    make_event(2, EventState.ORPHAN)
    make_event(9, EventState.ORPHAN)
    (found,) = orphan_diagnostics(NOW)
    assert found.sentence.startswith("2 webhook events of the last 3 days")
