"""Wording: durations, times and numbers as all sentences of this package write them."""

from __future__ import annotations

import datetime

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def duration(seconds: float) -> str:
    """`40 s`, `9 min`, `2 h 5 min`, `3 days`. A negative one, which clocks that differ can give, counts as 0 s."""
    seconds = max(0.0, seconds)
    if seconds < 90:
        return _("%(seconds)s s") % {"seconds": round(seconds)}
    minutes = round(seconds / 60)
    if minutes < 90:
        return _("%(minutes)s min") % {"minutes": minutes}
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        message = _("%(hours)s h %(minutes)s min") if rest else _("%(hours)s h")
        return message % {"hours": hours, "minutes": rest}
    days = round(hours / 24)
    return ngettext("%(count)s day", "%(count)s days", days) % {"count": days}


def utc(at: datetime.datetime) -> str:
    """`2026-11-24 07:00 UTC`; in German `24.11.2026 07:00 UTC`."""
    return f"{date_format(at.astimezone(datetime.UTC), 'SHORT_DATETIME_FORMAT')} UTC"


def number(value: float) -> str:
    """With the separators of the active language: `12,412`."""
    return str(number_format(value, force_grouping=True))
