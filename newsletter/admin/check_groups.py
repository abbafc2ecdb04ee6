"""The findings of a check as pages show them: by kind, each with the field that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.urls import reverse
from django.utils.http import urlencode

from newsletter.admin.pages import page_url
from newsletter.content.document import IssueContent
from newsletter.content.store import load_content
from newsletter.models import AcceptedFinding, Issue
from newsletter.preflight import Finding, PreflightResult
from newsletter.preflight.kinds import by_kind, code_of
from newsletter.preflight.places import BRAND, HTML_PART, NEWSLETTER, PREHEADER, SUBJECT, TEXT_PART, THEME, places_of

#: Kinds with more places are folded; with more than the second number, only so many are on the page of all kinds.
UNFOLDED, LISTED = 3, 12
#: The kind of the finding about links that wait for their first answer.
WAITING = "links.not_checked"


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
class ShownKind:
    """Findings of one kind: one, or several under a heading."""

    code: str
    heading: str
    findings: tuple[PlacedFinding, ...]
    """At most LISTED, unless the page is about this kind."""
    count: int
    fixable: tuple[str, ...]
    """The keys of those with a fix."""
    tour_url: str
    """The compose page at the first of several places, with a way to the next; empty if there is none."""

    is_open: bool
    """Whether its places are unfolded."""

    @property
    def more(self) -> int:
        """The number of places that are left out."""
        return self.count - len(self.findings)


@dataclass(frozen=True, slots=True)
class ShownAcceptance:
    """A warning that was accepted."""

    finding: PlacedFinding
    row: AcceptedFinding


@dataclass(frozen=True, slots=True)
class FindingGroups:
    """The result of pre-flight in the groups of the page."""

    errors: tuple[ShownKind, ...]
    warnings: tuple[ShownKind, ...]
    accepted: tuple[ShownAcceptance, ...]
    passed: tuple[str, ...]

    @property
    def error_count(self) -> int:
        """The number of errors."""
        return sum(kind.count for kind in self.errors)

    @property
    def warning_count(self) -> int:
        """The number of warnings that are not accepted."""
        return sum(kind.count for kind in self.warnings)

    @property
    def fixable(self) -> tuple[str, ...]:
        """The keys of all findings with a fix."""
        return tuple(key for kind in (*self.errors, *self.warnings) for key in kind.fixable)

    @property
    def next_url(self) -> str:
        """Where the first problem is solved; empty if none has a place."""
        kinds = (*self.errors, *self.warnings)
        return next((kind.tour_url or kind.findings[0].url for kind in kinds if _has_place(kind)), "")


def _has_place(kind: ShownKind) -> bool:
    return bool(kind.tour_url or kind.findings[0].url)


def place_findings(issue: Issue, result: PreflightResult, *, only: str = "") -> FindingGroups:
    """The findings of a result with their places; with `only`, those of one kind, all of them."""
    places = Places.of(issue)
    accepted = {row.key: row for row in issue.accepted_findings.all()}
    # What waits for an answer has a place of its own on the page.
    warnings = [one for one in result.warnings if one.key not in accepted and code_of(one) != WAITING]
    return FindingGroups(
        errors=_kinds(result.errors, places, only),
        warnings=_kinds(warnings, places, only),
        accepted=tuple(
            ShownAcceptance(places.placed(finding), accepted[finding.key])
            for finding in result.warnings
            if finding.key in accepted
        ),
        passed=result.passed,
    )


def _kinds(findings: Iterable[Finding], places: Places, only: str) -> tuple[ShownKind, ...]:
    kinds = (kind for kind in by_kind(findings) if not only or kind.code == only)
    return tuple(
        ShownKind(
            code=kind.code,
            heading=kind.heading,
            findings=tuple(places.placed(finding) for finding in kind.findings[: None if only else LISTED]),
            count=len(kind.findings),
            fixable=tuple(finding.key for finding in kind.findings if finding.fix),
            tour_url=tour_url(places, kind.findings, 1) if kind.heading else "",
            is_open=bool(only) or len(kind.findings) <= UNFOLDED,
        )
        for kind in kinds
    )


def tour_url(places: Places, findings: Iterable[Finding], number: int) -> str:
    """The compose page at the place of the finding `number`, from 1, of one kind; empty if it has no place there."""
    finding = list(findings)[number - 1]
    path, _, anchor = places.url_of(finding).partition("#")
    if path != places.compose or not anchor:
        return ""
    return f"{path}?{urlencode({'check': code_of(finding), 'at': str(number)})}#{anchor}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where each place of an issue can be changed and seen."""

    compose: str
    urls: Mapping[str, str]
    previews: Mapping[str, str]
    rows: Mapping[str, int]

    @classmethod
    def of(cls, issue: Issue, content: IssueContent | None = None) -> Places:
        """Those of an issue as it is saved."""
        compose, preview = page_url(issue, "change"), page_url(issue, "preview")
        newsletter = reverse("admin:newsletter_newsletter_change", args=[issue.newsletter_id])
        brand = f"{reverse('brand')}?newsletter={issue.newsletter_id}"
        return cls(
            compose=compose,
            urls={
                SUBJECT: f"{compose}#id_subject",
                PREHEADER: f"{compose}#id_preheader",
                NEWSLETTER: newsletter,
                THEME: brand,
                BRAND: brand,
            },
            previews={HTML_PART: preview, THEME: preview, TEXT_PART: f"{preview}?as=text"},
            rows={place: row for row, place in enumerate(places_of(content or load_content(issue)))},
        )

    def url_of(self, finding: Finding) -> str:
        """The page and the field or row where `finding` can be fixed; empty if there is none."""
        row = self.rows.get(finding.place)
        if row is None:
            return self.urls.get(finding.place, "")
        return f"{self.compose}#id_rows-{row}-{finding.field}" if finding.field else f"{self.compose}#row-{row}"

    def placed(self, finding: Finding) -> PlacedFinding:
        """A finding as the page shows it."""
        return PlacedFinding(
            place=finding.place,
            message=finding.message,
            url=self.url_of(finding),
            is_in_newsletter=finding.place in (NEWSLETTER, THEME, BRAND),
            preview_url=self.previews.get(finding.place, ""),
            key=finding.key,
            suggestion=finding.fix.label if finding.fix else "",
        )
