"""The page of one link of a sent issue: disable it, so that it leads nowhere, or enable it again; with its history."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import (
    Page,
    RequiredPermission,
    issue_page,
    page_url,
    redirect_with_message,
    username_of,
)
from newsletter.admin.time_format import with_zone
from newsletter.engagement.disabled_links import disable_address, enable_address
from newsletter.models import FIRST_LINK, DisabledLink, Edition, Issue, numbered_links
from newsletter.sending.control import one_line


@require_http_methods(["GET", "POST"])
def change_link(request: HttpRequest, issue: Issue, number: int) -> HttpResponse:
    """Explain it, and with POST disable or enable every link of the issue to the same address. 404 without a link."""
    edition = _edition_of(issue)
    place = number - FIRST_LINK
    links = numbered_links(edition) if edition else []
    if edition is None or not 0 <= place < len(links):
        raise Http404
    url = links[place]["url"]
    history = list(DisabledLink.objects.filter(edition=edition, number=number).order_by("-pk"))
    is_disabled = bool(history) and history[0].ended_at is None
    problem = ""
    if request.method == "POST":
        if request.POST.get("action") == "enable":
            return _enabled(request, issue, url)
        if text := one_line(request.POST.get("reason", "")):
            return _disabled(request, issue, url, text)
        problem = _("Say why the link is disabled.")
    return issue_page(
        request,
        issue,
        "report_link",
        title=_("Link: %(title)s") % {"title": issue.title},
        tab="report",
        link=links[place],
        number=number,
        is_disabled=is_disabled,
        problem=problem,
        history=[_line(row) for row in history],
        back=page_url(issue, "report"),
    )


def _edition_of(issue: Issue) -> Edition | None:
    send = issue.current_send
    return send.edition if send is not None else None


def _disabled(request: HttpRequest, issue: Issue, url: str, text: str) -> HttpResponse:
    count = disable_address(issue, url, by=username_of(request), text=text)
    if not count:
        return redirect_with_message(request, _("The link is disabled already."), page_url(issue, "report"))
    sentence = ngettext(
        "%(count)s link is disabled. It takes up to five seconds until it leads nowhere.",
        "%(count)s links are disabled. It takes up to five seconds until they lead nowhere.",
        count,
    )
    return redirect_with_message(request, sentence % {"count": count}, page_url(issue, "report"))


def _enabled(request: HttpRequest, issue: Issue, url: str) -> HttpResponse:
    enable_address(issue, url, by=username_of(request))
    return redirect_with_message(request, _("The link leads to its page again."), page_url(issue, "report"))


def _line(row: DisabledLink) -> str:
    values = {"by": row.by, "at": with_zone(row.at, "UTC"), "text": row.text}
    disabled = _("Disabled by %(by)s, %(at)s: %(text)s") % values
    if row.ended_at is None:
        return disabled
    enabled = _("Enabled by %(by)s, %(at)s.") % {"by": row.ended_by, "at": with_zone(row.ended_at, "UTC")}
    return f"{disabled} {enabled}"


PAGES = (Page("report/links/<int:number>", change_link, RequiredPermission.SEND),)
