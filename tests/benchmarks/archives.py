"""What a reader of archives makes of a folder or file: items, failures, and words and links that are lost.

    python -m tests.benchmarks.archives PATH [--verbose]

A link or word is lost if it is in the source and neither in the content of the item nor in its notes. Words of code
that the reader leaves out with a note count as noted. Links are compared without their fragments' encoding.
"""

from __future__ import annotations

import argparse
import html
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from newsletter.content.archives.files import open_archive, read_text
from newsletter.content.archives.item import ArchiveItem, UnreadItem
from newsletter.content.archives.markdown_files import MarkdownReader
from newsletter.content.document import IssueContent
from newsletter.content.heads import read_head
from newsletter.content.lines import text_lines
from newsletter.content.markdown import link_targets

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_URL = re.compile(r"https?://[^\s<>\"'`\\)\]]+")
_WORD = re.compile(r"[^\W_]{3,}")
_HIGHLIGHT = re.compile(r"\{%-?\s*(?:end)?highlight[^{}]*%\}")
_TAGS = re.compile(r"<[^<>]{0,2000}>")


def main() -> None:
    """Read the archive at a path and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--verbose", action="store_true", help="name each failure, and what is lost in which file")
    options = parser.parse_args()
    files, started = open_archive(options.path), time.process_time()
    counts: Counter[str] = Counter()
    for found in MarkdownReader().items(files):
        if isinstance(found, UnreadItem):
            counts["failures" if found.is_failure else "pages and other files"] += 1
            if options.verbose and found.is_failure:
                print(f"failed: {found.place}: {found.sentence}")
            continue
        counts["issues"] += 1
        counts[f"date from {found.date_source}"] += 1
        counts[f"{found.visibility}"] += 1
        counts["notes"] += len(found.notes)
        counts["pictures in the archive"] += len(found.pictures)
        source = PurePosixPath(found.key.partition("#")[0])
        for name, lost, total in _losses(found, read_text(files, source)):
            counts[f"{name} lost"] += len(lost)
            counts[name] += total
            if options.verbose and lost:
                print(f"{found.place}: {name} lost: {', '.join(lost[:12])}")
    _print(counts, time.process_time() - started)


def _print(counts: Counter[str], seconds: float) -> None:
    issues, failures = counts["issues"], counts["failures"]
    for name, count in sorted(counts.items()):
        print(f"{count:>9,}  {name}")
    if issues + failures:
        print(f"{issues / (issues + failures):>9.2%}  of the issues are read")
    for name in ("links", "words"):
        if counts[name]:
            print(f"{counts[f'{name} lost'] / counts[name]:>9.3%}  of the {name} are lost")
    print(f"{seconds:>9.1f}  CPU seconds")


def _losses(item: ArchiveItem, source: str) -> Iterator[tuple[str, list[str], int]]:
    """Name, what is lost, and how many there are in the source."""
    lines = text_lines(source)
    source = _HIGHLIGHT.sub(" ", _COMMENT.sub(" ", "\n".join(lines[read_head(lines).end :])))
    notes = "\n".join(str(note.sentence) for note in item.notes)
    made = "\n".join([*_texts(item.content), notes, *item.old_paths])
    links = {_plain(url) for text in _texts(item.content) for url in link_targets(text)}
    shown = (
        links
        | {_plain(url) for url in _URL.findall(html.unescape(made))}
        | {_plain(url) for url in _urls(item.content)}
    )
    wanted = [_plain(url) for url in _URL.findall(html.unescape(source))]
    known = "\n".join(shown)
    yield "links", [url for url in wanted if url not in shown and url not in known], len(wanted)
    words = Counter(_words(source))
    kept = Counter(_words(made))
    missing = [word for word, count in words.items() if kept[word] < 1 and count]
    yield "words", missing, len(words)


def _texts(content: IssueContent) -> Iterator[str]:
    yield content.title
    yield content.preheader
    for section in content.sections:
        yield from (section.title, section.body, section.source, section.alt, section.url, section.image)
        for story in section.stories:
            yield from (story.title, story.body, story.source, story.url)


def _urls(content: IssueContent) -> Iterator[str]:
    for section in content.sections:
        yield from filter(None, (section.url, section.image, *(story.url for story in section.stories)))


def _plain(url: str) -> str:
    return unquote(html.unescape(url)).rstrip(".,;:!?*_~|/）。，").lower()


def _words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", unquote(html.unescape(_TAGS.sub(" ", text))))
    return [word.lower() for word in _WORD.findall(text)]


if __name__ == "__main__":
    main()
