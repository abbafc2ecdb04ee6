"""The mail as earlier versions made it: the standard library's MIME classes, over a message without placeholders.

Slow and independent of `newsletter.providers.smtp.mime`, which must make equal mails.
"""

from __future__ import annotations

import binascii
import re
from email.header import Header
from email.message import Message as MimePart
from email.mime.multipart import MIMEMultipart
from email.policy import compat32
from email.utils import formataddr, parseaddr

from newsletter.providers.base import Message

WIRE_POLICY = compat32.clone(linesep="\r\n", max_line_length=998)


def reference_mail(message: Message) -> bytes:
    """The mail without Date and Message-ID."""
    mail = MIMEMultipart("alternative", boundary="=_reference")
    mail["From"], mail["To"] = _address("From", message.sender), _address("To", message.to)
    if message.reply_to:
        mail["Reply-To"] = _address("Reply-To", message.reply_to)
    mail["Subject"] = _text("Subject", message.subject)
    for header, value in message.headers.items():
        mail[header] = _text(header, value)
    mail.attach(_part("plain", message.text))
    mail.attach(_part("html", message.html))
    return mail.as_bytes(policy=WIRE_POLICY)


def raw_headers(content: bytes) -> dict[str, str]:
    """Each header as it is written, unfolded, without those that are made when the mail is posted."""
    head = content.partition(b"\r\n\r\n")[0].decode("ascii")
    lines = re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "no header twice"
    headers["Content-Type"] = headers["Content-Type"].partition(";")[0]
    return {name: value for name, value in headers.items() if name not in ("Date", "Message-ID")}


def _address(header: str, value: str) -> str:
    name, address = parseaddr(value)
    if not address.isascii():
        return _text(header, value)
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8', header_name=header).encode()} <{address}>"


def _text(header: str, value: str) -> str:
    return value if value.isascii() else Header(value, "utf-8", header_name=header).encode()


def _part(subtype: str, text: str) -> MimePart:
    part = MimePart()
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = "\n".join(text.splitlines()) + "\n"
    part.set_payload(binascii.b2a_qp(lines.encode(), istext=True).decode("ascii"))
    return part
