"""DMARC reports by mail: from the event to the import, once, under limits, and with the reason where it is refused."""

from __future__ import annotations

import datetime
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import Settings

from newsletter.config.failpoints import Crash
from newsletter.deliverability import report_mails
from newsletter.deliverability.dmarc_files import MAX_BYTES
from newsletter.deliverability.report_mails import (
    CLAIM,
    KEY_RETRY,
    MAX_ATTEMPTS,
    failure_sentence,
    fetch_again,
    import_next_report_mail,
)
from newsletter.events.apply import apply_events
from newsletter.events.endpoint import needed_kinds
from newsletter.models import DmarcReport, DmarcRow, Event, EventState, Reason, ReportMail, ReportMailState
from newsletter.monitoring.deliverability_diagnostics import report_mail_diagnostics
from newsletter.outbound import Fetched, fetch
from newsletter.providers import get_provider
from newsletter.providers.inbound import InboundFile, SupportsInbound
from newsletter.sandbox import Fault, ReceivedFile, SandboxServer
from subscribers.privacy.retention import purge_expired
from tests.newsletter.deliverability.reports import record, report
from tests.publications import make_newsletter
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db

ADDRESS = "dmarc@reports.example.org"
LISTS = "GET /emails/receiving"
Receive = Callable[..., str]


@pytest.fixture(autouse=True)
def _the_address_is_set(settings: Settings) -> None:
    settings.DMARC_REPORT_ADDRESS = ADDRESS
    make_newsletter()


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        provider_of(server, monkeypatch)
        yield server


@pytest.fixture
def receive(sandbox: SandboxServer) -> Receive:
    """Receives a mail at the sandbox, stores and applies its event. Returns the id of the mail."""

    def received(*files: ReceivedFile, to: str = ADDRESS, sender: str = "Harbour <dmarc@harbour.example>") -> str:
        uid = sandbox.receive(sender, [to], *files)
        apply_event(uid, to=[to], sender=sender)
        return uid

    return received


def apply_event(uid: str, *, event_id: str = "", **more: Any) -> None:
    data = {"email_id": uid, "from": more.get("sender", "dmarc@harbour.example"), "subject": "Report domain: …"}
    for name in ("to", "cc", "bcc", "received_for"):
        data |= {name: more[name]} if name in more else {}
    kind = "email.received"
    body = {"type": kind, "created_at": timezone.now().isoformat(), "data": data}
    Event.objects.create(
        provider="resend", event_id=event_id or f"msg_{uid}", kind=kind, body=orjson.dumps(body).decode()
    )
    apply_events(get_provider())


def packed(content: bytes | None = None, name: str = "report.xml.gz") -> ReceivedFile:
    return ReceivedFile(filename=name, content_type="application/gzip", content=gzip.compress(content or report()))


def mail() -> ReportMail:
    return ReportMail.objects.get()


def outcome() -> tuple[str, str]:
    return mail().state, mail().code


def let_it_be_due() -> None:
    ReportMail.objects.update(next_at=timezone.now())


def test_a_report_by_mail_is_imported_and_the_mail_says_so(receive: Receive) -> None:
    receive(packed(report(record(count=7))))
    assert import_next_report_mail() is True
    assert (mail().state, mail().added, mail().known, mail().sender_domain) == ("imported", 1, 0, "harbour.example")
    assert [row.count for row in DmarcRow.objects.all()] == [7]
    assert DmarcReport.objects.get().by == "mail:harbour.example"
    assert import_next_report_mail() is False


def test_the_event_keeps_nothing_of_the_mail_once_it_is_noted(receive: Receive) -> None:
    receive(packed())
    event = Event.objects.get()
    assert (event.state, event.reason) == (EventState.APPLIED, "")
    assert "harbour" not in event.body
    assert "Report domain" not in event.body


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "received_for"])
def test_the_address_is_found_wherever_the_mail_names_it_in_any_case(sandbox: SandboxServer, field: str) -> None:
    recipients: Any = {field: ["Other <other@example.org>", f"Reports <{ADDRESS.upper()}>"]}
    apply_event("a-mail", **recipients)
    assert mail().mail_id == "a-mail"


