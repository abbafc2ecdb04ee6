"""Reads spam rate, authentication and compliance from Gmail's Postmaster Tools, and keeps them by domain and day.

Gmail reports a day one or two days later, corrects it for some days, and nothing for days with few mails.
"""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from newsletter.deliverability.senders import sender_domains
from newsletter.models import PostmasterDay, PostmasterReading
from newsletter.outbound.google import GOOGLE, GoogleError, GoogleHosts, GoogleReason, PostmasterTools
from newsletter.sending.spam_rate import domains_above

log = logging.getLogger(__name__)

#: How often each domain is read, and how long a failure waits: twice as long after each further one, up to the first.
READ_EVERY, FIRST_RETRY = datetime.timedelta(days=1), datetime.timedelta(minutes=15)

#: How many days are read again: Gmail corrects days for a while. The first reading goes back FIRST_DAYS.
DAYS, FIRST_DAYS = 10, 60

#: The largest page that the API allows, and more pages than FIRST_DAYS need.
PAGE_SIZE, MAX_PAGES = 200, 20

#: Our names of the metrics, which the answer repeats. Source: `StandardMetric` of the API.
METRICS: tuple[dict[str, Any], ...] = (
    {"name": "spam_rate", "baseMetric": {"standardMetric": "SPAM_RATE"}},
    *(
        {
            "name": f"{kind}_rate",
            "baseMetric": {"standardMetric": "AUTH_SUCCESS_RATE"},
            "filter": f'auth_type = "{kind}"',
        }
        for kind in ("spf", "dkim", "dmarc")
    ),
)
NAMES = frozenset(metric["name"] for metric in METRICS)

#: Verdicts that stand beside the rows of the compliance status, and the name of their requirement.
VERDICTS = {"oneClickUnsubscribeVerdict": "ONE_CLICK_UNSUBSCRIBE", "honorUnsubscribeVerdict": "HONOR_UNSUBSCRIBE"}

#: What Google says of a requirement. Everything else counts as unknown.
STATES = frozenset({"COMPLIANT", "NEEDS_WORK"})

#: More requirements than there are, so that a strange answer stays small.
MAX_REQUIREMENTS = 30

Day = dict[str, float]


def is_connected() -> bool:
    """Whether credentials are set."""
    return bool(settings.POSTMASTER_CREDENTIALS)


def read_next_domain(hosts: GoogleHosts = GOOGLE) -> bool:
    """Read one domain that is due; whether there was one. A step of the worker.

    The domains are those of the senders and those above them that were read before; see `_candidates`.
    """
    if not is_connected():
        return False
    now = timezone.now()
    due = _next_due(now)
    if due is None:
        return False
    try:
        days, compliance = read_domain(due.domain, now, hosts, is_first=due.succeeded_at is None)
    except GoogleError as error:
        _record_failure(due, error, now)
        log.warning("Postmaster Tools not read", extra={"code": error.reason.value, "detail": error.detail})
        return True
    store_days(due.domain, days, compliance, now)
    due.succeeded_at, due.next_at, due.failures, due.code, due.detail = now, now + READ_EVERY, 0, "", ""
    due.save()
    return True


def _next_due(now: datetime.datetime) -> PostmasterReading | None:
    """A row for each domain of a sender is made when it is first seen. One worker takes it: it is due again later."""
    domains = _candidates()
    known = set(PostmasterReading.objects.filter(domain__in=domains).values_list("domain", flat=True))
    missing = [PostmasterReading(domain=domain, next_at=now) for domain in domains if domain not in known]
    if missing:
        PostmasterReading.objects.bulk_create(missing, ignore_conflicts=True)
    for reading in PostmasterReading.objects.filter(domain__in=domains, next_at__lte=now).order_by("next_at", "pk"):
        taken = PostmasterReading.objects.filter(pk=reading.pk, next_at=reading.next_at)
        if taken.update(next_at=now + FIRST_RETRY):
            return reading
    return None


def _candidates() -> list[str]:
    """The senders' domains. For one that is not registered, the domain above it, as operators often register that."""
    domains = sender_domains()
    unknown = PostmasterReading.objects.filter(domain__in=domains, code=GoogleReason.NOT_REGISTERED)
    unregistered = unknown.values_list("domain", flat=True)
    above = [name for domain in unregistered for name in domains_above(domain)[1:2]]
    return list(dict.fromkeys([*domains, *above]))


def _record_failure(reading: PostmasterReading, error: GoogleError, now: datetime.datetime) -> None:
    reading.failures = min(reading.failures + 1, 100)
    backoff = FIRST_RETRY * 2 ** min(reading.failures - 1, 10)
    wait = READ_EVERY if error.permanent else min(backoff, READ_EVERY)
    reading.next_at = now + max(wait, datetime.timedelta(seconds=error.retry_after))
    reading.code, reading.detail = error.reason.value, error.detail[:200]
    reading.save()


