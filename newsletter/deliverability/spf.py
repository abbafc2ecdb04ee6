"""SPF records (RFC 7208), and the return path that a provider uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from newsletter.config.translatable import translatable
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.outbound.dns_lookup import Lookup

#: The most mechanisms of a record and of those it includes that need a question to the DNS (RFC 7208 §4.6.4).
MAX_LOOKUPS = 10

#: What Resend's records include: its mails leave through servers of Amazon SES.
RESEND_INCLUDE = "amazonses.com"

_VERSION = re.compile(r"v=spf1(?:\s|\Z)", re.IGNORECASE)
_TERM = re.compile(r"[+\-~?]?(?P<name>[a-z][a-z0-9._-]*)(?P<value>[:=/].*)?\Z", re.IGNORECASE)
_MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_WITH_LOOKUP = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})

WORDS.update(
    spf_missing=Words(
        Result.ERROR,
        translatable("{host} has no SPF record. Gmail and Yahoo require one for the return path."),
        translatable("Publish the record that your provider shows for {host}."),
    ),
    spf_several=Words(
        Result.ERROR,
        translatable("{host} has {count} SPF records. Receivers then treat SPF as failed."),
        translatable("Merge them into one."),
    ),
    spf_invalid=Words(
        Result.ERROR,
        translatable("The SPF record of {host} has an unknown part: {term}. Receivers then treat SPF as failed."),
        translatable("Correct or remove it."),
    ),
    spf_lookups=Words(
        Result.ERROR,
        translatable("The SPF record of {host} needs more than {limit} questions to the DNS. Receivers stop there."),
        translatable("Remove what you no longer use."),
    ),
    spf_open=Words(
        Result.ERROR,
        translatable("The SPF record of {host} ends in +all: any server may send as you."),
        translatable("Replace it by ~all or -all."),
    ),
    spf_without_provider=Words(
        Result.ERROR,
        translatable("The SPF record of {host} does not include {include}, through which your mails are sent."),
        translatable("Publish the record that your provider shows for {host}."),
    ),
    spf_no_end=Words(
        Result.WARNING,
        translatable("The SPF record of {host} has neither all nor redirect at its end."),
        translatable("Add ~all."),
    ),
    spf_ok=Words(Result.OK, translatable("{host} has a valid SPF record. It uses {count} of {limit} lookups.")),
    return_path_cname=Words(Result.OK, translatable("{host} is an alias of the provider’s return path, and aligned.")),
    return_path_mx=Words(Result.OK, translatable("{host} has the provider’s MX record, and is aligned.")),
    return_path_missing=Words(
        Result.ERROR,
        translatable("{host} has neither a CNAME nor an MX record, so bounces do not reach the provider."),
        translatable("Publish the records that your provider shows. RETURN_PATH has the name, if it is another one."),
    ),
)


@dataclass(slots=True)
class _Walk:
    """How many lookups a record needs with all that it includes, and what is wrong in it."""

    lookup: Lookup
    count: int = 0
    seen: set[str] = field(default_factory=set)
    invalid: str = ""
    includes: set[str] = field(default_factory=set)

    def follow(self, host: str, text: str) -> None:
        """Count the lookups of a record and of those it includes, until there are too many."""
        for term in text.split()[1:]:
            parsed = _TERM.match(term)
            name = parsed["name"].lower() if parsed else ""
            value = (parsed["value"] or "") if parsed else ""
            if name not in _MECHANISMS and not value.startswith("="):
                self.invalid = self.invalid or term[:60]
            if name in _WITH_LOOKUP:
                self.count += 1
            if name in ("include", "redirect") and self.count <= MAX_LOOKUPS:
                self._include(value[1:].lower().rstrip("."))

    def _include(self, host: str) -> None:
        self.includes.add(host)
        # A macro depends on the mail; a record that includes itself is followed once.
        if "%" in host or not host or host in self.seen:
            return
        self.seen.add(host)
        for text in spf_records(host, self.lookup)[:1]:
            self.follow(host, text)


def spf_records(host: str, lookup: Lookup) -> list[str]:
    """The SPF records of a host. Raises DnsFailed."""
    return [text for text in lookup(host, "TXT") if _VERSION.match(text)]


def check_spf(host: str, lookup: Lookup, *, include: str = "") -> Iterator[DnsFinding]:
    """The finding about the SPF record of the return path's host. `include`: what it has to name. Raises DnsFailed."""
    records = spf_records(host, lookup)
    if len(records) != 1:
        code = "spf_several" if records else "spf_missing"
        yield finding(Record.SPF, code, " ".join(records), host=host, count=len(records))
        return
    text = records[0]
    walk = _Walk(lookup, seen={host})
    walk.follow(host, text)
    terms = [term.lower() for term in text.split()[1:]]
    if walk.invalid:
        yield finding(Record.SPF, "spf_invalid", text, host=host, term=walk.invalid)
    elif walk.count > MAX_LOOKUPS:
        yield finding(Record.SPF, "spf_lookups", text, host=host, limit=MAX_LOOKUPS)
    elif {"all", "+all"} & set(terms):
        yield finding(Record.SPF, "spf_open", text, host=host)
    elif include and include not in walk.includes:
        yield finding(Record.SPF, "spf_without_provider", text, host=host, include=include)
    elif not terms or not (terms[-1].endswith("all") or any(term.startswith("redirect=") for term in terms)):
        yield finding(Record.SPF, "spf_no_end", text, host=host)
    else:
        yield finding(Record.SPF, "spf_ok", text, host=host, count=walk.count, limit=MAX_LOOKUPS)


def check_return_path(host: str, lookup: Lookup) -> Iterator[DnsFinding]:
    """Whether the host has Resend's records in either of its two forms: a CNAME, or MX beside TXT. Raises DnsFailed."""
    if alias := lookup(host, "CNAME"):
        yield finding(Record.RETURN_PATH, "return_path_cname", f"CNAME {alias[0]}", host=host)
    elif servers := lookup(host, "MX"):
        yield finding(Record.RETURN_PATH, "return_path_mx", f"MX {servers[0]}", host=host)
    else:
        yield finding(Record.RETURN_PATH, "return_path_missing", host=host)


def is_alias(host: str, lookup: Lookup) -> bool:
    """Whether the host is an alias, whose SPF record is the provider's own. Raises DnsFailed."""
    return bool(lookup(host, "CNAME"))
