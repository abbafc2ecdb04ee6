"""The recipients behind a number of a report: a list, page by page."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url
from newsletter.models import STARTED, Issue
from newsletter.models.reasons import reason_sentence
from newsletter.reports.bounce_table import class_label
from newsletter.reports.recipients import Selection, UnknownSelection, page_of_recipients
from subscribers.admin.filters import MAX_KEY_DIGITS

#: What a query may name.
PARAMETERS = ("place", "state", "reason", "bounce")


@require_safe
def show_recipients(request: HttpRequest, issue: Issue) -> HttpResponse:
    """`?place=`, `?state=&reason=` or `?bounce=`; `?after=` is the key behind which the page begins."""
    send = issue.current_send
    if send is None or send.state not in STARTED:
        raise Http404
    chosen = {name: request.GET[name] for name in PARAMETERS if name in request.GET}
    try:
        selection = Selection(**chosen)
    except UnknownSelection as unknown:
        raise Http404 from unknown
    found = page_of_recipients(send, selection, _key(request.GET.get("after", "0")))
    heading = _heading(selection)
    address = page_url(issue, "report_recipients")
    return issue_page(
        request,
        issue,
        "report_recipients",
        title=_("%(page)s: %(issue)s") % {"page": heading, "issue": issue.title},
        tab="report",
        heading=heading,
        rows=found.rows,
        is_first="after" not in request.GET,
        first=f"{address}?{urlencode(chosen)}",
        following=f"{address}?{urlencode({**chosen, 'after': str(found.after)})}" if found.after else "",
        report=page_url(issue, "report"),
    )


def _heading(selection: Selection) -> str:
    if selection.bounce:
        return _("Bounced: %(kind)s") % {"kind": class_label(selection.bounce)}
    if selection.reason:
        return f"{selection.label}: {reason_sentence(selection.reason)}"
    return str(selection.label)


def _key(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_KEY_DIGITS):
        raise Http404
    return int(text)


PAGES = (Page("report/recipients", show_recipients, RequiredPermission.PERSONAL),)
