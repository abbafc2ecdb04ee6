"""The web version of an issue: its address, who finds it, its versions and history, and the decisions about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from newsletter.admin.pages import (
    Page,
    RequiredPermission,
    issue_page,
    main_page_url,
    page_url,
    redirect_with_message,
    username_of,
)
from newsletter.admin.time_format import with_zone
from newsletter.content.difference import difference, summary_of
from newsletter.content.document import IssueContent
from newsletter.content.store import ContentError
from newsletter.content.web_versions import UnreadableVersion, change_visibility, content_of_version
from newsletter.models import InvalidTransition, Issue, SendState, Visibility, WebPageTransition, WebVersion
from newsletter.models.web_pages import page_of, reachable_issues, visibility_of

#: Rows of each history that the page lists, the latest first.
SHOWN = 50

CORRECT = "web_correct"


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityDecision:
    """One change of visibility. `explanation` takes the issue; a reason is asked for in any case."""

    path: str
    title: str | Promise
    button: str | Promise
    target: Visibility
    sources: tuple[Visibility, ...]
    explanation: Callable[[Issue], tuple[str, ...]]
    done: str | Promise
    is_final: bool = False


def _explain_unlist(issue: Issue) -> tuple[str, ...]:
    return (
        _("The issue is removed from the archive, the feed and the sitemap. Search engines are asked to forget it."),
        _("Everybody who has its link can still read it, for example from the mail."),
    )


def _explain_hide(issue: Issue) -> tuple[str, ...]:
    return (
        _("Search engines are asked to leave the page out. That takes effect when they visit it the next time."),
        _("The issue stays in the archive and the feed."),
    )


def _explain_take_down(issue: Issue) -> tuple[str, ...]:
    return (
        _(
            "The page says that the issue was withdrawn, and shows nothing of it. Links in mails lead there. The issue "
            "is removed from the archive, the feed and the sitemap, and reports of it that were shared do not open."
        ),
        _("Mails that were sent cannot be recalled. You can publish the page again."),
    )


def _explain_publish(issue: Issue) -> tuple[str, ...]:
    if issue.status == SendState.CANCELLED:
        return (_("The page is shown again. The send was cancelled, so it stays out of the archive and the feed."),)
    return (_("The page is shown again, and listed in the archive, the feed and the sitemap."),)


DECISIONS = (
    VisibilityDecision(
        path="web/unlist",
        title=gettext_lazy("Unlist"),
        button=gettext_lazy("Unlist the page"),
        target=Visibility.UNLISTED,
        sources=(Visibility.LISTED, Visibility.NOT_INDEXED, Visibility.TAKEN_DOWN),
        explanation=_explain_unlist,
        done=gettext_lazy("The page is unlisted."),
    ),
    VisibilityDecision(
        path="web/hide",
        title=gettext_lazy("Hide from search engines"),
        button=gettext_lazy("Hide from search engines"),
        target=Visibility.NOT_INDEXED,
        sources=(Visibility.LISTED,),
        explanation=_explain_hide,
        done=gettext_lazy("Search engines are asked to leave the page out."),
    ),
    VisibilityDecision(
        path="web/take-down",
        title=gettext_lazy("Take down"),
        button=gettext_lazy("Take down the page"),
        target=Visibility.TAKEN_DOWN,
        sources=(Visibility.LISTED, Visibility.NOT_INDEXED, Visibility.UNLISTED),
        explanation=_explain_take_down,
        done=gettext_lazy("The page is taken down."),
        is_final=True,
    ),
    VisibilityDecision(
        path="web/publish-again",
        title=gettext_lazy("Publish again"),
        button=gettext_lazy("Publish again"),
        target=Visibility.LISTED,
        sources=(Visibility.NOT_INDEXED, Visibility.UNLISTED, Visibility.TAKEN_DOWN),
        explanation=_explain_publish,
        done=gettext_lazy("The page is published again."),
    ),
)


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version in the list."""

    version: WebVersion
    made_at: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One change of visibility in the list."""

    transition: WebPageTransition
    label: str
    at: str


@dataclass(frozen=True, slots=True)
class OfferedDecision:
    label: str
    url: str
    is_final: bool


def web_issue(issue: Issue) -> Any | None:
    """The issue with its page, if it has one on the web."""
    return reachable_issues().filter(pk=issue.pk).select_related("web_page__version", "newsletter").first()


def without_web_page(request: HttpRequest, issue: Issue) -> HttpResponse:
    """To the issue's own page."""
    sentence = _("This issue has no web page: it was not sent, or nothing of it went out.")
    return redirect_with_message(request, sentence, main_page_url(issue), level=messages.INFO)


