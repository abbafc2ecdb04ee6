"""SMTP against a strict mail server: the contract, the result of each reply at each stage, and the form of a mail."""

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
from newsletter.providers.base import Outcome, OutcomeKind
from newsletter.providers.reasons import REASONS
from newsletter.providers.smtp import SmtpProvider
from newsletter.providers.smtp import provider as provider_module
from newsletter.providers.smtp.frozen import mails_of
from subscribers.addresses import UNFIT_FOR_HEADERS
from tests.mail_server import DROP, SILENCE, MailFault, MailServer, connect_to, running_mail_server
from tests.newsletter.providers.contract import ADA, BEN, CLEO, ProviderContract, Remote, message, new_key

DINA = "dina@example.org"


def reply_of(value: object) -> str | None:
    return f"{value.stage} {value.reply}" if isinstance(value, MailFault) else None


@pytest.fixture(params=[False, True], ids=["one by one", "pipelining"])
def mail_server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    with running_mail_server(pipelining=request.param) as server:
        yield server
        assert server.violations == []


@pytest.fixture
def provider(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> SmtpProvider:
    return connect_to(mail_server, monkeypatch)


class MailServerDouble:
    """The mail server, as the contract controls it."""

    def __init__(self, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server, self._monkeypatch = server, monkeypatch
        self.recipients = server.recipients

    def stop(self) -> None:
        # No server listens on the discard port of this machine.
        self._monkeypatch.setattr(settings, "EMAIL_PORT", 9)

    def drop_next_answer(self) -> None:
        self._server.plan(MailFault("accepted", DROP))

    def block_sender(self) -> None:
        self._server.plan(MailFault("mail", "530 5.7.0 log in first"))


@pytest.fixture
def remote(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Remote:
    return MailServerDouble(mail_server, monkeypatch)


class TestContract(ProviderContract):
    """SMTP fulfils the contract of all providers."""


def post(provider: SmtpProvider, *recipients: str) -> Outcome:
    tags = [{"delivery": str(number), "edition": "7", "env": "tests"} for number, _ in enumerate(recipients, 11)]
    body = provider.join([[provider.encode(message(to, tags=each))] for to, each in zip(recipients, tags, strict=True)])
    return provider.post_batch(body, key=new_key(), size=len(recipients))


def kinds(outcome: Outcome) -> list[str]:
    return [result.kind.value for result in outcome.results]


A, R, L, N, U = "accepted", "refused", "retry_later", "not_attempted", "unknown"

#: The reply to the second of three mails, the result of each mail, the code of the second, and who then has a mail.
SECOND_OF_THREE = [
    (MailFault("rcpt", "550 5.1.1 no such user", BEN), [A, R, A], "mailbox_unavailable", [ADA, CLEO]),
    (MailFault("rcpt", "450 4.2.0 greylisted", BEN), [A, L, A], "mailbox_deferred", [ADA, CLEO]),
    (MailFault("rcpt", "452 4.2.2 mailbox full", BEN), [A, L, A], "mailbox_deferred", [ADA, CLEO]),
    (MailFault("rcpt", "421 4.3.2 shutting down", BEN), [A, L, A], "mailbox_deferred", [ADA, CLEO]),
    (MailFault("rcpt", DROP, BEN), [A, N, N], "connection_lost", [ADA]),
    (MailFault("rcpt", "gibberish", BEN), [A, N, N], "unexpected_reply", [ADA]),
    (MailFault("data", "554 5.7.1 not wanted", BEN), [A, R, A], "message_refused", [ADA, CLEO]),
    (MailFault("data", "451 4.3.0 try again", BEN), [A, L, A], "message_deferred", [ADA, CLEO]),
    (MailFault("data", DROP, BEN), [A, N, N], "connection_lost", [ADA]),
    (MailFault("body", DROP, BEN), [A, U, N], "no_reply_to_message", [ADA]),
    (MailFault("end", "552 5.3.4 too large", BEN), [A, R, A], "message_refused", [ADA, CLEO]),
    (MailFault("end", "451 4.7.1 try again", BEN), [A, L, A], "message_deferred", [ADA, CLEO]),
    (MailFault("end", DROP, BEN), [A, U, N], "no_reply_to_message", [ADA]),
    (MailFault("end", "gibberish", BEN), [A, U, N], "unexpected_reply", [ADA]),
    (MailFault("accepted", DROP, BEN), [A, U, N], "no_reply_to_message", [ADA, BEN]),
]


@pytest.mark.parametrize(
    ("fault", "expected", "code", "recipients"), SECOND_OF_THREE, ids=lambda value: getattr(value, "reply", None)
)
def test_each_reply_at_each_stage_has_one_result(
    provider: SmtpProvider,
    mail_server: MailServer,
    fault: MailFault,
    expected: list[str],
    code: str,
    recipients: list[str],
) -> None:
    mail_server.plan(fault)
    outcome = post(provider, ADA, BEN, CLEO)
    assert (outcome.kind, kinds(outcome)) == (OutcomeKind.PARTIAL, expected)
    assert mail_server.recipients() == recipients
    assert (outcome.results[1].code, outcome.results[1].reason != "") == (code, True)
    assert mail_server.connections == 1


def test_a_mail_that_was_cut_off_was_not_sent(provider: SmtpProvider, mail_server: MailServer) -> None:
    mail_server.plan(MailFault("body", DROP))
    # Larger than the buffers between us and the server, so that it is not completely sent when the server disconnects.
    body = provider.join([[provider.encode(message(html="<p>crane</p>" * 2_000_000))]])
    mail_server.largest = 100_000_000
    outcome = provider.post_batch(body, key=new_key(), size=1)
    assert (outcome.kind, outcome.code) == (OutcomeKind.RETRY_LATER, "connection_lost")


def test_a_missing_reply_leaves_one_mail_with_an_unknown_result(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = connect_to(mail_server, monkeypatch, EMAIL_TIMEOUT=0.3)
    mail_server.plan(MailFault("accepted", SILENCE, BEN))
    assert kinds(post(provider, ADA, BEN, CLEO)) == [A, U, N]


CONNECTING = [
    (MailFault("connect", DROP), OutcomeKind.RETRY_LATER),
    (MailFault("connect", "421 4.3.2 too busy"), OutcomeKind.RETRY_LATER),
    (MailFault("connect", "554 5.7.1 you are blocked"), OutcomeKind.BLOCKED),
    (MailFault("ehlo", "421 4.3.2 too busy", times=2), OutcomeKind.RETRY_LATER),
    (MailFault("mail", "451 4.3.0 try again"), OutcomeKind.RETRY_LATER),
    (MailFault("mail", "553 5.1.8 sender unknown"), OutcomeKind.BLOCKED),
    (MailFault("mail", DROP), OutcomeKind.RETRY_LATER),
    (MailFault("rcpt", "530 5.7.0 log in first"), OutcomeKind.BLOCKED),
]


@pytest.mark.parametrize(("fault", "kind"), CONNECTING, ids=reply_of)
def test_an_error_before_the_first_mail_is_the_outcome_of_the_whole_batch(
    provider: SmtpProvider, mail_server: MailServer, fault: MailFault, kind: OutcomeKind
) -> None:
    mail_server.plan(fault)
    outcome = post(provider, ADA, BEN)
    assert (outcome.kind, outcome.results) == (kind, ())
    assert outcome.code in REASONS
    assert mail_server.mails == []


def test_after_two_refusals_and_no_accepted_mail_the_others_are_not_attempted(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("rcpt", "550 5.7.1 relaying denied", times=9))
    assert kinds(post(provider, ADA, BEN, CLEO, DINA)) == [R, R, N, N]


def test_a_slow_server_gets_the_rest_in_a_later_attempt(
    provider: SmtpProvider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "MAX_POST_DURATION", -1.0)
    assert kinds(post(provider, ADA, BEN, CLEO)) == [A, N, N]


def test_a_mail_over_the_servers_size_limit_is_refused_before_it_is_sent(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    mail_server.largest = 100
    outcome = post(provider, ADA)
    assert (outcome.kind, outcome.code) == (OutcomeKind.BLOCKED, "message_too_large")
    assert outcome.detail.startswith("552")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (MailFault("rcpt", "550 5.1.1 <ada@example.org> unknown"), OutcomeKind.REFUSED),
        (MailFault("rcpt", "450 4.2.0 greylisted"), OutcomeKind.RETRY_LATER),
        (MailFault("accepted", DROP), OutcomeKind.UNKNOWN),
    ],
    ids=reply_of,
)
def test_the_outcome_of_a_single_mail_says_whether_it_may_be_tried_again(
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
def test_mails_are_sent_encrypted_and_with_a_login(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch, implicit: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with running_mail_server(tls=tls, implicit=implicit, login=("notes", "quay 4")) as server:
        switches = {"EMAIL_HOST": "localhost", "EMAIL_USE_SSL": implicit, "EMAIL_USE_TLS": not implicit}
        outcome = post(connect_to(server, monkeypatch, **switches, **LOGIN), ADA, BEN)
        assert (outcome.kind, outcome.reason) == (OutcomeKind.ACCEPTED, "")
        assert all(mail.encrypted for mail in server.mails)
        assert server.violations == []


def test_a_server_with_an_invalid_certificate_gets_no_mail_and_no_password(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_mail_server(tls=tls, login=("notes", "quay 4")) as server:
        outcome = post(connect_to(server, monkeypatch, EMAIL_USE_TLS=True, **LOGIN), ADA)
    assert (outcome.kind, outcome.code) == (OutcomeKind.BLOCKED, "certificate_invalid")


def test_a_server_without_encryption_is_not_used_unencrypted(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = post(connect_to(mail_server, monkeypatch, EMAIL_USE_TLS=True), ADA)
    assert (outcome.kind, outcome.code) == (OutcomeKind.BLOCKED, "smtp_feature_unsupported")
    assert mail_server.mails == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [("", OutcomeKind.BLOCKED), ("454 4.7.0 try again", OutcomeKind.RETRY_LATER)],
    ids=["permanent", "temporary"],
)
def test_a_failed_login_blocks_unless_the_failure_is_temporary(
    monkeypatch: pytest.MonkeyPatch, reply: str, kind: OutcomeKind
) -> None:
    with running_mail_server(login=("notes", "quay 4")) as server:
        server.plan(*[MailFault("auth", reply)] * bool(reply))
        outcome = post(connect_to(server, monkeypatch, **{**LOGIN, "EMAIL_HOST_PASSWORD": "quay 5"}), ADA)
    assert (outcome.kind, outcome.code) == (kind, "authentication_failed")
    assert "quay" not in outcome.reason


@pytest.mark.parametrize("setting", ["EMAIL_HOST", "EMAIL_HOST_PASSWORD"])
def test_settings_that_cannot_be_sent_to_a_server_block(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    with running_mail_server(login=("notes", "quay 4")) as server:
        changes = {**LOGIN, setting: "grün" if setting.endswith("PASSWORD") else "quay..example"}
        outcome = post(connect_to(server, monkeypatch, **changes), ADA)
    assert (outcome.kind, outcome.code) == (OutcomeKind.BLOCKED, "smtp_settings_invalid")
    assert "grün" not in outcome.reason


def test_an_address_that_is_not_ascii_is_refused_and_the_others_are_accepted(
    provider: SmtpProvider, mail_server: MailServer
) -> None:
    assert kinds(post(provider, ADA, "grün@example.org", BEN)) == [A, R, A]
    assert mail_server.recipients() == [ADA, BEN]
    outcome = provider.post_message(message(sender="Grün <grün@mail.example.org>"), key=new_key())
    assert outcome.kind is OutcomeKind.BLOCKED


@pytest.mark.parametrize(
    ("faults", "is_ok"), [([], True), ([MailFault("connect", "554 5.7.1 you are blocked")], False)]
)
def test_a_connection_check_logs_in_and_sends_nothing(
    provider: SmtpProvider, mail_server: MailServer, faults: list[MailFault], is_ok: bool
) -> None:
    mail_server.plan(*faults)
    check = provider.check_connection()
    assert (check.is_ok, check.code in REASONS) == (is_ok, True)
    assert mail_server.mails == []


# The form of a mail


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
    outcome = provider.post_batch(provider.join([[provider.encode(mail)]]), key=new_key(), size=1)
    (accepted,) = mail_server.mails
    assert (accepted.sender, accepted.recipient) == ("notes@mail.example.org", ADA)
    assert f"List-Unsubscribe: {unsubscribe}\r\n".encode() in accepted.content
    parsed = read(accepted.content)
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
    body = provider.join([[provider.encode(message())], [provider.encode(message(BEN))]])
    assert mails_of(body, "key") == mails_of(body, "key")


def test_mails_without_a_delivery_are_named_by_their_key(provider: SmtpProvider, mail_server: MailServer) -> None:
    for key in ("notice:1", "notice:1", "notice:2"):
        provider.post_message(message(tags={"notice": "1"}), key=key)
    first, again, other = (read(mail.content)["Message-ID"] for mail in mail_server.mails)
    assert first == again != other


LINE = st.text(min_size=1).filter(lambda text: text.strip() and not UNFIT_FOR_HEADERS.search(text))


@given(subject=LINE, text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_text_is_sent_in_short_lines_of_ascii(subject: str, text: str) -> None:
    provider = SmtpProvider()
    (mail,) = mails_of(provider.join([[provider.encode(message(subject=subject, text=text))]]), "key")
    assert mail.content.isascii()
    lines = mail.content.split(b"\r\n")
    assert all(b"\n" not in line and b"\r" not in line and len(line) <= 998 for line in lines)
    parsed = read(mail.content)
    assert "".join(str(parsed["Subject"]).split()) == "".join(subject.split())
    body = next(parsed.iter_parts()).get_content()
    assert "".join(body.split()) == "".join(text.split())


def test_every_post_has_the_same_provider_so_that_an_edition_is_encoded_once() -> None:
    assert smtp.from_settings() is smtp.from_settings()
