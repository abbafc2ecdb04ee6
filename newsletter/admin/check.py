"""Check: what pre-flight found in an issue, in three groups, each with the way to its place. Imports sending."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Need, Page, issue_page, page_url
from newsletter.content.document import IssueContent
from newsletter.content.store import load_content
from newsletter.models import Issue
from newsletter.preflight import Finding, Severity
from newsletter.sending.check import findings_of

#: What each family of checks is about, for people, in the order of the page.
FAMILY_NAMES = {
    "rendering": "It can be rendered, in both parts",
    "content": "Stories are whole, links lead somewhere, nothing stands twice",
    "envelope": "Subject, preheader and sender fit what inboxes show",
    "compliance": "Unsubscribe link and postal address are where the law wants them",
    "size": "It is small enough to be shown whole",
    "audience": "Somebody gets it",
}


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding, and the address of the row where it can be put right; empty where it is in no row."""

    place: str
    sentence: str
    url: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything pre-flight says, in the three groups of the page; of what passed, only the names."""

    must_fix: tuple[PlacedFinding, ...]
    look_at: tuple[PlacedFinding, ...]
    passed: tuple[str, ...]


@require_safe
def show_check(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The findings about the issue as it is saved."""
    title = f"Check: {issue.title}"
    return issue_page(request, issue, "check", title=title, step="check", findings=placed_findings(issue))


def placed_findings(issue: Issue) -> Findings:
    """What pre-flight says about the issue, with places."""
    found, urls = findings_of(issue), _urls(issue, load_content(issue))
    with_findings = {finding.family for finding in found}
    return Findings(
        must_fix=_placed((one for one in found if one.severity is Severity.MUST_FIX), urls),
        look_at=_placed((one for one in found if one.severity is not Severity.MUST_FIX), urls),
        passed=tuple(name for family, name in FAMILY_NAMES.items() if family not in with_findings),
    )


def _placed(group: Iterable[Finding], urls: Mapping[str, str]) -> tuple[PlacedFinding, ...]:
    return tuple(PlacedFinding(one.place, one.sentence, urls.get(one.place, "")) for one in group)


def _urls(issue: Issue, content: IssueContent) -> dict[str, str]:
    """Where each place of the issue, in the words that findings use, can be put right."""
    compose = page_url(issue, "change")
    rows = itertools.chain.from_iterable(
        (section.title, *(f"{section.title}, story {number}" for number, _ in enumerate(section.stories, start=1)))
        for section in content.sections
    )
    fields = {"Subject": f"{compose}#id_subject", "Preheader": f"{compose}#id_preheader"}
    newsletter = {"Newsletter": reverse("admin:newsletter_newsletter_change", args=[issue.newsletter_id])}
    return fields | newsletter | {place: f"{compose}#row-{row}" for row, place in enumerate(rows)}


PAGES = (Page("check", show_check, Need.VIEW),)
