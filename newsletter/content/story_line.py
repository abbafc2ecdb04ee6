r"""The lines that begin a section or a story in an issue's file, read and written. Pure.

Titles and sources are plain text. A backslash before punctuation or a space makes that character ordinary,
as in Markdown: `\[`, `\]`, `\\`. The writer sets it only where the reader would see a mark otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter.content.document import StoryContent

_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+$")
_IN_BRACKETS = r"(?:\\.|[^\\\[\]])*"
_IN_PARENTHESES = r"(?:\\.|[^\\\s()<>])*"
_LINK = re.compile(
    rf"\[(?P<title>(?:\\.|[^\\\[\]]|\[{_IN_BRACKETS}\])*)\]"
    rf"\([ \t]*(?:<(?P<angle>(?:\\.|[^\\<>])*)>|(?P<bare>(?:\\.|[^\\\s()<>]|\({_IN_PARENTHESES}\))*))"
    r"""(?P<hover>[ \t]+(?:"[^"]*"|'[^']*'))?[ \t]*\)"""
)
_SOURCE_AFTER_LINK = re.compile(r"[ \t]+[·•|–—-](?:[ \t]+(?P<rest>.*))?", re.DOTALL)
_SOURCE_AFTER_TITLE = re.compile(r"(?P<title>.*[^ \t])[ \t]+·[ \t]+(?P<rest>[^ \t].*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~ ·])")

# What the writer puts a backslash before, so that reading does not take it for a mark or trim it.
_MARKS_IN_HEADING = re.compile(r"\\|\A | \Z|#\Z")
_MARKS_IN_LINK_TITLE = re.compile(r"[\\\[\]]|\A | \Z")
_MARKS_IN_BARE_TITLE = re.compile(r"[\\\[\]·]|\A | \Z|#\Z")
_MARKS_IN_SOURCE = re.compile(r"[\\·]|\A | \Z|#\Z")
_MARKS_IN_ADDRESS = re.compile(r"[\\<>]")


class StoryLineError(ValueError):
    """The line begins like a story and goes on in a way that has no meaning; the message says where."""

    permanent = True


@dataclass(frozen=True, slots=True)
class StoryLine:
    """What the line says. `rest` is what stands behind the ` · `, with its backslashes: the source, or more."""

    title: str
    url: str
    rest: str
    has_hover_text: bool = False


def read_heading(text: str) -> str:
    """The words of a section heading, from what stands behind its `##`."""
    return unescape(_without_closing_hashes(trimmed(text)))


def write_heading(title: str) -> str:
    """The words of a section heading so that `read_heading` gives `title` again."""
    return _marked(_MARKS_IN_HEADING, title)


def read_story_line(text: str) -> StoryLine:
    """Read `[Title](address) · Source`, or `Title · Source` for a story that has no address yet.

    Raises StoryLineError for a broken link, or for words behind it that are no source.
    """
    text = _without_closing_hashes(trimmed(text))
    if link := _LINK.match(text):
        return _linked(link, text[link.end() :])
    if text.startswith("[") and "](" in text:
        raise StoryLineError("The link cannot be read. Write it as [Title](https://…), without spaces in it.")
    if split := _SOURCE_AFTER_TITLE.fullmatch(text):
        return StoryLine(title=unescape(split["title"]), url="", rest=split["rest"])
    return StoryLine(title=unescape(text), url="", rest="")


def read_bold_story_line(text: str) -> StoryLine | None:
    """Read `**[Title](address)** · Source`, a way many digests are typed; None where the line is no such thing."""
    link = _LINK.match(text, 2) if text.startswith("**[") else None
    if link is None or not text.startswith("**", link.end()):
        return None
    try:
        return _linked(link, text[link.end() + 2 :].rstrip(" \t"))
    except StoryLineError:
        return None  # a sentence that begins with a bold link: ordinary text


def write_story_line(story: StoryContent) -> str:
    """The line for `story`, so that reading it gives the same title, address and source again."""
    in_link = story.url or (story.source and story.title != story.title.strip()) or (story.source and not story.title)
    if in_link:
        title = f"[{_marked(_MARKS_IN_LINK_TITLE, story.title)}]({_address(story.url)})"
    else:
        title = _marked(_MARKS_IN_BARE_TITLE, story.title)
    return f"{title} · {_marked(_MARKS_IN_SOURCE, story.source)}" if story.source else title


def unescape(text: str) -> str:
    """`text` without the backslashes that make the next character ordinary."""
    return _ESCAPED.sub(r"\1", text)


def trimmed(text: str) -> str:
    r"""`text` without spaces around it, except a last space that a backslash holds."""
    text = text.lstrip(" \t")
    short = text.rstrip(" \t")
    backslashes = len(short) - len(short.rstrip("\\"))
    return text[: len(short) + 1] if backslashes % 2 else short


def _without_closing_hashes(text: str) -> str:
    return trimmed(_CLOSING_HASHES.sub("", text))


def _linked(link: re.Match[str], after: str) -> StoryLine:
    source = _SOURCE_AFTER_LINK.fullmatch(after)
    if after.strip(" \t") and source is None:
        raise StoryLineError(f"“{after.strip()[:40]}” stands behind the link. Write ` · ` and the source there.")
    return StoryLine(
        title=unescape(trimmed(link["title"])),
        url=unescape(link["bare"] if link["angle"] is None else link["angle"]),
        rest=(source["rest"] or "") if source else "",
        has_hover_text=link["hover"] is not None,
    )


def _address(url: str) -> str:
    return f"<{_marked(_MARKS_IN_ADDRESS, url)}>" if re.search(r"[\\\s()<>]", url) else url


def _marked(marks: re.Pattern[str], text: str) -> str:
    return marks.sub(r"\\\g<0>", text)
