"""Title patterns such as `{newsletter} #{number}`: their faults, and titles made of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from newsletter.config.translatable import translatable

#: What may stand between braces.
NAMES = ("newsletter", "number", "date", "week", "month", "year")

_FIELD = re.compile(r"\{([^{}]*)\}")
_BRACE = re.compile(r"[{}]")


def pattern_faults(pattern: str) -> Iterator[tuple[int, str]]:
    """What is wrong with a pattern: the position, in characters from 1, and a sentence."""
    rest = _FIELD.sub(lambda found: "·" * len(found[0]), pattern)
    faults = [(brace.start() + 1, _brace_fault(brace[0])) for brace in _BRACE.finditer(rest)]
    faults += [(found.start() + 1, _name_fault(found[1])) for found in _FIELD.finditer(pattern) if not _is_known(found)]
    for position, fault in sorted(faults, key=lambda each: each[0]):
        yield position, translatable("Character {position}: {fault}", position=position, fault=fault)


def fill_pattern(pattern: str, values: Mapping[str, str]) -> str:
    """The title: each name in braces replaced by its value; what has none stays as typed."""
    return " ".join(_FIELD.sub(lambda found: values.get(found[1].strip(), found[0]), pattern).split())


def has_number(pattern: str) -> bool:
    """Whether titles made of the pattern name the issue's number."""
    return any(found[1].strip() == "number" for found in _FIELD.finditer(pattern))


def _is_known(found: re.Match[str]) -> bool:
    return found[1].strip() in NAMES


def _brace_fault(brace: str) -> str:
    if brace == "{":
        return translatable("“{brace}” has no closing brace. Add it, or remove this one.", brace=brace)
    return translatable("“{brace}” has no opening brace. Add it, or remove this one.", brace=brace)


def _name_fault(name: str) -> str:
    return translatable(
        "“{field}” is not known. Use one of these: {names}.",
        field="{" + name[:40] + "}",
        names=", ".join("{" + known + "}" for known in NAMES),
    )
