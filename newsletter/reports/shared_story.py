"""The numbers of one story for a sponsor, and the links by which they are read. Nothing about any subscriber."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from dataclasses import dataclass

from django.db.models import Sum
from django.utils import timezone

from newsletter.engagement.rules import RULES_VERSION
from newsletter.models import (
    FIRST_LINK,
    EngagementCounter,
    Newsletter,
    ReportShare,
    Send,
    SendCount,
    Verdict,
    Visibility,
    numbered_links,
)
from newsletter.models.rates import MIN_FOR_RATE, rate_base
from newsletter.reports.engagement import LinkReport, links_of
from newsletter.reports.first_hours import HOUR, HOURS

#: Bytes of a token: 256 bits cannot be guessed.
TOKEN_BYTES = 32

#: The most links that work of one send.
MAX_SHARES = 100


class TooManyShares(Exception):
    """The send has MAX_SHARES links that work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfStory:
    """Cumulative clicks at the end of one hour."""

    number: int
    end: datetime.datetime
    humans: int
    machines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryNumbers:
    """What the page shows. Without `has_rates` too few recipients got it for a rate to say something."""

    newsletter: Newsletter
    issue_title: str
    sent_at: datetime.datetime
    title: str
    recipients: int
    """Those who have the mail, as far as the provider reports deliveries; else those whose mail it accepted."""
    is_delivered: bool
    humans: int
    """Those who clicked, each once; without consent to tracking once for each day."""
    human_clicks: int
    machine_clicks: int
    unclear_clicks: int
    hours: tuple[HourOfStory, ...]
    rules_version: int
    expires_at: datetime.datetime | None

    @property
    def has_rates(self) -> bool:
        return self.recipients >= MIN_FOR_RATE


def can_be_shared(send: Send) -> bool:
    """Whether the clicks on the links of its mails are counted."""
    return bool(numbered_links(send.edition))


def share_story(
    send: Send, number: int, *, by: str, expires_at: datetime.datetime | None = None
) -> tuple[ReportShare, str]:
    """A new link to the numbers of one link of the edition, with its token, which is not stored. Raises TooManyShares.

    ValueError if the edition has no such link.
    """
    if not 0 <= number - FIRST_LINK < len(numbered_links(send.edition)):
        raise ValueError(number)
    if send.shares.valid(timezone.now()).count() >= MAX_SHARES:
        raise TooManyShares
    token = secrets.token_urlsafe(TOKEN_BYTES)
    share = ReportShare.objects.create(
        send=send, number=number, token_sha256=_hash(token), created_by=by, expires_at=expires_at
    )
    return share, token


def revoke_share(share: ReportShare, *, by: str) -> bool:
    """Let a link no longer work; False if it was revoked before."""
    rows = ReportShare.objects.filter(pk=share.pk, revoked_at__isnull=True)
    return rows.update(revoked_at=timezone.now(), revoked_by=by) > 0


def valid_share(token: str, now: datetime.datetime) -> ReportShare | None:
    """The link with this token, if it works now. None works while the page of its issue is taken down."""
    rows = ReportShare.objects.valid(now).select_related("send__issue__newsletter", "send__edition")
    rows = rows.exclude(send__issue__web_page__visibility=Visibility.TAKEN_DOWN)
    return rows.filter(token_sha256=_hash(token)).first()


def _hash(token: str) -> str:
    """A plain hash: a token of 256 random bits cannot be found by trying."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def story_numbers(share: ReportShare, now: datetime.datetime) -> StoryNumbers | None:
    """The numbers of now, in three queries; None if the send has not begun, or has no such link any more."""
    send = share.send
    link = next((each for each in links_of(send.edition) if each.number == share.number), None)
    if link is None or send.started_at is None:
        return None
    base = rate_base(SendCount.objects.totals([send.pk]).get(send.pk, {}))
    by_verdict = _hits(send, link)
    unclear = by_verdict.get(Verdict.UNSURE, 0)
    return StoryNumbers(
        newsletter=send.issue.newsletter,
        issue_title=send.issue.title,
        sent_at=send.started_at,
        title=link.label or link.url,
        recipients=base.count,
        is_delivered=base.is_delivered,
        humans=link.humans,
        human_clicks=link.human_hits,
        machine_clicks=link.all_hits - link.human_hits - unclear,
        unclear_clicks=unclear,
        hours=tuple(_hours(send, link, now)),
        rules_version=RULES_VERSION,
        expires_at=share.expires_at,
    )


def _hits(send: Send, link: LinkReport) -> dict[str, int]:
    rows = EngagementCounter.objects.filter(edition=send.edition_id, number=link.number).order_by()
    return dict(rows.values_list("verdict").annotate(total=Sum("hits")))


def _hours(send: Send, link: LinkReport, now: datetime.datetime) -> list[HourOfStory]:
    """The first hours since the one in which the send started, up to now; all but humans are counted as machines."""
    if send.started_at is None:
        return []
    start = send.started_at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    hours = min(HOURS, max(1, -((start - now) // HOUR)))
    rows = EngagementCounter.objects.filter(
        edition=send.edition_id, number=link.number, hour__lt=start + hours * HOUR
    ).exclude(verdict=Verdict.UNSURE)
    clicks: dict[tuple[int, bool], int] = {}
    counted = rows.order_by().values_list("hour", "verdict").annotate(total=Sum("hits"))
    for hour, verdict, total in counted:
        # What clocks that differ put before the start counts in the first hour.
        place = max(0, (hour - start) // HOUR), verdict == Verdict.HUMAN
        clicks[place] = clicks.get(place, 0) + total
    found, humans, machines = [], 0, 0
    for number in range(hours):
        humans += clicks.get((number, True), 0)
        machines += clicks.get((number, False), 0)
        end = start + (number + 1) * HOUR
        found.append(HourOfStory(number=number + 1, end=end, humans=humans, machines=machines))
    return found
