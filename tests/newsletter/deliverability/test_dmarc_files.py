"""Files with DMARC reports: every form that providers send is read, and no hostile file is."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from email.message import EmailMessage

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from newsletter.deliverability import dmarc_files
from newsletter.deliverability.dmarc_errors import DmarcError
from newsletter.deliverability.dmarc_files import MAX_BYTES, reports_in
from newsletter.deliverability.dmarc_xml import parse_report
from tests.newsletter.deliverability.reports import report


def zipped(*files: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return packed.getvalue()


def mail_with(content: bytes, name: str, kind: str = "application/gzip") -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"] = "Report domain: mail.example.org", "noreply@harbour.example"
    message.set_content("This is an aggregate report.")
    message.add_alternative("<p>This is an aggregate report.</p>", subtype="html")
    message.add_attachment(content, *kind.split("/"), filename=name)
    return message.as_bytes()


def code_of(data: bytes) -> str:
    with pytest.raises(DmarcError) as caught:
        reports_in(data)
    assert caught.value.permanent
    assert str(caught.value).endswith(".")
    return caught.value.code


@pytest.mark.parametrize(
    "form", ["xml", "xml after spaces", "gz", "zip", "mail with gz", "mail with zip", "mail with xml"]
)
def test_each_form_that_providers_send_is_read(form: str) -> None:
    text = report()
    forms = {
        "xml": text,
        "xml after spaces": b"\xef\xbb\xbf\r\n  " + text,
        "gz": gzip.compress(text),
        "zip": zipped(("a/", b""), ("a/report.xml", text), ("__MACOSX/._report.xml", b"\x00")),
        "mail with gz": mail_with(gzip.compress(text), "report.xml.gz"),
        "mail with zip": mail_with(zipped(("report.xml", text)), "report.zip", "application/octet-stream"),
        "mail with xml": mail_with(text, "report.xml", "text/xml"),
    }
    assert [parse_report(found, timezone.now()).report_id for found in reports_in(forms[form])] == ["r-1"]


def test_several_reports_in_one_zip_are_all_read() -> None:
    assert len(reports_in(zipped(("1.xml", report(id="r-1")), ("2.xml", report(id="r-2"))))) == 2


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: zipped(("bomb.xml", text))], ids=["gz", "zip"])
def test_a_bomb_is_refused_at_the_limit(pack: object) -> None:
    bomb = pack(b"<" + b" " * (3 * MAX_BYTES))  # type: ignore[operator]
    assert len(bomb) < 100_000
    assert code_of(bomb) == "too_large"


def peak_of(data: bytes) -> int:
    """The most bytes that were allocated at a time while these were read, without themselves."""
    tracemalloc.start()
    try:
        with suppress(DmarcError):
            reports_in(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def with_size(data: bytes, size: int) -> bytes:
    """A ZIP whose headers say that its files have this size (APPNOTE.TXT §4.3.7 and §4.3.12)."""
    lying = bytearray(data)
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            struct.pack_into("<L", lying, start + place, size)
    return bytes(lying)


HUGE = b"<" + b" " * (6 * MAX_BYTES)


def packed_by(method: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("bomb.xml", HUGE)
    return packed.getvalue()


BOMBS = {
    "gz": gzip.compress(HUGE),
    "gz that says 10 bytes": gzip.compress(HUGE)[:-4] + struct.pack("<L", 10),
    "gz in gz": gzip.compress(gzip.compress(HUGE)),
    "zip": zipped(("bomb.xml", HUGE)),
    "zip that says 10 bytes": with_size(zipped(("bomb.xml", HUGE)), 10),
    "zip that says 4 GB": with_size(zipped(("bomb.xml", HUGE)), 0xFFFFFFFE),
    "zip of many": zipped(*((f"{number}.xml", b"<" + b" " * (MAX_BYTES - 1)) for number in range(10))),
    "zip in zip": zipped(("inner.zip", zipped(("bomb.xml", HUGE)))),
    "zip by bzip2": packed_by(zipfile.ZIP_BZIP2),
    "zip by LZMA": packed_by(zipfile.ZIP_LZMA),
    "mail with gz": mail_with(gzip.compress(HUGE), "report.xml.gz"),
    "mail with zip": mail_with(zipped(("bomb.xml", HUGE)), "report.zip"),
    "mail of many parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * (MAX_BYTES // 20),
    "mail in mails": b"Content-Type: message/rfc822\n\n" * (MAX_BYTES // 200),
}


@pytest.mark.parametrize("name", BOMBS)
def test_whatever_a_file_says_it_never_unpacks_to_much_more_than_the_limit(name: str) -> None:
    assert len(BOMBS[name]) < MAX_BYTES, "it is refused for what it unpacks to"
    code_of(BOMBS[name])
    # Two texts at a time, and what unpacking needs beside them.
    assert peak_of(BOMBS[name]) < 3.5 * MAX_BYTES


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gz that says 10 bytes", "too_large"),
        ("zip that says 10 bytes", "damaged"),
        ("zip that says 4 GB", "too_large"),
        ("zip by bzip2", "compression"),
        ("zip by LZMA", "compression"),
        ("mail of many parts", "too_many_files"),
        ("mail in mails", "too_many_files"),
    ],
)
def test_sizes_that_lie_and_unusual_packing_are_refused(name: str, code: str) -> None:
    assert code_of(BOMBS[name]) == code


@pytest.mark.parametrize("line", [b"a=b;\n ", b"a=b;\r "], ids=["folded", "folded by CR"])
def test_a_mail_with_endless_headers_is_refused_before_they_are_parsed(line: bytes) -> None:
    assert code_of(b"Content-Type: text/plain;\n " + line * (MAX_BYTES // 20) + b"\n\nwords") == "too_many_files"


def test_many_files_that_are_too_large_together_are_refused() -> None:
    half = b"<a>" + b" " * (MAX_BYTES // 2)
    assert code_of(zipped(*((f"{number}.xml", half) for number in range(3)))) == "too_large"


def test_a_large_file_is_refused_before_it_is_read() -> None:
    assert code_of(b"<" * (MAX_BYTES + 1)) == "too_large"


def test_a_zip_in_a_zip_is_refused() -> None:
    assert code_of(zipped(("inner.zip", zipped(("report.xml", report()))))) == "nested"
    assert code_of(gzip.compress(gzip.compress(report()))) == "nested"


def test_many_files_in_a_zip_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"{number}.xml", b"<a/>") for number in range(dmarc_files.MAX_FILES + 1)]
    assert code_of(zipped(*files)) == "too_many_files"
    monkeypatch.setattr(dmarc_files, "MAX_DIRECTORY", 50)
    assert code_of(zipped(("a-rather-long-name-of-a-report.xml", report()))) == "too_many_files"


def test_an_encrypted_zip_is_refused() -> None:
    data = bytearray(zipped(("report.xml", report())))
    place = data.rfind(b"PK\x01\x02")
    data[place + 8] |= 1
    assert code_of(bytes(data)) == "encrypted"


def test_damaged_files_are_refused() -> None:
    packed = gzip.compress(report())
    assert code_of(packed[:-20]) == "damaged"
    assert code_of(packed[:12] + b"\x00" * 40) == "damaged"
    data = zipped(("report.xml", report()))
    assert code_of(data[: len(data) // 2]) == "damaged"


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n", b"\x00" * 100])
def test_other_files_are_refused(data: bytes) -> None:
    assert code_of(data) == "unknown_format"


def test_a_mail_without_a_report_is_refused() -> None:
    assert code_of(mail_with(b"%PDF-1.7", "report.pdf", "application/pdf")) == "no_report"


@given(st.binary(max_size=300), st.sampled_from([b"", dmarc_files.GZIP, dmarc_files.ZIP, b"<", b"Subject: x\n\n"]))
def test_no_bytes_cause_another_error(data: bytes, start: bytes) -> None:
    try:
        found = reports_in(start + data)
    except DmarcError:
        return
    assert all(isinstance(text, bytes) for text in found)
