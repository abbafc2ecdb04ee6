"""The parser of email addresses: what it accepts and refuses, for any input."""

from __future__ import annotations

import email
import email.policy

import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from subscribers.addresses import (
    Address,
    AddressError,
    _parse_unusual,
    domain_of,
    is_plain_address,
    masked,
    parse_address,
    sender_line,
)

LONG_LOCAL = "l" * 64
ACCEPTED = [
    # as typed, as given, canonical
    ("ada@example.org", "ada@example.org", "ada@example.org"),
    ("  ada@example.org\n", "ada@example.org", "ada@example.org"),
    ("Ada.Lovelace@Example.ORG", "Ada.Lovelace@Example.ORG", "ada.lovelace@example.org"),
    ("ada+notes@example.org", "ada+notes@example.org", "ada+notes@example.org"),
    ("a.d.a@example.org", "a.d.a@example.org", "a.d.a@example.org"),
    ("ada@example.org.", "ada@example.org", "ada@example.org"),
    ("ada@mail.example.co.uk", "ada@mail.example.co.uk", "ada@mail.example.co.uk"),
    ("ada@münchen.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada@mu\u0308nchen.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada@MÜNCHEN.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example", "ada@xn--mnchen-3ya.example"),
    ("ada@例え.example", "ada@xn--r8jz45g.example", "ada@xn--r8jz45g.example"),
    # Unusual, but allowed by the standard: templates and exports escape them.
    ("{{7*7}}@x.example", "{{7*7}}@x.example", "{{7*7}}@x.example"),
    ("=cmd@x.example", "=cmd@x.example", "=cmd@x.example"),
    ("o'hara@example.org", "o'hara@example.org", "o'hara@example.org"),
    ("1@1.example", "1@1.example", "1@1.example"),
    (f"ada@{'a.' * 19}org", f"ada@{'a.' * 19}org", f"ada@{'a.' * 19}org"),
    ("ada@a--b.example", "ada@a--b.example", "ada@a--b.example"),
    ("a@b.co", "a@b.co", "a@b.co"),
    (f"ada@{'d' * 63}.example", f"ada@{'d' * 63}.example", f"ada@{'d' * 63}.example"),
    ("delivered+reader-7@resend.dev", "delivered+reader-7@resend.dev", "delivered+reader-7@resend.dev"),
    (f"{LONG_LOCAL}@example.org", f"{LONG_LOCAL}@example.org", f"{LONG_LOCAL}@example.org"),
]
REFUSED = [
    "",
    "   ",
    "ada",
    "ada@",
    "@example.org",
    "ada@@example.org",
    "ada@example@org",
    "ada@example",
    "ada@localhost",
    "ada@server.localhost",
    "ada@mail.local",
    "ada@site.test",
    "ada@[127.0.0.1]",
    "ada@[IPv6:::1]",
    "ada@127.0.0.1",
    "ada@2130706433",
    "ada@①②⑦.⓪.⓪.①",
    "ada@example.123",
    "ada@ｅｘａｍｐｌｅ.org",
    "ada@exam\u202eple.org",
    "ada@example\u200b.org",
    "ada@exam ple.org",
    "ada@-example.org",
    "ada@example-.org",
    "ada@ab--c.example",
    "ada@xn--a.example",
    "ada@example.o",
    f"a@{'.'.join('a' * 60)}",
    f"a@{'a.' * 20}org",
    f"ada@{'a.' * 125}org",
    "ada@example.onion",
    "ada@example.invalid",
    "ada@1.0.0.127.in-addr.arpa",
    "ada@EXAMPLE.TEST",
    "ada@example..org",
    "ada@.example.org",
    "ada@example.org..",
    "ada@exa_mple.org",
    "a da@example.org",
    ".ada@example.org",
    "ada.@example.org",
    "a..da@example.org",
    '"a,b"@example.org',
    '"ada"@example.org',
    "ada\\@example.org",
    "=?x?q?ada?=foo@example.org",
    "ada%other.example@example.org",
    "other.example!ada@example.org",
    "müller@example.org",
    "\u212aelvin@example.org",
    "ada@example.org\x00",
    "ada\x00@example.org",
    "ada@example.org\r\nBcc: ben@example.org",
    "ada\ud800@example.org",
    "ada@exam\udfffple.org",
    "Ada <ada@example.org>",
    "ada@example.org, ben@example.org",
    "alice@example.org)bob@example.com",
    "(comment)ada@example.org",
    "mailto:ada@example.org?subject=x",
    f"l{LONG_LOCAL}@example.org",
    f"ada@{'d' * 64}.example",
    f"ada@{'.'.join(['label'] * 45)}.example",
    "a" * 1_000_000 + "@example.org",
]


