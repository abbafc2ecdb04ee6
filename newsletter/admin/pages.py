"""What the pages of one issue share: their permissions, tabs, template frame and messages."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from newsletter.models import STARTED, Issue
from subscribers.admin.rights import may_see_personal_data

SEND_PERMISSION = "newsletter.send_issue"
CHANGE_PERMISSION = "newsletter.change_issue"
SHARE_PERMISSION = "newsletter.share_report"


class RequiredPermission(enum.Enum):
    VIEW = "view"
    CHANGE = "change"
    SEND = "send"
    PERSONAL = "personal"
    """To see addresses and deliveries."""
    SHARE = "share"
    """To give a part of the report to others."""


def may_see_recipients(request: HttpRequest) -> bool:
    """Whether the recipients behind a number are shown and linked."""
    return may_see_personal_data(request) and request.user.has_perm("newsletter.view_delivery")


@dataclass(frozen=True, slots=True)
class Page:
    """One page below an issue's URL in the admin. `view` takes the request, the issue and the arguments in `path`."""

    path: str
    view: Callable[..., HttpResponse]
    required_permission: RequiredPermission

    @property
    def name(self) -> str:
        """The name of its URL pattern: `schedule` gives `newsletter_issue_schedule`."""
        words = [part for part in self.path.split("/") if not part.startswith("<")]
        return "newsletter_issue_" + "_".join(words).replace("-", "_")


@dataclass(frozen=True, slots=True)
class Tab:
    label: str
    url: str
    is_current: bool


def page_url(issue: Issue, page: str, *arguments: object) -> str:
    """The URL of a page of `issue` by its short name, such as `schedule` or `preview_frame`."""
    return reverse(f"admin:newsletter_issue_{page}", args=[issue.pk, *arguments])


def main_page_url(issue: Issue) -> str:
    """The URL of the main page for an issue's status: its report once sending starts, its compose page before.

    That of an issue that was published without a send is its web version.
    """
    if issue.is_published_without_send:
        return page_url(issue, "web")
    return page_url(issue, "report" if issue.status in STARTED else "change")


def tabs_of(issue: Issue, current: str, request: HttpRequest) -> list[Tab]:
    """The tabs for the issue's status that the user may open, in the order of the workflow."""
    labels = {"change": _("Compose") if issue.is_editable else _("Content"), "preview": _("Preview")}
    if issue.status in STARTED:
        labels |= {"report": _("Report"), "web": _("Web version")}
    elif issue.is_published_without_send:
        labels["web"] = _("Web version")
    else:
        labels["check"] = _("Check")
        if request.user.has_perm(SEND_PERMISSION):
            labels["schedule"] = _("Schedule")
    return [Tab(label, page_url(issue, page), page == current) for page, label in labels.items()]


def issue_page(request: HttpRequest, issue: Issue, page: str, *, title: str, tab: str, **context: Any) -> HttpResponse:
    """One page of an issue, rendered from the template of the same name."""
    context = admin.site.each_context(request) | {
        "title": title,
        "opts": Issue._meta,
        "issue": issue,
        "tabs": tabs_of(issue, tab, request),
        "may_change": request.user.has_perm(CHANGE_PERMISSION),
        "may_send": request.user.has_perm(SEND_PERMISSION),
        **context,
    }
    return TemplateResponse(request, f"admin/newsletter/issue/{page}.html", context)


def redirect_with_message(
    request: HttpRequest, sentence: str, url: str, *, level: int = messages.SUCCESS
) -> HttpResponseRedirect:
    """Redirect to `url` and show `sentence` there."""
    messages.add_message(request, level, sentence)
    return HttpResponseRedirect(url)


def username_of(request: HttpRequest) -> str:
    """The user name that histories record."""
    return str(request.user.get_username())


def pill_class(status: str) -> str:
    """The CSS classes of a pill, by a state of any record, a severity or a tone; theme.css has their colours."""
    return f"pill pill-{status}"
