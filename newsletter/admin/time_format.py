"""Dates and times as the admin shows them, in the editor's language: in a time zone, and as a distance from now."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import npgettext_lazy

#: Units after "in" and before "ago". German needs a case here that Django's own units do not have ("vor 2 Tagen").
_UNITS: dict[str, Any] = {
    "year": npgettext_lazy("in … or … ago", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("in … or … ago", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("in … or … ago", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("in … or … ago", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("in … or … ago", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("in … or … ago", "%(num)d minute", "%(num)d minutes", "num"),
}


def in_zone(at: datetime.datetime, zone_name: str, *, short: bool = False) -> str:
    """`Wednesday, 1 July 2026, 07:00` on the clocks of a zone; `short` leaves out the weekday.

    Use it where the page names the zone beside it, and `with_zone` everywhere else. An unknown or empty zone counts
    as UTC.
    """
    local = at.astimezone(zone_of(zone_name))
    date = date_format(local, "DATETIME_FORMAT")
    return date if short else _("%(weekday)s, %(date)s") % {"weekday": date_format(local, "l"), "date": date}


def with_zone(at: datetime.datetime, zone_name: str) -> str:
    """`1 July 2026, 07:00 (Europe/Berlin)`."""
    return f"{in_zone(at, zone_name, short=True)} ({zone_of(zone_name).key})"


def from_now(at: datetime.datetime) -> str:
    """`in 13 hours`, `4 minutes ago` or `just now`."""
    now = timezone.now()
    if abs(at - now) < datetime.timedelta(minutes=1):
        return _("just now") if at <= now else _("in less than a minute")
    distance = timesince(min(at, now), max(at, now), time_strings=_UNITS, depth=1).replace("\xa0", " ")
    if at > now:
        return _("in %(distance)s") % {"distance": distance}
    return _("%(distance)s ago") % {"distance": distance}


def clock_time(at: datetime.datetime, zone_name: str) -> str:
    """`16:38` on the clocks of a zone if that was today, else `1 July 2026, 16:38`."""
    local = at.astimezone(zone_of(zone_name))
    is_today = local.date() == timezone.now().astimezone(zone_of(zone_name)).date()
    return date_format(local, "H:i") if is_today else in_zone(at, zone_name, short=True)


def zone_of(zone_name: str) -> zoneinfo.ZoneInfo:
    """The zone of that name, or UTC for a name that this machine does not know."""
    try:
        return zoneinfo.ZoneInfo(zone_name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
