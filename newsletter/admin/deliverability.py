"""The page about deliverability: Gmail's spam rate, DNS of the sender's domain, mailbox providers, DMARC reports."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from newsletter.admin.charts import line_chart
from newsletter.admin.pages import pill_class, redirect_with_message, username_of
from newsletter.admin.report_mails import report_mails_on_page
from newsletter.admin.time_format import with_zone
from newsletter.deliverability.check import findings_of, request_check
from newsletter.deliverability.dmarc_errors import DmarcError
from newsletter.deliverability.dmarc_files import MAX_BYTES
from newsletter.deliverability.dmarc_policy import record_to_publish
from newsletter.deliverability.dmarc_reports import Source, aligned_counts, report_counts, sources, store_file, weeks
from newsletter.deliverability.findings import RESULT_LABELS, DnsFinding, Result
from newsletter.deliverability.leavers import mails_after_leaving
from newsletter.deliverability.postmaster import is_connected, last_compliance
from newsletter.deliverability.rates import COMPLAINT_LIMIT, COMPLAINT_WARNING, DomainRate, complaints, domain_rates
from newsletter.deliverability.report_mails import fetch_again
from newsletter.deliverability.senders import sender_domains
from newsletter.models import DomainCheck, PostmasterDay, PostmasterReading
from newsletter.monitoring.formatting import number
from newsletter.outbound.google import google_message
from newsletter.sending.control import one_line
from newsletter.sending.spam_rate import (
    WARNING_RATE,
    SpamRate,
    acknowledge_spam_rate,
    domains_above,
    last_spam_rate,
    spam_rate_warning,
    too_high,
)

VIEW, CHANGE = "newsletter.view_deliverability", "newsletter.change_deliverability"

#: Days of the tiles and the chart, and of the senders in DMARC reports.
DAYS, REPORT_DAYS = 30, 90

#: The requirements of Gmail in their order, as the page names them.
REQUIREMENTS = {
    "SPF_AND_DKIM": gettext_lazy("SPF and DKIM"),
    "SPF": gettext_lazy("SPF"),
    "DKIM": gettext_lazy("DKIM"),
    "DMARC_POLICY": gettext_lazy("DMARC policy"),
    "DMARC_ALIGNMENT": gettext_lazy("DMARC alignment"),
    "ONE_CLICK_UNSUBSCRIBE": gettext_lazy("One-click unsubscribe"),
    "HONOR_UNSUBSCRIBE": gettext_lazy("Unsubscribes are honored"),
    "ENCRYPTION": gettext_lazy("TLS for all mails"),
    "MESSAGE_FORMATTING": gettext_lazy("Format of the mails"),
    "DNS_RECORDS": gettext_lazy("Forward and reverse DNS"),
    "USER_REPORTED_SPAM_RATE": gettext_lazy("Spam rate"),
}

PILLS = {Result.ERROR: "error", Result.WARNING: "warning", Result.OK: "ok", Result.NOT_SET: "plain"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRow:
    """A finding as the table shows it."""

    finding: DnsFinding
    pill: str
    result: str
    publish: tuple[str, str] | None
    """Name and value of a record to publish."""


@require_http_methods(["GET", "POST"])
def show_deliverability(request: HttpRequest) -> HttpResponse:
    """Show what is known; POST adds a DMARC report, asks for a check, or acknowledges a spam rate."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    domains = sender_domains()
    asked = request.GET.get("domain", "")
    domain = asked if asked in domains else (domains[0] if domains else "")
    if request.method == "GET":
        return _page(request, domain, domains)
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied
    actions = {"upload": _upload, "check": _check, "acknowledge": _acknowledge, "fetch": _fetch_again}
    action = actions.get(request.POST.get("action", ""))
    return action(request, domain, domains) if action else _page(request, domain, domains, status=400)


def _here(domain: str) -> str:
    return f"{reverse('deliverability')}?domain={domain}"


def _upload(request: HttpRequest, domain: str, domains: list[str]) -> HttpResponse:
    file = request.FILES.get("report")
    if file is None:
        return _page(request, domain, domains, problems={"report": _("Choose a file.")}, status=400)
    try:
        stored = store_file(file.read(MAX_BYTES + 1), by=username_of(request))
    except DmarcError as error:
        return _page(request, domain, domains, problems={"report": str(error)}, status=400)
    if not stored.added:
        sentence = _("This report is known already. Nothing was changed.")
        return redirect_with_message(request, sentence, _here(domain), level=messages.INFO)
    sentence = ngettext("%(count)s report added.", "%(count)s reports added.", stored.added)
    return redirect_with_message(request, sentence % {"count": number(stored.added)}, _here(domain))


def _fetch_again(request: HttpRequest, domain: str, domains: list[str]) -> HttpResponse:
    key = request.POST.get("mail", "")
    is_key = key.isascii() and key.isdigit() and len(key) < 19
    if not is_key or not fetch_again(int(key)):
        return _page(request, domain, domains, problems={"mails": _("This mail is not refused any more.")}, status=400)
    return redirect_with_message(request, _("The worker fetches the mail again."), _here(domain))


