r"""The lines that begin a section, a block or a story in an issue's file, parsed and written. Pure.

The line of a block ends with its kind in braces: `## Title {callout}`. Before it comes the same as in a story's line.
Titles and sources are plain text: of Markdown and harmless HTML in them, the words are kept. A backslash makes the
next punctuation character or space literal, as in Markdown: `\[`, `\]`, `\\`. The writer adds backslashes only where
they are needed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from newsletter.config.translatable import translatable
from newsletter.content.document import SectionContent, SectionKind, StoryContent
from newsletter.content.footnotes import MAX_LABEL, reference_key
from newsletter.content.lines import without_comments
from newsletter.content.markdown import plain_words

_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+$")
_IN_BRACKETS = r"(?:\\.|[^\\\[\]])*"
_IN_PARENTHESES = r"(?:\\.|[^\\\s()<>])*"
_LINK = re.compile(
    rf"\[(?P<title>(?:\\.|[^\\\[\]]|\[{_IN_BRACKETS}\])*)\]"
    rf"\([ \t]*(?:<(?P<angle>(?:\\.|[^\\<>])*)>|(?P<bare>(?:\\.|[^\\\s()<>]|\({_IN_PARENTHESES}\))*))"
    r"""(?P<hover>[ \t]+(?:"[^"]*"|'[^']*'))?[ \t]*\)"""
)
_SOURCE_AFTER_LINK = re.compile(r"[ \t]+[·•|–—-](?:[ \t]+(?P<rest>.*))?", re.DOTALL)
_BY_AFTER_LINK = re.compile(r"[ \t]+by[ \t]+(?P<rest>[^\s.,;:!?\[\]()<>*_`][^.,;:!?\[\]()<>*_`]{0,60})", re.IGNORECASE)
_SOURCE_AFTER_TITLE = re.compile(r"(?P<title>.*[^ \t])[ \t]+·[ \t]+(?P<rest>[^ \t].*)", re.DOTALL)
_KIND = re.compile(r"(?:\A|(?P<before>.*)[ \t])\{(?P<kind>[a-z][a-z -]*)\}", re.DOTALL | re.IGNORECASE)
_SOURCE_ALONE = re.compile(r"·[ \t]+(?P<rest>[^ \t].*)", re.DOTALL)
_IMAGE = re.compile(
    r"!\[(?P<alt>(?:\\.|[^\\\[\]])*)\]"
    rf"\([ \t]*(?:<(?P<angle>(?:\\.|[^\\<>])*)>|(?P<bare>(?:\\.|[^\\\s()<>]|\({_IN_PARENTHESES}\))*))[ \t]*\)[ \t]*"
)
_LINKED_IMAGE = re.compile(rf"\[(?P<image>!\[[^\]]*\]\([^()\s]+\))\]\((?P<target>{_IN_PARENTHESES})\)[ \t]*")
_BY_LABEL = re.compile(rf"\[((?:\\.|[^\\\[\]])+)\](?:\[((?:\\.|[^\\\[\]]){{0,{MAX_LABEL}}})\])?(?!\()")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~ ·])")
_MAY_BE_MARKS = re.compile(r"[\\*_`\[<&~]|://")
_OWN_ESCAPES = re.compile(r"\\(.)")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~·]|\A | \Z")
_STRAIGHT_QUOTES = str.maketrans("’‘“”", "''\"\"")

# Characters that the writer escapes, so that the parser neither takes them for marks nor trims them.
_MARKS_IN_HEADING = re.compile(r"\\|\A | \Z|#\Z|(?<![^ \t])\{(?=[A-Za-z][A-Za-z -]*\}\Z)")
_MARKS_IN_LINK_TITLE = re.compile(r"[\\\[\]]|\A | \Z")
_MARKS_IN_BARE_TITLE = re.compile(r"[\\\[\]·]|\A | \Z|#\Z")
_MARKS_IN_SOURCE = re.compile(r"[\\·]|\A | \Z|#\Z")
_MARKS_IN_ADDRESS = re.compile(r"[\\<>]")


class StoryLineError(ValueError):
    """The line starts like a story but cannot be parsed. The message is a sentence for the editor."""

    permanent = True


@dataclass(frozen=True, slots=True)
class StoryLine:
    """A parsed line. `rest` is the text after the ` · `, still escaped: the source, or source and text."""

    title: str
    url: str
    rest: str
    has_hover_text: bool = False
    other_links: tuple[str, ...] = ()
    """Addresses in the title beside `url`."""
    is_link: bool = False
    """Whether it is written as a link; `[Title]()` has no address."""
    after: str = ""
    """Markdown after the link that is no source: the beginning of the text."""


@dataclass(frozen=True, slots=True)
class SourceSplit:
    """A source and the text after it; `guessed` if no known source matched."""

    source: str
    text: str
    guessed: bool


