"""Erasure: nothing about the subscriber is left in any table, and all others get each issue exactly once."""

from __future__ import annotations

import hashlib

import orjson
import pytest
import zstandard
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Event, EventState, Reason
from newsletter.providers.base import Outcome, OutcomeKind, Provider, SignedEvent
from newsletter.sending.batch import claim_batch
from newsletter.sending.outcome import record_outcome
from subscribers.addresses import parse_address
from subscribers.consent.address_change import request_change
from subscribers.models import (
    Consent,
    Evidence,
    Import,
    ImportRefusal,
    MailDomain,
    SignupDecision,
    Subscriber,
    Suppression,
    SuppressionReason,
    TransactionalMail,
    fingerprint,
)
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.export import export_data
from subscribers.privacy.registry import find_data_subject
from subscribers.privacy.rules import rules
from subscribers.signup.queue import process_signups, store_signup
from subscribers.suppression import suppress_addresses
from tests import people
from tests.newsletter.privacy.canary import (
    ADDRESS,
    NO_ANSWER,
    OTHER,
    TYPED,
    WORD,
    batch_of,
    cells_with_word,
    covered_text_columns,
    has_word,
    leave_log_entry,
    make_data_subject,
    models_with_path_to,
)
from tests.newsletter.sending.conftest import long_waits, provider, sandbox
from tests.publications import expand_audiences, make_issue, start_sending

pytestmark = pytest.mark.django_db

__all__ = ["long_waits", "provider", "sandbox"]


def test_every_model_with_a_path_to_a_subscriber_is_exported_and_erased() -> None:
    covered = {model for rule in rules() for model in rule.models}
    missing = models_with_path_to(Subscriber) - covered
    assert not missing, "Add a rule for these models to subscribers/privacy/rules.py or with add_rule."
    assert len({rule.name for rule in rules()}) == len(rules())


def test_after_erasure_no_table_has_a_trace(provider: Provider) -> None:
    make_data_subject(provider)
    without_word = [
        f"{model._meta.label}.{field.name}" for model, field in covered_text_columns() if not has_word(model, field)
    ]
    assert not without_word, "The subscriber of this test has nothing there: extend make_data_subject."
    erased = erase_data_subject(find_data_subject(TYPED), by="ida")
    assert erased.rows["subscriber"]
    assert cells_with_word() == []
    assert Suppression.objects.get().reason == SuppressionReason.ERASED
    # That someone agreed stays.
    assert Consent.objects.filter(kind="requested", list_name="Harbour Notes", address="").exists()
    assert not erase_data_subject(find_data_subject(ADDRESS)).total


def test_mails_to_the_address_that_another_wanted_to_change_theirs_to_are_erased() -> None:
    asking = people.make_subscription(OTHER)
    assert request_change(asking.key, parse_address(ADDRESS))
    assert TransactionalMail.objects.filter(recipient=ADDRESS).exists()
    assert [row["kind"] for row in export_data(find_data_subject(TYPED))["sections"]["transactional_mails"]] == [
        "address_confirm"
    ]
    erase_data_subject(find_data_subject(TYPED))
    assert cells_with_word() == []
    # That to the other subscriber is theirs.
    assert TransactionalMail.objects.get().recipient == OTHER


def test_what_names_an_address_that_contains_this_one_is_neither_exported_nor_erased() -> None:
    longer = f"my.{ADDRESS}"
    people.make_subscription(ADDRESS)
    stored = Import.objects.create(mailing_list=people.make_mailing_list(), file_name=f"{longer}.csv", size=1)
    ImportRefusal.objects.create(owner=stored, position=1, line=1, reason="two_addresses", cells=[longer, "Berlin"])
    Event.objects.create(provider="resend", event_id="m-1", body=orjson.dumps({"to": [longer]}).decode())
    leave_log_entry(longer)
    session = SessionStore()
    session["_messages"] = f"{longer} was changed"
    session.save()
    assert longer not in str(export_data(find_data_subject(ADDRESS)))
    erase_data_subject(find_data_subject(ADDRESS))
    assert cells_with_word() == [
        "django_admin_log.object_repr",
        "newsletter_event.body",
        "sessions",
        "subscribers_import.file_name",
        "subscribers_importrefusal.cells",
    ]


