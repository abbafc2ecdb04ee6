"""Time zones in words: places by region, each with its present difference from UTC."""

from __future__ import annotations

import datetime
import importlib.resources
import zoneinfo
from functools import cache, lru_cache
from operator import itemgetter

from django.utils.translation import pgettext_lazy

#: The regions that names of zones begin with.
REGIONS = {
    "Africa": pgettext_lazy("region of time zones", "Africa"),
    "America": pgettext_lazy("region of time zones", "America"),
    "Antarctica": pgettext_lazy("region of time zones", "Antarctica"),
    "Arctic": pgettext_lazy("region of time zones", "Arctic"),
    "Asia": pgettext_lazy("region of time zones", "Asia"),
    "Atlantic": pgettext_lazy("region of time zones", "Atlantic"),
    "Australia": pgettext_lazy("region of time zones", "Australia"),
    "Europe": pgettext_lazy("region of time zones", "Europe"),
    "Indian": pgettext_lazy("region of time zones", "Indian Ocean"),
    "Pacific": pgettext_lazy("region of time zones", "Pacific"),
}


@cache
def zones_of_places() -> tuple[str, ...]:
    """The zones of places, in the order of their names, without former names such as Asia/Calcutta.

    They are those of `zone.tab` in the time zone database, which lists each place once.
    """
    table = importlib.resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    names = {line.split("\t")[2].strip() for line in table.splitlines() if line and not line.startswith("#")}
    return tuple(sorted(names & zoneinfo.available_timezones()))


def place_of(zone: str) -> str:
    """The place of a zone: “Buenos Aires, Argentina” for America/Argentina/Buenos_Aires."""
    return ", ".join(part.replace("_", " ") for part in reversed(zone.split("/")[1:])) or zone


def zone_in_words(zone: str, now: datetime.datetime) -> str:
    """Place and present difference from UTC: “Berlin (UTC+1)”. A zone that no longer exists is its place only."""
    try:
        return f"{place_of(zone)} ({difference(zone, now)})"
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return place_of(zone)


def difference(zone: str, now: datetime.datetime) -> str:
    """The difference from UTC at this time: UTC, UTC+1, UTC−3:30."""
    offset = now.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset() or datetime.timedelta(0)
    hours, minutes = divmod(abs(int(offset.total_seconds())) // 60, 60)
    if not hours and not minutes:
        return "UTC"
    sign = "+" if offset > datetime.timedelta(0) else "−"
    return f"UTC{sign}{hours}:{minutes:02}" if minutes else f"UTC{sign}{hours}"


@lru_cache(maxsize=2)
def _words_of_places(hour: datetime.datetime) -> tuple[tuple[str, str], ...]:
    """Made once an hour: it asks 400 zones for their difference."""
    return tuple((zone, zone_in_words(zone, hour)) for zone in zones_of_places())


def zone_groups(now: datetime.datetime, stored: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
    """Region → (zone, zone in words), sorted by place. A `stored` zone under a former name is among them, too."""
    words = dict(_words_of_places(now.replace(minute=0, second=0, microsecond=0)))
    if stored:
        words.setdefault(stored, zone_in_words(stored, now))
    groups: dict[str, list[tuple[str, str]]] = {}
    for zone, in_words in words.items():
        groups.setdefault(zone.split("/")[0], []).append((zone, in_words))
    return [
        (str(REGIONS.get(region, region)), sorted(places, key=itemgetter(1)))
        for region, places in sorted(groups.items())
    ]
