"""Spans of time and counts as a person says them. Pure."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`40 s`, `9 min`, `2 h 5 min`, `3 days`. What clocks disagree about is no time at all."""
    seconds = max(0.0, seconds)
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


def ended(text: str) -> str:
    """`text` with a full stop, where it has no end of its own: reasons come from providers, too."""
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."
