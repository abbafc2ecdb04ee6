"""A subscriber whose data is in every table that may hold any, each text with the same word in it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import orjson
import zstandard
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import BinaryField, CharField, Field, JSONField, Model, TextField
from django.utils import timezone

from newsletter.archive_import.files import store_upload
from newsletter.models import (
    FIRST_LINK,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    EventState,
    Hit,
    HitMethod,
    MailAfterLeaving,
    Newsletter,
    Send,
    SoftBounce,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    WebhookType,
)
from newsletter.notifications.endpoints import open_endpoint
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.sending.batch import claim_batch
from newsletter.sending.outcome import record_outcome
from newsletter.sending.reconcile import hold
from subscribers.models import (
    AddressChange,
    BulkAction,
    Change,
    ChangeKind,
    Consent,
    ConsentKind,
    CustomField,
    DataRequest,
    Evidence,
    Export,
    FieldValue,
    Frequency,
    Import,
    ImportPart,
    ImportRefusal,
    ImportState,
    ImportSuppression,
    LiftedSuppression,
    LinkRequest,
    Note,
    Segment,
    SegmentPick,
    Signup,
    SignupAnswers,
    StagedRow,
    Subscriber,
    Subscription,
    SubscriptionTag,
    SunsetQuestion,
    Suppression,
    SuppressionReason,
    Tag,
    Topic,
    TopicOptOut,
    TransactionalMail,
    TransactionalMailKind,
    fingerprint,
    record_consents,
)
from tests import people
from tests.publications import expand_audiences, make_issue, make_newsletter, reset_throttles, start_sending

WORD = "kanari"
ADDRESS = f"{WORD}@example.org"
#: As it was typed.
TYPED = f"{WORD.title()}@example.org"
OTHER = "other@example.org"

#: What the list of subscribers shows without a filter.
SELECTION = {
    "text": "",
    "is_exact": False,
    "mailing_list": None,
    "state": "",
    "source": "",
    "tag": None,
    "segment": None,
    "keys": [],
}

NO_ANSWER = Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer", retry_after=0.001)

#: Text columns of the covered models that never hold anything about a subscriber, with the reason.
NEVER_PERSONAL = {
    "subscribers.Suppression.fingerprint": "the keyed hash that stays",
    "subscribers.LiftedSuppression.fingerprint": "the keyed hash",
    "subscribers.LiftedSuppression.by": "an editor",
    "newsletter.Batch.key": "made of the edition and keys of deliveries",
    "newsletter.Batch.provider": "the name of an account",
    "newsletter.Batch.mailbox_provider": "a large mailbox provider",
    "newsletter.Batch.payload_sha256": "of the bytes that were posted, with those of all others",
    "newsletter.Batch.results": "results by place; words of providers without addresses",
    "newsletter.Batch.claimed_by": "a worker",
    "newsletter.Batch.reason": "a code",
    "newsletter.Batch.reason_values": "words of providers without addresses, or an editor",
    "newsletter.Delivery.reason": "a code",
    "newsletter.Event.provider": "a name",
    "newsletter.Event.event_id": "the provider's id, by which a repeat is recognised",
    "newsletter.Event.kind": "the provider's word",
    "newsletter.Event.reason": "a code",
    "newsletter.Event.bounce": "a code",
    "newsletter.Event.superseded_mail": "the provider's id of a mail that failed",
    "newsletter.SoftBounce.fingerprint": "the keyed hash",
    "newsletter.SoftBounce.bounce": "a code",
    "newsletter.WebhookMessage.uid": "made of keys and times",
    "newsletter.WebhookMessage.source": "the name of a table",
    "newsletter.WebhookMessage.data": "keys and the names of the list",
    "newsletter.WebhookAttempt.code": "a code",
    "newsletter.WebhookAttempt.detail": "the host of the endpoint",
    "newsletter.Hit.visitor": "empty where a delivery is known; else nobody knows whose it is",
    "newsletter.Hit.network_class": "such as hosting",
    "newsletter.Hit.rule": "a code",
    "subscribers.Consent.list_name": "the name of a list",
    "subscribers.Consent.language": "of a text that many saw",
    "subscribers.SignupDecision.facts": "a mail domain of many; that of one person has a test of its own",
    "subscribers.SignupDecision.by": "an editor",
    "subscribers.MailDomain.domain": "a mail domain of many; that of one person has a test of its own",
    "subscribers.Signup.released_by": "an editor",
    "subscribers.StagedRow.fingerprint": "the keyed hash",
    "subscribers.StagedRow.tags": "numbers of tags",
    "subscribers.ImportRefusal.table": "a name in the file",
    "subscribers.ImportRefusal.reason": "a code",
    "subscribers.ImportSuppression.fingerprint": "the keyed hash",
    "subscribers.Import.sha256": "of the file",
    "subscribers.Import.header_fingerprint": "of the columns",
    "subscribers.Import.plan": "columns and an editor's words",
    "subscribers.Import.tag_names": "tags of the list",
    "subscribers.Import.dropped_values": "counts by field",
    "subscribers.Import.expected": "counts",
    "subscribers.Import.outcomes": "counts",
    "subscribers.Import.undone": "counts",
    "subscribers.Import.worker": "a worker",
    "subscribers.Import.by": "an editor",
    "subscribers.BulkAction.by": "an editor",
    "subscribers.Export.by": "an editor",
    "subscribers.Export.list_name": "a list",
    "admin.LogEntry.object_id": "a number",
    "sessions.Session.session_key": "the editor's",
}


def make_data_subject(provider: Provider) -> Subscription:
    """The subscriber, with batches that are held, unknown, claimed and not built yet."""
    newsletter = make_newsletter()
    subscription = people.make_subscription(TYPED, newsletter)
    people.make_subscription(OTHER, newsletter)
    _fill(subscription)
    for number, state in enumerate((BatchState.HELD, BatchState.UNKNOWN, BatchState.CLAIMED, BatchState.READY)):
        _send(subscription, provider, f"issue-{number}", state)
    _receive(subscription)
    _tell_other_systems(subscription)
    _mail_after_leaving(subscription)
    _leave_traces(subscription)
    _fill_text_columns()
    return subscription


def _fill(subscription: Subscription) -> None:
    mailing_list, subscriber = subscription.mailing_list, subscription.subscriber
    Subscription.objects.filter(pk=subscription.pk).update(next_frequency=Frequency.WEEKLY)
    field = CustomField.objects.create(mailing_list=mailing_list, key="city", label="City")
    FieldValue.objects.create(field=field, subscription=subscription, text=WORD)
    tag = Tag.objects.create(mailing_list=mailing_list, name="Sailor")
    SubscriptionTag.objects.create(tag=tag, subscription=subscription)
    topic = Topic.objects.create(mailing_list=mailing_list, name="Ropes", slug="ropes")
    TopicOptOut.objects.create(topic=topic, subscription=subscription)
    segment = Segment.objects.create(mailing_list=mailing_list, name="Picked", is_picked=True)
    SegmentPick.objects.create(segment=segment, subscription=subscription)
    Note.objects.create(subscriber=subscriber, text=WORD, by=WORD)
    Change.objects.create(subscriber=subscriber, kind=ChangeKind.NAME, values={"from": WORD, "to": ""}, by=WORD)
    AddressChange.objects.create(subscriber=subscriber, subscription=subscription, address=TYPED, canonical=ADDRESS)
    DataRequest.objects.create(subscriber=subscriber, kind="access")
    mail = TransactionalMail.objects.create(
        kind=TransactionalMailKind.CONFIRMATION, subscription=subscription, recipient=TYPED, headers={"X": WORD}
    )
    evidence = Evidence(
        form="signup", text="You subscribe.", source=WORD, ip="192.0.2.7", user_agent=WORD, by=WORD, detail=WORD
    )
    record_consents(ConsentKind.REQUESTED, [subscription], evidence, mail=mail)
    # Of a subscription that was deleted in an earlier version.
    Consent.objects.create(kind="requested", address=TYPED, canonical=ADDRESS, list_name="Old list", form="signup")
    Signup.objects.create(
        mailing_list=mailing_list, address=TYPED, evidence={"user_agent": WORD}, network="192.0.2.7", due_at=None
    )
    Suppression.objects.create(
        fingerprint=fingerprint(ADDRESS), reason=SuppressionReason.HARD_BOUNCE, detail=f"{WORD} is unknown"
    )
    LiftedSuppression.objects.create(
        fingerprint=fingerprint(ADDRESS), reason=SuppressionReason.COMPLAINT, by="ida", explanation=f"{WORD} called"
    )
    SignupAnswers.objects.create(subscription=subscription, values={"city": WORD})
    SunsetQuestion.objects.create(
        subscription=subscription, silent_since=timezone.now(), answer_by=timezone.now(), mail=mail
    )
    _work(subscription)


def _work(subscription: Subscription) -> None:
    """An import that is paused at the subscriber, and an action and an export of a search for them."""
    stored = Import.objects.create(
        mailing_list=subscription.mailing_list,
        file_name=f"{ADDRESS}.csv",
        size=1,
        state=ImportState.PAUSED,
        is_read=True,
        staged_count=2,
        last_address=ADDRESS,
        detail=f"{ADDRESS} is in the way",
        preview=[{"canonical": ADDRESS}],
    )
    ImportPart.objects.create(owner=stored, number=0, data=zstandard.compress(TYPED.lower().encode()))
    store_upload(Newsletter.objects.get(), "export.zip", [TYPED.lower().encode()], by="ines")
    ImportRefusal.objects.create(
        owner=stored, position=1, line=1, reason="two_addresses", detail=ADDRESS, cells=[f"{TYPED}, {OTHER}"]
    )
    StagedRow.objects.create(owner=stored, position=1, canonical=ADDRESS, address=TYPED, rank=1)
    StagedRow.objects.create(owner=stored, position=2, canonical="a@example.org", address="a@example.org", rank=1)
    ImportSuppression.objects.create(
        owner=stored, fingerprint=fingerprint(ADDRESS), reason=SuppressionReason.COMPLAINT, created_at=timezone.now()
    )
    selection = {**SELECTION, "text": WORD}
    BulkAction.objects.create(
        kind="suppress", selection=selection, values={"words": f"{ADDRESS} asked for it"}, by="ida", up_to=1000
    )
    Export.objects.create(list_name="Harbour Notes", selection=selection, format="csv", by="ida")
    named = {**SELECTION, "rules": [["name", "", "is", WORD]]}
    BulkAction.objects.create(kind="unsubscribe", selection=named, values={}, by="ida", up_to=1000)
    LinkRequest.objects.create(address=TYPED)


def _send(subscription: Subscription, provider: Provider, slug: str, state: BatchState) -> None:
    # Not to be skipped.
    Suppression.objects.all().update(fingerprint="elsewhere")
    send = start_sending(make_issue(slug, make_newsletter()))
    expand_audiences()
    Suppression.objects.all().update(fingerprint="elsewhere")
    if state != BatchState.READY:
        reset_throttles()
        claimed = claim_batch(provider)
        assert claimed is not None
        assert claimed.size == 2
        if state != BatchState.CLAIMED:
            record_outcome(claimed, NO_ANSWER)
            Batch.objects.filter(pk=claimed.pk).update(not_before=timezone.now() + datetime.timedelta(days=1))
        if state == BatchState.HELD:
            assert hold(batch_of(send), "recipient_left_unknown")
    Suppression.objects.all().update(fingerprint=fingerprint(ADDRESS))
    assert batch_of(send).state == state


def batch_of(send: Send) -> Batch:
    return Batch.objects.select_related("edition__issue").get(send=send)


def _receive(subscription: Subscription) -> None:
    first = Delivery.objects.filter(subscriber=subscription.subscriber).earliest("pk")
    accepted = Delivery.objects.create(
        issue=make_issue("accepted", make_newsletter()),
        send=first.send,
        subscriber=subscription.subscriber,
        state=DeliveryState.ACCEPTED,
        provider_id=f"mail-{WORD}",
        detail=WORD,
    )
    SoftBounce.objects.create(
        subscriber=subscription.subscriber,
        send=first.send,
        fingerprint=fingerprint(ADDRESS),
        bounce="mailbox_full",
        at=timezone.now(),
    )
    Hit.objects.create(
        edition=first.send.edition,
        at=timezone.now(),
        number=FIRST_LINK,
        method=HitMethod.GET,
        delivery_id=accepted.pk,
        network=WORD,
        agent=WORD,
    )
    for number, (state, delivery) in enumerate(
        ((EventState.APPLIED, accepted.pk), (EventState.NEW, None), (EventState.ORPHAN, None))
    ):
        body = {
            "type": "email.bounced",
            "created_at": "2026-11-20T07:00:00+00:00",
            "data": {
                "email_id": f"mail-{WORD}" if state == EventState.APPLIED else "mail-1",
                "to": [TYPED],
                "subject": f"{WORD}, look",
                "headers": [{"name": "List-Unsubscribe", "value": f"<https://x.example/{WORD}>"}],
                "tags": {"delivery": str(accepted.pk), "env": "tests"},
                "bounce": {"type": "Permanent", "subType": "General", "message": f"550 5.1.1 {WORD} unknown"},
            },
        }
        Event.objects.create(
            provider="resend",
            event_id=f"msg_{number}",
            kind="email.bounced",
            body=orjson.dumps(body).decode(),
            state=state,
            delivery_id=delivery,
            detail=WORD,
        )


def _tell_other_systems(subscription: Subscription) -> None:
    """Messages about the subscriber and about another one; the answer to either repeats the address."""
    endpoint = WebhookEndpoint(name="Shop", url="https://shop.example/", types=["subscriber.subscribed"])
    open_endpoint(endpoint)
    for number, subscriber in enumerate(Subscriber.objects.filter(canonical__in=[ADDRESS, OTHER]).order_by("pk")):
        message = WebhookMessage.objects.create(
            endpoint=endpoint,
            uid=f"msg_{number}",
            type=WebhookType.SUBSCRIBED,
            source="consent",
            source_pk=number,
            subscriber_id=subscriber.pk,
            data={"subscriber": subscriber.pk},
            at=timezone.now(),
        )
        WebhookAttempt.objects.create(message=message, duration=1, status=500, answer=f"{TYPED} is known")


def leave_log_entry(address: str, subscriber_pk: int = 0, message: str = "") -> None:
    """An entry in the log of an editor."""
    LogEntry.objects.create(
        user=User.objects.create_superuser("ida", "ida@example.org", "a long password"),
        content_type=ContentType.objects.get_for_model(Subscriber),
        object_id=str(subscriber_pk),
        object_repr=address,
        action_flag=CHANGE,
        change_message=message,
    )


def _mail_after_leaving(subscription: Subscription) -> None:
    delivery, now = Delivery.objects.filter(subscriber=subscription.subscriber_id).order_by("pk")[0], timezone.now()
    MailAfterLeaving.objects.create(delivery=delivery, left_by="unsubscribed", left_at=now, mailed_at=now)


def _leave_traces(subscription: Subscription) -> None:
    leave_log_entry(TYPED, subscription.subscriber_id, f"Changed {WORD}")
    session = SessionStore()
    session["_messages"] = f"{ADDRESS} was changed"
    session.save()


def covered_text_columns() -> Iterator[tuple[type[Model], Field[Any, Any]]]:
    """The text columns of every covered model, without those that never hold anything about a subscriber."""
    from subscribers.privacy.rules import rules

    for model in dict.fromkeys(model for rule in rules() for model in rule.models):
        for field in model._meta.concrete_fields:
            is_text = isinstance(field, (CharField, TextField, JSONField, BinaryField)) and not field.choices
            if is_text and f"{model._meta.label}.{field.name}" not in NEVER_PERSONAL:
                yield model, field


def _fill_text_columns() -> None:
    """Write the word into every column that does not have it, whatever belongs there."""
    for model, field in covered_text_columns():
        if model in (Consent, Session, Batch, Event, Suppression, Delivery) or has_word(model, field):
            continue
        rows = model._default_manager.exclude(canonical=OTHER) if model is Subscriber else model._default_manager.all()
        rows = rows.exclude(subscriber__canonical=OTHER) if model is Subscription else rows
        rows = rows.filter(canonical=ADDRESS) if model is StagedRow else rows
        rows.update(**{field.name: {"x": WORD} if isinstance(field, JSONField) else WORD})


def has_word(model: type[Model], field: Field[Any, Any]) -> bool:
    """Whether any row has the word in this column."""
    if model is Session:
        return any(WORD in str(session.get_decoded()).lower() for session in Session.objects.all())
    return any(WORD in text_of(value) for value in model._default_manager.values_list(field.name, flat=True))


def text_of(value: object) -> str:
    """A cell as lower-case text, decompressed."""
    if isinstance(value, (bytes, memoryview)):
        raw = bytes(value)
        return (zstandard.decompress(raw) if raw.startswith(b"\x28\xb5\x2f\xfd") else raw).decode("latin-1").lower()
    return str(value).lower()


def cells_with_word() -> list[str]:
    """Every table and column of the database, ours or not, in which the word is found."""
    return cells_with(WORD)


def cells_with(word: str) -> list[str]:
    """The same for another word in lower case."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                found += [f"{table}.{name}" for name, value in zip(names, row, strict=True) if word in text_of(value)]
    found += ["sessions" for session in Session.objects.all() if word in str(session.get_decoded()).lower()]
    return sorted(set(found))


def models_with_path_to(target: type[Model]) -> set[type[Model]]:
    """Models that refer to the target, over any number of other models."""
    reached: set[type[Model]] = {target}
    while True:
        more = {
            model
            for model in apps.get_models()
            for field in model._meta.get_fields()
            if field.is_relation and not field.auto_created and field.related_model in reached
        }
        if more <= reached:
            return reached
        reached |= more
