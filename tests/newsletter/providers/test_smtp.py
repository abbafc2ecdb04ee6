"""SMTP against a strict mail server: the contract, what each reply at each stage means, and what a mail looks like."""

from __future__ import annotations

import email
import email.policy
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from newsletter.providers import smtp
from newsletter.providers.base import Fate, Outcome, OutcomeKind
from newsletter.providers.smtp import SmtpProvider, mails_of
from subscribers.addresses import UNFIT_FOR_HEADERS
from tests.mail_server import DROP, SILENCE, MailFault, MailServer, connect_to, running_mail_server
from tests.newsletter.providers.contract import ADA, BEN, CLEO, OtherSide, ProviderContract, message, new_key

DINA = "dina@example.org"


def reply_of(value: object) -> str | None:
    return f"{value.stage} {value.reply}" if isinstance(value, MailFault) else None


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server
        assert server.violations == []


@pytest.fixture
def provider(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> SmtpProvider:
    return connect_to(mail_server, monkeypatch)


class MailServersSide:
    """The mail server, as the contract steers it."""

    def __init__(self, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self._monkeypatch = server, monkeypatch
        self.recipients = server.recipients

    def stop(self) -> None:
        # Nobody listens on the discard port of this machine.
        self._monkeypatch.setattr(settings, "EMAIL_PORT", 9)

    def lose_the_next_answer(self) -> None:
        self._server.plan(MailFault("taken", DROP))

    def shut_us_out(self) -> None:
        self._server.plan(MailFault("mail", "530 5.7.0 log in first"))


@pytest.fixture
def other_side(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> OtherSide:
    return MailServersSide(mail_server, monkeypatch)


class TestContract(ProviderContract):
    """SMTP keeps the contract of all providers."""


def post(provider: SmtpProvider, *recipients: str) -> Outcome:
    tags = [{"delivery": str(number), "edition": "7", "env": "tests"} for number, _ in enumerate(recipients, 11)]
    body = provider.join([provider.encode(message(to, tags=each)) for to, each in zip(recipients, tags, strict=True)])
    return provider.post_batch(body, key=new_key(), size=len(recipients))


def fates(outcome: Outcome) -> list[str]:
    return [result.fate.value for result in outcome.results]


A, R, L, N, U = (fate.value for fate in (Fate.ACCEPTED, Fate.REFUSED, Fate.LATER, Fate.NOT_TRIED, Fate.UNKNOWN))

#: What the server does with Ben's mail, the second of three, what that means for each, and who has a mail then.
SECOND_OF_THREE = [
    (MailFault("rcpt", "550 5.1.1 no such user", BEN), [A, R, A], [ADA, CLEO]),
    (MailFault("rcpt", "450 4.2.0 greylisted", BEN), [A, L, A], [ADA, CLEO]),
    (MailFault("rcpt", "452 4.2.2 mailbox full", BEN), [A, L, A], [ADA, CLEO]),
    (MailFault("rcpt", "421 4.3.2 shutting down", BEN), [A, L, A], [ADA, CLEO]),
    (MailFault("rcpt", DROP, BEN), [A, N, N], [ADA]),
    (MailFault("rcpt", "gibberish", BEN), [A, N, N], [ADA]),
    (MailFault("data", "554 5.7.1 not wanted", BEN), [A, R, A], [ADA, CLEO]),
    (MailFault("data", "451 4.3.0 try again", BEN), [A, L, A], [ADA, CLEO]),
    (MailFault("data", DROP, BEN), [A, N, N], [ADA]),
    (MailFault("body", DROP, BEN), [A, U, N], [ADA]),
    (MailFault("end", "552 5.3.4 too large", BEN), [A, R, A], [ADA, CLEO]),
    (MailFault("end", "451 4.7.1 try again", BEN), [A, L, A], [ADA, CLEO]),
    (MailFault("end", DROP, BEN), [A, U, N], [ADA]),
    (MailFault("end", "gibberish", BEN), [A, U, N], [ADA]),
    (MailFault("taken", DROP, BEN), [A, U, N], [ADA, BEN]),
]


@pytest.mark.parametrize(
    ("fault", "expected", "got_it"), SECOND_OF_THREE, ids=lambda value: getattr(value, "reply", None)
)
def test_each_reply_at_each_stage_has_one_meaning(
    provider: SmtpProvider, mail_server: MailServer, fault: MailFault, expected: list[str], got_it: list[str]
) -> None:
    mail_server.plan(fault)
    outcome = post(provider, ADA, BEN, CLEO)
    assert (outcome.kind, fates(outcome)) == (OutcomeKind.PARTIAL, expected)
    assert mail_server.recipients() == got_it
    assert all(result.reason or result.fate is Fate.ACCEPTED for result in outcome.results)
    assert mail_server.connections == 1


def test_a_mail_that_was_cut_off_half_way_is_known_not_to_be_out(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("body", DROP))
    # Larger than the buffers between us and the server, so that it is still on its way when the server hangs up.
    body = provider.join([provider.encode(message(html="<p>crane</p>" * 2_000_000))])
    mail_server.largest = 100_000_000
    outcome = provider.post_batch(body, key=new_key(), size=1)
    assert outcome.kind is OutcomeKind.LATER
    assert "did not go out" in outcome.reason


def test_a_silent_server_leaves_one_mail_in_doubt(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = connect_to(mail_server, monkeypatch, EMAIL_TIMEOUT=0.3)
    mail_server.plan(MailFault("taken", SILENCE, BEN))
    assert fates(post(provider, ADA, BEN, CLEO)) == [A, U, N]


CONNECTING = [
    (MailFault("connect", DROP), OutcomeKind.LATER),
    (MailFault("connect", "421 4.3.2 too busy"), OutcomeKind.LATER),
    (MailFault("connect", "554 5.7.1 you are blocked"), OutcomeKind.HALT),
    (MailFault("ehlo", "421 4.3.2 too busy", times=2), OutcomeKind.LATER),
    (MailFault("mail", "451 4.3.0 try again"), OutcomeKind.LATER),
    (MailFault("mail", "553 5.1.8 sender unknown"), OutcomeKind.HALT),
    (MailFault("mail", DROP), OutcomeKind.LATER),
    (MailFault("rcpt", "530 5.7.0 log in first"), OutcomeKind.HALT),
]


@pytest.mark.parametrize(("fault", "kind"), CONNECTING, ids=reply_of)
def test_before_the_first_mail_nothing_is_out_and_the_outcome_is_everybodys(
    provider: SmtpProvider, mail_server: MailServer, fault: MailFault, kind: OutcomeKind
) -> None:
    mail_server.plan(fault)
    outcome = post(provider, ADA, BEN)
    assert (outcome.kind, outcome.results) == (kind, ())
    assert outcome.reason
    assert mail_server.mails == []


def test_after_two_refusals_with_nobody_accepted_the_others_are_not_tried(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("rcpt", "550 5.7.1 relaying denied", times=9))
    assert fates(post(provider, ADA, BEN, CLEO, DINA)) == [R, R, N, N]


def test_a_slow_server_gets_the_rest_in_another_turn(
    provider: SmtpProvider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "PATIENCE", -1.0)
    assert fates(post(provider, ADA, BEN, CLEO)) == [A, N, N]


def test_a_mail_beyond_the_servers_limit_is_refused_before_it_is_sent(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.largest = 100
    outcome = post(provider, ADA)
    assert outcome.kind is OutcomeKind.HALT
    assert "552" in outcome.reason


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (MailFault("rcpt", "550 5.1.1 <ada@example.org> unknown"), OutcomeKind.SPLIT),
        (MailFault("rcpt", "450 4.2.0 greylisted"), OutcomeKind.LATER),
        (MailFault("taken", DROP), OutcomeKind.UNKNOWN),
    ],
    ids=reply_of,
)
def test_a_single_mail_tells_whether_it_may_be_tried_again(
    provider: SmtpProvider, mail_server: MailServer, fault: MailFault, kind: OutcomeKind
) -> None:
    mail_server.plan(fault)
    outcome = provider.post_message(message(), key=new_key())
    assert outcome.kind is kind
    assert ADA not in outcome.reason


# Encryption and login


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, made now, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is needed to make a certificate")
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    made = subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "-", "-out", "-"),
        ],
        capture_output=True,
        check=True,
    )
    file.write_bytes(made.stdout)
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


