"""The bin: issues that were deleted, with their revisions, until they are restored or their time is over."""

from __future__ import annotations

import datetime
import logging

from django.db import transaction
from django.utils import timezone

from newsletter.config.translatable import translatable
from newsletter.content.slugs import free_slug
from newsletter.content.store import ContentError, load_content
from newsletter.content.used_links import follow_draft
from newsletter.models import Issue, Newsletter, Reason

log = logging.getLogger(__name__)

#: How long an issue stays in the bin.
KEPT_FOR = datetime.timedelta(days=30)
#: Issues that one run of the step deletes.
ISSUES_PER_RUN = 20


class IssueIsKept(ContentError):
    """The issue cannot be deleted: a record that must stay names it."""


class NotInBin(ContentError):
    """The issue is not in the bin: it was restored or deleted meanwhile."""


def is_kept(issue: Issue) -> bool:
    """Whether it must stay: it is on the web, an edition was frozen of it, a send used it, or it is a week's digest."""
    return issue.is_published_without_send or issue.is_digest or issue.editions.exists() or issue.sends.exists()


def move_to_bin(issue: Issue, *, by: str) -> None:
    """Take the draft out of all lists and schedules, for KEPT_FOR. Raises IssueIsKept; then nothing is changed."""
    with transaction.atomic():
        # The start of a send locks the same row.
        row = Issue.objects.select_for_update().get(pk=issue.pk)
        if is_kept(row):
            raise IssueIsKept(
                translatable(
                    "“{title}” cannot be deleted, because it was scheduled, sent or published, and the record of that "
                    "must be kept.",
                    title=row.title,
                )
            )
        row.revoke_approval(by=by, reason=Reason.BINNED)
        row.occurrences.filter(finished_at__isnull=True).update(issue=None)
        Issue.objects.filter(pk=row.pk).update(
            deleted_at=timezone.now(), deleted_by=by[:150], hold_reason="", hold_values={}
        )
        follow_draft(row, ())
    log.info("Issue %s of newsletter %s moved to the bin by %s", row.slug, row.newsletter_id, by)


def restore_from_bin(pk: int) -> Issue:
    """Make it a draft again. A slug that another issue has taken gets a number, and such a number is dropped.

    Raises NotInBin.
    """
    with transaction.atomic():
        row = _binned(pk)
        Newsletter.objects.select_for_update(of=("self",), no_key=True).get(pk=row.newsletter_id)
        has_own_number = not Issue.objects.filter(newsletter=row.newsletter_id, number=row.number).exists()
        Issue.with_bin.filter(pk=pk).update(
            deleted_at=None,
            deleted_by="",
            slug=free_slug(row.newsletter_id, row.slug),
            number=row.number if has_own_number else None,
        )
        follow_draft(row, [story.url for story in load_content(row).stories() if story.url])
    return Issue.objects.select_related("newsletter").get(pk=pk)


def delete_from_bin(pk: int) -> str:
    """Delete it with its revisions; its title. Raises NotInBin."""
    with transaction.atomic():
        row = _binned(pk)
        row.delete()
    log.info("Issue %s of newsletter %s deleted from the bin", row.slug, row.newsletter_id)
    return row.title


def empty_bin() -> bool:
    """Delete issues whose time in the bin is over. Returns whether there may be more."""
    over = Issue.with_bin.in_bin().filter(deleted_at__lte=timezone.now() - KEPT_FOR).order_by("deleted_at", "pk")
    pks = list(over.values_list("pk", flat=True)[:ISSUES_PER_RUN])
    for pk in pks:
        try:
            delete_from_bin(pk)
        except NotInBin:
            # Another worker or an editor was faster.
            continue
    return len(pks) == ISSUES_PER_RUN


def _binned(pk: int) -> Issue:
    row = Issue.with_bin.in_bin().select_for_update().filter(pk=pk).first()
    if row is None:
        raise NotInBin(translatable("This issue is no longer in the bin: it was restored or deleted."))
    return row
