"""Which kind of archive some files are. Pure."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.beehiiv import BeehiivArchive
from newsletter.content.archives.buttondown import ButtondownArchive
from newsletter.content.archives.feed import FeedArchive
from newsletter.content.archives.ghost import GhostArchive
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveReader
from newsletter.content.archives.kit import KitArchive
from newsletter.content.archives.listmonk import ListmonkArchive
from newsletter.content.archives.mailchimp import MailchimpArchive
from newsletter.content.archives.markdown_files import MarkdownReader
from newsletter.content.archives.substack import SubstackArchive
from newsletter.content.archives.tinyletter import TinyLetterArchive

READERS: tuple[ArchiveReader, ...] = (
    GhostArchive(),
    SubstackArchive(),
    ButtondownArchive(),
    BeehiivArchive(),
    ListmonkArchive(),
    KitArchive(),
    TinyLetterArchive(),
    MarkdownReader(),
    FeedArchive(),
    MailchimpArchive(),
)
"""All kinds. Those with marks that no other has come first. A folder of Markdown files may also hold the feed and the
HTML templates of its site, so that these come last."""


def reader_for(files: ArchiveFiles, *, code: str = "", **options: Any) -> ArchiveReader:
    """What reads `files`, with those of `options` that it knows, such as `site_url`. Raises ArchiveError.

    `code` names the kind of archive; empty: the first that fits.

    Options: `site_url`, against which relative links are resolved; `keeps_counters`, whether `utm_…` stays in links;
    `free_part_only`, whether posts for paying subscribers are cut at their paywall and public.
    """
    for reader in READERS:
        if code in ("", reader.code) and reader.fits(files):
            return _with_options(reader, options)
    if code:
        raise ArchiveError(
            translatable("This is no archive of the kind that you chose, “{kind}”. Choose another, or none.", kind=code)
        )
    raise ArchiveError(
        translatable(
            "This is no archive that can be read. Known are: the exports of Ghost (JSON), Substack (ZIP), Buttondown "
            "(ZIP or JSON), beehiiv (CSV), listmonk (JSON), Kit (JSON), Mailchimp (HTML files) and TinyLetter (CSV), "
            "feeds with the full text, and folders with a Markdown file for each issue."
        )
    )


def _with_options(reader: ArchiveReader, options: dict[str, Any]) -> ArchiveReader:
    if not is_dataclass(reader) or isinstance(reader, type):
        return reader
    known = {one.name for one in fields(reader)}
    made: ArchiveReader = replace(reader, **{name: value for name, value in options.items() if name in known})
    return made
