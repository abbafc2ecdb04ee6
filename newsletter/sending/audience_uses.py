"""Which issues use a segment, so that an editor sees it before changing or deleting it."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import reverse
from django.utils.translation import gettext as _

from newsletter.models import AudiencePart, AudiencePartKind, Issue, Send, SendState
from subscribers.models import Segment
from subscribers.segments.uses import Use

#: The most issues that are named.
MAX_ISSUES = 20


def uses_by_issues(segment: Segment) -> Iterator[Use]:
    """The issues whose audience has the segment, the newest first."""
    parts = AudiencePart.objects.filter(segment=segment).select_related("issue").order_by("-issue")[:MAX_ISSUES]
    sends = Send.objects.current().filter(issue__in=[part.issue_id for part in parts])
    current = {send.issue_id: send for send in sends.defer("manifest")}
    for part in parts:
        send = current.get(part.issue_id)
        detail = _("excluded") if part.kind == AudiencePartKind.EXCLUDED else _("included")
        yield Use(
            name=part.issue.title,
            detail=f"{detail} · {_status(part.issue, send)}",
            url=reverse("admin:newsletter_issue_change", args=[part.issue_id]),
            is_open=send is None or send.state == SendState.SCHEDULED or send.expanded_at is None,
        )


def _status(issue: Issue, send: Send | None) -> str:
    return str(send.get_state_display() if send else issue.get_state_display())
