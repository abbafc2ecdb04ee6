"""Mails that are encoded once and then filled: equal to mails that are encoded for each recipient, field by field."""

from __future__ import annotations

import datetime
import email
import email.policy
import itertools
from dataclasses import replace
from email.header import decode_header, make_header
from email.message import EmailMessage
from html import escape

import pytest
from django.utils import translation
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.providers.base import InvalidMessage, Message
from newsletter.providers.smtp import SmtpProvider
from newsletter.providers.smtp.frozen import Mail, body_of_one, join_mails, mails_of
from newsletter.rendering import PlaceholderContext, PlaceholderError, placeholder_token, render_issue
from newsletter.rendering.placeholders import in_subject
from newsletter.sending.message import encode_template
from subscribers.addresses import UNFIT_FOR_HEADERS
from tests.newsletter.providers.reference_mail import raw_headers, reference_mail
from tests.newsletter.rendering.sample_issues import MASTHEAD, WEB_URL, sample_issue, shipped_themes

NONCE = "0123456789ab"
AT = datetime.datetime(2026, 11, 20, 7, 0, tzinfo=datetime.UTC)


def token(name: str, context: PlaceholderContext = PlaceholderContext.PLAIN) -> str:
    return placeholder_token(NONCE, name, context)


def filled(text: str, values: dict[str, str]) -> str:
    """The text with its placeholders filled before it is encoded."""
    for name, value in values.items():
        text = text.replace(token(name), value).replace(token(name, PlaceholderContext.HTML), escape(value))
    return text


def message(text: str, html: str, *, subject: str = "Cranes – news") -> Message:
    """A message of an issue, with placeholders in its headers."""
    return Message(
        sender="Hafenblätter <notes@mail.example.org>", reply_to="editors@example.org",
        to=token("to"), subject=subject, text=text, html=html,
        headers={"List-Unsubscribe": f"<{token('link')}>", "List-Id": "<list-1.example.org>", "Precedence": "bulk"},
        tags={"delivery": token("delivery"), "edition": "7", "env": "tests"},
    )  # fmt: skip


def mail_of(written: Message, values: dict[str, str], nonce: str = NONCE) -> Mail:
    """The mail as the provider sends it."""
    template = encode_template(written, nonce, SmtpProvider())
    (mail,) = mails_of(join_mails([template.fill(values)], AT), "key")
    return mail


def parts_of(content: bytes) -> list[tuple[str, str]]:
    """Content type and text of each part, without line ends behind the last line."""
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    parts = []
    for part in parsed.iter_parts():
        assert part.defects == []
        assert part["Content-Transfer-Encoding"] == "quoted-printable"
        parts.append((str(part["Content-Type"]), part.get_content().replace("\r\n", "\n").rstrip("\n")))
    return parts


def check_form(content: bytes) -> None:
    """Short lines of ASCII that nothing on the way has to change."""
    lines = content.split(b"\r\n")
    assert content.isascii()
    assert content.endswith(b"\r\n")
    assert not [line for line in lines if b"\r" in line or b"\n" in line or len(line) > 998]
    assert not [line for line in lines if line.startswith((b".", b"From "))]
    body = content.partition(b"\r\n\r\n")[2].split(b"\r\n")
    assert not [line for line in body if len(line) > 76 or line.endswith((b" ", b"\t"))]


def check_equal(written: Message, values: dict[str, str]) -> None:
    mail = mail_of(written, values)
    reference = reference_mail(
        Message(
            sender=written.sender, reply_to=written.reply_to, to=values["to"], subject=written.subject,
            text=filled(written.text, values), html=filled(written.html, values),
            headers={name: filled(value, values) for name, value in written.headers.items()},
        )
    )  # fmt: skip
    check_form(mail.content)
    assert raw_headers(mail.content) == raw_headers(reference)
    assert parts_of(mail.content) == parts_of(reference)
    assert mail.headers == (
        b"Date: Fri, 20 Nov 2026 07:00:00 +0000\r\nMessage-ID: <12.7.tests@mail.example.org>\r\n"
    )  # fmt: skip
    assert (mail.sender, mail.recipient, mail.id) == ("notes@mail.example.org", values["to"], "12.7.tests")


