"""Reads mails that Resend received for the account, with an API key of its own.

Sources: the event email.received (metadata only), GET /emails/receiving/{id}/attachments (each with `download_url`,
signed and valid for an hour) and GET /emails/receiving/{id} (with `raw.download_url`, the original). As in `search`,
plain GETs with a key of their own.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote

import orjson
import urllib3

from newsletter.providers.base import MAX_ID_LENGTH, sanitize
from newsletter.providers.inbound import InboundFile, InboundUnreadable, ReceivedMail
from newsletter.providers.resend.responses import retry_after

RECEIVED = "email.received"

USER_AGENT = "newsletter-inbound"

TIMEOUT = urllib3.Timeout(connect=5, read=15)

#: Attachments of one mail that are read: one page. A report has one.
PAGE_SIZE = 100

#: Bytes of an answer of the API, and of a webhook: metadata, and at most the text of a mail.
MAX_ANSWER = 5_000_000

#: Where an address that a mail went to can be.
_RECIPIENTS = ("to", "cc", "bcc", "received_for")

#: The original mail, where it has no attachments.
_MAIL_TYPE = "message/rfc822"


class ResendReceiving:
    """The received mails of a team. `key` needs full access."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def files(self, mail_id: str) -> tuple[InboundFile, ...]:
        """See SupportsInbound."""
        path = f"/emails/receiving/{quote(mail_id, safe='')}"
        content = self._get(f"{path}/attachments?limit={PAGE_SIZE}")
        rows = content.get("data")
        if not isinstance(rows, list):
            raise _unreadable("no_list")
        if rows:
            return tuple(_file(row) for row in rows)
        # Some report with a mail that is nothing but the packed file.
        original = self._get(path).get("raw")
        return (_original(original),) if isinstance(original, dict) else ()

    def _get(self, path: str) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self._key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = urllib3.request(
                "GET", f"{self._url}{path}", headers=headers, timeout=TIMEOUT, retries=False, redirect=False,
                preload_content=False,
            )  # fmt: skip
            try:
                data = response.read(MAX_ANSWER + 1)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise InboundUnreadable("inbound_unavailable", type(error).__name__, permanent=False) from error
        content = _parsed(data)
        _check(response.status, content or {}, response.headers)
        if content is None:
            raise _unreadable("no_object")
        return content


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        content = orjson.loads(data) if len(data) <= MAX_ANSWER else None
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _check(status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raises InboundUnreadable for every status but 200."""
    if status == 200:
        return
    name = str(content.get("name"))
    detail = f"{status} {sanitize(name)}: {sanitize(content.get('message'))}" if content else str(status)
    if status == 403 and name == "email_above_quota":
        raise InboundUnreadable("inbound_above_quota", detail, permanent=True)
    if status in (401, 403) or (status == 400 and "api key" in str(content.get("message")).lower()):
        raise InboundUnreadable("inbound_refused", detail, permanent=True)
    if status in (404, 410):
        raise InboundUnreadable("inbound_gone", detail, permanent=True)
    is_temporary = status == 429 or status >= 500
    wait = retry_after(headers) if is_temporary else None
    raise InboundUnreadable("inbound_unavailable", detail, permanent=not is_temporary, retry_after=wait)


def _unreadable(detail: str) -> InboundUnreadable:
    return InboundUnreadable("inbound_unreadable", detail, permanent=False)


def _file(row: object) -> InboundFile:
    if not isinstance(row, dict) or not isinstance(row.get("download_url"), str):
        raise _unreadable("no_address")
    size = row.get("size")
    return InboundFile(
        name=str(row.get("filename") or ""),
        content_type=str(row.get("content_type") or "").partition(";")[0].strip().lower(),
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        url=row["download_url"],
    )


def _original(raw: Mapping[str, Any]) -> InboundFile:
    if not isinstance(raw.get("download_url"), str):
        raise _unreadable("no_address")
    return InboundFile(name="", content_type=_MAIL_TYPE, size=None, url=raw["download_url"])


def parse_received(body: str) -> ReceivedMail | None:
    """See `SupportsInbound.read_received`."""
    try:
        event = orjson.loads(body)
        data = event["data"] if event["type"] == RECEIVED else None
        at = datetime.datetime.fromisoformat(str(event["created_at"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    mail_id = sanitize(data.get("email_id") or "")
    if not mail_id or len(mail_id) > MAX_ID_LENGTH:
        return None
    return ReceivedMail(
        mail_id=mail_id,
        sender=_address(data.get("from")),
        recipients=frozenset(filter(None, _recipients(data))),
        at=at if at.tzinfo else at.replace(tzinfo=datetime.UTC),
    )


def _recipients(data: Mapping[str, Any]) -> Iterator[str]:
    for name in _RECIPIENTS:
        values = data.get(name)
        for value in values if isinstance(values, list) else (values,):
            yield _address(value)


def _address(value: object) -> str:
    """The address in `Name <address>`, in lower case; empty if there is none."""
    return parseaddr(value[:1000])[1].lower()[:320] if isinstance(value, str) else ""
