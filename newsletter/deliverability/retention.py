"""How long DMARC reports and figures of Postmaster Tools are kept; the rules of `subscribers.privacy.retention`."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from newsletter.models import DmarcReport, MailAfterLeaving, PostmasterDay, ReportMail
from subscribers.privacy.retention import ROWS_PER_RUN, add_retention

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

REPORTS_TITLE, DAYS_TITLE = _("DMARC reports"), _("figures of Postmaster Tools")
MAILS_TITLE = _("mails with DMARC reports")

#: Reports that are removed in one run: each has up to 50,000 rows.
REPORTS_PER_RUN = 50


def add_rules() -> None:
    """Make the worker apply these rules. Called when the app starts."""
    add_retention(Reports())
    add_retention(Days())
    add_retention(Mails())


@dataclass(frozen=True, slots=True)
class Reports:
    """DMARC reports with their rows."""

    name: str = "dmarc_reports"
    title: StrOrPromise = REPORTS_TITLE

    def purge(self, before: datetime.datetime) -> int:
        """See RetentionRule."""
        old = list(_reports(before).order_by("begins_at").values_list("pk", flat=True)[:REPORTS_PER_RUN])
        DmarcReport.objects.filter(pk__in=old).delete()
        return len(old)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See RetentionRule."""
        return _reports(before).exists()


@dataclass(frozen=True, slots=True)
class Days:
    """Figures of Postmaster Tools, and mails to those who had left."""

    name: str = "postmaster_days"
    title: StrOrPromise = DAYS_TITLE

    def purge(self, before: datetime.datetime) -> int:
        """See RetentionRule."""
        old = list(_days(before).order_by("pk").values_list("pk", flat=True)[:ROWS_PER_RUN])
        late = list(_late_mails(before).order_by("pk").values_list("pk", flat=True)[:ROWS_PER_RUN])
        if old:
            PostmasterDay.objects.filter(pk__in=old).delete()
        if late:
            MailAfterLeaving.objects.filter(pk__in=late).delete()
        return len(old) + len(late)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See RetentionRule."""
        return _days(before).exists() or _late_mails(before).exists()


@dataclass(frozen=True, slots=True)
class Mails:
    """What became of mails with DMARC reports. One that waits stays: it is imported or refused first."""

    name: str = "report_mails"
    title: StrOrPromise = MAILS_TITLE

    def purge(self, before: datetime.datetime) -> int:
        """See RetentionRule."""
        old = list(_mails(before).order_by("pk").values_list("pk", flat=True)[:ROWS_PER_RUN])
        if old:
            ReportMail.objects.filter(pk__in=old).delete()
        return len(old)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See RetentionRule."""
        return _mails(before).exists()


def _mails(before: datetime.datetime) -> QuerySet[ReportMail]:
    return ReportMail.objects.filter(finished_at__lt=before)


def _reports(before: datetime.datetime) -> QuerySet[DmarcReport]:
    # The index is by the beginning.
    return DmarcReport.objects.filter(begins_at__lt=before, ends_at__lt=before)


def _days(before: datetime.datetime) -> QuerySet[PostmasterDay]:
    return PostmasterDay.objects.filter(day__lt=before.date())


def _late_mails(before: datetime.datetime) -> QuerySet[MailAfterLeaving]:
    return MailAfterLeaving.objects.filter(mailed_at__lt=before)
