"""The head of a Markdown file – YAML, TOML, JSON, or `Title:` lines without fences – as keys with plain values. Pure.

Scalars of YAML are read as text: `title: 2026` is a title and not a number, and `title: No` stays "No". PyYAML's safe
loader composes the block and never constructs objects, so YAML tags have no effect. The number of values is limited,
so that aliases of aliases cannot grow.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from newsletter.config.translatable import translatable

MAX_VALUES = 2_000
"""Values of one head, those within lists and tables included."""
MAX_DEPTH = 12
MAX_HEAD = 60_000
"""Characters of one head."""

#: The keys of one line of text in which ` #` is text: YAML takes what follows for a comment.
ONE_LINE_KEYS = frozenset({"title", "subject", "preheader", "topic", "description", "subtitle", "summary", "excerpt"})

_NULL = "tag:yaml.org,2002:null"
_FIELD = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9_ -]{0,30}):(?:[ \t]+(?P<value>.*)|[ \t]*)")
_FIRST_FIELDS = frozenset(
    {"title", "date", "modified", "category", "tags", "slug", "author", "authors", "summary", "status", "lang"}
    | {"number", "subject", "template", "layout"}
)
_TOML_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")
_YAML_KEY = re.compile(r"(?P<key>[A-Za-z][\w -]{0,40}):(?:[ \t]+(?P<value>.*)|[ \t]*)")


@dataclass(frozen=True, slots=True)
class HeadEntry:
    """One key as it is written, its value – text, number, list, table or None – and its line, from 1."""

    key: str
    value: Any
    line: int


@dataclass(slots=True)
class Head:
    """The entries of a head. `end` is the index of the first line after it; 0 if the file has none."""

    entries: list[HeadEntry] = field(default_factory=list)
    end: int = 0
    form: str = ""
    """`yaml`, `toml`, `json` or `fields`; empty without a head."""
    faults: list[tuple[int, str]] = field(default_factory=list)
    """Line and sentence of what makes it unreadable. There are no entries then."""
    notes: list[tuple[int, str]] = field(default_factory=list)


class _TooMuch(ValueError):
    """The head has too many values, or they are nested too deeply."""

    permanent = True


def read_head(lines: Sequence[str]) -> Head:
    """The head at the top of a file. Never raises."""
    start = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    first = lines[start].rstrip() if start < len(lines) else ""
    if first == "---":
        return _fenced(lines, start, {"---", "..."}, "yaml")
    if first == "+++":
        return _fenced(lines, start, {"+++"}, "toml")
    if first.startswith("{") and not first.startswith(("{{", "{%", "{:")):
        return _json_head(lines, start)
    named = _FIELD.fullmatch(first)
    if named and named["key"].lower() in _FIRST_FIELDS:
        return _fields(lines, start)
    return Head()


def lenient_yaml(lines: Sequence[str], start: int) -> Iterator[HeadEntry]:
    """The `key: value` lines at the margin of a block that is no valid YAML; the other lines are left out."""
    for number, line in enumerate(lines, start=start + 1):
        if named := _YAML_KEY.fullmatch(line.rstrip()):
            yield HeadEntry(named["key"], (named["value"] or "").strip().strip("\"'"), number)


def plain(value: Any, *, left: Iterator[int] | None = None, depth: int = 0) -> Any:
    """`value` of TOML or JSON as JSON values. Raises ValueError if it is too large."""
    left = left or iter(range(MAX_VALUES))
    if next(left, None) is None or depth > MAX_DEPTH:
        raise _TooMuch
    if isinstance(value, Mapping):
        return {str(key): plain(one, left=left, depth=depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one, left=left, depth=depth + 1) for one in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return value if value is None or isinstance(value, str | bool | int) else str(value)


def _fenced(lines: Sequence[str], start: int, ends: set[str], form: str) -> Head:
    end = next((i for i in range(start + 1, len(lines)) if lines[i].rstrip() in ends), None)
    if end is None:
        if form == "yaml" and not any(_YAML_KEY.fullmatch(line) for line in lines[start + 1 : start + 3]):
            return Head()  # a rule at the top of a text
        sentence = translatable("The front matter that starts here has no end. Add a line with --- below it.")
        return Head(end=len(lines), form=form, faults=[(start + 1, sentence)])
    head = Head(end=end + 1, form=form)
    text = "\n".join(lines[start + 1 : end])
    if len(text) > MAX_HEAD:
        head.faults.append((start + 1, _too_much()))
    elif form == "yaml":
        _read_yaml(head, text, start + 2)
    else:
        _read_toml(head, text, start + 2)
    return head


def _read_yaml(head: Head, text: str, first_line: int) -> None:
    node = _compose(text, first_line, head)
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        sentence = translatable("The front matter must consist of lines such as `title: The Harbour Log`.")
        head.faults.append((first_line, sentence))
        return
    lines, left = text.split("\n"), iter(range(MAX_VALUES))
    try:
        for key, value in node.value:
            line = first_line + key.start_mark.line
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            cut = _cut_by_comment(name, value, lines)
            if cut:
                head.notes.append((first_line + value.end_mark.line, _comment_note(name, cut)))
            head.entries.append(HeadEntry(name, cut or _yaml_value(value, left, 0), line))
    except _TooMuch:
        head.entries.clear()
        head.faults.append((first_line, _too_much()))


def _compose(text: str, first_line: int, head: Head) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        sentence = translatable(
            "The front matter is not valid YAML here: {reason}. Put quotes around values that contain : # [ or quotes.",
            reason=error.problem or error.context or "syntax error",
        )
        head.faults.append((line, sentence))
    except yaml.reader.ReaderError as error:
        line = first_line + text.count("\n", 0, error.position)
        sentence = translatable("The front matter contains an invisible control character. Retype this line.")
        head.faults.append((line, sentence))
    except RecursionError:
        sentence = translatable("The front matter has too many nested brackets. Remove them.")
        head.faults.append((first_line, sentence))
    return None


def _yaml_value(node: yaml.Node, left: Iterator[int], depth: int) -> Any:
    if next(left, None) is None or depth > MAX_DEPTH:
        raise _TooMuch
    if isinstance(node, yaml.SequenceNode):
        return [_yaml_value(one, left, depth + 1) for one in node.value]
    if isinstance(node, yaml.MappingNode):
        return {
            (key.value if isinstance(key, yaml.ScalarNode) else "?"): _yaml_value(one, left, depth + 1)
            for key, one in node.value
        }
    return None if node.tag == _NULL else node.value


def _cut_by_comment(key: str, value: yaml.Node, lines: Sequence[str]) -> str:
    """The whole text of a line whose value YAML cuts at ` #`; empty if it does not."""
    if not isinstance(value, yaml.ScalarNode) or value.style is not None or not value.value:
        return ""
    end = value.end_mark
    rest = lines[end.line][end.column :] if end.line < len(lines) else ""
    is_text = key.strip().lower() in ONE_LINE_KEYS and rest.strip().startswith("#")
    return f"{value.value} {rest.strip()}" if is_text else ""


def _comment_note(key: str, text: str) -> str:
    return translatable(
        "YAML takes what follows # for a comment; here it is read as part of “{key}”. To be safe, write the value in "
        'quotes: {key}: "{text}".',
        key=key,
        text=text,
    )


def _read_toml(head: Head, text: str, first_line: int) -> None:
    try:
        values = plain(tomllib.loads(text))
    except _TooMuch:
        head.faults.append((first_line, _too_much()))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        sentence = translatable("The front matter is not valid TOML here: {reason}.", reason=str(error)[:200])
        head.faults.append((first_line + (int(found[1]) - 1 if found else 0), sentence))
    else:
        at = {found[1]: n for n, line in enumerate(text.split("\n")) if (found := _TOML_KEY.match(line))}
        head.entries = [HeadEntry(key, value, first_line + at.get(key, 0)) for key, value in values.items()]


def _json_head(lines: Sequence[str], start: int) -> Head:
    text = "\n".join(lines[start:])[:MAX_HEAD]
    try:
        found, end = json.JSONDecoder().raw_decode(text)
        values = plain(found)
    except (ValueError, RecursionError):
        return Head()
    rest_of_line = text[end:].partition("\n")[0]
    if not isinstance(values, dict) or not values or rest_of_line.strip():
        return Head()
    entries = [HeadEntry(key, value, start + 1) for key, value in values.items()]
    return Head(entries, start + text.count("\n", 0, end) + 1, "json")


def _fields(lines: Sequence[str], start: int) -> Head:
    """`Key: value` lines up to the first blank one; an indented line goes on with the value."""
    head, end = Head(form="fields"), start
    for end in itertools.count(start):
        if end >= len(lines) or not lines[end].strip():
            break
        named = _FIELD.fullmatch(lines[end].rstrip())
        if named:
            head.entries.append(HeadEntry(named["key"].strip(), (named["value"] or "").strip(), end + 1))
        elif head.entries and lines[end].startswith((" ", "\t")):
            last = head.entries.pop()
            head.entries.append(HeadEntry(last.key, f"{last.value} {lines[end].strip()}", last.line))
        else:
            break
    head.end = end
    return head


def _too_much() -> str:
    return translatable("The front matter is too large. It may have {limit} values.", limit=MAX_VALUES)
