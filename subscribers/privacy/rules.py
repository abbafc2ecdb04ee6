"""The rules for the data of this app: what is exported of it, and how it is erased."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db.models import Model, Q
from django.utils.translation import gettext_lazy as _

from subscribers.models import (
    ADDED,
    CONFIRMED_AFTER_HOLD,
    IMPORTED,
    AddressChange,
    Change,
    Consent,
    DataRequest,
    FieldValue,
    LiftedSuppression,
    LinkRequest,
    MailDomain,
    Note,
    SegmentPick,
    Signup,
    SignupAnswers,
    SignupDecision,
    Subscriber,
    Subscription,
    SubscriptionTag,
    SunsetQuestion,
    Suppression,
    TopicOptOut,
    TransactionalMail,
    forget_sources,
)
from subscribers.privacy.registry import DataRule, DataSubject, Row, added_rules, plain_row
from subscribers.privacy.work_rules import WORK_RULES
from subscribers.transactional.blocked import TO_NEW_ADDRESS

#: Rows per statement: far below SQLite's limit of parameters.
CHUNK = 500

#: What is left of the words of an editor.
WITHOUT_WORDS = "–"


def rules() -> tuple[DataRule, ...]:
    """Every rule, in the order in which data is shown. Erased from the last to the first: referring rows come last."""
    return (*OWN_RULES, *WORK_RULES, *added_rules())


# --- The subscriber and the subscriptions --------------------------------------------------------------------------


def _subscriber(subject: DataSubject) -> Iterator[Row]:
    if subject.subscriber:
        names = ("address", "canonical", "first_name", "time_zone", "language", "created_at", "declined_at")
        yield plain_row(subject.subscriber, *names)


def _erase_subscriber(subject: DataSubject, located: list[int]) -> int:
    """Deletes what belongs to the subscriber, also what a later version adds and deletes in the same way."""
    if subject.subscriber is None:
        return 0
    deleted, _by_model = Subscriber.objects.filter(pk=subject.subscriber_pk).delete()
    return deleted


def _subscriptions(subject: DataSubject) -> Iterator[Row]:
    names = (
        "state",
        "created_at",
        "requested_at",
        "confirmed_at",
        "ended_at",
        "paused_until",
        "source",
        "frequency",
        "next_frequency",
        "frequency_since",
        "tracking_agreed_at",
    )
    for row in (
        Subscription.objects.filter(subscriber=subject.subscriber_pk).select_related("mailing_list").order_by("pk")
    ):
        yield plain_row(row, *names, list=row.mailing_list.name)


def _erase_subscriptions(subject: DataSubject, located: list[int]) -> int:
    """A source that no other subscriber came from may be about this one: cohorts forget it."""
    rows = Subscription.objects.filter(subscriber=subject.subscriber_pk)
    sources = set(rows.values_list("source", flat=True)) - {"", IMPORTED, ADDED}
    deleted, _by_model = rows.delete()
    left = Subscription.objects.filter(source__in=sources).order_by().values_list("source", flat=True).distinct()
    forget_sources(sources - set(left))
    return deleted


def _fields(subject: DataSubject) -> Iterator[Row]:
    for value in _owned(FieldValue, subject).select_related("field__mailing_list").order_by("field_id", "pk"):
        stored = next((each for each in (value.number, value.date) if each is not None), value.text)
        yield {"list": value.field.mailing_list.name, "field": value.field.label, "value": stored}


def _tags(subject: DataSubject) -> Iterator[Row]:
    for row in _owned(SubscriptionTag, subject).select_related("tag__mailing_list").order_by("pk"):
        yield {"list": row.tag.mailing_list.name, "tag": row.tag.name}


def _topics(subject: DataSubject) -> Iterator[Row]:
    for row in _owned(TopicOptOut, subject).select_related("topic__mailing_list").order_by("pk"):
        yield {"list": row.topic.mailing_list.name, "topic": row.topic.name}


def _segments(subject: DataSubject) -> Iterator[Row]:
    for row in _owned(SegmentPick, subject).select_related("segment__mailing_list").order_by("pk"):
        yield {"list": row.segment.mailing_list.name, "segment": row.segment.name}


def _notes(subject: DataSubject) -> Iterator[Row]:
    for row in Note.objects.filter(subscriber=subject.subscriber_pk).order_by("pk"):
        yield plain_row(row, "created_at", "by", "text")


def _changes(subject: DataSubject) -> Iterator[Row]:
    changes = Change.objects.filter(subscriber=subject.subscriber_pk).select_related("subscription__mailing_list")
    for row in changes.order_by("pk"):
        mailing_list = row.subscription.mailing_list.name if row.subscription else ""
        yield plain_row(row, "created_at", "kind", "values", "by", list=mailing_list)


def _address_changes(subject: DataSubject) -> Iterator[Row]:
    for row in AddressChange.objects.filter(subscriber=subject.subscriber_pk).order_by("pk"):
        yield plain_row(row, "requested_at", "address", "state", "new_confirmed_at", "old_approved_at", "ended_at")


def _erase_address_changes(subject: DataSubject, located: list[int]) -> int:
    """The subscriber's own, and those of others that name the address."""
    named = Q(subscriber=subject.subscriber_pk) | Q(canonical=subject.canonical)
    deleted, _by_model = AddressChange.objects.filter(named).delete()
    return deleted


