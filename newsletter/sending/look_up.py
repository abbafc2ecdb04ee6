"""Look up: batches in doubt, searched for in the provider's own list, a page a turn. Imports models, providers, `post`.

A batch whose mails are there went out. One of which nothing is there, although the list was read beyond its time,
did not, and may be posted again under a new key: the finished `LookUp` is the proof of it (R-109, R-110).
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import zstandard
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from newsletter.models import Batch, BatchState, DeliveryStatus, LookUp, Verdict
from newsletter.models.given import execute_with
from newsletter.providers.base import CanLookUp, LookUpFailed, Provider, Sight
from newsletter.sending.batch import LARGE, LEASE
from newsletter.sending.post import RECORD_IDS
from newsletter.sending.readers import UNDER_WAY, deliveries_of
from newsletter.sending.reconcile import hold, settle

log = logging.getLogger(__name__)

#: Between our clock and the provider's, both ways.
CLOCKS = datetime.timedelta(minutes=15)

#: After an attempt its bytes may still be on their way, and the list may be behind.
SETTLING = datetime.timedelta(minutes=15)

#: Between two pages: reading shares the provider's limit with posting.
PACE = datetime.timedelta(seconds=1)

MOOT = "It was settled or posted again meanwhile."

IN_DOUBT = (BatchState.UNKNOWN, BatchState.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How a look-up ended, with the sentence that is kept."""

    verdict: Verdict
    sentence: str


def looking_up(route: Sequence[Provider]) -> CanLookUp | None:
    """The first provider of the route that keeps a list which the settings let us read."""
    return next((each for each in route if isinstance(each, CanLookUp) and each.can_look_up), None)


def look_up_next(route: Sequence[Provider]) -> bool:
    """Read one page for one batch in doubt, if one is due; False, since the next page is due only after a rest.

    Raises LookUpFailed where asking again may help.
    """
    reader = looking_up(route)
    if reader and (look_up := next_look_up(doubtful(), by="worker")):
        read_page(look_up, reader)
    return False


def doubtful(slug: str = "") -> QuerySet[Batch]:
    """Batches that may have gone out and that nobody posts at the moment, of one issue or of all."""
    quiet = Batch.objects.filter(state__in=IN_DOUBT, last_attempt_at__lte=timezone.now() - SETTLING)
    return quiet.filter(edition__sent_as__slug=slug) if slug else quiet


def next_look_up(batches: QuerySet[Batch], *, by: str) -> LookUp | None:
    """The look-up of one of these batches whose next page is due, begun if need be.

    A batch is looked up once for each time that it came into doubt; `begin` looks again.
    """
    _close_moot()
    rested = timezone.now() - PACE
    unfinished = LookUp.objects.filter(verdict=Verdict.OPEN, batch__in=batches).select_related("batch__edition")
    if unfinished.exists():
        return unfinished.exclude(read_at__gt=rested).order_by(F("read_at").asc(nulls_first=True), "pk").first()
    known = LookUp.objects.filter(batch=OuterRef("pk"), attempts=OuterRef("attempts"))
    batch = batches.filter(~Exists(known)).defer("payload", *LARGE).order_by("pk").first()
    return begin(batch, by=by) if batch else None


def _close_moot() -> None:
    """End what nobody needs to know any more: a receipt or a person was quicker."""
    settled = LookUp.objects.filter(verdict=Verdict.OPEN).exclude(batch__state__in=IN_DOUBT)
    if settled.exists():
        # A look costs nothing; an update takes SQLite's only write lock, at each turn of an idle worker.
        settled.update(verdict=Verdict.MOOT, sentence=MOOT, finished_at=timezone.now())


def begin(batch: Batch, *, by: str, from_the_top: bool = False) -> LookUp:
    """A new look-up of this batch; the one that is open, if there is one.

    Reading starts just above the batch's time, or at the newest mail.
    """
    attempts = (batch.first_attempt_at or batch.not_before, batch.last_attempt_at or timezone.now())
    # A clock that was set back between two attempts must not leave no time to look in: then nothing would be found,
    # and the readers would get it twice. What is found is proved by its tags, so a longer time costs only pages.
    started = batch.edition.issue.started_at or attempts[0]
    until = max(attempts) + LEASE + CLOCKS
    look_up, _ = LookUp.objects.get_or_create(
        batch=batch,
        verdict=Verdict.OPEN,
        defaults={
            "attempts": batch.attempts,
            "since": min(*attempts, started) - CLOCKS,
            "until": until,
            "cursor": "" if from_the_top else _younger_mail(until),
            "by": by[:150],
        },
    )
    return look_up


def _younger_mail(until: datetime.datetime) -> str:
    """A mail of ours that the list has above all that matter: reading begins there and not with today's."""
    later = Batch.objects.filter(state=BatchState.ACCEPTED, first_attempt_at__gt=until).order_by("first_attempt_at")
    for batch in later.defer("payload")[:1]:
        return deliveries_of(batch).exclude(provider_id="").values_list("provider_id", flat=True).first() or ""
    return ""


