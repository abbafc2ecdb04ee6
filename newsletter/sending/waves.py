"""Waves: an issue that each recipient gets when their own clock shows its time.

    wall-clock time + each recipient's zone ─► instant of that zone ─► batches that are not posted before it

Clocks on earth are at most 26 hours apart, so that is the longest that the waves of an issue take.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from django.db.models import Count

from newsletter.models import Send
from newsletter.sending.audience import Audience
from newsletter.sending.wall_clock import is_a_zone, nearest_instant_of
from subscribers.models import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Recipients whose clocks show the time at one instant. `zones`: the most frequent first; "" for no zone given."""

    starts_at: datetime.datetime
    recipients: int
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTime:
    """A wall-clock time (a datetime without zone), and the zone of recipients who gave none."""

    wall: datetime.datetime
    zone: str

    @classmethod
    def of(cls, send: Send) -> Self | None:
        """That of a scheduled or started send; None if all recipients get it at one instant."""
        if not send.is_local:
            return None
        return cls(wall=datetime.datetime.fromisoformat(send.scheduled_wall), zone=send.scheduled_zone)

    def instant_in(self, zone: str) -> datetime.datetime:
        """When recipients in `zone` get it. A zone that this machine does not know counts as none."""
        return nearest_instant_of(self.wall, zone if is_a_zone(zone) else self.zone)

    def by_instant(self, zones: Iterable[str]) -> dict[datetime.datetime, list[str]]:
        """The zones that share an instant, the earliest instant first."""
        groups: dict[datetime.datetime, list[str]] = {}
        for zone in zones:
            groups.setdefault(self.instant_in(zone), []).append(zone)
        return dict(sorted(groups.items()))

    def waves(self, recipients_by_zone: dict[str, int]) -> tuple[Wave, ...]:
        """The waves in which so many recipients of each zone get it, the earliest first."""
        return tuple(
            Wave(
                starts_at=instant,
                recipients=sum(recipients_by_zone[zone] for zone in zones),
                zones=tuple(sorted(zones, key=lambda zone: (-recipients_by_zone[zone], zone))),
            )
            for instant, zones in self.by_instant(recipients_by_zone).items()
        )


def recipients_by_zone(audience: Audience, at: datetime.datetime) -> dict[str, int]:
    """How many of an audience are in each zone, "" for those who gave none; one query per list."""
    zones: Counter[str] = Counter()
    for place in range(len(audience.lists)):
        subscriptions = audience.once_each(place, at).order_by()
        zones.update(dict(subscriptions.values_list("subscriber__time_zone").annotate(recipients=Count("pk"))))
    return zones


def has_zones(list_pks: Iterable[int]) -> bool:
    """Whether any subscriber of these lists gave a zone."""
    return Subscription.objects.filter(mailing_list__in=list(list_pks)).exclude(subscriber__time_zone="").exists()