def _data_requests(subject: DataSubject) -> Iterator[Row]:
    for row in DataRequest.objects.filter(subscriber=subject.subscriber_pk).order_by("pk"):
        yield plain_row(row, "requested_at", "kind", "used_at")


def _owned(model: type[Model], subject: DataSubject) -> Any:
    return model._default_manager.filter(subscription__in=subject.subscription_pks)


def _deleted_with(model: type[Model], *, through: str) -> Callable[[DataSubject, list[int]], int]:
    """Deletes the rows of a model that name the subscriber in this column."""

    def erase(subject: DataSubject, located: list[int]) -> int:
        owner = {"subscriber": subject.subscriber_pk, "subscription__in": subject.subscription_pks}[through]
        deleted, _by_model = model._default_manager.filter(**{through: owner}).delete()
        return int(deleted)

    return erase


# --- Consents and mails --------------------------------------------------------------------------------------------


def consents_of(subject: DataSubject) -> Q:
    """By the subscription; by the address only those of a deleted subscription, which have no other mark.

    Those of another subscriber who had the address before are their proof, and none of this one.
    """
    return Q(subscription__in=subject.subscription_pks) | Q(subscription__isnull=True, canonical=subject.canonical)


def _consents(subject: DataSubject) -> Iterator[Row]:
    names = ("created_at", "kind", "list_name", "form", "address", "language", "source", "ip", "user_agent", "by")
    for row in Consent.objects.filter(consents_of(subject)).select_related("text").order_by("pk"):
        more = ("reason", "detail", "mail_reference", "leave_reason")
        yield plain_row(row, *names, *more, text=row.text.text if row.text else "")


def _locate_consents(subject: DataSubject) -> list[int]:
    return list(Consent.objects.filter(consents_of(subject)).values_list("pk", flat=True))


def _empty_consents(subject: DataSubject, located: list[int]) -> int:
    """That someone agreed to what, and when, stays; who it was does not."""
    emptied = {column: "" for column in Consent.PERSONAL_COLUMNS if column != "ip"}
    since = Consent.objects.filter(subscription__in=subject.subscription_pks).values_list("pk", flat=True)
    keys = sorted({*located, *since})
    return sum(
        Consent.objects.filter(pk__in=keys[start : start + CHUNK]).update(
            **emptied, ip=None, subscription=None, transactional_mail=None
        )
        for start in range(0, len(keys), CHUNK)
    )


def _mails(subject: DataSubject) -> Iterator[Row]:
    names = ("created_at", "kind", "recipient", "subject", "state", "sent_at", "provider_id", "reason", "detail")
    found = Q(subscription__in=subject.subscription_pks) | Q(pk__in=_locate_mails_of_others(subject))
    for row in TransactionalMail.objects.filter(found).order_by("pk"):
        # Without the body, which is there only until the mail is sent: editors must not see its working links.
        yield plain_row(row, *names)


def _locate_mails_of_others(subject: DataSubject) -> list[int]:
    """Mails to the address because another subscriber wanted to change theirs to it."""
    to_address = Q()
    for address in subject.addresses:
        to_address |= Q(recipient__iexact=address)
    mails = TransactionalMail.objects.filter(to_address, kind__in=TO_NEW_ADDRESS)
    return list(mails.exclude(subscription__in=subject.subscription_pks).values_list("pk", flat=True))