def read_domain(
    domain: str, now: datetime.datetime, hosts: GoogleHosts, *, is_first: bool
) -> tuple[dict[datetime.date, Day], dict[str, str]]:
    """The rates of the last days by date and name, and the compliance status by requirement. Raises GoogleError."""
    tools = PostmasterTools(settings.POSTMASTER_CREDENTIALS, now=now.timestamp(), hosts=hosts)
    today = now.astimezone(datetime.UTC).date()
    first = today - datetime.timedelta(days=FIRST_DAYS if is_first else DAYS)
    days: dict[datetime.date, Day] = {}
    for row in _stats(tools, domain, first, today):
        if parsed := parse_stat(row, first, today):
            day, name, value = parsed
            days.setdefault(day, {})[name] = value
    return days, parse_compliance(tools.compliance(domain))


def _stats(tools: PostmasterTools, domain: str, first: datetime.date, last: datetime.date) -> Iterator[Any]:
    dates = [{"start": _google_date(first), "end": _google_date(last)}]
    body: dict[str, Any] = {
        "metricDefinitions": list(METRICS),
        "timeQuery": {"dateRanges": {"dateRanges": dates}},
        "aggregationGranularity": "DAILY",
        "pageSize": PAGE_SIZE,
    }
    for _page in range(MAX_PAGES):
        answer = tools.query(domain, body)
        rows, token = answer.get("domainStats", []), answer.get("nextPageToken", "")
        if not isinstance(rows, list) or not isinstance(token, str):
            raise GoogleError(GoogleReason.INVALID_ANSWER)
        yield from rows
        if not token:
            return
        body = body | {"pageToken": token}
    raise GoogleError(GoogleReason.INVALID_ANSWER)


def _google_date(day: datetime.date) -> dict[str, int]:
    return {"year": day.year, "month": day.month, "day": day.day}


def parse_stat(row: object, first: datetime.date, last: datetime.date) -> tuple[datetime.date, str, float] | None:
    """Day, name and rate of one row; None for a row without a value or with one that is no rate of these days.

    Raises GoogleError for a row that is not what the API describes.
    """
    try:
        name, date, value = row["metric"], row["date"], row.get("value") or {}  # type: ignore[index, attr-defined]
        day = datetime.date(date["year"], date["month"], date["day"])
        number = next((value[key] for key in ("doubleValue", "floatValue", "intValue") if key in value), None)
        rate = None if number is None else float(number)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise GoogleError(GoogleReason.INVALID_ANSWER, type(error).__name__) from None
    if rate is None or name not in NAMES or not first <= day <= last:
        return None
    if math.isnan(rate) or not 0 <= rate <= 1:
        raise GoogleError(GoogleReason.INVALID_ANSWER, "rate")
    return day, name, rate


def parse_compliance(answer: Mapping[str, Any]) -> dict[str, str]:
    """`{"DMARC_ALIGNMENT": "COMPLIANT"}`, of the domain itself where Google tells it apart, else of the one above.

    Raises GoogleError for an answer that is not what the API describes.
    """
    data = answer.get("subdomainComplianceData") or answer.get("complianceData") or {}
    rows = data.get("rowData", []) if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise GoogleError(GoogleReason.INVALID_ANSWER, "compliance")
    pairs = [(row.get("requirement"), row.get("status")) for row in rows[:MAX_REQUIREMENTS] if isinstance(row, dict)]
    verdicts = ((name, data.get(key)) for key, name in VERDICTS.items())
    pairs += [(name, verdict.get("status")) for name, verdict in verdicts if isinstance(verdict, dict)]
    return dict(_known_states(pairs))


def _known_states(pairs: Iterable[tuple[object, object]]) -> Iterator[tuple[str, str]]:
    for name, status in pairs:
        state = status.get("status") if isinstance(status, dict) else None
        if isinstance(name, str) and state in STATES:
            yield name[:64], str(state)


def store_days(
    domain: str, days: Mapping[datetime.date, Day], compliance: Mapping[str, str], now: datetime.datetime
) -> None:
    """Replace the rates of these days, and keep the compliance status on the day of now."""
    today = now.astimezone(datetime.UTC).date()
    rates = [PostmasterDay(domain=domain, day=day, read_at=now, **values) for day, values in sorted(days.items())]
    fields = sorted(NAMES)
    with transaction.atomic():
        PostmasterDay.objects.bulk_create(
            rates, update_conflicts=True, unique_fields=["domain", "day"], update_fields=[*fields, "read_at"]
        )
        if compliance:
            PostmasterDay.objects.bulk_create(
                [PostmasterDay(domain=domain, day=today, compliance=dict(compliance), read_at=now)],
                update_conflicts=True,
                unique_fields=["domain", "day"],
                update_fields=["compliance", "read_at"],
            )


def last_compliance(domains: Iterable[str]) -> PostmasterDay | None:
    """The newest row with a compliance status of these domains, those of the first domain before the others."""
    ordered = list(domains)
    rows = PostmasterDay.objects.filter(~Q(compliance={}), domain__in=ordered).order_by("-day")[: 10 * len(ordered)]
    return min(rows, key=lambda row: ordered.index(row.domain), default=None)