def sign_up(address: str) -> None:
    """With all that a sign-up leaves behind."""
    store_signup(people.make_mailing_list(), parse_address(address), Evidence(form="signup"), network="192.0.2.7")
    process_signups()
    domain = address.rpartition("@")[2]
    MailDomain.objects.get_or_create(domain=domain, defaults={"status": "accepts", "checked_at": timezone.now()})


def test_a_mail_domain_of_the_person_alone_is_erased_from_the_log_of_sign_ups() -> None:
    sign_up(f"ada@{WORD}.example")
    sign_up(OTHER)
    erase_data_subject(find_data_subject(f"ada@{WORD}.example"))
    assert cells_with_word() == []
    assert set(SignupDecision.objects.values_list("facts__domain", flat=True)) == {"", "example.org"}
    assert MailDomain.objects.get().domain == "example.org"


def test_a_mail_domain_that_another_subscriber_has_stays_in_the_log_of_sign_ups() -> None:
    for name in ("ada", "ben"):
        sign_up(f"{name}@{WORD}.example")
    erase_data_subject(find_data_subject(f"ada@{WORD}.example"))
    assert set(SignupDecision.objects.values_list("facts__domain", flat=True)) == {f"{WORD}.example"}


def test_nothing_is_stored_about_an_address_of_which_nothing_was() -> None:
    assert not erase_data_subject(find_data_subject(ADDRESS)).total
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("reason", [SuppressionReason.COMPLAINT, SuppressionReason.MANUAL, SuppressionReason.PROVIDER])
def test_a_heavier_reason_for_a_suppression_stays(reason: SuppressionReason) -> None:
    people.make_subscription(ADDRESS)
    suppress_addresses({ADDRESS: (reason, f"{WORD} wrote")})
    erase_data_subject(find_data_subject(ADDRESS))
    kept = Suppression.objects.get()
    assert (kept.reason, kept.detail) == (reason, "")
    assert cells_with_word() == []


def messages(batch: Batch) -> list[dict[str, object]]:
    batch.refresh_from_db()
    assert batch.payload is not None
    found: list[dict[str, object]] = orjson.loads(zstandard.decompress(bytes(batch.payload)))
    return found


