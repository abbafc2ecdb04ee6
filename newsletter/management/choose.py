"""The newsletter and the issue that a command is about."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from newsletter.models import Issue, Newsletter


def add_newsletter_option(parser: CommandParser) -> None:
    """Add --newsletter."""
    parser.add_argument("--newsletter", metavar="SLUG", help="the newsletter; required if there is more than one")


def chosen_newsletter(slug: str | None) -> Newsletter:
    """The newsletter with that slug; without one, the only newsletter. Raises CommandError."""
    newsletters = Newsletter.objects.order_by("slug")
    slugs = list(newsletters.values_list("slug", flat=True))
    if not slugs:
        raise CommandError("There is no newsletter yet. Create one in the admin.")
    if slug is None and len(slugs) > 1:
        raise CommandError(f"There is more than one newsletter. Choose one with --newsletter: {', '.join(slugs)}.")
    if slug is not None and slug not in slugs:
        raise CommandError(f"There is no newsletter “{slug}”. Choose one of: {', '.join(slugs)}.")
    return newsletters.get(slug=slug or slugs[0])


def chosen_issue(slug: str, newsletter_slug: str | None) -> Issue:
    """The issue with that slug in the chosen newsletter. Raises CommandError."""
    newsletter = chosen_newsletter(newsletter_slug)
    issue = newsletter.issues.filter(slug=slug).first()
    if issue is None:
        raise CommandError(f"{newsletter.name} has no issue “{slug}”.")
    return issue
