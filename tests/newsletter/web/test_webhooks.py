"""The webhook endpoint: only verified events are stored, and 200 is sent only after an event is stored."""

from __future__ import annotations

import base64
import hmac
import time
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.test import Client
from django.utils import translation

from newsletter.models import Event
from newsletter.web.webhooks import MAX_BODY_SIZE

URL = "/webhooks/resend/"
BODY = b'{"type": "email.delivered", "created_at": "2026-11-20T07:00:00Z", "data": {}}'


def headers(body: bytes = BODY, *, event_id: str = "msg_1") -> dict[str, str]:
    timestamp = str(int(time.time()))
    secret = base64.b64decode(settings.WEBHOOK_SECRETS[0].removeprefix("whsec_"))
    digest = hmac.digest(secret, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    signature = "v1," + base64.b64encode(digest).decode()
    return {"svix-id": event_id, "svix-timestamp": timestamp, "svix-signature": signature}


def post(body: bytes = BODY, *, content_type: str = "application/json", changes: dict[str, str] | None = None) -> Any:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.post(URL, data=body, content_type=content_type, headers={**headers(body), **(changes or {})})


@pytest.mark.django_db
def test_a_signed_event_is_stored_unchanged_and_answered_with_200() -> None:
    answer = post()
    assert (answer.status_code, answer.content) == (200, b"ok")
    event = Event.objects.get()
    assert (event.provider, event.event_id, event.kind) == ("resend", "msg_1", "email.delivered")
    assert event.body == BODY.decode()


@pytest.mark.django_db
def test_a_replay_is_answered_with_200_and_stored_once() -> None:
    assert [post().status_code for _ in range(3)] == [200, 200, 200]
    assert Event.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [{"svix-signature": "v1,AAAA"}, {"svix-id": ""}, {"svix-timestamp": "1"}, {"svix-signature": "v1,ÿ"}],
    ids=str,
)
def test_an_unverified_event_is_rejected_without_a_reason_and_not_stored(changes: dict[str, str]) -> None:
    answer = post(changes=changes)
    assert (answer.status_code, answer.content) == (400, b"The signature could not be verified.")
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_a_reserialised_body_is_rejected() -> None:
    answer = Client().post(URL, data=BODY.replace(b" ", b""), content_type="application/json", headers=headers(BODY))
    assert answer.status_code == 400


@pytest.mark.django_db
def test_only_json_up_to_the_size_limit_is_accepted() -> None:
    assert post(content_type="multipart/form-data; boundary=x").status_code == 415
    assert post(b"[" + b" " * MAX_BODY_SIZE + b"]").status_code == 413
    assert Client().get(URL).status_code == 405
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_an_unknown_kind_is_stored_and_answered_with_200() -> None:
    assert post(b'{"type": "email.teleported"}').status_code == 200
    assert post(b"no json at all").status_code == 200  # the signature is valid; applying it reports the problem


@pytest.mark.django_db
def test_an_event_that_could_not_be_stored_is_answered_with_500(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr("newsletter.web.webhooks.store_event", fail)
    assert post().status_code == 500


def test_without_a_signing_secret_the_answer_is_404(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = headers()
    monkeypatch.setattr(settings, "PROVIDER", "smtp")
    monkeypatch.setattr(settings, "WEBHOOK_SECRETS", [])
    answer = Client().post(URL, data=BODY, content_type="application/json", headers=signed)
    assert (answer.status_code, answer.content) == (404, b"No configured provider sends webhooks to this endpoint.")


@pytest.mark.django_db
def test_an_event_of_a_provider_that_is_no_longer_in_provider_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PROVIDER", "smtp")
    assert post().status_code == 200
    assert Event.objects.get().provider == "resend"


def test_a_rejected_webhook_is_logged_with_a_code_in_any_language(caplog: pytest.LogCaptureFixture) -> None:
    with translation.override("de"):
        post(changes={"svix-signature": "v1,AAAA"})
    (record,) = [record for record in caplog.records if record.name == "newsletter.web.webhooks"]
    assert (record.getMessage(), record.__dict__["reason"]) == ("Webhook rejected", "event_signature_mismatch")