def make_send(provider: Provider) -> Batch:
    issue = make_issue()
    for address in (ADDRESS, OTHER):
        people.make_subscription(address, issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    return batch_of(send)


def test_a_waiting_delivery_is_skipped_and_the_others_are_sent(provider: Provider) -> None:
    make_send(provider)
    erase_data_subject(find_data_subject(ADDRESS))
    skipped = Delivery.objects.get(state=DeliveryState.SKIPPED)
    assert skipped.reason == Reason.ERASED
    claimed = claim_batch(provider)
    assert claimed is not None
    assert [message["to"] for message in orjson.loads(claimed.body)] == [[OTHER]]


def test_an_attempt_that_runs_during_the_erasure_is_recorded(provider: Provider) -> None:
    batch = make_send(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    erase_data_subject(find_data_subject(ADDRESS))
    batch.refresh_from_db()
    assert batch.state == BatchState.CLAIMED
    assert batch.payload_sha256 == hashlib.sha256(claimed.body).hexdigest()
    record_outcome(claimed, Outcome(kind=OutcomeKind.ACCEPTED, ids=("m-1", "m-2")))
    batch.refresh_from_db()
    assert (batch.state, batch.payload) == (BatchState.ACCEPTED, None)
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.ACCEPTED}


def test_an_attempt_that_was_not_sent_is_built_anew_without_the_person(provider: Provider) -> None:
    make_send(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    erase_data_subject(find_data_subject(ADDRESS))
    record_outcome(claimed, Outcome(kind=OutcomeKind.RETRY_LATER, code="dns_error", retry_after=0.0))
    Batch.objects.update(not_before=timezone.now())
    again = claim_batch(provider)
    assert again is not None
    assert [message["to"] for message in orjson.loads(again.body)] == [[OTHER]]


def test_bytes_with_an_unknown_outcome_are_held_and_never_posted_again(provider: Provider) -> None:
    batch = make_send(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    record_outcome(claimed, NO_ANSWER)
    erase_data_subject(find_data_subject(ADDRESS))
    Batch.objects.update(not_before=timezone.now())
    assert claim_batch(provider) is None
    batch.refresh_from_db()
    assert (batch.state, batch.reason) == (BatchState.HELD, Reason.RECIPIENT_LEFT_UNKNOWN)
    erased, other = messages(batch)
    assert set(erased) == {"erased", "tags"}
    assert other["to"] == [OTHER]


def test_an_answer_that_comes_after_the_erasure_and_says_nothing_leaves_no_trace(provider: Provider) -> None:
    batch = make_send(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    # As when the claim was not visible to the erasure: the bytes are whole.
    whole = Batch.objects.get().payload
    erase_data_subject(find_data_subject(ADDRESS))
    Batch.objects.update(payload=whole)
    record_outcome(claimed, NO_ANSWER)
    Batch.objects.update(not_before=timezone.now())
    assert claim_batch(provider) is None
    assert cells_with_word() == []
    assert messages(batch)


def test_a_mail_to_an_erased_person_is_still_found_in_the_providers_list(provider: Provider) -> None:
    """The keyed hash of recipient and subject tells, so that the others of the batch get nothing twice."""
    make_send(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    outcome = provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
    assert outcome.kind is OutcomeKind.ACCEPTED
    record_outcome(claimed, NO_ANSWER)
    erase_data_subject(find_data_subject(ADDRESS))
    body = zstandard.decompress(bytes(Batch.objects.get().payload or b""))
    page = provider.search(body, after="")  # type: ignore[attr-defined]
    assert dict(page.found) == dict(enumerate(outcome.ids))


def event_body(kind: str, **tags: str) -> SignedEvent:
    data = {"email_id": f"mail-{WORD}", "to": [ADDRESS], "subject": WORD, "tags": {"env": "tests", **tags}}
    body = {"type": kind, "created_at": "2026-11-20T07:00:00+00:00", "data": data}
    return SignedEvent(event_id=f"msg_{kind}_{tags}", body=orjson.dumps(body).decode())


@pytest.mark.parametrize("about", ["delivery", "transactional_mail", "nothing"])
def test_an_event_that_comes_after_the_erasure_keeps_no_address(provider: Provider, about: str) -> None:
    make_send(provider)
    delivery = Delivery.objects.get(subscriber__canonical=ADDRESS)
    Delivery.objects.update(state=DeliveryState.ACCEPTED)
    erase_data_subject(find_data_subject(ADDRESS))
    tags = {
        "delivery": {"delivery": str(delivery.pk)},
        "transactional_mail": {"transactional_mail": "1"},
        "nothing": {"delivery": "999"},
    }
    signed = event_body("email.delivered", **tags[about])
    store_event("resend", signed)
    store_event("resend", signed)
    apply_events(provider)
    assert cells_with_word() == []
    event = Event.objects.get()
    assert event.event_id == signed.event_id
    delivery.refresh_from_db()
    assert bool(delivery.delivered_at) == (about == "delivery")


@pytest.mark.parametrize("reason", [SuppressionReason.COMPLAINT, SuppressionReason.MANUAL, SuppressionReason.PROVIDER])
def test_an_event_about_an_erased_person_with_a_heavier_suppression_keeps_no_address(
    provider: Provider, reason: SuppressionReason
) -> None:
    people.make_subscription(ADDRESS)
    suppress_addresses({ADDRESS: (reason, "")})
    erase_data_subject(find_data_subject(ADDRESS))
    store_event("resend", event_body("email.delivered", transactional_mail="1"))
    apply_events(provider)
    assert cells_with_word() == []


def test_an_event_that_waited_during_the_erasure_is_still_applied(provider: Provider) -> None:
    make_send(provider)
    delivery = Delivery.objects.get(subscriber__canonical=ADDRESS)
    Delivery.objects.update(state=DeliveryState.ACCEPTED)
    store_event("resend", event_body("email.delivered", delivery=str(delivery.pk)))
    erase_data_subject(find_data_subject(ADDRESS))
    apply_events(provider)
    delivery.refresh_from_db()
    assert delivery.delivered_at
    assert Event.objects.get().state == EventState.APPLIED
    assert cells_with_word() == []


def test_a_complaint_after_the_erasure_suppresses_for_good(provider: Provider) -> None:
    make_send(provider)
    delivery = Delivery.objects.get(subscriber__canonical=ADDRESS)
    erase_data_subject(find_data_subject(ADDRESS))
    store_event("resend", event_body("email.complained", delivery=str(delivery.pk)))
    apply_events(provider)
    kept = Suppression.objects.get()
    assert (kept.reason, kept.fingerprint) == (SuppressionReason.COMPLAINT, fingerprint(ADDRESS))
    assert cells_with_word() == []
