"""The library of pictures: a page to look, upload and describe, and the choice of a picture for a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from newsletter.admin.pages import main_page_url, redirect_with_message, username_of
from newsletter.admin.picture_list import FILTERS, NO_ALT, Cell, Query, cells_of, query_of, totals_of
from newsletter.content.moved_pictures import move_in_drafts
from newsletter.content.pictures import Use, sent_with, uses_of
from newsletter.gathering.page import UnreadableLink
from newsletter.gathering.picture import picture_at
from newsletter.media.clean import ACCEPTED_TYPES, MAX_UPLOAD_BYTES
from newsletter.media.reasons import PictureRefused
from newsletter.media.store import PictureIsUsed, Stored, delete_picture, move_focus, replace_file, save_picture
from newsletter.models import FileUse, Newsletter, Picture
from newsletter.outbound import site_fetch_policy

if TYPE_CHECKING:
    PictureModelForm = forms.ModelForm[Picture]
    AnyFile = UploadedFile[Any]
else:
    PictureModelForm = forms.ModelForm
    AnyFile = UploadedFile

VIEW, ADD, CHANGE, DELETE = (f"newsletter.{verb}_picture" for verb in ("view", "add", "change", "delete"))

#: Characters of an alternative text that screen readers read without a pause.
GOOD_ALT = 150
#: Files of one request; browsers with JavaScript send each in its own.
MOST_FILES = 20


class PictureForm(PictureModelForm):
    """What editors say about a picture."""

    class Meta:
        model = Picture
        fields = ("alt", "is_decorative", "credit", "focus_x", "focus_y")
        widgets = {"alt": forms.Textarea(attrs={"rows": 2, "maxlength": 300})}

    def clean_alt(self) -> str:
        """On one line."""
        return " ".join(str(self.cleaned_data["alt"]).split())

    def clean(self) -> dict[str, Any]:
        """A decorative picture has no alternative text."""
        super().clean()
        if self.cleaned_data.get("is_decorative") and self.cleaned_data.get("alt"):
            self.add_error(
                "alt", _("A decorative picture has no alternative text. Clear the text, or untick “Decorative”.")
            )
        return self.cleaned_data


@require_safe
def show_pictures(request: HttpRequest) -> HttpResponse:
    """The library of one newsletter."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    newsletter = _newsletter(request.GET.get("newsletter", ""))
    if newsletter is None:
        return _page(request, None, {"title": _("Pictures")})
    return _library(request, query_of(newsletter, request.GET.dict()), request.GET.get("picture", ""))


@require_safe
def choose_picture(request: HttpRequest) -> HttpResponse:
    """The library as a fragment for the dialog of the compose page: each picture is a button."""
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    newsletter = _newsletter(request.GET.get("newsletter", ""))
    if newsletter is None:
        raise Http404
    query = query_of(newsletter, request.GET.dict())
    cells, next_key = cells_of(query)
    context = _frame(request, newsletter) | {"cells": cells, "query": query, "older": next_key}
    return render(request, "admin/newsletter/picture_choice.html", context)


@require_POST
def upload_pictures(request: HttpRequest) -> HttpResponse:
    """Store files. What is refused is named with the reason; the other files are stored."""
    if not request.user.has_perm(ADD):
        raise PermissionDenied
    newsletter = _newsletter(request.POST.get("newsletter", ""))
    if newsletter is None:
        raise Http404
    files = request.FILES.getlist("files")[:MOST_FILES]
    stored, errors = _store_all(newsletter, files, username_of(request))
    if not files:
        errors.append(_("No file was chosen. Choose one or several pictures."))
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"pictures": [_as_json(each.picture) for each in stored], "errors": errors})
    return _answer_to_upload(request, newsletter, stored, errors)


@require_POST
def add_from_web(request: HttpRequest) -> HttpResponse:
    """Fetch a picture and store it."""
    if not request.user.has_perm(ADD):
        raise PermissionDenied
    newsletter = _newsletter(request.POST.get("newsletter", ""))
    if newsletter is None:
        raise Http404
    url = request.POST.get("url", "").strip()
    try:
        name, data = picture_at(url, site_fetch_policy())
        stored = save_picture(newsletter, name, data, by=username_of(request))
    except (UnreadableLink, PictureRefused) as refusal:
        errors = [_refused(url, refusal)]
        return _library(request, Query(newsletter), "", errors=errors, typed_url=url)
    return _answer_to_upload(request, newsletter, [stored], [])


