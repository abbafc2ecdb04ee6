"""The rules of a fetch: user agent, allowed hosts of the local network, name resolution, trusted certificates."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings

#: Takes a host name and a port, returns its IP addresses, best first. Raises OSError if there are none.
Resolver = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of `host` by the resolver of the system. Raises OSError, or UnicodeError for an invalid name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """The rules of a fetch for this installation."""

    user_agent: str
    allowed_hosts: frozenset[str] = frozenset()
    """Host names, in lower case, that may be fetched from although they are not public."""
    resolver: Resolver = resolve
    tls: ssl.SSLContext | None = None
    """None: trust the certificate authorities of this machine."""


def site_fetch_policy() -> FetchPolicy:
    """The rules from the settings. The user agent contains the address of the site, for complaints."""
    return FetchPolicy(
        user_agent=f"newsletter (+{settings.SITE_URL})",
        allowed_hosts=frozenset(host.lower() for host in settings.FETCH_ALLOWED_HOSTS),
    )


@functools.cache
def trusted_authorities() -> ssl.SSLContext:
    """The certificate authorities that this machine trusts. Read once: that takes longer than a connection."""
    return ssl.create_default_context()
