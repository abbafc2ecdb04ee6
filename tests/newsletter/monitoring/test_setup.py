"""Setting up: doctor and the start page say the next step, each with a link or a command, until all are done."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from newsletter.models import Batch, BatchState, Event
from newsletter.monitoring.setup import SetupStep, open_steps, setup_diagnostics, setup_steps
from newsletter.providers import get_provider, get_route
from newsletter.providers.base import provider_account
from subscribers.models import MailingList, TransactionalMail, TransactionalMailKind, TransactionalMailState
from subscribers.transactional.compose import enqueue_mail
from subscribers.transactional.outbox import send_due_transactional_mails
from tests.newsletter.admin.pages import words_on
from tests.newsletter.monitoring.conftest import a_worker, ago
from tests.people import ada, ben, make_subscriptions
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db

SITE = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with running_sandbox(verified_domains=("mail.example.org",)) as server:
        provider_of(server, monkeypatch)
        yield


def left() -> list[str]:
    return [step.name for step in open_steps(setup_steps())]


def step(name: str) -> SetupStep:
    return next(step for step in setup_steps() if step.name == name)


def accept_a_mail() -> None:
    mail = enqueue_mail(
        TransactionalMailKind.CONFIRMATION, ada(make_newsletter()), {}, one_click_url=f"{SITE}/decline/x"
    )
    TransactionalMail.objects.filter(pk=mail.pk).update(
        state=TransactionalMailState.SENT,
        provider=provider_account(get_provider()),
        first_attempt_at=timezone.now(),
    )


def test_only_the_last_mails_are_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a former provider there may be millions, and no index knows providers."""
    accept_a_mail()
    assert step("setup_first_mail").is_done
    mail = TransactionalMail.objects.get()
    for number in range(3):
        mail.pk, mail.idempotency_key, mail.provider = None, f"key-{number}", "smtp:former"
        mail.save(force_insert=True)
    assert step("setup_first_mail").is_done
    monkeypatch.setattr("newsletter.monitoring.setup.LAST_ROWS", 3)
    assert not step("setup_first_mail").is_done


def switch_to_resend(settings: Settings) -> None:
    settings.PROVIDER, settings.PROVIDER_URL = "resend", "https://api.resend.com"


def test_each_step_is_left_until_it_is_done() -> None:
    assert left() == ["setup_superuser", "setup_newsletter", "setup_sender", "setup_first_mail", "setup_webhook"]
    User.objects.create_superuser("edda")
    assert left()[0] == "setup_newsletter"
    newsletter = make_newsletter(postal_address="")
    assert left()[0] == "setup_sender"
    MailingList.objects.filter(pk=newsletter.pk).update(postal_address="4 Quay Street")
    assert left()[0] == "setup_first_mail"
    accept_a_mail()
    assert left() == ["setup_webhook"]
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    assert left() == []
    (done,) = setup_diagnostics()
    assert (done.name, done.severity, done.sentence) == ("setup", "ok", "The installation is set up.")


def test_a_step_that_is_done_says_what_has_been_reached(settings: Settings) -> None:
    settings.SITE_HOST = "digest.example.org"
    to_do = {each.name: each.sentence for each in setup_steps()}
    switch_to_resend(settings)
    User.objects.create_superuser("edda")
    accept_a_mail()
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    done = {each.name: each.sentence for each in setup_steps({"mail.example.org": "verified"}) if each.is_done}
    assert done == {
        "setup_superuser": "An administrator can log in.",
        "setup_newsletter": "A newsletter exists.",
        "setup_sender": "The sender and the postal address are set.",
        "sandbox": "PROVIDER names a provider that sends mail.",
        "setup_domain": "The provider has verified the domain mail.example.org.",
        "setup_first_mail": "The present provider has accepted mail.",
        "setup_webhook": f"Webhooks of the provider arrive at {SITE}/webhooks/resend/.",
    }
    assert not set(done.values()) & set(to_do.values())


def test_an_international_domain_is_verified_in_either_form(settings: Settings) -> None:
    switch_to_resend(settings)
    make_newsletter(sender_email="post@bücher.example")
    for name in ("bücher.example", "xn--bcher-kva.example"):
        assert next(each for each in setup_steps({name: "verified"}) if each.name == "setup_domain").is_done


def test_what_the_sandbox_did_proves_nothing_about_the_provider_that_replaces_it(settings: Settings) -> None:
    User.objects.create_superuser("edda")
    accept_a_mail()
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    assert left() == []
    switch_to_resend(settings)
    assert left() == ["setup_domain", "setup_first_mail", "setup_webhook"]
    assert "The installation is set up." not in [each.sentence for each in setup_diagnostics()]


def test_a_batch_of_another_provider_account_does_not_count(settings: Settings) -> None:
    issue = make_issue()
    make_subscriptions(1, issue.newsletter.mailing_list)
    start_sending(issue)
    expand_audiences()
    accepted = {"state": BatchState.ACCEPTED, "first_attempt_at": timezone.now()}
    assert Batch.objects.update(**accepted, provider=provider_account(get_provider())) == 1
    assert step("setup_first_mail").is_done
    switch_to_resend(settings)
    assert not step("setup_first_mail").is_done
    Batch.objects.update(provider=provider_account(get_provider()))
    assert step("setup_first_mail").is_done
    assert step("setup_domain").is_done


