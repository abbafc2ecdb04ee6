"""Texts of other systems, made safe to store, log and show."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'`]+@[^\s<>()\[\],;:\"'`]+")


def sanitize(text: object) -> str:
    """Text of another system, safe to store, log and show: no address, no control characters, at most 300 long."""
    if isinstance(text, str) and len(text) <= 300 and text.isprintable() and "@" not in text:
        # Nearly all: the way below costs as much as the rest of reading an event.
        return text.strip()
    printable = "".join(char if char.isprintable() else " " for char in str(text)[:2000])
    return ADDRESS.sub("(an address)", printable)[:300].strip()
