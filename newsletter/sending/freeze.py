"""Freeze: an issue's content becomes an edition, once for all readers.

issue ─► source ─► digest ─┬─► the edition that was frozen from the same source
                           └─► render ─► edition, not stored yet ─► stored by freeze_edition
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict

import orjson

from newsletter.models import Edition, Issue
from newsletter.providers.base import InvalidMessage
from newsletter.rendering import MergePlaceholder, RenderedIssue
from newsletter.sending.envelope import Envelope, EnvelopeError, envelope_of
from newsletter.sending.message import message_of
from newsletter.sending.source import Source, source_digest, source_of


def freeze_edition(issue: Issue) -> Edition:
    """The edition of the issue's present content, stored; the same one again, unrendered, while nothing has changed.

    Raises RenderingError or EnvelopeError before anything is stored, so a fault shows before the first mail.
    """
    return store_edition(prepare_edition(issue))


def store_edition(edition: Edition) -> Edition:
    """Freeze a prepared edition; the one of the same bytes where there is one."""
    if not edition._state.adding:
        return edition
    # From another source: before an update, or because somebody else froze the same words just now.
    Edition.objects.bulk_create([edition], ignore_conflicts=True)
    return Edition.objects.get(issue=edition.issue_id, sha256=edition.sha256)


def prepare_edition(issue: Issue) -> Edition:
    """The edition that the issue has or would have; one that is not frozen yet is rendered, and not stored.

    So what freezing would give can be looked at, checked and hashed without leaving a trace. Raises RenderingError
    or EnvelopeError.
    """
    source = source_of(issue)
    digest = source_digest(issue, source)
    frozen = Edition.objects.filter(issue=issue, source_sha256=digest).order_by("-pk").first()
    return frozen or _render_edition(issue, source, digest)


def edition_hash(issue: Issue) -> str:
    """The SHA-256 that the issue's edition has or would have. Raises RenderingError or EnvelopeError."""
    return prepare_edition(issue).sha256


def merges_as_json(merges: Iterable[MergePlaceholder]) -> dict[str, dict[str, str]]:
    """As they are stored in the edition, and as whatever fills slots takes them."""
    return {merge.placeholder: {"field": merge.field, "fallback": merge.fallback} for merge in merges}


def _render_edition(issue: Issue, source: Source, digest: str) -> Edition:
    rendered = source.render()
    envelope = envelope_of(issue, rendered.nonce)
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
        content=orjson.loads(orjson.dumps(source.content)),
        sha256=_sha256(rendered, envelope),
        source_sha256=digest,
    )
    _try_out(edition)
    return edition


def _try_out(edition: Edition) -> None:
    """Build the edition's message once, so that what no provider may be given shows now and not at the first post."""
    try:
        message_of(edition)
    except InvalidMessage as refusal:
        raise EnvelopeError(*refusal.args) from refusal


def _sha256(rendered: RenderedIssue, envelope: Envelope) -> str:
    merges = [asdict(merge) for merge in rendered.merges]
    frozen = [rendered.subject, rendered.html, rendered.text, rendered.nonce, merges, envelope.as_json()]
    return hashlib.sha256(orjson.dumps(frozen, option=orjson.OPT_SORT_KEYS)).hexdigest()
