"""A publication for tests: the newsletter “Harbour Notes”, its issues, and sending them."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from django.db.models import F
from django.utils import timezone

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.store import save_content
from newsletter.models import Batch, Issue, Newsletter, ProviderThrottle, Send, SendState
from newsletter.providers.base import Provider
from newsletter.sending.audience import Audience
from newsletter.sending.expand import expand_audience
from newsletter.sending.freeze import freeze_edition
from newsletter.sending.post import post_batch


def make_newsletter(slug: str = "harbour-notes", **fields: Any) -> Newsletter:
    """The newsletter; made once per slug."""
    defaults = {
        "name": "Harbour Notes",
        "description": "Ten stories from the waterfront, every Tuesday morning.",
        "sender_name": "Harbour Notes",
        "sender_email": "notes@mail.example.org",
        "reply_to": "editors@example.org",
        "postal_address": "Harbour Notes\n4 Quay Street\n20457 Hamburg, Germany",
        "time_zone": "Europe/Berlin",
    }
    newsletter, _ = Newsletter.objects.get_or_create(slug=slug, defaults=defaults | fields)
    return newsletter


def story(number: int) -> StoryContent:
    """A complete story."""
    return StoryContent(
        title=f"Quay {number} gets a taller crane",
        url=f"https://harbour.example/cranes/{number}",
        source="Harbour Daily",
        body=f"The crane at quay {number} lifts *forty* tonnes. Nobody had asked for it – until the ferries grew.",
    )


def content(slug: str = "issue-1", *, stories: int = 3, **changes: Any) -> IssueContent:
    """A complete small issue."""
    fields: dict[str, Any] = {
        "title": "Taller cranes",
        "slug": slug,
        "date": datetime.date(2026, 11, 20),
        "subject": "Taller cranes, quieter ferries",
        "preheader": "And why the lock keeper smiles.",
        "categories": ("News", "Tech"),
        "sections": (
            SectionContent(title="Signal of the day", body="The harbour grows **upwards**."),
            SectionContent(title="Deep dives", stories=tuple(story(number) for number in range(1, stories + 1))),
            SectionContent(title="The pattern", body="Height is the new breadth."),
        ),
    }
    return IssueContent(**{**fields, **changes})


def make_issue(slug: str = "issue-1", newsletter: Newsletter | None = None, **changes: Any) -> Issue:
    """A draft with a complete content."""
    written = content(slug, **changes)
    issue = Issue.objects.create(newsletter=newsletter or make_newsletter(), slug=slug, title=written.title)
    save_content(issue, written, by="tests")
    return issue


def today() -> datetime.date:
    """The date in the newsletter's time zone, which near midnight is not that of UTC."""
    return timezone.localdate(timezone=zoneinfo.ZoneInfo("Europe/Berlin"))


def just_now() -> datetime.datetime:
    """A time in the past by every clock: SQLite's has whole milliseconds only, and ours may be ahead of that."""
    return timezone.now() - datetime.timedelta(seconds=1)


def send_of(issue: Issue) -> Send:
    """The issue's send as it is in the database now."""
    send = Send.objects.current().filter(issue=issue).select_related("edition", "issue__newsletter").first()
    assert send is not None, "the issue has no send"
    return send


def start_sending(issue: Issue) -> Send:
    """Start a send of the issue without any checks, as “Send now” does after them."""
    edition, audience = freeze_edition(issue), Audience.of(issue)
    fields: dict[str, Any] = {"audience": audience.as_json(), "awaits_digest": audience.leaves_out_weekly}
    return Send.objects.create_with_history(
        SendState.SENDING, by="tests", issue=issue, edition=edition, started_at=timezone.now(), **fields
    )


def schedule_send(issue: Issue, *, at: datetime.datetime | None = None, **fields: Any) -> Send:
    """Schedule a send of the issue without any checks; `at` None: for the next day."""
    at = at or timezone.now() + datetime.timedelta(days=1)
    edition = freeze_edition(issue)
    schedule = {"scheduled_at": at, "scheduled_zone": "UTC", "scheduled_wall": f"{at:%Y-%m-%dT%H:%M}"}
    return Send.objects.create_with_history(
        SendState.SCHEDULED, by="tests", issue=issue, edition=edition, **{**schedule, **fields}
    )


def expand_audiences(batch_size: int = 100, chunk: int = 5_000) -> None:
    """Expand every audience that waits for it."""
    while expand_audience(batch_size, chunk):
        pass


def reset_throttles() -> None:
    """As if no call had failed lately. A suspended account or a used-up quota stays so."""
    ProviderThrottle.objects.update(
        last_permit_at=None, backoff_until=None, half_open_until=None, failures=0, circuit_opened_at=None
    )


def pass_time(seconds: float) -> None:
    """As if so many seconds had passed for all throttles and batches."""
    for throttle in ProviderThrottle.objects.all():
        for name in (
            "last_permit_at",
            "backoff_until",
            "window_started_at",
            "circuit_opened_at",
            "half_open_until",
            "quota_until",
        ):
            if at := getattr(throttle, name):
                setattr(throttle, name, at - datetime.timedelta(seconds=seconds))
        throttle.save()
    Batch.objects.update(not_before=F("not_before") - datetime.timedelta(seconds=seconds))


def post_everything(*route: Provider) -> int:
    """Post every batch that is due, without waiting for the provider's rate; returns the number of posts."""
    posts = 0
    reset_throttles()
    while post_batch(route):
        posts += 1
        reset_throttles()
    return posts