def test_a_mail_by_smtp_proves_nothing_about_resend(settings: Settings) -> None:
    settings.PROVIDER, settings.SMTP_HOST = "resend,smtp", "mail.example.org"
    User.objects.create_superuser("edda")
    accept_a_mail()
    TransactionalMail.objects.update(provider=provider_account(get_route()[1]))
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    assert left() == ["setup_domain", "setup_webhook"]


def test_only_an_event_after_the_first_mail_shows_that_webhooks_arrive() -> None:
    Event.objects.create(provider="resend", event_id="msg_1", body="{}", received_at=ago(hours=1))
    accept_a_mail()
    assert not step("setup_webhook").is_done
    Event.objects.create(provider="resend", event_id="msg_2", body="{}")
    assert step("setup_webhook").is_done


def test_a_confirmation_mail_records_which_account_accepted_it(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "newsletter.providers.email_backend.ProviderEmailBackend"
    mail = enqueue_mail(
        TransactionalMailKind.CONFIRMATION,
        ben(make_newsletter()),
        {},
        one_click_url=f"{SITE}/decline/x",
    )
    send_due_transactional_mails()
    mail.refresh_from_db()
    assert (mail.state, mail.provider) == (TransactionalMailState.SENT, provider_account(get_provider()))
    assert step("setup_first_mail").is_done


def test_an_administrator_who_may_not_log_in_does_not_count() -> None:
    User.objects.create_superuser("edda", is_active=False)
    assert left()[0] == "setup_superuser"


def test_each_step_has_an_absolute_link_or_a_command() -> None:
    newsletter = make_newsletter(postal_address=" ")
    for each in setup_steps():
        assert bool(each.link) != bool(each.command), each
        assert each.link.startswith(("http://", "https://")) or each.command.startswith("manage.py ")
    assert step("setup_superuser").command == "manage.py createsuperuser"
    assert step("setup_newsletter").link == f"{SITE}/admin/newsletter/newsletter/add/"
    assert step("setup_sender").link == f"{SITE}/admin/newsletter/newsletter/{newsletter.pk}/change/"
    assert step("setup_first_mail").link == f"{SITE}/subscribe/harbour-notes/"
    assert f"{SITE}/webhooks/resend/" in step("setup_webhook").sentence


def test_links_into_this_site_open(admin_client: Client) -> None:
    make_newsletter(postal_address="")
    for each in setup_steps():
        if each.link.startswith(SITE):
            assert admin_client.get(each.link.removeprefix(SITE)).status_code == 200


@pytest.mark.parametrize(
    ("domains", "is_done"),
    [
        ({"mail.example.org": "verified"}, True),
        ({"mail.example.org": "pending"}, False),
        ({"other.example.org": "verified"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_with_resend_the_domain_of_the_sender_must_be_verified(
    settings: Settings, domains: dict[str, str] | None, is_done: bool
) -> None:
    settings.PROVIDER = "resend"
    make_newsletter()
    found = next(step for step in setup_steps(domains) if step.name == "setup_domain")
    assert found.is_done is is_done
    assert "mail.example.org" in found.sentence
    assert found.link == "https://resend.com/domains"
    accept_a_mail()
    assert next(step for step in setup_steps() if step.name == "setup_domain").is_done


def test_a_public_site_needs_a_provider_that_delivers(settings: Settings) -> None:
    settings.SITE_HOST = "digest.example.org"
    assert "sandbox" in left()
    settings.PROVIDER, settings.SMTP_HOST = "smtp", "mail.example.org"
    assert "sandbox" not in left()
    assert "setup_webhook" not in left(), "a mail server sends no webhooks"


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("doctor", *arguments, stdout=out)
    return out.getvalue()


def test_doctor_says_the_next_step_and_is_ok_only_when_all_are_done() -> None:
    a_worker()
    lines = printed().splitlines()
    (at,) = [number for number, line in enumerate(lines) if "Next step of the setup" in line]
    assert lines[at].split(maxsplit=1) == [
        "Warning",
        "Next step of the setup: Create an administrator, who logs in to the admin.",
    ]
    assert lines[at + 1].strip() == "→ manage.py createsuperuser"
    assert not any("The installation is set up" in line for line in lines)
    rows: list[dict[str, Any]] = json.loads(printed("--json"))
    commands = {row["name"]: (row["severity"], row["link"], row["command"]) for row in rows}
    assert commands["setup_superuser"] == ("warning", "", "manage.py createsuperuser")
    assert commands["setup_newsletter"] == ("warning", f"{SITE}/admin/newsletter/newsletter/add/", "")
    User.objects.create_superuser("edda")
    accept_a_mail()
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    assert {row["severity"] for row in json.loads(printed("--json"))} == {"ok"}
    assert "The installation is set up." in printed()


def test_the_start_page_shows_the_same_steps_to_a_superuser_until_all_are_done(admin_client: Client) -> None:
    words = words_on(admin_client.get("/admin/"))
    assert "Setting up Done An administrator can log in." in words
    assert "To do Create a newsletter" in words
    accept_a_mail()
    Event.objects.create(provider="resend", event_id="msg_1", body="{}")
    assert "Setting up" not in words_on(admin_client.get("/admin/"))


def test_the_steps_take_few_queries(django_assert_max_num_queries: Any) -> None:
    make_newsletter()
    with django_assert_max_num_queries(5):
        setup_steps()