HOSTILE = [
    "", "Ada", "é", "ß" * 40, "王小明", "🎉" * 30, "e\u0301" * 50, "=", "=3D", "==" * 60, ".", "." * 60, "." * 200,
    "From ", "From " * 30, " both ends ", "\ttab\t", "=?utf-8?q?x?=", "\u202eright to left", "--=_0123", '"quoted"',
    "<script>alert(1)</script>", "a" * 71, "a" * 72, "a" * 73, "a" * 74, "a" * 75, "a" * 76, "a" * 77,
    "x" * 74 + ".", "x" * 75 + ".", "x" * 72 + "=", "x" * 75 + "From ", "é" * 12 + "x" * 3, "é" * 25,
    "line\nbreak", "\r\n.\r\nQUIT\r\n", "\u2028", "\x00", "\x7f", "&amp;", "trailing ",
    "https://digest.example.org/unsubscribe/" + "k" * 160 + "/?a=1&b=2",
]  # fmt: skip

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(HOSTILE)
#: Fixed text whose end is near the end of a line.
EDGE = st.builds(lambda count, end: "q" * count + end, st.integers(70, 80), st.sampled_from(HOSTILE)) | TEXT
LINE = st.text(min_size=1).filter(lambda text: text.strip() and not UNFIT_FOR_HEADERS.search(text))


@pytest.mark.parametrize("value", HOSTILE)
def test_a_filled_mail_equals_one_that_is_encoded_after_filling_for_hostile_values(value: str) -> None:
    name, in_html = token("name"), token("name", PlaceholderContext.HTML)
    values = {"to": "ada@example.org", "delivery": "12", "link": "https://digest.example.org/u/1", "name": value}
    around = ("", "Dear ", "Dear", "q" * 75, "q" * 76, "é" * 25 + "q", "\n", ".", "\n.", "q" * 74 + " ", "\nFrom")
    text = "\n".join(f"{each}{name}, this is{each}{name}{name}{each}\nFrom the quay\n.{name}" for each in around)
    check_equal(message(text, "".join(f"<p>{each}{in_html}{in_html}</p>" for each in around)), values)


@given(before=EDGE, between=EDGE, after=EDGE, value=TEXT, other=TEXT, subject=LINE)
@example(before="\r", between="", after="", value="\n", other="", subject="Cranes")
def test_a_filled_mail_equals_one_that_is_encoded_after_filling(
    before: str, between: str, after: str, value: str, other: str, subject: str
) -> None:
    # A line break that the fixed text and a value make together is two: the fixed text is encoded by itself.
    before, between = before.removesuffix("\r"), between.removesuffix("\r")
    text = f"{before}{token('name')}{between}{token('other')}{after}\n"
    html = f"<p>{before}{token('name', PlaceholderContext.HTML)}{between}</p>{token('other', PlaceholderContext.HTML)}"
    values = {
        "to": "ada@example.org",
        "delivery": "12",
        "link": "https://digest.example.org/u/" + "k" * 170,
        "name": value.removesuffix("\r"),
        "other": other.removesuffix("\r"),
    }
    check_equal(message(text, html, subject=subject), values)


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_an_issue_in_every_theme_equals_one_that_is_encoded_after_filling(theme: object, language: str) -> None:
    with translation.override(language):
        rendered = render_issue(sample_issue(), MASTHEAD, web_url=WEB_URL, theme=theme)  # type: ignore[arg-type]
    names = ["unsubscribe_url", "preferences_url", *(merge.placeholder for merge in rendered.merges)]
    for value in ("https://digest.example.org/" + "k" * 150, "Zoë & “王” = 🎉", "."):
        values = dict.fromkeys(names, value)
        written = Message(sender="notes@mail.example.org", to="a@example.org", subject=rendered.subject,
                          html=rendered.html, text=rendered.text)  # fmt: skip
        text, html = rendered.text, rendered.html
        for name in names:
            for context, shown in ((PlaceholderContext.PLAIN, value), (PlaceholderContext.HTML, escape(value))):
                in_mail = placeholder_token(rendered.nonce, name, context)
                text, html = text.replace(in_mail, shown), html.replace(in_mail, shown)
        mail = mail_of(written, values, rendered.nonce)
        reference = reference_mail(
            Message(sender=written.sender, to=written.to, subject=written.subject, html=html, text=text)
        )
        check_form(mail.content)
        assert raw_headers(mail.content) == raw_headers(reference)
        assert parts_of(mail.content) == parts_of(reference)


