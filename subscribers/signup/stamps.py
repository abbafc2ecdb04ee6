"""Stamps of forms: a signed time with a nonce. Each stamp counts for one sign-up.

Public pages are cached and share a stamp. A shared stamp counts once per network; the next visitor of that network is
shown the form again, with a stamp of its own.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
import time
import uuid
from dataclasses import dataclass

from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from subscribers.models import MailingList, UsedStamp

#: Seconds between showing and submitting the form. Scripts submit at once; a visitor takes longer than half a second.
#: A form outside the limits is shown again with an error, so that a visitor can submit it again.
MIN_SECONDS_TO_SUBMIT, MAX_SECONDS_TO_SUBMIT = 0.5, 2 * 60 * 60

#: In seconds: how far ahead the clock of another machine may be. Later dates are refused.
MAX_SKEW = 5 * 60

SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A genuine stamp of one list's form."""

    shown_at: float
    """In seconds since 1970."""
    nonce: str
    """SHARED for the stamp of a cached page."""


class StampError(Exception):
    """No stamp of this form."""

    permanent = True


class StampUsed(Exception):
    """The stamp was used by another sign-up. Nothing was stored."""

    permanent = True

    def __init__(self, signup_key: uuid.UUID) -> None:
        super().__init__("The stamp was used before.")
        self.signup_key = signup_key


def sign_timestamp(mailing_list: MailingList, shown_at: float | None = None, *, is_shared: bool = False) -> str:
    """A stamp of when this list's form was shown (seconds since 1970; default: now)."""
    shown = time.time() if shown_at is None else shown_at
    return _signer(mailing_list).sign(f"{shown:.3f}/{SHARED if is_shared else secrets.token_urlsafe(12)}")


def read_stamp(mailing_list: MailingList, signed: str) -> Stamp:
    """The content of a genuine stamp, however old. Raises StampError."""
    try:
        shown_at, _slash, nonce = _signer(mailing_list).unsign(signed[:300]).partition("/")
        stamp = Stamp(float(shown_at), nonce)
    except (signing.BadSignature, ValueError) as error:
        raise StampError("The stamp is not genuine.") from error
    if not nonce:
        raise StampError("The stamp has no nonce.")
    return stamp


def stamp_key(mailing_list: MailingList, stamp: Stamp, network: str) -> str:
    """What must be used only once, as 64 hexadecimal digits."""
    sharing = network if stamp.nonce == SHARED else ""
    parts = (str(mailing_list.pk), f"{stamp.shown_at:.3f}", stamp.nonce, sharing)
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def use_stamp(key: str, signup_key: uuid.UUID, *, expires_at: datetime.datetime | None = None) -> None:
    """Mark a stamp as used by a sign-up. Raises StampUsed. Of two callers at once, one gets it."""
    expires = expires_at or timezone.now() + datetime.timedelta(seconds=MAX_SECONDS_TO_SUBMIT + MAX_SKEW)
    try:
        with transaction.atomic():
            UsedStamp.objects.create(key=key, signup_key=signup_key, expires_at=expires)
    except IntegrityError as error:
        earlier = UsedStamp.objects.filter(key=key).first()
        raise StampUsed(earlier.signup_key if earlier else signup_key) from error


def _signer(mailing_list: MailingList) -> signing.Signer:
    return signing.Signer(salt=f"subscribers.signup.{mailing_list.slug}")
