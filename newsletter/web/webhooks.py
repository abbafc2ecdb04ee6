"""Webhooks of providers: verify, store, respond. `webhook_app` serves them; the view is for Django's test client."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from newsletter.events.inbox import store_event
from newsletter.providers import webhook_provider
from newsletter.providers.base import EventRejected
from newsletter.web.database_outage import RETRY_AFTER

log = logging.getLogger(__name__)

#: In bytes. Standard Webhooks recommends payloads below 20 kB.
MAX_BODY_SIZE = 256 * 1024

CONTENT_TYPE = "text/plain; charset=utf-8"


class WebhookAnswer(NamedTuple):
    """A response without anything of the request in it. `headers` are those beside type and length."""

    status: HTTPStatus
    text: str
    headers: tuple[tuple[str, str], ...] = ()


OK = WebhookAnswer(HTTPStatus.OK, "ok")
NOT_FOUND = WebhookAnswer(HTTPStatus.NOT_FOUND, "No configured provider sends webhooks to this endpoint.")
NOT_A_POST = WebhookAnswer(HTTPStatus.METHOD_NOT_ALLOWED, "A webhook must be a POST.", (("Allow", "POST"),))
NOT_JSON = WebhookAnswer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The content type must be application/json.")
TOO_LARGE = WebhookAnswer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
# It does not tell the reason. Resend retries, which helps while a secret is being rotated.
UNVERIFIED = WebhookAnswer(HTTPStatus.BAD_REQUEST, "The signature could not be verified.")
#: As `DatabaseOutageMiddleware` answers for the view.
UNAVAILABLE = WebhookAnswer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The database is unavailable. Try again later.",
    (("Retry-After", str(RETRY_AFTER)), ("Cache-Control", "no-store")),
)


def receive_webhook(name: str, environ: Mapping[str, Any]) -> WebhookAnswer:
    """Take the event in a WSGI request to /webhooks/NAME/. 200 means that it is stored.

    The raw body is verified before anything parses it (Standard Webhooks). Raises DatabaseError if the event could not
    be stored: the response must then be a 503 or 500, so that the provider retries.
    """
    # Also if it is not in PROVIDER any more: events about mails that it sent before still arrive.
    provider = webhook_provider(name)
    if provider is None:
        return NOT_FOUND
    if environ["REQUEST_METHOD"] != "POST":
        return NOT_A_POST
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != "application/json":
        return NOT_JSON
    length = _declared_length(environ)
    if length > MAX_BODY_SIZE:
        return TOO_LARGE
    try:
        signed = provider.verify_webhook(_headers(environ), environ["wsgi.input"].read(length))
    except EventRejected as rejected:
        log.warning("Webhook rejected", extra={"provider": provider.name, "reason": rejected.code})
        return UNVERIFIED
    store_event(provider.name, signed)
    return OK


@csrf_exempt
def webhook(request: HttpRequest, name: str) -> HttpResponse:
    """The same as a view. `DatabaseOutageMiddleware` answers for it while the database is away."""
    status, text, headers = receive_webhook(name, request.META)
    return HttpResponse(text, status=status, content_type=CONTENT_TYPE, headers=dict(headers))


def _declared_length(environ: Mapping[str, Any]) -> int:
    """In bytes. `BodyLengthMiddleware` gives a length to every body; one that is no number counts as too large."""
    declared = environ.get("CONTENT_LENGTH") or "0"
    is_number = declared.isascii() and declared.isdigit() and len(declared) < 10
    return int(declared) if is_number else MAX_BODY_SIZE + 1


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    return {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
