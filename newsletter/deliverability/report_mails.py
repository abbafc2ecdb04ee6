"""Fetches mails to DMARC_REPORT_ADDRESS from the provider that received them, and imports the reports in them.

A mail waits until its reports are stored, in the same transaction: a worker may be killed at any line. Fetching it
again changes nothing, as each report is stored once. The addresses of attachments are valid for an hour and not kept.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from newsletter.deliverability.dmarc_errors import DmarcError, dmarc_message
from newsletter.deliverability.dmarc_files import MAX_BYTES, MAX_FILES
from newsletter.deliverability.dmarc_reports import store_files
from newsletter.models import REPORT_MAIL_MACHINE, ReportMail, ReportMailState
from newsletter.outbound import FetchError, FetchReason, Limits, asked_wait, fetch, fetch_message, site_fetch_policy
from newsletter.providers import webhook_providers
from newsletter.providers.inbound import KEY_CODES, InboundFile, InboundUnreadable, SupportsInbound
from newsletter.providers.reasons import provider_reason_sentence

log = logging.getLogger(__name__)

#: Seconds between two runs, each of which fetches a mail at most: the rate limit is that of the account, for posts too.
PACE_SECONDS = 2.0

#: How long a worker may take for a mail: two calls, and the downloads.
CLAIM = datetime.timedelta(minutes=15)

#: How long a failure waits: twice as long after each further one, up to the longest. Then the mail is refused.
FIRST_RETRY, LONGEST_RETRY, MAX_ATTEMPTS = datetime.timedelta(minutes=1), datetime.timedelta(hours=6), 12

#: How long a mail waits while our key is refused: it does not count as an attempt.
KEY_RETRY = datetime.timedelta(hours=1)

#: The longest wait that a provider may ask for.
LONGEST_WAIT = datetime.timedelta(hours=1)

#: For each attachment, of the bytes that are left of all.
DOWNLOAD = Limits(seconds=30.0, bytes=MAX_BYTES, redirects=1)

#: What a report is, by the name of its file or by its type. Others, such as a logo in the mail, are not fetched.
ENDINGS = (".xml", ".gz", ".zip", ".eml")
TYPES = frozenset(
    {
        *(f"application/{name}" for name in ("gzip", "x-gzip", "zip", "x-zip-compressed", "x-zip", "xml")),
        "text/xml",
        "message/rfc822",
    }
)

#: Codes of failed downloads are those of `newsletter.outbound`, with this before them.
FETCH = "fetch_"


def import_next_report_mail() -> bool:
    """Fetch one mail that is due, and import its reports; whether there was one. A step of the worker."""
    if not settings.DMARC_REPORT_ADDRESS:
        return False
    now = timezone.now()
    mail = _claim(now)
    if mail is None:
        return False
    try:
        _import(mail, _fetched(mail))
    except DmarcError as error:
        _refuse(mail, error.code, error.values)
    except InboundUnreadable as error:
        _postpone_unreadable(mail, error, now)
    except FetchError as error:
        _postpone(mail, f"{FETCH}{error.reason.value}", error.detail, now, is_final=error.permanent)
    return True


def _claim(now: datetime.datetime) -> ReportMail | None:
    """One worker takes it: it is due again later, should the worker be killed."""
    waiting = ReportMail.objects.filter(state=ReportMailState.WAITING, next_at__lte=now)
    for mail in waiting.order_by("next_at", "pk")[:10]:
        if ReportMail.objects.filter(pk=mail.pk, next_at=mail.next_at).update(next_at=now + CLAIM):
            return mail
    return None


def _fetched(mail: ReportMail) -> list[bytes]:
    """The files of a mail that may be reports. Raises InboundUnreadable, FetchError and DmarcError."""
    provider = inbound_provider(mail.provider)
    if provider is None:
        raise InboundUnreadable("inbound_key_missing", permanent=True)
    files = [file for file in provider.inbound_files(mail.mail_id) if _may_be_report(file)]
    if not files:
        raise DmarcError("no_attachment")
    if len(files) > MAX_FILES:
        raise DmarcError("too_many_files", limit=MAX_FILES)
    left, found = MAX_BYTES, []
    for file in files:
        found.append(_downloaded(file, provider, left))
        left -= len(found[-1])
    return found


def _may_be_report(file: InboundFile) -> bool:
    return file.name.lower().endswith(ENDINGS) or file.content_type in TYPES


def _downloaded(file: InboundFile, provider: SupportsInbound, left: int) -> bytes:
    """The bytes of a file, at most as many as are left of the limit."""
    too_large = DmarcError("too_large", megabytes=MAX_BYTES // 1_000_000)
    if left <= 0 or (file.size or 0) > left:
        raise too_large
    site = site_fetch_policy()
    policy = dataclasses.replace(site, allowed_hosts=site.allowed_hosts | provider.inbound_hosts)
    try:
        fetched = fetch(file.url, policy, limits=dataclasses.replace(DOWNLOAD, bytes=left))
    except FetchError as error:
        if error.reason is FetchReason.TOO_LARGE:
            raise too_large from error
        raise
    if fetched.status != 200:
        wait = asked_wait(fetched.status, fetched.headers, timezone.now(), longest=LONGEST_WAIT)
        seconds = wait.total_seconds() if wait else None
        raise InboundUnreadable("inbound_download_failed", str(fetched.status), permanent=False, retry_after=seconds)
    return fetched.body


def _import(mail: ReportMail, files: Sequence[bytes]) -> None:
    """Store all reports of a mail, or none. Raises DmarcError."""
    with transaction.atomic():
        stored = store_files(files, by=f"mail:{mail.sender_domain}"[:150])
        REPORT_MAIL_MACHINE.move(
            _row(mail),
            ReportMailState.IMPORTED,
            attempts=F("attempts") + 1,
            code="",
            values={},
            added=stored.added,
            known=stored.known,
            finished_at=timezone.now(),
        )


def _refuse(mail: ReportMail, code: str, values: Mapping[str, Any]) -> None:
    REPORT_MAIL_MACHINE.move(
        _row(mail),
        ReportMailState.REFUSED,
        attempts=F("attempts") + 1,
        code=code[:64],
        values=dict(values),
        finished_at=timezone.now(),
    )
    log.warning("Mail with a DMARC report refused", extra={"domain": mail.sender_domain, "code": code})


def _postpone_unreadable(mail: ReportMail, error: InboundUnreadable, now: datetime.datetime) -> None:
    values = {"detail": error.detail[:200]}
    if error.code in KEY_CODES:
        _wait(mail, error.code, values, now + KEY_RETRY, attempts=mail.attempts)
    elif error.retry_after is not None:
        wait = min(datetime.timedelta(seconds=max(error.retry_after, PACE_SECONDS)), LONGEST_WAIT)
        _wait(mail, error.code, values, now + wait, attempts=mail.attempts)
    else:
        _postpone(mail, error.code, values, now, is_final=error.permanent)


def _postpone(
    mail: ReportMail, code: str, values: Mapping[str, Any], now: datetime.datetime, *, is_final: bool
) -> None:
    """Fetch it again later, unless that would not help or was done often enough."""
    attempts = mail.attempts + 1
    if is_final or attempts >= MAX_ATTEMPTS:
        _refuse(mail, code, values)
        return
    wait = min(FIRST_RETRY * 2 ** (attempts - 1), LONGEST_RETRY)
    _wait(mail, code, values, now + wait, attempts=attempts)


def _wait(mail: ReportMail, code: str, values: Mapping[str, Any], at: datetime.datetime, *, attempts: int) -> None:
    waiting = _row(mail).filter(state=ReportMailState.WAITING)
    waiting.update(code=code[:64], values=dict(values), next_at=at, attempts=attempts)


def _row(mail: ReportMail) -> QuerySet[ReportMail]:
    return ReportMail.objects.filter(pk=mail.pk)


def fetch_again(key: int) -> bool:
    """Have a refused mail fetched again; False if it is not refused any more."""
    mail = ReportMail.objects.filter(pk=key)
    moved = REPORT_MAIL_MACHINE.move(
        mail, ReportMailState.WAITING, next_at=timezone.now(), attempts=0, finished_at=None
    )
    return bool(moved)


def inbound_provider(name: str = "") -> SupportsInbound | None:
    """The provider whose received mails can be read, of this name if one is given; None without a key."""
    for provider in webhook_providers():
        if isinstance(provider, SupportsInbound) and provider.can_read_inbound and name in ("", provider.name):
            return provider
    return None


def failure_sentence(mail: ReportMail) -> str:
    """Why a mail was refused, or still waits, in the active language; empty if nothing failed."""
    if mail.code.startswith(FETCH):
        return fetch_message(mail.code.removeprefix(FETCH), mail.values)
    return dmarc_message(mail.code, mail.values) or provider_reason_sentence(
        mail.code, str(mail.values.get("detail", ""))
    )
