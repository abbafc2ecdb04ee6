"""Faults of merge fields, and text that only looks like one, as sentences. Pure.

Templates are not run: `{{ name }}` would go out as typed, so it is reported to the editor. `names` are the merge fields
of the newsletter; None: any name may exist, as in a file whose newsletter has other fields.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Collection, Iterator

from newsletter.config.translatable import translatable
from newsletter.content.markdown import MARK, RunningText, running_text
from newsletter.content.merge_fields import MERGE_FIELDS, merge_fields_in

Names = Collection[str] | None

_OTHER_NAMES = {"name": "first_name", "fname": "first_name", "user": "first_name", "mail": "email"}
_FALLBACKS = {"first_name": "there", "email": "your address"}
# A line break inside the braces is found here too: such a field would not be filled.
_WITH_FALLBACK = re.compile(r"\{\s*(?P<name>\w[\w\s.-]{0,40}?)\s*\|(?P<fallback>[^{}]*)\}")
_WITHOUT_FALLBACK = re.compile(r"\{[ \t]*(?P<name>\w[\w .-]{0,40}?)[ \t]*\}")
# Bounded, so that a text of thousands of braces does not take quadratic time.
_TEMPLATE = re.compile(
    rf"\{{\{{[^{{}}\n]{{1,200}}\}}\}}|\{{%[^{{}}\n]{{0,200}}?%\}}|\*\|(?:(?!\|{MARK}?\*)[^\n]){{1,100}}\|{MARK}?\*"
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WORD = re.compile(r"\w+")
_ROUND = str.maketrans("{}", "()")


def merge_field_faults(text: str, names: Names = None) -> Iterator[tuple[int, str]]:
    """What is wrong with the merge fields of a Markdown body: the line, from 1, and a sentence."""
    if "{" not in text and "*|" not in text:
        return
    for block in running_text(text):
        yield from _block_faults(block, names)


def one_line_merge_faults(label: str, value: str, names: Names = None) -> Iterator[str]:
    """What is wrong where merge fields are not allowed: titles, sources. `label` is the field's label.

    Braces around other words are allowed and go out as typed: a one-line field has no other way to write them.
    """
    known = names or MERGE_FIELDS
    templates = (
        found
        for found in _TEMPLATE.finditer(value)
        if any(_meant_field(word, known) for word in _WORD.findall(found[0]))
    )
    fields = (found for found in _WITH_FALLBACK.finditer(value) if _meant_field(found["name"], known))
    bare = (found for found in _WITHOUT_FALLBACK.finditer(value) if _similar_field(found["name"], known))
    if found := next(itertools.chain(templates, fields, bare), None):
        yield translatable(
            "“{field}” contains “{typed}”. Merge fields work in running text only. Write words that suit every "
            "recipient.",
            field=label,
            typed=found[0],
        )


def subject_merge_faults(label: str, value: str, names: Names = None) -> Iterator[str]:
    """What is wrong with the merge fields of a subject or preheader, where they are allowed; at most one sentence.

    Braces around other words go out as typed, as in every one-line field.
    """
    known = names or MERGE_FIELDS
    templates = (found[0] for found in _TEMPLATE.finditer(value) if any(_meant(found[0], known)))
    typed = (found for pattern in (_WITH_FALLBACK, _WITHOUT_FALLBACK) for found in pattern.finditer(value))
    unread = (found[0] for found in typed if not any(merge_fields_in(found[0])) and any(_meant(found[0], known)))
    unknown = (field.name for field in merge_fields_in(value) if names is not None and field.name not in names)
    if found := next(itertools.chain(templates, unread), None):
        yield translatable(
            "“{field}” contains “{typed}”, which is not a merge field. Write {example}, with a fallback of 1 to 60 "
            "characters.",
            field=label,
            typed=found,
            example=_example(next(_meant(found, known))),
        )
    elif name := next(unknown, None):
        yield translatable(
            "“{field}” contains “{name}”, but there is no such merge field. The merge fields are {fields}.",
            field=label,
            name=name,
            fields=", ".join(_example(field) for field in known),
        )


def _meant(typed: str, known: Collection[str]) -> Iterator[str]:
    """The merge fields that the words of `typed` probably mean."""
    return (field for word in _WORD.findall(typed) if (field := _meant_field(word, known)))


def without_merge_fields(line: str) -> str:
    """A title from another site with round brackets for braces if `one_line_merge_faults` would report it."""
    if not any(one_line_merge_faults("", line)):
        return line
    return line.translate(_ROUND).replace("*|", "(").replace("|*", ")")


def _block_faults(block: RunningText, names: Names) -> Iterator[tuple[int, str]]:
    templates = list(_TEMPLATE.finditer(block.words))
    yield from ((_line_of(found, block), _template_fault(found[0].replace(MARK, ""), names)) for found in templates)
    taken = {place for found in templates for place in range(found.start(), found.end())}
    for pattern, fault in ((_WITH_FALLBACK, _field_fault), (_WITHOUT_FALLBACK, _bare_fault)):
        for found in pattern.finditer(block.words):
            sentence = None if found.start() in taken else fault(found, names)
            if sentence:
                yield _line_of(found, block), sentence
    for address in block.addresses:
        if any(merge_fields_in(address)):
            yield (
                block.line,
                translatable(
                    "The link “{url}” contains a merge field, but links are the same for every recipient. Remove it.",
                    url=address,
                ),
            )


def _field_fault(found: re.Match[str], names: Names) -> str | None:
    typed, name = (" ".join(words.replace(MARK, "").split()) for words in (found[0], found["name"]))
    known = names or MERGE_FIELDS
    meant = _meant_field(name, known)
    is_readable = any(field.name == name for field in merge_fields_in(found[0])) and MARK not in found[0]
    if is_readable and (names is None or name in names):
        return None
    if name in known or (names is None and _NAME.fullmatch(name) and not meant):
        return translatable(
            "The fallback of “{typed}” must be 1 to 60 plain characters on the same line, without formatting and "
            "without another |. Write {example}.",
            typed=typed,
            example=_example(name),
        )
    if meant:
        return translatable("There is no merge field “{name}”. Write {example}.", name=name, example=_example(meant))
    return translatable(
        "There is no merge field “{name}”. The merge fields are {fields}. To show the braces themselves, put a "
        "backslash before the first one.",
        name=name,
        fields=", ".join(_example(field) for field in known),
    )


def _bare_fault(found: re.Match[str], names: Names) -> str | None:
    field = _similar_field(found["name"], names or MERGE_FIELDS)
    if field is None:
        return None
    return translatable(
        "“{typed}” has no fallback for recipients without a value. Write {example}.",
        typed=found[0],
        example=_example(field),
    )


def _template_fault(typed: str, names: Names) -> str:
    known = names or MERGE_FIELDS
    meant = next((field for word in _WORD.findall(typed) if (field := _meant_field(word, known))), "first_name")
    return translatable(
        "“{typed}” would be sent as typed: templates are not run. Write {example} for a recipient’s value, or put the "
        "text in `backquotes` to show it as it is.",
        typed=typed,
        example=_example(meant),
    )


def _meant_field(name: str, known: Collection[str]) -> str | None:
    """The merge field that `name` probably means: a similar spelling, or its name in other programs."""
    return _similar_field(name, known) or _OTHER_NAMES.get(name.lower())


def _similar_field(name: str, known: Collection[str]) -> str | None:
    """The merge field whose name is spelled much like `name`, if any."""
    if name in known:
        return name
    spellings = {field.replace("_", ""): field for field in known}
    near = difflib.get_close_matches(re.sub(r"[\W_]+", "", name.lower()), spellings, n=1, cutoff=0.8)
    return spellings[near[0]] if near else None


def _example(field: str) -> str:
    return f"{{{field}|{_FALLBACKS.get(field) or 'your ' + field.replace('_', ' ')}}}"


def _line_of(found: re.Match[str], block: RunningText) -> int:
    return block.line + block.words.count("\n", 0, found.start())
