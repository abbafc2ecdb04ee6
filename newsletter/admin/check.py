"""Check: what pre-flight found in an issue, in three groups, each with the way to its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from newsletter.admin.pages import Need, Page, editor_of, issue_page, page_url, tell_and_go
from newsletter.admin.time_format import in_zone
from newsletter.content.document import IssueContent
from newsletter.content.store import ContentError, load_content
from newsletter.models import Issue, PreflightRun
from newsletter.preflight import Finding, Occasion, PreflightResult, request_link_checks
from newsletter.preflight.places import HTML_PART, NEWSLETTER, PREHEADER, SUBJECT, TEXT_PART, THEME, places_of
from newsletter.sending.check import SuggestionIsGone, check_issue, judge_as_it_stands, use_suggestion

#: Runs that the page shows.
SHOWN_RUNS = 8

OCCASIONS = {
    Occasion.CHECK: "Checked",
    Occasion.SCHEDULE: "Checked to schedule it",
    Occasion.SEND: "Checked to send it",
    Occasion.START: "Checked when it was due",
}


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding, where it can be put right or seen (empty: nowhere), and what can be done about it by a click."""

    place: str
    sentence: str
    url: str
    preview_url: str = ""
    key: str = ""
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything pre-flight says, in the three groups of the page; what passed, in words."""

    must_fix: tuple[PlacedFinding, ...]
    look_at: tuple[PlacedFinding, ...]
    passed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the past, for people."""

    row: PreflightRun
    when: str
    occasion: str
    is_same: bool
    """Whether it looked at the same edition and found the same as now."""


@require_safe
def show_check(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The findings about the issue as it is saved; links that nobody has looked at for a day are looked at again."""
    waiting = request_link_checks(load_content(issue)) if issue.is_editable else 0
    earlier = list(issue.preflight_runs.order_by("-pk")[:SHOWN_RUNS])
    result = check_issue(issue, by=editor_of(request))
    return issue_page(
        request,
        issue,
        "check",
        title=f"Check: {issue.title}",
        step="check",
        findings=_grouped(issue, result),
        waiting=waiting,
        sha256=result.sha256,
        runs=_runs(earlier, result, issue.newsletter.time_zone),
    )


@require_POST
def use_it(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Put one finding right as the page suggests, if the issue is still the one that was looked at."""
    revision = request.POST.get("revision", "")
    try:
        if not revision.isdecimal():
            raise SuggestionIsGone("The page was incomplete. Nothing was changed; press the button again.")
        done = use_suggestion(issue, request.POST.get("finding", ""), revision=int(revision[:9]), by=editor_of(request))
    except (SuggestionIsGone, ContentError) as refusal:
        return tell_and_go(request, str(refusal), page_url(issue, "check"), level=messages.WARNING)
    return tell_and_go(request, f"Done: {done}. The issue is saved.", page_url(issue, "check"))


@require_POST
def look_again(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Have all links looked at anew, however fresh the last look is."""
    waiting = request_link_checks(load_content(issue), anew=True)
    links = "1 link is" if waiting == 1 else f"{waiting} links are"
    sentence = f"{links} looked at again by the worker. Come back in a minute." if waiting else "There are no links."
    return tell_and_go(request, sentence, page_url(issue, "check"))


def placed_findings(issue: Issue) -> Findings:
    """What pre-flight says about the issue, with places. Nothing is kept."""
    return _grouped(issue, judge_as_it_stands(issue))


def _grouped(issue: Issue, result: PreflightResult) -> Findings:
    urls, previews = _urls(issue, load_content(issue)), _previews(issue)
    return Findings(
        must_fix=_placed(result.must_fix, urls, previews),
        look_at=_placed(result.look_at, urls, previews),
        passed=result.passed,
    )


def _placed(
    group: Iterable[Finding], urls: Mapping[str, str], previews: Mapping[str, str]
) -> tuple[PlacedFinding, ...]:
    return tuple(
        PlacedFinding(
            place=one.place,
            sentence=one.sentence,
            url=urls.get(one.place, ""),
            preview_url=previews.get(one.place, ""),
            key=one.key,
            suggestion=one.fix.label if one.fix else "",
        )
        for one in group
    )


def _urls(issue: Issue, content: IssueContent) -> dict[str, str]:
    """Where each place of the issue, in the words that findings use, can be put right."""
    compose = page_url(issue, "change")
    newsletter = reverse("admin:newsletter_newsletter_change", args=[issue.newsletter_id])
    fields = {SUBJECT: f"{compose}#id_subject", PREHEADER: f"{compose}#id_preheader"}
    rows = {place: f"{compose}#row-{row}" for row, place in enumerate(places_of(content))}
    return fields | {NEWSLETTER: newsletter, THEME: newsletter} | rows


def _previews(issue: Issue) -> dict[str, str]:
    """Where each place that no editor writes can be seen."""
    preview = page_url(issue, "preview")
    return {HTML_PART: preview, THEME: preview, TEXT_PART: f"{preview}?as=text"}


def _runs(earlier: Iterable[PreflightRun], result: PreflightResult, zone: str) -> tuple[Run, ...]:
    """The runs before this one, newest first, on the clocks of `zone`."""
    now = (result.sha256, result.findings_sha256)
    return tuple(
        Run(
            row=row,
            when=in_zone(row.at, zone, short=True),
            occasion=OCCASIONS[Occasion(row.occasion)],
            is_same=(row.sha256, row.findings_sha256) == now,
        )
        for row in earlier
    )


PAGES = (
    Page("check", show_check, Need.VIEW),
    Page("check/suggestion", use_it, Need.CHANGE),
    Page("check/links", look_again, Need.CHANGE),
)
