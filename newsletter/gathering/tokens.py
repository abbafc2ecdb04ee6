"""Tokens with which programs save links: made, checked with a limit per minute, and revoked."""

from __future__ import annotations

import datetime
import hashlib
import secrets

from django.contrib.auth.models import User
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from newsletter.models import LinkToken, Newsletter

#: What each token begins with, so that users and scanners of leaked secrets know what it is.
PREFIX = "nllink_"
#: Requests of one token in a minute.
MOST_IN_MINUTE = 60
MINUTE = datetime.timedelta(minutes=1)
#: Tokens of one user for one newsletter that are not revoked.
MAX_TOKENS = 20


class TooManyTokens(Exception):
    """The user has MAX_TOKENS."""

    permanent = True


class TokenRefused(Exception):
    """The token is unknown or revoked, or its user may not save links any more."""

    permanent = True


class TokenThrottled(Exception):
    """The token was used too often in this minute; `wait` is the time until the next one, in seconds."""

    permanent = False

    def __init__(self, wait: int) -> None:
        super().__init__(wait)
        self.wait = wait


def make_token(newsletter: Newsletter, user: User, name: str) -> str:
    """A new token, which is shown once. Raises TooManyTokens."""
    if valid_tokens(newsletter, user).count() >= MAX_TOKENS:
        raise TooManyTokens
    secret = PREFIX + secrets.token_urlsafe(32)
    LinkToken.objects.create(newsletter=newsletter, user=user, name=name[:60], token_sha256=_hash(secret))
    return secret


def valid_tokens(newsletter: Newsletter, user: User) -> QuerySet[LinkToken]:
    """The user's tokens for the newsletter that are not revoked, the newest first."""
    return LinkToken.objects.filter(newsletter=newsletter, user=user, revoked_at=None)


def revoke_token(user: User, pk: int) -> bool:
    """Revoke a token of the user; whether there was one."""
    return LinkToken.objects.filter(pk=pk, user=user, revoked_at=None).update(revoked_at=timezone.now()) > 0


def use_token(secret: str, permission: str, *, now: datetime.datetime) -> LinkToken:
    """The token, with its newsletter and user. Raises TokenRefused or TokenThrottled.

    One conditional statement counts the request, so that parallel ones cannot exceed the limit.
    """
    rows = LinkToken.objects.filter(token_sha256=_hash(secret), revoked_at=None)
    token = rows.select_related("newsletter", "user").first()
    if token is None or not (token.user.is_active and token.user.is_staff and token.user.has_perm(permission)):
        raise TokenRefused
    is_over = Q(minute_at=None) | Q(minute_at__lte=now - MINUTE)
    counted = rows.filter(is_over | Q(in_minute__lt=MOST_IN_MINUTE)).update(
        in_minute=Case(When(is_over, then=Value(1)), default=F("in_minute") + 1),
        minute_at=Case(When(is_over, then=Value(now)), default=F("minute_at")),
        used_at=now,
    )
    if not counted:
        since = token.minute_at or now
        raise TokenThrottled(max(1, int((since + MINUTE - now).total_seconds()) + 1))
    return token


def _hash(secret: str) -> str:
    """Tokens have 256 random bits, so that a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()
