"""What can go wrong between an issue and its edition. Imports nothing."""

from __future__ import annotations


class RenderingError(Exception):
    """An issue cannot be rendered; the message is a sentence for the editor.

    `line` counts from 1 in the template or the MJML made from it, and is None where no line is known.
    Rendering the same input again fails the same way: never retry.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"{message} (line {line})")
        self.line = line


class SlotError(RenderingError):
    """A reader's values do not fit the slots of a message."""