@pytest.mark.parametrize("value", ["x\r\nBcc: eve@example.org", "x" * 1000, "x\ny"])
def test_a_value_that_does_not_fit_into_a_header_makes_no_mail(value: str) -> None:
    values = {"to": "ada@example.org", "delivery": "12", "link": value}
    with pytest.raises(InvalidMessage):
        mail_of(message("text", "html"), values)


def test_a_placeholder_in_a_header_that_is_not_ascii_is_refused() -> None:
    written = replace(message("text", "html"), headers={"List-Id": f"<Grüße-{token('name')}>"})
    with pytest.raises(InvalidMessage, match="List-Id"):
        mail_of(written, {})


@given(before=st.just("") | LINE, after=st.just("") | LINE, value=st.text(min_size=1))
@example(before="", after="", value="Ada")
@example(before="Grüße, ", after="!", value="王" * 100)
@example(before="For you, ", after=" ", value="x\r\nBcc: eve@example.org")
@example(before="q" * 200, after="🎉" * 40, value=" \u202e ")
def test_a_value_in_a_subject_is_read_as_it_was_written(before: str, after: str, value: str) -> None:
    subject = f"{before}{token('name', PlaceholderContext.SUBJECT)}{after}"
    values = {"to": "ada@example.org", "delivery": "12", "link": "https://a.example/", "name": value}
    try:
        mail = mail_of(message("text", "html", subject=subject), values)
    except PlaceholderError:
        assert value.encode(errors="ignore").decode() != value  # not valid Unicode
        return
    check_form(mail.content)
    head = mail.content.partition(b"\r\n\r\n")[0]
    lines = head[head.index(b"Subject:") :].split(b"\r\n")
    own = [lines[0], *itertools.takewhile(lambda line: line.startswith(b" "), lines[1:])]
    assert max(map(len, own)) <= 76
    words = b"".join(own).removeprefix(b"Subject:").decode()
    assert str(make_header(decode_header(words.strip()))) == f"{before}{in_subject(value) or ' '}{after}"
    assert email.message_from_bytes(mail.content, policy=email.policy.default)["Bcc"] is None


def test_the_same_body_and_key_make_the_same_mails_also_for_one_mail_by_itself() -> None:
    template = encode_template(message("Dear", "<p>Dear</p>"), NONCE, SmtpProvider())
    filled_mails = [
        template.fill({"to": f"reader-{number}@example.org", "delivery": str(number), "link": "https://a.example/"})
        for number in (11, 12, 13)
    ]
    body = join_mails(filled_mails, AT)
    mails = mails_of(body, "key", has_keys=True)
    assert [mail.content for mail in mails] == [mail.content for mail in mails_of(body, "key", has_keys=True)]
    assert len({mail.headers for mail in mails}) == 3
    for index, mail in enumerate(mails):
        alone = body_of_one(body, "key", index)
        for key in ("key of its own batch", "key of the batch after that"):
            (again,) = mails_of(alone, key, has_keys=True)
            assert (again.content, again.recipient, again.id) == (mail.content, mail.recipient, mail.id)
            alone = body_of_one(alone, key, 0)
