"""What the pages about many issues ask for: a newsletter, and a period."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy

from newsletter.admin.growth import VIEW_PERMISSION
from newsletter.models import Newsletter
from subscribers.admin.filters import MAX_KEY_DIGITS, refusal


class Period(enum.StrEnum):
    """How far back a page looks; the first is the default."""

    YEAR = "12m"
    QUARTER = "90d"
    ALL = "all"


PERIODS = {
    Period.QUARTER: gettext_lazy("90 days"),
    Period.YEAR: gettext_lazy("12 months"),
    Period.ALL: gettext_lazy("All"),
}
DAYS = {Period.QUARTER: 90, Period.YEAR: 365}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the query string asks for; `newsletters` are all there are, by name."""

    newsletter: Newsletter | None
    newsletters: tuple[Newsletter, ...]
    period: Period

    def since(self, now: datetime.datetime) -> datetime.datetime | None:
        """None: from the beginning."""
        days = DAYS.get(self.period)
        return now - datetime.timedelta(days=days) if days else None

    def query(self, **changes: object) -> str:
        """The query string of the same choice with changes."""
        values = {"newsletter": self.newsletter.pk if self.newsletter else "", "period": self.period.value, **changes}
        return urlencode({name: value for name, value in values.items() if value})


def read_choice(request: HttpRequest, *, with_period: bool) -> Choice:
    """Raises BadRequest for another parameter or value, or for a newsletter that is not there."""
    if unknown := request.GET.keys() - ({"newsletter", "period"} if with_period else {"newsletter"}):
        raise BadRequest(f"unknown parameter {min(unknown)!r}")
    period, key = request.GET.get("period", Period.YEAR.value), request.GET.get("newsletter", "")
    if period not in list(Period) or (key and not (key.isascii() and key.isdecimal() and len(key) <= MAX_KEY_DIGITS)):
        raise BadRequest("unknown value of 'newsletter' or 'period'")
    newsletters = tuple(Newsletter.objects.order_by("name", "pk"))
    chosen = [each for each in newsletters if not key or each.pk == int(key)]
    if key and not chosen:
        raise BadRequest("there is no such newsletter")
    return Choice(chosen[0] if chosen else None, newsletters, Period(period))


View = Callable[[HttpRequest, Choice], HttpResponse]


def answer(request: HttpRequest, view: View, *, with_period: bool) -> HttpResponse:
    """The answer of the view to what is asked for, or 400. Raises PermissionDenied as the page of growth does."""
    if not request.user.has_perm(VIEW_PERMISSION):
        raise PermissionDenied
    try:
        choice = read_choice(request, with_period=with_period)
    except BadRequest as error:
        return refusal(request, error)
    return view(request, choice)


def page(request: HttpRequest, choice: Choice, title: str, template: str, **context: object) -> HttpResponse:
    """A page with the choice of a newsletter."""
    shared = admin.site.each_context(request) | {
        "title": title,
        "newsletter": choice.newsletter,
        "newsletters": choice.newsletters if len(choice.newsletters) > 1 else (),
    }
    return TemplateResponse(request, template, shared | context)
