"""The check page of an issue: its findings by severity and kind, safe fixes, and warnings that were accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from newsletter.admin.check_groups import FindingGroups, place_findings
from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message, username_of
from newsletter.admin.time_format import clock_time, in_zone
from newsletter.content.difference import Change, difference
from newsletter.content.store import ContentError, load_content
from newsletter.models import AcceptedFinding, Issue, PreflightRun
from newsletter.preflight import Finding, PreflightResult, Trigger, recorded_findings, request_link_checks
from newsletter.preflight.kinds import by_kind, code_of
from newsletter.preflight.link_checks import LinkProgress, link_progress
from newsletter.sending.check import SuggestionOutdated, check_issue, findings_of, preflight_issue, use_suggestions

#: The number of earlier runs that the page shows.
SHOWN_RUNS = 8

TRIGGERS = {
    Trigger.MANUAL: gettext_lazy("Checked"),
    Trigger.SCHEDULE: gettext_lazy("Checked when scheduled"),
    Trigger.SEND_NOW: gettext_lazy("Checked before sending"),
    Trigger.SCHEDULED_START: gettext_lazy("Checked at the scheduled time"),
}


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


@dataclass(frozen=True, slots=True)
class OfferedFix:
    """A fix with what it changes."""

    key: str
    place: str
    message: str
    label: str
    changes: tuple[Change, ...]


class AcceptForm(forms.Form):
    """Why warnings are accepted."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("Kept with the issue, for those who review it."),
        widget=forms.TextInput(attrs={"autofocus": True}),
    )


