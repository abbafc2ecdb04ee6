"""Retry: another try for the readers whose mail was refused, because a person said so.

Refused is known: nothing of it went out. So is what the provider took and could not send after all, as for a quota
(R-95). What is not known is never tried again here (R-112).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import groupby

from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryStatus,
    Edition,
    Event,
    Fact,
    InvalidTransition,
    Issue,
    IssueStatus,
    IssueTransition,
)
from newsletter.sending.keys import batch_key
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import HAS_A_FACT

#: From where refused readers can be tried again. A paused issue stays paused; they go out once it is resumed.
RETRIABLE = (IssueStatus.SENDING, IssueStatus.PAUSED, IssueStatus.SENT)

#: Deliveries that begin anew in one statement.
CHUNK = 1_000

#: Facts after which a mail that failed may have reached its reader, or must not be sent.
TELLING = Q()
for _fact in set(Fact) - {Fact.SENT, Fact.DELAYED, Fact.FAILED}:
    TELLING |= Q(**{f"{_fact.value}_at__isnull": False})

#: Readers who did not get it, for sure: refused, or taken and failed.
DID_NOT_GET_IT = (Q(status=DeliveryStatus.FAILED) & ~HAS_A_FACT) | (
    Q(status=DeliveryStatus.ACCEPTED, failed_at__isnull=False) & ~TELLING
)


def count_failed(issue: Issue) -> int:
    """How many readers a retry would try again, as far as they may still be mailed when their turn comes."""
    return Delivery.objects.filter(DID_NOT_GET_IT, edition=issue.edition_id).count()


def retry_failed(issue: Issue, *, by: str, reason: str = "") -> None:
    """Put everybody who was refused into a batch of a new key; who left since is skipped when it is frozen.

    An issue that was sent is sending again until they are through. Raises InvalidTransition if there is nobody to retry.
    """
    with transaction.atomic():
        row = Issue.objects.select_for_update(of=("self",)).select_related("edition").get(pk=issue.pk)
        if row.status not in RETRIABLE or row.edition is None:
            raise InvalidTransition(f"This issue is {row.get_status_display().lower()}, so nobody is tried again.")
        runs = _runs_again(row.edition)
        if not runs:
            raise InvalidTransition("Nobody is left who was refused; look at the report again.")
        Batch.objects.bulk_create(batch for batch, _keys in runs)
        keys = [key for _batch, run in runs for key in run]
        again = sum(_begin_anew(keys[start : start + CHUNK]) for start in range(0, len(keys), CHUNK))
        told = f"{again:,} {'reader who was' if again == 1 else 'readers who were'} refused: tried again. {reason}"
        if row.status == IssueStatus.SENT:
            issue.move(IssueStatus.SENDING, only_from=RETRIABLE, by=by, reason=told[:500], finished_at=None)
        else:
            IssueTransition.objects.create(
                issue=row, source=row.status, target=row.status, by=by, reason=told[:500].strip()
            )
    issue.refresh_from_db()


def _begin_anew(keys: list[int]) -> int:
    """These deliveries as if nothing had been posted; how many. What is told of mails that failed stays with these."""
    failed = Delivery.objects.filter(DID_NOT_GET_IT, pk__in=keys)
    Event.objects.all().give_up_mails(failed.filter(status=DeliveryStatus.ACCEPTED))
    return failed.update(
        status=DeliveryStatus.PENDING, reason="", provider_id="", sent_at=None, delayed_at=None, failed_at=None
    )


def _runs_again(edition: Edition) -> list[tuple[Batch, list[int]]]:
    """Batches for all who did not get it, with their deliveries: neighbours that failed together, and nobody else.

    Nobody else, since a receipt for any of its readers settles a batch.
    """
    failed = Delivery.objects.filter(DID_NOT_GET_IT, edition=edition).order_by("pk")
    waiting = list(failed.values_list("pk", flat=True))
    epochs = _latest_epochs(edition)
    over = Batch.objects.filter(edition=edition, state__in=(BatchState.REFUSED, BatchState.ACCEPTED)).order_by("-pk")
    again = []
    # The innermost first: who was refused again stands in a part of the batch that was tried again.
    for batch in sorted(over.defer("payload"), key=lambda batch: batch.last_delivery - batch.first_delivery):
        start, end = bisect_left(waiting, batch.first_delivery), bisect_right(waiting, batch.last_delivery)
        runs = _runs(batch, waiting[start:end])
        del waiting[start:end]
        again += [(_batch_of(run, batch, edition, epochs.get((run[0], run[-1]), 0) + 1), run) for run in runs]
    return again


def _latest_epochs(edition: Edition) -> dict[tuple[int, int], int]:
    """The highest epoch of each range of deliveries that ever was a batch: a key is never used twice."""
    ranges = Batch.objects.filter(edition=edition).order_by().values_list("first_delivery", "last_delivery")
    return {(first, last): epoch for first, last, epoch in ranges.annotate(latest=Max("epoch"))}


def _runs(batch: Batch, failed: list[int]) -> list[list[int]]:
    """The failed deliveries of a batch, cut where one that did not fail stands between them."""
    if len(failed) < 2:
        return [failed] if failed else []
    chosen = set(failed)
    owned = deliveries_of(batch).values_list("pk", flat=True)
    return [list(run) for is_failed, run in groupby(owned, key=chosen.__contains__) if is_failed]


def _batch_of(run: list[int], before: Batch, edition: Edition, epoch: int) -> Batch:
    first, last = run[0], run[-1]
    return Batch(
        edition=edition,
        first_delivery=first,
        last_delivery=last,
        epoch=epoch,
        key=batch_key(edition, first, last, epoch=epoch),
        may_be_out=before.may_be_out,
        not_before=timezone.now(),
    )
