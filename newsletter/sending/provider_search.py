"""Look up: batches in doubt, searched for in the provider's own list, a page a turn.

A batch whose mails are there went out: their tags say so, whatever the clocks say. One of which nothing is there did
not, and may be posted again under a new key – if the list was read from its newest mail to beyond the batch's time,
and if a mail that was accepted about then proves that it is our team's list and that the clocks agreed. The finished
`ProviderSearch` is the proof (R-109, R-110).
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import zstandard
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from newsletter.models import Batch, BatchState, DeliveryStatus, Event, ProviderSearch, SearchResult
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.base import Provider, ProviderSearchFailed, SearchPage, SupportsSearch
from newsletter.sending.batch import LARGE, LEASE
from newsletter.sending.post import RECORD_IDS
from newsletter.sending.recipients import UNDER_WAY, deliveries_of
from newsletter.sending.reconcile import hold, settle

log = logging.getLogger(__name__)

#: Between our clock and the provider's, both ways.
CLOCKS = datetime.timedelta(minutes=15)

#: After an attempt its bytes may still be on their way, and the list may be behind: the more so when a provider is in
#: trouble, which is when posts come into doubt.
SETTLING = datetime.timedelta(hours=1)

#: Between two pages: reading shares the provider's limit with posting.
PACE = datetime.timedelta(seconds=1)

#: Accepted batches before and after one in doubt that are asked for a mail of theirs; counted as sent they have none.
WITNESSES = 3

MOOT = "It was settled or posted again meanwhile."


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How a look-up ended, with the sentence that is kept."""

    result: SearchResult
    sentence: str


def looking_up(route: Sequence[Provider]) -> SupportsSearch | None:
    """The first provider of the route that keeps a list which the settings let us read."""
    return next((each for each in route if isinstance(each, SupportsSearch) and each.can_search), None)


def search_next(route: Sequence[Provider]) -> bool:
    """Read one page for one batch in doubt, if one is due; False, since the next page is due only after a rest.

    Raises ProviderSearchFailed where asking again may help.
    """
    reader = looking_up(route)
    if reader and (look_up := next_search(doubtful(), by="worker")):
        read_page(look_up, reader)
    return False


def doubtful(slug: str = "") -> QuerySet[Batch]:
    """Batches that may have gone out and that nobody may post again, of one issue or of all.

    What may be posted under its key is not looked up: that reaches nobody twice, while a list may be behind.
    """
    quiet = Batch.objects.filter(state=BatchState.HELD, last_attempt_at__lte=timezone.now() - SETTLING)
    return quiet.filter(edition__sent_as__slug=slug) if slug else quiet


def next_search(batches: QuerySet[Batch], *, by: str) -> ProviderSearch | None:
    """The look-up of one of these batches whose next page is due, begun if need be.

    A batch is looked up once for each time that it came into doubt; `begin` looks again.
    """
    _close_moot()
    rested = timezone.now() - PACE
    unfinished = ProviderSearch.objects.filter(result=SearchResult.OPEN, batch__in=batches).select_related(
        "batch__edition"
    )
    if unfinished.exists():
        return unfinished.exclude(read_at__gt=rested).order_by(F("read_at").asc(nulls_first=True), "pk").first()
    known = ProviderSearch.objects.filter(batch=OuterRef("pk"), attempts=OuterRef("attempts"))
    batch = batches.filter(~Exists(known)).defer("payload", *LARGE).order_by("pk").first()
    return begin(batch, by=by) if batch else None


def _close_moot() -> None:
    """End what nobody needs to know any more: a receipt or a person was quicker."""
    settled = ProviderSearch.objects.filter(result=SearchResult.OPEN).exclude(batch__state=BatchState.HELD)
    if settled.exists():
        # A look costs nothing; an update takes SQLite's only write lock, at each turn of an idle worker.
        settled.update(result=SearchResult.MOOT, sentence=MOOT, finished_at=timezone.now())


def begin(batch: Batch, *, by: str, from_the_top: bool = False) -> ProviderSearch:
    """A new look-up of this batch; the one that is open, if there is one.

    Reading starts just above the batch's time, or at the newest mail.
    """
    now, (since, until) = timezone.now(), _time_of(batch)
    # A clock that was set back between two attempts must not leave no time to look in.
    since = min(since, (batch.edition.issue.started_at or since) - CLOCKS)
    cursor = "" if from_the_top else _younger_mail(batch, until)
    look_up, _ = ProviderSearch.objects.get_or_create(
        batch=batch,
        result=SearchResult.OPEN,
        defaults={
            "attempts": batch.attempts,
            "since": since,
            "until": until if cursor else max(until, now),
            "cursor": cursor,
            "by": by[:150],
            "started_at": now,
        },
    )
    return look_up


