"""What is wrong with merge fields, and with what only looks like one, as sentences. Pure.

There is no template language: `{{ name }}` goes out as it was typed, so whoever meant a name by it is told (R-152).
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator

from newsletter.content.markdown import MARK, RunningText, running_text
from newsletter.content.merge_fields import MERGE_FIELDS, merge_fields_in

_OTHER_NAMES = {"name": "first_name", "fname": "first_name", "user": "first_name", "mail": "email"}
_FALLBACKS = {"first_name": "there", "email": "your address"}
# A field that a line break cuts is none, so it is found here: readers would get its braces.
_WITH_FALLBACK = re.compile(r"\{\s*(?P<name>\w[\w\s.-]{0,40}?)\s*\|(?P<fallback>[^{}]*)\}")
_WITHOUT_FALLBACK = re.compile(r"\{[ \t]*(?P<name>\w[\w .-]{0,40}?)[ \t]*\}")
# Bounded, so that no text of thousands of braces takes quadratic time.
_TEMPLATE = re.compile(
    rf"\{{\{{[^{{}}\n]{{1,200}}\}}\}}|\{{%[^{{}}\n]{{0,200}}?%\}}|\*\|(?:(?!\|{MARK}?\*)[^\n]){{1,100}}\|{MARK}?\*"
)
_WORD = re.compile(r"\w+")
_ROUND = str.maketrans("{}", "()")


def merge_field_faults(text: str) -> Iterator[tuple[int, str]]:
    """What is wrong with the merge fields of a Markdown body: its line, from 1, and a sentence that says what to do."""
    if "{" not in text and "*|" not in text:
        return
    for block in running_text(text):
        yield from _faults_of(block)


def one_line_merge_faults(name: str, value: str) -> Iterator[str]:
    """What is wrong where no merge field may stand: titles, the subject, sources. `name` says which it is.

    Braces around other words are nobody's field and go out as they were typed: such a title cannot say it otherwise.
    """
    templates = (found for found in _TEMPLATE.finditer(value) if any(map(_meant, _WORD.findall(found[0]))))
    fields = (found for found in _WITH_FALLBACK.finditer(value) if _meant(found["name"]))
    bare = (found for found in _WITHOUT_FALLBACK.finditer(value) if _field_like(found["name"]))
    if found := next(itertools.chain(templates, fields, bare), None):
        yield (
            f"The {name} holds “{found[0]}”, and a merge field has its place in texts only. "
            f"Write the {name} so that it fits every reader."
        )


def without_merge_fields(line: str) -> str:
    """A stranger's line for a title: in round brackets where it holds what would be refused there, else as it is."""
    if not any(one_line_merge_faults("title", line)):
        return line
    return line.translate(_ROUND).replace("*|", "(").replace("|*", ")")


def _faults_of(block: RunningText) -> Iterator[tuple[int, str]]:
    templates = list(_TEMPLATE.finditer(block.words))
    yield from ((_line_of(found, block), _template_fault(found[0].replace(MARK, ""))) for found in templates)
    taken = {place for found in templates for place in range(found.start(), found.end())}
    for pattern, fault in ((_WITH_FALLBACK, _field_fault), (_WITHOUT_FALLBACK, _bare_fault)):
        for found in pattern.finditer(block.words):
            sentence = None if found.start() in taken else fault(found)
            if sentence:
                yield _line_of(found, block), sentence
    for address in block.addresses:
        if any(merge_fields_in(address)):
            sentence = (
                f"The link “{address}” holds a merge field, and a link is the same for every reader. Take it out."
            )
            yield block.line, sentence


def _field_fault(found: re.Match[str]) -> str | None:
    typed, name = (" ".join(words.replace(MARK, "").split()) for words in (found[0], found["name"]))
    meant = _meant(name)
    if any(field.name == name for field in merge_fields_in(found[0])) and MARK not in found[0]:
        return None
    if meant and meant == name:
        return (
            f"“{typed}” cannot be filled: behind the | stand 1 to 60 plain characters on the same line, without marks "
            f"such as * or another |. Write {_written(meant)}."
        )
    if meant:
        return f"There is no merge field “{name}”. Write {_written(meant)}."
    return (
        f"There is no merge field “{name}”; there are {_all_names()}. "
        "If the braces are meant as they stand, put a backslash before the first."
    )


def _bare_fault(found: re.Match[str]) -> str | None:
    field = _field_like(found["name"])
    return f"“{found[0]}” lacks the words for readers who gave none. Write {_written(field)}." if field else None


def _template_fault(typed: str) -> str:
    meant = next((field for word in _WORD.findall(typed) if (field := _meant(word))), "first_name")
    return (
        f"“{typed}” would go out as it stands: templates are not run here. Write {_written(meant)} for a value of the "
        "reader, or put it between `backquotes` if it is meant as it stands."
    )


def _meant(name: str) -> str | None:
    """The field of the list that was probably meant by `name`, if any: by its spelling or by what others call it."""
    return _field_like(name) or _OTHER_NAMES.get(name.lower())


def _field_like(name: str) -> str | None:
    """The field of the list whose name `name` nearly is, if any."""
    known = {field.replace("_", ""): field for field in MERGE_FIELDS}
    near = difflib.get_close_matches(re.sub(r"[\W_]+", "", name.lower()), known, n=1, cutoff=0.8)
    return known[near[0]] if near else None


def _written(field: str) -> str:
    return f"{{{field}|{_FALLBACKS[field]}}}"


def _all_names() -> str:
    return " and ".join(_written(field) for field in MERGE_FIELDS)


def _line_of(found: re.Match[str], block: RunningText) -> int:
    return block.line + block.words.count("\n", 0, found.start())
