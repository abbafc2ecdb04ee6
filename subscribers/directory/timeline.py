"""The timeline of one subscriber: consents, mails, changes and notes in one order, from several sources."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from django.urls import reverse
from django.utils.translation import gettext as _

from subscribers.addresses import masked
from subscribers.models import (
    Change,
    ChangeKind,
    Consent,
    ConsentKind,
    CustomField,
    Note,
    Subscriber,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailState,
)


class EntryKind(enum.StrEnum):
    """What an entry is about, as the filters of the page."""

    MAIL = "mail"
    CONSENT = "consent"
    CHANGE = "change"
    NOTE = "note"


class Tone(enum.StrEnum):
    """The sign before an entry."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline."""

    at: datetime.datetime
    kind: EntryKind
    sentence: str
    evidence: str = ""
    """A second line: where and how, or by whom."""
    tone: Tone = Tone.PLAIN
    url: str = ""
    """The page of the record, if it has one."""
    url_text: str = ""


class TimelineSource(Protocol):
    """Reads entries of one subscriber."""

    def __call__(self, subscriber: Subscriber, limit: int, *, is_personal: bool) -> Collection[Entry]:
        """The newest `limit` entries. Without `is_personal`: nothing that the viewer may not see, such as clicks."""


_sources: dict[TimelineSource, frozenset[EntryKind]] = {}


def register_timeline(source: TimelineSource, *kinds: EntryKind) -> None:
    """Have this source read for these kinds of entries. A second registration changes nothing."""
    _sources[source] = frozenset(kinds)


def timeline(
    subscriber: Subscriber, kinds: Collection[EntryKind], limit: int, *, is_personal: bool
) -> tuple[list[Entry], bool]:
    """The newest `limit` entries of these kinds, the newest first; and whether there are older ones."""
    entries = [
        entry
        for source, offered in _sources.items()
        if offered & set(kinds)
        for entry in source(subscriber, limit + 1, is_personal=is_personal)
        if entry.kind in kinds
    ]
    entries.sort(key=attrgetter("at"), reverse=True)
    return entries[:limit], len(entries) > limit


CONSENT_TONES = {
    ConsentKind.CONFIRMED: Tone.GOOD,
    ConsentKind.IMPORTED: Tone.GOOD,
    ConsentKind.UNSUBSCRIBED: Tone.WARN,
    ConsentKind.DECLINED: Tone.WARN,
    ConsentKind.SUPPRESSED: Tone.BAD,
}


def consent_entries(subscriber: Subscriber, limit: int, *, is_personal: bool) -> list[Entry]:
    """The steps of the subscriptions."""
    consents = Consent.objects.filter(subscription__subscriber=subscriber).order_by("-created_at", "-pk")[:limit]
    return [_consent_entry(consent, is_personal=is_personal) for consent in consents.select_related("text")]


def _consent_entry(consent: Consent, *, is_personal: bool) -> Entry:
    version = _("text version %(version)s") % {"version": consent.text.version} if consent.text else ""
    parts = (
        consent.get_form_display(),
        consent.source,
        consent.ip if is_personal else "",
        version,
        _("by %(name)s") % {"name": consent.by} if consent.by else "",
        consent.get_reason_display(),
        consent.detail_in_words if is_personal else "",
    )
    return Entry(
        at=consent.created_at,
        kind=EntryKind.CONSENT,
        tone=CONSENT_TONES.get(ConsentKind(consent.kind), Tone.PLAIN),
        sentence=f"{consent.get_kind_display()} · {consent.list_name}",
        evidence=" · ".join(str(part) for part in parts if part),
        url=reverse("admin:subscribers_consent_change", args=[consent.pk]) if is_personal else "",
        url_text=_("Show evidence"),
    )


MAIL_TONES = {
    TransactionalMailState.SENT: Tone.GOOD,
    TransactionalMailState.FAILED: Tone.BAD,
    TransactionalMailState.UNKNOWN: Tone.WARN,
}


def mail_entries(subscriber: Subscriber, limit: int, *, is_personal: bool) -> list[Entry]:
    """The transactional mails, without their bodies, which contain working links."""
    mails = TransactionalMail.objects.filter(subscription__subscriber=subscriber).defer("text", "html", "headers")
    return [
        Entry(
            at=mail.sent_at or mail.created_at,
            kind=EntryKind.MAIL,
            tone=MAIL_TONES.get(TransactionalMailState(mail.state), Tone.PLAIN),
            sentence=f"{mail.get_kind_display()} · {mail.subject}",
            evidence=" · ".join(filter(None, (str(mail.get_state_display()), mail.explanation))),
        )
        for mail in mails.order_by("-created_at", "-pk")[:limit]
    ]


def change_entries(subscriber: Subscriber, limit: int, *, is_personal: bool) -> list[Entry]:
    """What was changed, and by whom."""
    rows = Change.objects.filter(subscriber=subscriber).select_related("subscription")
    changes = list(rows.order_by("-created_at", "-pk")[:limit])
    lists = {change.subscription.mailing_list_id for change in changes if change.subscription}
    labels = dict(CustomField.objects.filter(mailing_list__in=lists).values_list("key", "label")) if lists else {}
    return [
        Entry(
            at=change.created_at,
            kind=EntryKind.CHANGE,
            tone=Tone.INFO,
            sentence=change_sentence(change, labels, is_personal=is_personal),
            evidence=_("by %(name)s") % {"name": change.by} if change.by else _("by the subscriber"),
        )
        for change in changes
    ]


def change_sentence(change: Change, labels: dict[str, str], *, is_personal: bool) -> str:
    """What was changed, with the values before and after."""
    values = {name: str(value) for name, value in change.values.items()}
    kind = str(change.get_kind_display())
    if change.kind in (ChangeKind.TAG_ADDED, ChangeKind.TAG_REMOVED):
        return f"{kind}: {values.get('tag', '')}"
    if change.kind == ChangeKind.LIFTED:
        reason = values.get("reason", "")
        label = SuppressionReason(reason).label if reason in SuppressionReason.values else reason
        return f"{kind}: {label} – {values.get('words', '')}"
    if change.kind in (ChangeKind.ADDRESS, ChangeKind.MERGED) and not is_personal:
        values = {name: masked(value) for name, value in values.items()}
    if change.kind == ChangeKind.MERGED:
        return f"{kind}: {values['from']}" if "from" in values else kind
    if change.kind == ChangeKind.FIELD:
        kind = labels.get(values.get("field", ""), values.get("field", kind))
    if "to" not in values:
        return kind
    return f"{kind}: {values.get('from') or '–'} → {values.get('to') or '–'}"


def note_entries(subscriber: Subscriber, limit: int, *, is_personal: bool) -> list[Entry]:
    """The notes of the team."""
    return [
        Entry(
            at=note.created_at,
            kind=EntryKind.NOTE,
            tone=Tone.INFO,
            sentence=_("Note by %(name)s") % {"name": note.by},
            evidence=note.text,
        )
        for note in Note.objects.filter(subscriber=subscriber).order_by("-created_at", "-pk")[:limit]
    ]


register_timeline(consent_entries, EntryKind.CONSENT)
register_timeline(mail_entries, EntryKind.MAIL)
register_timeline(change_entries, EntryKind.CHANGE)
register_timeline(note_entries, EntryKind.NOTE)
