"""Counters of sign-ups per window, and the stamps of forms that were used."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection, models

#: Hours of the two windows. Both begin at full hours or days in UTC.
HOUR, DAY = 1, 24

#: Scopes of requests that opened a subscription and of confirmations; their key is the list’s primary key.
REQUESTED, CONFIRMED = "requested", "confirmed"


class SignupCounter(models.Model):
    """How many events of one kind a window has: one row per window, so that no limit counts rows of a growing table."""

    scope = models.CharField(max_length=16)
    key = models.CharField(max_length=32, help_text="A keyed hash of the network, address or domain.")
    hours = models.PositiveSmallIntegerField(help_text="The length of the window.")
    starts_at = models.BigIntegerField(help_text="In seconds since 1970.")
    count = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["scope", "key", "hours", "starts_at"], name="signup_counter_once")
        ]
        indexes = [models.Index(fields=["hours", "starts_at"], name="signup_counter_old")]

    def __str__(self) -> str:
        return f"{self.scope}: {self.count}"


def window_start(seconds: float, hours: int) -> int:
    """When the window began that holds this time; both in seconds since 1970."""
    length = hours * 3600
    return int(seconds // length * length)


def add_to_counters(keys: Collection[tuple[str, str]], seconds: float) -> dict[tuple[str, int], int]:
    """Add one to the hour and the day of each (scope, key); the new counts by (scope, hours). One statement.

    Concurrent callers get different counts. The rows are in one order everywhere, so that no two wait for each other.
    """
    rows = sorted((scope, key, hours, window_start(seconds, hours)) for scope, key in keys for hours in (HOUR, DAY))
    table = SignupCounter._meta.db_table
    values = ", ".join(["(%s, %s, %s, %s, 1)"] * len(rows))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (scope, key, hours, starts_at, count) VALUES {values} "  # noqa: S608
            f"ON CONFLICT (scope, key, hours, starts_at) DO UPDATE SET count = {table}.count + 1 "
            "RETURNING scope, hours, count",
            [part for row in rows for part in row],
        )
        return {(scope, hours): count for scope, hours, count in cursor.fetchall()}


def counted(scope: str, key: str, hours: int, since: int) -> int:
    """The sum of the windows of one length that began at `since` (seconds since 1970) or later."""
    rows = SignupCounter.objects.filter(scope=scope, key=key, hours=hours, starts_at__gte=since)
    return int(rows.aggregate(sum=models.Sum("count"))["sum"] or 0)


class UsedStamp(models.Model):
    """A stamp of a form or a solved challenge that was used. Kept until it would have expired."""

    key = models.CharField(max_length=64, primary_key=True)
    signup_key = models.UUIDField(help_text="The sign-up that used it.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key
