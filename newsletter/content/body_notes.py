"""What a Markdown text has that recipients do not see as it is meant, as sentences with their lines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.config.translatable import translatable
from newsletter.content.footnotes import REFERENCE, footnote_key, reference_key
from newsletter.content.links import is_allowed_in_text
from newsletter.content.markdown_parser import ParsedMarkdown, parse_markdown

COMMENT = translatable("This HTML comment is not published. Only editors see it.")
UNCLOSED = translatable("This HTML comment has no end. Write --> where it ends, or \\<!-- to show the characters.")

_MAY_NEED_NOTES = re.compile(r"[<\[]")
_BY_LABEL = re.compile(r"\]\[([^\[\]]{1,100})\]")


def body_notes(text: str, *, with_refused_links: bool = True) -> list[tuple[int, str]]:
    """What is not shown, shown as typed, or shown in another form: the line, from 1, and a sentence.

    Comments are not among them, and neither are merge fields. Pre-flight checks report refused links themselves.
    """
    if not _MAY_NEED_NOTES.search(text) and not text.startswith((">", "-")):
        return []
    parsed = parse_markdown(text, as_written=True)
    if parsed.is_too_complex:
        sentence = translatable(
            "This text has too many brackets, or lists and quotes within each other. It is shown as typed, without "
            "links."
        )
        return [(1, sentence)]
    found = [*_html(parsed), *_images(parsed), *_labels(parsed), *_definitions(parsed), *_missing_footnotes(parsed)]
    if with_refused_links:
        found += _refused(parsed)
    return sorted(dict.fromkeys(found), key=lambda note: note[0])


def comment_lines(text: str) -> tuple[list[int], list[int]]:
    """The lines, from 1, on which comments begin, and those of comments without an end."""
    if "<!--" not in text:
        return [], []
    scan = parse_markdown(text).scan
    return [comment.line + 1 for comment in scan.comments], [line + 1 for line, _ in scan.unclosed]


def _html(parsed: ParsedMarkdown) -> Iterator[tuple[int, str]]:
    for line, tag in parsed.typed_tags:
        sentence = translatable(
            "The HTML {tag} is shown as typed. Remove it, or put it in `backquotes` if it is meant to be seen.",
            tag=_short(tag),
        )
        yield line, sentence


def _images(parsed: ParsedMarkdown) -> Iterator[tuple[int, str]]:
    for line, address, description in parsed.images:
        if is_allowed_in_text(address):
            sentence = translatable(
                "The image {address} is shown as a link: an image within a text needs a line of its own, a description "
                "and an https:// address to become an image block.",
                address=_short(address),
            )
        else:
            sentence = translatable(
                "The image “{description}” is not shown: {address} is not a web address.",
                description=_short(description),
                address=_short(address),
            )
        yield line, sentence


def _refused(parsed: ParsedMarkdown) -> Iterator[tuple[int, str]]:
    for line, address in parsed.refused:
        sentence = translatable(
            "The link to “{address}” is removed and its text is kept: it is not a web or mail address.",
            address=_short(address),
        )
        yield line, sentence


def _labels(parsed: ParsedMarkdown) -> Iterator[tuple[int, str]]:
    for block in parsed.running:
        for found in _BY_LABEL.finditer(block.words):
            if reference_key(found[1]) in parsed.missing:
                sentence = translatable(
                    "There is no link “{label}”, so the brackets are shown. Add a line [{label}]: https://… below.",
                    label=_short(found[1]),
                )
                yield block.line + block.words.count("\n", 0, found.start()), sentence


def _definitions(parsed: ParsedMarkdown) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for one in parsed.definitions:
        name = one.key.removeprefix("^").lower()
        if one.key in seen:
            yield one.first + 1, translatable("“{label}” is defined twice. The first line counts.", label=_short(name))
        elif one.key not in parsed.used and one.is_footnote:
            sentence = translatable("No text refers to the footnote “{label}”, so it is not shown.", label=_short(name))
            yield one.first + 1, sentence
        elif one.key not in parsed.used:
            sentence = translatable("No text uses the link “{label}”, so it is not shown.", label=_short(name))
            yield one.first + 1, sentence
        seen.add(one.key)


def _missing_footnotes(parsed: ParsedMarkdown) -> Iterator[tuple[int, str]]:
    if not any(key.startswith("^") for key in parsed.missing):
        return
    for number, line in zip(parsed.lines, parsed.shown.split("\n"), strict=True):
        for found in REFERENCE.finditer(line):
            if footnote_key(found[1]) in parsed.missing:
                sentence = translatable(
                    "There is no footnote “{label}”, so the brackets are shown. Add a line [^{label}]: … below.",
                    label=_short(found[1]),
                )
                yield number + 1, sentence


def _short(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= 60 else f"{words[:59]}…"
