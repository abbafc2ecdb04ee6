"""Changes of the frequency: at once, or when the week of the list is over.

Other apps send the issues and know the weeks. A subscriber who changes in the middle of one would get an issue twice,
by itself and in the weekly digest, or miss it: so what was sent since the week began decides whether a change waits.
"""

from __future__ import annotations

import datetime
from typing import Protocol

from subscribers.models import Frequency, Subscription


class Weeks(Protocol):
    """The weeks of lists, as the app that sends issues knows them."""

    def lock(self, mailing_list_pk: int) -> bool:
        """Let nothing that depends on frequencies happen until the transaction ends; whether a change must wait."""

    def ends_on(self, mailing_list_pk: int) -> datetime.date | None:
        """The day on which waiting changes take effect, in the zone of the list; None if it has no weeks."""


_weeks: list[Weeks] = []


def register_weeks(weeks: Weeks) -> None:
    """Have changes wait for these weeks. A second registration changes nothing."""
    if weeks not in _weeks:
        _weeks.append(weeks)


def lock_week(mailing_list_pk: int) -> bool:
    """Lock the week of a list, before any row of a subscriber; whether a change of the frequency must wait."""
    # A sum and not `any`, so that each is locked.
    return sum(weeks.lock(mailing_list_pk) for weeks in _weeks) > 0


def store_frequency(subscription: Subscription, frequency: Frequency, *, must_wait: bool) -> bool:
    """Store what was chosen for a locked subscription, in the transaction of `lock_week`; whether that is new."""
    if frequency == subscription.chosen_frequency:
        return False
    row = Subscription.objects.filter(pk=subscription.pk)
    if must_wait and frequency != subscription.frequency:
        row.update(next_frequency=frequency)
    else:
        # Back to the present frequency: the waiting change is withdrawn.
        row.update(frequency=frequency, next_frequency="")
    return True


def changes_on(subscription: Subscription) -> datetime.date | None:
    """The day on which the chosen frequency takes effect; None if it has."""
    if not subscription.next_frequency:
        return None
    return next((day for weeks in _weeks if (day := weeks.ends_on(subscription.mailing_list_id))), None)
