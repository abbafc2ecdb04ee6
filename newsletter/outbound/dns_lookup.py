"""Questions to the DNS, with dnspython: every answer in a bounded time, and no answer told apart from no record."""

from __future__ import annotations

from collections.abc import Callable

import dns.exception
import dns.resolver

#: Seconds for one question, over all name servers and repeats.
LOOKUP_SECONDS = 4.0

#: Takes a name and a record type (TXT, MX, CNAME, A, AAAA), returns the records as text: TXT with its strings joined,
#: MX as “10 mail.example.org”, names in lower case without the last dot. Empty if the name or the type does not exist.
#: Raises DnsFailed if that is not known.
Lookup = Callable[[str, str], tuple[str, ...]]


class DnsFailed(Exception):
    """No name server gave an answer that can be used. The same question may be answered later."""

    permanent, retryable = False, True

    def __init__(self, name: str, kind: str, error: str) -> None:
        super().__init__(f"{kind} {name}: {error}")
        self.name, self.kind, self.error = name, kind, error


def query_dns(name: str, kind: str) -> tuple[str, ...]:
    """See Lookup. Asks the resolvers of this machine."""
    resolver = dns.resolver.Resolver()
    resolver.lifetime = LOOKUP_SECONDS
    try:
        # Without this, the answer to a name that is an alias of itself or of a missing name would be an error.
        answer = resolver.resolve(f"{name.rstrip('.')}.", kind, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return ()
    except (dns.exception.DNSException, OSError, UnicodeError) as error:
        raise DnsFailed(name, kind, type(error).__name__) from error
    return tuple(_text(record, kind) for record in answer.rrset or ())


def _text(record: object, kind: str) -> str:
    if kind == "TXT":
        # RFC 7208 §3.3: the strings of one record are joined without a space.
        return b"".join(getattr(record, "strings")).decode("utf-8", "replace")  # noqa: B009 - no type of its own
    return str(record).lower().removesuffix(".")
