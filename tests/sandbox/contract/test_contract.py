"""Nothing that our client sends, and nothing that the sandbox answers, violates Resend's OpenAPI description."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import orjson
import pytest
import urllib3
import yaml
from pytest_django import Settings

from newsletter.models import BatchState, Issue, ProviderDomain
from newsletter.providers import get_provider
from newsletter.providers.base import OutcomeKind
from newsletter.providers.resend.provider import ResendProvider
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.domains import refresh_domains
from subscribers.addresses import parse_address
from subscribers.models import Evidence
from subscribers.signup.queue import process_signups, store_signup
from subscribers.transactional.outbox import send_due_transactional_mails
from tests import people
from tests.installation import wait_until
from tests.newsletter.providers.contract import message, new_key
from tests.publications import expand_audiences, make_issue, post_everything, start_sending
from tests.sandbox.contract.description import Proxy, checking_proxy, description
from tests.sandbox.peers import Receiver
from tests.sandboxes import running_sandbox

pytestmark = [pytest.mark.processes, pytest.mark.own_database, pytest.mark.django_db]

BACKEND = "newsletter.providers.email_backend.ProviderEmailBackend"
HEADERS = {"Authorization": "Bearer re_sandbox", "User-Agent": "tests/1.0", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    description()
    with running_sandbox(verified_domains=frozenset({"mail.example.org"})) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with checking_proxy(sandbox.url, tmp_path_factory.mktemp("contract")) as running:
        yield running


@pytest.fixture
def provider(proxy: Proxy, settings: Settings) -> ResendProvider:
    settings.PROVIDER_URL, settings.PROVIDER_API_KEY, settings.PROVIDER_READ_KEY = proxy.url, "re_sandbox", "re_sandbox"
    settings.EMAIL_BACKEND = BACKEND
    provider = get_provider()
    assert isinstance(provider, ResendProvider)
    return provider


def test_a_whole_journey_violates_nothing(provider: ResendProvider, proxy: Proxy, sandbox: SandboxServer) -> None:
    issue, before = make_issue(), proxy.position()
    sign_up(issue, "gus@example.org")
    people.make_subscriptions(7, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=3)
    sandbox.plan(Fault("rate_limit_exceeded"), Fault("service_unavailable"))
    while send.batches.exclude(state=BatchState.ACCEPTED).exists():
        send.batches.update(not_before=send.started_at)
        post_everything(provider)
    assert report_of(send).accepted == 7
    search(provider, sandbox)
    refresh_domains(provider)
    assert provider.check_connection().is_ok
    assert ProviderDomain.objects.get().open_tracking is False
    assert proxy.calls(before) >= {
        "post /emails",
        "post /emails/batch",
        "get /emails",
        "get /emails/{id}",
        "get /domains",
    }
    assert proxy.errors(before) == []
    assert len(sandbox.ledger.mails_to("gus@example.org", 2e9)) == 1


def sign_up(issue: Issue, address: str) -> None:
    """The confirmation mail of a sign-up."""
    evidence = Evidence(form="signup", text="You subscribe to Harbour Notes.", ip="192.0.2.7")
    store_signup(issue.newsletter, parse_address(address), evidence)
    process_signups()
    send_due_transactional_mails()


def search(provider: ResendProvider, sandbox: SandboxServer) -> None:
    """A batch is found in the list of mails by its tags."""
    mail = max(sandbox.ledger.mails_to("reader-1@example.org", 2e9), key=lambda mail: mail.number)
    posted = {"to": mail.envelope["to"], "subject": mail.envelope["subject"]}
    tags = [{"name": name, "value": value} for name, value in mail.tags.items()]
    page = provider.search(orjson.dumps([{**posted, "tags": tags}]), after="")
    assert page.found == {0: mail.id}
    assert provider.mail_created_at(mail.id)


def test_the_proxy_would_find_a_violation_in_a_call_and_in_an_answer(
    provider: ResendProvider, proxy: Proxy, sandbox: SandboxServer
) -> None:
    before = proxy.position()
    sandbox.plan("null_id")
    body = provider.join([[provider.encode(message("ada@example.org"))]])
    assert provider.post_batch(body, key=new_key(), size=1).kind is OutcomeKind.UNKNOWN
    wait_until(lambda: bool(proxy.errors(before)), "the proxy has logged the violation", 20)
    incomplete = {"from": "notes@mail.example.org", "to": ["ada@example.org"]}
    refused = urllib3.request("POST", f"{proxy.url}/emails", json=incomplete, headers=HEADERS)
    assert (refused.status, refused.headers["content-type"]) == (422, "application/problem+json")


def test_reading_and_changing_the_endpoint_and_counting_violate_nothing(
    provider: ResendProvider, proxy: Proxy, sandbox: SandboxServer
) -> None:
    """The log of events is not described."""
    sandbox.configure(webhook_url="http://127.0.0.1:9/")
    before, now = proxy.position(), datetime.datetime.now(datetime.UTC)
    outcome = provider.post_message(message("ada@example.org"), key=new_key())
    (endpoint,) = provider.read_endpoints()
    path = f"{proxy.url}/webhooks/{endpoint.id}"
    read = urllib3.request("GET", path, headers=HEADERS)
    changes = {"status": "disabled", "events": ["email.sent"]}
    changed = urllib3.request("PATCH", path, json=changes, headers=HEADERS)
    assert (read.status, changed.status) == (200, 200)
    since, until = now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)
    assert provider.count_mails(since=since, until=until, mail_ids=outcome.ids).sent == 1
    assert provider.count_mails(since=since, until=until, domain="mail.example.org").sent >= 1
    assert proxy.calls(before) >= {"get /webhooks", "get /webhooks/{id}", "patch /webhooks/{id}"}
    assert proxy.errors(before) == []


#: The description of the schema of each event that the sandbox posts about a mail.
SCHEMA_OF_EVENT = {
    "email.sent": "EmailSentEvent",
    "email.delivered": "EmailDeliveredEvent",
    "email.delivery_delayed": "EmailDeliveryDelayedEvent",
    "email.bounced": "EmailBouncedEvent",
    "email.complained": "EmailComplainedEvent",
    "email.opened": "EmailOpenedEvent",
    "email.clicked": "EmailClickedEvent",
    "email.failed": "EmailFailedEvent",
    "email.suppressed": "EmailSuppressedEvent",
    "email.scheduled": "EmailScheduledEvent",
}


def test_every_event_of_the_sandbox_has_the_published_schema() -> None:
    published: dict[str, Any] = yaml.safe_load(description().read_text(encoding="utf-8"))
    receiver = Receiver()
    seen: set[str] = set()
    with running_sandbox(
        receiver.url, open_share=0.5, click_share=0.3, bounce_share=0.2, complaint_share=0.2
    ) as server:
        provider = ResendProvider(url=server.url, api_key="re_sandbox", webhook_secrets=())
        addresses = [f"reader-{number}@example.org" for number in range(40)]
        linked = '<a href="https://stories.test/one">Read</a>'
        body = provider.join([[provider.encode(replace(message(address), html=linked))] for address in addresses])
        assert provider.post_batch(body, key=new_key(), size=len(addresses)).kind is OutcomeKind.ACCEPTED
        server.wait_for_webhooks()
        provider.close()
    for received in receiver.received:
        kind = received.event["type"]
        reference = {"$ref": f"#/components/schemas/{SCHEMA_OF_EVENT[kind]}", "components": published["components"]}
        jsonschema.Draft202012Validator(reference).validate(received.event)
        seen.add(kind)
    receiver.close()
    assert seen >= {"email.sent", "email.delivered", "email.opened", "email.clicked", "email.bounced"}
