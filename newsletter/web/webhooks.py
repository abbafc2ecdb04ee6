"""The endpoint for webhooks of providers: verify, store, respond."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from newsletter.events.inbox import store_event
from newsletter.providers import webhook_providers
from newsletter.providers.base import EventRejected

log = logging.getLogger(__name__)

#: In bytes. Standard Webhooks recommends payloads below 20 kB.
MAX_BODY_SIZE = 256 * 1024


@method_decorator(csrf_exempt, name="dispatch")
class ResendWebhook(View):
    """Takes one event per request. The raw body is verified before anything parses it (Standard Webhooks)."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """Respond with 200 only after the event is stored; the provider retries on every other status."""
        # Also if it is not in PROVIDER any more: events about mails that Resend sent before still arrive.
        provider = next((each for each in webhook_providers() if each.name == "resend"), None)
        if provider is None or not settings.WEBHOOK_SECRETS:
            return _answer(404, "No configured provider sends webhooks to this endpoint.")
        if request.content_type != "application/json":
            return _answer(415, "The content type must be application/json.")
        if _length(request) > MAX_BODY_SIZE:
            return _answer(413, "The body is too large.")
        try:
            signed = provider.verify_webhook(
                {name.lower(): value for name, value in request.headers.items()}, request.body
            )
        except EventRejected as rejected:
            # The response does not tell the reason. Resend retries, which helps while a secret is being rotated.
            log.warning("Webhook rejected", extra={"provider": provider.name, "reason": rejected.code})
            return _answer(400, "The signature could not be verified.")
        # If the insert fails, the response is 503 or 500, and the provider retries, so that no event is lost.
        store_event(provider.name, signed)
        return _answer(200, "ok")


def _length(request: HttpRequest) -> int:
    declared = request.headers.get("Content-Length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else len(request.body)


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
