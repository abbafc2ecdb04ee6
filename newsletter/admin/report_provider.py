"""The provider's own count of an issue beside ours: a part of the report that is loaded by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url
from newsletter.admin.time_format import in_zone
from newsletter.models import STARTED, Issue, Send
from newsletter.reports.provider_counts import CountsUnreadable, ProviderCounts, provider_counts
from newsletter.reports.statistics import SendReport, report_of
from subscribers.addresses import domain_of


@dataclass(frozen=True, slots=True)
class CountRow:
    """One number: ours, the provider's, and why they may differ. `difference` is empty where they agree."""

    label: str
    ours: int
    theirs: int
    why: str

    @property
    def difference(self) -> int:
        return self.theirs - self.ours


@require_safe
def show_counts(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The part alone, for the script of the report."""
    return render(request, "admin/newsletter/issue/report_provider_counts.html", _context(issue))


@require_safe
def show_page(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The same as a page, for browsers without scripts."""
    title = _("Provider’s own count: %(issue)s") % {"issue": issue.title}
    return issue_page(request, issue, "report_provider", title=title, tab="report", **_context(issue))


def _context(issue: Issue) -> dict[str, Any]:
    send = issue.current_send
    if send is None or send.state not in STARTED:
        raise Http404
    context = {"report": page_url(issue, "report"), "refresh": page_url(issue, "report_provider")}
    try:
        found = provider_counts(send)
    except CountsUnreadable as error:
        return {**context, "sentence": str(error)}
    if found is None:
        return {
            **context,
            "sentence": _(
                "The provider of this send does not count mails by itself, or its key may not read the counts. "
                "Resend needs RESEND_READ_KEY."
            ),
        }
    return {
        **context,
        "provider": found.provider.capitalize(),
        "rows": list(_rows(report_of(send), found)),
        "notes": list(_notes(send, found)),
        "asked": in_zone(timezone.now(), send.time_zone),
    }


def _rows(ours: SendReport, found: ProviderCounts) -> Iterator[CountRow]:
    theirs, late = (
        found.counts,
        _("Events are on their way, or were lost and are read from the log."),
    )
    machines = _("The provider counts machines, too, and counts at its own links and image.")
    yield CountRow(_("Sent"), ours.accepted, theirs.sent, _("The provider counts what it has begun to deliver."))
    yield CountRow(_("Delivered"), ours.delivered, theirs.delivered, late)
    bounced = _("We count a mail that was opened or clicked after a bounce as delivered.")
    yield CountRow(_("Bounced"), ours.bounced, theirs.bounced, bounced)
    yield CountRow(_("Complained"), ours.complained, theirs.complained, late)
    yield CountRow(_("Opened"), ours.opened, theirs.opened, machines)
    yield CountRow(_("Clicked"), ours.clicked, theirs.clicked, machines)


def _notes(send: Send, found: ProviderCounts) -> Iterator[str]:
    """What makes the two hard to compare."""
    yield _("The provider’s numbers are up to 15 minutes old.")
    if not found.is_of_send:
        domain = domain_of(send.issue.newsletter.sender_email)
        yield _(
            "They are of all mails from %(domain)s since this send began: mails of other issues and confirmation mails "
            "are counted, too."
        ) % {"domain": domain}
    if not found.is_complete:
        yield _("The provider keeps its data for 30 days, and this send is older: a part is missing.")


PAGES = (
    Page("report/provider", show_page, RequiredPermission.VIEW),
    Page("report/provider/counts", show_counts, RequiredPermission.VIEW),
)
