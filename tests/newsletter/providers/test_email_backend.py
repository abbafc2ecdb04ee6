"""Django's mail backend: one mail per recipient, no second mail under the same key, and no silent failure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from pytest_django import Settings

from newsletter.providers import throttle
from newsletter.providers.email_backend import ProviderEmailBackend
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.switch import stop_all_sending
from subscribers.addresses import parse_address
from subscribers.consent.actions import decline
from subscribers.consent.double_opt_in import request_subscription
from subscribers.models import Evidence, SuppressionReason, TransactionalMail
from subscribers.suppression import suppress_addresses
from subscribers.transactional.outbox import MailBackendError, is_stopped, send_due_transactional_mails
from tests.people import make_mailing_list
from tests.publications import just_now, reset_throttles
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.django_db

BACKEND = "newsletter.providers.email_backend.ProviderEmailBackend"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        provider_of(server, monkeypatch)
        yield server


def mail(*to: str, **attributes: object) -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(
        "Confirm", "Plain & simple", "Harbour Notes <notes@mail.example.org>", list(to) or ["ada@example.org"],
        headers={"Auto-Submitted": "auto-generated"},
    )  # fmt: skip
    message.attach_alternative("<p>Plain &amp; simple</p>", "text/html")
    for name, value in attributes.items():
        setattr(message, name, value)
    return message


def send(message: EmailMessage, **options: bool) -> int:
    return int(get_connection(BACKEND, **options).send_messages([message]) or 0)


def stored(sandbox: SandboxServer, address: str = "ada@example.org") -> dict[str, object]:
    ledger = sandbox.ledger
    (found,) = ledger.mails_to(address, 2e9)
    return dict(ledger.contents(found))


def test_a_mail_arrives_with_both_parts_its_headers_and_its_tags(sandbox: SandboxServer) -> None:
    message = mail(tags={"notice": "7"})
    assert send(message) == 1
    contents = stored(sandbox)
    assert (contents["text"], contents["html"]) == ("Plain & simple", "<p>Plain &amp; simple</p>")
    assert contents["headers"] == {"Auto-Submitted": "auto-generated"}
    assert contents["tags"] == [{"name": "notice", "value": "7"}, {"name": "env", "value": "tests"}]
    assert getattr(message, "provider_id", "")


def test_the_same_key_sends_no_second_mail(sandbox: SandboxServer) -> None:
    for _ in range(2):
        send(mail(idempotency_key="notice:1"))
    assert sandbox.ledger.summary()["messages"] == 1


def test_each_recipient_gets_a_mail_of_their_own(sandbox: SandboxServer) -> None:
    send(mail("ada@example.org", "ben@example.org", idempotency_key="notice:2"))
    assert sandbox.ledger.summary()["recipients"] == 2


def test_a_mail_without_html_gets_an_html_part(sandbox: SandboxServer) -> None:
    send(EmailMessage("Reset", "1 < 2", "notes@mail.example.org", ["ada@example.org"]))
    assert stored(sandbox)["html"] == "<pre>1 &lt; 2</pre>"


@pytest.mark.parametrize(
    ("fault", "permanent", "may_have_been_sent"),
    [
        (Fault("rate_limit_exceeded"), False, False),
        (Fault("service_unavailable"), False, True),
        (Fault("reset"), False, True),
        (Fault("invalid_api_key"), False, False),
        (Fault("validation_error", status=422), True, False),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_an_error_says_whether_the_same_mail_may_be_tried_again(
    sandbox: SandboxServer, fault: Fault, permanent: bool, may_have_been_sent: bool
) -> None:
    sandbox.plan(fault)
    with pytest.raises(MailBackendError) as refused:
        send(mail())
    assert (refused.value.permanent, refused.value.may_have_been_sent) == (permanent, may_have_been_sent)


@pytest.mark.parametrize(("route", "hours"), [("sandbox", 23), ("smtp", 0), ("sandbox,smtp", 0)])
def test_a_route_has_the_key_lifetime_of_its_shortest_provider(settings: Settings, route: str, hours: int) -> None:
    settings.PROVIDER = route
    assert ProviderEmailBackend().key_lifetime == datetime.timedelta(hours=hours)


def test_at_resends_mail_server_keys_live_as_long_as_with_its_api(settings: Settings) -> None:
    settings.PROVIDER, settings.EMAIL_HOST = "sandbox,smtp", "SMTP.resend.com."
    assert ProviderEmailBackend().key_lifetime == datetime.timedelta(hours=23)


def test_a_mail_with_a_header_that_is_not_allowed_is_refused_permanently(sandbox: SandboxServer) -> None:
    message = mail()
    message.extra_headers["Bcc"] = "ben@example.org"
    with pytest.raises(MailBackendError) as refused:
        send(message)
    assert refused.value.permanent
    assert sandbox.ledger.summary()["messages"] == 0


def test_fail_silently_hides_errors(sandbox: SandboxServer) -> None:
    sandbox.plan(Fault("service_unavailable"))
    assert send(mail(), fail_silently=True) == 0


def test_no_mail_leaves_while_all_sending_is_stopped_not_even_one_that_waited_for_its_permit(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = throttle._reserve

    def stop_meanwhile(*args: object) -> bool:
        stop_all_sending(by="Edda", text="The API key leaked.")
        return reserve(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(throttle, "_reserve", stop_meanwhile)
    with pytest.raises(MailBackendError, match="all_sending_stopped") as caught:
        send(mail())
    assert (caught.value.permanent, caught.value.may_have_been_sent) == (False, False)
    assert is_stopped(get_connection(BACKEND))
    assert sandbox.ledger.summary()["messages"] == 0


def test_a_confirmation_mail_that_met_a_429_does_not_go_out_after_this_was_not_me(
    sandbox: SandboxServer, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = BACKEND
    sandbox.plan(Fault("rate_limit_exceeded"))
    evidence = Evidence(form="signup", text="You subscribe to Harbour Notes.")
    request_subscription(make_mailing_list(), parse_address("gus@example.org"), evidence)
    send_due_transactional_mails()
    row = TransactionalMail.objects.get()
    assert (row.state, row.attempts, row.detail[:19]) == ("pending", 1, "rate_limit_exceeded")
    decline(row.subscription.key, evidence)
    suppress_addresses({"gus@example.org": (SuppressionReason.COMPLAINT, "")})
    TransactionalMail.objects.update(not_before=just_now())
    reset_throttles()
    send_due_transactional_mails()
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("withdrawn", 2)
    assert sandbox.ledger.summary()["messages"] == 0
