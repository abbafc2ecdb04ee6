"""What is known about one sign-up, as values: rules are compared with these and with nothing else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from django.conf import settings

from subscribers.addresses import UNFIT_FOR_HEADERS, Address
from subscribers.signup.domains import is_disposable, is_role

MAX_SOURCE_LENGTH = 60

#: Lengths of the networks that the log keeps: no longer one household, still one provider’s region.
LOGGED_PREFIXES = {4: 24, 6: 48}

_URL = re.compile(
    r"https?:|www\.|://|\b[\w-]{2,}\.(com|net|org|info|biz|ru|cn|top|xyz|shop|site|online|link|io|me)\b", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One sign-up. All values are JSON."""

    domain: str = ""
    is_role: bool = False
    is_disposable: bool = False
    network: str = ""
    """An IP network; empty if unknown."""
    source: str = ""
    language: str = ""
    """Code of the first language that the browser asks for; empty if it names none."""
    has_url: bool = False
    """Whether an answer contains a web address."""
    is_honeypot: bool = False
    seconds: float | None = None
    """Between showing and submitting the form; None if the form has no stamp."""
    is_embedded: bool = False
    """Whether the form was on another site."""
    is_solved: bool = False
    """Whether a challenge was solved."""
    rates: Mapping[str, int] = field(default_factory=dict)
    """Counts of the present windows with this sign-up, as `domain-24`: by RateScope and hours."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Answers to custom fields as text, by key."""
    mail_domain: str = ""
    """A MailDomainStatus; empty before the DNS was asked."""

    def as_json(self) -> dict[str, Any]:
        """The values for a JSON column."""
        return asdict(self)

    def for_log(self) -> dict[str, Any]:
        """The same without the answers, and with a network that many share."""
        return replace(self, network=shared_network(self.network), answers={}).as_json()


def facts_from_json(values: Mapping[str, Any]) -> Facts:
    """The facts of a JSON column. Keys of other versions are ignored."""
    known = {each.name for each in fields(Facts)}
    return Facts(**{name: value for name, value in values.items() if name in known})


def facts_of(address: Address, answers: Mapping[str, str], **others: Any) -> Facts:
    """The facts of a sign-up with this address and these answers."""
    local, _at, domain = address.canonical.rpartition("@")
    return Facts(
        domain=domain,
        is_role=is_role(local),
        is_disposable=is_disposable(domain, settings.SIGNUP_DISPOSABLE_DOMAINS),
        has_url=any(map(_URL.search, answers.values())),
        answers=dict(answers),
        **others,
    )


def shared_network(network: str) -> str:
    """The /24 or /48 that holds a network; empty for none."""
    if not network:
        return ""
    parsed = ipaddress.ip_network(network)
    prefix = LOGGED_PREFIXES[parsed.version]
    return str(parsed.supernet(new_prefix=prefix) if parsed.prefixlen > prefix else parsed)


def clean_source(raw: str) -> str:
    """The `source` of a form’s address: one line without control characters, at most 60 characters."""
    return " ".join(UNFIT_FOR_HEADERS.sub(" ", raw[: 10 * MAX_SOURCE_LENGTH]).split())[:MAX_SOURCE_LENGTH].strip()
