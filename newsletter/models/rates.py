"""Rates of a send: what they are shares of, and how they are written; one rule for pages, warnings and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models.delivery import DeliveryState, EventType
from newsletter.models.send_count import EVENT, PLACE, STATE, Place

#: Places of recipients who have the mail. A complaint proves that it arrived.
DELIVERED_PLACES = (Place.REACHED, Place.COMPLAINED)

#: A share of fewer recipients says nothing, and is not shown.
MIN_FOR_RATE = 20


@dataclass(frozen=True, slots=True)
class RateBase:
    """What opens, clicks and complaints are shares of.

    Delivered mails; where the provider reports no deliveries, as SMTP does, accepted ones.
    """

    count: int
    is_delivered: bool = True

    @property
    def words(self) -> str:
        """`12,346 delivered mails`."""
        if self.is_delivered:
            sentence = ngettext("%(count)s delivered mail", "%(count)s delivered mails", self.count)
        else:
            sentence = ngettext("%(count)s accepted mail", "%(count)s accepted mails", self.count)
        return sentence % {"count": number_format(self.count, force_grouping=True)}


def delivered_of(totals: Mapping[str, int]) -> int:
    """How many recipients have the mail, by the totals of a send."""
    return sum(totals.get(f"{PLACE}{place.value}", 0) for place in DELIVERED_PLACES)


def rate_base(totals: Mapping[str, int]) -> RateBase:
    """The one that all pages use for this send."""
    if totals.get(f"{EVENT}{EventType.DELIVERED.value}", 0):
        return RateBase(delivered_of(totals))
    accepted = totals.get(f"{STATE}{DeliveryState.ACCEPTED.value}", 0)
    return RateBase(accepted, is_delivered=not accepted)


def percent(count: int, of: int) -> str:
    """`10.8%`, and below one percent `0.15%`; never 100 or 0 for what is only close to it. `–` of nothing."""
    if not of:
        return "–"
    share = 100 * count / of
    places = 2 if share < 1 else 1
    step = 10.0**-places
    if count and share < step:
        return _("under %(number)s%%") % {"number": number_format(step, decimal_pos=places)}
    share = round(share, places)
    if count < of:
        share = min(share, 100 - step)
    return _("%(number)s%%") % {"number": number_format(share, decimal_pos=places)}
