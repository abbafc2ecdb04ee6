"""Batches that a restored copy holds: since the backup each may have been sent in parts, and by any provider."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Edition,
    Issue,
    ProviderSearch,
    Reason,
    Restore,
    RestoreSource,
    SearchResult,
    Send,
    SendState,
)
from newsletter.models.numbering import NUMBERS_LEFT_OUT
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.providers.smtp import SmtpProvider
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending import after_restore
from newsletter.sending import provider_search as search_module
from newsletter.sending.after_restore import begin_restore, secure_restored_copy
from newsletter.sending.batch import ClaimedBatch, claim_batch
from newsletter.sending.control import resume_send
from newsletter.sending.message import RecipientValues, batch_key
from newsletter.sending.outcome import record_outcome
from newsletter.sending.post import post_batch, post_claimed
from newsletter.sending.provider_search import begin, held_batches, next_search, read_page
from newsletter.sending.recipients import Recipient
from newsletter.sending.reconcile import hold, send_again, settle_proven
from newsletter.sending.switch import resume_sending
from subscribers.models import Subscription, SubscriptionState, TransactionalMail, TransactionalMailState
from subscribers.transactional.outbox import send_due_transactional_mails
from tests import people
from tests.publications import expand_audiences, just_now, make_issue, post_everything, start_sending, today
from tests.sandboxes import sandbox_with_a_long_list
from tests.subscribers.recording_backend import BACKEND, RECORDER, Recorder

pytestmark = pytest.mark.django_db


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    with sandbox_with_a_long_list(monkeypatch) as server:
        yield server


@pytest.fixture(autouse=True)
def route(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> list[Provider]:
    """The route of the restored copy; a test may add to it."""
    providers = [provider]
    monkeypatch.setattr(after_restore, "get_route", lambda: tuple(providers))
    return providers


@pytest.fixture
def send(issue: Issue) -> Send:
    """A send to six recipients in one batch."""
    people.make_subscriptions(6, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=6)
    return send


def restore() -> Restore:
    """Do with this database what is done with a copy that was restored from a backup of now."""
    begun = begin_restore(backup_at=just_now(), source=RestoreSource.COMMAND, by="tests")
    return secure_restored_copy(begun)


def resume(send: Send) -> None:
    resume_sending(by="Edda")
    resume_send(send, by="Edda")


def settle_by_search(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> ProviderSearch:
    """Search for all held batches; the last search."""
    monkeypatch.setattr(search_module, "SETTLING", datetime.timedelta(0))
    monkeypatch.setattr(search_module, "PACE", datetime.timedelta(0))
    while search := next_search(held_batches(), by="tests"):
        read_page(search, provider)  # type: ignore[arg-type]
    return ProviderSearch.objects.latest("pk")


def batch_states() -> list[str]:
    return list(Batch.objects.order_by("first_delivery", "pk").values_list("state", flat=True))


def delivery_states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def deliver(*deliveries: int) -> None:
    """Events of these deliveries arrive."""
    Delivery.objects.filter(pk__in=deliveries).update(delivered_at=timezone.now())


def delivery_pks() -> list[int]:
    return list(Delivery.objects.order_by("pk").values_list("pk", flat=True))


def repeated(sandbox: SandboxServer) -> dict[str, int]:
    """The recipients who got more than one mail, with their number."""
    found: dict[str, int] = sandbox.ledger.summary()["repeated_recipients"]
    return found


def send_in_parts(send: Send, provider: Provider, *, parts: int) -> None:
    """The first `parts` of three parts of its batch are sent, and then the database is that of the backup again."""
    whole = Batch.objects.get()
    pks = delivery_pks()
    size = len(pks) // 3
    runs = [pks[start : start + size] for start in range(0, len(pks), size)]
    Batch.objects.all().delete()
    for run in runs[:parts]:
        key = batch_key(send.edition, run[0], run[-1], epoch=1)
        Batch.objects.create(send=send, edition=send.edition, first_delivery=run[0], last_delivery=run[-1], key=key)
    assert post_everything(provider) == parts
    Batch.objects.all().delete()
    Delivery.objects.update(state=DeliveryState.PENDING, provider_id="")
    Send.objects.filter(pk=send.pk).update(state=SendState.SENDING, finished_at=None)
    whole.save(force_insert=True)


# --- Events


def test_an_event_proves_its_own_mail_and_no_other_mail_of_the_batch(send: Send) -> None:
    restore()
    first, *others = delivery_pks()
    deliver(first)
    assert settle_proven()
    assert not settle_proven(), "nothing else is proven"
    assert (batch_states(), delivery_states()) == (
        [BatchState.HELD],
        [DeliveryState.ACCEPTED, *[DeliveryState.UNKNOWN] * 5],
    )
    deliver(*others)
    assert settle_proven()
    batch = Batch.objects.get()
    assert (batch.state, batch.reason) == (BatchState.ACCEPTED, Reason.PROVEN_BY_EVENT)
    assert set(delivery_states()) == {DeliveryState.ACCEPTED}


@pytest.mark.parametrize("was_decided_before", [False, True], ids=["before the decision", "after the decision"])
def test_send_again_reaches_all_but_those_whose_mail_has_an_event(
    send: Send, provider: Provider, sandbox: SandboxServer, was_decided_before: bool
) -> None:
    send_in_parts(send, provider, parts=1)
    restore()
    resume(send)
    if was_decided_before:
        send_again(Batch.objects.get(), by="Edda")
    deliver(*delivery_pks()[:2])
    if not was_decided_before:
        settle_proven()
        send_again(Batch.objects.get(), by="Edda")
    assert post_everything(provider) == 1
    assert (batch_states(), set(delivery_states())) == ([BatchState.ACCEPTED], {DeliveryState.ACCEPTED})
    assert sandbox.ledger.summary()["messages"] == 7, "and the one of two days ago"
    assert not repeated(sandbox)


def test_the_parts_of_a_batch_that_is_sent_again_may_have_been_sent_in_parts_too(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    restore()
    resume(send)
    send_again(Batch.objects.get(), by="Edda")
    sandbox.plan(Fault("validation_error", status=422))
    post_batch([provider])
    first, second = Batch.objects.filter(state=BatchState.READY).order_by("first_delivery")
    assert first.may_be_partly_sent
    assert second.may_be_partly_sent
    deliver(first.first_delivery)
    assert settle_proven()
    assert batch_states().count(BatchState.READY) == 2
    assert delivery_states().count(DeliveryState.ACCEPTED) == 1


def test_a_late_answer_is_recorded_although_an_event_has_settled_one_of_its_mails(
    send: Send, provider: Provider
) -> None:
    restore()
    resume(send)
    send_again(Batch.objects.get(), by="Edda")
    claimed = claim_batch(provider)
    assert claimed is not None
    hold(Batch.objects.get(), Reason.KEY_EXPIRED)
    deliver(claimed.delivery_pks[0])
    assert settle_proven()
    record_outcome(claimed, Outcome(kind=OutcomeKind.ACCEPTED, ids=tuple(f"mail-{pk}" for pk in claimed.delivery_pks)))
    assert (batch_states(), set(delivery_states())) == ([BatchState.ACCEPTED], {DeliveryState.ACCEPTED})
    assert Delivery.objects.get(pk=claimed.delivery_pks[5]).provider_id == f"mail-{claimed.delivery_pks[5]}"


def test_mails_are_not_settled_one_by_one_while_their_bytes_may_be_posted_again(send: Send, provider: Provider) -> None:
    restore()
    resume(send)
    send_again(Batch.objects.get(), by="Edda")
    claimed = claim_batch(provider)
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    first, *others = claimed.delivery_pks
    deliver(first)
    assert not settle_proven()
    assert set(delivery_states()) == {DeliveryState.UNKNOWN}
    deliver(*others)
    assert settle_proven()
    assert batch_states() == [BatchState.ACCEPTED]


# --- The provider's list


def test_of_a_batch_that_was_sent_in_parts_those_in_the_list_are_accepted_and_the_others_wait(
    send: Send, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_in_parts(send, provider, parts=2)
    restore()
    search = settle_by_search(provider, monkeypatch)
    assert (search.result, search.reason) == (SearchResult.PARTLY, Reason.PARTS_FOUND)
    assert "Mails in the provider's list: 4 of 6." in search.sentence
    held = Batch.objects.get()
    assert (held.state, held.reason) == (BatchState.HELD, Reason.PARTS_FOUND)
    assert delivery_states() == [*[DeliveryState.ACCEPTED] * 4, *[DeliveryState.UNKNOWN] * 2]
    assert [bool(each.provider_id) for each in Delivery.objects.order_by("pk")] == [*[True] * 4, *[False] * 2]
    resume(send)
    send_again(held, by="Edda")
    post_everything(provider)
    assert sandbox.ledger.summary()["messages"] == 7, "and the one of two days ago"
    assert not repeated(sandbox)


def test_the_end_of_the_list_does_not_prove_a_batch_that_may_have_been_sent_in_parts(
    send: Send, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_in_parts(send, provider, parts=2)
    with sandbox.team.database.transaction() as tx:
        # As at a provider that keeps its list for a day.
        tx.execute("DELETE FROM mails WHERE envelope LIKE '%zoe@%'")
    restore()
    search = settle_by_search(provider, monkeypatch)
    assert (search.result, search.reason) == (SearchResult.PARTLY, Reason.PARTS_FOUND)
    assert delivery_states().count(DeliveryState.ACCEPTED) == 4


def test_events_and_the_list_together_settle_a_batch(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_in_parts(send, provider, parts=2)
    restore()
    deliver(*delivery_pks()[3:])
    settle_proven()
    settle_by_search(provider, monkeypatch)
    assert (batch_states(), set(delivery_states())) == ([BatchState.ACCEPTED], {DeliveryState.ACCEPTED})


def post_a_witness(issue: Issue, provider: Provider) -> None:
    """A mail of another newsletter, by which a search recognises the account's list."""
    other = make_issue("witness", issue.newsletter)
    start_sending(other)
    expand_audiences()
    assert post_everything(provider) == 1


