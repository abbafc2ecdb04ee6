"""The webhook's address: only what is proved is stored, and what is stored is answered with 200."""

from __future__ import annotations

import base64
import hmac
import time
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.test import Client

from newsletter.models import Event
from newsletter.web.webhooks import LARGEST_BODY

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
def test_a_signed_event_is_stored_as_it_was_signed_and_answered_with_200() -> None:
    answer = post()
    assert (answer.status_code, answer.content) == (200, b"ok")
    receipt = Event.objects.get()
    assert (receipt.provider, receipt.event_id, receipt.kind) == ("resend", "msg_1", "email.delivered")
    assert receipt.body == BODY.decode()


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
def test_whatever_is_not_proved_gets_one_fixed_answer_and_is_not_stored(changes: dict[str, str]) -> None:
    answer = post(changes=changes)
    assert (answer.status_code, answer.content) == (400, b"The signature could not be verified.")
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_a_body_that_was_written_again_is_refused() -> None:
    answer = Client().post(URL, data=BODY.replace(b" ", b""), content_type="application/json", headers=headers(BODY))
    assert answer.status_code == 400


@pytest.mark.django_db
def test_only_json_of_a_sane_size_is_read() -> None:
    assert post(content_type="multipart/form-data; boundary=x").status_code == 415
    assert post(b"[" + b" " * LARGEST_BODY + b"]").status_code == 413
    assert Client().get(URL).status_code == 405
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_an_unknown_kind_is_stored_and_answered_with_200() -> None:
    assert post(b'{"type": "email.teleported"}').status_code == 200
    assert post(b"no json at all").status_code == 200  # it is signed, so it is theirs; applying it will say why not


@pytest.mark.django_db
def test_an_event_that_could_not_be_stored_is_not_answered_with_200(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr("newsletter.web.webhooks.store_event", fail)
    assert post().status_code == 500


def test_a_provider_without_webhooks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PROVIDER", "smtp")
    answer = post()
    assert (answer.status_code, answer.content) == (404, b"No provider in force sends webhooks here.")
