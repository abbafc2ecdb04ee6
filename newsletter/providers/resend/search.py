"""What Resend has taken, read from its list with a key of its own.

The SDK keeps its key in a module, so that reading beside a post would swap the post's key; these are two plain GETs.
Sources: GET /emails (newest first, `after` is the id of the last mail seen) and GET /emails/{id} (with its tags).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from newsletter.providers.base import ProviderSearchFailed, SearchPage, cleaned

PAGE = 100

#: The mails of one strict post are made together; one of them that is proved proves those that were made with it.
SAME_POST = datetime.timedelta(seconds=60)

#: Tags by which a mail is known as this installation's, this edition's, this delivery's.
NAMING_TAGS = ("delivery", "edition", "env")

USER_AGENT = "newsletter-reconcile"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMail:
    """One row of the list."""

    id: str
    recipient: str
    subject: str
    created_at: datetime.datetime


class ResendList:
    """Reads; `read_key` needs full access, since a key with sending access may only send."""

    def __init__(self, url: str, read_key: str) -> None:
        self._url, self._read_key = url, read_key
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=30))

    def look_up(self, body: bytes, *, after: str) -> SearchPage:
        """Compare one page of the list, older than the mail `after`, with the messages of a frozen body.

        Raises ProviderSearchFailed.
        """
        members = _members(body)
        query = {"limit": str(PAGE), **({"after": after} if after else {})}
        answer = self._get(f"/emails?{urlencode(query)}")
        if not answer:
            raise ProviderSearchFailed(
                "Resend's list does not know the mail any more at which reading stopped.", permanent=True
            )
        try:
            mails, more = [_listed(row) for row in answer["data"]], bool(answer["has_more"])
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderSearchFailed(
                f"Resend's list cannot be read ({type(error).__name__}).", permanent=False
            ) from error
        alike = [mail for mail in mails if (mail.recipient, mail.subject) in members]
        found, untold = self._proved(alike, members)
        return SearchPage(
            found=found,
            untold=untold,
            mails_read=len(mails),
            cursor=mails[-1].id if mails else after,
            oldest=min((mail.created_at for mail in mails), default=None),
            more=more and bool(mails),
        )

    def made_at(self, mail_id: str) -> datetime.datetime | None:
        """When a mail was made; None if there is none of this id. Raises ProviderSearchFailed."""
        mail = self._mail(mail_id)
        try:
            return _moment(mail["created_at"]) if mail else None
        except (KeyError, ValueError) as error:
            raise ProviderSearchFailed(
                f"Resend's mail cannot be read ({type(error).__name__}).", permanent=False
            ) from error

    def _proved(
        self, alike: list[ListedMail], members: Mapping[tuple[str, str], tuple[int, dict[str, str]]]
    ) -> tuple[dict[int, str], int]:
        """Those of the mails that look alike which are the batch's, by place, and of how many that is not told."""
        proved_at: datetime.datetime | None = None
        found: dict[int, str] = {}
        untold = 0
        for mail in alike:
            place, tags = members[mail.recipient, mail.subject]
            is_of_one_post = proved_at is not None and abs(mail.created_at - proved_at) <= SAME_POST
            if not is_of_one_post:
                told = _tags(self._mail(mail.id))
                if {name: told.get(name) for name in tags} != tags:
                    untold += not told
                    continue
                proved_at = mail.created_at
            # The newest of a reader's mails: an older one failed, and this one is in its place.
            found.setdefault(place, mail.id)
        return found, untold

    def _mail(self, mail_id: str) -> dict[str, Any]:
        return self._get(f"/emails/{quote(mail_id, safe='')}")

    def _get(self, path: str) -> dict[str, Any]:
        """The answer; empty for what is not there. Raises ProviderSearchFailed."""
        headers = {
            "Authorization": f"Bearer {self._read_key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = self._pool.request("GET", f"{self._url}{path}", headers=headers, redirect=False)
            answer = orjson.loads(response.data)
        except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
            raise ProviderSearchFailed(
                f"Resend's list does not answer ({type(error).__name__}).", permanent=False
            ) from error
        if not isinstance(answer, dict):
            raise ProviderSearchFailed("Resend's list cannot be read.", permanent=False)
        if response.status == 200:
            return answer
        if response.status == 404:
            return {}
        name, message = cleaned(answer.get("name")), cleaned(answer.get("message"))
        if response.status in (401, 403) or "api key" in message.lower():
            sentence = f"Resend does not let us read ({name}): RESEND_READ_KEY needs full access."
            raise ProviderSearchFailed(sentence, permanent=True)
        is_passing = response.status == 429 or response.status >= 500
        raise ProviderSearchFailed(
            f"Resend's list answers {response.status} {name}: {message}", permanent=not is_passing
        )


def _members(body: bytes) -> dict[tuple[str, str], tuple[int, dict[str, str]]]:
    """{(recipient, subject): (place, naming tags)} of the messages in a frozen body. Raises ProviderSearchFailed."""
    messages = orjson.loads(body)
    if not isinstance(messages, list):
        raise ProviderSearchFailed("This batch was not posted by Resend, so its list cannot know it.", permanent=True)
    members = {}
    for place, message in enumerate(messages):
        tags = {name: value for name, value in _tags(message).items() if name in NAMING_TAGS}
        members[message["to"][0].lower(), _plain(message["subject"])] = (place, tags)
    return members


def _listed(row: Mapping[str, Any]) -> ListedMail:
    """A row of the list; whatever else the team sends may lack what ours always have."""
    to = row.get("to") or ""
    return ListedMail(
        id=str(row["id"]),
        recipient=str(to[0] if isinstance(to, list) else to).lower(),
        subject=_plain(row.get("subject") or ""),
        created_at=_moment(row["created_at"]),
    )


def _plain(subject: object) -> str:
    """A subject without what may differ on the way: it only chooses the mails whose tags are asked for."""
    return " ".join(str(subject).split())


def _tags(mail: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a mail, which Resend tells as an object or as a list; empty if it tells none."""
    tags = mail.get("tags") or {}
    if isinstance(tags, list):
        tags = {tag.get("name"): tag.get("value") for tag in tags if isinstance(tag, dict)}
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def _moment(said: object) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(str(said))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