@pytest.mark.parametrize("has_other_provider", [False, True], ids=["one provider", "two providers"])
def test_a_list_without_the_mails_proves_nothing_if_another_provider_may_have_sent_them(
    issue: Issue,
    provider: Provider,
    route: list[Provider],
    monkeypatch: pytest.MonkeyPatch,
    has_other_provider: bool,
) -> None:
    people.make_subscriptions(2, issue.newsletter)
    post_a_witness(issue, provider)
    send = start_sending(issue)
    expand_audiences()
    if has_other_provider:
        route.append(SmtpProvider())
    restore()
    search = settle_by_search(provider, monkeypatch)
    batch = Batch.objects.get(send=send)
    if not has_other_provider:
        assert (search.result, batch.state) == (SearchResult.ABSENT, BatchState.READY)
        return
    assert (search.result, search.reason) == (SearchResult.UNPROVEN, Reason.SEARCH_OTHER_PROVIDER)
    assert (batch.state, batch.reason) == (BatchState.HELD, Reason.RESTORED_BATCH)
    assert [code for code, _values in (batch.reason_values or {})["reasons"]] == [Reason.SEARCH_OTHER_PROVIDER]


def test_recipients_whose_deliveries_get_other_numbers_get_no_second_mail(
    issue: Issue, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.make_subscriptions(4, issue.newsletter)
    post_a_witness(issue, provider)
    send = start_sending(issue)
    expand_audiences()
    post_everything(provider)
    # The backup knows nothing of the deliveries, and its audience is expanded with other numbers.
    Batch.objects.filter(send=send).delete()
    Delivery.objects.filter(send=send).delete()
    Send.objects.filter(pk=send.pk).update(state=SendState.SENDING, expanded_through=0, expanded_at=None)
    restore()
    search = settle_by_search(provider, monkeypatch)
    assert (search.result, search.reason) == (SearchResult.UNPROVEN, Reason.SEARCH_WITHOUT_TAGS)
    resume(send)
    assert post_everything(provider) == 0
    assert sandbox.ledger.summary()["messages"] == 9, "two issues, and the mail of two days ago"


def test_a_search_that_the_backup_had_begun_is_begun_again(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    held = Batch.objects.get()
    hold(held, Reason.KEY_EXPIRED)
    before = begin(Batch.objects.get(), by="tests")
    restore()
    settle_by_search(provider, monkeypatch)
    before.refresh_from_db()
    # It had read the list's newest mails before the backup: those that were sent since would be missing.
    assert (before.result, ProviderSearch.objects.count()) == (SearchResult.MOOT, 2)


# --- Which batches are held


def test_in_a_warm_up_the_batches_of_less_engaged_recipients_are_held_too(issue: Issue) -> None:
    newsletter = issue.newsletter
    newsletter.warm_up_since = today()
    newsletter.save()
    earlier = start_sending(make_issue("earlier", newsletter))
    now = timezone.now()
    Send.objects.filter(pk=earlier.pk).update(state=SendState.SENT, expanded_at=now, finished_at=now)
    people.make_subscriptions(4, newsletter)
    start_sending(issue)
    done = restore()
    batch = Batch.objects.get()
    assert batch.not_before > timezone.now(), "they wait for the engaged ones"
    assert (batch.state, done.held["batches"]) == (BatchState.HELD, 1)


def test_a_recipient_who_had_left_before_the_backup_is_skipped_and_not_held(send: Send) -> None:
    leaver = Delivery.objects.order_by("pk").first()
    assert leaver is not None
    Subscription.objects.filter(subscriber=leaver.subscriber).update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    restore()
    assert delivery_states() == [DeliveryState.SKIPPED, *[DeliveryState.UNKNOWN] * 5]
    deliver(*delivery_pks()[1:])
    assert settle_proven()
    assert batch_states() == [BatchState.ACCEPTED]


def test_a_recipient_whom_todays_allowlist_leaves_out_may_have_been_mailed_before(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ALLOWED_RECIPIENTS", ("edda@example.org",))
    restore()
    assert (batch_states(), set(delivery_states())) == ([BatchState.HELD], {DeliveryState.UNKNOWN})


def claim_before_restore(provider: Provider) -> ClaimedBatch:
    """A worker has a batch while the database is found to be a restored copy."""
    claimed = claim_batch(provider)
    assert claimed is not None
    restore()
    assert batch_states() == [BatchState.HELD]
    return claimed


def test_a_worker_that_finds_sending_stopped_does_not_release_a_batch_of_the_restored_copy(
    send: Send, provider: Provider
) -> None:
    claimed = claim_before_restore(provider)
    post_claimed(claimed, provider, [provider])
    assert (batch_states(), set(delivery_states())) == ([BatchState.HELD], {DeliveryState.UNKNOWN})


@pytest.mark.parametrize(
    "kind", [OutcomeKind.REFUSED, OutcomeKind.BLOCKED, OutcomeKind.RETRY_LATER, OutcomeKind.PARTIAL]
)
def test_a_late_outcome_of_another_worker_does_not_release_a_batch_of_the_restored_copy(
    send: Send, provider: Provider, kind: OutcomeKind
) -> None:
    claimed = claim_before_restore(provider)
    record_outcome(claimed, Outcome(kind=kind, code="too_late"))
    assert (batch_states(), set(delivery_states())) == ([BatchState.HELD], {DeliveryState.UNKNOWN})


def test_the_late_ids_of_another_worker_still_prove_that_a_batch_was_sent(send: Send, provider: Provider) -> None:
    claimed = claim_before_restore(provider)
    record_outcome(claimed, Outcome(kind=OutcomeKind.ACCEPTED, ids=("a", "b", "c", "d", "e", "f")))
    assert (batch_states(), set(delivery_states())) == ([BatchState.ACCEPTED], {DeliveryState.ACCEPTED})


def test_a_recipient_whose_message_cannot_be_built_fails_alone_and_the_restore_ends(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    values_of, (first, *_others) = RecipientValues.of, delivery_pks()

    def of(self: RecipientValues, recipient: Recipient) -> dict[str, str]:
        if recipient.delivery_pk == first:
            raise ValueError("a case that nobody thought of")
        return values_of(self, recipient)

    monkeypatch.setattr(RecipientValues, "of", of)
    assert restore().secured_at is not None
    assert (batch_states(), delivery_states()) == (
        [BatchState.HELD],
        [DeliveryState.FAILED, *[DeliveryState.UNKNOWN] * 5],
    )


def test_a_batch_that_cannot_be_built_is_held_with_the_reason_and_the_restore_ends(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = send.edition
    # As if it had been frozen by an earlier release, and today's rules refuse one of its headers.
    changed = {**edition.envelope, "headers": {**edition.envelope["headers"], "X-Campaign": "1"}}
    QuerySet(Edition).filter(pk=edition.pk).update(envelope=changed)
    assert restore().secured_at is not None
    held = Batch.objects.get()
    assert (held.state, held.reason, set(delivery_states())) == (
        BatchState.HELD,
        Reason.RESTORED_UNBUILT,
        {DeliveryState.UNKNOWN},
    )
    assert (held.reason_values or {})["error"] == "InvalidMessage"
    search = settle_by_search(provider, monkeypatch)
    assert (search.result, search.reason) == (SearchResult.UNPROVEN, Reason.SEARCH_FAILED)


# --- Numbers


def test_no_number_of_a_delivery_or_an_edition_is_given_again(send: Send, issue: Issue) -> None:
    last_delivery, last_edition = Delivery.objects.latest("pk").pk, Edition.objects.latest("pk").pk
    restore()
    resume(send)
    later = start_sending(make_issue("issue-2", issue.newsletter))
    expand_audiences()
    assert Delivery.objects.filter(send=later).order_by("pk")[0].pk > last_delivery + NUMBERS_LEFT_OUT
    assert later.edition_id > last_edition + NUMBERS_LEFT_OUT


# --- Transactional mails


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(settings, "EMAIL_BACKEND", BACKEND)
    RECORDER.errors.clear()
    RECORDER.attempts.clear()
    RECORDER.key_lifetime = datetime.timedelta(hours=23)
    RECORDER.is_stopped = False
    return RECORDER


def pending_mail() -> TransactionalMail:
    """A mail that is due when the backup is made."""
    at = just_now() - datetime.timedelta(minutes=1)
    return TransactionalMail.objects.create(
        kind="confirmation", subscription=people.ben(), recipient=people.BEN, not_before=at, created_at=at
    )


def test_a_transactional_mail_that_was_due_is_posted_once_more_only_under_its_key(recorder: Recorder) -> None:
    mail = pending_mail()
    done = restore()
    mail.refresh_from_db()
    assert (mail.first_attempt_at, done.held["mails"]) == (done.backup_at, 1)
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, recorder.keys) == (TransactionalMailState.SENT, [mail.idempotency_key])


@pytest.mark.parametrize("has_keys", [False, True], ids=["no keys", "keys have expired"])
def test_a_transactional_mail_that_may_have_been_sent_is_not_sent_without_a_key(
    recorder: Recorder, has_keys: bool
) -> None:
    recorder.key_lifetime = datetime.timedelta(hours=23) if has_keys else datetime.timedelta(0)
    mail = pending_mail()
    age = datetime.timedelta(hours=23) if has_keys else datetime.timedelta(0)
    secure_restored_copy(begin_restore(backup_at=just_now() - age, source=RestoreSource.COMMAND, by="tests"))
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, recorder.attempts) == (TransactionalMailState.UNKNOWN, [])


def test_a_transactional_mail_of_a_later_time_is_sent_as_always(recorder: Recorder) -> None:
    recorder.key_lifetime = datetime.timedelta(0)
    mail = pending_mail()
    TransactionalMail.objects.update(not_before=timezone.now() + datetime.timedelta(hours=1))
    restore()
    TransactionalMail.objects.update(not_before=just_now())
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, len(recorder.attempts)) == (TransactionalMailState.SENT, 1)
