"""The two ways into the webhook inbox, as WSGI applications: the application in front of Django, and the view."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import Error
from django.test import RequestFactory
from django.test.client import ClientHandler

from newsletter.config.request_body import Application, BodyLengthMiddleware
from newsletter.web.webhook_app import WebhookApplication

URL = "/webhooks/resend/"
BODY = b'{"type": "email.delivered", "created_at": "2026-11-20T07:00:00Z", "data": {}}'


def headers(body: bytes = BODY, *, event_id: str = "msg_1") -> dict[str, str]:
    """The headers of a signed event."""
    timestamp = str(int(time.time()))
    secret = base64.b64decode(settings.WEBHOOK_SECRETS[0].removeprefix("whsec_"))
    digest = hmac.digest(secret, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    signature = "v1," + base64.b64encode(digest).decode()
    return {"svix-id": event_id, "svix-timestamp": timestamp, "svix-signature": signature}


def request(
    body: bytes = BODY,
    *,
    method: str = "POST",
    path: str = URL,
    content_type: str = "application/json",
    changes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The WSGI environment of a request with a signed event, and with other headers than that where `changes` says."""
    sent: dict[str, Any] = {**headers(body), **(changes or {})}
    environ: dict[str, Any] = RequestFactory(headers=sent).generic(method, path, body, content_type).environ
    return environ


@dataclass(frozen=True)
class Reply:
    """A response. The text is without the line break at its end."""

    status: int
    headers: dict[str, str]
    text: str


def ask(door: Application, environ: dict[str, Any]) -> Reply:
    """Send one request, as a web server does."""
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    try:
        body = b"".join(door(environ, lambda status, headers: begun.append((status, headers))))
    except Error:
        # What web servers make of an exception.
        return Reply(500, {}, "")
    ((status, sent),) = begun
    return Reply(int(status[:3]), dict(sent), body.decode().strip())


def _nothing_else(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise AssertionError(f"{environ['PATH_INFO']} went on to Django.")


def _django(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    # Not Django's WSGI handler, which would close the connection with the test's transaction.
    response: Any = ClientHandler(enforce_csrf_checks=True)(environ)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [response.content]


DOORS: dict[str, Application] = {
    "application": WebhookApplication(_nothing_else),
    "view": BodyLengthMiddleware(_django),
}
