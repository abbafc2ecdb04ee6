"""Retention: each kind of data is removed after its time and not before, and the doctor names what is overdue."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
import zstandard
from django.conf import settings
from django.utils import timezone

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import Batch, BatchState, Event, EventState
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
    ],
)
def test_the_doctor_names_what_is_overdue(make: Callable[[float], object], limit: int, name: str) -> None:
    make(limit + 1.5)
    assert [rule.name for rule in overdue_rules(NOW)] == []
    make(limit + 3)
    # The first one stands before it: rows go in the order of their keys.
    late = NOW + datetime.timedelta(days=1)
    assert [rule.name for rule in overdue_rules(late)] == [name]
    (found,) = retention_diagnostics(late)
    assert str(next(rule.title for rule in retention_rules() if rule.name == name)) in found.sentence
    purge()
    assert list(retention_diagnostics(late)) == []


def test_a_run_is_bounded_and_goes_on_where_the_last_one_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_RUN", 2)
    monkeypatch.setattr(retention.ByKey._old, "__defaults__", (2,))
    for _ in range(5):
        make_consent(100)
    assert purge_expired()
    assert Consent.objects.filter(ip__isnull=True).count() == 2
    assert purge_expired()
    assert not purge_expired()
    assert Consent.objects.filter(ip__isnull=True).count() == 5
    assert RetentionProgress.objects.get(name="evidence").last_pk == Consent.objects.latest("pk").pk


def test_orphans_are_counted_by_the_doctor() -> None:
    make_event(1, EventState.ORPHAN)
    make_event(2, EventState.ORPHAN)
    make_event(9, EventState.ORPHAN)
    (found,) = orphan_diagnostics(NOW)
    assert found.sentence.startswith("2 webhook events of the last 3 days")
