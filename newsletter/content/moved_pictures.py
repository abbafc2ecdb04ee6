"""Drafts follow a picture whose file or focus changed; what was sent keeps the file that it was sent with."""

from __future__ import annotations

from collections.abc import Mapping

from newsletter.content.pictures import with_addresses
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, Picture


def move_in_drafts(picture: Picture, moved: Mapping[str, str], *, by: str) -> int:
    """Save each draft that has the picture with its new addresses; the number of drafts. An approval is withdrawn."""
    if not moved:
        return 0
    count = 0
    issues = Issue.objects.filter(pictures__picture=picture).order_by("pk")
    for issue in issues.with_send():
        if issue.is_editable:
            content = load_content(issue)
            count += save_content(issue, with_addresses(content, moved), by=by, note=f"picture:{picture.name}")
    return count
