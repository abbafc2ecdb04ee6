"""What can go wrong between an issue and its edition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class MjmlFault:
    """One thing wrong with an MJML source or template."""

    line: int
    """Counts from 1 in what was checked."""
    sentence: str
    """What is wrong and what to write instead; ends without a full stop."""

    def __str__(self) -> str:
        return f"{self.sentence} (line {self.line})"


class RenderingError(Exception):
    """An issue cannot be rendered; the message is a sentence for the editor.

    `line` counts from 1 in the template or the MJML made from it, and is None where no line is known.
    `faults` holds every fault where MJML was refused, in order. Rendering the same input again fails the same
    way: never retry.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"{message} (line {line})")
        self.line = line
        self.faults: tuple[MjmlFault, ...] = ()

    @classmethod
    def of_faults(cls, faults: Sequence[MjmlFault]) -> Self:
        """The refusal of an MJML source: says the first fault, and how many more there are."""
        first, *others = faults
        more = (
            f" There {'is one more fault' if len(others) == 1 else f'are {len(others)} more faults'}." if others else ""
        )
        stop = "" if first.sentence.endswith("?") else "."
        error = cls(f"The MJML cannot be rendered: {first.sentence}{stop}{more}", line=first.line)
        error.faults = tuple(faults)
        return error


class PlaceholderError(RenderingError):
    """A reader's values do not fit the placeholders of a message."""
