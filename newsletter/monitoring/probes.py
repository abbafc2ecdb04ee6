"""Probes: /healthz, /readyz and /metrics.

They are answered by a middleware that comes before the check of the Host header, because a probe names the machine and
not the site. No session and no cookie is used.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from newsletter.config.validation import is_loopback
from newsletter.monitoring.health import readiness_problems
from newsletter.monitoring.metrics import CONTENT_TYPE, metrics_text

#: Headers that a proxy adds. A request with one of them came through a proxy, whose address proves nothing.
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers. It does not use the database: restarting would not bring that back."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 if requests can be served, else 503 with every reason."""
    problems = readiness_problems()
    status = "not ready" if problems else "ok"
    return JsonResponse({"status": status, "reasons": problems}, status=503 if problems else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics, for this machine and for requests with METRICS_TOKEN. Raises Http404 for all others."""
    if not (is_from_this_machine(request) or has_token(request)):
        raise Http404
    return HttpResponse(metrics_text(), content_type=CONTENT_TYPE)


def is_from_this_machine(request: HttpRequest) -> bool:
    """Whether the request came directly from a process on this machine, and not from a proxy on it."""
    is_direct = not any(name in request.headers for name in FORWARDED)
    return is_direct and is_loopback(request.META.get("REMOTE_ADDR")) and is_loopback(_host_of(request))


def _host_of(request: HttpRequest) -> str | None:
    try:
        return urlsplit(f"//{request.META.get('HTTP_HOST', '')}").hostname
    except ValueError:
        return None


def has_token(request: HttpRequest) -> bool:
    """Whether the request has METRICS_TOKEN as its bearer token; compared in constant time."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected = settings.METRICS_TOKEN
    return bool(expected) and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), expected.encode())


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


class ProbeMiddleware:
    """Answers probes, and passes all other requests on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle one request."""
        probe = PROBES.get(request.path_info)
        if probe is None:
            return self._get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
        try:
            response = probe(request)
        except Http404:
            response = HttpResponse("Not found.", status=404, content_type="text/plain; charset=utf-8")
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response
