"""Plain text escaped as Markdown. Pure."""

from __future__ import annotations

import functools
import re

from markdown_it import MarkdownIt

from newsletter.content.merge_faults import merge_field_faults
from newsletter.content.merge_fields import merge_fields_in

# Escaped anywhere in a line; and at its beginning, where they would start a list, a heading or a rule.
_MARKS = re.compile(r"[\\`*_\[\]<>&~{]")
_MARKS_AT_START = re.compile(r"^(\d{0,9})([-+#=.)])")


def plain_to_markdown(paragraph: str) -> str:
    """Markdown that renders exactly as the one line `paragraph`, without surrounding spaces.

    Most prose needs no escaping and is returned unchanged.
    """
    text = paragraph.strip()
    if _is_its_own_markdown(text) and not _has_merge_field(text):
        return text
    return _MARKS_AT_START.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", text))


def _is_its_own_markdown(text: str) -> bool:
    tokens = _commonmark().parse(text)
    if [token.type for token in tokens] != ["paragraph_open", "inline", "paragraph_close"]:
        return not text
    return all(child.type == "text" for child in tokens[1].children or ()) and text == "".join(
        child.content for child in tokens[1].children or ()
    )


def _has_merge_field(text: str) -> bool:
    """Whether the text contains braces that are read as a merge field, valid or not."""
    return any(merge_fields_in(text)) or any(merge_field_faults(text))


@functools.cache
def _commonmark() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False})
