"""The YAML block at the top of an issue's file, read key by key with line numbers, and written. Pure.

Values are read as the text that stands there: `title: 2026` is a title, not a number, and `title: No` stays
"No". The block is composed by PyYAML's safe loader and never constructed, so no tag of YAML can do anything.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import yaml

from newsletter.content.document import IssueContent
from newsletter.content.envelope import KEYS, Envelope, without_repeats
from newsletter.content.problems import ProblemList

_NULL = "tag:yaml.org,2002:null"


def read_front_matter(lines: Sequence[str], problems: ProblemList) -> tuple[Envelope, int]:
    """Read the block between two `---` lines at the top of `lines`.

    Returns it with the index of the first line after it. A file without the block gives an empty one.
    """
    start = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines) or lines[start].rstrip() != "---":
        return Envelope(), 0
    end = next((i for i in range(start + 1, len(lines)) if lines[i].rstrip() in {"---", "..."}), None)
    if end is None:
        problems.must_fix(start + 1, "The front matter begins here and never ends. Put a line of --- below it.")
        return Envelope(readable=False), len(lines)
    return _read_block("\n".join(lines[start + 1 : end]), start + 2, problems), end + 1


def write_front_matter(content: IssueContent) -> str:
    """The canonical block: keys in the order of KEYS, without those that would only repeat a default."""
    entries: dict[str, str | list[str]] = {"title": content.title, "date": content.date.isoformat()}
    if content.subject != content.title:
        entries["subject"] = content.subject
    if content.preheader:
        entries["preheader"] = content.preheader
    entries["slug"] = content.slug
    if content.categories:
        entries["categories"] = list(content.categories)
    return "---\n" + "".join(_entry(key, value) for key, value in entries.items()) + "---\n"


def _entry(key: str, value: str | list[str]) -> str:
    if key == "date":
        return f"date: {value}\n"
    flow = None if isinstance(value, list) else False  # lists in brackets on one line
    text = yaml.safe_dump({key: value}, allow_unicode=True, width=float("inf"), default_flow_style=flow)
    return str(text)


def _read_block(text: str, first_line: int, problems: ProblemList) -> Envelope:
    envelope = Envelope()
    node = _compose(text, first_line, problems)
    if node is None:
        envelope.readable = not problems.found
        return envelope
    if not isinstance(node, yaml.MappingNode):
        envelope.readable = False
        problems.must_fix(first_line, "The front matter must be lines such as `title: The Harbour Log`.")
        return envelope
    for key, value in node.value:
        _read_entry(envelope, key, value, first_line + key.start_mark.line, problems)
    return envelope


def _compose(text: str, first_line: int, problems: ProblemList) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        reason = error.problem or error.context or "it cannot be read"
        problems.must_fix(
            line, f"The front matter is not valid YAML here: {reason}. Put quotes around values with : # [ or quotes."
        )
    except yaml.reader.ReaderError as error:
        line = first_line + text.count("\n", 0, error.position)
        problems.must_fix(line, "The front matter holds an invisible control character here. Type the line again.")
    except RecursionError:
        problems.must_fix(first_line, "The front matter has brackets within brackets without end. Remove them.")
    return None


def _read_entry(envelope: Envelope, key: yaml.Node, value: yaml.Node, line: int, problems: ProblemList) -> None:
    name = key.value if isinstance(key, yaml.ScalarNode) else "?"
    if name not in KEYS:
        problems.must_fix(line, f"“{name}” is no field of an issue. Known are {', '.join(KEYS)}; remove or rename it.")
        return
    if name in envelope.lines:
        problems.must_fix(line, f"“{name}” stands here for a second time. Keep one of the two.")
        return
    envelope.lines[name] = line
    if value.tag == _NULL:
        return
    if name == "categories":
        envelope.categories = _categories(value, line, problems)
    elif not isinstance(value, yaml.ScalarNode):
        problems.must_fix(line, f"“{name}” must be one line of text. Put quotes around it if it has [ or {{ in it.")
    elif name == "date":
        envelope.date = _date(value.value, line, problems)
    else:
        envelope.values[name] = value.value


def _date(text: str, line: int, problems: ProblemList) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text.strip(), "%Y-%m-%d").date()  # a day, not a moment
    except ValueError:
        problems.must_fix(line, f"“{text}” is no date. Write year, month and day, such as 2026-03-31.")
        return None


def _categories(value: yaml.Node, line: int, problems: ProblemList) -> tuple[str, ...]:
    if isinstance(value, yaml.ScalarNode):
        return without_repeats((part.strip() for part in value.value.split(",")), line, problems)
    if isinstance(value, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in value.value):
        return without_repeats((item.value for item in value.value), line, problems)
    problems.must_fix(line, "“categories” must be a list of words, such as [News, Tech].")
    return ()