class _AnyDefinition(dict[str, str]):
    """Definitions for every label: a title that is read the same with them has no link by label."""

    def __contains__(self, _key: object) -> bool:
        return True

    def __missing__(self, _key: str) -> str:
        return "https://any.example"


def read_heading(text: str, definitions: Mapping[str, str] | None = None) -> tuple[str, tuple[str, ...]]:
    """The title of a section, from the text after `##`, and the addresses that it links to.

    `definitions` are the link definitions of the file, by key.
    """
    return read_words(_without_closing_hashes(trimmed(text)), definitions)


def write_heading(title: str) -> str:
    """`title` written so that `read_heading` returns it."""
    return _written(_MARKS_IN_HEADING, title, lambda written: read_heading(written, _AnyDefinition())[0])


def read_words(text: str, definitions: Mapping[str, str] | None = None) -> tuple[str, tuple[str, ...]]:
    """The words of a title or source without marks and comments, and the addresses it links to."""
    text = without_comments(text).text
    if not _MAY_BE_MARKS.search(text):
        return text, ()
    # Markdown does not know a backslash before a space or a dot: characters that the text does not have stand for them.
    free = (chr(code) for code in itertools.count(0xE000) if chr(code) not in text)
    stand_ins = dict(zip(" ·", free, strict=False))
    protected = _OWN_ESCAPES.sub(lambda found: stand_ins.get(found[1], found[0]), text)
    words, addresses = plain_words(protected, definitions or {})
    for letter, stand_in in stand_ins.items():
        words = words.replace(stand_in, letter)
    return words, addresses


def with_address(line: str, definitions: Mapping[str, str]) -> tuple[str, str]:
    """A story's line with the address in place of a label, and the key of its definition; empty if there is none."""
    found = _BY_LABEL.match(line) if definitions else None
    key = reference_key(found[2] or found[1]) if found else ""
    if found is None or key not in definitions:
        return line, ""
    return f"[{found[1]}]({_address(definitions[key])}){line[found.end() :]}", key


def read_kind(text: str) -> tuple[str, str | None]:
    """The text after `##`, split into the title and the kind in braces at its end; None if there is no kind."""
    text = _without_closing_hashes(trimmed(text))
    kind = _KIND.fullmatch(text)
    return (trimmed(kind["before"] or ""), kind["kind"].lower()) if kind else (text, None)


def read_block_line(text: str) -> StoryLine:
    """Parse the line of a block: as that of a story, or ` · Source` alone. Raises StoryLineError."""
    if alone := _SOURCE_ALONE.fullmatch(text):
        return StoryLine(title="", url="", rest=alone["rest"])
    return read_story_line(text)


def write_section_line(section: SectionContent) -> str:
    """The text after the `##` of a section or block; parsing it gives the same fields."""
    if section.kind == SectionKind.SECTION:
        return write_heading(section.title)
    if section.source and not (section.title or section.url):
        line = f"· {_written_source(section.source)}"
    else:
        line = _written_line(StoryContent(title=section.title, url=section.url, source=section.source))
    return f"{line} {{{section.kind}}}".lstrip(" ")


def read_image_line(line: str) -> tuple[str, str] | None:
    """Address and description of the image `![description](address)`; None for any other line."""
    image = _IMAGE.fullmatch(line)
    if image is None:
        return None
    return unescape(image["bare"] if image["angle"] is None else image["angle"]), unescape(trimmed(image["alt"]))


def read_linked_image_line(line: str) -> tuple[str, str, str] | None:
    """Address, description and target of `[![description](address)](target)`; None for any other line."""
    linked = _LINKED_IMAGE.fullmatch(line)
    image = read_image_line(linked["image"]) if linked else None
    return (*image, unescape(linked["target"])) if linked and image else None


def write_image_line(address: str, description: str) -> str:
    """The line of an image; `read_image_line` returns both values."""
    words = _written(_MARKS_IN_LINK_TITLE, description, lambda _: description)
    return f"![{words}]({_address(address)})"


def read_story_line(text: str) -> StoryLine:
    """Parse `[Title](address) · Source`, or `Title · Source` for a story without an address.

    After the link, ` by Ada` is a source, too; any other text is in `after`. Raises StoryLineError for a broken link.
    """
    text = _without_closing_hashes(trimmed(text))
    if link := _LINK.match(text):
        return _linked(link, text[link.end() :], may_go_on=True)
    if text.startswith("[") and "](" in text:
        raise StoryLineError(
            translatable("The link cannot be parsed. Write it as [Title](https://…), without spaces in the address.")
        )
    split = _SOURCE_AFTER_TITLE.fullmatch(text)
    title, addresses = read_words(split["title"] if split else text)
    url = addresses[0] if addresses and addresses[0] != title else ""
    return StoryLine(title, url, split["rest"] if split else "", other_links=tuple(_others(addresses, url, title)))


