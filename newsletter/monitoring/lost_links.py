"""Lost links: mails whose links were signed with a key that is no longer in the settings."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import IntegerField, Min, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models import STARTED, Batch, BatchState, Send
from newsletter.models.send import SendQuerySet
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.monitoring.formatting import duration, number
from subscribers.consent.signing_keys import TOLERANCE, lost_signing_keys
from subscribers.models import SigningKey, TransactionalMail, TransactionalMailState

log = logging.getLogger(__name__)

#: How long links in mails are expected to work. Unsubscribe links never expire by themselves.
LIFETIME = datetime.timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostLinks:
    """How many mails have links that no longer work, and the times of the first and the last of them."""

    mails: int
    first_at: datetime.datetime
    last_at: datetime.datetime


def lost_links(now: datetime.datetime) -> LostLinks | None:
    """Mails of the last LIFETIME whose links were signed with a key that was removed; None if there are none.

    Counted from the manifests of sends, not from deliveries: one query as long as no key was removed, else four. A send
    during which the key changed counts as a whole.
    """
    since = now - LIFETIME
    keys = lost_signing_keys(since)
    if not keys:
        return None
    sends = Send.objects.filter(_sent_with(keys), state__in=STARTED, started_at__gte=since)
    is_sent = Q(state=TransactionalMailState.SENT, sent_at__gte=since)
    mails = TransactionalMail.objects.filter(_sent_between(keys), is_sent)
    first = [sends.aggregate(at=Min("started_at"))["at"], mails.aggregate(at=Min("sent_at"))["at"]]
    count = _recipients(sends) + mails.count()
    known = [at for at in first if at]
    if not count or not known:
        return None
    return LostLinks(mails=count, first_at=min(known), last_at=max(key.last_used_at for key in keys))


def _sent_with(keys: list[SigningKey]) -> Q:
    """Sends that ran while one of these keys signed links."""
    runs = [
        Q(started_at__lte=_end_of(key)) & (Q(finished_at__isnull=True) | Q(finished_at__gte=key.first_used_at))
        for key in keys
    ]
    return Q.create(list(runs), connector=Q.OR)


def _sent_between(keys: list[SigningKey]) -> Q:
    """Transactional mails that were sent while one of these keys signed links."""
    return Q.create([Q(sent_at__range=(key.first_used_at, _end_of(key))) for key in keys], connector=Q.OR)


def _end_of(key: SigningKey) -> datetime.datetime:
    return key.last_used_at + TOLERANCE


def _recipients(sends: SendQuerySet) -> int:
    recipients = Cast(KeyTextTransform("recipients", "manifest"), IntegerField())
    with_manifest = sends.filter(manifest__isnull=False).order_by().aggregate(sum=Sum(recipients))["sum"]
    without = sends.filter(manifest__isnull=True).order_by().values("pk")
    accepted = Batch.objects.filter(send__in=without, state=BatchState.ACCEPTED).aggregate(sum=Sum("recipients"))["sum"]
    return (with_manifest or 0) + (accepted or 0)


def lost_links_sentence(lost: LostLinks, now: datetime.datetime) -> str:
    """How many mails of what age lose their links."""
    sentence = ngettext(
        "The links in %(count)s mail no longer work: the key that signed them is missing from the settings. It is "
        "%(oldest)s old.",
        "The links in up to %(count)s mails no longer work: the key that signed them is missing from the settings. "
        "The mails are between %(newest)s and %(oldest)s old.",
        lost.mails,
    )
    ages = {
        "newest": duration((now - lost.last_at).total_seconds()),
        "oldest": duration((now - lost.first_at).total_seconds()),
    }
    return sentence % {"count": number(lost.mails), **ages}


def advice_on_lost_links() -> str:
    """What to do about them."""
    return _(
        "Add the former value of SECRET_KEY to SECRET_KEY_FALLBACKS, and restart every process. If it leaked, leave it "
        "out: subscribers can unsubscribe with the links of the next mail."
    )


def lost_link_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether links in mails younger than LIFETIME were signed with a key that was removed."""
    if lost := lost_links(now):
        yield Diagnostic(
            name="lost_links",
            severity=Severity.WARNING,
            sentence=lost_links_sentence(lost, now),
            advice=advice_on_lost_links(),
        )


def log_lost_links() -> bool:
    """Log a warning if there are any: when a worker starts, and daily. A step of the worker; returns False."""
    if lost := lost_links(timezone.now()):
        values = {"mails": lost.mails, "oldest": lost.first_at.isoformat(), "newest": lost.last_at.isoformat()}
        log.warning("Links in mails no longer work: their signing key was removed", extra=values)
    return False
