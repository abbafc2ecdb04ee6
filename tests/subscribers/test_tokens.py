"""Signed tokens: valid for one purpose, opaque, and without expiry."""

from __future__ import annotations

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from subscribers.consent.tokens import (
    ConfirmationToken,
    LinkSigner,
    Purpose,
    access_url,
    approve_address_url,
    confirm_address_url,
    confirm_url,
    decline_url,
    erase_url,
    preferences_url,
    read_confirmation,
    read_key,
    refuse_address_url,
    stay_url,
    unsubscribe_url,
)

KEY = uuid.UUID("6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b")
URLS: dict[Purpose, str] = {
    Purpose.UNSUBSCRIBE: unsubscribe_url(KEY),
    Purpose.PREFERENCES: preferences_url(KEY),
    Purpose.DECLINE: decline_url(KEY),
    Purpose.CONFIRM: confirm_url(KEY, 1),
    Purpose.STAY: stay_url(KEY),
    Purpose.ACCESS: access_url(KEY),
    Purpose.ERASE: erase_url(KEY),
    Purpose.CONFIRM_ADDRESS: confirm_address_url(KEY),
    Purpose.APPROVE_ADDRESS: approve_address_url(KEY),
    Purpose.REFUSE_ADDRESS: refuse_address_url(KEY),
}


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def is_valid(purpose: Purpose, token: str) -> bool:
    if purpose is Purpose.CONFIRM:
        return read_confirmation(token) is not None
    return read_key(purpose, token) is not None


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("made_for", Purpose)
def test_a_token_is_valid_for_its_own_purpose_only(made_for: Purpose, purpose: Purpose) -> None:
    assert is_valid(purpose, token_of(URLS[made_for])) == (made_for is purpose)


def test_links_start_with_the_site_url_and_are_short_ascii(settings: Settings) -> None:
    settings.SITE_URL = "https://xn--mnchen-3ya.example"
    url = unsubscribe_url(KEY)
    assert url.startswith("https://xn--mnchen-3ya.example/unsubscribe/")
    assert len(token_of(url)) == 43
    assert url.isascii()
    assert len(url) < 300


def test_a_signer_makes_the_same_links_as_the_functions() -> None:
    keys = [uuid.uuid4() for _ in range(3)]
    signer = LinkSigner(Purpose.UNSUBSCRIBE)
    assert [signer.url(key) for key in keys] == [unsubscribe_url(key) for key in keys]


def test_a_token_contains_only_the_key_of_the_subscription() -> None:
    payload = base64.urlsafe_b64decode(token_of(unsubscribe_url(KEY)) + "=")[:16]
    assert uuid.UUID(bytes=payload) == KEY


def test_a_confirmation_token_contains_the_request_number() -> None:
    assert read_confirmation(token_of(confirm_url(KEY, 3))) == ConfirmationToken(key=KEY, request_number=3)


def test_links_signed_with_a_fallback_secret_are_valid(settings: Settings) -> None:
    token = token_of(unsubscribe_url(KEY))
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-secret-" + "x" * 50
    assert read_key(Purpose.UNSUBSCRIBE, token) is None
    settings.SECRET_KEY_FALLBACKS = [old]
    assert read_key(Purpose.UNSUBSCRIBE, token) == KEY


@given(st.integers(0, 42), st.characters())
def test_a_token_with_one_changed_character_is_invalid(position: int, character: str) -> None:
    token = token_of(unsubscribe_url(KEY))
    changed = token[:position] + character + token[position + 1 :]
    assert read_key(Purpose.UNSUBSCRIBE, changed) == (KEY if changed == token else None)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_an_invalid_token(text: str) -> None:
    assert not any(is_valid(purpose, text) for purpose in Purpose)


@pytest.mark.parametrize("ending", ["=", "==", "\n", " ", "\x00", "/", "A"])
def test_a_token_has_only_one_encoding(ending: str) -> None:
    assert read_key(Purpose.UNSUBSCRIBE, token_of(unsubscribe_url(KEY)) + ending) is None
