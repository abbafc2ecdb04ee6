"""Saving links from elsewhere: the save button, sharing from a phone, and API tokens; and the page of one link."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from newsletter.admin.inbox import may_see, saved_sentences
from newsletter.admin.inbox_rows import inbox_url
from newsletter.admin.pages import CHANGE_PERMISSION, username_of
from newsletter.content.fields import LIMITS, field_faults
from newsletter.gathering.saving import (
    MAX_NOTE,
    LinkRefused,
    NewLink,
    checked,
    links_in,
    save_links,
    set_tags,
    tags_in,
)
from newsletter.gathering.tokens import TooManyTokens, make_token, revoke_token, valid_tokens
from newsletter.models import LinkWay, Newsletter, SavedLink

#: What a share menu or the save button may send.
MAX_SHARED = 4_000

#: A command that saves a link with a token.
EXAMPLE = """curl -X POST {url} \\
  -H "Authorization: Bearer {token}" -H "Content-Type: application/json" \\
  -d '{{"url": "https://news.example/story", "note": "", "tags": ["ports"]}}'"""


def _newsletters(request: HttpRequest) -> list[Newsletter]:
    """For those who may save links; PermissionDenied for others."""
    if not request.user.has_perm(CHANGE_PERMISSION):
        raise PermissionDenied
    return list(Newsletter.objects.order_by("name", "pk"))


def _chosen(request: HttpRequest, newsletters: list[Newsletter]) -> Newsletter | None:
    key = request.POST.get("newsletter") or request.GET.get("newsletter", "")
    first = newsletters[0] if newsletters else None
    return next((each for each in newsletters if str(each.pk) == key), first)


@require_http_methods(["GET", "HEAD", "POST"])
def save_page(request: HttpRequest) -> HttpResponse:
    """A small page with one button; the save button opens it with an address, a share menu with a text.

    Opening it saves nothing.
    """
    newsletters = _newsletters(request)
    newsletter = _chosen(request, newsletters)
    data = request.POST if request.method == "POST" else request.GET
    way = LinkWay.SHARE if data.get("way") == LinkWay.SHARE else LinkWay.BUTTON
    url, title = (data.get(name, "").replace("\0", "").strip()[:MAX_SHARED] for name in ("url", "title"))
    if not url:
        # Android shares the address in the text.
        url, title = _first_link(data.get("text", "")[:MAX_SHARED], title)
    refused, saved = "", []
    if request.method == "POST" and newsletter is not None:
        try:
            links = checked([NewLink(url, title)])
            saved = save_links(newsletter, links, way=way, by=username_of(request), note=data.get("note", ""))
        except LinkRefused as error:
            refused = str(error.args[0])
    context = admin.site.each_context(request) | {
        "title": _("Save link"),
        "newsletters": newsletters if len(newsletters) > 1 else [],
        "newsletter": newsletter,
        "url": url,
        "link_title": title,
        "way": way.value,
        "refused": refused,
        "sentences": [sentence for sentence, _level in saved_sentences(saved)],
        "inbox_url": inbox_url(newsletter) if newsletter else "",
        "is_popup": True,
    }
    return TemplateResponse(request, "admin/newsletter/inbox/save.html", context)


def _first_link(text: str, title: str) -> tuple[str, str]:
    try:
        link = links_in(text)[0] if text.strip() else NewLink("")
    except LinkRefused:
        return text.strip(), title
    return link.url, title or link.title


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """The web app manifest: an installed inbox takes what is shared from other apps."""
    newsletters = _newsletters(request)
    name = newsletters[0].name if len(newsletters) == 1 else _("Newsletter")
    data = {
        "name": _("Inbox of %(newsletter)s") % {"newsletter": name},
        "short_name": _("Inbox"),
        "id": reverse("inbox"),
        "start_url": reverse("inbox"),
        "scope": reverse("admin:index"),
        "display": "standalone",
        "icons": [
            {"src": static("newsletter/admin/inbox.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
        ],
        "share_target": {
            "action": f"{reverse('inbox_save')}?way={LinkWay.SHARE.value}",
            "method": "GET",
            "params": {"title": "title", "text": "text", "url": "url"},
        },
    }
    answer = JsonResponse(data, content_type="application/manifest+json")
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
def save_tools(request: HttpRequest) -> HttpResponse:
    """The save button for browsers, how to share from a phone, and the user's API tokens."""
    newsletters = _newsletters(request)
    newsletter = _chosen(request, newsletters)
    secret = ""
    if request.method == "POST" and newsletter is not None:
        user: Any = request.user
        if request.POST.get("revoke", "").isdecimal():
            revoke_token(user, int(request.POST["revoke"][:18]))
            messages.success(request, _("The token is revoked. Programs that use it can no longer save links."))
            return HttpResponseRedirect(request.get_full_path())
        try:
            secret = make_token(newsletter, user, request.POST.get("name", "").strip() or _("Token"))
        except TooManyTokens:
            messages.error(request, _("You have too many tokens. Revoke one first."))
    address = request.build_absolute_uri(reverse("inbox_save"))
    context = admin.site.each_context(request) | {
        "title": _("Save links from elsewhere"),
        "newsletters": newsletters if len(newsletters) > 1 else [],
        "newsletter": newsletter,
        "bookmarklet": _bookmarklet(address, newsletter.pk if newsletter else 0),
        "secret": secret,
        "tokens": valid_tokens(newsletter, request.user) if newsletter else [],  # type: ignore[arg-type]
        "example": EXAMPLE.format(url=request.build_absolute_uri(reverse("save-link")), token=_("TOKEN")),
        "inbox_url": inbox_url(newsletter) if newsletter else "",
    }
    # The admin lets no browser store its pages, so that the token is on this one only.
    return TemplateResponse(request, "admin/newsletter/inbox/tools.html", context)


