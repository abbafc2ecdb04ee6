"""MIME: a message becomes a complete mail once, in which placeholders are filled without encoding it again.

Text and HTML are cut at their placeholders first. Each fixed piece is encoded by itself as quoted-printable (RFC 2045
§6.7), and each placeholder stands on lines of its own, between soft line breaks. So a value of any length changes no
other line. No line begins with a dot or with “From ”, so nothing on the way has to change a line either.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from email.header import Header
from email.policy import compat32
from email.utils import formataddr, parseaddr

import orjson

from newsletter.config.translatable import translatable
from newsletter.providers.base import (
    MAX_ID_LENGTH,
    NO_PLACEHOLDERS,
    EncodedPart,
    InvalidMessage,
    Message,
)
from subscribers.addresses import UNFIT_FOR_HEADERS

#: A line is folded only if it is too long (RFC 5322 §2.1.1): some mail programs do not find a link on a folded line.
WIRE_POLICY = compat32.clone(linesep="\r\n", max_line_length=998)

#: The most octets of a value in a header: with the header's name and what stands around it the line stays below 998.
MAX_HEADER_VALUE = 900

#: Longest line of quoted-printable, without its line end (RFC 2045 §6.7).
MAX_LINE = 76

#: The line breaks of `str.splitlines`. All of them become CRLF.
LINE_BREAK = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")

#: A link that needs soft line breaks only.
PLAIN_LINK, PLAIN_LENGTH = re.compile(r"[!-<>-~]+"), 72

#: A value that needs no encoding: printable ASCII without `=`, on one line, with no dot or “From ” at its start.
PLAIN_VALUE = re.compile(r"(?!\.|From )[ -<>-~]{0,72}")

#: Lines that a mail server or program may change: a dot must be doubled (RFC 5321 §4.5.2), “From ” may get a “>”. And
#: lines that are too long, as `b2a_qp` makes them of a blank at the end of a full line.
UNSAFE_LINE = re.compile(rb"^(?:(?:\.|From ).*|.{77,})$", re.MULTILINE)

SOFT_BREAK = b"=\r\n"

#: Between two encoded words, each on a line of its own, which must not be longer than 76 octets (RFC 2047 §2).
FOLD = b"\r\n "

#: Octets of text in an encoded word: with “Subject: ” in front, the line has 73.
MAX_IN_WORD = 39


def encode_mail(message: Message, placeholders: re.Pattern[str] = NO_PLACEHOLDERS) -> tuple[EncodedPart, ...]:
    """The mail in parts: a line of JSON for `join`, the headers, the body. Raises InvalidMessage.

    A subject with placeholders is a part of its own, because its values are encoded as RFC 2047 demands.

    The headers lack Date, Message-ID and the idempotency key, which are written when the mail is posted.
    """
    _check_placeholders(message, placeholders)
    # Quoted-printable text never has `=` before `_`, so that the boundary occurs in no part (RFC 2045 §6.7).
    boundary = f"=_{hashlib.sha256((message.text + message.html).encode()).hexdigest()[:32]}"
    return (
        EncodedPart(orjson.dumps([message.sender, message.to, id_of(message)]) + b"\n", envelope_value),
        *_headers(message, boundary, placeholders),
        EncodedPart(b"".join(_body(message, boundary, placeholders)), body_value),
    )


def id_of(message: Message) -> str:
    """Delivery, edition and environment: a bounce then leads to its delivery. Empty for mails without a delivery."""
    tags = message.tags
    if "delivery" not in tags or "edition" not in tags:
        return ""
    return f"{tags['delivery']}.{tags['edition']}.{tags.get('env', '')}"


def cut_id(text: str) -> str:
    """An id as columns keep it."""
    return text[:MAX_ID_LENGTH].rstrip(".")


def _headers(message: Message, boundary: str, placeholders: re.Pattern[str]) -> Iterator[EncodedPart]:
    first = b"".join(_first_headers(message))
    last = b"".join(_last_headers(message, boundary)) + b"\r\n"
    if placeholders.search(message.subject):
        yield EncodedPart(first, header_value)
        yield EncodedPart(_subject_with_placeholders(message.subject, placeholders), subject_value)
        yield EncodedPart(last, header_value)
    else:
        subject = WIRE_POLICY.fold_binary("Subject", header_text("Subject", message.subject))
        yield EncodedPart(first + subject + last, header_value)


def _first_headers(message: Message) -> Iterator[bytes]:
    yield WIRE_POLICY.fold_binary("MIME-Version", "1.0")
    yield WIRE_POLICY.fold_binary("From", _header_address("From", message.sender))
    yield WIRE_POLICY.fold_binary("To", _header_address("To", message.to))
    if message.reply_to:
        yield WIRE_POLICY.fold_binary("Reply-To", _header_address("Reply-To", message.reply_to))


def _last_headers(message: Message, boundary: str) -> Iterator[bytes]:
    for header, value in message.headers.items():
        yield WIRE_POLICY.fold_binary(header, header_text(header, value))
    yield f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'.encode()


def _subject_with_placeholders(subject: str, placeholders: re.Pattern[str]) -> bytes:
    """Fixed words and values as encoded words: what separates these is no part of the text (RFC 2047 §6.2)."""
    words: list[bytes] = []
    end = 0
    for found in placeholders.finditer(subject):
        words += [*_encoded_words(subject[end : found.start()]), found[0].encode()]
        end = found.end()
    words += _encoded_words(subject[end:])
    return b"Subject: " + FOLD.join(words) + b"\r\n"


def _encoded_words(text: str) -> Iterator[bytes]:
    """The text as encoded words in base64, each of whole characters (RFC 2047 §5)."""
    word = b""
    for character in text:
        encoded = character.encode()
        if len(word) + len(encoded) > MAX_IN_WORD:
            yield _encoded_word(word)
            word = b""
        word += encoded
    if word:
        yield _encoded_word(word)


def _encoded_word(octets: bytes) -> bytes:
    return b"=?utf-8?b?" + binascii.b2a_base64(octets, newline=False) + b"?="


def subject_value(value: str) -> bytes:
    """The value of a placeholder in a subject. Raises InvalidMessage if it could start another header."""
    if UNFIT_FOR_HEADERS.search(value) or len(value) > MAX_HEADER_VALUE:
        raise InvalidMessage(translatable("A value is too long for a header, or contains a line break."))
    return FOLD.join(_encoded_words(value or " "))


def _check_placeholders(message: Message, placeholders: re.Pattern[str]) -> None:
    """RFC 2047 encodes a value that is not ASCII as a whole: a placeholder in it would be lost."""
    values = {"From": message.sender, "Reply-To": message.reply_to, **message.headers}
    for header, value in values.items():
        if not value.isascii() and placeholders.search(value):
            raise InvalidMessage(
                translatable("The header “{name}” has a placeholder, so it must be ASCII.", name=header)
            )


def _header_address(header: str, value: str) -> str:
    name, address = parseaddr(value)
    if not address.isascii():
        # A mail with such an address is not sent.
        return header_text(header, value)
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8', header_name=header).encode()} <{address}>"


def header_text(header: str, value: str) -> str:
    """ASCII unchanged, since mail programs do not find an encoded or folded link; other text as in RFC 2047."""
    return value if value.isascii() else Header(value, "utf-8", header_name=header).encode()


def header_value(value: str) -> bytes:
    """The value of a placeholder in a header. Raises InvalidMessage if it could start another header."""
    if UNFIT_FOR_HEADERS.search(value) or len(value) > MAX_HEADER_VALUE:
        raise InvalidMessage(translatable("A value is too long for a header, or contains a line break."))
    return header_text("", value).encode("ascii")


def _body(message: Message, boundary: str, placeholders: re.Pattern[str]) -> Iterator[bytes]:
    # The preferred part comes last (RFC 2046 §5.1.4).
    yield f"--{boundary}\r\n".encode()
    yield _part_headers("plain")
    yield from _with_placeholders(message.text, placeholders)
    yield f"\r\n--{boundary}\r\n".encode()
    yield _part_headers("html")
    yield from _with_placeholders(message.html, placeholders)
    yield f"\r\n--{boundary}--\r\n".encode()


def _part_headers(subtype: str) -> bytes:
    content_type = f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
    return content_type.encode() + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"


def _with_placeholders(text: str, placeholders: re.Pattern[str]) -> Iterator[bytes]:
    """The text as quoted-printable, its placeholders unchanged and at the start of a line; it ends with a line end."""
    text = LINE_BREAK.sub("\n", text)
    text += "" if text.endswith("\n") else "\n"
    end = 0
    for found in placeholders.finditer(text):
        fixed = quoted_printable(text[end : found.start()])
        yield fixed if not fixed or fixed.endswith(b"\r\n") else _with_soft_break(fixed)
        yield found[0].encode()
        yield SOFT_BREAK
        end = found.end()
    yield quoted_printable(text[end:])


def quoted_printable(text: str) -> bytes:
    """The text in lines of at most 76 octets; its line ends (LF) become CRLF."""
    encoded = binascii.b2a_qp(text.encode(), istext=True)
    while UNSAFE_LINE.search(encoded):
        encoded = UNSAFE_LINE.sub(_safe_line, encoded)
    return encoded.replace(b"\n", b"\r\n")


def _safe_line(line: re.Match[bytes]) -> bytes:
    text = line[0]
    if text.startswith((b".", b"From ")):
        text = b"=%02X" % text[0] + text[1:]
    if len(text) <= MAX_LINE:
        return text
    end = MAX_LINE - 1
    if b"=" in text[end - 2 : end]:
        # Not in the middle of `=XX`.
        end = text.rindex(b"=", 0, end)
    return text[:end] + b"=\n" + text[end:]


def _with_soft_break(encoded: bytes) -> bytes:
    """The encoded text with a soft line break behind it, for which its last line may be too long."""
    if len(encoded) - encoded.rfind(b"\n") > MAX_LINE:
        cut = -3 if encoded[-3:-2] == b"=" else -1
        last = encoded[cut:]
        encoded = encoded[:cut] + SOFT_BREAK + (b"=2E" if last == b"." else last)
    return encoded + SOFT_BREAK


def body_value(value: str) -> bytes:
    """The value of a placeholder in the body, which begins a line and has a soft line break behind it."""
    if PLAIN_VALUE.fullmatch(value):
        return value.encode()
    if PLAIN_LINK.fullmatch(value):
        lines = [value[start : start + PLAIN_LENGTH] for start in range(0, len(value), PLAIN_LENGTH)]
        if not any(line.startswith(".") for line in lines):
            return "=\r\n".join(lines).encode()
    return _with_soft_break(quoted_printable(LINE_BREAK.sub("\n", value))).removesuffix(SOFT_BREAK)


def envelope_value(value: str) -> bytes:
    """The value of a placeholder in the line for `join`."""
    return orjson.dumps(value)[1:-1]


def whole(parts: Iterable[EncodedPart]) -> bytes:
    """The bytes of a mail without placeholders."""
    return b"".join(part.content for part in parts)
