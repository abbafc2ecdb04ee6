"""The YAML front matter of an issue's file: read key by key with line numbers, and written. Pure.

Values are read as text: `title: 2026` is a title and not a number, and `title: No` stays "No". PyYAML's safe loader
composes the block and never constructs objects, so YAML tags have no effect.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import yaml

from newsletter.config.translatable import translatable
from newsletter.content.details import KEYS, IssueDetails, unique_categories
from newsletter.content.document import IssueContent
from newsletter.content.problems import ProblemList

_NULL = "tag:yaml.org,2002:null"

_TEXTS = ("title", "subject", "preheader", "slug", "topic")

#: Keys of the audience whose value is a list of names.
NAME_LISTS = ("lists", "segments", "exclude")


def read_front_matter(lines: Sequence[str], problems: ProblemList) -> tuple[IssueDetails, int]:
    """Read the block between two `---` lines at the top; also returns the index of the first line after it.

    A file without front matter gives empty details and 0.
    """
    start = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines) or lines[start].rstrip() != "---":
        return IssueDetails(), 0
    end = next((i for i in range(start + 1, len(lines)) if lines[i].rstrip() in {"---", "..."}), None)
    if end is None:
        sentence = translatable("The front matter that starts here has no end. Add a line with --- below it.")
        problems.error(start + 1, sentence)
        return IssueDetails(readable=False), len(lines)
    return _read_block("\n".join(lines[start + 1 : end]), start + 2, problems), end + 1


def write_front_matter(content: IssueContent) -> str:
    """The canonical block: keys in the order of KEYS, without values that equal their default."""
    entries: dict[str, str | list[str]] = {"title": content.title, "date": content.date.isoformat()}
    if content.subject != content.title:
        entries["subject"] = content.subject
    if content.preheader:
        entries["preheader"] = content.preheader
    entries["slug"] = content.slug
    if content.categories:
        entries["categories"] = list(content.categories)
    if content.audience.topic:
        entries["topic"] = content.audience.topic
    for key in NAME_LISTS:
        if names := getattr(content.audience, key):
            entries[key] = list(names)
    return "---\n" + "".join(_entry(key, value) for key, value in entries.items()) + "---\n"


def _entry(key: str, value: str | list[str]) -> str:
    if key == "date":
        return f"date: {value}\n"
    style = None if isinstance(value, list) else False  # lists in brackets on one line
    text = yaml.safe_dump({key: value}, allow_unicode=True, width=float("inf"), default_flow_style=style)
    return str(text)


def _read_block(text: str, first_line: int, problems: ProblemList) -> IssueDetails:
    details = IssueDetails()
    node = _compose(text, first_line, problems)
    if node is None:
        details.readable = not problems.found
        return details
    if not isinstance(node, yaml.MappingNode):
        details.readable = False
        sentence = translatable("The front matter must consist of lines such as `title: The Harbour Log`.")
        problems.error(first_line, sentence)
        return details
    lines = text.split("\n")
    for key, value in node.value:
        _read_entry(details, key, value, first_line + key.start_mark.line, problems)
        _note_comment(key, value, lines, first_line, problems)
    return details


def _note_comment(
    key: yaml.Node, value: yaml.Node, lines: Sequence[str], first_line: int, problems: ProblemList
) -> None:
    """YAML takes the rest of a line after ` #` as a comment, but in a title it is often meant as text."""
    if not isinstance(value, yaml.ScalarNode) or value.style is not None or key.value not in _TEXTS:
        return
    end = value.end_mark
    rest = lines[end.line][end.column :].strip() if end.line < len(lines) else ""
    if rest.startswith("#"):
        sentence = translatable(
            "YAML takes “{text}” for a comment, so it is not part of “{key}”. If it is, write the value in quotes: "
            '{key}: "{value} {text}".',
            key=key.value,
            value=value.value,
            text=rest,
        )
        problems.warn(first_line + end.line, sentence)


def _compose(text: str, first_line: int, problems: ProblemList) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        sentence = translatable(
            "The front matter is not valid YAML here: {reason}. Put quotes around values that contain : # [ or quotes.",
            reason=error.problem or error.context or "syntax error",
        )
        problems.error(line, sentence)
    except yaml.reader.ReaderError as error:
        line = first_line + text.count("\n", 0, error.position)
        problems.error(
            line, translatable("The front matter contains an invisible control character. Retype this line.")
        )
    except RecursionError:
        problems.error(first_line, translatable("The front matter has too many nested brackets. Remove them."))
    return None


def _read_entry(details: IssueDetails, key: yaml.Node, value: yaml.Node, line: int, problems: ProblemList) -> None:
    name = key.value if isinstance(key, yaml.ScalarNode) else "?"
    if name not in KEYS:
        sentence = translatable(
            "“{key}” is not a field of an issue. Rename or remove it. The fields are: {keys}.",
            key=name,
            keys=", ".join(KEYS),
        )
        problems.error(line, sentence)
        return
    if name in details.lines:
        problems.error(line, translatable("“{key}” appears twice. Remove one of the two lines.", key=name))
        return
    details.lines[name] = line
    if value.tag == _NULL:
        return
    if name == "categories":
        details.categories = _categories(value, line, problems)
    elif name in NAME_LISTS:
        details.audience[name] = _names(name, value, line, problems)
    elif not isinstance(value, yaml.ScalarNode):
        sentence = translatable(
            "“{key}” must be one line of text. Put quotes around the value if it contains brackets or braces.", key=name
        )
        problems.error(line, sentence)
    elif name == "date":
        details.date = _date(value.value, line, problems)
    else:
        details.values[name] = value.value


def _date(text: str, line: int, problems: ProblemList) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text.strip(), "%Y-%m-%d").date()
    except ValueError:
        sentence = translatable("“{date}” is not a date. Write year, month and day, such as 2026-03-31.", date=text)
        problems.error(line, sentence)
        return None


def _categories(value: yaml.Node, line: int, problems: ProblemList) -> tuple[str, ...]:
    if isinstance(value, yaml.ScalarNode):
        return unique_categories((part.strip() for part in value.value.split(",")), line, problems)
    if isinstance(value, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in value.value):
        return unique_categories((item.value for item in value.value), line, problems)
    problems.error(line, translatable("“categories” must be a list of names, such as [News, Tech]."))
    return ()


def _names(key: str, value: yaml.Node, line: int, problems: ProblemList) -> tuple[str, ...]:
    """One name, or a list of names: unlike categories, names of segments may contain commas."""
    if isinstance(value, yaml.ScalarNode):
        return (value.value.strip(),)
    if isinstance(value, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in value.value):
        return tuple(item.value.strip() for item in value.value)
    problems.error(line, translatable("“{key}” must be a list of names, such as [Locals, Sailors].", key=key))
    return ()