def read_bold_story_line(text: str) -> StoryLine | None:
    """Parse `**[Title](address)** · Source`, as many digests are typed; None for any other line."""
    link = _LINK.match(text, 2) if text.startswith("**[") else None
    if link is None or not text.startswith("**", link.end()):
        return None
    try:
        return _linked(link, text[link.end() + 2 :].rstrip(" \t"))
    except StoryLineError:
        return None  # a sentence that begins with a bold link: ordinary text


def write_story_line(story: StoryContent) -> str:
    """The line of `story`; parsing it gives the same title, address and source.

    A title alone is written as a link without an address: a heading without a link is part of a text.
    """
    return _written_line(story, in_link=bool(story.title and not story.source))


def _written_line(story: StoryContent, *, in_link: bool = False) -> str:
    in_link |= bool(story.url or (story.source and (not story.title or story.title != story.title.strip())))
    if in_link:
        words = _written(_MARKS_IN_LINK_TITLE, story.title, lambda written: read_words(trimmed(written))[0])
        title = f"[{words}]({_address(story.url)})"
    else:
        title = _written(_MARKS_IN_BARE_TITLE, story.title, _bare_title)
    return f"{title} · {_written_source(story.source)}" if story.source else title


def _bare_title(written: str) -> str | None:
    line = read_story_line(written)
    return None if line.url or line.rest else line.title


def _written_source(source: str) -> str:
    return _written(_MARKS_IN_SOURCE, source, lambda written: read_words(_without_closing_hashes(trimmed(written)))[0])


def unescape(text: str) -> str:
    """`text` without the backslashes that make the next character literal."""
    return _ESCAPED.sub(r"\1", text)


def trimmed(text: str) -> str:
    r"""`text` without surrounding spaces, except a trailing space after a backslash."""
    text = text.lstrip(" \t")
    short = text.rstrip(" \t")
    backslashes = len(short) - len(short.rstrip("\\"))
    return text[: len(short) + 1] if backslashes % 2 else short


def split_source(words: str, known_sources: Iterable[str]) -> SourceSplit:
    """Split "Harbour Gazette The crane is back" after its source, where nothing separates the two.

    The longest known source at the start of `words` is taken; curly and straight quotes are equal. Without one, the
    source is guessed to be the first word.
    """
    source = known_source(words, known_sources)
    if source is not None:
        return SourceSplit(source, words[len(source) :].strip(), guessed=False)
    first, _, text = words.partition(" ")
    return SourceSplit(first, text.strip(), guessed=True)


def known_source(words: str, known_sources: Iterable[str]) -> str | None:
    """The longest known source at the start of `words`, spelled as in `words`; None if there is none."""
    straight = words.translate(_STRAIGHT_QUOTES)
    for known in sorted(known_sources, key=len, reverse=True):
        starts_with = straight.startswith(known.translate(_STRAIGHT_QUOTES))
        if known and starts_with and not words[len(known) : len(known) + 1].strip():
            return words[: len(known)]
    return None


def _without_closing_hashes(text: str) -> str:
    return trimmed(_CLOSING_HASHES.sub("", text))


def _linked(link: re.Match[str], after: str, *, may_go_on: bool = False) -> StoryLine:
    source = _SOURCE_AFTER_LINK.fullmatch(after) or (_BY_AFTER_LINK.fullmatch(after) if may_go_on else None)
    more = "" if source else after.strip(" \t")
    if more and not may_go_on:
        raise StoryLineError(
            translatable(
                "“{text}” after the link is not a source. Write ` · ` and the source after the link.",
                text=after.strip()[:40],
            )
        )
    title, addresses = read_words(trimmed(link["title"]))
    return StoryLine(
        title=title,
        other_links=tuple(_others(addresses, "", title)),
        url=unescape(link["bare"] if link["angle"] is None else link["angle"]),
        rest=(source["rest"] or "") if source else "",
        has_hover_text=link["hover"] is not None,
        is_link=True,
        after=more,
    )


def _others(addresses: Iterable[str], url: str, title: str) -> Iterator[str]:
    return (address for address in addresses if address != url and address not in title)


def _address(url: str) -> str:
    return f"<{_marked(_MARKS_IN_ADDRESS, url)}>" if re.search(r"[\\\s()<>]", url) else url


def _written(marks: re.Pattern[str], words: str, read: Callable[[str], str | None]) -> str:
    """`words` with backslashes before `marks`; if they are not read as they are then, before all punctuation."""
    written = _marked(marks, words)
    if "<!--" not in words and (not _MAY_BE_MARKS.search(words) or read(written) == words):
        return written
    return _marked(_PUNCTUATION, words)


def _marked(marks: re.Pattern[str], text: str) -> str:
    return marks.sub(r"\\\g<0>", text)
