"""Spans of time and counts as a person says them. Pure."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`40 s`, `9 min`, `2 h 5 min`, `3 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(hours / 24)} days"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 reader`, `12,412 readers`; `many` where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
