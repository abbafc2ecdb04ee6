"""Preview: how readers will see an issue, in a frame that can do nothing. Imports rendering, sending and models.

The frame has its own address and its own content security policy: frames made of `srcdoc` or `blob:` would inherit
the admin's, which forbids the inline styles that mails are made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from newsletter.admin.compose import IssueForm
from newsletter.admin.pages import Need, Page, issue_page, page_url
from newsletter.models import Edition, Issue
from newsletter.rendering import RenderedIssue, RenderingError, SlotTemplate
from newsletter.sending.freeze import merges_as_json, render
from newsletter.sending.message import sample_values
from newsletter.sending.source import with_content

#: Opaque origin, no scripts, no forms; links open in a window of their own, which is an ordinary one.
FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_DARK_ONLY = re.compile(r"@media\s*\(\s*prefers-color-scheme:\s*dark\s*\)")
_SCHEME_META = re.compile(r'(<meta name="(?:supported-)?color-schemes?" content=")[^"]*(")')


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at an issue."""

    key: str
    label: str
    is_text: bool = False
    is_dark: bool = False


LOOKS = {
    look.key: look
    for look in (
        Look("desktop", "Desktop"),
        Look("phone", "Phone"),
        Look("dark", "Dark", is_dark=True),
        Look("text", "Plain text", is_text=True),
    )
}


@require_safe
def show_preview(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The page around the frame; `?as=` picks the look."""
    look = LOOKS.get(request.GET.get("as", "desktop"), LOOKS["desktop"])
    try:
        rendering, problem = rendering_of(issue), ""
    except RenderingError as error:
        rendering, problem = None, str(error)
    return issue_page(
        request,
        issue,
        "preview",
        title=f"Preview: {issue.title}",
        step="preview",
        looks=LOOKS.values(),
        look=look,
        frame_url=page_url(issue, "preview_frame", look.key),
        rendering=rendering,
        problem=problem,
        kilobytes=len(rendering.html.encode()) / 1000 if rendering else 0,
    )


@require_safe
def show_frame(request: HttpRequest, issue: Issue, look: str) -> HttpResponse:
    """What stands in the frame: the frozen edition, or a draft as it is saved."""
    if look not in LOOKS:
        raise Http404
    try:
        return _frame(rendering_of(issue), issue, LOOKS[look])
    except RenderingError as error:
        return _frame_of_problem(str(error))


@require_POST
def show_unsaved(request: HttpRequest, issue: Issue) -> HttpResponse:
    """What the frame shows for text that is not saved yet. Nothing is stored."""
    form = IssueForm(request.POST, instance=issue)
    if not form.is_valid():
        return _frame_of_problem("The text has problems. Save it to see them, each at its place.")
    stored = Issue.objects.select_related("newsletter").get(pk=issue.pk)
    try:
        rendering = with_content(stored, form.content()).render()
    except RenderingError as error:
        return _frame_of_problem(str(error))
    return _frame(rendering, stored, LOOKS["desktop"])


def rendering_of(issue: Issue) -> RenderedIssue | Edition:
    """The edition that goes out where there is one, else the draft as it is saved. Raises RenderingError."""
    return issue.edition or render(issue)


def _frame(rendering: RenderedIssue | Edition, issue: Issue, look: Look) -> HttpResponse:
    part = rendering.text if look.is_text else _in_scheme(rendering.html, is_dark=look.is_dark)
    merges = rendering.merges if isinstance(rendering, Edition) else merges_as_json(rendering.merges)
    filled = SlotTemplate.split(part.encode(), rendering.nonce).fill(sample_values(issue.newsletter, merges))
    return _framed(filled, "text/plain" if look.is_text else "text/html")


def _in_scheme(html: str, *, is_dark: bool) -> str:
    """The mail as a reader with light or dark screens sees it, whichever of them the editor has."""
    html = _DARK_ONLY.sub("@media all" if is_dark else "@media not all", html)
    html = _SCHEME_META.sub(rf"\g<1>{'dark' if is_dark else 'light'}\g<2>", html)
    return html.replace("<head>", '<head><base target="_blank">', 1)


def _frame_of_problem(sentence: str) -> HttpResponse:
    page = f'<!DOCTYPE html><html lang="en"><title>No preview</title><p>{escape(sentence)}</p></html>'
    return _framed(page.encode(), "text/html")


def _framed(body: bytes, content_type: str) -> HttpResponse:
    response = HttpResponse(body, content_type=f"{content_type}; charset=utf-8")
    response["Content-Security-Policy"] = FRAME_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Cache-Control"] = "no-store"
    return response


PAGES = (
    Page("preview", show_preview, Need.VIEW),
    Page("preview/frame/<slug:look>", show_frame, Need.VIEW),
    Page("preview/unsaved", show_unsaved, Need.CHANGE),
)