@require_safe
def show_check(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The findings about the issue as it is saved. Requests checks of links without a result from the last day.

    With `?kind=`, only the findings of that kind, all of them.
    """
    if issue.is_editable:
        request_link_checks(load_content(issue))
    earlier = list(issue.preflight_runs.order_by("-pk")[:SHOWN_RUNS])
    result = check_issue(issue, by=username_of(request))
    only = request.GET.get("kind", "")
    groups = place_findings(issue, result, only=only)
    progress = link_progress(load_content(issue))
    return issue_page(
        request,
        issue,
        "check",
        title=_("Check: %(issue)s") % {"issue": issue.title},
        tab="check",
        only=only,
        findings=groups,
        heading=_heading(groups),
        counts=_counts(groups.error_count, groups.warning_count),
        progress=progress,
        checked_at=clock_time(timezone.now(), issue.newsletter.time_zone),
        zone=issue.newsletter.time_zone,
        sha256=result.sha256,
        runs=_runs(earlier, result, issue.newsletter.time_zone),
    )


@require_safe
def show_progress(request: HttpRequest, issue: Issue) -> HttpResponse:
    """How far the check of links is, for the page that waits for it."""
    progress = link_progress(load_content(issue))
    return JsonResponse(
        {
            "waiting": progress.waiting,
            "total": progress.total,
            "revision": issue.revision,
            "sentence": waiting_sentence(progress),
            "done": ngettext("The link was checked.", "All %(count)s links were checked.", progress.total)
            % {"count": progress.total},
        }
    )


def waiting_sentence(progress: LinkProgress) -> str:
    """How many links wait for an answer."""
    return ngettext(
        "%(count)s link: waiting for an answer. The result appears here without reloading.",
        "%(count)s links: waiting for an answer. Results appear here without reloading.",
        progress.waiting,
    ) % {"count": progress.waiting}


@require_http_methods(["GET", "HEAD", "POST"])
def show_fixes(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Every fix with what it changes, to be ticked and made as one revision; `?kind=` has those of one kind only."""
    if request.method == "POST":
        return _apply(request, issue, request.POST.getlist("finding"))
    only, before = request.GET.get("kind", ""), load_content(issue)
    accepted = set(issue.accepted_findings.values_list("key", flat=True))
    offered = [
        OfferedFix(one.key, one.place, one.message, one.fix.label, difference(before, one.fix.content))
        for one in findings_of(issue)
        if one.fix and one.key not in accepted and (not only or code_of(one) == only)
    ]
    title = _("Safe fixes: %(issue)s") % {"issue": issue.title}
    return issue_page(request, issue, "check_fixes", title=title, tab="check", fixes=offered)


@require_POST
def apply_suggestion(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Save the fixes of the named findings if the issue is still at the revision that was checked."""
    return _apply(request, issue, request.POST.getlist("finding"))


def _apply(request: HttpRequest, issue: Issue, keys: list[str]) -> HttpResponse:
    revision = request.POST.get("revision", "")
    try:
        if not revision.isdecimal():
            raise SuggestionOutdated(_("The request was incomplete. Nothing was changed: use the suggestion again."))
        fixes = use_suggestions(issue, keys, revision=int(revision[:9]), by=username_of(request))
    except (SuggestionOutdated, ContentError) as error:
        return redirect_with_message(request, str(error), page_url(issue, "check"), level=messages.WARNING)
    if len(fixes) == 1:
        message = _("Suggestion used: %(suggestion)s. The issue was saved.") % {"suggestion": fixes[0].label}
    else:
        message = _("%(count)s changes were made and saved as one revision.") % {"count": len(fixes)}
    return redirect_with_message(request, message, page_url(issue, "check"))


@require_http_methods(["GET", "HEAD", "POST"])
def accept(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Ask for the reason, and accept the warnings of one kind, or the one with the key in `finding`."""
    kind, key = request.GET.get("kind", ""), request.GET.get("finding", "")
    accepted = set(issue.accepted_findings.values_list("key", flat=True))
    chosen = [
        one
        for one in preflight_issue(issue).warnings
        if one.key not in accepted and (one.key == key if key else code_of(one) == kind)
    ]
    form = AcceptForm(request.POST if request.method == "POST" else None)
    if not chosen:
        return redirect_with_message(
            request, _("There is no such warning any more."), page_url(issue, "check"), level=messages.WARNING
        )
    if form.is_valid():
        AcceptedFinding.objects.bulk_create(
            (
                AcceptedFinding(
                    issue=issue,
                    key=one.key,
                    code=code_of(one),
                    reason=form.cleaned_data["reason"],
                    by=username_of(request),
                )
                for one in chosen
            ),
            ignore_conflicts=True,
        )
        message = ngettext("%(count)s warning is accepted.", "%(count)s warnings are accepted.", len(chosen))
        return redirect_with_message(request, message % {"count": len(chosen)}, page_url(issue, "check"))
    title = _("Accept warnings: %(issue)s") % {"issue": issue.title}
    return issue_page(
        request, issue, "check_accept", title=title, tab="check", form=form, kinds=by_kind(chosen), count=len(chosen)
    )


@require_POST
def withdraw(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Make an accepted warning one that is shown again."""
    issue.accepted_findings.filter(key=request.POST.get("finding", "")).delete()
    return redirect_with_message(request, _("The warning is shown again."), page_url(issue, "check"))


@require_POST
def recheck_links(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Request checks of all links, even if they have been checked recently."""
    waiting = request_link_checks(load_content(issue), force=True)
    message = ngettext("%(count)s link is being checked.", "%(count)s links are being checked.", waiting) % {
        "count": waiting
    }
    return redirect_with_message(
        request, message if waiting else _("The issue has no links."), page_url(issue, "check")
    )


def placed_findings(issue: Issue) -> FindingGroups:
    """The result of pre-flight with places, without recording the run."""
    return place_findings(issue, preflight_issue(issue))


def _heading(groups: FindingGroups) -> str:
    """`2 problems block sending. 4 warnings.`"""
    errors, warnings = groups.error_count, groups.warning_count
    sentences = []
    if errors:
        sentences.append(
            ngettext("%(count)s problem blocks sending.", "%(count)s problems block sending.", errors)
            % {"count": errors}
        )
    if warnings:
        sentences.append(ngettext("%(count)s warning.", "%(count)s warnings.", warnings) % {"count": warnings})
    if not sentences:
        return _("No errors or warnings")
    return " ".join(sentences)


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
    Page("check/progress", show_progress, RequiredPermission.VIEW),
    Page("check/fixes", show_fixes, RequiredPermission.CHANGE),
    Page("check/suggestion", apply_suggestion, RequiredPermission.CHANGE),
    Page("check/accept", accept, RequiredPermission.CHANGE),
    Page("check/withdraw", withdraw, RequiredPermission.CHANGE),
    Page("check/links", recheck_links, RequiredPermission.CHANGE),
)