def _time_of(batch: Batch) -> tuple[datetime.datetime, datetime.datetime]:
    """Between which moments its mails were made, if they were and the clocks agree."""
    attempts = (batch.first_attempt_at or batch.not_before, batch.last_attempt_at or timezone.now())
    return min(attempts) - CLOCKS, max(attempts) + LEASE + CLOCKS


def _younger_mail(batch: Batch, until: datetime.datetime) -> str:
    """A mail of ours that the list has above those of the batch: reading begins there and not with today's.

    Only to find it sooner: what is not found below it is looked for from the newest mail on.
    """
    accepted = Batch.objects.filter(state=BatchState.ACCEPTED, provider=batch.provider, first_attempt_at__gt=until)
    for later in accepted.order_by("first_attempt_at").defer("payload")[:1]:
        return _mail_of(later)
    return ""


def _mail_of(batch: Batch) -> str:
    """The provider's id of one of its mails; empty if none was told."""
    named = deliveries_of(batch).exclude(provider_id="")
    return named.values_list("provider_id", flat=True).first() or ""


def is_reading(batches: QuerySet[Batch]) -> bool:
    """Whether a look-up of any of these batches has pages left, due or not."""
    return ProviderSearch.objects.filter(result=SearchResult.OPEN, batch__in=batches).exists()


def read_page(look_up: ProviderSearch, reader: SupportsSearch) -> ProviderSearch:
    """Read the next page and write down what it says; the look-up as it is then.

    Raises ProviderSearchFailed where asking again may help; what was read so far is kept.
    """
    batch = look_up.batch
    # The bytes may be read later than the row, and be gone.
    if batch.state != BatchState.HELD or batch.attempts != look_up.attempts or not batch.payload:
        _conclude(look_up, Conclusion(result=SearchResult.MOOT, sentence=MOOT))
        return look_up
    body = zstandard.decompress(bytes(batch.payload))
    try:
        sight = reader.search(body, after=look_up.cursor)
        conclusion = _judge(look_up, sight, reader) if _keep(look_up, sight) else None
    except ProviderSearchFailed as failure:
        if not failure.permanent:
            # Others have their turn before it.
            ProviderSearch.objects.filter(pk=look_up.pk).update(read_at=timezone.now())
            raise
        _conclude(look_up, Conclusion(result=SearchResult.UNPROVEN, sentence=str(failure)))
        return look_up
    if conclusion:
        _conclude(look_up, conclusion)
    return look_up


def _keep(look_up: ProviderSearch, sight: SearchPage) -> bool:
    """Write down how far it has come; False if another worker has read this page."""
    before = look_up.mails_read
    look_up.found = {**look_up.found, **{str(place): mail_id for place, mail_id in _still_wanted(look_up.batch, sight)}}
    look_up.mails_read, look_up.cursor, look_up.read_at = before + sight.mails_read, sight.cursor, timezone.now()
    unread = ProviderSearch.objects.filter(pk=look_up.pk, result=SearchResult.OPEN, mails_read=before)
    kept = {name: getattr(look_up, name) for name in ("found", "mails_read", "cursor", "read_at")}
    return bool(unread.update(**kept))


def _still_wanted(batch: Batch, sight: SearchPage) -> Iterator[tuple[int, str]]:
    """What was found, but for mails that failed and in whose place the batch was posted."""
    given_up = Event.objects.given_up_mails(list(deliveries_of(batch).values_list("pk", flat=True)))
    return ((place, mail_id) for place, mail_id in sight.found.items() if mail_id not in given_up)


def _judge(look_up: ProviderSearch, sight: SearchPage, reader: SupportsSearch) -> Conclusion | None:
    """What is proved by now; None while the list has to be read on."""
    found, size = len(look_up.found), look_up.batch.recipients
    told = f"{found} of its {size} mails are in the provider's list, of which {look_up.mails_read} were read"
    if found == size:
        return Conclusion(result=SearchResult.FOUND, sentence=f"It went out: {told}.")
    if sight.unverifiable and not found:
        sentence = "Mails like its own are in the provider's list without their tags. A person must decide."
        return Conclusion(result=SearchResult.UNPROVEN, sentence=sentence)
    if sight.has_more and sight.found:
        return None
    if sight.oldest_at is not None and sight.oldest_at < look_up.since:
        if found:
            sentence = f"Only {told}, although a post goes out whole or not at all. A person must decide."
            return Conclusion(result=SearchResult.PARTLY, sentence=sentence)
        return _judge_absence(look_up, reader, f"It did not go out: {told}, back to before its first post.")
    if sight.has_more:
        return None
    if found:
        # The list forgets the oldest; those that are left prove the whole, since a post goes out whole or not at all.
        return Conclusion(
            result=SearchResult.FOUND, sentence=f"It went out: {told}; the list does not reach back further."
        )
    sentence = "The provider's list does not reach back to before its first post, so it proves nothing."
    return Conclusion(result=SearchResult.UNPROVEN, sentence=sentence)


