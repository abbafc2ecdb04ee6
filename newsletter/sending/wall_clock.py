"""Wall time: what an editor's clock shows in a zone, as an instant.

On the day a clock is set forward some times do not exist, and on the day it is set back some exist twice; Django's
own conversion shifts them silently. Here they are refused with a message that names the alternatives.
"""

from __future__ import annotations

import datetime
import zoneinfo
from functools import cache

from django.utils.formats import date_format
from django.utils.translation import gettext as _


class NoSuchTime(Exception):
    """The wall time does not name one instant in this zone; the sentence says what to choose instead.

    It is shown in the request that chose the time, so it is in the language of that request.
    """


def is_a_zone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    return name in _zones()


@cache
def _zones() -> set[str]:
    # Each call reads the files of all zones.
    return zoneinfo.available_timezones()


def nearest_instant_of(wall: datetime.datetime, zone_name: str) -> datetime.datetime:
    """The instant, in UTC, of a computed local time, such as that of a recurring schedule. Never raises NoSuchTime.

    A time that clocks skip is moved forward by the length of the gap; of a time that occurs twice, the first counts.
    """
    return wall.replace(tzinfo=zoneinfo.ZoneInfo(zone_name), fold=0).astimezone(datetime.UTC)


def instant_of(wall: datetime.datetime, zone_name: str) -> datetime.datetime:
    """The instant, in UTC, at which clocks in `zone_name` show `wall` (no zone, minutes). Raises NoSuchTime."""
    if not is_a_zone(zone_name):
        raise NoSuchTime(_("“%(zone)s” is not a time zone. Use a name such as Europe/Berlin.") % {"zone": zone_name})
    zone = zoneinfo.ZoneInfo(zone_name)
    try:
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
    except OverflowError as error:
        raise NoSuchTime(
            _("The year %(year)s is too far away. Choose a day in the next years.") % {"year": wall.year}
        ) from error
    if first == second:
        return first
    values = {"time": as_typed(wall), "zone": zone_name}
    if (later := first.astimezone(zone)).replace(tzinfo=None) != wall:
        values |= {"earlier": as_typed(second.astimezone(zone)), "later": as_typed(later)}
        raise NoSuchTime(
            _(
                "%(time)s does not exist in %(zone)s: clocks are set forward over it. Choose a time before or after, "
                "such as %(earlier)s or %(later)s."
            )
            % values
        )
    raise NoSuchTime(
        _(
            "%(time)s exists twice in %(zone)s, because clocks are set back: at %(first)s and %(second)s UTC. Choose "
            "another time, or give it in UTC."
        )
        % (values | {"first": f"{first:%H:%M}", "second": f"{second:%H:%M}"})
    )


def as_typed(wall: datetime.datetime) -> str:
    """A wall time in digits, as it is typed in the active language: `2026-07-01 07:00` in English."""
    return date_format(wall, "SHORT_DATETIME_FORMAT")
