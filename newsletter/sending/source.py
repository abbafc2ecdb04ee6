"""The source of an edition: everything it is rendered from, known by one digest."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from newsletter import content as content_package
from newsletter import rendering as rendering_package
from newsletter.content.document import IssueContent
from newsletter.content.store import load_content
from newsletter.models import Issue, Newsletter
from newsletter.rendering import Masthead, RenderedIssue, RenderingError, Theme, load_theme, render_issue
from newsletter.rendering.templates import templates_digest
from newsletter.sending.envelope import envelope_of

#: Libraries that put bytes into an edition: another version of one of them may render the same issue otherwise.
RENDERERS = ("mjml-python", "premailer", "cssselect", "cssutils", "lxml", "Jinja2")
READERS_OF_MARKDOWN = ("markdown-it-py", "linkify-it-py", "nh3")

#: Stands for the nonce, which follows from the source and so cannot be part of it.
NO_NONCE = "0" * 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one rendering of an issue depends on beside its envelope."""

    content: IssueContent
    masthead: Masthead
    theme: Theme
    web_url: str

    def render(self) -> RenderedIssue:
        """Both parts with slots. Raises RenderingError."""
        return render_issue(self.content, self.masthead, web_url=self.web_url, theme=self.theme)


def source_of(issue: Issue) -> Source:
    """The issue as it is stored now, with what its newsletter contributes. Raises RenderingError for a lost theme."""
    return with_content(issue, load_content(issue))


def with_content(issue: Issue, content: IssueContent) -> Source:
    """The same for words that are not stored. Raises RenderingError for a lost theme."""
    newsletter = issue.newsletter
    return Source(content=content, masthead=masthead_of(newsletter), theme=theme_of(newsletter), web_url=issue.web_url)


def masthead_of(newsletter: Newsletter) -> Masthead:
    """What the newsletter contributes to each of its issues."""
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
    )


def theme_of(newsletter: Newsletter) -> Theme:
    """The theme that the newsletter names. One that is gone is never replaced by another look: RenderingError."""
    return load_theme(newsletter.theme, settings.THEME_FOLDERS)


def source_digest(issue: Issue, source: Source) -> str:
    """SHA-256 of all that the edition of `source` depends on, envelope and program included. Raises EnvelopeError.

    While it stays the same, rendering again would give the same bytes.
    """
    parts: list[Any] = [
        source.content,
        source.masthead,
        [source.theme.name, source.theme.sha256],
        source.web_url,
        envelope_of(issue, NO_NONCE).as_json(),
        templates_digest().hex(),
        PROGRAM_DIGEST,
    ]
    try:
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
    except orjson.JSONEncodeError as error:
        raise RenderingError(f"The issue holds text that is not valid Unicode: {error}.") from error


def _program_digest() -> str:
    """SHA-256 of the code that renders, ours and others': after an update, issues are rendered anew."""
    digest = hashlib.sha256()
    for name in (*RENDERERS, *READERS_OF_MARKDOWN):
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    for package in (content_package, rendering_package):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.glob("*.py")):
            digest.update(f"{folder.name}/{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


#: Taken when the process starts: of the code that runs, not of what an update has put in its place since.
PROGRAM_DIGEST = _program_digest()
