"""How imported issues come onto the web and off it: the only module here that knows web pages."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from newsletter.models import Issue


def put_on_web(issue: Issue, published_at: datetime.datetime, *, by: str) -> None:
    """Publish the page of the draft, dated as it was published before. It is never mailed."""
    raise NotImplementedError


def is_on_web(issue: Issue) -> bool:
    """Whether the issue is on the web without having been mailed."""
    raise NotImplementedError


def update_on_web(issue: Issue, *, by: str) -> None:
    """Show the present content of an issue that is on the web."""
    raise NotImplementedError


def take_off_web(issue: Issue, *, by: str) -> None:
    """Take its page down."""
    raise NotImplementedError


def redirect(issue: Issue, old_paths: Iterable[str]) -> list[str]:
    """Lead its old paths to its page; the paths that lead elsewhere already or cannot be paths."""
    raise NotImplementedError