def _judge_absence(look_up: ProviderSearch, reader: SupportsSearch, sentence: str) -> Conclusion | None:
    """Whether nothing found means nothing sent; None if the list has to be read once more, from its newest mail on."""
    if look_up.until < look_up.started_at:
        look_up.cursor, look_up.until = "", timezone.now()
        look_up.save(update_fields=["cursor", "until"])
        return None
    if doubt := _doubt_about(look_up.batch, reader):
        return Conclusion(result=SearchResult.UNPROVEN, sentence=f"Nothing of it is in the provider's list. {doubt}")
    return Conclusion(result=SearchResult.ABSENT, sentence=sentence)


def _doubt_about(batch: Batch, reader: SupportsSearch) -> str:
    """Why this list may not be the one that the batch would be in; empty if an accepted mail of then proves it."""
    for witness, mail_id in _witnesses(batch):
        created_at, (since, until) = reader.mail_created_at(mail_id), _time_of(witness)
        if created_at is None:
            return "But neither is one that was accepted: the list may be another team's, or has forgotten it."
        if not since <= created_at <= until:
            return "But our clock and the provider's did not agree when it was posted."
        return ""
    return "But no mail was accepted about then, by which it could be told that the list is that of our team."


def _witnesses(batch: Batch) -> Iterator[tuple[Batch, str]]:
    """Accepted batches of the same account with a mail of each, the nearest in time first."""
    posted_at = batch.first_attempt_at or batch.not_before
    accepted = Batch.objects.filter(state=BatchState.ACCEPTED, provider=batch.provider).defer("payload")
    before = accepted.filter(first_attempt_at__lte=posted_at).order_by("-first_attempt_at")[:WITNESSES]
    after = accepted.filter(first_attempt_at__gt=posted_at).order_by("first_attempt_at")[:WITNESSES]
    for witness in sorted([*before, *after], key=lambda other: abs((other.first_attempt_at or posted_at) - posted_at)):
        if mail_id := _mail_of(witness):
            yield witness, mail_id


def _conclude(look_up: ProviderSearch, conclusion: Conclusion) -> None:
    """Write down the result and what follows from it, both or neither."""
    batch = look_up.batch
    log.info("look-up %s of batch %s: %s", look_up.pk, batch.pk, conclusion.sentence)
    with transaction.atomic():
        result = conclusion.result
        if (result is SearchResult.FOUND and not _accept(batch, look_up, conclusion.sentence)) or (
            result is SearchResult.ABSENT and not _post_anew(batch, conclusion.sentence)
        ):
            result = SearchResult.MOOT
        if result in (SearchResult.PARTLY, SearchResult.UNPROVEN):
            hold(
                batch, conclusion.sentence if result is SearchResult.PARTLY else f"{batch.reason} {conclusion.sentence}"
            )
        look_up.result, look_up.sentence, look_up.finished_at = result, conclusion.sentence[:500], timezone.now()
        look_up.save(update_fields=["result", "sentence", "finished_at"])


def _accept(batch: Batch, look_up: ProviderSearch, sentence: str) -> bool:
    keys = list(deliveries_of(batch).filter(status__in=UNDER_WAY).select_for_update().values_list("pk", flat=True))
    if not settle(batch, sentence):
        return False
    if len(keys) == batch.recipients:
        ids = [(keys[int(place)], mail_id) for place, mail_id in look_up.found.items()]
        execute_with_rows(RECORD_IDS, {"id": "bigint", "provider_id": "text"}, ids)
    return True


def _post_anew(batch: Batch, sentence: str) -> bool:
    """Give it back to the workers, to be frozen anew under another key; only with the proof in the same transaction."""
    untouched = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts)
    changed = untouched.update(state=BatchState.READY, payload=None, not_before=timezone.now(), reason=sentence[:500])
    if changed:
        deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.PENDING, reason="")
    return bool(changed)
