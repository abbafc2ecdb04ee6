"""Secrets and signatures: as Standard Webhooks says, derived, and both valid while one is replaced."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable

import pytest
from django.conf import settings
from django.utils import timezone

from newsletter.models import WebhookEndpoint, WebhookSecret
from newsletter.notifications.endpoints import ROTATION, rotate_secret
from newsletter.notifications.signing import key_of, lost_secrets, secret_text, signed_headers, usable_secrets
from newsletter.providers.base import EventRejected
from newsletter.providers.resend.events import verify_signature

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
