"""Folders of Markdown files as archives: repositories of newsletters, and the posts of site generators. Pure.

names and heads of all files ─► which are issues ─► head, code of the site, relative addresses ─► sections
"""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from newsletter.config.translatable import translatable
from newsletter.content.archives.file_names import (
    DRAFTS,
    NO_FOLDERS,
    NUMBER,
    NUMBERED_TITLE,
    POSTS,
    RST,
    is_page,
    is_text,
    language_of_folders,
    without_language,
)
from newsletter.content.archives.files import read_text
from newsletter.content.archives.item import (
    ArchiveError,
    ArchiveFiles,
    ArchiveItem,
    ArchiveNote,
    DateSource,
    UnreadItem,
    Visibility,
)
from newsletter.content.archives.json_issues import JsonIssue, issues_in
from newsletter.content.archives.markdown_head import PastHead, past_head
from newsletter.content.archives.name_dates import FoundDate, date_in_name, date_in_text, head_time, name_of, noon
from newsletter.content.archives.past_issue import PastIssue, built
from newsletter.content.archives.relative_links import RelativeLinks
from newsletter.content.archives.rst import rst_as_markdown
from newsletter.content.archives.site_code import SiteValues, site_code_as_markdown
from newsletter.content.archives.site_paths import Post, Site, old_paths, site_of
from newsletter.content.fields import LIMITS, slug_from
from newsletter.content.headings import with_hashes
from newsletter.content.heads import Head, lenient_yaml, read_head
from newsletter.content.lines import text_lines
from newsletter.content.markdown import plain_words

MAX_FILE = 2_000_000
"""Bytes of one issue. A file with more is no issue that anybody reads."""

_H1 = re.compile(r"#[ \t]+(?P<words>.*?)(?:[ \t]+#+)?[ \t]*")


@dataclass(frozen=True, slots=True)
class _Source:
    """A file that may be an issue, as far as its name and first lines tell."""

    path: PurePosixPath
    named: FoundDate | None
    number: str
    heading: str = ""
    """Its first line, if that is a heading of level 1."""
    is_dated: bool = False
    """Whether its head or title has a date."""
    has_head: bool = False

    @property
    def is_likely(self) -> bool:
        return bool(self.named or self.number or self.is_dated)


@dataclass(slots=True)
class _Archive:
    """What is the same for all files of an archive."""

    files: ArchiveFiles
    site: Site
    links: RelativeLinks
    values: SiteValues
    greetings: frozenset[str] = frozenset()
    """Headings that open several files: no titles."""


@dataclass(slots=True)
class _Text:
    """The head and the Markdown of a file."""

    head: PastHead
    markdown: str
    notes: list[ArchiveNote] = field(default_factory=list)


