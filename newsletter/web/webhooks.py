"""The address that a provider's webhooks go to: verify, store, answer."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from newsletter.events.inbox import store_event
from newsletter.providers import get_route
from newsletter.providers.base import EventRejected

log = logging.getLogger(__name__)

#: Bytes; Standard Webhooks suggests payloads below 20 kB (R-84).
LARGEST_BODY = 256 * 1024


@method_decorator(csrf_exempt, name="dispatch")
class ResendWebhook(View):
    """One event a request. The body is read raw and nothing parses it before the signature is checked (R-75)."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """200 only once the event is stored; the provider repeats everything else."""
        provider = next((each for each in get_route() if each.name == "resend"), None)
        if provider is None:
            return _answer(404, "No provider in force sends webhooks here.")
        if request.content_type != "application/json":
            return _answer(415, "Send JSON.")
        if _length(request) > LARGEST_BODY:
            return _answer(413, "The event is too large.")
        try:
            signed = provider.verify({name.lower(): value for name, value in request.headers.items()}, request.body)
        except EventRejected as refusal:
            # One fixed answer, whatever was wrong. Resend tries again, which helps while a secret is being rotated.
            log.warning("webhook refused: %s", refusal)
            return _answer(400, "The signature could not be verified.")
        # If the insert fails, Django answers 500 and the provider sends the event again: nothing is lost.
        store_event(provider.name, signed)
        return _answer(200, "ok")


def _length(request: HttpRequest) -> int:
    declared = request.headers.get("Content-Length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else len(request.body)


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
