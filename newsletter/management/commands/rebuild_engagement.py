"""manage.py rebuild_engagement: judges stored opens and clicks again, and counts them anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from newsletter.engagement.rebuild import rebuild_all
from newsletter.engagement.rules import RULES_VERSION


class Command(BaseCommand):
    """Verdicts, counters and times of deliveries from the stored hits. With the same rules, nothing changes."""

    help = (
        "Judges stored opens and clicks again with the present rules, and counts them anew. Issues whose raw data has "
        "been removed keep their verdicts."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild, and print what was done."""
        done = rebuild_all()
        self.stdout.write(f"Rules version {RULES_VERSION}.")
        self.stdout.write(f"Editions judged again: {done.judged}.")
        self.stdout.write(f"Editions only counted again, because raw data has been removed: {done.counted}.")
        self.stdout.write(f"Editions left as they were, because hits have been deleted: {done.kept}.")
