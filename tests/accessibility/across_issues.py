"""Fills the database with what the pages about many issues show, and returns their URLs by name."""

from __future__ import annotations

import datetime

from django.urls import reverse
from django.utils import timezone

from newsletter.models import EditionStory, Newsletter
from subscribers.models import CohortCount
from tests.newsletter.reports.test_best_times import sent
from tests.newsletter.reports.test_stories import clicked
from tests.publications import make_newsletter

STORIES = (
    ("Quay 4 gets a taller crane, and the whole harbour wonders who will pay for it", "Harbour Daily", 812),
    ("The lock keeper who writes letters to ships", "The Gazette of Ports, Piers and Other Wet Places", 421),
    ("Winter timetable", "ferries.example", 96),
    ("Rope, half price", "Rope & Sons", 12),
)


def pages(newsletter: Newsletter) -> dict[str, str]:
    """Rankings, the best time of sends on three days, and cohorts of two years by several sources."""
    Newsletter.objects.filter(pk=newsletter.pk).update(engagement_source="own")
    now = timezone.now()
    tuesday = now.replace(hour=7, minute=20) - datetime.timedelta(days=now.weekday() + 6)
    for week in range(1, 11):
        at = tuesday - datetime.timedelta(days=7 * week - week % 2 * 2, hours=week % 2 * -9)
        send = sent(newsletter, at, {hour: 200 // (hour + 1) + week for hour in range(40)}, mails=12_000)
        EditionStory.objects.filter(edition=send.edition).delete()
        clicked(send.edition, *((title, source, humans // (week + 1)) for title, source, humans in STORIES))
    EditionStory.objects.filter(source="Rope & Sons").update(kind="sponsor")
    _count_cohorts(newsletter, now)
    other = make_newsletter("tide-tables")
    return {
        "stories": f"{reverse('stories_and_sources')}?newsletter={newsletter.pk}",
        "stories-off": f"{reverse('stories_and_sources')}?newsletter={other.pk}&period=all",
        "best-times": f"{reverse('best_times')}?newsletter={newsletter.pk}",
        "best-times-off": f"{reverse('best_times')}?newsletter={other.pk}",
        "growth-cohorts": reverse("growth"),
    }


def _count_cohorts(newsletter: Newsletter, now: datetime.datetime) -> None:
    this = now.year * 12 + now.month - 1
    for ago in range(20):
        month = f"{(this - ago) // 12}-{(this - ago) % 12 + 1:02}"
        for place, source in enumerate(("", "import", "harbour fair", "admin")):
            joined = 900 // (place + 1) - 7 * ago
            names = {"joined": joined, "lost_3": joined // 9, "lost_6": joined // 12, "lost_12": joined // 15}
            names |= {"measured_3": joined // 2, "reading_3": joined // 5} if ago > 3 else {}
            CohortCount.objects.add({(newsletter.pk, month, source, name): value for name, value in names.items()})
