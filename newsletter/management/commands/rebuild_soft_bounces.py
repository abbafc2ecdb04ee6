"""manage.py rebuild_soft_bounces: makes the soft bounces again from the stored events."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from newsletter.events.rebuild_bounces import rebuild_soft_bounces
from subscribers.models import suppression_secret_differs


class Command(BaseCommand):
    """Rebuilds them in one transaction."""

    help = (
        "Makes the soft bounces of subscribers again from the stored webhook events. Repeated soft bounces suppress an "
        "address; the worker decides about each again a day later."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild, and print how many there are. Refused under another SUPPRESSION_SECRET: no hash would fit."""
        if suppression_secret_differs():
            raise CommandError("SUPPRESSION_SECRET is not the one under which suppressed addresses are stored.")
        self.stdout.write(f"{rebuild_soft_bounces()} soft bounces.")
