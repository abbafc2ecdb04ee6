"""GET /emails/metrics: what happened to the mails, counted.

Source: resend.com/docs/api-reference/emails/get-metrics. The unit of the rates is not documented: here they are shares
from 0 to 1. Resend may answer with counts that are up to 15 minutes old; the sandbox counts at once.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from newsletter.sandbox.account import domain_id
from newsletter.sandbox.exchange import Request, Response, json_response
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.time_format import format_time
from newsletter.sandbox.validation import bare_address, is_uuid

#: Metrics that count events, and the type of those; `received` and `unsubscribed` are about what the sandbox lacks.
_EVENTS = {
    "delivered": "email.delivered",
    "complained": "email.complained",
    "suppressed": "email.suppressed",
    "bounced": "email.bounced",
    "opened": "email.opened",
    "clicked": "email.clicked",
    "delivery_delayed": "email.delivery_delayed",
    "failed": "email.failed",
    "sent": "email.sent",
}
_BOUNCES = {name: f"bounced_{name.lower()}" for name in ("Transient", "Permanent", "Undetermined")}
_UNIQUE = {"unique_opened": "email.opened", "unique_clicked": "email.clicked"}
#: Each rate, and the counts of which it is the quotient.
_RATES = {
    "delivery_rate": ("delivered", "sent"),
    "open_rate": ("unique_opened", "delivered"),
    "click_rate": ("unique_clicked", "delivered"),
    "bounce_rate": ("bounced", "sent"),
    "complaint_rate": ("complained", "delivered"),
    "unsubscribe_rate": ("unsubscribed", "delivered"),
}
METRICS = (*_EVENTS, *_BOUNCES.values(), *_UNIQUE, "received", "unsubscribed", *_RATES)
DIMENSIONS = ("period", "domain", "email", "broadcast")
GRANULARITIES = ("hourly", "daily", "weekly", "monthly")
MAX_IDS = 100
#: Days before the end at which a range begins by default.
_DEFAULT_DAYS = 6


@dataclass(frozen=True, slots=True)
class _Event:
    type: str
    bounce: str
    mail: str
    domain: str
    at: float


@dataclass(slots=True)
class _Counts:
    """The events of one row of the answer."""

    numbers: dict[str, int] = field(default_factory=dict)
    mails: dict[str, set[str]] = field(default_factory=dict)

    def add(self, event: _Event) -> None:
        for name in (event.type, f"{event.type} {event.bounce}"):
            self.numbers[name] = self.numbers.get(name, 0) + 1
        self.mails.setdefault(event.type, set()).add(event.mail)

    def metrics(self, wanted: Iterable[str]) -> dict[str, float]:
        counts: dict[str, float] = {"received": 0, "unsubscribed": 0}
        counts |= {name: self.numbers.get(kind, 0) for name, kind in _EVENTS.items()}
        counts |= {name: self.numbers.get(f"email.bounced {bounce}", 0) for bounce, name in _BOUNCES.items()}
        counts |= {name: len(self.mails.get(kind, ())) for name, kind in _UNIQUE.items()}
        rates = {name: counts[part] / counts[whole] if counts[whole] else 0 for name, (part, whole) in _RATES.items()}
        return {name: (counts | rates)[name] for name in wanted}


def read_metrics(team: Team, request: Request) -> Response:
    """The answer. Raises Refusal (422) for an invalid parameter."""
    now = team.clock()
    dimensions = _names(request, "dimensions", DIMENSIONS)
    wanted = _names(request, "metrics", METRICS) or METRICS
    granularity = request.query.get("granularity", "daily")
    if granularity not in GRANULARITIES:
        raise refusal("validation_error", f"The `granularity` must be one of {', '.join(GRANULARITIES)}.")
    zone = _zone(request.query.get("timezone", "UTC"))
    mails, domains, broadcasts = (_ids(request, name) for name in ("email_id", "domain_id", "broadcast_id"))
    if ("email" in dimensions or mails) and ("broadcast" in dimensions or broadcasts):
        raise refusal("validation_error", "`email` and `broadcast` cannot be combined.")
    start, end = _range(request, now)
    totals, rows = _Counts(), dict[tuple[str, ...], _Counts]()
    for event in _events(team, start, end):
        is_asked = (not mails or event.mail in mails) and (not domains or domain_id(event.domain) in domains)
        if not is_asked or broadcasts or "broadcast" in dimensions:
            continue
        totals.add(event)
        if dimensions:
            period = _period(event.at, granularity, zone)
            parts = {"period": period, "domain": event.domain, "email": event.mail}
            rows.setdefault(tuple(parts[name] for name in dimensions), _Counts()).add(event)
    answer: dict[str, Any] = {
        "object": "metrics",
        "start_date": format_time(start),
        "end_date": format_time(end),
        "metrics": list(wanted),
        "dimensions": list(dimensions),
        "granularity": granularity,
        "totals": totals.metrics(wanted),
    }
    if dimensions:
        answer["data"] = [
            {**_keys(dict(zip(dimensions, key, strict=True))), **counts.metrics(wanted)}
            for key, counts in sorted(rows.items())
        ]
    return json_response(answer)


def _keys(parts: Mapping[str, str]) -> dict[str, str]:
    """The fields of a row that say what it counts."""
    found = {"period": parts["period"]} if "period" in parts else {}
    if "domain" in parts:
        found |= {"domain_id": domain_id(parts["domain"]), "domain_name": parts["domain"]}
    return found | ({"email_id": parts["email"]} if "email" in parts else {})


def _events(team: Team, start: float, end: float) -> Iterator[_Event]:
    """Events of mails in this time, whether or not they are posted."""
    rows = team.database.rows(
        """SELECT type, happens_at, json_extract(detail, '$.bounce.type') AS bounce, uid,
                  json_extract(envelope, '$.from') AS sender
           FROM events JOIN mails ON mails.id = events.mail WHERE happens_at BETWEEN ? AND ?""",
        start,
        end,
    )
    for row in rows:
        domain = bare_address(row["sender"]).rpartition("@")[2].lower()
        yield _Event(row["type"], row["bounce"] or "", row["uid"], domain, row["happens_at"])


def _period(at: float, granularity: str, zone: datetime.tzinfo) -> str:
    """The beginning of the period in which a time is; weeks begin on Monday."""
    time = datetime.datetime.fromtimestamp(at, zone).replace(minute=0, second=0, microsecond=0)
    if granularity != "hourly":
        time = time.replace(hour=0)
    if granularity == "weekly":
        time -= datetime.timedelta(days=time.weekday())
    return (time.replace(day=1) if granularity == "monthly" else time).isoformat()


def _zone(name: str) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise refusal("validation_error", "The `timezone` must be an IANA time zone.") from error


def _names(request: Request, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """A list of names, comma-separated and each once."""
    names = tuple(dict.fromkeys(filter(None, request.query.get(name, "").split(","))))
    if not set(names) <= set(known):
        raise refusal("validation_error", f"The `{name}` must be of {', '.join(known)}.")
    return names


def _ids(request: Request, name: str) -> frozenset[str]:
    ids = [uid for uid in request.query.get(name, "").split(",") if uid]
    if len(ids) > MAX_IDS or not all(map(is_uuid, ids)):
        raise refusal("validation_error", f"The `{name}` must be up to {MAX_IDS} valid UUIDs.")
    return frozenset(ids)


def _range(request: Request, now: float) -> tuple[float, float]:
    """The asked range in seconds since 1970: six days until now by default, and nothing of the future."""
    end = min(_time(request, "end_date", now, is_end=True), now)
    start = _time(request, "start_date", end - _DEFAULT_DAYS * 86_400.0, is_end=False)
    if start > end:
        raise refusal("validation_error", "The `start_date` must be on or before the `end_date`.")
    return start, end


def _time(request: Request, name: str, default: float, *, is_end: bool) -> float:
    """A date, whose whole day counts, or a time (UTC if it has no offset)."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal("validation_error", f"The `{name}` must be an ISO 8601 date or datetime.") from error
    if len(text) == len("2026-07-01") and is_end:
        time += datetime.timedelta(days=1)
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
