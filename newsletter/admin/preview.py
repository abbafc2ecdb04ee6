"""Preview: an issue as subscribers will see it, in different screens and mail programs.

Each frame has its own URL and its own content security policy: frames made of `srcdoc` or `blob:` would inherit the
admin's, which forbids the inline styles that mails are made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from newsletter.admin.client_emulation import in_dark, in_forced_dark, in_light, without_images
from newsletter.admin.compose import IssueForm
from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url
from newsletter.content.document import IssueContent
from newsletter.content.revisions import UnreadableRevision
from newsletter.models import Edition, Issue, Newsletter
from newsletter.providers.base import Message
from newsletter.rendering import PlaceholderTemplate, RenderedIssue, RenderingError
from newsletter.sending.audience import Audience
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import merges_as_json, prepare_edition
from newsletter.sending.message import filled_subject, message_of, sample_values
from newsletter.sending.recipients import Recipient, as_recipient
from newsletter.sending.source import source_of, with_content

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Opaque origin, no scripts, no forms; links open in a new, ordinary tab.
FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

#: The same for the frame beside the compose page, whose scripts scroll it and mark the row. Nothing in it may run, so
#: that its mail does not use what the origin would allow.
BESIDE_POLICY = FRAME_POLICY.replace("sandbox ", "sandbox allow-same-origin ", 1)
#: The emulated clients that the compose page offers.
BESIDE = ("desktop", "phone", "dark", "text")
_HEAD = re.compile(rb"<head[^>]*>")

#: What an editor needs to see the mail of one subscriber.
SUBSCRIBER_PERMISSIONS = (
    "subscribers.view_subscription",
    "subscribers.view_subscriber",
    "subscribers.view_personal_data",
)
MAX_FOUND = 10


@dataclass(frozen=True, slots=True)
class EmulatedClient:
    """One screen or mail program that the preview emulates. `emulate` turns the HTML part into what it shows.

    `width` is that of its frame in pixels, or 0 for one that takes the width of the page.
    """

    key: str
    label: StrOrPromise
    description: StrOrPromise
    emulate: Callable[[str], str] | None = None
    width: int = 0


CLIENTS = {
    client.key: client
    for client in (
        EmulatedClient(
            "desktop", gettext_lazy("Desktop"), gettext_lazy("600 pixels wide, on a light screen."), in_light, 600
        ),
        EmulatedClient(
            "phone", gettext_lazy("Phone"), gettext_lazy("375 pixels wide, on a light screen."), in_light, 375
        ),
        EmulatedClient(
            "dark",
            gettext_lazy("Dark"),
            gettext_lazy("A dark screen in a mail program that applies the mail’s own dark colours."),
            in_dark,
            600,
        ),
        EmulatedClient(
            "forced-dark",
            gettext_lazy("Dark, forced"),
            gettext_lazy(
                "A dark screen in a mail program that inverts all colours, as Gmail and Outlook do on phones for mails "
                "without dark colours of their own. This is an approximation: each program inverts colours differently."
            ),
            in_forced_dark,
            600,
        ),
        EmulatedClient(
            "no-pictures",
            gettext_lazy("Images off"),
            gettext_lazy("Before the recipient allows images: their descriptions are shown instead."),
            without_images,
            600,
        ),
        EmulatedClient(
            "text", gettext_lazy("Plain text"), gettext_lazy("The text part, for mail programs that do not show HTML.")
        ),
        EmulatedClient(
            "web", gettext_lazy("Web page"), gettext_lazy("The page in the archive, public once sending starts.")
        ),
        EmulatedClient(
            "headers", gettext_lazy("Headers"), gettext_lazy("The headers of the mail, as the provider receives them.")
        ),
    )
}

#: What the preview opens with.
SIDE_BY_SIDE = "side-by-side"


@require_safe
def show_preview(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The page around the frames; `?as=` selects the emulated client, `?reader=` the subscription whose mail it is."""
    chosen = request.GET.get("as", SIDE_BY_SIDE)
    clients = [CLIENTS[chosen]] if chosen in CLIENTS else [CLIENTS["desktop"], CLIENTS["phone"]]
    recipient = _chosen_recipient(request, issue)
    try:
        rendering, problem = rendering_of(issue), ""
    except RenderingError as error:
        rendering, problem = None, str(error)
    return issue_page(
        request,
        issue,
        "preview",
        title=_("Preview: %(title)s") % {"title": issue.title},
        tab="preview",
        clients=CLIENTS.values(),
        chosen=chosen if chosen in CLIENTS else SIDE_BY_SIDE,
        frames=[(client, _frame_url(request, issue, client)) for client in clients],
        recipient=recipient,
        recipient_query=_recipient_query(request),
        rendering=rendering,
        subject=_subject(rendering, issue, recipient) if rendering else "",
        problem=problem,
        kilobytes=len(rendering.html.encode()) / 1000 if rendering else 0,
        **_search_results(request, issue),
    )


