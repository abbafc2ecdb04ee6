"""What reading an issue's file has to say: problems with their lines, and the error that carries them all. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter.content.document import IssueContent


class Severity(enum.StrEnum):
    """An error stops the work; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to tell about a file: `line` counts from 1, `sentence` says what to do about it."""

    line: int
    sentence: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class IssueReading:
    """A file that could be read: its content, and `notes` on what was guessed or may be missing."""

    content: IssueContent
    notes: tuple[Problem, ...] = ()


class IssueFileError(Exception):
    """The file cannot be taken as an issue. `problems` holds everything found in it, in the order of its lines."""

    permanent = True

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"Line {problem.line}: {problem.sentence}" for problem in self.problems))


@dataclass(slots=True)
class ProblemList:
    """Collects what a reader finds on its way through a file, so that everything is reported at once."""

    found: list[Problem] = field(default_factory=list)

    def must_fix(self, line: int, sentence: str) -> None:
        """Record what makes the file unusable."""
        self.found.append(Problem(line, sentence, Severity.ERROR))

    def look_at(self, line: int, sentence: str) -> None:
        """Record a guess, or something that is missing but may come later."""
        self.found.append(Problem(line, sentence, Severity.WARNING))

    def has_at(self, line: int) -> bool:
        """Whether something at `line` must be fixed already."""
        return any(problem.line == line and problem.severity == Severity.ERROR for problem in self.found)

    def notes(self) -> tuple[Problem, ...]:
        """What was found, in the order of lines, once nothing in it must be fixed; else raise IssueFileError."""
        ordered = sorted(self.found, key=lambda problem: problem.line)
        if any(problem.severity == Severity.ERROR for problem in ordered):
            raise IssueFileError(ordered)
        return tuple(ordered)
