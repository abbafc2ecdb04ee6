"""Plain values that go into rendering beside the content, and that come out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Masthead:
    """The newsletter's part of each issue. Plain strings; addresses are http or https."""

    name: str
    site_url: str
    archive_url: str
    postal_address: str
    """One or more lines, shown in the footer of both parts (required by CAN-SPAM)."""
    sender_name: str = ""
    description: str = ""
    logo_url: str = ""
    """https address of an image shown instead of the name; empty shows the name."""
    logo_width: int = 140
    """In pixels."""
    logo_dark_url: str = ""
    """The same for dark screens; empty shows the other one there, too."""
    logo_alt: str = ""
    """Empty: the name."""
    tagline: str = ""
    """The line under the name."""
    writer: str = ""
    """Who signs each issue; empty: no signature."""
    portrait_url: str = ""
    """https address of a square image of the writer."""
    footer: str = ""
    """The first sentence of the end; empty: the theme's invitation to reply."""
    links: tuple[tuple[str, str], ...] = ()
    """Further links at the end: word and address."""
    language: str = "en"
    """BCP 47 tag of the content's language; sets `lang` and the writing direction."""
    reply_to: str = ""
    """Address that answers go to; empty offers no reply."""
    subscribe_url: str = ""
    """Address of the sign-up page, for those who get the mail forwarded; empty mentions none."""
    feed_url: str = ""
    names_list: bool = False
    """Whether the footer names the list of each recipient, because the issue is sent to several."""


@dataclass(frozen=True, slots=True)
class IssueLink:
    """One link in the content of an issue."""

    url: str
    label: str
    """The text of the link."""
    place: str
    """Where the link is, in English: `Deep Dives, story 3`."""


@dataclass(frozen=True, slots=True)
class MergePlaceholder:
    """A placeholder of a merge field: the field that fills it, and the fallback for recipients without a value."""

    placeholder: str
    field: str
    fallback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedIssue:
    """An issue rendered once for all recipients. `html` and `text` contain placeholder tokens made with `nonce`."""

    subject: str
    """With its merge fields as they were typed: they are not text of a part."""
    html: str
    text: str
    nonce: str
    placeholders: tuple[str, ...]
    """Names of the placeholders used in either part, sorted."""
    merges: tuple[MergePlaceholder, ...] = ()
    """Those of merge fields, in either part or in the subject."""
    links: tuple[IssueLink, ...]
    """Every link of the content, in reading order, including repeated ones."""