@require_safe
def show_web_version(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The state of the page, what may be done about it, and its histories."""
    row = web_issue(issue)
    if row is None:
        return without_web_page(request, issue)
    page, visibility, zone = page_of(row), visibility_of(row), issue.newsletter.time_zone
    changes = page.transitions.order_by("-pk")[:SHOWN] if page else ()
    return issue_page(
        request,
        issue,
        "web_version",
        title=_("Web version: %(issue)s") % {"issue": issue.title},
        tab="web",
        visibility=visibility,
        is_cancelled=row.send_state == SendState.CANCELLED,
        was_mailed=row.send_state is not None,
        published=with_zone(row.shown_at, zone),
        versions=list(_version_rows(issue, page.version_id if page else None)),
        history=[HistoryRow(each, each.get_target_display(), with_zone(each.at, zone)) for each in changes],
        decisions=[
            OfferedDecision(str(each.title), page_url(issue, _name(each)), each.is_final)
            for each in DECISIONS
            if visibility in each.sources
        ],
        correct_url=page_url(issue, CORRECT),
    )


@require_safe
def show_version(request: HttpRequest, issue: Issue, number: int) -> HttpResponse:
    """What one version changed, and its content."""
    version = WebVersion.objects.filter(issue=issue, number=number).first()
    if version is None:
        raise Http404(_("This issue has no web version %(number)s.") % {"number": number})
    before = WebVersion.objects.filter(issue=issue, number=number - 1).first()
    try:
        content = content_of_version(version)
        changes = difference(content_of_version(before), content) if before else ()
    except UnreadableVersion as error:
        return redirect_with_message(request, str(error), page_url(issue, "web"), level=messages.ERROR)
    return issue_page(
        request,
        issue,
        "web_version_content",
        title=str(version),
        tab="web",
        version=version,
        content=content,
        has_earlier=before is not None,
        changes=changes,
        summary=capfirst(str(summary_of(changes))),
        made_at=with_zone(version.at, issue.newsletter.time_zone),
        correct_url=page_url(issue, CORRECT),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: HttpRequest, issue: Issue, *, decision: VisibilityDecision) -> HttpResponse:
    """GET explains the decision, POST does it. A second click is harmless: it reports the present state."""
    row = web_issue(issue)
    if row is None:
        return without_web_page(request, issue)
    present = visibility_of(row)
    if present not in decision.sources:
        sentence = _("Nothing was changed: the web version is “%(state)s”.") % {"state": present.label}
        return redirect_with_message(request, sentence, page_url(issue, "web"), level=messages.WARNING)
    if request.method != "POST":
        return _ask(request, issue, decision)
    try:
        change_visibility(issue, decision.target, by=username_of(request), text=request.POST.get("reason", ""))
    except InvalidTransition as error:
        return redirect_with_message(request, str(error), page_url(issue, "web"), level=messages.WARNING)
    except ContentError as error:
        return _ask(request, issue, decision, problem=str(error))
    return redirect_with_message(request, str(decision.done), page_url(issue, "web"))


def _ask(request: HttpRequest, issue: Issue, decision: VisibilityDecision, *, problem: str = "") -> HttpResponse:
    title = _("%(page)s: %(issue)s") % {"page": decision.title, "issue": issue.title}
    return issue_page(
        request,
        issue,
        "decide",
        title=_("Error: %(title)s") % {"title": title} if problem else title,
        tab="web",
        heading=decision.title,
        button=decision.button,
        is_final=decision.is_final,
        explanation=decision.explanation(issue),
        asks_reason=True,
        needs_reason=decision.target == Visibility.TAKEN_DOWN,
        problem=problem,
        back=page_url(issue, "web"),
    )


def _version_rows(issue: Issue, current: int | None) -> Any:
    zone = issue.newsletter.time_zone
    for version in WebVersion.objects.filter(issue=issue).defer("content")[:SHOWN]:
        yield VersionRow(version, with_zone(version.at, zone), version.pk == current)


def _name(decision: VisibilityDecision) -> str:
    return decision.path.replace("/", "_").replace("-", "_")


def content_of_number(issue: Issue, number: int) -> IssueContent | None:
    """The content of a version of the page; None if it has no such version. Raises UnreadableVersion."""
    version = WebVersion.objects.filter(issue=issue, number=number).first()
    return content_of_version(version) if version else None


PAGES = (
    Page("web", show_web_version, RequiredPermission.VIEW),
    Page("web/version/<int:number>", show_version, RequiredPermission.VIEW),
    *(Page(each.path, partial(decide, decision=each), RequiredPermission.SEND) for each in DECISIONS),
)
