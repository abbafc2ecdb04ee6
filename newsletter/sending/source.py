"""The source of an edition: everything that it is rendered from, identified by its SHA-256."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from newsletter import content as content_package
from newsletter import rendering as rendering_package
from newsletter.config.translatable import translatable
from newsletter.content.document import AudienceContent, IssueContent
from newsletter.content.store import load_content
from newsletter.engagement.wrap import choice_of
from newsletter.models import Brand, Issue, Newsletter
from newsletter.rendering import (
    Masthead,
    RenderedIssue,
    RenderingError,
    Theme,
    Words,
    load_theme,
    render_issue,
    words_for,
)
from newsletter.rendering.brand import BrandedTheme, BrandSettings, branded
from newsletter.rendering.templates import templates_hash
from newsletter.sending.envelope import envelope_of

#: Libraries that affect the bytes of an edition: another version may render the same issue differently.
RENDERERS = ("mjml-python", "premailer", "cssselect", "cssutils", "lxml", "Jinja2")
MARKDOWN_PARSERS = ("markdown-it-py", "linkify-it-py", "nh3")

#: Replaces the nonce, which is derived from the source and so cannot be part of it.
NO_NONCE = "0" * 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Everything that the rendering of an issue depends on, without its envelope."""

    content: IssueContent
    masthead: Masthead
    theme: Theme
    web_url: str
    words: Words

    def render(self) -> RenderedIssue:
        """Both parts with placeholders. Raises RenderingError."""
        return render_issue(self.content, self.masthead, web_url=self.web_url, theme=self.theme, words=self.words)


def source_of(issue: Issue) -> Source:
    """The stored issue with its newsletter's part. Raises RenderingError if the theme is missing."""
    return with_content(issue, load_content(issue))


def with_content(issue: Issue, content: IssueContent) -> Source:
    """The same for content that is not stored. Raises RenderingError if the theme is missing."""
    newsletter = issue.newsletter
    return Source(
        # The mail is the same for every audience, except that it names the list if there are several.
        content=replace(content, audience=AudienceContent()),
        masthead=replace(masthead_of(newsletter), names_list=bool(content.audience.lists)),
        theme=theme_of(newsletter),
        web_url=issue.web_url,
        words=words_of(newsletter, content, number=issue.number),
    )


def words_of(newsletter: Newsletter, content: IssueContent, *, number: int | None = None) -> Words:
    """The text of the mail beside its content, in the newsletter's language."""
    with translation.override(newsletter.page_language):
        date, day = (
            _("%(weekday)s, %(date)s")
            % {"weekday": date_format(content.date, "l"), "date": date_format(content.date, form)}
            for form in ("DATE_FORMAT", "MONTH_DAY_FORMAT")
        )
        return words_for(content, date=date, day=day, number=number)


def masthead_of(newsletter: Newsletter) -> Masthead:
    """The newsletter's part of each of its issues."""
    brand = Brand.of(newsletter)
    return Masthead(
        name=newsletter.name,
        description=newsletter.description,
        language=newsletter.language,
        postal_address=newsletter.postal_address,
        sender_name=newsletter.sender_name,
        site_url=newsletter.web_url,
        archive_url=newsletter.archive_url,
        logo_url=newsletter.logo_url,
        logo_width=newsletter.logo_width,
        logo_dark_url=brand.logo_dark_url,
        logo_alt=brand.logo_alt,
        tagline=brand.tagline,
        writer=brand.writer,
        portrait_url=brand.portrait_url,
        footer=brand.footer,
        links=tuple((link.word, link.url) for link in brand.footer_links()),
        reply_to=newsletter.reply_to or newsletter.sender_email,
        subscribe_url=f"{settings.SITE_URL}{reverse('subscribe', args=[newsletter.slug])}",
        feed_url=f"{settings.SITE_URL}{reverse('feed', args=[newsletter.slug])}",
    )


def theme_of(newsletter: Newsletter) -> Theme:
    """The newsletter's theme in its brand. Raises RenderingError if it is missing: no other theme replaces it."""
    return branded_theme_of(newsletter).theme


def branded_theme_of(newsletter: Newsletter) -> BrandedTheme:
    """The same, and what became of the colours of the brand."""
    theme = load_theme(newsletter.theme, settings.THEME_FOLDERS)
    return branded(theme, BrandSettings(**Brand.of(newsletter).design()))  # type: ignore[arg-type]


def source_hash(issue: Issue, source: Source) -> str:
    """SHA-256 of everything that the edition depends on, including envelope and program. Raises EnvelopeError.

    While it stays the same, rendering again gives the same bytes.
    """
    parts: list[Any] = [
        source.content,
        source.masthead,
        [source.theme.name, source.theme.sha256],
        source.web_url,
        source.words,
        envelope_of(issue, NO_NONCE, names_list=source.masthead.names_list).as_json(),
        templates_hash().hex(),
        PROGRAM_HASH,
        *choice_of(issue.newsletter),
    ]
    try:
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except orjson.JSONEncodeError as error:
        sentence = translatable("The issue contains text that is not valid Unicode: {reason}.", reason=str(error))
        raise RenderingError(sentence) from error


def _program_hash() -> str:
    """SHA-256 of the code that renders, ours and the libraries': after an update, issues are rendered again."""
    sha256 = hashlib.sha256()
    for name in (*RENDERERS, *MARKDOWN_PARSERS):
        sha256.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    for package in (content_package, rendering_package):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.glob("*.py")):
            sha256.update(f"{folder.name}/{path.name}\n".encode() + path.read_bytes())
    return sha256.hexdigest()


#: Computed when the process starts: of the running code, not of an update that was installed since.
PROGRAM_HASH = _program_hash()
