"""Flow: when the next post to a provider may leave, agreed among all workers in one row.

    look ──► (claim a batch) ──► take_permit ──► post ──► note_outcome

A permit is taken by a conditional update at the last moment before the post, so that however many workers there are,
and however long a batch takes to build, posts reach the provider as far apart as its limit asks for. Times are the
database's, so that workers whose clocks differ keep one order (R-131).
"""

from __future__ import annotations

import datetime
import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from newsletter.models import Availability, ProviderThrottle
from newsletter.providers.allowlist import NOT_ALLOWED_RECIPIENT, may_write_to
from newsletter.providers.base import Extent, Message, Outcome, OutcomeKind, Provider

log = logging.getLogger(__name__)

#: Posts a second before the provider has said its limit; Resend's lowest documented one.
FIRST_RATE = 2.0

#: Posts a second below which no limit is believed: a mail would wait for longer than anybody means.
LOWEST_RATE = 0.1

#: What issues may use of the limit: a fifth is kept back for mails that a person waits for (R-117). Those take slots
#: of the same row, closer together; the rest is for clocks and networks.
SHARE, NEARLY_ALL = 0.8, 0.95

#: Seconds. A provider that asks for more is asked again after this long: waiting in silence for a day helps nobody.
LONGEST_REST = 300.0

#: Posts in a row without an answer that break a flow, and posts of a minute of which half are enough (R-119).
TELLING_FAILURES, TELLING_POSTS = 5, 10

MINUTE = datetime.timedelta(minutes=1)

#: Longer than one post may take: a worker that dies with the single post leaves it to another after this.
PROBE = datetime.timedelta(seconds=90)

#: How often a permit is tried for when others are faster, and how many seconds one may lie ahead.
TRIES, PATIENCE = 20, 5.0


