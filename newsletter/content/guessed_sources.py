"""Sources of a plain-text digest that no known source confirms, grouped so that an editor confirms each once. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from newsletter.config.translatable import translatable_plural

#: Words of a source.
MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class Guess:
    """One story whose source was guessed to be the first of `words`, the text after its ` · `."""

    line: int
    title: str
    words: str


@dataclass(frozen=True, slots=True)
class GuessedSource:
    """Stories that begin with the same word after their ` · `."""

    source: str
    """What their common beginning is: a name of several words if several stories have it, else the first word."""
    guesses: tuple[Guess, ...]

    @property
    def line(self) -> int:
        """The line of the first story."""
        return self.guesses[0].line

    @property
    def sentence(self) -> str:
        """What was guessed, for a list of problems."""
        return translatable_plural(
            "The source “{source}” was guessed: no known source follows the “·”.",
            "The source “{source}” was guessed in {count} stories: no known source follows the “·”.",
            count=len(self.guesses),
            source=self.guesses[0].words.partition(" ")[0],
        )


def group_guesses(guesses: Sequence[Guess]) -> tuple[GuessedSource, ...]:
    """The guesses by their first word, in the order of their first lines."""
    groups: dict[str, list[Guess]] = {}
    for guess in guesses:
        groups.setdefault(guess.words.partition(" ")[0], []).append(guess)
    return tuple(GuessedSource(_common(first, group), tuple(group)) for first, group in groups.items())


def _common(first: str, group: Sequence[Guess]) -> str:
    """The words that all of several stories begin with. One story cannot tell where its source ends."""
    if len(group) == 1:
        return first
    places = zip(*(guess.words.split()[:MOST_WORDS] for guess in group), strict=False)
    return " ".join(words[0] for words in itertools.takewhile(lambda words: len(set(words)) == 1, places))
