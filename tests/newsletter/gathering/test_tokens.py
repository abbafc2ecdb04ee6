"""Tokens: shown once, limited per minute, and dead once they are revoked."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from newsletter.gathering.tokens import (
    MAX_TOKENS,
    MINUTE,
    MOST_IN_MINUTE,
    TokenRefused,
    TokenThrottled,
    TooManyTokens,
    make_token,
    revoke_token,
    use_token,
    valid_tokens,
)
from newsletter.models import LinkToken
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

PERMISSION = "newsletter.change_issue"
NOW = timezone.now()


@pytest.fixture
def will() -> User:
    user = User.objects.create_user("will", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="change_issue"))
    return user


def test_a_token_names_its_newsletter_and_user_and_only_its_hash_is_kept(will: User) -> None:
    secret = make_token(make_newsletter(), will, "Phone")
    token = use_token(secret, PERMISSION, now=NOW)
    assert (token.newsletter, token.user, token.name) == (make_newsletter(), will, "Phone")
    assert secret not in str(LinkToken.objects.values())
    assert LinkToken.objects.get().used_at == NOW


def test_a_revoked_or_unknown_token_is_refused(will: User) -> None:
    secret = make_token(make_newsletter(), will, "Phone")
    other = User.objects.create_user("edda", is_staff=True)
    assert not revoke_token(other, LinkToken.objects.get().pk)
    assert revoke_token(will, LinkToken.objects.get().pk)
    for each in (secret, "nllink_unknown", ""):
        with pytest.raises(TokenRefused):
            use_token(each, PERMISSION, now=NOW)
    assert not valid_tokens(make_newsletter(), will)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_a_token_of_someone_who_left_is_refused(will: User, change: dict[str, bool]) -> None:
    secret = make_token(make_newsletter(), will, "Phone")
    User.objects.filter(pk=will.pk).update(**change)
    with pytest.raises(TokenRefused):
        use_token(secret, PERMISSION, now=NOW)


def test_a_token_without_the_permission_is_refused(will: User) -> None:
    secret = make_token(make_newsletter(), will, "Phone")
    will.user_permissions.clear()
    with pytest.raises(TokenRefused):
        use_token(secret, PERMISSION, now=NOW)


def test_requests_of_a_minute_are_limited(will: User) -> None:
    secret = make_token(make_newsletter(), will, "Phone")
    for _ in range(MOST_IN_MINUTE):
        use_token(secret, PERMISSION, now=NOW)
    with pytest.raises(TokenThrottled) as refusal:
        use_token(secret, PERMISSION, now=NOW + datetime.timedelta(seconds=50))
    assert refusal.value.wait == 11
    use_token(secret, PERMISSION, now=NOW + MINUTE)
    assert LinkToken.objects.get().in_minute == 1


def test_a_user_has_a_limited_number_of_tokens(will: User) -> None:
    for _ in range(MAX_TOKENS):
        make_token(make_newsletter(), will, "Phone")
    with pytest.raises(TooManyTokens):
        make_token(make_newsletter(), will, "Phone")
    revoke_token(will, LinkToken.objects.latest("pk").pk)
    make_token(make_newsletter(), will, "Phone")