def _bookmarklet(address: str, newsletter: int) -> str:
    """Opens the page in a small window. It runs on the page that is saved, so it holds nothing secret."""
    return (
        f"javascript:void(window.open('{address}?newsletter={newsletter}&url='+encodeURIComponent(location.href)"
        "+'&title='+encodeURIComponent(document.title),'_blank','width=480,height=560'))"
    )


# One link


class LinkForm(forms.Form):
    """What editors may write about a link."""

    title = forms.CharField(required=False, label=gettext_lazy("Title"), max_length=LIMITS["story title"])
    note = forms.CharField(required=False, label=gettext_lazy("Note"), max_length=MAX_NOTE)
    tags = forms.CharField(
        required=False,
        label=gettext_lazy("Tags"),
        help_text=gettext_lazy("Separate tags by commas, for example: ports, quiet."),
    )

    def clean_title(self) -> str:
        """By the rules of a story."""
        title = str(self.cleaned_data["title"]).strip()
        for fault in field_faults("story title", title):
            raise forms.ValidationError(str(fault))
        return title

    def clean_tags(self) -> list[str]:
        """The tags in lower case."""
        try:
            return tags_in(str(self.cleaned_data["tags"]))
        except LinkRefused as error:
            raise forms.ValidationError(str(error.args[0])) from error


@require_http_methods(["GET", "HEAD", "POST"])
def edit_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Title, note and tags of a link."""
    if not may_see(request) or not request.user.has_perm(CHANGE_PERMISSION):
        raise PermissionDenied
    link = get_object_or_404(SavedLink.objects.select_related("newsletter"), pk=pk)
    initial = {"title": link.title, "note": link.note, "tags": ", ".join(tag.name for tag in link.tags.all())}
    form = LinkForm(request.POST if request.method == "POST" else None, initial=initial)
    back = inbox_url(link.newsletter, state="" if link.state == "new" else link.state)
    if form.is_valid():
        SavedLink.objects.filter(pk=link.pk).update(title=form.cleaned_data["title"], note=form.cleaned_data["note"])
        set_tags(link, form.cleaned_data["tags"])
        messages.success(request, _("The link is saved."))
        return HttpResponseRedirect(back)
    context = admin.site.each_context(request) | {
        "title": _("Tags and note"),
        "link": link,
        "form": form,
        "back_url": back,
    }
    return TemplateResponse(request, "admin/newsletter/inbox/link.html", context)
