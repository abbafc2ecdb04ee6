"""Next batch: which one a worker claims, and whether any waits."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.db.models import BigIntegerField, BooleanField, CharField, Q
from django.utils import timezone

from newsletter.models import Batch, BatchState, Edition, Issue
from newsletter.models.batch import OPEN_BATCH_STATES, RECORDS_PROGRESS
from newsletter.models.edition import LARGE_COLUMNS
from newsletter.models.prepared import PreparedStatement, columns_of, fields_of, instance_of, sql_list
from newsletter.models.send import MAY_POST_SQL
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.limits import HeldBack, held_back
from subscribers.models import present_secret_fingerprint

#: While a provider does not answer, batches with an unknown outcome come before all others, as long as each has had
#: fewer attempts than this times the number of such batches. If only these get no answer, the others must not wait
#: for them; the more of them there are, the likelier it is an outage.
MAX_RETRIES_FIRST = 5

#: Batches with an unknown outcome among which the one that comes first is looked for.
MAX_CANDIDATES = 100


class Selected(NamedTuple):
    """A batch that may be claimed. In a transaction it is locked."""

    batch: Batch
    is_limited: bool
    """Whether its newsletter has sending limits."""


#: The next batch with the parts of its edition that a claim needs. The send is compared without an index, see
#: `UNINDEXED_SEND`. Columns come from the locked row: what is joined may be as old as the statement.
SELECT_BATCH = f"""
    WITH next AS (
        SELECT {columns_of(Batch)} FROM newsletter_batch
        WHERE state IN ({sql_list(OPEN_BATCH_STATES)}) AND (lease_until IS NULL OR lease_until <= %s)
            AND send_id + 0 {{is_sending}}
            AND {{condition}}
        ORDER BY {{order}} LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    SELECT next.*, e.sha256, i.id, i.newsletter_id, n.hourly_limit IS NOT NULL OR n.warm_up_since IS NOT NULL
    FROM next
    JOIN newsletter_edition e ON e.id = next.edition_id
    JOIN newsletter_issue i ON i.id = e.issue_id
    JOIN newsletter_newsletter n ON n.mailing_list_id = i.newsletter_id
"""  # noqa: S608 - names of states and columns are ours
SELECTED_FIELDS = (*fields_of(Batch), CharField(), BigIntegerField(), BigIntegerField(), BooleanField())
#: Batches of early versions do not name their provider. Those with a recorded progress are recovered first.
IS_RETRY_OF = f"""
    state <> '{BatchState.READY}' AND provider IN (%s, '')
    AND NOT (state = '{BatchState.CLAIMED}' AND begun IS NOT NULL)
"""
IS_HELD_BACK = "(send_id = ANY(%s::bigint[]) OR send_id::text || ':' || mailbox_provider = ANY(%s::text[]))"

#: As an array PostgreSQL reads the sends once. It would join them otherwise, and sort all batches to find the next.
SENDS = f"SELECT id FROM newsletter_send WHERE {MAY_POST_SQL}"  # noqa: S608 - ours
SELECT_NEXT, SELECT_NEXT_RETRY, SELECT_FIRST_RETRY = (
    PreparedStatement(
        SELECT_BATCH.format(condition=condition, order=order, is_sending=f"= ANY(ARRAY({SENDS}))"),
        SELECTED_FIELDS,
        sqlite=SELECT_BATCH.format(condition=condition, order=order, is_sending=f"IN ({SENDS})"),
    )
    for condition, order in (
        (
            f"not_before <= %s AND ({IS_RETRY_OF} OR state = '{BatchState.READY}' AND NOT {IS_HELD_BACK})",
            "not_before, id",
        ),
        (f"not_before <= %s AND {IS_RETRY_OF}", "not_before, id"),
        ("id = ANY(%s::bigint[])", "first_attempt_at, id"),
    )
)


def select_batch(provider: Provider, *, retries_first: bool, only_retries: bool) -> Selected | None:
    """The next batch to claim, see `claim_batch`; None if there is none, or if all sending is stopped."""
    if settings.SENDING_IS_OFF:
        return None
    selected = _select(provider, HeldBack([], []), retries_first=retries_first, only_retries=only_retries)
    if selected is None or not selected.is_limited or selected.batch.state != BatchState.READY:
        return selected
    waiting = held_back(timezone.now())
    if not waiting.includes(selected.batch):
        return selected
    return _select(provider, waiting, retries_first=retries_first, only_retries=only_retries)


def has_waiting(provider: Provider, *, retries_first: bool, only_retries: bool) -> bool:
    """Whether `claim_batch` would find a batch to look at."""
    return select_batch(provider, retries_first=retries_first, only_retries=only_retries) is not None


def _select(provider: Provider, waiting: HeldBack, *, retries_first: bool, only_retries: bool) -> Selected | None:
    """The next batch that limits do not hold back."""
    now, account, secret = timezone.now(), provider_account(provider), present_secret_fingerprint()
    if retries_first and (retries := _retries_first(provider)):
        row = SELECT_FIRST_RETRY.first(now, secret, retries)
    elif only_retries:
        row = SELECT_NEXT_RETRY.first(now, secret, now, account)
    else:
        row = SELECT_NEXT.first(now, secret, now, account, *waiting)
    if row is None:
        return None
    batch = instance_of(Batch, row)
    sha256, issue_pk, newsletter_pk, is_limited = row[-4:]
    batch.edition = _edition(batch.edition_id, sha256, issue_pk, newsletter_pk)
    return Selected(batch, bool(is_limited))


@lru_cache(maxsize=8)
def _edition(pk: int, sha256: str, issue_pk: int, newsletter_pk: int) -> Edition:
    """The edition without its texts, which are split in memory once per process, and with no more of its issue."""
    edition = Edition.objects.defer(*LARGE_COLUMNS).get(pk=pk, sha256=sha256)
    edition.issue = Issue(pk=issue_pk, newsletter_id=newsletter_pk)
    return edition


def _retries_first(provider: Provider) -> list[int]:
    """Batches with an unknown outcome and few attempts, which come first while the provider does not answer."""
    # Batches of early versions do not name their provider.
    of_provider = Q(provider__in=(provider_account(provider), ""))
    retries = Batch.objects.unknown_outcome(timezone.now()).filter(of_provider).exclude(RECORDS_PROGRESS)
    first = retries.filter(attempts__lt=MAX_RETRIES_FIRST * retries.count())
    return list(first.values_list("pk", flat=True)[:MAX_CANDIDATES])
