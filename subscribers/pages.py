"""What reader pages share: the words people agree to, who is asking, and headers of pages behind a token."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from subscribers.models import MailingList
from subscribers.transitions import Evidence

#: Goes up whenever the sentences below change; consents keep the words themselves beside it.
WORDS_VERSION = "1"

View = Callable[..., HttpResponse]


def signup_words(mailing_list: MailingList) -> str:
    """What a person agrees to at the sign-up form; shown there and stored as proof (R-30)."""
    return (
        f"You ask for {mailing_list.name} by mail. We send a link to confirm first, and use the address "
        "for nothing else. You can leave at any time with one click."
    )


def confirm_words(mailing_list: MailingList) -> str:
    """What a person agrees to with the button of the confirmation page; shown there and stored as proof."""
    return (
        f"With the button you agree that {mailing_list.name} is sent to this address. "
        "You can leave at any time with one click."
    )


def evidence_of(request: HttpRequest, form: str, words: str = "") -> Evidence:
    """Where and how somebody acts right now, for the proof. Tokens in the path are left out."""
    token = str(request.resolver_match.kwargs.get("token", "")) if request.resolver_match else ""
    path = request.path.replace(token, "…") if token else request.path
    return Evidence(
        form=form,
        text=words,
        version=WORDS_VERSION if words else "",
        language="en",
        source=_storable(path),
        ip=client_ip(request),
        user_agent=_storable(request.headers.get("User-Agent", "")),
    )


def _storable(text: str) -> str:
    """Without control characters, which no log or PostgreSQL text may hold, and not longer than the column."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "", text)[:300]


def client_ip(request: HttpRequest) -> str | None:
    """The address of whoever asks, as seen by the outermost of our TRUSTED_PROXIES; without proxies, the peer's.

    Each proxy appends its peer to X-Forwarded-For, so what lies further left is the client's own word and is never
    read (R-40). None if there is no address, as behind a Unix socket.
    """
    proxies: int = settings.TRUSTED_PROXIES
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")] if proxies else []
    for candidate in (hops[-proxies] if len(hops) >= proxies > 0 else "", request.META.get("REMOTE_ADDR", "")):
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address)
    return None


def network_of(request: HttpRequest) -> str:
    """What limits count by: an IPv4 address, or the /64 of an IPv6 one, which one household has to itself (R-39)."""
    ip = client_ip(request)
    if ip is None or ":" not in ip:
        return ip or ""
    return str(ipaddress.ip_network((ip, 64), strict=False))


def private(view: View) -> View:
    """A page behind a token: no cache keeps it, no robot lists it, no link from it tells its address (R-7, R-161)."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex"
        response["Referrer-Policy"] = "no-referrer"
        return response

    return answer
