"""The list of issues: its columns, counted for the whole page at once."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.admin.pages import page_url, pill_class
from newsletter.admin.time_format import from_now, in_zone
from newsletter.models import IN_PROGRESS, Delivery, Issue, IssueState, Send, SendState, Story


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known about the mails of one send, in short."""

    recipients: int = 0
    delivered: int = 0
    clicked: int = 0


def tallies_of(sends: Collection[int]) -> dict[int, Tally]:
    """Recipients, delivered and clicked of each send that has deliveries, in one query."""
    rows = (
        Delivery.objects.filter(send__in=sends)
        .values_list("send")
        .annotate(
            recipients=Count("pk"),
            reached=Count("pk", filter=Q(delivered_at__isnull=False, bounced_at__isnull=True)),
            followed=Count("pk", filter=Q(clicked_at__isnull=False)),
        )
    )
    return {send: Tally(*counts) for send, *counts in rows}


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
        sends = {issue.pk: issue.current_send for issue in issues}
        tallies = tallies_of([send.pk for send in sends.values() if send])
        stories = story_counts_of([issue.pk for issue in issues])
        for issue in issues:
            send = sends[issue.pk]
            issue.tally = tallies.get(send.pk) if send else None
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
    """Its title, newsletter, and number of stories."""
    stories = ngettext("%(count)s story", "%(count)s stories", issue.story_count) % {"count": issue.story_count}
    return format_html('{}<span class="under">{} · {}</span>', issue.title, issue.newsletter.name, stories)


def status_of(issue: Issue) -> str:
    """Its status as a pill."""
    return format_html('<span class="{}">{}</span>', pill_class(issue.status), issue.get_status_display())


def when_of(issue: Issue) -> str:
    """The time that matters in its status, with its zone."""
    send = issue.current_send
    label, at = _time_of_send(send) if send else (_label_of_draft(issue), issue.updated_at)
    if at is None:
        return "–"
    zone = send.time_zone if send else issue.newsletter.time_zone
    clock = in_zone(at, zone, short=True)
    return format_html('{} {}<span class="under">{} · {}</span>', label, from_now(at), clock, zone)


def _label_of_draft(issue: Issue) -> str:
    if issue.hold_reason:
        return _("Needs attention: edited")
    return _("Approved: edited") if issue.state == IssueState.APPROVED else _("Edited")


def _time_of_send(send: Send) -> tuple[str, datetime.datetime | None]:
    if send.state == SendState.SCHEDULED:
        if not send.hold_reason:
            return _("Starts"), send.scheduled_at
        return (_("Start retried: due") if send.retry_start_at else _("Needs attention: due")), send.scheduled_at
    if send.state in IN_PROGRESS:
        return _("Started"), send.started_at
    ended = send.finished_at or send.started_at
    return (_("Cancelled") if send.state == SendState.CANCELLED else _("Finished")), ended


def recipients_of(issue: ListedIssue) -> str:
    """The size of its audience, and how many were delivered and clicked."""
    tally = issue.tally
    if tally is None:
        return "–"
    under = _("%(delivered)s delivered · %(clicked)s clicked") % {
        "delivered": number_format(tally.delivered, force_grouping=True),
        "clicked": number_format(tally.clicked, force_grouping=True),
    }
    return format_html('{}<span class="under">{}</span>', number_format(tally.recipients, force_grouping=True), under)


def action_of(issue: Issue) -> str:
    """Its next action."""
    label, page = {
        IssueState.DRAFT.value: (_("Edit"), "change"),
        IssueState.APPROVED.value: (_("Edit"), "change"),
        SendState.SCHEDULED.value: (_("Review"), "preview"),
        SendState.SENDING.value: (_("Follow"), "report"),
        SendState.PAUSED.value: (_("Follow"), "report"),
    }.get(issue.status, (_("Report"), "report"))
    return format_html('<a href="{}" aria-label="{}: {}">{}</a>', page_url(issue, page), label, issue.title, label)


class StatusFilter(admin.SimpleListFilter):
    """By status: that of the issue's send, else the issue's own."""

    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every status that an issue may have."""
        sends = [(state.value, str(state.label)) for state in SendState if state is not SendState.WITHDRAWN]
        return [*((state.value, str(state.label)) for state in IssueState), *sends]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Issues of that status."""
        chosen = self.value()
        if chosen in IssueState.values:
            in_use = Send.objects.current().filter(issue=OuterRef("pk"))
            return queryset.filter(~Exists(in_use), state=chosen)
        if chosen in SendState.values:
            return queryset.filter(sends__state=chosen).distinct()
        return queryset
