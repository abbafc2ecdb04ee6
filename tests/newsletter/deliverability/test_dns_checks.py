"""What the checks find in the DNS: SPF, DKIM, DMARC by RFC 9989, return path, MTA-STS, TLS-RPT, BIMI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.deliverability.bimi import check_bimi, svg_problem
from newsletter.deliverability.dkim import check_dkim, rsa_bits
from newsletter.deliverability.dmarc_policy import check_dmarc, discover_policy, walk
from newsletter.deliverability.findings import WORDS, DnsFinding, Result
from newsletter.deliverability.spf import RESEND_INCLUDE, check_return_path, check_spf
from newsletter.deliverability.tag_lists import parse_tags
from newsletter.deliverability.transport import check_mta_sts, check_tls_rpt, wrong_line
from newsletter.outbound import FetchPolicy
from tests.newsletter.deliverability.dns import DOMAIN, FakeDns, complete, rsa_key

HOST = f"send.{DOMAIN}"
UNREACHABLE = FetchPolicy(user_agent="tests", resolver=lambda host, port: ["127.0.0.1"])

LOGO = b'<svg version="1.2" baseProfile="tiny-ps" xmlns="http://www.w3.org/2000/svg"><title>Harbour</title></svg>'


def codes(findings: Iterator[DnsFinding]) -> list[str]:
    found = list(findings)
    for each in found:
        assert "{" not in each.sentence + each.advice, f"{each.code} lacks a value"
        assert each.advice or each.result in (Result.OK, Result.NOT_SET)
    return [each.code for each in found]


# SPF and the return path


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "spf_missing"),
        (["v=spf10 ~all", "google-site-verification=x"], "spf_missing"),
        (["v=spf1 ~all", "v=spf1 -all"], "spf_several"),
        (["v=spf1 include:amazonses.com +all"], "spf_open"),
        (["v=spf1 include:amazonses.com all"], "spf_open"),
        (["v=spf1 include:amazonses.com ipv4:192.0.2.1 ~all"], "spf_invalid"),
        (["v=spf1 include:other.example ~all"], "spf_without_provider"),
        (["v=spf1 include:amazonses.com"], "spf_no_end"),
        (["v=spf1 include:amazonses.com ~all"], "spf_ok"),
        (["V=SPF1 ip4:192.0.2.0/24 a/24 mx:example.org exists:%{i}.example.org include:amazonses.com -ALL"], "spf_ok"),
        (["v=spf1 include:amazonses.com redirect=_spf.example.org"], "spf_ok"),
        (["v=spf1 " + "a:x.example.org " * 11 + "~all"], "spf_lookups"),
    ],
)
def test_spf_records_are_judged(records: list[str], code: str) -> None:
    dns = complete(**{f"TXT {HOST}": records})
    assert codes(check_spf(HOST, dns, include=RESEND_INCLUDE)) == [code]


def test_lookups_of_included_records_are_counted_and_a_record_that_includes_itself_ends() -> None:
    dns = FakeDns(
        {
            f"TXT {HOST}": [f"v=spf1 include:one.example include:{HOST} ~all"],
            "TXT one.example": ["v=spf1 a mx include:two.example -all"],
            "TXT two.example": ["v=spf1 include:one.example ip4:192.0.2.1 -all"],
        }
    )
    found = next(check_spf(HOST, dns))
    assert (found.code, found.values["count"]) == ("spf_ok", 6)
    chain = {f"TXT {number}.example": [f"v=spf1 include:{number + 1}.example ~all"] for number in range(50)}
    dns = FakeDns(chain | {f"TXT {HOST}": ["v=spf1 include:0.example ~all"]})
    assert codes(check_spf(HOST, dns)) == ["spf_lookups"]
    assert len(dns.asked) < 15


def test_both_forms_of_resends_records_are_complete() -> None:
    assert codes(check_return_path(HOST, complete())) == ["return_path_mx"]
    alias = complete(**{f"MX {HOST}": [], f"CNAME {HOST}": ["bounces.provider.example"]})
    assert codes(check_return_path(HOST, alias)) == ["return_path_cname"]
    assert codes(check_return_path(HOST, FakeDns())) == ["return_path_missing"]


# DKIM


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"p={rsa_key(1024)}", "dkim_ok"),
        (f"v=DKIM1; k=rsa; p={rsa_key(2048)}", "dkim_ok"),
        (f"p={rsa_key(512)}", "dkim_short"),
        (f"t=s:y; p={rsa_key(2048)}", "dkim_test"),
        ("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "dkim_ok_ed25519"),
        ("v=DKIM1; k=ed25519; p=AAAA", "dkim_invalid"),
        ("v=DKIM1; p=", "dkim_revoked"),
        ("v=DKIM1; p=nothing!", "dkim_invalid"),
        ("p=AAAA", "dkim_invalid"),
        (f"v=DKIM2; p={rsa_key(1024)}", "dkim_invalid"),
    ],
)
def test_dkim_keys_are_judged(text: str, code: str) -> None:
    dns = complete(**{f"TXT resend._domainkey.{DOMAIN}": [text]})
    assert codes(check_dkim(DOMAIN, ["resend"], dns)) == [code]


def test_each_selector_has_its_finding_and_an_alias_is_followed_by_the_dns() -> None:
    assert codes(check_dkim(DOMAIN, ["resend", "other"], complete())) == ["dkim_ok", "dkim_missing"]


@given(st.binary(max_size=60))
def test_no_bytes_of_a_key_cause_an_error(data: bytes) -> None:
    assert rsa_bits(data) >= 0


# DMARC


def test_the_walk_asks_at_most_eight_names() -> None:
    assert walk("mail.example.org") == ["mail.example.org", "example.org", "org"]
    names = walk("a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert (len(names), names[1]) == (8, "g.h.i.j.mail.example.com")
    assert walk("b.c.d.e.f.mail.example.com")[1] == "c.d.e.f.mail.example.com"


@pytest.mark.parametrize(
    ("records", "organizational_domain", "record"),
    [
        ({"mail.example.org": "p=none", "example.org": "p=reject"}, "example.org", "mail.example.org"),
        ({"example.org": "p=reject"}, "example.org", "example.org"),
        ({"mail.example.org": "p=none; psd=n", "example.org": "p=reject"}, "mail.example.org", "mail.example.org"),
        ({"org": "p=none; psd=y"}, "example.org", "org"),
        ({"example.org": "p=none", "org": "p=none; psd=y"}, "example.org", "example.org"),
        ({"mail.example.org": "p=none; psd=y", "example.org": "p=reject"}, "mail.example.org", "mail.example.org"),
        ({}, "mail.example.org", ""),
    ],
)
def test_the_tree_walk_finds_the_organizational_domain_and_the_record(
    records: dict[str, str], organizational_domain: str, record: str
) -> None:
    dns = FakeDns({f"TXT _dmarc.{name}": [f"v=DMARC1; {text}"] for name, text in records.items()})
    policy = discover_policy(DOMAIN, dns)
    assert policy.organizational_domain == organizational_domain
    assert (policy.record.domain if policy.record else "") == record


def test_the_policy_of_a_subdomain_is_sp_of_the_domain_above() -> None:
    dns = FakeDns({"TXT _dmarc.example.org": ["v=DMARC1; p=reject; sp=quarantine"]})
    policy = discover_policy(DOMAIN, dns)
    assert policy.policy_for(DOMAIN) == "quarantine"
    assert policy.policy_for("example.org") == "reject"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p=reject; rua=mailto:d@example.org", ["dmarc_ok"]),
        ("p=none; rua=mailto:d@example.org", ["dmarc_none"]),
        ("rua=mailto:d@example.org", ["dmarc_none"]),
        ("p=reject", ["dmarc_ok", "dmarc_no_reports"]),
        ("p=reject; t=y; rua=mailto:d@example.org", ["dmarc_test"]),
        ("p=reject; pct=50; ri=3600; rf=afrf; rua=mailto:d@example.org", ["dmarc_ok", "dmarc_removed_tags"]),
        ("p=reject; np=reject; t=n; psd=n; rua=mailto:d@example.org", ["dmarc_ok"]),
        ("p=reject; psd=y; rua=mailto:d@example.org", ["dmarc_ok", "dmarc_psd"]),
        ("p=monitor; rua=mailto:d@example.org", ["dmarc_invalid"]),
        ("p=reject; np=maybe; rua=mailto:d@example.org", ["dmarc_invalid"]),
        ("p=reject; adkim=x; rua=mailto:d@example.org", ["dmarc_ok", "dmarc_unknown_value"]),
    ],
)
def test_dmarc_records_are_judged(text: str, expected: list[str]) -> None:
    dns = FakeDns({f"TXT _dmarc.{DOMAIN}": [f"v=DMARC1; {text}"]})
    assert codes(check_dmarc(DOMAIN, discover_policy(DOMAIN, dns))) == expected


def test_removed_tags_are_named() -> None:
    dns = FakeDns({f"TXT _dmarc.{DOMAIN}": ["v=DMARC1; p=reject; rua=mailto:d@example.org; pct=50; ri=1"]})
    found = list(check_dmarc(DOMAIN, discover_policy(DOMAIN, dns)))
    assert "pct, ri" in found[1].sentence


def test_a_missing_record_and_several_records_are_errors() -> None:
    assert codes(check_dmarc(DOMAIN, discover_policy(DOMAIN, FakeDns()))) == ["dmarc_missing"]
    two = FakeDns({f"TXT _dmarc.{DOMAIN}": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]})
    assert codes(check_dmarc(DOMAIN, discover_policy(DOMAIN, two))) == ["dmarc_several"]


# TLS-RPT, MTA-STS and BIMI


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "tls_rpt_not_set"),
        (["v=TLSRPTv1; rua=mailto:tls@example.org"], "tls_rpt_ok"),
        (["v=TLSRPTv1; rua=ftp://x"], "tls_rpt_invalid"),
        (["v=TLSRPTv1; rua=mailto:a@example.org", "v=TLSRPTv1; rua=mailto:b@example.org"], "tls_rpt_invalid"),
    ],
)
def test_tls_rpt_records_are_judged(records: list[str], code: str) -> None:
    assert codes(check_tls_rpt(DOMAIN, FakeDns({f"TXT _smtp._tls.{DOMAIN}": records}))) == [code]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([], "mta_sts_not_set"),
        (["v=STSv1"], "mta_sts_invalid"),
        (["v=STSv1; id=no spaces"], "mta_sts_invalid"),
        (["v=STSv1; id=20261201"], "mta_sts_unreachable"),
    ],
)
def test_mta_sts_records_are_judged_and_no_policy_is_fetched_from_a_private_host(records: list[str], code: str) -> None:
    found = list(check_mta_sts(DOMAIN, FakeDns({f"TXT _mta-sts.{DOMAIN}": records}), UNREACHABLE))
    assert [each.code for each in found] == [code]
    if code == "mta_sts_unreachable":
        assert "is not on the public internet" in found[0].sentence


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 604800\n", ""),
        ("version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n", ""),
        ("mode: enforce\nmx: a.example\nmax_age: 1", "version"),
        ("version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1", "mode"),
        ("version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1", "max_age"),
        ("version: STSv1\nmode: enforce\nmax_age: 1", "mx"),
        ("<html>", "version"),
    ],
)
def test_an_mta_sts_policy_is_read_line_by_line(text: str, wrong: str) -> None:
    assert wrong_line(text) == wrong


@pytest.mark.parametrize(
    ("record", "dmarc", "code"),
    [
        ("", "reject", "bimi_not_set"),
        ("v=BIMI1; l=;", "reject", "bimi_declined"),
        ("v=BIMI1; l=http://example.org/l.svg", "reject", "bimi_invalid"),
        ("v=BIMI1; l=https://example.org/l.svg", "none", "bimi_needs_dmarc"),
        ("v=BIMI1; l=https://127.0.0.1/l.svg", "reject", "bimi_unreachable"),
    ],
)
def test_bimi_records_are_judged(record: str, dmarc: str, code: str) -> None:
    dns = FakeDns({"TXT _dmarc.example.org": [f"v=DMARC1; p={dmarc}"]})
    dns.records["TXT default._bimi.example.org"] = [record] if record else []
    policy = discover_policy(DOMAIN, dns)
    assert [each.code for each in check_bimi(DOMAIN, policy, dns, UNREACHABLE)] == [code]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (LOGO, ""),
        (LOGO.replace(b"<title>Harbour</title>", b""), "title"),
        (LOGO.replace(b"tiny-ps", b"full"), "baseProfile, version"),
        (LOGO.replace(b"</svg>", b"<script>1</script></svg>"), "script"),
        (b'<!DOCTYPE svg [<!ENTITY a "a">]><svg/>', "entities"),
        (b"\x89PNG", "XML"),
        (b"<html/>", "svg"),
    ],
)
def test_a_logo_is_svg_tiny_ps(body: bytes, problem: str) -> None:
    assert svg_problem(body) == problem


# Words


def test_every_code_says_what_to_do_unless_nothing_is_wrong() -> None:
    for code, words in WORDS.items():
        assert words.sentence, code
        assert bool(words.advice) == (words.result in (Result.ERROR, Result.WARNING)), code


def test_a_finding_survives_the_database() -> None:
    found = next(check_spf(HOST, complete()))
    assert DnsFinding.from_json(found.as_json()) == found


@given(st.text(max_size=60))
def test_any_text_is_a_list_of_tags(text: str) -> None:
    assert all(name == name.strip().lower() for name in parse_tags(text))
