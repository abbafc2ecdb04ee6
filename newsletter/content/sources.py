"""Telling where a source ends and a story begins, in digests that put nothing between the two. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_STRAIGHT = str.maketrans("’‘“”", "''\"\"")


@dataclass(frozen=True, slots=True)
class SourceSplit:
    """A source, the text behind it, and whether the source was only guessed."""

    source: str
    text: str
    guessed: bool


def split_source(words: str, known_sources: Iterable[str]) -> SourceSplit:
    """Split "Harbour Gazette The crane is back" behind its source.

    The longest known source that begins `words` decides, curly and straight quotes being the same; without
    one the first word is taken, and the split says that it was guessed.
    """
    source = known_source(words, known_sources)
    if source is not None:
        return SourceSplit(source, words[len(source) :].strip(), guessed=False)
    first, _, text = words.partition(" ")
    return SourceSplit(first, text.strip(), guessed=True)


def known_source(words: str, known_sources: Iterable[str]) -> str | None:
    """The longest known source that `words` begin with, in the spelling of `words`; None if there is none."""
    straight = words.translate(_STRAIGHT)
    for known in sorted(known_sources, key=len, reverse=True):
        if known and straight.startswith(known.translate(_STRAIGHT)) and not words[len(known) : len(known) + 1].strip():
            return words[: len(known)]
    return None