#: Standings in which a provider still has its turn, now or after a rest of seconds: nobody takes over from it.
IN_ITS_TURN = (Availability.OPEN, Availability.RESTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the row tells before anything is done."""

    standing: Availability
    seconds: float
    """Until a post of an issue may leave; infinite if that is not for the time to tell."""
    rate: float = FIRST_RATE
    """Posts a second, as the provider last said."""
    failures: int = 0
    """Posts in a row that brought no answer that helps."""
    is_broken: bool = False

    @property
    def is_struggling(self) -> bool:
        """Whether the last post brought no answer that helps."""
        return self.is_broken or self.failures > 0

    @property
    def shown_standing(self) -> Availability:
        """The standing for people: what is broken stays it until a post succeeds, though one may try."""
        return Availability.BROKEN if self.is_broken and self.standing is Availability.OPEN else self.standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to post once, now."""

    flow_pk: int
    rate: float | None
    is_struggling: bool
    waited: float
    """Seconds that it took to come."""


def look(provider: Provider) -> Look:
    """Whether a post may leave, without taking anything; one query."""
    found = _rows().filter(provider=provider.name, account=provider.account).first()
    if found is None:
        return Look(standing=Availability.OPEN, seconds=0.0)
    standing = found.availability_at(found.clock)
    return Look(
        standing=standing,
        seconds=_seconds_until_open(found, found.clock, standing),
        rate=found.rate or FIRST_RATE,
        failures=found.failures,
        is_broken=found.circuit_opened_at is not None,
    )


def take_permit(provider: Provider, *, share: float = SHARE, patience: float = PATIENCE) -> Permit | None:
    """Take the next permit and wait for it; None if none is to be had within `patience` seconds.

    Call it right before the post, outside of any transaction, and only with something to post.
    """
    for _ in range(TRIES):
        flow = _rows().filter(provider=provider.name, account=provider.account).first()
        if flow is None:
            ProviderThrottle.objects.get_or_create(provider=provider.name, account=provider.account)
            continue
        now = flow.clock
        if flow.availability_at(now) not in IN_ITS_TURN:
            return None
        at = max(now, _turn(flow, now, share), flow.ahead("rests_until", now) or now)
        wait = (at - now).total_seconds()
        if wait > patience:
            return None
        if _take(flow, at, now):
            time.sleep(wait)
            is_struggling = bool(flow.failures or flow.circuit_opened_at)
            return Permit(flow_pk=flow.pk, rate=flow.rate, is_struggling=is_struggling, waited=wait)
    return None


def give_back(permit: Permit) -> None:
    """Leave the post to others: a broken flow need not wait for a single post that never was."""
    if permit.is_struggling:
        ProviderThrottle.objects.filter(pk=permit.flow_pk).update(probing_until=None)


def _rows() -> Any:
    """Flows with the database's time as `clock`; such a queryset has no type that can be written."""
    return ProviderThrottle.objects.annotate(clock=Now())


def _turn(flow: ProviderThrottle, now: datetime.datetime, share: float) -> datetime.datetime:
    """When the next permit is due, by the last one; what lies further ahead than slots do is no permit."""
    gap = datetime.timedelta(seconds=1 / (max(flow.rate or FIRST_RATE, LOWEST_RATE) * share))
    last = flow.last_at if flow.last_at and flow.last_at <= now else flow.ahead("last_at", now)
    return last + gap if last else now


def _seconds_until_open(flow: ProviderThrottle, now: datetime.datetime, standing: Availability) -> float:
    if standing is Availability.HALTED:
        return math.inf
    names = ["rests_until", "quota_until", *(["probing_until"] if flow.circuit_opened_at else [])]
    moments = [until for name in names if (until := flow.ahead(name, now))]
    return max((moment - now).total_seconds() for moment in (now, _turn(flow, now, SHARE), *moments))


def _take(flow: ProviderThrottle, at: datetime.datetime, now: datetime.datetime) -> bool:
    """Compare and set: whether nobody has changed the row since it was read."""
    compared = ("last_at", "rests_until", "circuit_opened_at", "probing_until", "quota_until", "suspended_at")
    changes: dict[str, object] = {"last_at": at}
    if flow.circuit_opened_at:
        changes["probing_until"] = now + PROBE
    if flow.minute_from is None or now - flow.minute_from >= MINUTE:
        changes |= {"minute_from": now, "minute_posts": 1, "minute_failures": 0}
    else:
        changes["minute_posts"] = F("minute_posts") + 1
    seen = {name: getattr(flow, name) for name in compared}
    return bool(ProviderThrottle.objects.filter(pk=flow.pk, **seen).update(**changes))


# --- Learning from answers -----------------------------------------------------------------------------------------


def note_outcome(permit: Permit, outcome: Outcome) -> None:
    """Learn from one answer: the limit it names, how long it asks to wait, whether it was one at all."""
    if is_failure(outcome):
        _note_failure(permit, outcome)
        return
    changes: dict[str, object] = {}
    if outcome.rate_limit and outcome.rate_limit != permit.rate:
        changes["rate"] = outcome.rate_limit
    if permit.is_struggling:
        changes |= {"failures": 0, "circuit_opened_at": None, "probing_until": None, "reason": ""}
    flow = ProviderThrottle.objects.filter(pk=permit.flow_pk)
    if outcome.kind in (OutcomeKind.HALT, OutcomeKind.LATER):
        with transaction.atomic():
            row = _rows().select_for_update().get(pk=permit.flow_pk)
            flow.update(**{**changes, **_rest(outcome, row, row.clock)})
    elif changes:
        flow.update(**changes)


def is_failure(outcome: Outcome) -> bool:
    """Whether no answer came that helps. To be asked to wait is an answer."""
    is_silent = outcome.kind is OutcomeKind.LATER and outcome.retry_after is None
    return outcome.kind is OutcomeKind.UNKNOWN or is_silent


def _rest(outcome: Outcome, flow: ProviderThrottle, now: datetime.datetime) -> dict[str, object]:
    """What an answer that is no acceptance asks of everybody."""
    reason = outcome.reason[:500]
    if outcome.kind is OutcomeKind.HALT and outcome.extent is Extent.TEAM:
        return {"suspended_at": now, "reason": reason}
    if outcome.kind is OutcomeKind.HALT and outcome.extent is Extent.QUOTA and outcome.retry_after:
        return {"quota_until": now + datetime.timedelta(seconds=outcome.retry_after), "reason": reason}
    if outcome.kind is OutcomeKind.LATER and outcome.retry_after:
        until = now + datetime.timedelta(seconds=min(outcome.retry_after, LONGEST_REST))
        # Another may have been asked to wait for longer a moment ago.
        return {"rests_until": max(until, flow.ahead("rests_until", now) or until), "reason": reason}
    return {}


def _note_failure(permit: Permit, outcome: Outcome) -> None:
    """Rest, longer each time; break the flow where failures tell that it is not a single post's bad luck."""
    with transaction.atomic():
        flow = _rows().select_for_update().get(pk=permit.flow_pk)
        now = flow.clock
        flow.failures += 1
        flow.minute_failures += 1
        half_failed = flow.minute_posts >= TELLING_POSTS and 2 * flow.minute_failures >= flow.minute_posts
        if flow.circuit_opened_at is None and (flow.failures >= TELLING_FAILURES or half_failed):
            log.warning("the provider %s does not answer: %s", flow.provider, outcome.reason)
            flow.circuit_opened_at = now
        rest = outcome.retry_after or backoff(flow.failures, is_broken=flow.circuit_opened_at is not None)
        until = now + datetime.timedelta(seconds=min(rest, LONGEST_REST))
        flow.rests_until = max(until, flow.ahead("rests_until", now) or until)
        flow.probing_until, flow.reason = None, outcome.reason[:500]
        flow.save(
            update_fields=[
                "failures", "minute_failures", "circuit_opened_at", "rests_until", "probing_until", "reason",
            ]
        )  # fmt: skip


def backoff(failures: int, *, is_broken: bool) -> float:
    """Seconds: exponential from 1 with full jitter, at most five minutes (R-118).

    A broken flow rests for at least half of that: ten minutes of outage cost about ten posts (R-119).
    """
    if is_broken:
        longest = min(LONGEST_REST, 2.0 ** max(TELLING_FAILURES, min(failures, 12)))
        return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load; nobody gains by guessing it
    return random.uniform(0.0, min(LONGEST_REST, 2.0 ** (min(failures, 12) - 1)))  # noqa: S311


def clear_suspensions(*, by: str) -> None:
    """A person says that the reason is gone: halted and spent flows try again."""
    stopped = ProviderThrottle.objects.exclude(suspended_at=None, quota_until=None)
    if stopped.update(suspended_at=None, quota_until=None, rests_until=None, reason=""):
        log.info("halts of providers lifted by %s", by)


# --- The route -----------------------------------------------------------------------------------------------------


def looks_along(route: Sequence[Provider]) -> Iterator[tuple[Provider, Look, bool]]:
    """Each provider of the route with what its row tells, and whether it is the one that new batches go to.

    That is the first that is neither broken, spent nor halted: the breaker decides when the second is used, and a
    first that works again has its turn again.
    """
    is_taken = False
    for provider in route:
        seen = look(provider)
        is_its_turn = not is_taken and seen.standing in IN_ITS_TURN
        yield provider, seen, is_its_turn
        is_taken = is_taken or is_its_turn


def outage_reason(route: Sequence[Provider]) -> str:
    """Why no provider of the route takes mail until a person acts or a quota begins anew; empty if one does, or may.

    One sentence: the first one's reason. A broken flow is no outage_reason: it tries by itself.
    """
    stopped = (Availability.HALTED, Availability.SPENT)
    if not route or any(look(provider).standing not in stopped for provider in route):
        return ""
    return str(_flows_of(route[:1])[0].reason) or "The provider refuses us."


def _flows_of(route: Sequence[Provider]) -> list[Any]:
    """The rows there are, in the order of the route."""
    rows = (_rows().filter(provider=provider.name, account=provider.account).first() for provider in route)
    return [row for row in rows if row is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a provider takes no mail just now, for a person."""

    provider: str
    standing: Availability
    reason: str
    until: datetime.datetime | None
    """When it is tried again by itself; None if it is not."""


def troubles(route: Sequence[Provider]) -> list[Trouble]:
    """What keeps the providers of the route from taking mail, but for rests of seconds."""
    found = []
    for flow in _flows_of(route):
        standing = flow.availability_at(flow.clock)
        is_broken = flow.circuit_opened_at is not None and standing is Availability.OPEN
        if standing in IN_ITS_TURN and not is_broken:
            continue
        until = {Availability.HALTED: None, Availability.SPENT: flow.quota_until}.get(standing, flow.rests_until)
        shown = Availability.BROKEN if is_broken else standing
        found.append(Trouble(provider=flow.provider, standing=shown, reason=flow.reason, until=until))
    return found


def post_message(route: Sequence[Provider], message: Message, *, key: str) -> Outcome:
    """Post one mail that a person waits for, in its permit, through the first provider of the route that takes mail."""
    if not may_write_to(message.to):
        return Outcome(kind=OutcomeKind.SPLIT, reason=NOT_ALLOWED_RECIPIENT)
    for provider, _seen, is_its_turn in looks_along(route):
        if is_its_turn and (permit := take_permit(provider, share=NEARLY_ALL, patience=2 * PATIENCE)):
            outcome = provider.post_message(message, key=key)
            note_outcome(permit, outcome)
            return outcome
    reason = outage_reason(route) or "The provider takes no mail at the moment; it is tried again."
    return Outcome(kind=OutcomeKind.LATER, reason=reason)
