"""What an address tells: role, disposable domain, likely typo."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.signup.domains import LARGE_MAILBOX_PROVIDERS, is_disposable, is_role, likely_domain


@pytest.mark.parametrize("local", ["abuse", "Postmaster", "noc", "security", "noreply+list", "no-reply"])
def test_roles_are_recognised(local: str) -> None:
    assert is_role(local)


@pytest.mark.parametrize("local", ["gus", "abuse.reports", "info", "hello", ""])
def test_other_local_parts_are_no_roles(local: str) -> None:
    assert not is_role(local)


def test_disposable_domains_and_their_subdomains_are_recognised(tmp_path: Path) -> None:
    extra = tmp_path / "more.txt"
    extra.write_text("# ours\n@Throwaway.example\n\n.bin.example # comment\n", encoding="utf-8")
    assert is_disposable("mailinator.com")
    assert is_disposable("box.mailinator.com")
    assert not is_disposable("notmailinator.com")
    assert not is_disposable("throwaway.example")
    assert is_disposable("throwaway.example", extra)
    assert is_disposable("x.bin.example", extra)
    assert not is_disposable("example", extra)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("outlok.com", "outlook.com"),
        ("yaho.com", "yahoo.com"),
    ],
)
def test_a_typo_suggests_the_domain_that_was_meant(typed: str, meant: str) -> None:
    assert likely_domain(typed) == meant


@pytest.mark.parametrize("domain", ["example.org", "gmail.com", "gmx.com", "mail.co", "", "g.com", "gmeil.con"])
def test_other_domains_suggest_nothing(domain: str) -> None:
    assert likely_domain(domain) == ""


@given(st.sampled_from(sorted(LARGE_MAILBOX_PROVIDERS)), st.data())
def test_a_suggestion_is_a_known_domain_that_differs(domain: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(domain) - 1))
    typed = domain[:at] + data.draw(st.sampled_from("abcxyz.")) + domain[at + 1 :]
    found = likely_domain(typed)
    assert found == "" or (found in LARGE_MAILBOX_PROVIDERS and found != typed)
