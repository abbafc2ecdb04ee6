"""Links of issues that lead through this site: to the address that the edition has, and nowhere else.

No session, no cookie, no language of the browser, and no database as long as the process knows the edition: such a link
is followed years later, and while nothing else works.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from newsletter.engagement.agents import agent_family
from newsletter.engagement.disabled_links import DISABLED
from newsletter.engagement.link_tables import TABLES
from newsletter.engagement.networks import network_class, network_hash, visitor_hash
from newsletter.engagement.record import RECORDER, Request
from newsletter.engagement.tokens import LinkToken, read_token
from newsletter.models import CANARIES, OPEN, HitMethod, Newsletter
from subscribers.web.evidence import client_ip

#: Of every answer: it is not kept, not indexed, and the token is told to no other site.
HEADERS = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    # Named, so that the answer does not vary by the language of the browser.
    "Content-Language": settings.LANGUAGE_CODE,
}

#: An image of one transparent pixel.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

#: Newsletters whose archives the page of a dead link names.
MAX_ARCHIVES = 20

#: What browsers send that fetch ahead of a click.
PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


def with_headers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view, with HEADERS on its answers."""

    @functools.wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        for name, value in HEADERS.items():
            response[name] = value
        return response

    return shown


@require_safe
@with_headers
def follow_link(request: HttpRequest, token: str) -> HttpResponse:
    """Lead on, show the image, or answer a canary; 404 for every other token, the same for all of them.

    A link that an editor has disabled leads nowhere, and counts nothing. HEAD is answered like GET and counts nothing.
    """
    link = read_token(token)
    if link is None:
        return _dead_link(request)
    if link.number == OPEN:
        response = HttpResponse(PIXEL, content_type="image/gif")
    elif link.number in CANARIES:
        response = HttpResponse("There is nothing to see here.\n", content_type="text/plain; charset=utf-8")
    elif DISABLED.has(link.edition, link.number):
        return _disabled_link(request)
    else:
        url = TABLES.destination(link.edition, link.number)
        if url is None:
            return _dead_link(request)
        response = HttpResponseRedirect(url)
    if request.method == "GET":
        _record_after(response, request, link)
    return response


def _record_after(response: HttpResponse, request: HttpRequest, link: LinkToken) -> None:
    """Record the request when the server has sent the answer and closes it."""
    ip, agent, now = client_ip(request), agent_family(request.headers.get("User-Agent", "")), timezone.now()
    is_ahead = any("prefetch" in request.headers.get(name, "").lower() for name in PREFETCH_HEADERS)
    hit = Request(
        at=now,
        edition=link.edition,
        number=link.number,
        method=HitMethod.PREFETCH if is_ahead else HitMethod.GET,
        delivery=link.delivery,
        visitor=visitor_hash(ip, agent, now),
        network=network_hash(ip, now),
        network_class=network_class(ip),
        agent=agent,
    )
    close = response.close

    def close_and_record() -> None:
        close()
        RECORDER.take(hit)

    response.close = close_and_record  # type: ignore[method-assign]


def _dead_link(request: HttpRequest) -> HttpResponse:
    """The page of a link that is incomplete or from nowhere, with the archives as far as the database answers."""
    return render(request, "newsletter/dead_link.html", {"newsletters": _newsletters()}, status=404)


def _disabled_link(request: HttpRequest) -> HttpResponse:
    """The page of a link that an editor has disabled. It does not name the address behind it."""
    return render(request, "newsletter/disabled_link.html", {"newsletters": _newsletters()}, status=410)


def _newsletters() -> list[Newsletter]:
    try:
        return list(Newsletter.objects.order_by("name", "pk")[:MAX_ARCHIVES])
    except (DatabaseError, InterfaceError):
        return []
