"""What a request says about who sent it: the proof for consents, and the network that limits count by."""

from __future__ import annotations

import ipaddress
import re

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from subscribers.consent.texts import TEXT_VERSION
from subscribers.models import ConsentForm, Evidence


def evidence_of(request: HttpRequest, form: str, text: str = "") -> Evidence:
    """The proof of a step that this request takes. `text` is the text that the page showed and
    the subscriber agreed to; empty for every other step.

    The language is that of the page, which is active. A one-click POST comes from no page. The path is stored without
    its token.
    """
    token = str(request.resolver_match.kwargs.get("token", "")) if request.resolver_match else ""
    path = request.path.replace(token, "…") if token else request.path
    return Evidence(
        form=form,
        text=text,
        version=TEXT_VERSION if text else "",
        language="" if form == ConsentForm.ONE_CLICK else translation.get_language() or "",
        source=_storable(path),
        ip=client_ip(request),
        user_agent=_storable(request.headers.get("User-Agent", "")),
    )


def _storable(text: str) -> str:
    """Without control characters and surrogates, which PostgreSQL and logs cannot hold, and cut to the column."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "", text)[:300]


def client_ip(request: HttpRequest) -> str | None:
    """The client's IP address, as the outermost of the TRUSTED_PROXIES saw it; without proxies, the peer's.

    Each proxy appends its peer to X-Forwarded-For. Entries further left come from the client and are not read.
    None if there is no address, as behind a Unix socket.
    """
    proxies: int = settings.TRUSTED_PROXIES
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")] if proxies else []
    for candidate in (hops[-proxies] if len(hops) >= proxies > 0 else "", request.META.get("REMOTE_ADDR", "")):
        try:
            address = ipaddress.ip_address(_without_port(candidate))
        except ValueError:
            continue
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address)
    return None


def _without_port(host: str) -> str:
    """The address in `203.0.113.9:4711`, `[2001:db8::1]:4711` or `[2001:db8::1]`, as some proxies write them.

    A zone such as in `fe80::1%eth0` is cut off, too: it names an interface of one machine.
    """
    host = host.strip('" ')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return host.partition("%")[0]


def network_of(request: HttpRequest) -> str:
    """The IPv4 address, or the /64 of an IPv6 address: providers give a whole /64 to one household."""
    ip = client_ip(request)
    if ip is None or ":" not in ip:
        return ip or ""
    return str(ipaddress.ip_network((ip, 64), strict=False))
