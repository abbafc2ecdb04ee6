"""Where probes are answered: /healthz, /readyz, /metrics.

A middleware and not views: a probe names the machine and not the site, so it comes before the check of the Host
header, and neither sessions nor cookies are touched for it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from newsletter.config.validation import is_loopback
from newsletter.monitoring.health import obstacles
from newsletter.monitoring.metrics import CONTENT_TYPE, metrics_text

#: Headers that a proxy adds. With one of them, the peer's address is the proxy's and says nothing.
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")


def healthz(request: HttpRequest) -> HttpResponse:
    """200 as soon as the process answers. Touches nothing else: a database that is away is no reason to restart."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 if requests can be served, else 503 with every reason."""
    found = obstacles()
    return JsonResponse({"status": "not ready" if found else "ok", "reasons": found}, status=503 if found else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """The numbers for Prometheus; 404 for whoever may not have them. Raises Http404."""
    if not (is_from_this_machine(request) or has_the_token(request)):
        raise Http404
    return HttpResponse(metrics_text(), content_type=CONTENT_TYPE)


def is_from_this_machine(request: HttpRequest) -> bool:
    """Whether the request came straight from a process here, and not from a proxy that runs here."""
    is_direct = not any(name in request.headers for name in FORWARDED)
    return is_direct and is_loopback(request.META.get("REMOTE_ADDR")) and is_loopback(_host_of(request))


def _host_of(request: HttpRequest) -> str | None:
    try:
        return urlsplit(f"//{request.META.get('HTTP_HOST', '')}").hostname
    except ValueError:
        return None


def has_the_token(request: HttpRequest) -> bool:
    """Whether METRICS_TOKEN came as a bearer token; compared in constant time."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    return bool(wanted) and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), wanted.encode())


PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}


class ProbeMiddleware:
    """Answers probes; passes everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """One request."""
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
