"""Dates and times as the admin shows them, in the editor's language: in a time zone, and as a distance from now."""

from __future__ import annotations

import datetime
import zoneinfo

from django.contrib.humanize.templatetags.humanize import NaturalTimeFormatter
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince
from django.utils.translation import gettext as _


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
    # The units of `naturaltime`: they are translated in the case that "in" and "ago" ask for ("vor 2 Tagen").
    units = NaturalTimeFormatter.future_substrings if at > now else NaturalTimeFormatter.past_substrings
    distance = timesince(min(at, now), max(at, now), time_strings=units, depth=1).replace("\xa0", " ")
    if at > now:
        return _("in %(distance)s") % {"distance": distance}
    return _("%(distance)s ago") % {"distance": distance}


def zone_of(zone_name: str) -> zoneinfo.ZoneInfo:
    """The zone of that name, or UTC for a name that this machine does not know."""
    try:
        return zoneinfo.ZoneInfo(zone_name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


def zone_names() -> list[str]:
    """Every time zone that is named after a place, and UTC, in alphabetical order."""
    return sorted(name for name in zoneinfo.available_timezones() if name == "UTC" or "/" in name)
