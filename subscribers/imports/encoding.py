"""The encoding of a text file, and its text as a stream."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from django.utils.translation import gettext_noop

from subscribers.imports.errors import ImportFileError

#: Bytes per read.
CHUNK = 1 << 18

#: No line of a real export is longer, in bytes or characters.
MAX_LINE = 1 << 20

_SAMPLE = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8-bom"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CODECS = {
    "utf-8": "utf-8",
    "utf-8-bom": "utf-8",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "windows-1252": "windows-1252",
    "iso-8859-1": "iso-8859-1",
}

#: First bytes of files that are not text: PNG, JPEG, GIF, PDF, gzip, 7-Zip, RAR, executables.
_BINARY = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\x7fELF", b"MZ\x90")

#: Control characters that text does not have, and how many of a hundred characters may be some.
_CONTROL, _MAX_CONTROL = bytes({*range(32)} - set(b"\t\n\r")), 5

#: Bytes that Windows-1252 does not define.
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


class ByteStream(Protocol):
    """What is read of a file."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


#: Opens a file at its beginning.
Opener = Callable[[], AbstractContextManager[ByteStream]]


def detect_encoding(open_file: Opener) -> str:
    """A code of ENCODINGS. Reads the whole file, so that a wrong byte is found before anything is imported.

    Raises ImportFileError for a file that is empty, not text, has no line breaks, or mixes encodings.
    """
    with open_file() as file:
        sample = file.read(_SAMPLE)
    if not sample.strip(b"\x00\t\r\n "):
        raise ImportFileError("empty", gettext_noop("The file is empty."))
    marked = next((code for mark, code in _MARKS if sample.startswith(mark)), "")
    wide = marked if marked.startswith("utf-16") else _unmarked_utf16(sample)
    if _is_binary(sample, wide):
        raise ImportFileError(
            "not_text", gettext_noop("The file is not a text file. Export it again as CSV, encoded in UTF-8.")
        )
    return wide or _scanned(open_file, marked)


def _is_binary(sample: bytes, wide: str) -> bool:
    if sample.startswith((*_BINARY, codecs.BOM_UTF32_LE)):
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    return not wide and controls * 100 > _MAX_CONTROL * len(sample)


def _unmarked_utf16(sample: bytes) -> str:
    """UTF-16 without a mark: in Latin text, every other byte is zero."""
    pairs = max(1, len(sample) // 2)
    even, odd = sample[0::2].count(0) / pairs, sample[1::2].count(0) / pairs
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else ""


def _scanned(open_file: Opener, marked: str) -> str:
    """UTF-8 if all lines are, else a code page of Western Europe. Raises ImportFileError for a mixture."""
    is_utf8, is_legacy, is_undefined = bool(marked), False, False
    for first_line, lines in _byte_lines(open_file):
        if lines.isascii():
            continue
        if not is_legacy and _is_utf8(lines):
            is_utf8 = True
            continue
        is_undefined = is_undefined or _UNDEFINED.search(lines) is not None
        for number, line in enumerate(lines.split(b"\n"), first_line):
            if line.isascii():
                continue
            is_utf8, is_legacy = (True, is_legacy) if _is_utf8(line) else (is_utf8, True)
            if is_utf8 and is_legacy:
                raise _mixed(number)
    if is_legacy:
        return "iso-8859-1" if is_undefined else "windows-1252"
    return marked or "utf-8"


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _mixed(line: int) -> ImportFileError:
    return ImportFileError(
        "mixed_encodings",
        gettext_noop("Row {line} is encoded differently from the rows before it. Save the file again as UTF-8."),
        line=line,
    )


def too_long(line: int) -> ImportFileError:
    """The error for a line that does not end."""
    return ImportFileError(
        "line_too_long",
        gettext_noop("Row {line} is longer than {limit} characters. This is probably not a list of subscribers."),
        line=line,
        limit=MAX_LINE,
    )


def _byte_lines(open_file: Opener) -> Iterator[tuple[int, bytes]]:
    """Whole lines in chunks, each with the number of its first line."""
    rest, number = b"", 1
    with open_file() as file:
        while data := file.read(CHUNK):
            data = rest + data
            # Old files of the Mac end lines with \r.
            cut = (data.rfind(b"\n") + 1) or (data.rfind(b"\r") + 1)
            yield number, data[:cut]
            number += data.count(b"\n", 0, cut)
            rest = data[cut:]
            if len(rest) > MAX_LINE:
                raise too_long(number)
    yield number, rest


def text_chunks(open_file: Opener, encoding: str) -> Iterator[str]:
    """The decoded file, without a byte order mark. Raises ImportFileError for bytes that are not in this encoding."""
    decoder = codecs.getincrementaldecoder(_CODECS[encoding])()
    number, is_first = 1, True
    with open_file() as file:
        while True:
            data = file.read(CHUNK)
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(error.encoding, errors="replace")
                raise ImportFileError(
                    "bad_encoding",
                    gettext_noop("Row {line} contains bytes that are not text. Save the file again as UTF-8."),
                    line=number + before.count("\n"),
                ) from error
            yield text.removeprefix("\ufeff") if is_first else text
            if not data:
                return
            is_first = False
            number += text.count("\n")
