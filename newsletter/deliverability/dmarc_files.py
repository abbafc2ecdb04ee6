"""Files with DMARC reports: XML, .gz, .zip, or a saved mail with one; unpacked in memory, under limits. Pure."""

from __future__ import annotations

import codecs
import email
import email.policy
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from email.message import EmailMessage

from newsletter.deliverability.dmarc_errors import DmarcError

#: Bytes of a file, and of all XML in it. The largest real reports have a few MB.
MAX_BYTES = 10_000_000

#: Files in a ZIP, and attachments of a mail. Providers send one report in each.
MAX_FILES = 20

#: Bytes of a ZIP's directory: a thousand times that of one report.
MAX_DIRECTORY = 65_536

#: Bytes of the headers of a mail and of its parts: parsing takes longer than in proportion to them.
MAX_HEADERS = 100_000

#: How the files in a ZIP may be packed. `zipfile` unpacks bzip2 and LZMA without a limit.
PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"

#: Lines of a mail that may begin or end a part: some more than parts, as signatures in its text begin like them.
MAX_LINES_BEFORE_PARTS = 200

#: What parsing a damaged or hostile mail can raise.
_MAIL_DAMAGES = (RecursionError, LookupError, ValueError, TypeError, AttributeError, AssertionError)

#: What reading a damaged or hostile ZIP can raise.
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, ValueError, OverflowError, OSError)


def reports_in(data: bytes) -> list[bytes]:
    """The XML texts in a file, at least one. Raises DmarcError."""
    _check_size(len(data))
    found: list[bytes] = []
    for text in _unpacked(data):
        found.append(text)
        _check_size(sum(map(len, found)))
    if not found:
        raise DmarcError("no_report")
    return found


def reports_in_files(files: Iterable[bytes]) -> list[bytes]:
    """The XML texts in several files, at most MAX_BYTES in all. Raises DmarcError."""
    found: list[bytes] = []
    for data in files:
        found += reports_in(data)
        _check_size(sum(map(len, found)))
    return found


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise DmarcError("too_large", megabytes=MAX_BYTES // 1_000_000)


def _unpacked(data: bytes) -> Iterator[bytes]:
    if packed := _content_of(data):
        yield from packed
    elif _is_mail(data):
        yield from _attachments(data)
    else:
        raise DmarcError("unknown_format")


def _content_of(data: bytes) -> Iterator[bytes] | None:
    """The XML texts of XML, .gz or .zip; None for anything else."""
    if data.startswith(GZIP):
        return iter([_from_gzip(data)])
    if data.startswith(ZIP):
        return _from_zip(data)
    return iter([data]) if _is_xml(data) else None


def _is_xml(data: bytes) -> bool:
    return data[:1000].removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


def _from_gzip(data: bytes) -> bytes:
    """Stops at the limit, however much more the file would unpack to."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        text = unpacker.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise DmarcError("damaged") from error
    _check_size(len(text))
    if not unpacker.eof:
        raise DmarcError("damaged")
    return _only_xml(text)


def _from_zip(data: bytes) -> Iterator[bytes]:
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not _is_ignored(entry)]
            if len(entries) > MAX_FILES:
                raise DmarcError("too_many_files", limit=MAX_FILES)
            for entry in entries:
                if entry.flag_bits & 1:
                    raise DmarcError("encrypted")
                if entry.compress_type not in PACKED_BY:
                    raise DmarcError("compression")
                with archive.open(entry) as file:
                    text = file.read(MAX_BYTES + 1)
                _check_size(len(text))
                yield _only_xml(text)
    except _DAMAGES as error:
        raise DmarcError("damaged") from error


def _check_directory(data: bytes) -> None:
    """Refuse a huge directory before it is read (APPNOTE.TXT §4.3.16)."""
    end = data.rfind(b"PK\x05\x06")
    if end < 0 or len(data) < end + 22:
        raise DmarcError("damaged")
    if struct.unpack_from("<L", data, end + 12)[0] > MAX_DIRECTORY:
        raise DmarcError("too_many_files", limit=MAX_FILES)


def _is_ignored(entry: zipfile.ZipInfo) -> bool:
    return entry.is_dir() or entry.filename.startswith("__MACOSX/")


def _only_xml(text: bytes) -> bytes:
    if text.startswith((GZIP, ZIP)):
        raise DmarcError("nested")
    if not _is_xml(text):
        raise DmarcError("unknown_format")
    return text


def _is_mail(data: bytes) -> bool:
    """Whether the first line is a header, as in a saved mail."""
    name, colon, _value = data[:1000].partition(b"\n")[0].partition(b":")
    return bool(colon) and bool(name) and all(33 <= byte <= 126 for byte in name)


def _attachments(data: bytes) -> Iterator[bytes]:
    _check_mail(data)
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        parts = [(part, str(part.get_filename() or "").lower()) for part in message.walk() if not part.is_multipart()]
    except _MAIL_DAMAGES as error:
        raise DmarcError("damaged") from error
    if len(parts) > MAX_FILES:
        raise DmarcError("too_many_files", limit=MAX_FILES)
    for part, name in parts:
        content = _payload_of(part)
        is_named = name.endswith((".xml", ".gz", ".zip"))
        # The words of the mail itself may be HTML, which begins like XML.
        if content.startswith((GZIP, ZIP)) or (is_named and _is_xml(content)):
            yield from _content_of(content) or ()


def _check_mail(data: bytes) -> None:
    """Refuse too many parts and too long headers before they are parsed. Lines end as the parser sees it."""
    in_headers, headers, parts, is_mail_inside = True, 0, 0, False
    for line in io.BytesIO(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")):
        if line.startswith(b"--"):
            in_headers, parts = True, parts + 1
        elif line == b"\n":
            # After the headers of a part that is a mail come those of this mail.
            in_headers, is_mail_inside = in_headers and is_mail_inside, False
        elif in_headers:
            headers += len(line)
            is_mail_inside = is_mail_inside or b"message/" in line.lower()
        if headers > MAX_HEADERS or parts > MAX_LINES_BEFORE_PARTS:
            raise DmarcError("too_many_files", limit=MAX_FILES)


def _payload_of(part: EmailMessage) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError) as error:
        raise DmarcError("damaged") from error
    return content if isinstance(content, bytes) else b""