LOGIN = {"EMAIL_HOST_USER": "notes", "EMAIL_HOST_PASSWORD": "quay 4"}


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_mails_go_out_encrypted_and_logged_in(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch, implicit: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running_mail_server(tls=tls, implicit=implicit, login=("notes", "quay 4")) as server:
        switches = {"EMAIL_HOST": "localhost", "EMAIL_USE_SSL": implicit, "EMAIL_USE_TLS": not implicit}
        outcome = post(connect_to(server, monkeypatch, **switches, **LOGIN), ADA, BEN)
        assert (outcome.kind, outcome.reason) == (OutcomeKind.ACCEPTED, "")
        assert all(mail.encrypted for mail in server.mails)
        assert server.violations == []


def test_a_server_that_cannot_prove_its_name_gets_no_mail_and_no_password(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_mail_server(tls=tls, login=("notes", "quay 4")) as server:
        outcome = post(connect_to(server, monkeypatch, EMAIL_USE_TLS=True, **LOGIN), ADA)
    assert outcome.kind is OutcomeKind.HALT
    assert "cannot prove" in outcome.reason


def test_a_server_without_encryption_is_not_used_in_the_clear(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = post(connect_to(mail_server, monkeypatch, EMAIL_USE_TLS=True), ADA)
    assert outcome.kind is OutcomeKind.HALT
    assert "SMTP_TLS" in outcome.reason
    assert mail_server.mails == []


@pytest.mark.parametrize(
    ("reply", "kind"), [("", OutcomeKind.HALT), ("454 4.7.0 try again", OutcomeKind.LATER)], ids=["wrong", "for now"]
)
def test_a_login_that_fails_stops_everything_unless_only_for_now(
    monkeypatch: pytest.MonkeyPatch, reply: str, kind: OutcomeKind
) -> None:
    with running_mail_server(login=("notes", "quay 4")) as server:
        server.plan(*[MailFault("auth", reply)] * bool(reply))
        outcome = post(connect_to(server, monkeypatch, **{**LOGIN, "EMAIL_HOST_PASSWORD": "quay 5"}), ADA)
    assert outcome.kind is kind
    assert "quay" not in outcome.reason


@pytest.mark.parametrize("setting", ["EMAIL_HOST", "EMAIL_HOST_PASSWORD"])
def test_letters_that_cannot_be_sent_to_a_server_are_the_settings_fault(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    with running_mail_server(login=("notes", "quay 4")) as server:
        changes = {**LOGIN, setting: "grün" if setting.endswith("PASSWORD") else "quay..example"}
        outcome = post(connect_to(server, monkeypatch, **changes), ADA)
    assert (outcome.kind, "letters" in outcome.reason) == (OutcomeKind.HALT, True)
    assert "grün" not in outcome.reason


def test_an_address_that_smtp_cannot_carry_is_refused_and_the_others_get_it(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    assert fates(post(provider, ADA, "grün@example.org", BEN)) == [A, R, A]
    assert mail_server.recipients() == [ADA, BEN]
    outcome = provider.post_message(message(sender="Grün <grün@mail.example.org>"), key=new_key())
    assert outcome.kind is OutcomeKind.HALT


@pytest.mark.parametrize(
    ("faults", "is_well"), [([], True), ([MailFault("connect", "554 5.7.1 you are blocked")], False)]
)
def test_a_check_up_says_whether_the_server_lets_us_in_and_sends_nothing(
    provider: SmtpProvider, mail_server: MailServer, faults: list[MailFault], is_well: bool
) -> None:
    mail_server.plan(*faults)
    checked = provider.check_connection()
    assert (checked.is_well, bool(checked.sentence)) == (is_well, True)
    assert mail_server.mails == []


# What a mail looks like


def read(content: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_a_mail_has_both_parts_its_headers_and_an_id_that_names_its_delivery(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    unsubscribe = "<https://digest.example.org/unsubscribe/" + "k" * 180 + "/>"
    mail = message(
        sender="Hafenblätter – Söhne <notes@mail.example.org>",
        reply_to="editors@example.org",
        text="Cranes.\n.\n.hidden\n..twice\nFrom the quay – “grüße”\n" + "lock " * 400,
        html="<p>Grüße</p>\n.\n" + "<b>quay</b>" * 400,
        headers={"List-Unsubscribe": unsubscribe, "Feedback-ID": "issue-1:notes:tests:newsletter"},
        tags={"delivery": "12", "edition": "7", "env": "tests"},
    )
    outcome = provider.post_batch(provider.join([provider.encode(mail)]), key=new_key(), size=1)
    (taken,) = mail_server.mails
    assert (taken.sender, taken.recipient) == ("notes@mail.example.org", ADA)
    assert f"List-Unsubscribe: {unsubscribe}\r\n".encode() in taken.content
    parsed = read(taken.content)
    assert parsed.defects == []
    assert parsed["Message-ID"] == "<12.7.tests@mail.example.org>"
    assert outcome.ids == ("12.7.tests",)
    assert parsed["From"].addresses[0].display_name == "Hafenblätter – Söhne"
    assert (parsed["Subject"], parsed["Reply-To"]) == ("Cranes – news", "editors@example.org")
    assert parsed["Date"].datetime is not None
    text, html = parsed.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n") == mail.text + "\n"
    assert html.get_content().replace("\r\n", "\n") == mail.html + "\n"


def test_the_same_frozen_bytes_make_the_same_mail(provider: SmtpProvider) -> None:
    body = provider.join([provider.encode(message()), provider.encode(message(BEN))])
    assert mails_of(body, "key") == mails_of(body, "key")


def test_mails_without_a_delivery_are_named_by_their_key(provider: SmtpProvider, mail_server: MailServer) -> None:
    for key in ("notice:1", "notice:1", "notice:2"):
        provider.post_message(message(tags={"notice": "1"}), key=key)
    first, again, other = (read(mail.content)["Message-ID"] for mail in mail_server.mails)
    assert first == again != other


LINE = st.text(min_size=1).filter(lambda text: text.strip() and not UNFIT_FOR_HEADERS.search(text))


@given(subject=LINE, text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_whatever_stands_in_a_mail_crosses_the_wire_in_short_lines_of_ascii(subject: str, text: str) -> None:
    provider = SmtpProvider()
    (mail,) = mails_of(provider.join([provider.encode(message(subject=subject, text=text))]), "key")
    assert mail.content.isascii()
    lines = mail.content.split(b"\r\n")
    assert all(b"\n" not in line and b"\r" not in line and len(line) <= 998 for line in lines)
    parsed = read(mail.content)
    assert "".join(str(parsed["Subject"]).split()) == "".join(subject.split())
    body = next(parsed.iter_parts()).get_content()
    assert "".join(body.split()) == "".join(text.split())
