"""The list of issues: its columns, counted for the whole page at once."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.admin.pages import page_url, pill_class
from newsletter.admin.time_format import from_now, in_zone
from newsletter.models import IN_PROGRESS, Issue, IssueState, Send, SendState, Story
from newsletter.models.web_pages import page_of
from newsletter.reports.statistics import SendTotals, send_totals
from subscribers.admin.filters import OfferedFiltersChangeList


def story_counts_of(issues: Collection[int]) -> dict[int, int]:
    """How many stories each issue has, in one query."""
    rows = Story.objects.filter(section__issue__in=issues).order_by()
    return dict(rows.values_list("section__issue").annotate(stories=Count("pk")))


class IssueChangeList(OfferedFiltersChangeList):
    """One page of issues, each with its totals and number of stories; three queries, however many issues."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then its counts."""
        super().get_results(request)
        issues: list[Any] = list(self.result_list)
        sends = {issue.pk: issue.current_send for issue in issues}
        totals = send_totals([send.pk for send in sends.values() if send])
        stories = story_counts_of([issue.pk for issue in issues])
        for issue in issues:
            send = sends[issue.pk]
            issue.totals = totals.get(send.pk) if send else None
            issue.story_count = stories.get(issue.pk, 0)
        self.result_list = issues


if TYPE_CHECKING:

    class ListedIssue(Issue):
        """An issue as the list has it."""

        totals: SendTotals | None
        story_count: int

        class Meta:
            abstract = True


def name_cell(issue: ListedIssue) -> str:
    """Its title, newsletter, and number of stories."""
    stories = ngettext("%(count)s story", "%(count)s stories", issue.story_count) % {"count": issue.story_count}
    return format_html('{}<span class="secondary">{} · {}</span>', issue.title, issue.newsletter.name, stories)


def status_cell(issue: Issue) -> str:
    return format_html('<span class="{}">{}</span>', pill_class(issue.status), issue.get_status_display())


def when_cell(issue: Issue) -> str:
    """The time that matters in its status, with its zone."""
    send = issue.current_send
    sentence, at = _time_of_send(send) if send else _time_without_send(issue)
    if at is None:
        return "–"
    zone = send.time_zone if send else issue.newsletter.time_zone
    clock = in_zone(at, zone, short=True)
    return format_html('{}<span class="secondary">{} · {}</span>', sentence % {"time": from_now(at)}, clock, zone)


def _time_without_send(issue: Issue) -> tuple[str, datetime.datetime | None]:
    page = page_of(issue) if issue.is_published_without_send else None
    return (_("Published %(time)s"), page.published_at) if page else (_time_of_draft(issue), issue.updated_at)


def _time_of_draft(issue: Issue) -> str:
    if issue.hold_reason:
        return _("Needs attention, edited %(time)s")
    return _("Approved, edited %(time)s") if issue.state == IssueState.APPROVED else _("Edited %(time)s")


def _time_of_send(send: Send) -> tuple[str, datetime.datetime | None]:
    if send.state == SendState.SCHEDULED:
        if not send.hold_reason:
            return _("Starts %(time)s"), send.scheduled_at
        is_retried = send.retry_start_at is not None
        sentence = _("Start retried, due %(time)s") if is_retried else _("Needs attention, due %(time)s")
        return sentence, send.scheduled_at
    if send.state in IN_PROGRESS:
        return _("Started %(time)s"), send.started_at
    ended = send.finished_at or send.started_at
    return (_("Cancelled %(time)s") if send.state == SendState.CANCELLED else _("Finished %(time)s")), ended


def recipients_cell(issue: ListedIssue) -> str:
    """The size of its audience, and how many were delivered and clicked."""
    totals = issue.totals
    if totals is None:
        return "–"
    counts = _("%(delivered)s delivered · %(clicked)s clicked") % {
        "delivered": number_format(totals.delivered, force_grouping=True),
        "clicked": number_format(totals.clicked, force_grouping=True),
    }
    recipients = number_format(totals.recipients, force_grouping=True)
    return format_html('{}<span class="secondary">{}</span>', recipients, counts)


def action_cell(issue: Issue) -> str:
    label, page = {
        IssueState.DRAFT.value: (_("Edit"), "change"),
        IssueState.APPROVED.value: (_("Edit"), "change"),
        IssueState.PUBLISHED.value: (_("Web version"), "web"),
        SendState.SCHEDULED.value: (_("Review"), "preview"),
        SendState.SENDING.value: (_("View progress"), "report"),
        SendState.PAUSED.value: (_("View progress"), "report"),
    }.get(issue.status, (_("Report"), "report"))
    return format_html('<a href="{}" aria-label="{}: {}">{}</a>', page_url(issue, page), label, issue.title, label)


def duplicate_cell(issue: Issue) -> str:
    """A button; the list's template has the form with the token."""
    label, url = _("Duplicate"), page_url(issue, "duplicate")
    return format_html(
        '<button type="submit" form="row-form" formaction="{}" aria-label="{}: {}">{}</button>',
        *(url, label, issue.title, label),
    )


class StatusFilter(admin.SimpleListFilter):
    """By status: that of the issue's send, else the issue's own."""

    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        sends = [(state.value, str(state.label)) for state in SendState if state is not SendState.WITHDRAWN]
        return [*((state.value, str(state.label)) for state in IssueState), *sends]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        if chosen in IssueState.values:
            in_use = Send.objects.current().filter(issue=OuterRef("pk"))
            return queryset.filter(~Exists(in_use), state=chosen)
        if chosen in SendState.values:
            return queryset.filter(sends__state=chosen).distinct()
        return queryset
