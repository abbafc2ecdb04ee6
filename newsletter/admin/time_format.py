"""Times as people say them: in a zone, and as a distance from now. Pure but for the clock."""

from __future__ import annotations

import datetime
import zoneinfo

from django.utils import timezone
from django.utils.timesince import timesince


def in_zone(moment: datetime.datetime, zone_name: str, *, short: bool = False) -> str:
    """`Wednesday, 1 July 2026, 07:00` (short: `Wed 1 Jul 2026, 07:00`) on the clocks of a zone.

    An unknown or empty zone counts as UTC.
    """
    local = moment.astimezone(zone_of(zone_name))
    if short:
        return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"
    return f"{local:%A}, {local.day} {local:%B %Y, %H:%M}"


def from_now(moment: datetime.datetime) -> str:
    """`in 13 hours`, `4 minutes ago` or `just now`."""
    now = timezone.now()
    earlier, later = sorted((moment, now))
    distance = timesince(earlier, later, depth=1).replace("\xa0", " ")
    if distance == "0 minutes":
        return "just now" if moment <= now else "in less than a minute"
    return f"in {distance}" if moment > now else f"{distance} ago"


def zone_of(zone_name: str) -> zoneinfo.ZoneInfo:
    """The zone of that name, or UTC for a name that this machine does not know."""
    try:
        return zoneinfo.ZoneInfo(zone_name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


def zone_names() -> list[str]:
    """Every time zone that people name, in the order of the alphabet."""
    return sorted(name for name in zoneinfo.available_timezones() if name == "UTC" or "/" in name)
