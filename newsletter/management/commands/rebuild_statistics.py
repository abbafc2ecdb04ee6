"""manage.py rebuild_statistics: counts the statistics of sends, and the states and cohorts of lists, anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from newsletter.events.statistics import rebuild_statistics
from newsletter.management.choose import add_newsletter_option, chosen_issue
from newsletter.models import Send
from subscribers.models import MailingList, rebuild_cohort_counts, rebuild_subscription_counts


class Command(BaseCommand):
    """Rebuild the counters that pages show. Each send is a transaction of its own."""

    help = (
        "Counts the statistics of sends, and the states and cohorts of all lists, anew, and prints which counters "
        "were wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which issues."""
        parser.add_argument("slugs", nargs="*", metavar="SLUG", help="slugs of the issues; all issues if omitted")
        add_newsletter_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild, and print each counter that changed."""
        issues = [chosen_issue(slug, options["newsletter"]).pk for slug in options["slugs"]]
        sends = Send.objects.current().select_related("issue").defer("manifest").order_by("pk")
        rebuilt = wrong = 0
        for send in sends.filter(issue__in=issues) if issues else sends:
            for scope, key, name, before, after in rebuild_statistics(send):
                what = " ".join(part for part in (scope, key, name) if part)
                self.stdout.write(f"{send.issue.slug}, {what}: {before:,} is now {after:,}")
                wrong += 1
            rebuilt += 1
        names = dict(MailingList.objects.values_list("pk", "name"))
        for mailing_list, state, before, after in rebuild_subscription_counts():
            name = names.get(mailing_list, f"list {mailing_list}")
            self.stdout.write(f"{name}, subscriptions in state {state}: {before:,} is now {after:,}")
            wrong += 1
        for (mailing_list, month, source), before, after in rebuild_cohort_counts():
            name = names.get(mailing_list, f"list {mailing_list}")
            cohort = " ".join(part for part in (month, source) if part)
            self.stdout.write(f"{name}, active of the cohort {cohort}: {before:,} is now {after:,}")
            wrong += 1
        self.stdout.write(f"Sends counted anew: {rebuilt}. Lists: {len(names)}. Counters that were wrong: {wrong}.")
