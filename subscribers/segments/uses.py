"""What uses a segment, such as a scheduled send. Other apps register where they look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from subscribers.models import Segment


@dataclass(frozen=True)
class Use:
    """One use of a segment, in words of the active language."""

    name: str
    detail: str = ""
    """How it is used, such as “excluded”."""
    url: str = ""
    is_open: bool = True
    """Whether deleting or changing the segment changes something that is still to come."""


Finder = Callable[[Segment], Iterable[Use]]

_FINDERS: list[Finder] = []


def register_uses(find: Finder) -> None:
    """Ask this function, too, whenever the uses of a segment are shown."""
    if find not in _FINDERS:
        _FINDERS.append(find)


def uses_of(segment: Segment) -> list[Use]:
    """Everything that uses the segment."""
    return [use for find in _FINDERS for use in find(segment)]
