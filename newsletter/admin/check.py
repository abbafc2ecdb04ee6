"""The check page of an issue: its findings by severity, each with a link to its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.admin.time_format import in_zone
from newsletter.content.document import IssueContent
from newsletter.content.store import ContentError, load_content
from newsletter.models import Issue, PreflightRun
from newsletter.preflight import Finding, PreflightResult, Trigger, recorded_findings, request_link_checks
from newsletter.preflight.places import BRAND, HTML_PART, NEWSLETTER, PREHEADER, SUBJECT, TEXT_PART, THEME, places_of
from newsletter.sending.check import SuggestionOutdated, check_issue, preflight_issue, use_suggestion

#: The number of earlier runs that the page shows.
SHOWN_RUNS = 8

TRIGGERS = {
    Trigger.MANUAL: gettext_lazy("Checked"),
    Trigger.SCHEDULE: gettext_lazy("Checked when scheduled"),
    Trigger.SEND_NOW: gettext_lazy("Checked before sending"),
    Trigger.SCHEDULED_START: gettext_lazy("Checked at the scheduled time"),
}


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding with the page where it can be fixed, the page where it can be seen, and the button of its fix.

    Each is empty if there is none.
    """

    place: str
    message: str
    url: str = ""
    is_in_newsletter: bool = False
    """Whether `url` is the page of the newsletter, which takes a permission of its own."""
    preview_url: str = ""
    key: str = ""
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class FindingGroups:
    """The result of pre-flight in the three groups of the page."""

    errors: tuple[PlacedFinding, ...]
    warnings: tuple[PlacedFinding, ...]
    passed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """An earlier run as the page shows it."""

    row: PreflightRun
    time: str
    trigger: str
    counts: str
    findings: tuple[Finding, ...]
    is_same: bool
    """Whether its edition and its findings are the present ones."""


@require_safe
def show_check(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The findings about the issue as it is saved. Requests checks of links without a result from the last day."""
    waiting = request_link_checks(load_content(issue)) if issue.is_editable else 0
    earlier = list(issue.preflight_runs.order_by("-pk")[:SHOWN_RUNS])
    result = check_issue(issue, by=username_of(request))
    return issue_page(
        request,
        issue,
        "check",
        title=_("Check: %(issue)s") % {"issue": issue.title},
        tab="check",
        findings=place_findings(issue, result),
        heading=_counts(len(result.errors), len(result.warnings)),
        waiting=waiting,
        sha256=result.sha256,
        runs=_runs(earlier, result, issue.newsletter.time_zone),
    )


@require_POST
def apply_suggestion(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Save the fix of one finding if the issue is still at the revision that was checked."""
    revision = request.POST.get("revision", "")
    try:
        if not revision.isdecimal():
            raise SuggestionOutdated(_("The request was incomplete. Nothing was changed: use the suggestion again."))
        label = use_suggestion(
            issue, request.POST.get("finding", ""), revision=int(revision[:9]), by=username_of(request)
        )
    except (SuggestionOutdated, ContentError) as error:
        return redirect_with_message(request, str(error), page_url(issue, "check"), level=messages.WARNING)
    message = _("Suggestion used: %(suggestion)s. The issue was saved.") % {"suggestion": label}
    return redirect_with_message(request, message, page_url(issue, "check"))


@require_POST
def recheck_links(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Request checks of all links, even if they have been checked recently."""
    waiting = request_link_checks(load_content(issue), force=True)
    message = ngettext(
        "%(count)s link is being checked. Run the checks again in a minute.",
        "%(count)s links are being checked. Run the checks again in a minute.",
        waiting,
    ) % {"count": waiting}
    return redirect_with_message(
        request, message if waiting else _("The issue has no links."), page_url(issue, "check")
    )


def placed_findings(issue: Issue) -> FindingGroups:
    """The result of pre-flight with places, without recording the run."""
    return place_findings(issue, preflight_issue(issue))


def place_findings(issue: Issue, result: PreflightResult) -> FindingGroups:
    """The findings of a result with their places."""
    urls, previews = _urls(issue, load_content(issue)), _previews(issue)
    return FindingGroups(
        errors=_placed(result.errors, urls, previews),
        warnings=_placed(result.warnings, urls, previews),
        passed=result.passed,
    )


def _placed(
    group: Iterable[Finding], urls: Mapping[str, str], previews: Mapping[str, str]
) -> tuple[PlacedFinding, ...]:
    return tuple(
        PlacedFinding(
            place=finding.place,
            message=finding.message,
            url=urls.get(finding.place, ""),
            is_in_newsletter=finding.place in (NEWSLETTER, THEME, BRAND),
            preview_url=previews.get(finding.place, ""),
            key=finding.key,
            suggestion=finding.fix.label if finding.fix else "",
        )
        for finding in group
    )


def _urls(issue: Issue, content: IssueContent) -> dict[str, str]:
    """The page on which each place can be changed."""
    compose = page_url(issue, "change")
    newsletter = reverse("admin:newsletter_newsletter_change", args=[issue.newsletter_id])
    fields = {SUBJECT: f"{compose}#id_subject", PREHEADER: f"{compose}#id_preheader"}
    rows = {place: f"{compose}#row-{row}" for row, place in enumerate(places_of(content))}
    brand = f"{reverse('brand')}?newsletter={issue.newsletter_id}"
    return fields | {NEWSLETTER: newsletter, THEME: brand, BRAND: brand} | rows


def _previews(issue: Issue) -> dict[str, str]:
    """The preview of each place that is made by a template."""
    preview = page_url(issue, "preview")
    return {HTML_PART: preview, THEME: preview, TEXT_PART: f"{preview}?as=text"}


def _counts(errors: int, warnings: int) -> str:
    """`2 errors, 1 warning`."""
    if not errors and not warnings:
        return _("No errors or warnings")
    counts = []
    if errors:
        counts.append(ngettext("%(count)s error", "%(count)s errors", errors) % {"count": errors})
    if warnings:
        counts.append(ngettext("%(count)s warning", "%(count)s warnings", warnings) % {"count": warnings})
    return ", ".join(counts)


def _runs(earlier: Iterable[PreflightRun], result: PreflightResult, zone: str) -> tuple[EarlierRun, ...]:
    """The runs before this one, newest first, with times in `zone`."""
    present = (result.sha256, result.findings_sha256)
    return tuple(
        EarlierRun(
            row=row,
            time=in_zone(row.at, zone, short=True),
            trigger=str(TRIGGERS[Trigger(row.occasion)]),
            counts=_counts(row.errors, row.warnings),
            findings=recorded_findings(row),
            is_same=(row.sha256, row.findings_sha256) == present,
        )
        for row in earlier
    )


PAGES = (
    Page("check", show_check, RequiredPermission.VIEW),
    Page("check/suggestion", apply_suggestion, RequiredPermission.CHANGE),
    Page("check/links", recheck_links, RequiredPermission.CHANGE),
)