def _check(request: HttpRequest, domain: str, domains: list[str]) -> HttpResponse:
    if not request_check(timezone.now()):
        sentence = _("No newsletter has a sender, so there is no domain to check.")
        return redirect_with_message(request, sentence, reverse("deliverability"), level=messages.WARNING)
    sentence = _("The worker checks the domains within a minute. Reload this page to see the result.")
    return redirect_with_message(request, sentence, _here(domain))


def _acknowledge(request: HttpRequest, domain: str, domains: list[str]) -> HttpResponse:
    now, text = timezone.now(), one_line(request.POST.get("reason", ""))[:500]
    spam_rate = last_spam_rate(f"postmaster@{domain}", now)
    if spam_rate is None or not too_high(spam_rate, 0.0, now):
        return HttpResponseRedirect(_here(domain))
    if not text:
        problem = _("Say why mails may be sent although the spam rate is too high.")
        return _page(request, domain, domains, problems={"reason": problem}, status=400)
    acknowledge_spam_rate(spam_rate, by=username_of(request), text=text)
    sentence = _("The spam rate is acknowledged. Sends of %(domain)s start for a week, unless the rate rises.")
    return redirect_with_message(request, sentence % {"domain": spam_rate.domain}, _here(domain))


def _page(
    request: HttpRequest,
    domain: str,
    domains: list[str],
    *,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    now = timezone.now()
    since, reports_since = now - datetime.timedelta(days=DAYS), now - datetime.timedelta(days=REPORT_DAYS)
    check = DomainCheck.objects.filter(domain=domain).first()
    spam_rate = last_spam_rate(f"postmaster@{domain}", now) if domain else None
    reports, organizations = report_counts(reports_since, domain)
    context = admin.site.each_context(request) | {
        "title": _("Deliverability"),
        "domain": domain,
        "domains": domains,
        "problems": problems or {},
        "may_change": request.user.has_perm(CHANGE),
        "checked": with_zone(check.checked_at, "UTC") if check and check.checked_at else "",
        "failed": with_zone(check.failed_at, "UTC") if check and check.failed_at else "",
        "is_requested": bool(
            check and check.requested_at and (not check.checked_at or check.requested_at > check.checked_at)
        ),
        "tiles": _tiles(domain, spam_rate, now, since),
        "must_acknowledge": too_high(spam_rate, 0.0, now),
        "spam_warning": spam_rate_warning(spam_rate),
        "limit": percent(settings.SPAM_RATE_LIMIT),
        "gmail": _gmail(domain, now),
        "dns": [_dns_row(each) for each in findings_of(check)] if check else [],
        "providers": [_provider_row(each) for each in domain_rates(since)],
        "sources": [_source_row(each) for each in sources(reports_since, domain)],
        "weeks": [(week, percent(week.share)) for week in weeks(reports_since, domain)],
        "reports": reports,
        "by_mail": report_mails_on_page(),
        "organizations": organizations,
        "days": DAYS,
        "report_days": REPORT_DAYS,
    }
    return TemplateResponse(request, "admin/newsletter/deliverability.html", context, status=status)


def percent(fraction: float) -> str:
    """`11.8%`; `0.03%` below 1 %."""
    value = 100 * fraction
    decimals = 2 if 0 < value < 1 else 1 if 0 < value < 100 else 0
    # A Decimal, since Django cuts a float off instead of rounding it.
    return f"{formats.number_format(Decimal(f'{value:.{decimals}f}'), decimals, use_l10n=True)}%"


# --- The tiles -----------------------------------------------------------------------------------------------------


def _tiles(
    domain: str, spam_rate: SpamRate | None, now: datetime.datetime, since: datetime.datetime
) -> list[dict[str, Any]]:
    complained, accepted = complaints(since)
    aligned, mails = aligned_counts(since, domain)
    late = mails_after_leaving(now).count()
    return [
        {
            "label": _("Gmail spam rate"),
            "value": percent(spam_rate.rate) if spam_rate else "–",
            "detail": _spam_detail(spam_rate),
            "is_bad": spam_rate is not None and spam_rate.rate >= WARNING_RATE,
        },
        {
            "label": _("Complaints, %(days)s days") % {"days": DAYS},
            "value": number(complained),
            "detail": _("%(percent)s of %(accepted)s accepted")
            % {"percent": percent(complained / (accepted or 1)), "accepted": number(accepted)},
            "is_bad": accepted > 0 and complained / accepted >= COMPLAINT_WARNING,
        },
        {
            "label": _("DMARC aligned, %(days)s days") % {"days": DAYS},
            "value": percent(aligned / mails) if mails else "–",
            "detail": _("%(count)s of %(mails)s mails not aligned")
            % {"count": number(mails - aligned), "mails": number(mails)}
            if mails
            else _("no reports"),
            "is_bad": False,
        },
        {
            "label": _("Sent after unsubscribing"),
            "value": number(late),
            "detail": _("must be 0, all newsletters"),
            "is_bad": late > 0,
        },
    ]


def _spam_detail(spam_rate: SpamRate | None) -> str:
    if spam_rate is None:
        return _("not known")
    day = formats.date_format(spam_rate.day, "DATE_FORMAT")
    return _("on %(day)s · warning at %(limit)s") % {"day": day, "limit": percent(WARNING_RATE)}


# --- Gmail ---------------------------------------------------------------------------------------------------------


def _gmail(domain: str, now: datetime.datetime) -> dict[str, Any]:
    """The chart, the compliance list, and why there is none."""
    last = now.astimezone(datetime.UTC).date()
    first = last - datetime.timedelta(days=DAYS - 1)
    names = domains_above(domain) if domain else []
    rows = list(PostmasterDay.objects.filter(domain__in=names, day__gte=first, spam_rate__isnull=False).order_by("day"))
    chosen = max((row.domain for row in rows), key=len, default="")
    values = {row.day: row.spam_rate or 0.0 for row in rows if row.domain == chosen}
    failed = PostmasterReading.objects.filter(domain=domain).exclude(code="").first()
    compliance = last_compliance(names) if names else None
    chart = line_chart(values, first, last, limit=WARNING_RATE) if values else None
    return {
        "is_connected": is_connected(),
        "domain": chosen,
        "chart": chart,
        "sentence": _chart_sentence(chosen, values) if values else "",
        "ticks": [percent(tick) for tick in chart.ticks] if chart else [],
        "rows": [(day, percent(rate)) for day, rate in sorted(values.items(), reverse=True)],
        "problem": google_message(failed.code) if failed else "",
        "next_at": with_zone(failed.next_at, "UTC") if failed else "",
        "compliance": _compliance(compliance),
        "compliance_day": compliance.day if compliance else None,
    }


def _chart_sentence(domain: str, values: dict[datetime.date, float]) -> str:
    """What the chart shows, in words."""
    peak = max(values, key=lambda day: values[day])
    last = max(values)
    sentence = _(
        "Gmail’s spam rate of %(domain)s: %(last)s on %(last_day)s, the last known day; the highest was %(peak)s on "
        "%(peak_day)s. The warning begins at %(limit)s."
    )
    return sentence % {
        "domain": domain,
        "last": percent(values[last]),
        "last_day": formats.date_format(last, "DATE_FORMAT"),
        "peak": percent(values[peak]),
        "peak_day": formats.date_format(peak, "DATE_FORMAT"),
        "limit": percent(WARNING_RATE),
    }


def _compliance(row: PostmasterDay | None) -> list[tuple[str, bool]]:
    """Label, and whether Gmail is satisfied; the known requirements in their order, then others by their name."""
    states = row.compliance if row else {}
    known = [(str(label), states[name] == "COMPLIANT") for name, label in REQUIREMENTS.items() if name in states]
    others = sorted(set(states) - set(REQUIREMENTS))
    return known + [(name.replace("_", " ").capitalize(), states[name] == "COMPLIANT") for name in others]


# --- Tables --------------------------------------------------------------------------------------------------------


def _dns_row(each: DnsFinding) -> DnsRow:
    domain = str(each.values.get("domain", ""))
    return DnsRow(
        finding=each,
        pill=pill_class(PILLS[each.result]),
        result=str(RESULT_LABELS[each.result]),
        publish=record_to_publish(each.code, domain, each.found) if domain else None,
    )


def _provider_row(rate: DomainRate) -> dict[str, Any]:
    if not rate.is_known:
        pill, result = "plain", _("Too few mails")
    elif rate.complaint_rate >= COMPLAINT_LIMIT:
        pill, result = "error", _("Above %(limit)s") % {"limit": percent(COMPLAINT_LIMIT)}
    elif rate.complaint_rate >= COMPLAINT_WARNING:
        pill, result = "warning", _("Above %(limit)s") % {"limit": percent(COMPLAINT_WARNING)}
    else:
        pill, result = "ok", _("OK")
    return {
        "rate": rate,
        "delivered": percent(rate.share(rate.delivered)),
        "bounced": percent(rate.share(rate.bounced)),
        "complained": percent(rate.complaint_rate),
        "pill": pill_class(pill),
        "result": result,
    }


def _source_row(source: Source) -> dict[str, Any]:
    if source.is_aligned:
        pill, result, step = "ok", _("Aligned"), ""
    elif source.stopped >= source.mails:
        pill, result, step = "warning", _("Not aligned"), _("Your policy stopped these mails.")
    else:
        pill, result = "error", _("Not aligned")
        step = _("One of yours? Set up DKIM there before a stricter policy. Otherwise probably forged.")
    more = ngettext("%(count)s address", "%(count)s addresses", source.addresses) % {"count": number(source.addresses)}
    return {
        "source": source,
        "more": more if source.is_aligned else "",
        "spf": percent(source.spf),
        "dkim": percent(source.dkim),
        "pill": pill_class(pill),
        "result": result,
        "step": step,
    }