def test_other_mail_and_mail_without_the_setting_is_left_alone(receive: Receive, settings: Settings) -> None:
    receive(packed(), to="editor@reports.example.org")
    settings.DMARC_REPORT_ADDRESS = ""
    receive(packed())
    assert not ReportMail.objects.exists()
    assert set(Event.objects.values_list("reason", flat=True)) == {Reason.NOT_ABOUT_A_MAIL}
    assert import_next_report_mail() is False


def test_the_same_mail_and_the_same_report_twice_count_once(receive: Receive) -> None:
    uid = receive(packed(report(record(count=7))))
    apply_event(uid, event_id="msg_again", to=[ADDRESS])
    assert ReportMail.objects.count() == 1
    receive(packed(report(record(count=7)), "again.xml.gz"))
    assert [import_next_report_mail() for _ in range(3)] == [True, True, False]
    assert sorted(ReportMail.objects.values_list("added", "known")) == [(0, 1), (1, 0)]
    assert [row.count for row in DmarcRow.objects.all()] == [7]


def test_a_worker_that_is_killed_between_fetching_and_importing_loses_nothing(
    receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(packed())
    with monkeypatch.context() as patched:

        def killed(*_args: object, **_values: object) -> None:
            raise Crash

        patched.setattr(report_mails, "store_files", killed)
        with pytest.raises(Crash):
            import_next_report_mail()
    assert outcome() == ("waiting", "")
    assert import_next_report_mail() is False, "another worker may still have it"
    ReportMail.objects.update(next_at=mail().next_at - CLAIM)
    assert import_next_report_mail() is True
    assert outcome() == ("imported", "")


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.xml", content)
    return file.getvalue()


BOMB = b"<feedback>" + b" " * (MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (ReceivedFile(filename="r.zip", content_type="application/zip", content=zipped(BOMB)), "too_large"),
        (ReceivedFile(filename="r.xml.gz", content_type="application/gzip", content=gzip.compress(BOMB)), "too_large"),
        (
            ReceivedFile(filename="r.zip", content_type="application/zip", content=zipped(gzip.compress(report()))),
            "nested",
        ),
        (ReceivedFile(filename="logo.png", content_type="image/png", content=b"\x89PNG"), "no_attachment"),
        (ReceivedFile(filename="r.xml", content_type="text/xml", content=b"\x89PNG"), "unknown_format"),
        (ReceivedFile(filename="r.xml.gz", content_type="", content=b"\x1f\x8bdamaged"), "damaged"),
        (packed(report(domain="other.example")), "other_domain"),
        (packed(b"<!DOCTYPE feedback><feedback/>"), "declarations"),
    ],
)
def test_a_file_that_is_no_report_of_ours_is_refused_with_its_reason(
    receive: Receive, file: ReceivedFile, code: str
) -> None:
    receive(file)
    import_next_report_mail()
    assert outcome() == ("refused", code)
    assert failure_sentence(mail())
    assert not DmarcReport.objects.exists()


def test_a_mail_without_attachments_is_refused(receive: Receive) -> None:
    receive()
    import_next_report_mail()
    assert outcome() == ("refused", "no_attachment")


def test_a_mail_that_is_nothing_but_the_packed_file_is_read_whole(sandbox: SandboxServer) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "dmarc@harbour.example", ADDRESS, "Report domain: …"
    message.set_content(zipped(report()), maintype="application", subtype="zip", filename="report.zip")
    uid = sandbox.receive("dmarc@harbour.example", [ADDRESS], original=message.as_bytes())
    apply_event(uid, to=[ADDRESS])
    import_next_report_mail()
    assert outcome() == ("imported", "")


