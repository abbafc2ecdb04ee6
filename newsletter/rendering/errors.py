"""Errors of rendering, as sentences for editors and for authors of themes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from newsletter.config.translatable import translatable, translatable_plural


@dataclass(frozen=True, slots=True, order=True)
class MjmlFault:
    """One problem of an MJML source or template."""

    line: int
    """Counts from 1 in the checked source."""
    sentence: str

    def __str__(self) -> str:
        return str(translatable("{problem} (line {line})", problem=self.sentence, line=self.line))


class RenderingError(Exception):
    """An issue cannot be rendered. Rendering the same input again fails in the same way.

    `message` is a sentence for the editor. `line` counts from 1 in the template, or in the MJML made from it; None if
    unknown. `template` names the template with the error, if it is one. `faults` lists all problems of refused MJML.
    """

    permanent = True

    def __init__(
        self, message: str, *, line: int | None = None, template: str = "", faults: Sequence[MjmlFault] = ()
    ) -> None:
        with_line = translatable("{problem} (line {line})", problem=message, line=line)
        super().__init__(message if line is None else with_line)
        self.message = message
        self.line = line
        self.template = template
        self.faults = tuple(faults)

    @classmethod
    def from_faults(cls, faults: Sequence[MjmlFault]) -> Self:
        """The error for refused MJML: names the first problem and counts the others."""
        first, *others = faults
        if not others:
            message: str = translatable("The MJML cannot be rendered. {problem}", problem=first.sentence)
        else:
            message = translatable_plural(
                "The MJML cannot be rendered. {problem} There is {count} more problem.",
                "The MJML cannot be rendered. {problem} There are {count} more problems.",
                count=len(others),
                problem=first.sentence,
            )
        return cls(message, line=first.line, faults=faults)


class PlaceholderError(RenderingError):
    """A recipient's values do not match the placeholders of a message."""