class MarkdownReader:
    """Reads issues that are kept as Markdown, reStructuredText or JSON files."""

    code = "markdown"

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether any file may be an issue by its name, or is JSON in the form of an issue."""
        if any(is_text(path) and not is_page(path) for path in files.paths()):
            return True
        return any(issues for path in _json_paths(files)[:5] if (issues := _json_of(files, path)))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """Every issue, in the order of paths; pages and other texts are not read and no failures."""
        sources: list[_Source] = []
        for path in files.paths():
            if not is_text(path):
                continue
            if is_page(path):
                yield UnreadItem(str(path), translatable("This is a page or a template, not an issue."), False)
                continue
            try:
                sources.append(_survey(files, path))
            except ArchiveError as error:
                yield UnreadItem(str(path), str(error), True)
        archive = _archive(files, sources)
        is_any_likely = any(source.is_likely for source in sources)
        folders = {source.path.parent for source in sources if source.is_likely}
        for source in sources:
            if is_any_likely and not source.is_likely and not _is_among(source, folders):
                sentence = translatable("Neither its name nor its head has a date or a number, so it is no issue.")
                yield UnreadItem(str(source.path), sentence, False)
                continue
            yield _item(archive, source)
        for path in _json_paths(files):
            yield from _json_items(archive, path)


def _is_among(source: _Source, folders: set[PurePosixPath]) -> bool:
    """Whether a file without date and number is between issues, and has a head as they have."""
    is_post = any(part.lower() in POSTS or part.lower() in DRAFTS for part in source.path.parts[:-1])
    return source.has_head and is_post and (source.path.parent in folders or name_of(source.path) != source.path.stem)


def _survey(files: ArchiveFiles, path: PurePosixPath) -> _Source:
    lines = text_lines(read_text(files, path)[:20_000])
    head = read_head(lines)
    rest = [line for line in lines[head.end :][:40] if line.strip() and not line.startswith("<!--")]
    first = _H1.fullmatch(with_hashes(rest[:2])[0]) if rest else None
    words = plain_words(first["words"], {})[0].strip() if first else ""
    named = date_in_name(path)
    keys = {entry.key.strip().lower(): entry.value for entry in head.entries}
    title = str(keys.get("title") or words)
    is_dated = any("date" in key or key == "published" for key in keys) or bool(date_in_text(title))
    numbered = NUMBERED_TITLE.search(title)
    name = named.rest if named else name_of(path)
    number = NUMBER.search(without_language(name)[0])
    in_title = next(filter(None, numbered.groups()), "") if numbered else ""
    return _Source(path, named, number["number"] if number else in_title, words, is_dated, bool(head.entries))


def _archive(files: ArchiveFiles, sources: list[_Source]) -> _Archive:
    site = site_of(files)
    paths = frozenset(files.paths())
    headings = Counter(source.heading.casefold() for source in sources if source.heading)
    pages = {name_of(source.path): source for source in sources}

    def address_of(name: str) -> str:
        source = pages.get(PurePosixPath(name).stem) or pages.get(PurePosixPath(name).name)
        post = Post(source.path, source.named.day if source.named else None, source.heading) if source else None
        found = old_paths(site, post) if post else ()
        return f"{site.url}{found[0]}" if found and site.url else ""

    greetings = frozenset(words for words, count in headings.items() if count > 1)
    return _Archive(files, site, RelativeLinks(site, paths), SiteValues(site.values(), address_of), greetings)


def _item(archive: _Archive, source: _Source) -> ArchiveItem | UnreadItem:
    place = str(source.path)
    try:
        if len(archive.files.read(source.path)) > MAX_FILE:
            sentence = translatable("The file has more than {limit} bytes.", limit=MAX_FILE)
            return UnreadItem(place, sentence, True)
        text = read_text(archive.files, source.path)
    except ArchiveError as error:
        return UnreadItem(place, str(error), True)
    if not text.strip("\ufeff \n\r\t"):
        return UnreadItem(place, translatable("The file is empty."), False)
    read = _text_of(archive, source, text)
    past = _past_issue(archive, source, read)
    item = built(past)
    return item if isinstance(item, UnreadItem) else replace(item, pictures=past.pictures)


def _text_of(archive: _Archive, source: _Source, text: str) -> _Text:
    """The file's head, and its text without code of the site."""
    suffix = source.path.suffix.lower()
    notes: list[ArchiveNote] = []
    if suffix in RST:
        head, markdown, notes = rst_as_markdown("\n".join(text_lines(text)))
    else:
        lines = text_lines(text)
        head = read_head(lines)
        if head.faults:
            _repair(head, lines, notes)
        markdown = "\n".join(with_hashes(lines[head.end :]))
        notes = [*notes, *_moved([], head.end)]
    values = SiteValues(
        {
            **archive.values.values,
            **{f"page.{one.key.lower()}": str(one.value) for one in head.entries if isinstance(one.value, str)},
        },
        archive.values.address_of,
    )
    markdown, more = site_code_as_markdown(markdown, values, is_mdx=suffix == ".mdx")
    return _Text(past_head(head), markdown, [*notes, *_moved(more, head.end)])


def _moved(notes: list[ArchiveNote], lines: int) -> list[ArchiveNote]:
    """The notes of a text, with lines of the file."""
    return [replace(note, line=note.line + lines if note.line else 0) for note in notes]


def _repair(head: Head, lines: list[str], notes: list[ArchiveNote]) -> None:
    """Read what can be read of a broken head."""
    notes += [ArchiveNote(sentence, line) for line, sentence in head.faults]
    start = next((at for at, line in enumerate(lines) if line.strip()), 0) + 1
    end = max(start, head.end - 1)
    if head.end == len(lines):  # without an end: the head is what looks like it
        end = next((at for at in range(start, len(lines)) if not lines[at].strip()), len(lines))
        head.end = end
    head.entries = list(lenient_yaml(lines[start:end], start))


