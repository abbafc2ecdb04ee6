"""The page that stops and resumes all sending, and the banner that every page of the admin shows meanwhile."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from newsletter.admin.pages import redirect_with_message, username_of
from newsletter.models import InvalidTransition, SwitchTransition, sending_stopped
from newsletter.sending.switch import StopReasonNeeded, resume_sending, stop_all_sending

#: The permission to stop and to resume. Every editor may see the page.
STOP_PERMISSION = "newsletter.stop_all_sending"

#: How many lines of the history are shown, the newest first.
SHOWN = 50


def sending_stop(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `sending_stop` in the templates of the admin. It queries only where a template asks."""
    return {"sending_stop": SimpleLazyObject(sending_stopped)}


@require_http_methods(["GET", "POST"])
def show_sending_switch(request: HttpRequest) -> HttpResponse:
    """Explain what a stop does, or why sending is stopped; POST stops or resumes."""
    if request.method == "GET":
        return _page(request)
    if not request.user.has_perm(STOP_PERMISSION):
        raise PermissionDenied
    here = reverse("sending_switch")
    try:
        sentence = _act(request)
    except StopReasonNeeded as missing:
        return _page(request, problem=str(missing), status=400)
    except InvalidTransition as refusal:
        return redirect_with_message(request, str(refusal), here, level=messages.WARNING)
    return redirect_with_message(request, sentence, here)


def _act(request: HttpRequest) -> str:
    by, text = username_of(request), request.POST.get("reason", "")
    if request.POST.get("action") == "resume":
        resume_sending(by=by, text=text)
        return _("Sending is resumed. Workers continue within seconds.")
    stop_all_sending(by=by, text=text)
    return _("All sending is stopped.")


def _page(request: HttpRequest, *, problem: str = "", status: int = 200) -> HttpResponse:
    context = admin.site.each_context(request) | {
        "title": _("All sending"),
        "may_stop": request.user.has_perm(STOP_PERMISSION),
        "problem": problem,
        "history": SwitchTransition.objects.order_by("-pk")[:SHOWN],
    }
    return TemplateResponse(request, "admin/newsletter/sending_switch.html", context, status=status)
