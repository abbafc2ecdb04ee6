"""What goes into rendering beside the issue, and what comes out: plain values. Imports nothing of the project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Masthead:
    """What the newsletter contributes to each of its issues. Plain strings; addresses are http or https."""

    name: str
    site_url: str
    archive_url: str
    postal_address: str
    """One or more lines, shown in the footer of both parts (CAN-SPAM, R-14)."""
    sender_name: str = ""
    description: str = ""
    language: str = "en"
    """BCP 47 tag of what editors write; sets `lang` and the writing direction."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link that editors put into the issue."""

    url: str
    label: str
    """The words that are linked."""
    place: str
    """Where it stands, for people: `Deep Dives, story 3`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedIssue:
    """An issue rendered once for all readers: `html` and `text` hold slot tokens made with `nonce`."""

    subject: str
    html: str
    text: str
    nonce: str
    slots: tuple[str, ...]
    """Names of the slots used in either part, sorted."""
    links: tuple[Link, ...]
    """Every link that editors wrote, in reading order, repeated where it is repeated."""
