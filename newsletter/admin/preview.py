"""Preview: how readers will see an issue, each look in a frame that can do nothing.

A frame has its own address and its own content security policy: frames made of `srcdoc` or `blob:` would inherit
the admin's, which forbids the inline styles that mails are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from newsletter.admin.client_emulation import in_dark, in_forced_dark, in_light, without_pictures
from newsletter.admin.compose import IssueForm
from newsletter.admin.pages import Need, Page, issue_page, page_url
from newsletter.models import Edition, Issue
from newsletter.providers.base import Message
from newsletter.rendering import PlaceholderTemplate, RenderedIssue, RenderingError
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.expand import audience_of
from newsletter.sending.freeze import merges_as_json, prepare_edition
from newsletter.sending.message import message_of, sample_values
from newsletter.sending.recipients import Recipient, as_recipient
from newsletter.sending.source import source_of, with_content

#: Opaque origin, no scripts, no forms; links open in a window of their own, which is an ordinary one.
FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

#: Who may see whom an issue goes to (R-143).
VIEW_READERS = ("subscribers.view_subscription", "subscribers.view_subscriber")
MOST_FOUND = 10


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at an issue. `show` makes the HTML part what that screen or program shows."""

    key: str
    label: str
    says: str
    """What is seen there, and what is not."""
    show: Callable[[str], str] | None = None


LOOKS = {
    look.key: look
    for look in (
        Look("desktop", "Desktop", "600 pixels wide, on a light screen.", in_light),
        Look("phone", "Phone", "375 pixels wide, on a light screen.", in_light),
        Look("dark", "Dark", "A dark screen in a program that follows the mail’s own dark colours.", in_dark),
        Look(
            "forced-dark",
            "Dark, forced",
            "A dark screen in a program that turns every colour around, as Gmail and Outlook do on phones with mails "
            "that they do not leave to themselves. An imitation: each does it in its own way.",
            in_forced_dark,
        ),
        Look("no-pictures", "Pictures off", "Before a reader allows pictures: their words instead.", without_pictures),
        Look("text", "Plain text", "The other part of the same mail, for programs and people without HTML."),
        Look("web", "Web page", "The page in the archive, as it will be there once the issue starts."),
        Look("headers", "Headers", "The outside of the mail, as the provider gets it."),
    )
}

#: What the preview opens with.
SIDE_BY_SIDE = "side-by-side"