def test_attachments_that_are_no_reports_are_not_downloaded(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(ReceivedFile(filename="logo.png", content_type="image/png", content=b"PNG"), packed())
    fetched: list[str] = []

    def counted(url: str, *args: Any, **values: Any) -> Fetched:
        fetched.append(url)
        return fetch(url, *args, **values)

    monkeypatch.setattr(report_mails, "fetch", counted)
    import_next_report_mail()
    assert outcome() == ("imported", "")
    assert len(fetched) == 1


def test_all_attachments_of_a_mail_share_one_limit(receive: Receive) -> None:
    half = report(record(count=1)) + b" " * (MAX_BYTES // 2)
    receive(packed(half), packed(half.replace(b"r-1", b"r-2")))
    import_next_report_mail()
    assert outcome() == ("refused", "too_large")
    assert not DmarcReport.objects.exists()


@pytest.mark.parametrize(
    ("size", "content"), [(MAX_BYTES + 1, b""), (None, b"<" + b" " * MAX_BYTES)], ids=["as it says", "as it turns out"]
)
def test_a_file_that_is_too_large_is_not_read_to_its_end(
    receive: Receive, monkeypatch: pytest.MonkeyPatch, size: int | None, content: bytes
) -> None:
    uid = receive(ReceivedFile(filename="r.xml", content_type="text/xml", content=content))
    provider = get_provider()
    assert isinstance(provider, SupportsInbound)
    (file,) = provider.inbound_files(uid)
    told = InboundFile(name=file.name, content_type=file.content_type, size=size, url=file.url)
    monkeypatch.setattr(type(provider), "inbound_files", lambda _self, _uid: (told,))
    import_next_report_mail()
    assert outcome() == ("refused", "too_large")


@pytest.mark.parametrize(
    ("fault", "state", "code"),
    [
        (Fault("not_found", on=LISTS), "refused", "inbound_gone"),
        (Fault("email_above_quota", on=LISTS), "refused", "inbound_above_quota"),
        (Fault("invalid_permission", on=LISTS), "waiting", "inbound_refused"),
        (Fault("restricted_api_key", on=LISTS), "waiting", "inbound_refused"),
        (Fault("rate_limit_exceeded", on=LISTS), "waiting", "inbound_unavailable"),
        (Fault("service_unavailable", on=LISTS), "waiting", "inbound_unavailable"),
        (Fault("html_502", on=LISTS), "waiting", "inbound_unavailable"),
        (Fault("reset", on=LISTS), "waiting", "inbound_unavailable"),
        (Fault("truncated", on=LISTS), "waiting", "inbound_unavailable"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_failure_is_tried_again_only_if_that_may_help(
    sandbox: SandboxServer, receive: Receive, fault: Fault, state: str, code: str
) -> None:
    receive(packed())
    sandbox.plan(fault)
    import_next_report_mail()
    assert outcome() == (state, code)
    if state == "waiting":
        let_it_be_due()
        import_next_report_mail()
        assert outcome() == ("imported", "")


def wait_of(row: ReportMail, since: datetime.datetime) -> float:
    return (row.next_at - since).total_seconds()


def test_a_refused_key_and_a_rate_limit_are_no_attempts_and_other_failures_back_off(
    sandbox: SandboxServer, receive: Receive
) -> None:
    receive(packed())
    sandbox.plan(Fault("invalid_permission", on=LISTS), Fault("rate_limit_exceeded", on=LISTS))
    since = timezone.now()
    import_next_report_mail()
    assert mail().attempts == 0
    assert wait_of(mail(), since) >= KEY_RETRY.total_seconds()
    let_it_be_due()
    import_next_report_mail()
    assert mail().attempts == 0
    sandbox.plan(Fault("service_unavailable", on=LISTS, times=3))
    waits = []
    for _ in range(3):
        let_it_be_due()
        since = timezone.now()
        import_next_report_mail()
        waits.append(round(wait_of(mail(), since) / 60))
    assert (mail().attempts, waits) == (3, [1, 2, 4])


def test_a_mail_is_refused_after_the_last_attempt_and_can_be_fetched_again(
    sandbox: SandboxServer, receive: Receive
) -> None:
    receive(packed())
    ReportMail.objects.update(attempts=MAX_ATTEMPTS - 1)
    sandbox.plan(Fault("service_unavailable", on=LISTS))
    import_next_report_mail()
    assert outcome() == ("refused", "inbound_unavailable")
    assert fetch_again(mail().pk) is True
    assert fetch_again(mail().pk) is False
    import_next_report_mail()
    assert outcome() == ("imported", "")


def test_a_download_that_is_refused_gets_a_new_address_at_the_next_attempt(
    receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = receive(packed())
    provider = get_provider()
    assert isinstance(provider, SupportsInbound)
    (file,) = provider.inbound_files(uid)
    old = InboundFile(name=file.name, content_type=file.content_type, size=None, url=file.url.partition("?")[0])
    with monkeypatch.context() as patched:
        patched.setattr(type(provider), "inbound_files", lambda _self, _uid: (old,))
        import_next_report_mail()
    assert outcome() == ("waiting", "inbound_download_failed")
    assert "403" in failure_sentence(mail())
    let_it_be_due()
    import_next_report_mail()
    assert outcome() == ("imported", "")


@pytest.mark.parametrize("url", ["http://10.0.0.7/report.xml", "ftp://harbour.example/report.xml"])
def test_an_address_in_the_local_network_is_not_fetched(
    receive: Receive, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    receive(packed())
    elsewhere = InboundFile(name="r.xml", content_type="text/xml", size=None, url=url)
    monkeypatch.setattr(type(get_provider()), "inbound_files", lambda _self, _uid: (elsewhere,))
    import_next_report_mail()
    assert outcome() in (("refused", "fetch_private_host"), ("refused", "fetch_invalid_address"))
    assert failure_sentence(mail())


def test_lost_events_about_received_mails_are_looked_for_only_while_reports_are_expected(settings: Settings) -> None:
    provider: Any = get_provider()
    assert "email.received" in needed_kinds(provider)
    settings.DMARC_REPORT_ADDRESS = ""
    assert "email.received" not in needed_kinds(provider)


def diagnosed() -> list[str]:
    return [each.name for each in report_mail_diagnostics(timezone.now())]


def test_the_doctor_names_a_missing_key_late_and_refused_mails(
    sandbox: SandboxServer, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert diagnosed() == []
    receive(packed(report(domain="other.example")))
    import_next_report_mail()
    receive(packed())
    assert diagnosed() == ["report_mails_refused"]
    ReportMail.objects.filter(state=ReportMailState.WAITING).update(
        received_at=timezone.now() - datetime.timedelta(days=2), code="inbound_unavailable"
    )
    assert diagnosed() == ["report_mails_late", "report_mails_refused"]
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "")
    assert diagnosed() == ["report_mails_unread"]


def test_without_a_key_a_mail_waits(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(packed())
    with monkeypatch.context() as patched:
        patched.setattr(settings, "PROVIDER_READ_KEY", "")
        import_next_report_mail()
    assert (outcome(), mail().attempts) == (("waiting", "inbound_key_missing"), 0)
    let_it_be_due()
    import_next_report_mail()
    assert outcome() == ("imported", "")


def test_mails_are_removed_after_their_time_but_not_while_they_wait(receive: Receive) -> None:
    receive(packed())
    import_next_report_mail()
    receive(packed(report(id="r-2")))
    long_ago = timezone.now() - datetime.timedelta(days=settings.RETENTION_DAYS["report_mails"] + 1)
    ReportMail.objects.update(received_at=long_ago)
    ReportMail.objects.filter(state=ReportMailState.IMPORTED).update(finished_at=long_ago)
    purge_expired()
    assert [row.state for row in ReportMail.objects.all()] == ["waiting"]
