"""Secrets and signatures: as Standard Webhooks says, derived, and both valid while one is replaced."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import WebhookEndpoint, WebhookSecret, WebhookType
from newsletter.notifications.delivering import deliver_messages
from newsletter.notifications.endpoints import ROTATION, rotate_secret, send_test
from newsletter.notifications.signing import key_of, lost_secrets, secret_text, signed_headers, usable_secrets
from newsletter.providers.base import EventRejected
from newsletter.providers.resend.events import verify_signature
from tests.newsletter.notifications.receiver import Receiver

pytestmark = pytest.mark.django_db


def svix_headers(headers: dict[str, str]) -> dict[str, str]:
    """Under the names that Svix uses: the scheme is the same."""
    return {name.lower().replace("webhook-", "svix-"): value for name, value in headers.items()}


def now_in_seconds() -> int:
    return int(timezone.now().timestamp())


def test_another_implementation_accepts_the_signature_and_no_other_body(endpoint: WebhookEndpoint) -> None:
    key = key_of(WebhookSecret.objects.get())
    headers = signed_headers([key], "msg_1", now_in_seconds(), b'{"type":"webhook.test"}')
    assert verify_signature([key], svix_headers(headers), b'{"type":"webhook.test"}').event_id == "msg_1"
    with pytest.raises(EventRejected):
        verify_signature([key], svix_headers(headers), b'{"type":"webhook.text"}')
    with pytest.raises(EventRejected):
        verify_signature([b"another key of thirty-two bytes!"], svix_headers(headers), b'{"type":"webhook.test"}')


def test_the_signature_is_the_one_that_the_standard_shows() -> None:
    # The example of the specification's section on signatures.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_never_stored_and_has_the_length_that_the_standard_demands(endpoint: WebhookEndpoint) -> None:
    stored = WebhookSecret.objects.get()
    text = secret_text(stored)
    assert text.startswith("whsec_")
    assert 24 <= len(base64.b64decode(text.removeprefix("whsec_"))) <= 64
    columns = [str(value) for value in WebhookSecret.objects.values_list().get()]
    assert not [value for value in columns if len(value) > 8 and value in text]


def test_endpoints_have_secrets_of_their_own(open_at: Callable[..., WebhookEndpoint]) -> None:
    open_at("/a"), open_at("/b")
    first, second = WebhookSecret.objects.all()
    assert secret_text(first) != secret_text(second)


def test_while_a_secret_is_replaced_both_sign_and_later_only_the_new_one(endpoint: WebhookEndpoint) -> None:
    old = WebhookSecret.objects.get()
    new = rotate_secret(endpoint)
    now = timezone.now()
    assert list(usable_secrets(now)) == [new, old]
    assert list(usable_secrets(now + ROTATION + datetime.timedelta(minutes=1))) == [new]
    keys = [key_of(secret) for secret in usable_secrets(now)]
    headers = svix_headers(signed_headers(keys, "msg_1", now_in_seconds(), b"{}"))
    for secret in (old, new):
        assert verify_signature([key_of(secret)], headers, b"{}").event_id == "msg_1"


def test_a_new_secret_key_changes_no_secret_while_the_old_key_is_a_fallback(
    endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, text, key = WebhookSecret.objects.get(), secret_text(WebhookSecret.objects.get()), settings.SECRET_KEY
    monkeypatch.setattr(settings, "SECRET_KEY", "another secret key that is as long as needed")
    monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", [key])
    assert secret_text(stored) == text
    assert not lost_secrets(timezone.now()).exists()
    monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", [])
    assert list(lost_secrets(timezone.now())) == [stored]
    assert not usable_secrets(timezone.now()).exists()


def test_the_code_of_the_guide_verifies_what_is_sent_and_nothing_else(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    guide = (PROJECT_ROOT / "docs/webhooks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    send_test(endpoint)
    deliver_messages()
    (received,) = receiver.received
    secret = secret_text(WebhookSecret.objects.get())
    assert is_genuine(secret, received.headers, received.body)
    assert not is_genuine(secret, received.headers, received.body + b" ")
    assert not is_genuine("whsec_" + "A" * 43 + "=", received.headers, received.body)
    assert not is_genuine(secret, {**received.headers, "webhook-id": "msg_2"}, received.body)
    assert not is_genuine(secret, {**received.headers, "webhook-timestamp": "1700000000"}, received.body)


def test_the_guide_lists_every_type() -> None:
    guide = (PROJECT_ROOT / "docs/webhooks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", guide, re.MULTILINE)) == set(WebhookType.values)