@require_safe
def show_preview(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The page around the frames; `?as=` picks the look, `?reader=` whose mail it is."""
    chosen = request.GET.get("as", SIDE_BY_SIDE)
    looks = [LOOKS[chosen]] if chosen in LOOKS else [LOOKS["desktop"], LOOKS["phone"]]
    reader = _chosen_reader(request, issue)
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
        chosen=chosen if chosen in LOOKS else SIDE_BY_SIDE,
        frames=[(look, _frame_url(request, issue, look)) for look in looks],
        reader=reader,
        reader_query=_reader_query(request),
        rendering=rendering,
        problem=problem,
        kilobytes=len(rendering.html.encode()) / 1000 if rendering else 0,
        **_found_readers(request, issue),
    )


@require_safe
def show_frame(request: HttpRequest, issue: Issue, look: str) -> HttpResponse:
    """What stands in the frame: the frozen edition, or a draft as it is saved."""
    if look not in LOOKS or look == "web":
        raise Http404
    reader = _chosen_reader(request, issue)
    try:
        if look == "headers":
            return _framed_text(_headers(issue, reader))
        return _frame(rendering_of(issue), issue, LOOKS[look], reader)
    except (RenderingError, EnvelopeError) as error:
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
    return _frame(rendering, stored, LOOKS["desktop"], None)


def rendering_of(issue: Issue) -> RenderedIssue | Edition:
    """The edition that goes out where there is one, else the draft as it is saved. Raises RenderingError."""
    return issue.edition or source_of(issue).render()


# Whose mail it is


def _chosen_reader(request: HttpRequest, issue: Issue) -> Recipient | None:
    """The reader that `?reader=` names, if this person may see readers; only one to whom the issue would go."""
    if not request.GET.get("reader"):
        return None
    if not request.user.has_perms(VIEW_READERS):
        raise PermissionDenied
    readers = audience_of(issue.newsletter_id, timezone.now()).select_related("subscriber")
    key = request.GET["reader"]
    return as_recipient(get_object_or_404(readers, pk=int(key) if key.isdecimal() and len(key) < 19 else 0))


def _found_readers(request: HttpRequest, issue: Issue) -> dict[str, Any]:
    """What the picker shows: active readers whose address holds the words, at most MOST_FOUND."""
    if not request.user.has_perms(VIEW_READERS):
        return {"may_pick": False}
    words = request.GET.get("search", "").strip().lower()[:320]
    readers = audience_of(issue.newsletter_id, timezone.now()).select_related("subscriber")
    found = list(readers.filter(subscriber__canonical__contains=words).order_by("pk")[:MOST_FOUND]) if words else []
    return {"may_pick": True, "search": words, "found": found}


def _reader_query(request: HttpRequest) -> str:
    """What a link to another look adds, so that it shows the same reader's mail."""
    reader = request.GET.get("reader", "")
    return f"&reader={reader}" if reader.isdecimal() else ""


def _frame_url(request: HttpRequest, issue: Issue, look: Look) -> str:
    if look.key == "web":
        return reverse("draft", args=[issue.newsletter.slug, issue.slug])
    reader = _reader_query(request).replace("&", "?")
    return page_url(issue, "preview_frame", look.key) + reader


# What stands in a frame


def _frame(rendering: RenderedIssue | Edition, issue: Issue, look: Look, reader: Recipient | None) -> HttpResponse:
    values = sample_values(issue.newsletter, _merges_of(rendering), reader)
    if look.show is None:
        return _framed_text(_filled(rendering.text, rendering.nonce, values))
    return _framed(_filled(look.show(rendering.html), rendering.nonce, values).encode(), "text/html")


def _merges_of(rendering: RenderedIssue | Edition) -> Mapping[str, Mapping[str, str]]:
    return rendering.merges if isinstance(rendering, Edition) else merges_as_json(rendering.merges)


def _filled(part: str, nonce: str, values: Mapping[str, str]) -> str:
    return PlaceholderTemplate.split(part.encode(), nonce).fill(values).decode()


def _headers(issue: Issue, reader: Recipient | None) -> str:
    """The mail's outside, line by line. Raises RenderingError or EnvelopeError."""
    edition = issue.edition or prepare_edition(issue)
    message = message_of(edition)
    lines = "\n".join(f"{name}: {value}" for name, value in _outside_of(message) if value)
    filled = _filled(lines, edition.nonce, sample_values(issue.newsletter, edition.merges, reader))
    return (
        f"{filled}\n\n"
        f"HTML part: {len(edition.html.encode()):,} bytes\n"
        f"Text part: {len(edition.text.encode()):,} bytes\n"
        f"Edition:   {edition.sha256}{'' if issue.edition else ' (if it were frozen now)'}\n\n"
        "To, the unsubscribe address and the tag “delivery” are samples here; each reader gets their own. "
        "The provider adds Date, Message-ID, DKIM-Signature and the MIME lines.\n"
    )


def _outside_of(message: Message) -> tuple[tuple[str, str], ...]:
    return (
        ("From", message.sender),
        ("To", message.to),
        ("Reply-To", message.reply_to),
        ("Subject", message.subject),
        *message.headers.items(),
        ("Tags", ", ".join(f"{name}={value}" for name, value in message.tags.items() if value != "None")),
    )


def _frame_of_problem(sentence: str) -> HttpResponse:
    page = f'<!DOCTYPE html><html lang="en"><title>No preview</title><p>{escape(sentence)}</p></html>'
    return _framed(page.encode(), "text/html")


def _framed_text(text: str) -> HttpResponse:
    """Words of a fixed width that wrap; browsers would show text/plain in one line each."""
    page = (
        '<!DOCTYPE html><html lang="en"><head><base target="_blank"><meta name="color-scheme" content="light dark">'
        "<title>Text</title></head>"
        f'<body style="margin:16px"><pre style="white-space:pre-wrap;overflow-wrap:anywhere;margin:0;'
        f'font:14px/1.5 ui-monospace,Menlo,Consolas,monospace">{escape(text)}</pre></body></html>'
    )
    return _framed(page.encode(), "text/html")


def _framed(body: bytes, content_type: str) -> HttpResponse:
    response = HttpResponse(body, content_type=f"{content_type}; charset=utf-8")
    response["Content-Security-Policy"] = FRAME_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


PAGES = (
    Page("preview", show_preview, Need.VIEW),
    Page("preview/frame/<slug:look>", show_frame, Need.VIEW),
    Page("preview/unsaved", show_unsaved, Need.CHANGE),
)
