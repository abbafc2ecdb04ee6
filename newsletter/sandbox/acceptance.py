"""Accepting mails: one transaction for body, mails, events, suppressions, quota and key.

A call is recorded in the ledger completely and its answer is stored under its key, or nothing is recorded. A fault in
the answer changes neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from newsletter.sandbox.outcomes import UNKNOWN_TYPE, PlannedEvent, plan_events
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team, addresses_of
from newsletter.sandbox.time_format import day
from newsletter.sandbox.validation import Mail


@dataclass(frozen=True, slots=True)
class Posting:
    """One call that sends, as received."""

    path: str
    key: str | None
    body: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of a posting: the answer's bytes, and the numbers of the mails."""

    answer: bytes
    mails: tuple[int, ...]


def accept(team: Team, posting: Posting, mails: dict[int, Mail], errors: list[dict[str, object]] | None) -> Accepted:
    """Add the mails to the ledger. `mails` by index; `errors` is None for a strict batch or a single mail.

    Raises Refusal (429) if they exceed the quota.
    """
    now = team.clock()
    single = posting.path == "/emails"
    compressed = team.bodies.compress(posting.body)
    with team.database.transaction():
        check_quota(team, len(addresses_of(list(mails.values()))), now)
        body = team.bodies.add(compressed)
        added = team.ledger.add_mails(((None if single else index, mail) for index, mail in mails.items()), body, now)
        _plan_all(team, added, now)
        answer = _answer([uid for _number, uid, _mail in added], errors, single=single)
        if posting.key is not None:
            team.keys.remember(posting.key, posting.path, posting.sha256, body, answer, now)
    return Accepted(answer, tuple(number for number, _uid, _mail in added))


def check_quota(team: Team, more: int, now: float) -> None:
    """Raises Refusal (429) if `more` recipients exceed the daily or the monthly quota."""
    for name, quota, used in (
        ("daily_quota_exceeded", team.options.daily_quota, used_today(team, now)),
        ("monthly_quota_exceeded", team.options.monthly_quota, used_this_month(team, now)),
    ):
        if quota is not None and used + more > quota:
            raise refusal(name)


def used_today(team: Team, now: float) -> int:
    """Recipients accepted on this UTC day; to, cc and bcc count."""
    return team.ledger.recipients_since(day(now))


def used_this_month(team: Team, now: float) -> int:
    """Recipients accepted in this UTC month."""
    return team.ledger.recipients_since(day(now)[:8])


def _plan_all(team: Team, added: list[tuple[int, str, Mail]], now: float) -> None:
    listed = team.suppressions.origins(addresses_of([mail for _number, _uid, mail in added]), now)
    for number, uid, mail in added:
        if mail.scheduled_at is not None:
            team.plan(number, uid, "", [PlannedEvent("email.scheduled", 0.0)], now)
        # Each recipient has its own events, which do not name the recipient: resend-python issue 68.
        for address, _field in mail.recipients:
            planned = plan_events(address, mail.html, listed.get(address), team.options)
            if team.options.webhook_unknown_types:
                planned.append(PlannedEvent(UNKNOWN_TYPE, 0.0))
            team.plan(number, uid, address, planned, mail.scheduled_at or now)


def _answer(ids: list[str], errors: list[dict[str, object]] | None, *, single: bool) -> bytes:
    if single:
        return orjson.dumps({"id": ids[0]})
    answer: dict[str, object] = {"data": [{"id": uid} for uid in ids]}
    return orjson.dumps(answer if errors is None else {**answer, "errors": errors})
