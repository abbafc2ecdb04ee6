"""Cells with several values: JSON objects, and the Python dictionaries that some tools write instead."""

from __future__ import annotations

import ast
import json


def parse_attributes(cell: str) -> dict[str, str] | None:
    """The values by name, as texts; empty values are left out. None if the cell cannot be read.

    Lists become values separated by commas; an object inside stays JSON.
    """
    text = cell.strip()
    if not text:
        return {}
    found = _loaded(text)
    if not isinstance(found, dict):
        return None
    texts = {str(name): _text(value) for name, value in found.items()}
    return {name: value for name, value in texts.items() if value}


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    # A deep nesting raises RecursionError.
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if text.startswith("{") else None
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list | tuple) and not any(isinstance(item, list | tuple | dict) for item in value):
        return ", ".join(filter(None, map(_text, value)))
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).strip()