def _past_issue(archive: _Archive, source: _Source, read: _Text) -> PastIssue:
    head, path = read.head, source.path
    name, folder_language = without_language(name_of(path))
    title = head.title or ("" if source.heading.casefold() in archive.greetings else source.heading)
    rst_title = re.match(r"\s*#[ \t]+(.+)", read.markdown) if path.suffix.lower() in RST else None
    title = title or (rst_title[1].strip() if rst_title else "") or _named(name, source)
    published_at, where, notes = _date(head, source, title)
    day = published_at.date() if published_at else None
    post = Post(path, day, title, head.slug, head.categories, head.language)
    pages = old_paths(archive.site, post, head.paths, head.redirects)
    markdown, pictures = archive.links.replaced(read.markdown, path, pages[0] if pages else "")
    is_draft = any(part.lower() in DRAFTS for part in path.parts[:-1])
    return PastIssue(
        key=str(path),
        place=str(path),
        title=title,
        markdown=markdown,
        subject="" if head.subject == title else head.subject,
        preheader=head.preheader,
        slug=_slug(head, source, name, title, archive.site),
        published_at=published_at,
        date_source=where,
        visibility=Visibility.DRAFT if is_draft else head.visibility,
        old_paths=pages,
        language=head.language or folder_language or language_of_folders(path),
        categories=head.categories,
        unknown=head.unknown,
        pictures=pictures,
        notes=[*head.notes, *notes, *read.notes],
    )


def _date(
    head: PastHead, source: _Source, title: str
) -> tuple[datetime.datetime | None, DateSource, list[ArchiveNote]]:
    if head.published_at:
        return head.published_at, DateSource.HEAD, []
    if source.named:
        sentence = translatable("The name of the file has no day, so the first day of its month is used.")
        return noon(source.named.day), DateSource.FILE_NAME, [] if source.named.has_day else [ArchiveNote(sentence)]
    if found := date_in_text(title):
        return noon(found.day), DateSource.TITLE, []
    return None, DateSource.UNKNOWN, []


def _named(name: str, source: _Source) -> str:
    """A title from the name of a file: `issue-10` gives "Issue 10"; empty if it has only a date."""
    rest = source.named.rest if source.named else name
    words = re.sub(r"[-_\s]+", " ", without_language(rest)[0]).strip()
    if words.isdigit():
        return f"#{int(words)}"
    return words[:1].upper() + words[1:] or (source.named.day.isoformat() if source.named else "")


def _slug(head: PastHead, source: _Source, name: str, title: str, site: Site) -> str:
    """The slug of the head, else one of the title or of the name as the generator makes it; never empty."""
    if head.slug.strip("/"):
        return head.slug.strip("/").rpartition("/")[2][: LIMITS["slug"]]
    rest = without_language(source.named.rest if source.named else name)[0]
    words = slug_from(title) if site.generator == "pelican" else ""
    words = words or slug_from(rest)
    if words.isdigit():
        return f"issue-{int(words)}"
    if words:
        return words
    if source.number:
        return f"issue-{int(source.number)}"
    return slug_from(title) or (source.named.day.isoformat() if source.named else "")


# Issues as JSON.


def _json_paths(files: ArchiveFiles) -> list[PurePosixPath]:
    paths = (path for path in files.paths() if path.suffix.lower() == ".json")
    return [path for path in paths if not any(part.lower() in NO_FOLDERS for part in path.parts[:-1])]


def _json_of(files: ArchiveFiles, path: PurePosixPath) -> list[JsonIssue]:
    try:
        data = files.read(path)
        return issues_in(json.loads(data)) if len(data) <= 10 * MAX_FILE else []
    except (ArchiveError, ValueError, RecursionError):
        return []


def _json_items(archive: _Archive, path: PurePosixPath) -> Iterator[ArchiveItem | UnreadItem]:
    issues = _json_of(archive.files, path)
    named = date_in_name(path)
    for number, issue in enumerate(issues, start=1):
        is_only = len(issues) == 1
        at = head_time(issue.date) if issue.date else None
        source = _Source(path, named if is_only else None, "")
        title = issue.title or (_named(name_of(path), source) if is_only else "")
        yield built(
            PastIssue(
                key=str(path) if is_only else f"{path}#{issue.slug or issue.date or number}",
                place=str(path) if is_only else f"{path} [{number}]",
                title=title,
                markdown=issue.markdown,
                slug=issue.slug or (slug_from(name_of(path)) if is_only else slug_from(title)),
                published_at=at or (noon(named.day) if named and is_only else None),
                date_source=DateSource.HEAD if at else DateSource.FILE_NAME,
                language=language_of_folders(path),
                unknown=issue.unknown,
            )
        )