@require_POST
def save_details(request: HttpRequest, key: int) -> HttpResponse:
    """Save what an editor says about a picture. Another focus also moves the picture in drafts."""
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied
    picture = get_object_or_404(Picture, pk=key)
    form = PictureForm(request.POST, instance=get_object_or_404(Picture, pk=key))
    query = query_of(picture.newsletter, request.GET.dict())
    if not form.is_valid():
        return _library(request, query, str(key), form=form)
    cleaned = form.cleaned_data
    moved = move_focus(picture, cleaned["focus_x"], cleaned["focus_y"])
    Picture.objects.filter(pk=key).update(**{name: cleaned[name] for name in ("alt", "is_decorative", "credit")})
    drafts = move_in_drafts(picture, moved, by=username_of(request))
    return _back(request, query, picture, _saved_words(drafts))


@require_POST
def replace_picture(request: HttpRequest, key: int) -> HttpResponse:
    """Give a picture another file. Drafts follow; what was sent keeps the former file."""
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied
    picture = get_object_or_404(Picture, pk=key)
    query, file = query_of(picture.newsletter, request.GET.dict()), request.FILES.get("file")
    if file is None:
        return _library(request, query, str(key), errors=[_("No file was chosen. Choose a picture.")])
    try:
        moved = replace_file(picture, _bytes_of(file))
    except PictureRefused as refusal:
        return _library(request, query, str(key), errors=[_refused(file.name or "", refusal)])
    return _back(request, query, picture, _saved_words(move_in_drafts(picture, moved, by=username_of(request))))


@require_POST
def remove_picture(request: HttpRequest, key: int) -> HttpResponse:
    """Delete a picture that nothing uses."""
    if not request.user.has_perm(DELETE):
        raise PermissionDenied
    picture = get_object_or_404(Picture, pk=key)
    query = query_of(picture.newsletter, request.GET.dict())
    try:
        delete_picture(picture)
    except PictureIsUsed:
        sentence = _("“%(name)s” was not deleted: an issue uses it.") % {"name": picture.name}
        return _back(request, query, picture, sentence, level=messages.ERROR)
    sentence = _("“%(name)s” is deleted.") % {"name": picture.name}
    return redirect_with_message(request, sentence, reverse("pictures") + query.url())


def _newsletter(key: str) -> Newsletter | None:
    """The newsletter with this key, or the first by name without one; None if there is none."""
    if not key:
        return Newsletter.objects.order_by("name").first()
    if not (key.isascii() and key.isdecimal() and len(key) < 16):
        raise Http404
    return get_object_or_404(Newsletter, pk=int(key))


def _store_all(newsletter: Newsletter, files: Sequence[AnyFile], by: str) -> tuple[list[Stored], list[str]]:
    stored, errors = [], []
    for file in files:
        try:
            stored.append(save_picture(newsletter, file.name or "", _bytes_of(file), by=by))
        except PictureRefused as refusal:
            errors.append(_refused(file.name or "", refusal))
    return stored, errors


def _bytes_of(file: AnyFile) -> bytes:
    """At most one byte more than is accepted."""
    return bytes(file.read(MAX_UPLOAD_BYTES + 1))


def _refused(name: str, refusal: Exception) -> str:
    return _("%(name)s was refused: %(reason)s") % {"name": name, "reason": refusal}


def _answer_to_upload(
    request: HttpRequest, newsletter: Newsletter, stored: Sequence[Stored], errors: Sequence[str]
) -> HttpResponse:
    for each in stored:
        if each.was_animated:
            sentence = _("“%(name)s” was animated. Its first frame is kept: recipients cannot stop an animation.")
            messages.warning(request, sentence % {"name": each.picture.name})
        if not each.is_new:
            sentence = _("“%(name)s” was in the library already.")
            messages.info(request, sentence % {"name": each.picture.name})
    if errors:
        return _library(request, Query(newsletter), "", errors=errors)
    new = [each for each in stored if each.is_new]
    if new:
        sentence = ngettext("%(count)s picture added.", "%(count)s pictures added.", len(new)) % {"count": len(new)}
        messages.success(request, sentence)
    return HttpResponseRedirect(reverse("pictures") + Query(newsletter).url(picture=stored[-1].picture.pk))


