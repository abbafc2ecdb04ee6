"""The XML of DMARC reports: both forms are read, and wrong or hostile ones are refused with the reason."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from newsletter.deliverability import dmarc_xml
from newsletter.deliverability.dmarc_errors import DmarcError
from newsletter.deliverability.dmarc_xml import Report, parse_report
from tests.newsletter.deliverability.reports import DAY, at, record, report, yesterday

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE feedback [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<feedback><report_metadata><org_name>&b;</org_name></report_metadata></feedback>"""
EXTERNAL = b"""<?xml version="1.0"?><!doctype x SYSTEM "file:///etc/passwd"><feedback/>"""


def read(text: bytes) -> Report:
    return parse_report(text, timezone.now())


def code_of(text: bytes) -> str:
    with pytest.raises(DmarcError) as caught:
        read(text)
    return caught.value.code


def test_a_report_has_its_header_and_rows() -> None:
    rows = (record("192.0.2.10", 300), record("2001:db8::7", 2, spf="fail", dkim="fail", disposition="reject"))
    begin = yesterday()
    found = read(report(*rows, begin=begin))
    assert (found.organization, found.report_id, found.domain) == ("Harbour Mail", "r-1", "mail.example.org")
    assert (found.begins_at, found.ends_at) == (at(begin), at(begin + DAY - 1))
    assert found.policy == {"p": "none", "adkim": "r", "pct": "100"}
    ours, other = found.rows
    assert (ours.source_ip, ours.count, ours.spf_aligned, ours.dkim_aligned) == ("192.0.2.10", 300, True, True)
    assert (ours.spf_domain, ours.dkim_domains) == ("bounce.mail.example.org", ("mail.example.org",))
    assert (other.source_ip, other.disposition, other.spf_domain) == ("2001:db8::7", "reject", "")


def test_the_newer_form_with_a_namespace_is_read() -> None:
    found = read(report(record(disposition="pass"), namespace=' xmlns="urn:ietf:params:xml:ns:dmarc-2.0"'))
    assert found.rows[0].disposition == "pass"


@pytest.mark.parametrize("text", [LAUGHS, EXTERNAL, LAUGHS.replace(b"<!ENTITY", b"<!entity")])
def test_a_text_that_declares_entities_is_refused_unread(text: bytes) -> None:
    assert code_of(text) == "declarations"


def test_a_declaration_that_an_encoding_hides_is_refused_too() -> None:
    words = "<!DOCTYPE feedback [<!ENTITY a 'ha'>]><feedback><version>&a;</version></feedback>"
    hidden = b'<?xml version="1.0" encoding="UTF-7"?>' + words.replace("!", "+ACE-").encode()
    assert b"<!" not in hidden
    assert code_of(hidden) in {"declarations", "invalid_xml", "not_dmarc"}
    assert code_of(words.encode("utf-16")) == "invalid_xml"


def test_deep_nesting_is_refused() -> None:
    assert code_of(b"<feedback>" + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</feedback>") == "invalid_xml"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"<html><body>Not found</body></html>", "not_dmarc"),
        (b"<feedback><a></feedback>", "invalid_xml"),
        (b"<feedback/>", "missing"),
        (report(id=""), "missing"),
        (report(id="x" * 256), "invalid"),
        (report(domain="mail example"), "invalid"),
        (report(record(count=-3)), "invalid"),
        (report(record(count="9" * 15)), "invalid"),
        (report(record(count="٣")), "invalid"),
        (report(record(count="1e3")), "invalid"),
        (report(record("999.1.1.1")), "invalid"),
        (report(record(disposition="delete")), "invalid"),
        (report(record(header_from="a..b")), "invalid"),
    ],
)
def test_a_wrong_report_is_refused_with_the_reason(text: bytes, code: str) -> None:
    assert code_of(text) == code


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (0, DAY),
        (yesterday() + DAY, yesterday()),
        (yesterday() + 4 * DAY, yesterday() + 5 * DAY),
        (yesterday() - 60 * DAY, yesterday()),
        (9_999_999_999, 9_999_999_999),
    ],
    ids=["1970", "ends before it begins", "in the future", "two months", "2286"],
)
def test_a_wrong_time_span_is_refused(begin: int, end: int) -> None:
    assert code_of(report(begin=begin, end=end)) == "dates"


def test_rows_without_mails_are_left_out_and_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(report(record(count=0), record(count=1))).rows) == 1
    monkeypatch.setattr(dmarc_xml, "MAX_ROWS", 2)
    assert code_of(report(record(), record(), record())) == "too_many_rows"


def test_the_sentence_has_the_value_and_is_one_of_the_active_language() -> None:
    with pytest.raises(DmarcError) as caught, translation.override("en"):
        read(report(record("999.1.1.1")))
    assert str(caught.value) == "The report has an invalid source_ip: 999.1.1.1."


@given(st.text(max_size=80), st.integers(), st.text(max_size=20))
def test_no_values_cause_another_error(name: str, count: int, ip: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    try:
        found = parse_report(report(record(ip, count), org=name), now)
    except DmarcError:
        return
    assert all(0 < row.count <= dmarc_xml.MAX_COUNT for row in found.rows)
