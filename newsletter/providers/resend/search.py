"""Reads Resend's list of sent mails, with an API key of its own.

The SDK keeps its key in a module, so reading with it during a post would swap the post's key; these are two plain GETs.
Sources: GET /emails (newest first; `after` is the id of the last mail read) and GET /emails/{id} (with its tags).
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from newsletter.providers.base import ProviderSearchFailed, SearchPage, sanitize
from subscribers.models import fingerprint

PAGE_SIZE = 100

#: The mails of one strict batch are created together. So one mail that is identified by its tags also identifies the
#: others that were created within this time.
SAME_POST = datetime.timedelta(seconds=60)

#: Tags that identify a mail as this installation's, this edition's and this delivery's.
IDENTIFYING_TAGS = ("delivery", "edition", "env")

USER_AGENT = "newsletter-reconcile"

#: {recipient and subject: (index in the body, identifying tags)} of the messages of a batch, by `_key_of` or, for an
#: erased recipient, by its keyed hash.
BatchMessages = Mapping[str, tuple[int, dict[str, str]]]

#: The name of the keyed hash that a message keeps of an erased recipient.
ERASED = "erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSummary:
    """One row of the list."""

    id: str
    recipient: str
    subject: str
    created_at: datetime.datetime


class ResendEmails:
    """Resend's list of mails. `read_key` needs full access, because a key with sending access cannot read."""

    def __init__(self, url: str, read_key: str) -> None:
        self._url, self._read_key = url, read_key
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=30))

    def search(self, body: bytes, *, after: str) -> SearchPage:
        """Compare one page of the list, older than the mail `after`, with the messages of a frozen body.

        Raises ProviderSearchFailed.
        """
        messages = _messages_of(body)
        query = {"limit": str(PAGE_SIZE), **({"after": after} if after else {})}
        content = self._get(f"/emails?{urlencode(query)}")
        if not content:
            raise ProviderSearchFailed("cursor_lost", permanent=True)
        try:
            mails, has_more = [_summary(row) for row in content["data"]], bool(content["has_more"])
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderSearchFailed("list_unreadable", type(error).__name__, permanent=False) from error
        candidates = [mail for mail in mails if _match(messages, mail) is not None]
        found, unverifiable = self._identify(candidates, messages)
        return SearchPage(
            found=found,
            unverifiable=unverifiable,
            mails_read=len(mails),
            cursor=mails[-1].id if mails else after,
            oldest_at=min((mail.created_at for mail in mails), default=None),
            has_more=has_more and bool(mails),
        )

    def mail_created_at(self, mail_id: str) -> datetime.datetime | None:
        """When a mail was created; None for an unknown id. Raises ProviderSearchFailed."""
        mail = self._mail(mail_id)
        try:
            return _time(mail["created_at"]) if mail else None
        except (KeyError, ValueError) as error:
            raise ProviderSearchFailed("list_unreadable", type(error).__name__, permanent=False) from error

    def _identify(self, candidates: list[EmailSummary], messages: BatchMessages) -> tuple[dict[int, str], int]:
        """The candidates that are the batch's mails, by index, and the number of those that may be."""
        identified_at: datetime.datetime | None = None
        found: dict[int, str] = {}
        unverifiable = 0
        for mail in candidates:
            index, expected = _match(messages, mail) or (0, {})
            is_same_post = identified_at is not None and abs(mail.created_at - identified_at) <= SAME_POST
            if not is_same_post:
                tags = _tags(self._mail(mail.id))
                if {name: tags.get(name) for name in expected} != expected:
                    unverifiable += not tags or _is_renumbered(tags, expected)
                    continue
                identified_at = mail.created_at
            # The newest of a recipient's mails counts: an older one failed and was replaced by it.
            found.setdefault(index, mail.id)
        return found, unverifiable

    def _mail(self, mail_id: str) -> dict[str, Any]:
        return self._get(f"/emails/{quote(mail_id, safe='')}")

    def _get(self, path: str) -> dict[str, Any]:
        """The content of the response; empty for status 404. Raises ProviderSearchFailed."""
        headers = {
            "Authorization": f"Bearer {self._read_key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = self._pool.request("GET", f"{self._url}{path}", headers=headers, redirect=False)
            content = orjson.loads(response.data)
        except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
            raise ProviderSearchFailed("list_unavailable", type(error).__name__, permanent=False) from error
        if not isinstance(content, dict):
            raise ProviderSearchFailed("list_unreadable", permanent=False)
        if response.status == 200:
            return content
        if response.status == 404:
            return {}
        detail = f"{response.status} {sanitize(content.get('name'))}: {sanitize(content.get('message'))}"
        if response.status in (401, 403) or "api key" in detail.lower():
            raise ProviderSearchFailed("read_key_refused", detail, permanent=True)
        is_temporary = response.status == 429 or response.status >= 500
        raise ProviderSearchFailed("list_unavailable", detail, permanent=not is_temporary)


def _messages_of(body: bytes) -> BatchMessages:
    """The messages of a frozen body. Raises ProviderSearchFailed."""
    if not body.startswith(b"["):
        raise ProviderSearchFailed("not_posted_by_provider", permanent=True)
    posted = orjson.loads(body)
    messages: dict[str, tuple[int, dict[str, str]]] = {}
    for index, message in enumerate(posted):
        tags = {name: value for name, value in _tags(message).items() if name in IDENTIFYING_TAGS}
        key = message[ERASED] if ERASED in message else _key_of(message["to"][0].lower(), message["subject"])
        messages[key] = (index, tags)
    return messages


def erase_messages(body: bytes, deliveries: Collection[int]) -> bytes:
    """A frozen body in which the messages of these deliveries keep their tags and a keyed hash only.

    The hash is of recipient and subject, so that the mail can still be found in Resend's list. The body must not be
    posted again.
    """
    messages = orjson.loads(body)
    numbers = {str(pk) for pk in deliveries}
    for index, message in enumerate(messages):
        if ERASED not in message and _tags(message).get("delivery") in numbers:
            key = _key_of(message["to"][0].lower(), message["subject"])
            messages[index] = {ERASED: fingerprint(key), "tags": message["tags"]}
    return orjson.dumps(messages)


def _key_of(recipient: str, subject: object) -> str:
    return f"{recipient}\n{_normalized(subject)}"


def _match(messages: BatchMessages, mail: EmailSummary) -> tuple[int, dict[str, str]] | None:
    """The message that may be this mail."""
    key = _key_of(mail.recipient, mail.subject)
    return messages.get(key) or messages.get(fingerprint(key))


def _summary(row: Mapping[str, Any]) -> EmailSummary:
    """A row of the list. Other mails of the account may lack fields that ours always have."""
    to = row.get("to") or ""
    return EmailSummary(
        id=str(row["id"]),
        recipient=str(to[0] if isinstance(to, list) else to).lower(),
        subject=_normalized(row.get("subject") or ""),
        created_at=_time(row["created_at"]),
    )


def _normalized(subject: object) -> str:
    """A subject with its white space normalized. It only selects the mails whose tags are then read."""
    return " ".join(str(subject).split())


def _tags(mail: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a mail, which Resend returns as an object or as a list; empty if there are none."""
    tags = mail.get("tags") or {}
    if isinstance(tags, list):
        tags = {tag.get("name"): tag.get("value") for tag in tags if isinstance(tag, dict)}
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def _is_renumbered(tags: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    """Whether only the number of the delivery differs: the recipient got this edition under another one.

    So it is if the audience was expanded again, in a database that was restored from a backup.
    """
    others = {name: value for name, value in expected.items() if name != "delivery"}
    return {name: tags.get(name) for name in others} == others and "delivery" in tags


def _time(value: object) -> datetime.datetime:
    time = datetime.datetime.fromisoformat(str(value))
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
