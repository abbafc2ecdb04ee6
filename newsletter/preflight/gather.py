"""Everything that the checks look at, fetched once: ten queries, whatever the issue."""

from __future__ import annotations

import datetime
from collections import defaultdict
from zoneinfo import ZoneInfo

from django.utils import timezone

from newsletter.content.store import load_content
from newsletter.models import Delivery, Issue, Story
from newsletter.preflight.findings import Audience, Inspection, LastSend, PastIssue, Rendered, Sender
from newsletter.preflight.link_checks import looks_at

#: How many issues back a story counts as told already.
REMEMBERED_ISSUES = 5


def gather_inspection(
    issue: Issue, *, audience: Audience, rendered: Rendered | None, unrendered: str = ""
) -> Inspection:
    """What is known of `issue` as it is stored; `rendered` is what would go out, or `unrendered` says why not."""
    newsletter, content = issue.newsletter, load_content(issue)
    zone = ZoneInfo(issue.scheduled_zone or newsletter.time_zone)
    sent = _sent_before(issue)
    return Inspection(
        content=content,
        sender=Sender(
            name=newsletter.sender_name,
            email=newsletter.sender_email,
            postal_address=newsletter.postal_address,
        ),
        moment=(issue.scheduled_at or timezone.now()).astimezone(zone),
        audience=audience,
        rendered=rendered,
        unrendered=unrendered,
        past=_past_issues(sent),
        links=looks_at(content),
        last_send=_last_send(sent[0], zone) if sent else None,
    )


def _sent_before(issue: Issue) -> list[Issue]:
    """The newest issues of the newsletter that have started, newest first."""
    started = Issue.objects.filter(newsletter=issue.newsletter_id, started_at__isnull=False).exclude(pk=issue.pk)
    return list(started.order_by("-started_at", "-pk")[:REMEMBERED_ISSUES])


def _past_issues(sent: list[Issue]) -> tuple[PastIssue, ...]:
    stories: dict[int, list[tuple[str, str]]] = defaultdict(list)
    found = Story.objects.filter(section__issue__in=sent).values_list("section__issue_id", "title", "url")
    for issue_pk, title, url in found:
        stories[issue_pk].append((title, url))
    return tuple(
        PastIssue(
            title=issue.title,
            date=issue.date,
            titles=tuple(title for title, _ in stories[issue.pk] if title),
            links=tuple(url for _, url in stories[issue.pk] if url),
        )
        for issue in sent
    )


def _last_send(issue: Issue, zone: datetime.tzinfo) -> LastSend:
    assert issue.started_at is not None  # noqa: S101 - it was selected by that
    readers = Delivery.objects.filter(edition=issue.edition_id).count() if issue.edition_id else 0
    return LastSend(title=issue.title, started=issue.started_at.astimezone(zone), readers=readers)
