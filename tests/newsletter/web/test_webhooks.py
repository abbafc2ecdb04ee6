"""The webhook inbox: only verified events are stored, and 200 is sent only after an event is stored.

Every test goes through both doors, the application in front of Django and the view: their answers are the same.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.urls import reverse
from django.utils import translation

from newsletter import providers
from newsletter.config.request_body import Application
from newsletter.models import Event
from newsletter.providers.base import SignedEvent
from newsletter.web import webhooks
from newsletter.web.webhooks import MAX_BODY_SIZE
from tests.newsletter.web.webhook_doors import BODY, DOORS, URL, Reply, ask, headers, request
from tests.raw_http import in_chunks

pytestmark = pytest.mark.django_db


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Application:
    return DOORS[request.param]


def post(door: Application, body: bytes = BODY, **changes: Any) -> Reply:
    return ask(door, request(body, **changes))


def stored() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("event_id", flat=True))


# --- What is stored ------------------------------------------------------------------------------------------------


def test_a_signed_event_is_stored_unchanged_and_answered_with_200(door: Application) -> None:
    answer = post(door)
    assert (answer.status, answer.text) == (200, "ok")
    event = Event.objects.get()
    assert (event.provider, event.event_id, event.kind) == ("resend", "msg_1", "email.delivered")
    assert event.body == BODY.decode()


def test_a_stored_event_is_the_one_that_the_orm_would_have_stored(door: Application) -> None:
    post(door)
    event = Event.objects.get()
    known = {name: getattr(event, name) for name in ("provider", "event_id", "kind", "body", "received_at")}
    expected = Event.objects.create(**{**known, "event_id": "msg_2"})
    expected.refresh_from_db()
    for field in Event._meta.concrete_fields:
        if field.name not in ("id", "event_id"):
            assert getattr(event, field.attname) == getattr(expected, field.attname), field.name


def test_a_replay_is_answered_with_200_and_stored_once(door: Application) -> None:
    assert [post(door).status for _ in range(3)] == [200, 200, 200]
    assert Event.objects.count() == 1


def test_an_unknown_kind_is_stored_and_answered_with_200(door: Application) -> None:
    assert post(door, b'{"type": "email.teleported"}').status == 200
    # The signature is valid; applying it reports the problem.
    assert post(door, b"no json at all", changes=headers(b"no json at all", event_id="msg_2")).status == 200
    assert stored() == ["msg_1", "msg_2"]


def test_nul_is_removed_from_the_copy_after_the_signature_was_checked(door: Application) -> None:
    assert post(door, b'{"type": "email\x00.delivered", "a": "\\u0000"}').status == 200
    assert Event.objects.get().body == '{"type": "email.delivered", "a": "\\u0000"}'


def test_an_event_of_a_provider_that_is_no_longer_in_provider_is_stored(
    door: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PROVIDER", "smtp")
    assert post(door).status == 200
    assert Event.objects.get().provider == "resend"


class Postbox:
    """As much of a provider as takes a webhook."""

    name, supports_webhooks, has_webhook_secret = "postbox", True, True

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        return SignedEvent(event_id=headers["postbox-id"], body=body.decode())


def test_another_provider_takes_its_webhooks_under_its_own_name(
    door: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "PROVIDERS", {**providers.PROVIDERS, "postbox": Postbox})
    assert post(door, path="/webhooks/postbox/", changes={"Postbox-Id": "p-1"}).status == 200
    event = Event.objects.get()
    assert (event.provider, event.event_id) == ("postbox", "p-1")


def test_either_of_two_secrets_verifies_during_a_rotation(door: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = headers()
    monkeypatch.setattr(settings, "WEBHOOK_SECRETS", ["whsec_" + "A" * 32, *settings.WEBHOOK_SECRETS])
    assert post(door, changes=signed).status == 200


# --- What is not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"svix-signature": "v1,AAAA"},
        {"svix-signature": ""},
        {"svix-signature": "v1,ÿ"},
        {"svix-signature": "v2," + "A" * 43 + "="},
        {"svix-id": ""},
        {"svix-id": "msg_2"},
        {"svix-id": "x" * 129},
        {"svix-id": "msg\x00_1"},
        {"svix-timestamp": "1"},
        {"svix-timestamp": "9" * 12},
        {"svix-timestamp": "-1"},
        {"svix-timestamp": ""},
    ],
    ids=str,
)
def test_an_unverified_event_is_rejected_without_a_reason_and_not_stored(
    door: Application, changes: dict[str, str]
) -> None:
    answer = post(door, changes=changes)
    assert (answer.status, answer.text) == (400, "The signature could not be verified.")
    assert not Event.objects.exists()


def test_a_reserialised_body_is_rejected(door: Application) -> None:
    assert post(door, BODY.replace(b" ", b""), changes=headers(BODY)).status == 400


def test_a_signed_body_that_is_not_utf8_is_rejected(door: Application) -> None:
    assert post(door, b'{"type": "\xff"}').status == 400
    assert not Event.objects.exists()


def test_a_valid_signature_behind_too_many_others_is_rejected(door: Application) -> None:
    valid = headers()["svix-signature"]
    others = ["v1," + "A" * 43 + "="] * 9_999
    assert post(door, changes={"svix-signature": " ".join([*others, valid])}).status == 400
    assert post(door, changes={"svix-signature": " ".join([*others[:9], valid])}).status == 200


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "text/plain", "", "application/jsonx"])
def test_only_json_up_to_the_size_limit_is_accepted(door: Application, content_type: str) -> None:
    assert ask(door, {**request(), "CONTENT_TYPE": content_type}).status == 415
    assert post(door, of_size(MAX_BODY_SIZE + 1)).status == 413
    assert not Event.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", " application/json "])
def test_json_may_be_declared_in_any_form(door: Application, content_type: str) -> None:
    assert ask(door, {**request(), "CONTENT_TYPE": content_type}).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_a_post_is_accepted(door: Application, method: str) -> None:
    answer = ask(door, request(method=method))
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.text == ("" if method == "HEAD" else "A webhook must be a POST.")
    assert not Event.objects.exists()


@pytest.mark.parametrize("path", ["/webhooks/smtp/", "/webhooks/sandbox/", "/webhooks/Resend/", "/webhooks/postbox/"])
def test_a_provider_without_webhooks_is_not_found(door: Application, path: str) -> None:
    for method in ("POST", "GET"):
        answer = ask(door, request(path=path, method=method))
        assert (answer.status, answer.text) == (404, "No configured provider sends webhooks to this endpoint.")


def test_without_a_signing_secret_the_answer_is_404(door: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = request()
    monkeypatch.setattr(settings, "PROVIDER", "smtp")
    monkeypatch.setattr(settings, "WEBHOOK_SECRETS", [])
    answer = ask(door, signed)
    assert (answer.status, answer.text) == (404, "No configured provider sends webhooks to this endpoint.")


# --- Sizes ---------------------------------------------------------------------------------------------------------


def of_size(size: int) -> bytes:
    return b'{"a": "' + b"a" * (size - 9) + b'"}'


def chunked(body: bytes, *, stream: Any = None) -> dict[str, Any]:
    """The request without a length, its body decoded, as gunicorn passes it on."""
    environ = {**request(body), "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    environ["wsgi.input"] = stream or io.BytesIO(body)
    del environ["CONTENT_LENGTH"]
    return environ


def test_a_body_may_have_the_largest_size_and_not_a_byte_more(door: Application) -> None:
    assert post(door, of_size(MAX_BODY_SIZE)).status == 200
    answer = post(door, of_size(MAX_BODY_SIZE + 1))
    assert (answer.status, answer.text) == (413, "The body is too large.")
    assert Event.objects.count() == 1


def test_a_chunked_body_may_have_the_largest_size_and_not_a_byte_more(door: Application) -> None:
    assert ask(door, chunked(of_size(MAX_BODY_SIZE))).status == 200
    answer = ask(door, chunked(of_size(MAX_BODY_SIZE + 1)))
    assert (answer.status, answer.text) == (413, "The body is too large.")
    assert Event.objects.count() == 1


@pytest.mark.parametrize("length", [str(MAX_BODY_SIZE + 1), "9" * 30, "9" * 5000, "²", "1e3"])
def test_a_declared_length_that_is_too_long_or_no_number_is_refused_unread(door: Application, length: str) -> None:
    environ = {**request(), "CONTENT_LENGTH": length}
    if door is DOORS["application"]:
        environ["wsgi.input"] = None  # it would fail
    assert ask(door, environ).status == 413
    assert not Event.objects.exists()


def test_a_body_that_the_server_does_not_decode_is_refused(door: Application) -> None:
    environ = chunked(BODY, stream=io.BytesIO(b"".join(in_chunks(BODY))))
    del environ["wsgi.input_terminated"]
    assert ask(door, environ).status == 411


def test_a_request_without_a_body_is_unverified(door: Application) -> None:
    environ = request()
    del environ["CONTENT_LENGTH"]
    assert ask(door, environ).status == 400


# --- Failures and log ----------------------------------------------------------------------------------------------


def test_an_event_that_could_not_be_stored_is_answered_with_500(
    door: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("a wrong query")

    monkeypatch.setattr(webhooks, "store_event", fail)
    assert post(door).status == 500


def test_a_rejected_webhook_is_logged_with_a_code_in_any_language(
    door: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with translation.override("de"):
        post(door, changes={"svix-signature": "v1,AAAA"})
    (record,) = [record for record in caplog.records if record.name == "newsletter.web.webhooks"]
    assert (record.getMessage(), record.__dict__["reason"]) == ("Webhook rejected", "event_signature_mismatch")
    assert record.exc_info is None


def test_every_answer_is_plain_text(door: Application) -> None:
    asked = [
        request(),
        request(changes={"svix-id": ""}),
        request(path="/webhooks/postbox/"),
        request(content_type="text/html"),
        request(of_size(MAX_BODY_SIZE + 1)),
        request(method="GET"),
    ]
    answers = [ask(door, each) for each in asked]
    assert [answer.status for answer in answers] == [200, 400, 404, 415, 413, 405]
    assert {answer.headers["Content-Type"] for answer in answers} == {"text/plain; charset=utf-8"}


def test_the_url_is_that_of_the_readme() -> None:
    assert reverse("webhook", args=["resend"]) == URL
