"""Which newsletter and which issue a command means."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from newsletter.models import Issue, Newsletter


def add_newsletter_option(parser: CommandParser) -> None:
    """The option by which commands name a newsletter."""
    parser.add_argument("--newsletter", metavar="SLUG", help="whose issue it is; needed once there are two newsletters")


def chosen_newsletter(slug: str | None) -> Newsletter:
    """The newsletter of that slug, or the only one there is. Raises CommandError."""
    newsletters = Newsletter.objects.order_by("slug")
    known = list(newsletters.values_list("slug", flat=True))
    if not known:
        raise CommandError("There is no newsletter yet. Create one in the admin first.")
    if slug is None and len(known) > 1:
        raise CommandError(f"There are several newsletters. Say which with --newsletter: {', '.join(known)}.")
    if slug is not None and slug not in known:
        raise CommandError(f"There is no newsletter “{slug}”. Known: {', '.join(known)}.")
    return newsletters.get(slug=slug or known[0])


def chosen_issue(slug: str, newsletter_slug: str | None) -> Issue:
    """The issue of that slug in the chosen newsletter. Raises CommandError."""
    newsletter = chosen_newsletter(newsletter_slug)
    issue = newsletter.issues.filter(slug=slug).first()
    if issue is None:
        raise CommandError(f"{newsletter.name} has no issue “{slug}”.")
    return issue
