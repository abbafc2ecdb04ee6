"""Tokens: only the ones that we signed lead anywhere, whatever is changed, cut off or put together."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from newsletter.engagement.tokens import ENDING_LENGTH, EditionSigner, LinkToken, _Keys, read_token
from subscribers.consent.tokens import LinkSigner, Purpose

ALPHABET = string.ascii_letters + string.digits + "-_"


def shared(edition: int = 41, number: int = 7) -> str:
    return EditionSigner(edition).first_part(number, is_personal=False)


def personal(edition: int = 41, number: int = 7, delivery: int | None = 123_456) -> str:
    signer = EditionSigner(edition)
    return signer.first_part(number, is_personal=True) + signer.ending(delivery)


@given(st.integers(1, 2**62), st.integers(0, 30_000), st.none() | st.integers(1, 2**63 - 1))
def test_a_token_says_what_was_signed(edition: int, number: int, delivery: int | None) -> None:
    assert read_token(shared(edition, number)) == LinkToken(edition, number)
    expected = LinkToken(edition, number, is_personal=True, delivery=delivery)
    assert read_token(personal(edition, number, delivery)) == expected


@pytest.mark.parametrize("make", [shared, personal])
def test_no_single_flipped_bit_and_no_cut_is_read(make: Any) -> None:
    token = make()
    for place in range(len(token)):
        assert read_token(token[:place]) is None
        assert read_token(token[place + 1 :]) is None
        for bit in range(7):
            flipped = token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :]
            assert read_token(flipped) is None
        for other in ALPHABET.replace(token[place], ""):
            assert read_token(token[:place] + other + token[place + 1 :]) is None
    for more in ("A", "=", "==", " ", "\n", "%00", "ä", token):
        assert read_token(token + more) is None


@given(st.text(ALPHABET, max_size=90))
def test_made_up_tokens_are_not_read(token: str) -> None:
    assert read_token(token) is None


def test_parts_of_two_tokens_make_no_third() -> None:
    one, two = personal(41), personal(42)
    assert read_token(one[:-ENDING_LENGTH] + two[-ENDING_LENGTH:]) is None
    assert read_token(shared(41) + one[-ENDING_LENGTH:]) is None
    assert read_token(one[:-ENDING_LENGTH]) is None
    # Another link of the same mail names the same recipient.
    assert read_token(personal(41, 9)[:-ENDING_LENGTH] + one[-ENDING_LENGTH:]) == LinkToken(41, 9, True, 123_456)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_token_of_another_purpose_is_not_read(purpose: Purpose) -> None:
    signer = LinkSigner(purpose)
    for size in range(4, 30):
        assert read_token(signer.token(bytes([1, _Keys(settings.SECRET_KEY).number, 41, *([7] * size)]))) is None


def test_links_of_a_former_key_lead_on_and_those_of_a_removed_one_do_not(settings: Any) -> None:
    tokens, old = (shared(), personal()), settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, [old]
    assert [read_token(token) is not None for token in tokens] == [True, True]
    assert read_token(shared()) == LinkToken(41, 7)
    settings.SECRET_KEY_FALLBACKS = []
    assert [read_token(token) for token in tokens] == [None, None]


def test_a_url_is_short_and_names_no_delivery(settings: Any) -> None:
    settings.SITE_URL = "https://go.example.org"
    signer = EditionSigner(123_456)
    assert len(signer.url(40)) <= 50
    url = signer.url(40, ending=signer.ending(9_876_543))
    assert len(url) <= 80
    raw = base64.urlsafe_b64decode(signer.ending(9_876_543))
    assert (9_876_543).to_bytes(8, "big") != raw[:8]
    assert b"\0\0\0" not in raw[:8]


def test_deliveries_beside_each_other_look_unrelated() -> None:
    endings = [EditionSigner(1).ending(number) for number in range(1, 200)]
    assert len({ending[:6] for ending in endings}) == len(endings)


@given(st.integers(0, 2**64 - 1))
def test_what_is_hidden_can_be_read_again(number: int) -> None:
    keys = _Keys("a secret")
    assert keys.decrypt(keys.encrypt(number)) == number


def test_recipients_who_did_not_agree_share_one_ending() -> None:
    assert EditionSigner(41).ending(None) == EditionSigner(41).ending(None) != EditionSigner(42).ending(None)


def test_the_format_of_links_in_mails_that_were_sent_stays(settings: Any) -> None:
    """These are in mails of the past: a change of the code must read them as before."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "fixed" * 12, []
    assert (shared(), personal()) == (
        "AfIpB3tsddbvq_96_67JRw",
        "AvIpBz33lrE0FqXinRN1BAssI41raxpBfQu_TMimg_tQoj",
    )
