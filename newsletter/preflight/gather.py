"""Collects the input of the checks with at most twelve queries, however long the issue is."""

from __future__ import annotations

import datetime
from collections import defaultdict
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from newsletter.content.document import IssueContent
from newsletter.content.merge_fields import MERGE_FIELDS
from newsletter.content.pictures import addresses_in, files_at
from newsletter.content.store import load_content
from newsletter.models import STARTED, Brand, Delivery, Issue, Newsletter, ProviderDomain, Send, Story
from newsletter.preflight.findings import (
    AudienceSnapshot,
    Inspection,
    KnownPicture,
    LastSend,
    PastIssue,
    Rendered,
    Sender,
)
from newsletter.preflight.link_checks import link_statuses
from newsletter.providers import get_route
from newsletter.rendering import RenderingError, load_theme
from newsletter.rendering.brand import BrandSettings, branded, weak_pairings
from newsletter.rendering.palette import Pairing
from subscribers.profile.fields import fields_of

#: Number of past issues in which repeated stories are looked up.
REMEMBERED_ISSUES = 5


def gather_inspection(
    issue: Issue,
    *,
    audience: AudienceSnapshot,
    rendered: Rendered | None,
    render_error: str = "",
    sends_at: datetime.datetime | None = None,
) -> Inspection:
    """The input of the checks for `issue` as it is saved, and for the rendering that would be sent.

    `sends_at`, in the zone in which it is shown, is when it would be sent; None: as its send is scheduled, else now.
    """
    newsletter, content = issue.newsletter, load_content(issue)
    send = issue.current_send
    zone = ZoneInfo(send.time_zone if send else newsletter.time_zone)
    sent = _sent_before(issue)
    return Inspection(
        content=content,
        sender=_sender(newsletter),
        sends_at=sends_at or ((send and send.scheduled_at) or timezone.now()).astimezone(zone),
        audience=audience,
        rendered=rendered,
        render_error=render_error,
        past=_past_issues([earlier.issue for earlier in sent]),
        links=link_statuses(content),
        last_send=_last_send(sent[0], zone) if sent else None,
        pictures=_known_pictures(content, newsletter.pk),
        weak_colours=_weak_colours(newsletter),
        merge_names=(*MERGE_FIELDS, *fields_of(newsletter)),
    )


def _known_pictures(content: IssueContent, newsletter: int) -> dict[str, KnownPicture]:
    return {
        address: KnownPicture(bytes=file.bytes, is_decorative=file.picture.is_decorative)
        for address, file in files_at(list(addresses_in(content)), newsletter).items()
    }


def _sender(newsletter: Newsletter) -> Sender:
    providers = {provider.name for provider in get_route()}
    domains = list(ProviderDomain.objects.of_sender(newsletter.sender_email, providers, timezone.now()))
    return Sender(
        name=newsletter.sender_name,
        email=newsletter.sender_email,
        postal_address=newsletter.postal_address,
        tracks_opens=any(domain.open_tracking for domain in domains),
        tracks_clicks=any(domain.click_tracking for domain in domains),
        lets_provider_track=newsletter.lets_provider_track,
        is_tracking_known=bool(domains) and all(None not in (d.open_tracking, d.click_tracking) for d in domains),
    )


def _weak_colours(newsletter: Newsletter) -> tuple[Pairing, ...]:
    """Colours of the brand that are hard to read. What makes the theme unusable is in `render_error` already."""
    try:
        theme = load_theme(newsletter.theme, settings.THEME_FOLDERS)
        brand = BrandSettings(**Brand.of(newsletter).design())  # type: ignore[arg-type]
        return weak_pairings(branded(theme, brand).theme)
    except RenderingError:
        return ()


def _sent_before(issue: Issue) -> list[Send]:
    """The newest sends of the newsletter that have started, newest first; a digest repeats issues, and is no other."""
    if issue.is_digest:
        return []
    ordinary = Send.objects.filter(issue__newsletter=issue.newsletter_id, issue__digest_at__isnull=True)
    started = ordinary.filter(state__in=STARTED).exclude(issue=issue)
    newest = started.order_by("-started_at", "-pk").select_related("issue").defer("manifest")
    return list(newest[:REMEMBERED_ISSUES])


def _past_issues(sent: list[Issue]) -> tuple[PastIssue, ...]:
    stories: dict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = Story.objects.filter(section__issue__in=sent).values_list("section__issue_id", "title", "url")
    for issue_pk, title, url in rows:
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


def _last_send(send: Send, zone: datetime.tzinfo) -> LastSend:
    assert send.started_at is not None  # noqa: S101 - the database holds it for every started send
    recipients = Delivery.objects.filter(send=send).count()
    return LastSend(title=send.issue.title, started=send.started_at.astimezone(zone), recipients=recipients)
