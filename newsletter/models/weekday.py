"""Days of the week, for times that come back every week."""

from __future__ import annotations

from django.db import models
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy


class Weekday(models.IntegerChoices):
    """Numbered as by `datetime.date.weekday`."""

    MONDAY = 0, WEEKDAYS[0]
    TUESDAY = 1, WEEKDAYS[1]
    WEDNESDAY = 2, WEEKDAYS[2]
    THURSDAY = 3, WEEKDAYS[3]
    FRIDAY = 4, WEEKDAYS[4]
    SATURDAY = 5, WEEKDAYS[5]
    SUNDAY = 6, WEEKDAYS[6]


#: A time of the week, such as “Tuesdays 07:00”.
EVERY_WEEK = {
    Weekday.MONDAY: gettext_lazy("Mondays %(time)s"),
    Weekday.TUESDAY: gettext_lazy("Tuesdays %(time)s"),
    Weekday.WEDNESDAY: gettext_lazy("Wednesdays %(time)s"),
    Weekday.THURSDAY: gettext_lazy("Thursdays %(time)s"),
    Weekday.FRIDAY: gettext_lazy("Fridays %(time)s"),
    Weekday.SATURDAY: gettext_lazy("Saturdays %(time)s"),
    Weekday.SUNDAY: gettext_lazy("Sundays %(time)s"),
}
