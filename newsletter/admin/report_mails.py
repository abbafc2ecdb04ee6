"""The part of the Deliverability page about mails with DMARC reports: those that wait, and those that were refused."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from newsletter.admin.pages import pill_class
from newsletter.admin.time_format import with_zone
from newsletter.deliverability.report_mails import failure_sentence, inbound_provider
from newsletter.models import ReportMail, ReportMailState

#: The most mails of each state that are shown: the oldest that wait, and those that were refused last.
MAX_ROWS = 20


def report_mails_on_page() -> dict[str, Any] | None:
    """What the page shows; None while no address is set."""
    if not settings.DMARC_REPORT_ADDRESS:
        return None
    waiting = ReportMail.objects.filter(state=ReportMailState.WAITING).order_by("next_at", "pk")[:MAX_ROWS]
    done = ReportMail.objects.exclude(finished_at=None)
    refused = done.filter(state=ReportMailState.REFUSED).order_by("-finished_at", "-pk")[:MAX_ROWS]
    imported = done.filter(state=ReportMailState.IMPORTED).order_by("-finished_at")
    last = imported.values_list("finished_at", flat=True).first()
    return {
        "address": settings.DMARC_REPORT_ADDRESS,
        "is_readable": inbound_provider() is not None,
        "last": with_zone(last, "UTC") if last else "",
        "rows": [_row(mail) for mail in (*refused, *waiting)],
    }


def _row(mail: ReportMail) -> dict[str, Any]:
    is_refused = mail.state == ReportMailState.REFUSED
    return {
        "mail": mail,
        "received": with_zone(mail.received_at, "UTC"),
        "is_refused": is_refused,
        "pill": pill_class("warning" if is_refused else "plain"),
        "reason": failure_sentence(mail) or _("The worker fetches it next."),
    }
