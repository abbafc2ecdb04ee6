"""The page of a shared report: the numbers of one story, for those who hold its link."""

from __future__ import annotations

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from newsletter.models.rates import percent
from newsletter.reports import lines
from newsletter.reports.shared_story import StoryNumbers, story_numbers, valid_share

#: Of every answer, also of the one for links that do not work: it is not kept, not indexed, and its address not told.
HEADERS = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    # The page is sandboxed: see newsletter/web/public_page.py.
    "Cross-Origin-Opener-Policy": "unsafe-none",
}

#: Nothing but our own style: no script, no form, no picture, no frame, and an origin of its own.
POLICY = {
    "default-src": [NONE],
    "style-src": [SELF],
    "img-src": [SELF],
    "form-action": [NONE],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
    "sandbox": [],
}

#: Every sixth hour has a row in the table, and the first and the last.
STEP = 6


@csp(POLICY)
@require_safe
def shared_story(request: HttpRequest, **named: str) -> HttpResponse:
    """No session, no cookie. Links that are unknown, revoked or expired have the same answer.

    `named` has the token of the URL.
    """
    now = timezone.now()
    share = valid_share(named["token"], now)
    numbers = story_numbers(share, now) if share else None
    language = numbers.newsletter.page_language if numbers else settings.LANGUAGE_CODE
    with translation.override(language):
        response = _page(request, numbers) if numbers else _unknown(request)
    response["Content-Language"] = language
    for name, value in HEADERS.items():
        response[name] = value
    return response


def _unknown(request: HttpRequest) -> HttpResponse:
    return render(request, "newsletter/shared_unknown.html", status=404)


def _page(request: HttpRequest, numbers: StoryNumbers) -> HttpResponse:
    context = {
        "numbers": numbers,
        "facts": _facts(numbers),
        "zone": numbers.newsletter.time_zone,
        "table": [hour for hour in numbers.hours if hour.number % STEP == 0 or hour.number in (1, len(numbers.hours))],
        **_chart(numbers),
    }
    return render(request, "newsletter/shared_story.html", context)


def _facts(numbers: StoryNumbers) -> list[tuple[str, str, str]]:
    """Label, value, and what it is, of the tiles."""
    rate = percent(min(numbers.humans, numbers.recipients), numbers.recipients) if numbers.has_rates else "–"
    reached = _("Have the issue in their mailbox.") if numbers.is_delivered else _("Accepted by the mail provider.")
    of_rate = _("Humans who clicked, of recipients.") if numbers.has_rates else _("Too few recipients for a rate.")
    return [
        (_("Recipients"), _grouped(numbers.recipients), reached),
        (_("Humans who clicked"), _grouped(numbers.humans), _clicks(numbers.human_clicks)),
        (_("Click rate"), rate, of_rate),
    ]


def _clicks(count: int) -> str:
    return ngettext("%(count)s click", "%(count)s clicks", count) % {"count": _grouped(count)}


def _grouped(count: int) -> str:
    return str(formats.number_format(count, force_grouping=True))


def _chart(numbers: StoryNumbers) -> dict[str, object]:
    """Two lines in one scale from 0; empty without a click."""
    series = [[0, *(hour.humans for hour in numbers.hours)], [0, *(hour.machines for hour in numbers.hours)]]
    highest = max(max(each) for each in series)
    if not highest:
        return {}
    ticks = lines.scale([0, highest], from_zero=True)
    drawn = [lines.points(each, ticks[0], ticks[-1]) for each in series]
    last = numbers.hours[-1]
    sentence = ngettext(
        "After %(hours)s hour: %(humans)s by humans, %(machines)s by machines.",
        "After %(hours)s hours: %(humans)s by humans, %(machines)s by machines.",
        last.number,
    ) % {"hours": last.number, "humans": _clicks(last.humans), "machines": _clicks(last.machines)}
    return {
        "ticks": [round(tick) for tick in reversed(ticks)] if ticks[1] >= 1 else [],
        "grid": lines.grid(len(ticks)),
        "humans_line": drawn[0],
        "machines_line": drawn[1],
        "chart_sentence": sentence,
        "last_hour": last.number,
    }
