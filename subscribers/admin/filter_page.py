"""The page that adds a filter to the list of subscribers: a rule of a segment, chosen in steps without a script."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from subscribers.admin.subscriber_list import selection_of
from subscribers.directory.selection import MAX_RULES, Selection, group_of
from subscribers.models import MailingList, Subscriber
from subscribers.segments.editing import Shown, ShownRule, settled
from subscribers.segments.kinds import Facts
from subscribers.segments.rules import RulesError

#: Parameters of this page beside those of the list. `shown` names the control of the value that the form had.
STEPS = ("what", "comparison", "value", "shown", "o")


@require_safe
def show_add_filter(request: HttpRequest) -> HttpResponse:
    """The next step, or the way back to the list with the new filter. Raises BadRequest."""
    selection = selection_of(request, without=STEPS)
    changelist = reverse("admin:subscribers_subscriber_changelist")
    if len(selection.rules) >= MAX_RULES:
        return HttpResponseRedirect(f"{changelist}?{selection.query}")
    mailing_list = selection.list_of_rules()
    context: dict[str, Any] = {"lists": None if mailing_list else MailingList.objects.order_by("name")}
    if mailing_list:
        facts, step = Facts(mailing_list), _step(request)
        shown = Shown(facts).rule(settled(step, facts) if step["kind"] else step)
        error = ""
        if step["kind"] and request.GET.get("shown") == _control(shown):
            kind, _colon, field = shown.what.partition(":")
            rule = (kind, field, shown.comparison, request.GET.get("value", "").strip()[:300])
            try:
                group_of([rule], facts)
            except RulesError as problem:
                error = str(problem)
            else:
                return HttpResponseRedirect(f"{changelist}?{selection.with_rule(rule).query}")
        context |= {"shown": shown, "control": _control(shown), "has_subject": bool(step["kind"]), "error": error}
    return TemplateResponse(
        request,
        "admin/subscribers/subscriber/add_filter.html",
        {
            **admin.site.each_context(request),
            "title": _("Add filter"),
            "opts": Subscriber._meta,
            "selection": selection,
            "kept": _kept(selection),
            "back_url": f"{changelist}?{selection.query}",
            **context,
        },
    )


def _step(request: HttpRequest) -> dict[str, str]:
    """The rule as far as it was chosen."""
    kind, _colon, field = request.GET.get("what", "").partition(":")
    return {
        "kind": kind,
        "field": field,
        "comparison": request.GET.get("comparison", ""),
        "value": request.GET.get("value", ""),
    }


def _control(shown: ShownRule) -> str:
    """What the control of the value depends on. The form repeats it, so that a new subject is not taken as complete."""
    return f"{shown.what}/{shown.control.value}"


def _kept(selection: Selection) -> list[tuple[str, str]]:
    """The filters so far, as hidden fields."""
    return parse_qsl(selection.query)
