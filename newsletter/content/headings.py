"""Headings that are underlined, written with number signs. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from newsletter.content.lines import scan_lines

_UNDERLINE = re.compile(r" {0,3}(?P<mark>=+|-+)[ \t]*")
_NO_PARAGRAPH = re.compile(r" {4}|\t|\s*$| {0,3}(?:[-+*>|#<]|\d{1,9}[.)](?:\s|$)|```|~~~|={3,}|-{3,}|\[[^\]]*\]:|!\[)")


def with_hashes(lines: Sequence[str]) -> list[str]:
    """The lines, with `# Title` in place of a title over `====` and `## Title` of one over `----`.

    Only headings of one line are converted, and none in code or comments. The number of lines stays the same.
    """
    literal = scan_lines(lines).literal()
    made = list(lines)
    for at, line in enumerate(lines):
        underline = _UNDERLINE.fullmatch(line) if at and not literal[at] else None
        if underline is None or literal[at - 1] or _NO_PARAGRAPH.match(made[at - 1]):
            continue
        if at > 1 and made[at - 2].strip() and not _ends_block(made[at - 2]):
            continue  # the last line of a paragraph
        made[at - 1] = f"{'#' if underline['mark'][0] == '=' else '##'} {made[at - 1].strip()}"
        made[at] = ""
    return made


def _ends_block(line: str) -> bool:
    return line.lstrip().startswith(("#", "---", "***", "===", "<!--")) or line.rstrip().endswith("-->")
