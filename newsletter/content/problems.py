"""Problems found in an issue's file, with their lines, and the error that carries them. Pure."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.content.guessed_sources import GuessedSource


class Severity(enum.StrEnum):
    """An error stops the work; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a file. `line` counts from 1; `sentence` says what is wrong and how to fix it."""

    line: int
    sentence: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class ParsedIssue:
    """The content of a file without errors, and warnings about guessed or missing values."""

    content: IssueContent
    notes: tuple[Problem, ...] = ()
    has_derived_slug: bool = False
    """Whether the slug was made from the title. An import does not replace another issue then."""
    names_audience: bool = False
    """Whether the file says whom the issue is sent to. If not, an import leaves the audience of a draft as it is."""
    guessed_sources: tuple[GuessedSource, ...] = ()
    """Sources that an editor should confirm. Each has a note, too."""


class IssueFileError(Exception):
    """The file cannot be imported. `problems` lists errors and warnings in order of their lines."""

    permanent = True

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(*self.problems)

    def __str__(self) -> str:
        lines = (translatable("Line {line}: {problem}", line=one.line, problem=one.sentence) for one in self.problems)
        return "\n".join(str(line) for line in lines)


def listed(items: Iterable[str]) -> str:
    """The items with commas, translated when the list is shown; `", ".join` would keep them English."""
    return functools.reduce(lambda items, item: translatable("{items}, {item}", items=items, item=item), items)


@dataclass(slots=True)
class ProblemList:
    """Collects the problems of a file while it is parsed, so that all are reported at once."""

    found: list[Problem] = field(default_factory=list)

    def error(self, line: int, sentence: str) -> None:
        """Add a problem that makes the file unusable."""
        self.found.append(Problem(line, sentence, Severity.ERROR))

    def warn(self, line: int, sentence: str) -> None:
        """Add a guess, or a value that is missing but may be added later."""
        self.found.append(Problem(line, sentence, Severity.WARNING))

    def has_error_at(self, line: int) -> bool:
        """Whether `line` has an error already."""
        return any(problem.line == line and problem.severity == Severity.ERROR for problem in self.found)

    def notes(self) -> tuple[Problem, ...]:
        """The warnings in order of their lines. Raises IssueFileError if there are errors."""
        ordered = sorted(self.found, key=lambda problem: problem.line)
        if any(problem.severity == Severity.ERROR for problem in ordered):
            raise IssueFileError(ordered)
        return tuple(ordered)
