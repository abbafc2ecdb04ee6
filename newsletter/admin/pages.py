"""What the pages of one issue share: who may open them, and what stands on each."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from newsletter.models import PUBLISHED, Issue, IssueStatus

SEND_PERMISSION = "newsletter.send_issue"
CHANGE_PERMISSION = "newsletter.change_issue"


class Need(enum.Enum):
    """What a person must be allowed to do before a page of an issue opens."""

    VIEW = "view"
    CHANGE = "change"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Page:
    """One page below an issue's address in the admin. `view` takes the request, the issue and what `path` names."""

    path: str
    view: Callable[..., HttpResponse]
    needs: Need

    @property
    def name(self) -> str:
        """Its name among the admin's addresses: `schedule` gives `newsletter_issue_schedule`."""
        words = [part for part in self.path.split("/") if not part.startswith("<")]
        return "newsletter_issue_" + "_".join(words).replace("-", "_")


@dataclass(frozen=True, slots=True)
class Step:
    """One tab of an issue: where it leads and whether it is the one that is open."""

    label: str
    url: str
    is_current: bool


def page_url(issue: Issue, page: str, *arguments: object) -> str:
    """Address of a page of `issue` by its short name, such as `schedule` or `preview_frame`."""
    return reverse(f"admin:newsletter_issue_{page}", args=[issue.pk, *arguments])


def home_of(issue: Issue) -> str:
    """Where an issue is best looked at in its present state: composing, or following its mails."""
    return page_url(issue, "report" if issue.status in PUBLISHED else "change")


def steps_of(issue: Issue, current: str, request: HttpRequest) -> list[Step]:
    """The tabs that mean something in the issue's state and open for this person, in the order of its way."""
    labels = {"change": "Compose" if issue.is_editable else "Content", "preview": "Preview"}
    if issue.status in PUBLISHED:
        labels["report"] = "Report"
    else:
        labels["check"] = "Check"
        if request.user.has_perm(SEND_PERMISSION):
            labels["schedule"] = "Schedule"
    return [Step(label, page_url(issue, page), page == current) for page, label in labels.items()]


def issue_page(request: HttpRequest, issue: Issue, page: str, *, title: str, step: str, **context: Any) -> HttpResponse:
    """One page of an issue from the template of its name, inside the admin's frame."""
    context = admin.site.each_context(request) | {
        "title": title,
        "opts": Issue._meta,
        "issue": issue,
        "steps": steps_of(issue, step, request),
        "may_change": request.user.has_perm(CHANGE_PERMISSION),
        "may_send": request.user.has_perm(SEND_PERMISSION),
        **context,
    }
    return TemplateResponse(request, f"admin/newsletter/issue/{page}.html", context)


def tell_and_go(
    request: HttpRequest, sentence: str, url: str, *, level: int = messages.SUCCESS
) -> HttpResponseRedirect:
    """Show `sentence` on the page at `url`."""
    messages.add_message(request, level, sentence)
    return HttpResponseRedirect(url)


def editor_of(request: HttpRequest) -> str:
    """The name under which the history keeps what this person does."""
    return str(request.user.get_username())


def pill_of(status: str) -> str:
    """The class of a status pill; one colour per state."""
    return f"pill pill-{IssueStatus(status).value}"
