"""The `resend` SDK against the sandbox: its result for each answer."""

from __future__ import annotations

from typing import Any

import pytest
import resend
from resend.exceptions import ResendError

from newsletter.sandbox import Fault, SandboxServer
from newsletter.sandbox.refusals import REFUSALS
from tests.sandbox.peers import ADA, BEN, SECRET, mail, wait_until


@pytest.fixture(autouse=True)
def _sdk(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's settings are globals of its module."""
    monkeypatch.setattr(resend, "api_key", "re_sandbox")
    monkeypatch.setattr(resend, "api_url", sandbox.url)


def params(*to: str, **fields: Any) -> list[Any]:
    """Mails as parameters of the SDK, whose types do not allow invalid mails."""
    return [mail(address, **fields) for address in to]


def test_one_mail_is_sent_and_read() -> None:
    sent = resend.Emails.send(*params(ADA))
    read: Any = resend.Emails.get(sent["id"])
    assert (read["to"], read["subject"], read["object"]) == ([ADA], "Eleven stories", "email")
    assert sent["http_headers"]["ratelimit-policy"] == "10000;w=1"


def test_a_batch_is_sent_once_per_key() -> None:
    mails = params(ADA, BEN)
    first = resend.Batch.send(mails, {"idempotency_key": "issue-1"})
    again = resend.Batch.send(mails, {"idempotency_key": "issue-1"})
    assert first["data"] == again["data"]
    assert [entry["to"] for entry in resend.Emails.list()["data"]] == [[BEN], [ADA]]


def test_a_permissive_batch_has_errors() -> None:
    answer = resend.Batch.send(params(ADA, "nobody"), {"batch_validation": "permissive"})
    assert len(answer["data"]) == 1
    assert answer["errors"][0]["index"] == 1


def test_scheduled_mails_are_rescheduled_and_canceled() -> None:
    uid = resend.Emails.send(*params(ADA, scheduled_at="in 1 hour"))["id"]
    assert resend.Emails.update({"id": uid, "scheduled_at": "in 2 hours"})["id"] == uid
    assert resend.Emails.cancel(uid)["id"] == uid
    assert resend.Emails.get(uid)["last_event"] == "canceled"


def test_suppressions_domains_and_usage_are_read() -> None:
    added = resend.Suppressions.add({"email": ADA})
    assert resend.Suppressions.get(ADA)["id"] == added["id"]
    assert [entry["email"] for entry in resend.Suppressions.list({"limit": 10})["data"]] == [ADA]
    assert resend.Suppressions.remove(ADA)["deleted"]
    assert resend.Domains.list()["data"] == []
    assert resend.Usage.get()["rate_limit"]["limit"] == 10_000


def test_the_endpoint_its_events_and_the_counts_are_read(sandbox: SandboxServer) -> None:
    # Nobody listens there.
    sandbox.configure(webhook_url="http://127.0.0.1:9/", webhook_secrets=(SECRET,), webhook_time_scale=1.0)
    sent = resend.Emails.send(*params(ADA))
    (endpoint,) = resend.Webhooks.list()["data"]
    wait_until(sandbox, lambda: sandbox.team.events.summary()["tries"] > 0)
    (entry,) = resend.Webhooks.list_events(endpoint["id"], {"limit": 10})["data"]
    event = resend.Webhooks.get_event(endpoint["id"], entry["id"])
    assert (entry["type"], entry["status"], event["object"]) == ("email.sent", "attempting", "webhook_event")
    assert event["payload"]["data"]["email_id"] == sent["id"]  # type: ignore[typeddict-item]
    (attempt,) = resend.Webhooks.list_event_attempts(endpoint["id"], entry["id"])["data"]
    assert (attempt["http_status_code"], attempt["response"]) == (0, "")
    assert resend.Webhooks.replay_event(endpoint["id"], entry["id"])["id"] == entry["id"]
    assert resend.Webhooks.update({"webhook_id": endpoint["id"], "status": "disabled"})["id"] == endpoint["id"]
    assert resend.Webhooks.get(endpoint["id"])["status"] == "disabled"
    with pytest.raises(ResendError, match="disabled"):
        resend.Webhooks.replay_event(endpoint["id"], entry["id"])
    counted = resend.Emails.metrics({"metrics": ["sent", "bounced"], "email_id": [sent["id"]]})
    assert counted["totals"] == {"sent": 1, "bounced": 0}


@pytest.mark.parametrize(("status", "name", "message"), REFUSALS, ids=[f"{row[0]} {row[1]}" for row in REFUSALS])
def test_the_sdk_raises_every_refusal_with_status_and_name(
    sandbox: SandboxServer, status: int, name: str, message: str
) -> None:
    sandbox.plan(Fault(name, status=status))
    with pytest.raises(ResendError) as caught:
        resend.Batch.send(params(ADA))
    assert (int(caught.value.code), caught.value.error_type, str(caught.value)) == (status, name, message)


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        (Fault("reset"), 500, "HttpClientError"),
        (Fault("reset", after_commit=True), 500, "HttpClientError"),
        (Fault("silence", seconds=0.01), 500, "HttpClientError"),
        (Fault("html_502"), 502, "application_error"),
        (Fault("truncated"), 500, "HttpClientError"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_the_sdk_does_not_know_whether_an_interrupted_call_sent(
    sandbox: SandboxServer, fault: Fault, code: int, kind: str
) -> None:
    sandbox.plan(fault)
    with pytest.raises(ResendError) as caught:
        resend.Batch.send(params(ADA), {"idempotency_key": "issue-1"})
    assert (int(caught.value.code), caught.value.error_type) == (code, kind)
    resend.Batch.send(params(ADA), {"idempotency_key": "issue-1"})
    assert sandbox.ledger.summary()["messages"] == 1