def _as_json(picture: Picture) -> dict[str, Any]:
    files = {file.use: file for file in picture.files.filter(is_current=True)}
    return {
        "name": picture.name,
        "alt": picture.alt,
        "large": files[FileUse.LARGE].address,
        "story": files[FileUse.STORY].address,
    }


def _saved_words(drafts: int) -> str:
    if not drafts:
        return _("Picture saved.")
    return ngettext(
        "Picture saved. %(count)s draft shows the new version; its approval, if it had one, is withdrawn.",
        "Picture saved. %(count)s drafts show the new version; approvals that they had are withdrawn.",
        drafts,
    ) % {"count": drafts}


def _back(
    request: HttpRequest, query: Query, picture: Picture, sentence: str, *, level: int = messages.SUCCESS
) -> HttpResponse:
    url = reverse("pictures") + query.url(picture=picture.pk, before=query.before or "")
    return redirect_with_message(request, sentence, url, level=level)


def _library(
    request: HttpRequest,
    query: Query,
    selected: str,
    *,
    form: PictureForm | None = None,
    errors: Sequence[str] = (),
    typed_url: str = "",
) -> HttpResponse:
    cells, next_key = cells_of(query)
    totals = totals_of(query.newsletter)
    panel = _panel(query, selected, form)
    context = {
        "title": _("Pictures"),
        "query": query,
        "cells": cells,
        "older": query.url(before=next_key) if next_key else "",
        "totals": totals,
        "filters": [
            (label, query.url(filter=key), key == query.filter, totals.without_alt if key == NO_ALT else 0)
            for key, label in FILTERS.items()
        ],
        "panel": panel,
        "errors": errors or (form.non_field_errors() if form else ()),
        "has_errors": bool(errors) or (form is not None and bool(form.errors)),
        "typed_url": typed_url,
    }
    return _page(request, query.newsletter, context)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The selected picture, beside the grid."""

    picture: Picture
    cell: Cell
    form: PictureForm
    uses: Sequence[tuple[Use, str]]
    sent_issue: str
    """The title of an issue of which an edition has it, so that it cannot be deleted."""
    parameters: str

    @property
    def file_words(self) -> str:
        """Size, type and weight of the large file."""
        large = self.cell.large
        kind = "PNG" if large.path.endswith(".png") else "JPEG"
        return f"{large.width} × {large.height}, {kind}, {filesizeformat(large.bytes)}"


def _panel(query: Query, selected: str, form: PictureForm | None) -> Panel | None:
    if not (selected.isascii() and selected.isdecimal() and len(selected) < 16):
        return None
    picture = Picture.objects.filter(pk=int(selected), newsletter=query.newsletter).first()
    if picture is None:
        return None
    files = {file.use: file for file in picture.files.filter(is_current=True)}
    frozen = sent_with(picture)
    return Panel(
        picture=picture,
        cell=Cell(picture=picture, story=files[FileUse.STORY], large=files[FileUse.LARGE], used="", url=""),
        form=form or PictureForm(instance=picture),
        uses=[(use, main_page_url(use.issue)) for use in uses_of(picture)],
        sent_issue=frozen.title if frozen else "",
        parameters=query.url(before=query.before or ""),
    )


def _page(request: HttpRequest, newsletter: Newsletter | None, context: dict[str, Any]) -> HttpResponse:
    context = admin.site.each_context(request) | _frame(request, newsletter) | context
    return TemplateResponse(request, "admin/newsletter/pictures.html", context)


def _frame(request: HttpRequest, newsletter: Newsletter | None) -> dict[str, Any]:
    """What the page and the dialog share."""
    names = Newsletter.objects.order_by("name").only("name", "pk")[:200]
    return {
        "newsletter": newsletter,
        "newsletters": names if len(names) > 1 else (),
        "accepted": ",".join(ACCEPTED_TYPES),
        "megabytes": MAX_UPLOAD_BYTES // 1_000_000,
        "good_alt": GOOD_ALT,
        "may_add": request.user.has_perm(ADD),
        "may_change": request.user.has_perm(CHANGE),
        "may_delete": request.user.has_perm(DELETE),
    }
