"""What goes into rendering beside the issue, and what comes out: plain values."""

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
    logo_url: str = ""
    """https address of a picture that stands for the name; empty: the name is written."""
    logo_width: int = 140
    """In pixels."""
    language: str = "en"
    """BCP 47 tag of what editors write; sets `lang` and the writing direction."""


@dataclass(frozen=True, slots=True)
class IssueLink:
    """One link that editors put into the issue."""

    url: str
    label: str
    """The words that are linked."""
    place: str
    """Where it stands, for people: `Deep Dives, story 3`."""


@dataclass(frozen=True, slots=True)
class MergePlaceholder:
    """A placeholder that a merge field made: which value of the reader fills it, and what where they have none."""

    placeholder: str
    field: str
    fallback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedIssue:
    """An issue rendered once for all readers: `html` and `text` hold placeholder tokens made with `nonce`."""

    subject: str
    html: str
    text: str
    nonce: str
    placeholders: tuple[str, ...]
    """Names of the placeholders used in either part, sorted."""
    merges: tuple[MergePlaceholder, ...] = ()
    """The placeholders among them that merge fields made."""
    links: tuple[IssueLink, ...]
    """Every link that editors wrote, in reading order, repeated where it is repeated."""
