"""The page with the sign-up form for other sites: HTML to copy, with a preview."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from newsletter.models import Newsletter
from subscribers.signup.embed import embed_url, form_html, frame_html, request_example


def show_sign_up_form(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    """What an editor copies into another site."""
    context: dict[str, Any] = admin.site.each_context(request) | {
        "title": _("Sign-up form of %(name)s") % {"name": newsletter.name},
        "opts": Newsletter._meta,
        "newsletter": newsletter,
        "may_change": request.user.has_perm("newsletter.change_newsletter"),
        "pieces": [
            ("form", _("Form as HTML"), form_html(newsletter)),
            ("frame", _("Frame"), frame_html(newsletter)),
            ("program", _("For programs"), request_example(newsletter)),
        ],
        "form_html": form_html(newsletter),
        "frame_url": embed_url(newsletter),
    }
    return TemplateResponse(request, "admin/newsletter/newsletter/sign_up_form.html", context)
