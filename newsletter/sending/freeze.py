"""Freeze: renders an issue's content into an edition, once for all recipients.

issue ─► source ─► SHA-256 ─┬─► the edition that was frozen from the same source
                            └─► render ─► edition, not stored yet ─► stored by freeze_edition
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from django.db import transaction

from newsletter.content.pictures import note_in_edition
from newsletter.engagement.wrap import frozen_engagement
from newsletter.models import Edition, Issue
from newsletter.providers.base import InvalidMessage
from newsletter.rendering import MergePlaceholder, RenderedIssue
from newsletter.sending.envelope import Envelope, EnvelopeError, envelope_of
from newsletter.sending.message import message_of
from newsletter.sending.source import Source, source_hash, source_of


def freeze_edition(issue: Issue) -> Edition:
    """The stored edition of the issue's current content. Unchanged content returns the same edition without rendering.

    Raises RenderingError or EnvelopeError before anything is stored, so a fault shows before the first mail.
    """
    return store_edition(prepare_edition(issue))


def store_edition(edition: Edition) -> Edition:
    """Store a prepared edition, or return the stored one with the same bytes."""
    if not edition._state.adding:
        return edition
    same = Edition.objects.filter(issue=edition.issue_id, sha256=edition.sha256)
    with transaction.atomic():
        # A stored edition may have the same bytes: frozen before an update, or by another process just now.
        Edition.objects.bulk_create([edition], ignore_conflicts=True)
        stored = same.get()
        note_in_edition(stored, edition.issue.newsletter_id)
    if stored.source_sha256 != edition.source_sha256:
        # An update of this program made the same bytes. Without this, each freeze would render them again.
        same.remember_source(edition.source_sha256)
        stored.source_sha256 = edition.source_sha256
    return stored


def prepare_edition(issue: Issue) -> Edition:
    """The frozen edition of the current content, or a new one that is rendered and not stored.

    Previews, checks and hashes use it, because it changes nothing. Raises RenderingError or EnvelopeError.
    """
    source = source_of(issue)
    source_sha256 = source_hash(issue, source)
    frozen = Edition.objects.filter(issue=issue, source_sha256=source_sha256).order_by("-pk").first()
    return frozen or _render_edition(issue, source, source_sha256)


def edition_hash(issue: Issue) -> str:
    """The SHA-256 of the issue's edition, frozen or not. Raises RenderingError or EnvelopeError."""
    return prepare_edition(issue).sha256


def merges_as_json(merges: Iterable[MergePlaceholder]) -> dict[str, dict[str, str]]:
    """`merges` as the edition stores them: the field and the fallback of each placeholder."""
    return {merge.placeholder: {"field": merge.field, "fallback": merge.fallback} for merge in merges}


def _render_edition(issue: Issue, source: Source, source_sha256: str) -> Edition:
    rendered = source.render()
    envelope = envelope_of(issue, rendered.nonce, names_list=source.masthead.names_list)
    engagement = frozen_engagement(issue.newsletter, rendered.links)
    edition = Edition(
        issue=issue,
        revision=issue.revision,
        subject=rendered.subject,
        html=rendered.html,
        text=rendered.text,
        nonce=rendered.nonce,
        merges=merges_as_json(rendered.merges),
        envelope=envelope.as_json(),
        links=[asdict(link) for link in rendered.links],
        engagement=engagement,
        content=orjson.loads(orjson.dumps(source.content)),
        sha256=_sha256(rendered, envelope, engagement),
        source_sha256=source_sha256,
    )
    _validate_message(edition)
    return edition


def _validate_message(edition: Edition) -> None:
    """Build the edition's message once, so that a message that no provider accepts is refused before the first post."""
    try:
        message_of(edition)
    except InvalidMessage as refusal:
        raise EnvelopeError(*refusal.args) from refusal


def _sha256(rendered: RenderedIssue, envelope: Envelope, engagement: Mapping[str, Any]) -> str:
    merges = [asdict(merge) for merge in rendered.merges]
    frozen = [rendered.subject, rendered.html, rendered.text, rendered.nonce, merges, envelope.as_json()]
    if engagement:  # without it, editions have the hash that they had before there was a choice
        frozen.append(engagement)
    return hashlib.sha256(orjson.dumps(frozen, option=orjson.OPT_SORT_KEYS)).hexdigest()
