"""Untrusted HTML as the text of a story, or as one line. Pure."""

from __future__ import annotations

import re

from newsletter.content.html_markdown import html_as_markdown
from newsletter.content.html_tree import BLOCKS, NOT_SHOWN, name_of, parsed_html, tame
from newsletter.content.plain_text import plain_to_markdown

MAX_CHARACTERS = 200_000
"""Characters of a document that are read; at most a few hundred words are kept."""

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\s")
_BETWEEN_BLOCKS = re.compile(r"(\n\n|\n(?=(?:-|\d+\.) ))")


def html_to_markdown(html: str, *, base_url: str = "", longest: int = 1_000) -> str:
    """The text of `html` as Markdown of at most `longest` characters, cut between paragraphs or sentences.

    Relative links are resolved against `base_url`. Never raises.
    """
    markdown = html_as_markdown(html[:MAX_CHARACTERS], base_url=base_url, is_summary=True).markdown
    if len(markdown) <= longest:
        return markdown
    kept = ""
    first, *others = _BETWEEN_BLOCKS.split(markdown)
    if len(first) > longest or first.startswith(("```", "|")):
        return plain_to_markdown(shortened(html_to_line(html), longest))
    kept = first
    for between, block in zip(others[::2], others[1::2], strict=True):
        if len(kept) + len(between) + len(block) > longest or block.startswith(("```", "|")):
            break
        kept += between + block
    return kept


def html_to_line(html: str) -> str:
    """The text of `html` on one line."""
    tree = parsed_html(html[:MAX_CHARACTERS])
    if tree is None:
        return ""
    tame(tree)
    for node in tree.iter():
        if name_of(node) in BLOCKS or name_of(node) == "br":
            node.text = f" {node.text or ''}"
            node.tail = f" {node.tail or ''}"
    return one_line(tree.text_content())


def one_line(text: str) -> str:
    """`text` on one line, without characters that the fields of an issue must not contain."""
    return " ".join(NOT_SHOWN.sub("", text).split())


def shortened(words: str, longest: int) -> str:
    """`words` cut to `longest` characters: after a sentence, else after a word with an ellipsis."""
    if len(words) <= longest:
        return words
    ends = [found.end() for found in _SENTENCE_END.finditer(words, 0, longest)]
    if ends and ends[-1] > longest // 2:
        return words[: ends[-1]].strip()
    whole_words = words[: longest - 1].rpartition(" ")[0].rstrip(" ,;:–—-")
    return f"{whole_words or words[: longest - 1]}…"
