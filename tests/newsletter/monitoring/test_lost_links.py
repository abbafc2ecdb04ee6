"""Lost links: whoever removes a signing key is told how many mails of what age lose their links."""

from __future__ import annotations

import pytest
from django.core import checks
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from newsletter.apps import check_signing_keys
from newsletter.models import Send, SendState
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.diagnostics import diagnostics
from newsletter.monitoring.lost_links import log_lost_links, lost_links
from newsletter.worker.steps import STEPS
from subscribers.consent.signing_keys import lost_signing_keys, record_signing_keys
from subscribers.consent.tokens import key_fingerprints
from subscribers.models import SigningKey, Subscription, TransactionalMail, TransactionalMailKind
from subscribers.transactional.compose import enqueue_mail
from tests.newsletter.monitoring.conftest import ago
from tests.people import ada
from tests.publications import make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db

OLD, NEW = "old-" + "k" * 50 + "abc", "new-" + "k" * 50 + "abc"


@pytest.fixture(autouse=True)
def _old_key(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []


def sent(slug: str, recipients: int, days: float) -> Send:
    """A send that ended so many days ago."""
    send = start_sending(make_issue(slug))
    at = ago(days=days)
    changes = {"state": SendState.SENT, "started_at": at, "finished_at": at, "expanded_at": at}
    Send.objects.filter(pk=send.pk).update(manifest={"recipients": recipients}, **changes)
    return send


def rotate(settings: Settings, *, keep: bool, days: float = 10) -> None:
    """SECRET_KEY was changed so many days ago; the old one was used for two years until then."""
    record_signing_keys()
    SigningKey.objects.update(first_used_at=ago(days=730), last_used_at=ago(days=days))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD] if keep else []
    record_signing_keys()
    SigningKey.objects.filter(fingerprint=key_fingerprints()[0]).update(first_used_at=ago(days=days))


def test_a_rotation_that_keeps_the_old_key_loses_nothing(settings: Settings) -> None:
    sent("issue-1", 1_200, days=40)
    rotate(settings, keep=True)
    assert lost_links(timezone.now()) is None
    assert check_signing_keys(None, databases=["default"]) == []


def test_shortened_fallbacks_are_reported_with_the_number_and_the_age_of_the_mails(settings: Settings) -> None:
    sent("issue-1", 1_200, days=400)
    sent("issue-2", 1_300, days=40)
    sent("issue-3", 1_400, days=12)
    sent("issue-4", 1_500, days=3)
    rotate(settings, keep=True)
    settings.SECRET_KEY_FALLBACKS = []
    (found,) = [diagnostic for diagnostic in diagnostics() if diagnostic.name == "lost_links"]
    assert found.severity == Severity.WARNING
    assert found.sentence == (
        "The links in up to 2,700 mails no longer work: the key that signed them is missing from the settings. "
        "The mails are between 10 days and 40 days old."
    )
    assert "SECRET_KEY_FALLBACKS" in found.advice
    (warning,) = check_signing_keys(None, databases=["default"])
    assert (warning.id, warning.msg) == ("newsletter.W002", found.sentence)


def test_a_rotation_without_any_fallback_is_reported_too(settings: Settings) -> None:
    sent("issue-1", 1_200, days=40)
    rotate(settings, keep=False)
    lost = lost_links(timezone.now())
    assert lost
    assert lost.mails == 1_200


def test_keys_whose_mails_are_older_than_a_year_may_be_removed(settings: Settings) -> None:
    sent("issue-1", 1_200, days=400)
    rotate(settings, keep=False, days=370)
    assert lost_links(timezone.now()) is None


def test_a_key_that_signed_no_mail_may_be_removed(settings: Settings) -> None:
    sent("issue-1", 1_200, days=3)
    rotate(settings, keep=False)
    assert lost_signing_keys(ago(days=365))
    assert lost_links(timezone.now()) is None


def test_the_first_record_covers_the_fallbacks_and_the_time_before_it(settings: Settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    subscription = ada(make_newsletter())
    Subscription.objects.filter(pk=subscription.pk).update(created_at=ago(days=300))
    record_signing_keys()
    assert set(SigningKey.objects.values_list("fingerprint", flat=True)) == set(key_fingerprints())
    assert all(key.first_used_at < ago(days=299) for key in SigningKey.objects.all())
    sent("issue-1", 1_200, days=40)
    settings.SECRET_KEY_FALLBACKS = []
    lost = lost_links(timezone.now())
    assert lost
    assert lost.mails == 1_200


def test_confirmation_mails_are_counted(settings: Settings) -> None:
    mail = enqueue_mail(
        TransactionalMailKind.CONFIRMATION, ada(), {}, one_click_url="https://digest.example.org/decline/x"
    )
    TransactionalMail.objects.filter(pk=mail.pk).update(state="sent", sent_at=ago(days=20))
    rotate(settings, keep=False)
    lost = lost_links(timezone.now())
    assert lost
    assert lost.mails == 1


def test_a_stored_fingerprint_does_not_contain_the_key(settings: Settings) -> None:
    record_signing_keys()
    (key,) = SigningKey.objects.all()
    assert len(key.fingerprint) == 32
    assert OLD[:8] not in key.fingerprint
    settings.SECRET_KEY = NEW
    assert key.fingerprint not in key_fingerprints()


def test_a_worker_records_its_key_before_it_signs_and_logs_lost_links(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    names = [step.name for step in STEPS]
    signing = [names.index(name) for name in ("answer_signups", "send_transactional", "post_batch")]
    assert names.index("record_signing_keys") < min(signing)
    assert "check_signing_keys" in names
    sent("issue-1", 1_200, days=40)
    rotate(settings, keep=False)
    assert log_lost_links() is False
    (record,) = [record for record in caplog.records if record.name == "newsletter.monitoring.lost_links"]
    assert record.mails == 1_200  # type: ignore[attr-defined]


def test_a_fresh_record_is_not_renewed_and_the_question_is_one_query_while_no_key_is_lost(settings: Settings) -> None:
    record_signing_keys()
    with CaptureQueriesContext(connection) as queries:
        record_signing_keys()
        lost_links(timezone.now())
    assert len(queries) == 2


def test_a_record_is_renewed_when_it_is_old() -> None:
    record_signing_keys()
    SigningKey.objects.update(first_used_at=ago(days=1), last_used_at=ago(minutes=11))
    record_signing_keys()
    assert SigningKey.objects.get().last_used_at > ago(minutes=1)


def test_the_check_asks_the_database_only_where_it_is_meant_to() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert check_signing_keys(None) == []
    assert len(queries) == 0
    names = {getattr(check, "__name__", "") for check in checks.registry.registry.get_checks()}
    assert "check_signing_keys" in names
