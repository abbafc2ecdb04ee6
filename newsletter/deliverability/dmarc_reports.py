"""Stores DMARC reports, and answers who sends as our domains."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncWeek
from django.utils import timezone

from newsletter.deliverability.dmarc_errors import DmarcError
from newsletter.deliverability.dmarc_files import reports_in_files
from newsletter.deliverability.dmarc_xml import Report, parse_report
from newsletter.deliverability.senders import sender_domains
from newsletter.models import DmarcReport, DmarcRow
from newsletter.sending.spam_rate import domains_above

#: The most sources of each kind that are shown, those with the most mails first.
MAX_SOURCES = 50

IS_ALIGNED = Q(spf_aligned=True) | Q(dkim_aligned=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of the reports in a file."""

    added: int
    known: int
    """Those that were there before; nothing of them changed."""
    mails: int
    """Mails that the added reports are about."""


def store_file(data: bytes, *, by: str) -> Stored:
    """Store every report in a file, all or none. Raises DmarcError."""
    return store_files([data], by=by)


def store_files(files: Iterable[bytes], *, by: str) -> Stored:
    """Store every report in some files, all or none; they have at most MAX_BYTES in all. Raises DmarcError."""
    now = timezone.now()
    reports = [_checked(parse_report(text, now), now) for text in reports_in_files(files)]
    with transaction.atomic():
        added = [report for report in reports if store_report(report, by=by)]
    mails = sum(row.count for report in added for row in report.rows)
    return Stored(added=len(added), known=len(reports) - len(added), mails=mails)


def _checked(report: Report, now: datetime.datetime) -> Report:
    days = settings.RETENTION_DAYS["dmarc_reports"]
    if report.ends_at < now - datetime.timedelta(days=days):
        raise DmarcError("too_old", first=f"{report.begins_at:%Y-%m-%d}", days=days)
    if not is_ours(report.domain):
        raise DmarcError("other_domain", domain=report.domain)
    return report


def is_ours(domain: str) -> bool:
    """Whether a newsletter sends from the domain, from one below it or from one above it."""
    return any(domain in domains_above(sender) or sender in domains_above(domain) for sender in sender_domains())


def store_report(report: Report, *, by: str) -> bool:
    """Store one report; False if it is there already."""
    values = {name: getattr(report, name) for name in ("domain", "begins_at", "ends_at", "policy")}
    row, is_new = DmarcReport.objects.get_or_create(
        organization=report.organization, report_id=report.report_id, defaults=values | {"by": by}
    )
    if is_new:
        DmarcRow.objects.bulk_create(
            (
                DmarcRow(
                    report=row,
                    source_ip=one.source_ip,
                    count=one.count,
                    disposition=one.disposition,
                    spf_aligned=one.spf_aligned,
                    dkim_aligned=one.dkim_aligned,
                    header_from=one.header_from,
                    spf_domain=one.spf_domain,
                    dkim_domains=_joined(one.dkim_domains),
                )
                for one in report.rows
            ),
            batch_size=500,
        )
    return is_new


def _joined(domains: Sequence[str], limit: int = 600) -> str:
    """As many whole names as the column holds."""
    text = ""
    for domain in domains:
        if len(text) + len(domain) + 1 > limit:
            break
        text = f"{text} {domain}".strip()
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A sender: an address, or all addresses of an aligned sender. Shares are fractions, 0 to 1."""

    name: str
    """The IP address; for an aligned sender the domain of its return path, or else the From domain."""
    header_from: str
    addresses: int
    mails: int
    spf: float
    dkim: float
    is_aligned: bool
    """Whether its mails passed DMARC by SPF or DKIM. An address may have mails of both kinds and be in both lists."""
    stopped: int
    """Mails that the receivers quarantined or rejected."""


def sources(since: datetime.datetime, domain: str = "") -> list[Source]:
    """Who sent as our domains since then: those that are not aligned first, then by the number of mails.

    With a sender's `domain`, only what reports about it, or about a domain above or below it, say.
    """
    rows = _rows(since, domain)
    unknown = _summed(rows.filter(~IS_ALIGNED).values("source_ip", "header_from"))
    aligned = _summed(rows.filter(IS_ALIGNED).values("spf_domain", "header_from"))
    return [_source(row, is_aligned=False) for row in unknown] + [_source(row, is_aligned=True) for row in aligned]


def _rows(since: datetime.datetime, domain: str) -> QuerySet[DmarcRow]:
    return DmarcRow.objects.filter(report__in=_reports(since, domain)).order_by()


def _reports(since: datetime.datetime, domain: str) -> QuerySet[DmarcReport]:
    reports = DmarcReport.objects.filter(begins_at__gte=since)
    about = Q(domain__in=domains_above(domain)) | Q(domain__endswith=f".{domain}")
    return reports.filter(about) if domain else reports


def _summed(groups: QuerySet[DmarcRow, Any]) -> QuerySet[DmarcRow, Any]:
    summed = groups.annotate(
        mails=Sum("count"),
        spf=Sum("count", filter=Q(spf_aligned=True)),
        dkim=Sum("count", filter=Q(dkim_aligned=True)),
        stopped=Sum("count", filter=Q(disposition__in=("quarantine", "reject"))),
        addresses=Count("source_ip", distinct=True),
    )
    return summed.order_by("-mails", "header_from")[:MAX_SOURCES]


def _source(row: dict[str, Any], *, is_aligned: bool) -> Source:
    mails = row["mails"] or 0
    return Source(
        name=row.get("source_ip") or row.get("spf_domain") or row["header_from"],
        header_from=row["header_from"],
        addresses=row["addresses"],
        mails=mails,
        spf=(row["spf"] or 0) / (mails or 1),
        dkim=(row["dkim"] or 0) / (mails or 1),
        is_aligned=is_aligned,
        stopped=row["stopped"] or 0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """The mails of a week that begins on this Monday, in UTC."""

    monday: datetime.date
    mails: int
    aligned: int

    @property
    def share(self) -> float:
        """Aligned mails as a fraction, 0 to 1."""
        return self.aligned / (self.mails or 1)


def weeks(since: datetime.datetime, domain: str = "") -> list[Week]:
    """Each week since then that has reports, the newest first."""
    week = TruncWeek("report__begins_at", tzinfo=datetime.UTC)
    groups = _rows(since, domain).annotate(week=week).values("week")
    summed = groups.annotate(mails=Sum("count"), aligned=Sum("count", filter=IS_ALIGNED)).order_by("-week")
    return [Week(monday=row["week"].date(), mails=row["mails"] or 0, aligned=row["aligned"] or 0) for row in summed]


def aligned_counts(since: datetime.datetime, domain: str = "") -> tuple[int, int]:
    """How many mails passed DMARC since then, and how many there were."""
    counts = _rows(since, domain).aggregate(mails=Sum("count"), aligned=Sum("count", filter=IS_ALIGNED))
    return counts["aligned"] or 0, counts["mails"] or 0


def report_counts(since: datetime.datetime, domain: str = "") -> tuple[int, int]:
    """How many reports there are since then, and from how many organizations."""
    counts = _reports(since, domain).aggregate(reports=Count("pk"), organizations=Count("organization", distinct=True))
    return counts["reports"], counts["organizations"]
