"""The time zone of the admin: that of its newsletters if they share one, else UTC; every page names it."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.functional import SimpleLazyObject, cached_property

from newsletter.admin.time_format import zone_of
from newsletter.config.languages import ADMIN_PATH
from newsletter.models import Newsletter


def admin_zone() -> zoneinfo.ZoneInfo:
    """The zone that all newsletters have; UTC if they have several, or there is none."""
    names = set(Newsletter.objects.order_by().values_list("time_zone", flat=True))
    return zone_of(names.pop() if len(names) == 1 else "UTC")


class AdminZone(datetime.tzinfo):
    """`admin_zone()`, asked for when the first time is shown: most answers to scripts show none."""

    @cached_property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The zone itself."""
        return admin_zone()

    def fromutc(self, at: datetime.datetime) -> datetime.datetime:
        """The time on the clocks of the zone."""
        return self.zone.fromutc(at.replace(tzinfo=self.zone))

    def utcoffset(self, at: datetime.datetime | None) -> datetime.timedelta | None:
        """That of the zone."""
        return self.zone.utcoffset(at)

    def dst(self, at: datetime.datetime | None) -> datetime.timedelta | None:
        """That of the zone."""
        return self.zone.dst(at)

    def tzname(self, at: datetime.datetime | None) -> str | None:
        """That of the zone."""
        return self.zone.tzname(at)

    def __str__(self) -> str:
        """Its name, by which databases know it, too."""
        return self.zone.key


class AdminZoneMiddleware:
    """Shows times on pages of the admin, and reads them in its forms, in the zone of the admin."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with that zone as the current one."""
        if not request.path_info.startswith(ADMIN_PATH):
            return self.get_response(request)
        with timezone.override(AdminZone()):
            return self.get_response(request)


def zone_name(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `zone_name` is the name of the current zone, asked for where a template shows it."""
    return {"zone_name": SimpleLazyObject(lambda: str(timezone.get_current_timezone()))}