def _erase_mails(subject: DataSubject, located: list[int]) -> int:
    found = Q(subscription__in=subject.subscription_pks) | Q(pk__in=located)
    deleted, _by_model = TransactionalMail.objects.filter(found).delete()
    return deleted


def _signups_of(subject: DataSubject) -> Q:
    found = Q()
    for address in subject.addresses:
        found |= Q(address__iexact=address)
    return found


def _signups(subject: DataSubject) -> Iterator[Row]:
    for row in Signup.objects.filter(_signups_of(subject)).select_related("mailing_list").order_by("pk"):
        names = ("created_at", "state", "address", "network", "source", "answers", "evidence", "facts")
        yield plain_row(row, *names, list=row.mailing_list.name)


def _link_requests(subject: DataSubject) -> Iterator[Row]:
    for row in LinkRequest.objects.filter(_signups_of(subject)).order_by("pk"):
        yield plain_row(row, "created_at", "address")


def _erase_link_requests(subject: DataSubject, located: list[int]) -> int:
    deleted, _by_model = LinkRequest.objects.filter(_signups_of(subject)).delete()
    return deleted


def _answers(subject: DataSubject) -> Iterator[Row]:
    for row in _owned(SignupAnswers, subject).select_related("subscription__mailing_list").order_by("pk"):
        yield plain_row(row, "created_at", "values", list=row.subscription.mailing_list.name)


def _sunset_questions(subject: DataSubject) -> Iterator[Row]:
    for row in _owned(SunsetQuestion, subject).select_related("subscription__mailing_list").order_by("pk"):
        names = ("state", "silent_since", "asked_at", "answer_by", "answered_at")
        yield plain_row(row, *names, list=row.subscription.mailing_list.name)


def _erase_signups(subject: DataSubject, located: list[int]) -> int:
    deleted, _by_model = Signup.objects.filter(_signups_of(subject)).delete()
    return deleted


def _is_domain_shared(subject: DataSubject) -> bool:
    """Whether another subscriber has the mail domain, so that it does not tell who someone is."""
    others = Subscriber.objects.filter(canonical__endswith=f"@{subject.domain}").exclude(canonical=subject.canonical)
    return others.exists()


def _locate_decisions(subject: DataSubject) -> list[int]:
    if _is_domain_shared(subject):
        return []
    return list(SignupDecision.objects.filter(facts__domain=subject.domain).values_list("pk", flat=True))


def _forget_own_domain(subject: DataSubject, located: list[int]) -> int:
    """What was decided stays; a mail domain of one subscriber does not, neither there nor in the answers of the DNS."""
    decisions = list(SignupDecision.objects.filter(pk__in=located))
    for decision in decisions:
        decision.facts = {**decision.facts, "domain": ""}
    SignupDecision.objects.bulk_update(decisions, ["facts"], batch_size=CHUNK)
    if located:
        MailDomain.objects.filter(domain=subject.domain).delete()
    return len(decisions)


# --- Suppression ---------------------------------------------------------------------------------------------------


def _suppressions(subject: DataSubject) -> Iterator[Row]:
    for row in Suppression.objects.filter(fingerprint=subject.fingerprint):
        yield plain_row(row, "reason", "created_at", detail=row.detail_in_words)


def _empty_suppression(subject: DataSubject, located: list[int]) -> int:
    """The keyed hash and the reason stay. The words may name the subscriber."""
    return Suppression.objects.filter(fingerprint=subject.fingerprint).exclude(detail="").update(detail="")


def _lifted(subject: DataSubject) -> Iterator[Row]:
    for row in LiftedSuppression.objects.filter(fingerprint=subject.fingerprint).order_by("pk"):
        yield plain_row(row, "reason", "by", "explanation", "lifted_at")


def _empty_lifted(subject: DataSubject, located: list[int]) -> int:
    """That an editor gave a reason stays; their words may name the subscriber."""
    explained = LiftedSuppression.objects.filter(fingerprint=subject.fingerprint).exclude(explanation="")
    return explained.exclude(explanation__in=(WITHOUT_WORDS, CONFIRMED_AFTER_HOLD)).update(explanation=WITHOUT_WORDS)


# --- What editors leave behind -------------------------------------------------------------------------------------


