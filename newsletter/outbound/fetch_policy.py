"""Who fetches: the name we give, the hosts inside our network that may be visited, and how names are resolved."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings

#: A host name and a port in; the numbers of its machines out, best first. Raises OSError where there are none.
Resolver = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host` as the system knows them. Raises OSError, or UnicodeError for what no name can be."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """What a fetch needs to know of this installation."""

    user_agent: str
    allowed_hosts: frozenset[str] = frozenset()
    """Names, in lower case, that may be fetched from although they are inside the network."""
    resolver: Resolver = resolve
    tls: ssl.SSLContext | None = None
    """Whom to trust; None: the authorities that this machine trusts."""


def site_fetch_policy() -> FetchPolicy:
    """The visitor that the settings describe; its name says where to complain."""
    return FetchPolicy(
        user_agent=f"newsletter (+{settings.SITE_URL})",
        allowed_hosts=frozenset(host.lower() for host in settings.FETCH_ALLOWED_HOSTS),
    )


@functools.cache
def trusted_authorities() -> ssl.SSLContext:
    """The authorities that this machine trusts. Read once: it takes longer than a connection."""
    return ssl.create_default_context()
