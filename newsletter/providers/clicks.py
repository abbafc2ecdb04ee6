"""What providers tell about an open or a click beside its time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickFacts:
    """The visitor of an open or a click. Personal data: it is read once, and not kept."""

    link: str = ""
    """The address that was clicked; empty for an open."""
    ip: str = ""
    agent: str | None = None
    """The user agent; empty if the visitor sent none, None if the provider does not tell it."""
    is_flagged: bool = False
    """Whether the provider takes it for a machine's."""