def is_reading(batches: QuerySet[Batch]) -> bool:
    """Whether a look-up of any of these batches has pages left, due or not."""
    return LookUp.objects.filter(verdict=Verdict.OPEN, batch__in=batches).exists()


def read_page(look_up: LookUp, reader: CanLookUp) -> LookUp:
    """Read the next page and write down what it says; the look-up as it is then.

    Raises LookUpFailed where asking again may help; what was read so far is kept.
    """
    batch = look_up.batch
    if batch.state not in IN_DOUBT or batch.attempts != look_up.attempts:
        _conclude(look_up, Conclusion(verdict=Verdict.MOOT, sentence=MOOT))
        return look_up
    body = zstandard.decompress(bytes(batch.payload or b""))
    try:
        sight = reader.look_up(body, since=look_up.since, until=look_up.until, after=look_up.cursor)
    except LookUpFailed as failure:
        if not failure.permanent:
            raise
        _conclude(look_up, Conclusion(verdict=Verdict.UNPROVEN, sentence=str(failure)))
        return look_up
    if _keep(look_up, sight) and (conclusion := _judge(look_up, sight)):
        _conclude(look_up, conclusion)
    return look_up


def _keep(look_up: LookUp, sight: Sight) -> bool:
    """Write down how far it has come; False if another worker has read this page."""
    before = look_up.mails_read
    look_up.found = {**look_up.found, **{str(place): mail_id for place, mail_id in sight.found.items()}}
    look_up.mails_read, look_up.cursor, look_up.read_at = before + sight.mails_read, sight.cursor, timezone.now()
    unread = LookUp.objects.filter(pk=look_up.pk, verdict=Verdict.OPEN, mails_read=before)
    kept = {name: getattr(look_up, name) for name in ("found", "mails_read", "cursor", "read_at")}
    return bool(unread.update(**kept))


def _judge(look_up: LookUp, sight: Sight) -> Conclusion | None:
    """What is proved by now; None while the list has to be read on."""
    found, size = len(look_up.found), look_up.batch.recipients
    told = f"{found} of its {size} mails are in the provider's list, of which {look_up.mails_read} were read"
    if found == size:
        return Conclusion(verdict=Verdict.FOUND, sentence=f"It went out: {told}.")
    if sight.oldest is not None and sight.oldest < look_up.since:
        if found:
            sentence = f"Only {told}, although a post goes out whole or not at all. A person must decide."
            return Conclusion(verdict=Verdict.PARTLY, sentence=sentence)
        return Conclusion(verdict=Verdict.ABSENT, sentence=f"It did not go out: {told}, back to before its first post.")
    if sight.more:
        return None
    if found:
        # The list forgets the oldest; those that are left prove the whole, since a post goes out whole or not at all.
        return Conclusion(verdict=Verdict.FOUND, sentence=f"It went out: {told}; the list does not reach back further.")
    sentence = "The provider's list does not reach back to before its first post, so it proves nothing."
    return Conclusion(verdict=Verdict.UNPROVEN, sentence=sentence)


def _conclude(look_up: LookUp, conclusion: Conclusion) -> None:
    """Write down the verdict and what follows from it, both or neither."""
    batch = look_up.batch
    log.info("look-up %s of batch %s: %s", look_up.pk, batch.pk, conclusion.sentence)
    with transaction.atomic():
        verdict = conclusion.verdict
        if (verdict is Verdict.FOUND and not _accept(batch, look_up, conclusion.sentence)) or (
            verdict is Verdict.ABSENT and not _post_anew(batch, conclusion.sentence)
        ):
            verdict = Verdict.MOOT
        if verdict is Verdict.PARTLY or (verdict is Verdict.UNPROVEN and batch.state == BatchState.HELD):
            hold(batch, conclusion.sentence if verdict is Verdict.PARTLY else f"{batch.reason} {conclusion.sentence}")
        look_up.verdict, look_up.sentence, look_up.finished_at = verdict, conclusion.sentence[:500], timezone.now()
        look_up.save(update_fields=["verdict", "sentence", "finished_at"])


def _accept(batch: Batch, look_up: LookUp, sentence: str) -> bool:
    keys = list(deliveries_of(batch).filter(status__in=UNDER_WAY).select_for_update().values_list("pk", flat=True))
    if not settle(batch, sentence):
        return False
    if len(keys) == batch.recipients:
        ids = [(keys[int(place)], mail_id) for place, mail_id in look_up.found.items()]
        execute_with(RECORD_IDS, {"id": "bigint", "provider_id": "text"}, ids)
    return True


def _post_anew(batch: Batch, sentence: str) -> bool:
    """Give it back to the workers, to be frozen anew under another key; only with the proof in the same transaction."""
    untouched = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts)
    changed = untouched.update(state=BatchState.READY, payload=None, not_before=timezone.now(), reason=sentence[:500])
    if changed:
        deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.PENDING, reason="")
    return bool(changed)
