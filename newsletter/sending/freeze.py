"""Freeze: an issue's content becomes an edition, once for all readers. Imports content, rendering, providers."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import orjson
from django.db import transaction

from newsletter.content.store import load_content
from newsletter.models import Edition, Issue, Newsletter
from newsletter.providers.base import MessageRefused
from newsletter.rendering import Masthead, RenderedIssue, render_issue
from newsletter.sending.envelope import Envelope, EnvelopeError, envelope_of
from newsletter.sending.message import message_of


def masthead_of(newsletter: Newsletter) -> Masthead:
    """What the newsletter contributes to each of its issues."""
    return Masthead(
        name=newsletter.name,
        description=newsletter.description,
        language=newsletter.language,
        postal_address=newsletter.postal_address,
        sender_name=newsletter.sender_name,
        site_url=newsletter.web_url,
        archive_url=newsletter.archive_url,
    )


def render(issue: Issue) -> RenderedIssue:
    """The issue as it stands now, for preview, checks and freezing. Raises RenderingError."""
    return render_issue(load_content(issue), masthead_of(issue.newsletter), web_url=issue.web_url)


def freeze_edition(issue: Issue) -> Edition:
    """The edition of the issue's present content; the same one again while nothing has changed.

    Raises RenderingError or EnvelopeError before anything is stored, so a fault shows before the first mail.
    """
    content = load_content(issue)
    rendered = render_issue(content, masthead_of(issue.newsletter), web_url=issue.web_url)
    envelope = envelope_of(issue, rendered.nonce)
    sha256 = _sha256(rendered, envelope)
    with transaction.atomic():
        edition, created = Edition.objects.get_or_create(
            issue=issue,
            sha256=sha256,
            defaults={
                "revision": issue.revision,
                "subject": rendered.subject,
                "html": rendered.html,
                "text": rendered.text,
                "nonce": rendered.nonce,
                "envelope": envelope.as_json(),
                "links": [asdict(link) for link in rendered.links],
                "content": orjson.loads(orjson.dumps(content)),
            },
        )
        if created:
            _try_out(edition)
    return edition


def _try_out(edition: Edition) -> None:
    """Build the edition's message once, so that what no provider may be given shows now and not at the first post."""
    try:
        message_of(edition)
    except MessageRefused as refusal:
        raise EnvelopeError(str(refusal)) from refusal


def _sha256(rendered: RenderedIssue, envelope: Envelope) -> str:
    frozen = [rendered.subject, rendered.html, rendered.text, rendered.nonce, envelope.as_json()]
    return hashlib.sha256(orjson.dumps(frozen, option=orjson.OPT_SORT_KEYS)).hexdigest()
