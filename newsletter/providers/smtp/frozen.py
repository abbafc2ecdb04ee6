"""Frozen bodies: the mails of one post with their envelopes, as they are stored before the first byte leaves.

A line of JSON, then the mails one after the other. The line holds the common Date and, per mail, the sender, the
recipient, the id, the length in octets and, for a mail that is repeated by itself, the name of its first attempt.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from email.utils import format_datetime, parseaddr
from functools import lru_cache

import orjson

from newsletter.providers.smtp.mime import cut_id

#: An address without a display name or anything else that would have to be parsed.
BARE_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail as it is sent: bare addresses, and ASCII bytes with CRLF line ends, none of which begins with a dot."""

    sender: str
    recipient: str
    id: str
    """The local part of its Message-ID, by which bounces and the server's log lead back to the delivery."""
    headers: bytes
    """Those that are made when it is posted."""
    body: memoryview
    """All other headers, and the parts."""

    @property
    def content(self) -> bytes:
        """The whole mail."""
        return b"".join((self.headers, self.body))


def join_mails(messages: list[bytes], at: datetime.datetime) -> bytes:
    """The body of one post. `messages` are filled messages of `mime.encode_mail`; `at` is the time in their Date."""
    envelopes, mails = [], []
    for message in messages:
        end = message.index(b"\n")
        mail = memoryview(message)[end + 1 :]
        envelopes.append([*orjson.loads(message[:end]), len(mail), ""])
        mails.append(mail)
    return _body(format_datetime(at), envelopes, mails)


def _body(date: str, envelopes: list[list[object]], mails: list[memoryview]) -> bytes:
    return b"".join((orjson.dumps({"date": date, "mails": envelopes}), b"\n", *mails))


def mails_of(body: bytes, key: str, *, has_keys: bool = False) -> list[Mail]:
    """The mails of a body. The same body and key make the same bytes. `has_keys` adds Resend's header."""
    date, envelopes, start = _read(body)
    mails = []
    for index, (sender, recipient, mail_id, length, name) in enumerate(envelopes):
        name = name or _name_of(key, mail_id, index)
        hashed = hashlib.sha256(name.encode()).hexdigest()[:32] if has_keys or not mail_id else ""
        mail_id, address = cut_id(mail_id) or hashed, _bare(sender)
        headers = f"Date: {date}\r\nMessage-ID: <{mail_id}@{address.rpartition('@')[2]}>\r\n"
        if has_keys:
            headers += f"Resend-Idempotency-Key: {hashed}\r\n"
        mails.append(
            Mail(
                sender=address,
                recipient=recipient if BARE_ADDRESS.fullmatch(recipient) else parseaddr(recipient)[1],
                id=mail_id,
                headers=headers.encode("ascii", "replace"),
                body=memoryview(body)[start : start + length],
            )
        )
        start += length
    return mails


def _name_of(key: str, mail_id: str, index: int) -> str:
    """The same for every attempt to post this mail, and for no other mail.

    The place in the body is not enough: after a restored backup a batch may be frozen again without one recipient.
    """
    return f"{key}:{mail_id or index}"


def body_of_one(body: bytes, key: str, index: int) -> bytes:
    """A body of its own for one mail of a body that was posted under this key. It makes the same bytes."""
    date, envelopes, start = _read(body)
    start += sum(envelope[3] for envelope in envelopes[:index])
    sender, recipient, mail_id, length, name = envelopes[index]
    envelope = [sender, recipient, mail_id, length, name or _name_of(key, mail_id, index)]
    return _body(date, [envelope], [memoryview(body)[start : start + length]])


def _read(body: bytes) -> tuple[str, list[tuple[str, str, str, int, str]], int]:
    """Date, envelopes, and where the first mail begins."""
    end = body.index(b"\n")
    head = orjson.loads(memoryview(body)[:end])
    return head["date"], head["mails"], end + 1


@lru_cache(maxsize=64)
def _bare(address: str) -> str:
    return parseaddr(address)[1]


def erase_mails(body: bytes, deliveries: Collection[int]) -> bytes:
    """A frozen body in which the mails of these deliveries keep their id only. They must not be posted again."""
    date, envelopes, start = _read(body)
    kept: list[list[object]] = []
    mails = []
    for sender, recipient, mail_id, length, name in envelopes:
        number = mail_id.partition(".")[0]
        is_erased = number.isdecimal() and int(number) in deliveries
        kept.append([sender, "", mail_id, 0, name] if is_erased else [sender, recipient, mail_id, length, name])
        if not is_erased:
            mails.append(memoryview(body)[start : start + length])
        start += length
    return _body(date, kept, mails)
