"""The list of issues: what stands in its columns, counted for the whole page at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.html import format_html

from newsletter.admin.pages import page_url, pill_of
from newsletter.admin.time_format import from_now, in_zone
from newsletter.models import Delivery, Issue, IssueStatus, Story


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known about the mails of one issue, in short."""

    readers: int = 0
    delivered: int = 0
    clicked: int = 0


def tallies_of(editions: Collection[int]) -> dict[int, Tally]:
    """Readers, delivered and clicked of each edition that has deliveries, in one query."""
    rows = (
        Delivery.objects.filter(edition__in=editions)
        .values_list("edition")
        .annotate(
            readers=Count("pk"),
            reached=Count("pk", filter=Q(delivered_at__isnull=False, bounced_at__isnull=True)),
            followed=Count("pk", filter=Q(clicked_at__isnull=False)),
        )
    )
    return {edition: Tally(*counts) for edition, *counts in rows}


def story_counts_of(issues: Collection[int]) -> dict[int, int]:
    """How many stories each issue has, in one query."""
    rows = Story.objects.filter(section__issue__in=issues).order_by()
    return dict(rows.values_list("section__issue").annotate(stories=Count("pk")))


class IssueChangeList(ChangeList):
    """One page of issues, each with its tally and number of stories; three queries, however many issues."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then its counts."""
        super().get_results(request)
        issues: list[Any] = list(self.result_list)
        tallies = tallies_of([issue.edition_id for issue in issues if issue.edition_id])
        stories = story_counts_of([issue.pk for issue in issues])
        for issue in issues:
            issue.tally = tallies.get(issue.edition_id)
            issue.story_count = stories.get(issue.pk, 0)
        self.result_list = issues


if TYPE_CHECKING:

    class ListedIssue(Issue):
        """An issue as the list has it."""

        tally: Tally | None
        story_count: int

        class Meta:
            abstract = True


def name_of(issue: ListedIssue) -> str:
    """Its title, where it belongs, and how many stories it has."""
    stories = "1 story" if issue.story_count == 1 else f"{issue.story_count} stories"
    return format_html('{}<span class="under">{} · {}</span>', issue.title, issue.newsletter.name, stories)


def status_of(issue: Issue) -> str:
    """Its status as a pill."""
    return format_html('<span class="{}">{}</span>', pill_of(issue.status), issue.get_status_display())


def when_of(issue: Issue) -> str:
    """The time that matters in its state, in words and with its zone."""
    zone = issue.scheduled_zone or issue.newsletter.time_zone
    moment = {
        IssueStatus.DRAFT: issue.updated_at,
        IssueStatus.SCHEDULED: issue.scheduled_at,
    }.get(IssueStatus(issue.status), issue.finished_at or issue.started_at)
    verb = {
        IssueStatus.DRAFT: "Edited",
        IssueStatus.SCHEDULED: "Goes out",
        IssueStatus.SENDING: "Started",
        IssueStatus.PAUSED: "Started",
        IssueStatus.SENT: "Finished",
        IssueStatus.CANCELLED: "Cancelled",
    }[IssueStatus(issue.status)]
    if moment is None:
        return "–"
    if issue.status == IssueStatus.SCHEDULED and issue.hold_reason:
        verb = "Tried again: was due" if issue.next_try_at else "Waits for you: was due"
    elif issue.status == IssueStatus.DRAFT and issue.hold_reason:
        verb = "Waits for you: edited"
    elif issue.status == IssueStatus.DRAFT and issue.ready_revision == issue.revision:
        verb = "Ready for its slot: edited"
    clock = in_zone(moment, zone, short=True)
    return format_html('{} {}<span class="under">{} · {}</span>', verb, from_now(moment), clock, zone)


def recipients_of(issue: ListedIssue) -> str:
    """How many it was addressed to, and below how many it has reached and how many followed a link."""
    tally = issue.tally
    if tally is None:
        return "–"
    under = f"{tally.delivered:,} delivered · {tally.clicked:,} clicked"
    return format_html('{}<span class="under">{}</span>', f"{tally.readers:,}", under)


def action_of(issue: Issue) -> str:
    """The one thing to do with it next."""
    label, page = {
        IssueStatus.DRAFT: ("Edit", "change"),
        IssueStatus.SCHEDULED: ("Review", "preview"),
        IssueStatus.SENDING: ("Watch", "report"),
        IssueStatus.PAUSED: ("Watch", "report"),
    }.get(IssueStatus(issue.status), ("Report", "report"))
    return format_html('<a href="{}" aria-label="{} {}">{}</a>', page_url(issue, page), label, issue.title, label)
