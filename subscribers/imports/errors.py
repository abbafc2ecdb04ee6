"""The one family of errors of import files."""

from __future__ import annotations

from django.utils.translation import gettext


class ImportFileError(ValueError):
    """A file that cannot be imported as it is. The sentence names the line and says what to change.

    `code` identifies the problem and is stored. `line` is the line in the file, counted from 1; None if the problem
    has no line. `file` names the file in a ZIP. The sentence is in the language that is active when it is shown.
    """

    permanent = True

    def __init__(self, code: str, message: str, *, line: int | None = None, **values: str | int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        """In English, with `{line}` and the `{names}` that `values` fill."""
        self.line = line
        self.values = values
        self.file = ""

    def __str__(self) -> str:
        sentence = gettext(self.message).format(line=self.line, **self.values)
        return f"{self.file}: {sentence}" if self.file else sentence
