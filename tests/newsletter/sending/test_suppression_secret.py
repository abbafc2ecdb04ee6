"""A lost SUPPRESSION_SECRET: nothing is sent while suppressed addresses would not be recognised."""

from __future__ import annotations

import io
import logging

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from newsletter.models import Event, EventState, InvalidTransition, Issue, sending_stopped
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.switch import resume_sending, stop_all_sending
from newsletter.worker.steps import STEPS
from subscribers.models import (
    Suppression,
    SuppressionReason,
    SuppressionSecret,
    TransactionalMailKind,
    TransactionalMailState,
    present_secret_fingerprint,
)
from subscribers.suppression import (
    SuppressionSecretDiffers,
    get_suppression,
    record_suppression_secret,
    suppress_addresses,
)
from subscribers.transactional.compose import enqueue_mail
from subscribers.transactional.outbox import send_due_transactional_mails
from tests import people
from tests.newsletter.admin.pages import words_on
from tests.publications import expand_audiences, post_everything, start_sending

pytestmark = pytest.mark.django_db

GUS = "gus@example.org"


@pytest.fixture
def former(settings: Settings) -> str:
    """The secret under which an address was suppressed. The settings have another one now."""
    secret = str(settings.SUPPRESSION_SECRET)
    suppress_addresses({GUS: (SuppressionReason.COMPLAINT, "")})
    settings.SUPPRESSION_SECRET = "made-new-" + "n" * 32
    return secret


def run_step(name: str) -> bool:
    return next(step for step in STEPS if step.name == name).run()


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_no_mail_leaves_under_another_secret_and_each_once_under_the_former_one(
    issue: Issue, provider: Provider, sandbox: SandboxServer, settings: Settings
) -> None:
    people.make_subscriptions(3, issue.newsletter)
    dina = people.dina(issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    former, settings.SUPPRESSION_SECRET = settings.SUPPRESSION_SECRET, "made-new-" + "n" * 32
    assert get_suppression(dina.subscriber.canonical) is None
    assert post_everything(provider) == 0
    settings.SUPPRESSION_SECRET = former
    assert post_everything(provider) == 2
    assert sandbox.ledger.summary()["messages"] == sandbox.ledger.summary()["recipients"] == 3


def test_no_audience_is_expanded_and_no_confirmation_mail_is_sent_under_another_secret(
    issue: Issue, provider: Provider, sandbox: SandboxServer, settings: Settings, former: str
) -> None:
    settings.EMAIL_BACKEND = "newsletter.providers.email_backend.ProviderEmailBackend"
    people.make_subscriptions(1, issue.newsletter)
    mail = enqueue_mail(
        TransactionalMailKind.CONFIRMATION, people.ben(issue.newsletter), {}, one_click_url="http://127.0.0.1:8000/d/x"
    )
    start_sending(issue)
    assert not run_step("expand_audience")
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.PENDING
    settings.SUPPRESSION_SECRET = former
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert mail.state == TransactionalMailState.SENT


def test_no_address_is_suppressed_under_another_secret_and_events_wait(former: str, settings: Settings) -> None:
    with pytest.raises(SuppressionSecretDiffers):
        suppress_addresses({"ines@example.org": (SuppressionReason.COMPLAINT, "")})
    event = Event.objects.create(provider="resend", event_id="msg_1", kind="email.complained", body="{}")
    assert not run_step("apply_events")
    event.refresh_from_db()
    assert event.state == EventState.NEW
    settings.SUPPRESSION_SECRET = former
    run_step("apply_events")
    event.refresh_from_db()
    assert event.state != EventState.NEW
    assert get_suppression(GUS)


def test_an_editor_cannot_suppress_an_address_under_another_secret(former: str, admin_client: Client) -> None:
    page = "/admin/subscribers/suppression/add/"
    words = words_on(admin_client.post(page, {"address": "ines@example.org", "detail": "by phone"}))
    assert "SUPPRESSION_SECRET is not the one under which suppressed addresses are stored." in words
    assert Suppression.objects.count() == 1


def test_doctor_says_what_to_do_and_no_secret_is_shown(former: str, settings: Settings) -> None:
    (found,) = [diagnostic for diagnostic in diagnostics() if diagnostic.name == "sending_stopped"]
    assert found.severity is Severity.ERROR
    assert "SUPPRESSION_SECRET is not the one under which suppressed addresses are stored" in found.sentence
    assert "Set SUPPRESSION_SECRET to its former value, from a backup of .env" in found.advice
    assert "--lost-suppression-secret" in found.advice
    stored = SuppressionSecret.objects.get().fingerprint
    assert not any(secret[:12] in stored + found.sentence for secret in (former, settings.SUPPRESSION_SECRET))


def test_every_page_of_the_admin_says_it_and_cannot_resume(former: str, admin_client: Client) -> None:
    words = words_on(admin_client.get("/admin/sending/"))
    assert "All sending is stopped. SUPPRESSION_SECRET is not the one" in words
    assert "Set SUPPRESSION_SECRET to its former value" in words
    with pytest.raises(InvalidTransition, match="Set SUPPRESSION_SECRET to its former value"):
        resume_sending(by="Edda")
    with pytest.raises(CommandError, match="Set SUPPRESSION_SECRET to its former value"):
        run("resume_sending")


def test_an_operator_may_give_up_a_lost_secret_and_is_recorded(former: str) -> None:
    printed = run("resume_sending", "--lost-suppression-secret", "--by", "Edda")
    assert "Addresses suppressed until now are not recognised." in printed
    assert sending_stopped() is None
    record = SuppressionSecret.objects.get()
    assert (record.fingerprint, record.recorded_by) == (present_secret_fingerprint(), "Edda")
    with pytest.raises(CommandError, match="Sending is not stopped"):
        run("resume_sending", "--lost-suppression-secret")


def test_a_restored_copy_with_a_lost_secret_is_resumed_in_one_command(former: str) -> None:
    stop_all_sending(by="Edda", text="Restored.")
    assert "Sending is resumed." in run("resume_sending", "--lost-suppression-secret")
    assert sending_stopped() is None


def test_workers_record_the_secret_before_anything_is_sent(settings: Settings) -> None:
    names = [step.name for step in STEPS]
    assert names.index("record_secret") < names.index("send_transactional")
    assert record_suppression_secret() is False
    assert SuppressionSecret.objects.get().fingerprint == present_secret_fingerprint()
    settings.SUPPRESSION_SECRET = "made-new-" + "n" * 32
    record_suppression_secret()
    assert sending_stopped() is None, "as long as no address is suppressed, nothing is lost with the secret"


def test_a_worker_with_another_secret_logs_an_error(former: str, caplog: pytest.LogCaptureFixture) -> None:
    record_suppression_secret()
    (record,) = [record for record in caplog.records if record.name == "subscribers.suppression"]
    assert record.levelno == logging.ERROR
    assert "nothing is sent" in record.getMessage()
    assert SuppressionSecret.objects.get().fingerprint != present_secret_fingerprint()