@require_safe
def show_frame(request: HttpRequest, issue: Issue, client: str) -> HttpResponse:
    """The content of one frame: the frozen edition, or the draft as saved."""
    if client not in CLIENTS or client == "web":
        raise Http404
    recipient = _chosen_recipient(request, issue)
    try:
        if client == "headers":
            return _framed_text(_headers(issue, recipient), language=get_language() or "en")
        return mail_frame(rendering_of(issue), issue, CLIENTS[client], recipient)
    except (RenderingError, EnvelopeError) as error:
        return problem_frame(str(error))


@require_safe
def show_beside(request: HttpRequest, issue: Issue, client: str) -> HttpResponse:
    """The frame beside the compose page. It names the size of the HTML part, which the page counts against Gmail's."""
    if client not in BESIDE:
        raise Http404
    try:
        rendering = rendering_of(issue)
    except RenderingError as error:
        return problem_frame(str(error))
    response = mail_frame(rendering, issue, CLIENTS[client], None)
    size = f'<meta name="mail-bytes" content="{len(rendering.html.encode())}">'.encode()
    response.content = _HEAD.sub(lambda head: head[0] + size, response.content, count=1)
    response["Content-Security-Policy"] = BESIDE_POLICY
    return response


@require_POST
def show_unsaved(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The frame for text that is not saved yet. Nothing is stored."""
    form = IssueForm(request.POST, instance=issue)
    if not form.is_valid():
        return problem_frame(_("The text has errors. Save it to see each error at its field."))
    stored = Issue.objects.select_related("newsletter").get(pk=issue.pk)
    try:
        rendering = with_content(stored, form.content()).render()
    except RenderingError as error:
        return problem_frame(str(error))
    return mail_frame(rendering, stored, CLIENTS["desktop"], None)


def framed_content(newsletter: Newsletter, content: Callable[[], IssueContent]) -> HttpResponse:
    """A frame with content that belongs to no issue yet, as a desktop shows the mail; or with why there is none."""
    issue = Issue(newsletter=newsletter, slug="preview")
    try:
        rendering = with_content(issue, content()).render()
    except (RenderingError, UnreadableRevision) as error:
        return problem_frame(str(error))
    return mail_frame(rendering, issue, CLIENTS["desktop"], None)


def rendering_of(issue: Issue) -> RenderedIssue | Edition:
    """The frozen edition if there is one, else the rendered draft. Raises RenderingError."""
    return issue.edition or source_of(issue).render()


# Whose mail is shown


def _chosen_recipient(request: HttpRequest, issue: Issue) -> Recipient | None:
    """The recipient that `?reader=` selects, if the editor may see subscribers; only one in the issue's audience."""
    if not request.GET.get("reader"):
        return None
    if not request.user.has_perms(SUBSCRIBER_PERMISSIONS):
        raise PermissionDenied
    audience = Audience.of(issue).of_list(0, timezone.now()).select_related("subscriber")
    key = request.GET["reader"]
    return as_recipient(get_object_or_404(audience, pk=int(key) if key.isdecimal() and len(key) < 19 else 0))


def _search_results(request: HttpRequest, issue: Issue) -> dict[str, Any]:
    """The template's search results: active subscriptions whose address contains `?search=`, at most MAX_FOUND."""
    if not request.user.has_perms(SUBSCRIBER_PERMISSIONS):
        return {"may_pick": False}
    words = request.GET.get("search", "").strip().lower()[:320]
    audience = Audience.of(issue).of_list(0, timezone.now()).select_related("subscriber")
    found = list(audience.filter(subscriber__canonical__contains=words).order_by("pk")[:MAX_FOUND]) if words else []
    return {"may_pick": True, "search": words, "found": found}


def _recipient_query(request: HttpRequest) -> str:
    """The part of a query string that keeps the selected recipient on links to other clients."""
    key = request.GET.get("reader", "")
    return f"&reader={key}" if key.isdecimal() else ""


def _frame_url(request: HttpRequest, issue: Issue, client: EmulatedClient) -> str:
    if client.key == "web":
        return reverse("draft", args=[issue.newsletter.slug, issue.slug])
    query = _recipient_query(request).replace("&", "?")
    return page_url(issue, "preview_frame", client.key) + query


# The content of a frame


def mail_frame(
    rendering: RenderedIssue | Edition, issue: Issue, client: EmulatedClient, recipient: Recipient | None
) -> HttpResponse:
    values = sample_values(issue.newsletter, _merges_of(rendering), recipient)
    if client.emulate is None:
        text = _filled(rendering.text, rendering.nonce, values)
        return _framed_text(text, language=issue.newsletter.language)
    return _framed(_filled(client.emulate(rendering.html), rendering.nonce, values).encode(), "text/html")


def _merges_of(rendering: RenderedIssue | Edition) -> Mapping[str, Mapping[str, str]]:
    return rendering.merges if isinstance(rendering, Edition) else merges_as_json(rendering.merges)


def _subject(rendering: RenderedIssue | Edition, issue: Issue, recipient: Recipient | None) -> str:
    merges = _merges_of(rendering)
    return filled_subject(rendering.subject, merges, sample_values(issue.newsletter, merges, recipient))


def _filled(part: str, nonce: str, values: Mapping[str, str]) -> str:
    return PlaceholderTemplate.split(part.encode(), nonce).fill(values).decode()


def _headers(issue: Issue, recipient: Recipient | None) -> str:
    """The mail's headers, one per line, and its sizes. Raises RenderingError or EnvelopeError."""
    edition = issue.edition or prepare_edition(issue)
    message = message_of(edition)
    lines = "\n".join(f"{name}: {value}" for name, value in _header_rows(message) if value)
    filled = _filled(lines, edition.nonce, sample_values(issue.newsletter, edition.merges, recipient))
    hash_label = _("Edition: %(sha256)s") if issue.edition else _("Edition: %(sha256)s (if it were frozen now)")
    facts = (
        _("HTML part: %(size)s") % {"size": in_bytes(edition.html)},
        _("Text part: %(size)s") % {"size": in_bytes(edition.text)},
        hash_label % {"sha256": edition.sha256},
    )
    note = _(
        "The To header, the unsubscribe URL and the tag “delivery” are samples here; each recipient gets their own. "
        "The provider adds Date, Message-ID, DKIM-Signature and the MIME headers."
    )
    return "\n".join((filled, "", *facts, "", note, ""))


def in_bytes(part: str) -> str:
    """`12,345 bytes`: the size of a part of a mail, in UTF-8."""
    size = len(part.encode())
    return ngettext("%(size)s byte", "%(size)s bytes", size) % {"size": number_format(size, force_grouping=True)}


def _header_rows(message: Message) -> tuple[tuple[str, str], ...]:
    return (
        ("From", message.sender),
        ("To", message.to),
        ("Reply-To", message.reply_to),
        ("Subject", message.subject),
        *message.headers.items(),
        ("Tags", ", ".join(f"{name}={value}" for name, value in message.tags.items() if value != "None")),
    )


def problem_frame(sentence: str) -> HttpResponse:
    page = (
        f'<!DOCTYPE html><html lang="{get_language()}"><title>{escape(_("No preview"))}</title>'
        f"<p>{escape(sentence)}</p></html>"
    )
    return _framed(page.encode(), "text/html")


def _framed_text(text: str, *, language: str) -> HttpResponse:
    """Text in a fixed-width font, with long lines wrapped, which browsers do not do for text/plain."""
    page = (
        f'<!DOCTYPE html><html lang="{escape(language)}"><head><base target="_blank">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(_("Text"))}</title></head>'
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
    Page("preview", show_preview, RequiredPermission.VIEW),
    Page("preview/frame/<slug:client>", show_frame, RequiredPermission.VIEW),
    Page("preview/beside/<slug:client>", show_beside, RequiredPermission.VIEW),
    Page("preview/unsaved", show_unsaved, RequiredPermission.CHANGE),
)