@pytest.mark.parametrize(("typed", "as_typed", "canonical"), ACCEPTED)
def test_an_address_is_kept_as_typed_and_compared_in_its_canonical_form(
    typed: str, as_typed: str, canonical: str
) -> None:
    address = parse_address(typed)
    assert (address.as_typed, address.canonical) == (as_typed, canonical)


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("notes@Bücher.Example.org", "xn--bcher-kva.example.org"),
        ("notes@Mail.Example.org", "mail.example.org"),
        ("two words@Localhost", "localhost"),
        ("nobody", ""),
        ("", ""),
    ],
)
def test_domains_are_compared_in_lower_case_ascii(address: str, domain: str) -> None:
    assert domain_of(address) == domain


@pytest.mark.parametrize("typed", REFUSED, ids=lambda typed: ascii(typed)[:40])
def test_an_unusable_address_is_refused_with_an_explanation(typed: str) -> None:
    with pytest.raises(AddressError) as refusal:
        parse_address(typed)
    sentence = str(refusal.value)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "@" not in sentence or "name@example.org" in sentence or "the @" in sentence


@given(st.text() | st.builds("{}@{}".format, st.text(min_size=1), st.text(min_size=1)))
def test_any_text_is_parsed_or_refused(typed: str) -> None:
    try:
        address = parse_address(typed)
    except AddressError:
        return
    assert address.canonical.isascii()
    assert address.canonical == address.canonical.lower()
    assert address.canonical.count("@") == 1
    assert len(address.canonical) <= 254
    assert parse_address(address.as_typed) == address


def assert_both_ways_agree(typed: str) -> None:
    """What the fast way accepts, the full parser accepts with the same result."""
    if is_plain_address(typed):
        assert _parse_unusual(typed) == Address(typed, typed.lower())


@pytest.mark.parametrize("typed", [row[0] for row in ACCEPTED] + REFUSED, ids=lambda typed: ascii(typed)[:40])
def test_the_fast_way_agrees_with_the_full_parser(typed: str) -> None:
    assert_both_ways_agree(typed)


#: Pieces of which addresses at the limits are made.
PIECES = st.sampled_from(
    [
        *("a", "B", "1", "9" * 32, "a" * 31, "-", "--", ".", "..", "a." * 18, "@", "_", "+", "{|}~^`#$&'*/"),
        *("=?", "%", "!", "?", "[", "]", "\n", " ", "\x00", "é", "K"),
        *("com", "co", "x", "xn--", "test", "local", "localhost", "onion", "arpa"),
    ]
)


@given(
    st.lists(PIECES, max_size=12).map("".join) | st.emails() | st.from_regex(r"[!-~]{1,65}@[!-~]{1,66}", fullmatch=True)
)
@example("a" * 64 + "@" + "a" * 59 + ".org")
@example("a" * 65 + "@example.org")
@example("a@" + "a" * 60 + ".org")
@settings(max_examples=300)
def test_the_fast_way_agrees_with_the_full_parser_on_any_input(typed: str) -> None:
    assert_both_ways_agree(typed)
    assert_both_ways_agree(f"ada@{typed}.org")
    assert_both_ways_agree(f"{typed}@example.org")
    assert_both_ways_agree(f"ada@example.{typed}")


@pytest.mark.parametrize(
    "typed", ["ada@example.org", "Ada.Lovelace+notes@mail.example.co.uk", "o'hara@1.example", "a@b.co"]
)
def test_usual_addresses_are_read_the_fast_way(typed: str) -> None:
    assert is_plain_address(typed)


@given(st.emails())
def test_parsing_a_canonical_address_returns_the_same_canonical_address(typed: str) -> None:
    try:
        address = parse_address(typed)
    except AddressError:
        return
    assert parse_address(address.canonical).canonical == address.canonical


@pytest.mark.parametrize(
    ("address", "shown"),
    [("ada@example.org", "a•••@example.org"), ("b@example.org", "b•••@example.org")],
)
def test_a_masked_address_shows_the_first_letter_and_the_domain_only(address: str, shown: str) -> None:
    assert masked(address) == shown


@given(st.text(max_size=60))
def test_a_sender_line_is_parsed_back_to_the_same_name_and_address(name: str) -> None:
    try:
        line = sender_line(name, "notes@example.org")
    except AddressError:
        return
    message = email.message_from_string(f"From: {line}\n\n", policy=email.policy.default)
    (sender,) = message["From"].addresses
    assert (sender.display_name.split(), sender.addr_spec) == (name.split(), "notes@example.org")


@pytest.mark.parametrize("name", ["boss@bank.example", "A\r\nBcc: b@example.org", "A\u202eB", "A\u2028B", "A\x00"])
def test_a_sender_name_cannot_forge_a_header(name: str) -> None:
    with pytest.raises(AddressError):
        sender_line(name, "notes@example.org")


def test_a_refusal_is_in_the_language_that_is_active_when_it_is_shown() -> None:
    with pytest.raises(AddressError) as refusal:
        parse_address(f"{'l' * 65}@example.org")
    assert "longer than 64 characters" in str(refusal.value)
    with translation.override("fr"):
        assert "dépasse 64 caractères" in str(refusal.value)
