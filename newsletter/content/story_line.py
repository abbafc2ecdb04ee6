r"""The lines that begin a section, a block or a story in an issue's file, read and written. Pure.

A block is a section's line with its kind in braces at the end, `## Title {callout}`; before them stands what a story's
line has. Titles and sources are plain text. A backslash before punctuation or a space makes that character ordinary,
as in Markdown: `\[`, `\]`, `\\`. The writer sets it only where the reader would see a mark otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter.content.document import SectionContent, SectionKind, StoryContent

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
_KIND = re.compile(r"(?:\A|(?P<before>.*)[ \t])\{(?P<kind>[a-z][a-z -]*)\}", re.DOTALL | re.IGNORECASE)
_SOURCE_ALONE = re.compile(r"·[ \t]+(?P<rest>[^ \t].*)", re.DOTALL)
_IMAGE = re.compile(
    r"!\[(?P<alt>(?:\\.|[^\\\[\]])*)\]"
    rf"\([ \t]*(?:<(?P<angle>(?:\\.|[^\\<>])*)>|(?P<bare>(?:\\.|[^\\\s()<>]|\({_IN_PARENTHESES}\))*))[ \t]*\)[ \t]*"
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~ ·])")

# What the writer puts a backslash before, so that reading does not take it for a mark or trim it.
_MARKS_IN_HEADING = re.compile(r"\\|\A | \Z|#\Z|(?<![^ \t])\{(?=[A-Za-z][A-Za-z -]*\}\Z)")
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


def read_kind(text: str) -> tuple[str, str | None]:
    """What stands behind `##`, split into the words and the kind that is named in braces at their end, if one is."""
    text = _without_closing_hashes(trimmed(text))
    kind = _KIND.fullmatch(text)
    return (trimmed(kind["before"] or ""), kind["kind"].lower()) if kind else (text, None)


def read_block_line(text: str) -> StoryLine:
    """Read the words of a block: those of a story, or ` · Source` alone. Raises StoryLineError."""
    if alone := _SOURCE_ALONE.fullmatch(text):
        return StoryLine(title="", url="", rest=alone["rest"])
    return read_story_line(text)


def write_section_line(section: SectionContent) -> str:
    """What stands behind the `##` of a section or block, so that reading it gives the same fields again."""
    if section.kind == SectionKind.SECTION:
        return write_heading(section.title)
    if section.source and not (section.title or section.url):
        line = f"· {_marked(_MARKS_IN_SOURCE, section.source)}"
    else:
        line = write_story_line(StoryContent(title=section.title, url=section.url, source=section.source))
    return f"{line} {{{section.kind}}}".lstrip(" ")


def read_image_line(line: str) -> tuple[str, str] | None:
    """Address and description of the picture `![description](address)`; None where the line is no such thing."""
    image = _IMAGE.fullmatch(line)
    if image is None:
        return None
    return unescape(image["bare"] if image["angle"] is None else image["angle"]), unescape(trimmed(image["alt"]))


def write_image_line(address: str, description: str) -> str:
    """The line of a picture, so that `read_image_line` gives both again."""
    return f"![{_marked(_MARKS_IN_LINK_TITLE, description)}]({_address(address)})"


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
