"""Wall time: what an editor's clock shows in a zone, as an instant. Pure.

On the day a clock is set forward some times do not exist, and on the day it is set back some exist twice; Django's
own conversion shifts them silently. Here they are refused with a message that names the alternatives.
"""

from __future__ import annotations

import datetime
import zoneinfo
from functools import cache


class NoSuchTime(Exception):
    """The wall time does not name one instant in this zone; the sentence says what to choose instead."""


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
        raise NoSuchTime(f"“{zone_name}” is not a time zone. Use a name such as Europe/Berlin.")
    zone = zoneinfo.ZoneInfo(zone_name)
    try:
        first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
    except OverflowError as error:
        raise NoSuchTime(f"The year {wall.year} is too far away. Choose a day in the next years.") from error
    if first == second:
        return first
    shown = f"{wall:%Y-%m-%d %H:%M}"
    if (later := first.astimezone(zone)).replace(tzinfo=None) != wall:
        earlier = second.astimezone(zone)
        raise NoSuchTime(
            f"{shown} does not exist in {zone_name}: clocks are set forward over it. Choose a time before or after, "
            f"such as {earlier:%Y-%m-%d %H:%M} or {later:%Y-%m-%d %H:%M}."
        )
    raise NoSuchTime(
        f"{shown} exists twice in {zone_name}, because clocks are set back: at {first:%H:%M} and {second:%H:%M} UTC. "
        "Choose another time, or give it in UTC."
    )