def _locate_log(subject: DataSubject) -> list[int]:
    about = Q(
        object_id=str(subject.subscriber_pk), content_type__app_label="subscribers", content_type__model="subscriber"
    )
    named = Q()
    for address in subject.addresses:
        named |= Q(object_repr__icontains=address) | Q(change_message__icontains=address)
    entries = LogEntry.objects.filter(named).values_list("pk", "object_repr", "change_message")
    found = {pk for pk, *texts in entries if any(map(subject.is_named_in, texts))}
    return sorted(found.union(LogEntry.objects.filter(about).values_list("pk", flat=True)))


def _empty_log(subject: DataSubject, located: list[int]) -> int:
    """Who did something when stays; to whom does not."""
    return LogEntry.objects.filter(pk__in=located).update(object_repr=WITHOUT_WORDS, change_message="")


def _erase_sessions(subject: DataSubject, located: list[int]) -> int:
    """Messages to an editor that wait in a session may name the subscriber. The editor logs in again."""
    named = [session.pk for session in Session.objects.all() if subject.is_named_in(json.dumps(session.get_decoded()))]
    deleted, _by_model = Session.objects.filter(pk__in=named).delete()
    return deleted


def _rule(
    name: str,
    title: Any,
    model: type[Model],
    export: Callable[[DataSubject], Iterable[Row]] | None,
    erase: Callable[[DataSubject, list[int]], int],
    **more: Any,
) -> DataRule:
    return DataRule(name=name, title=title, models=(model,), export=export, erase=erase, **more)


BY_SUBSCRIBER, BY_SUBSCRIPTION = "subscriber", "subscription__in"

OWN_RULES: tuple[DataRule, ...] = (
    _rule("subscriber", _("About you"), Subscriber, _subscriber, _erase_subscriber),
    _rule(
        "subscriptions",
        _("Subscriptions"),
        Subscription,
        _subscriptions,
        _erase_subscriptions,
    ),
    _rule("fields", _("Fields"), FieldValue, _fields, _deleted_with(FieldValue, through=BY_SUBSCRIPTION)),
    _rule("tags", _("Tags"), SubscriptionTag, _tags, _deleted_with(SubscriptionTag, through=BY_SUBSCRIPTION)),
    _rule(
        "topics", _("Topics that you left"), TopicOptOut, _topics, _deleted_with(TopicOptOut, through=BY_SUBSCRIPTION)
    ),
    _rule("segments", _("Segments"), SegmentPick, _segments, _deleted_with(SegmentPick, through=BY_SUBSCRIPTION)),
    _rule("notes", _("Notes of the editors"), Note, _notes, _deleted_with(Note, through=BY_SUBSCRIBER)),
    _rule("changes", _("Changes"), Change, _changes, _deleted_with(Change, through=BY_SUBSCRIBER)),
    _rule("address_changes", _("Changes of address"), AddressChange, _address_changes, _erase_address_changes),
    _rule(
        "data_requests",
        _("Requests for your data"),
        DataRequest,
        _data_requests,
        _deleted_with(DataRequest, through=BY_SUBSCRIBER),
    ),
    _rule(
        "transactional_mails",
        _("Confirmation mails and other mails to you"),
        TransactionalMail,
        _mails,
        _erase_mails,
        locate=_locate_mails_of_others,
    ),
    _rule("consents", _("Consents"), Consent, _consents, _empty_consents, locate=_locate_consents),
    _rule("signups", _("Sign-ups"), Signup, _signups, _erase_signups),
    DataRule(
        name="signup_decisions",
        title=_("Decisions about sign-ups"),
        models=(SignupDecision, MailDomain),
        export=None,
        erase=_forget_own_domain,
        locate=_locate_decisions,
    ),
    _rule("link_requests", _("Requests for a new link"), LinkRequest, _link_requests, _erase_link_requests),
    _rule(
        "signup_answers",
        _("Answers of the sign-up form"),
        SignupAnswers,
        _answers,
        _deleted_with(SignupAnswers, through=BY_SUBSCRIPTION),
    ),
    _rule(
        "sunset_questions",
        _("Questions whether you want to stay"),
        SunsetQuestion,
        _sunset_questions,
        _deleted_with(SunsetQuestion, through=BY_SUBSCRIPTION),
    ),
    _rule("suppressions", _("Suppression"), Suppression, _suppressions, _empty_suppression),
    _rule("lifted_suppressions", _("Suppressions that were lifted"), LiftedSuppression, _lifted, _empty_lifted),
    _rule("log", _("Log of the editors"), LogEntry, None, _empty_log, locate=_locate_log),
    _rule("sessions", _("Sessions of the editors"), Session, None, _erase_sessions),
)
