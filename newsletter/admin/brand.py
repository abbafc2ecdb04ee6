"""The page of a newsletter's brand, with a preview of what is not saved."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from newsletter.admin.brand_form import BrandForm, color_rows
from newsletter.admin.pages import redirect_with_message
from newsletter.admin.preview import CLIENTS, mail_frame, problem_frame
from newsletter.admin.report_choice import Choice, read_choice
from newsletter.content.store import load_content
from newsletter.models import Issue, Newsletter
from newsletter.models.unsaved_brand import pack_brand
from newsletter.rendering import RenderingError
from newsletter.rendering.sample_issue import sample_issue
from newsletter.sending.source import with_content
from subscribers.admin.filters import refusal

PERMISSION = "newsletter.change_newsletter"

#: What the preview shows, by the last part of its URL.
PREVIEWS = {
    "mail": gettext_lazy("Mail"),
    "dark": gettext_lazy("Mail, dark"),
    "web": gettext_lazy("Web page"),
}


@require_http_methods(["GET", "HEAD", "POST"])
def show_brand(request: HttpRequest) -> HttpResponse:
    """The form; POST saves it, or with `use` puts a suggested color into it."""
    choice = _chosen(request)
    if isinstance(choice, HttpResponse):
        return choice
    if choice.newsletter is None:
        return _page(request, choice)
    if request.method != "POST":
        return _page(request, choice, BrandForm(choice.newsletter))
    if "use" in request.POST:
        return _page(request, choice, BrandForm(choice.newsletter, _with_suggestion(request)), is_changed=True)
    form = BrandForm(choice.newsletter, request.POST)
    if not form.is_valid():
        return _page(request, choice, form, is_changed=True)
    form.save()
    return _saved(request, choice.newsletter)


@require_POST
def show_brand_colors(request: HttpRequest) -> HttpResponse:
    """What became of the colors of the posted form, as a part of the page. Nothing is saved."""
    choice = _chosen(request)
    if isinstance(choice, HttpResponse) or choice.newsletter is None:
        return choice if isinstance(choice, HttpResponse) else HttpResponse(status=404)
    BrandForm(choice.newsletter, request.POST).is_valid()
    return render(request, "admin/newsletter/brand_colors.html", {"colors": color_rows(choice.newsletter)})


@require_http_methods(["GET", "POST"])
def preview_brand(request: HttpRequest, shown: str) -> HttpResponse:
    """The content of the frame: the newest issue, else a sample, in the brand of the posted form; GET: as saved."""
    choice = _chosen(request)
    if isinstance(choice, HttpResponse):
        return choice
    newsletter = choice.newsletter
    if newsletter is None or shown not in PREVIEWS:
        raise Http404
    if request.method == "POST" and not BrandForm(newsletter, request.POST).is_valid():
        return problem_frame(_("The brand has errors. Save it to see each error at its field."))
    issue = _newest_issue(newsletter)
    if shown == "web":
        return _to_web_page(newsletter, issue)
    shown_issue = issue or Issue(newsletter=newsletter, slug="sample")
    shown_issue.newsletter = newsletter
    content = load_content(issue) if issue else sample_issue()
    try:
        rendering = with_content(shown_issue, content).render()
    except RenderingError as error:
        return problem_frame(str(error))
    return mail_frame(rendering, shown_issue, CLIENTS["dark" if shown == "dark" else "desktop"], None)


def _chosen(request: HttpRequest) -> Choice | HttpResponse:
    """The newsletter that the URL names, else the first one. Raises PermissionDenied."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    try:
        return read_choice(request, with_period=False)
    except BadRequest as error:
        return refusal(request, error)


def _page(
    request: HttpRequest, choice: Choice, form: BrandForm | None = None, *, is_changed: bool = False
) -> HttpResponse:
    newsletter = choice.newsletter
    is_wrong = form is not None and form.is_bound and "use" not in request.POST and not form.is_valid()
    if form is not None and form.is_bound:
        form.is_valid()  # the suggested color is shown with what became of it
    query = "?" + urlencode({"newsletter": newsletter.pk}) if newsletter else ""
    context: dict[str, Any] = admin.site.each_context(request) | {
        "title": _("Brand"),
        "newsletter": newsletter,
        "newsletters": choice.newsletters if len(choice.newsletters) > 1 else (),
        "form": form,
        "is_wrong": is_wrong,
        "is_changed": is_changed,
        "query": query,
        "previews": [(name, label, reverse("brand_preview", args=[name]) + query) for name, label in PREVIEWS.items()],
        "colors": color_rows(newsletter) if newsletter else [],
        "issue": _newest_issue(newsletter) if newsletter else None,
    }
    return TemplateResponse(request, "admin/newsletter/brand.html", context)


def _saved(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    here = f"{reverse('brand')}?{urlencode({'newsletter': newsletter.pk})}"
    if weak := [row for row in color_rows(newsletter) if not row.use.is_readable]:
        messages.warning(request, weak[0].sentence)
    sentence = _(
        "The brand is saved. It applies to drafts and web pages; sent issues keep the brand they were sent with."
    )
    return redirect_with_message(request, sentence, here)


def _with_suggestion(request: HttpRequest) -> dict[str, Any]:
    """The posted values with the suggested color: `use` is `accent:#976729`."""
    field, _colon, color = request.POST["use"].partition(":")
    changes = {field: color} if field in ("accent", "accent_dark") else {}
    return {**request.POST.dict(), **changes}


def _newest_issue(newsletter: Newsletter) -> Issue | None:
    return Issue.objects.filter(newsletter=newsletter).order_by("-date", "-pk").first()


def _to_web_page(newsletter: Newsletter, issue: Issue | None) -> HttpResponse:
    """To the page of the draft, which gets the brand in its URL: pages are not made by the admin."""
    if issue is None:
        return problem_frame(_("There is no issue yet, and so no web page to show."))
    url = reverse("draft", args=[newsletter.slug, issue.slug])
    return HttpResponseRedirect(f"{url}?{urlencode({'brand': pack_brand(newsletter)})}", status=303)
