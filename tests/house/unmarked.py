"""Finds texts that people read and that are not marked for translation, in Python, templates, scripts and styles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from django.template.base import Lexer, TokenType
from jinja2 import Environment

#: Functions that mark a text, by the names that modules import them under.
MARKERS = {
    "_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy",
    "npgettext", "npgettext_lazy", "translatable", "translatable_plural",
}  # fmt: skip
#: Arguments, names and attributes whose text is shown.
SHOWN_NAMES = {
    "label", "help_text", "verbose_name", "verbose_name_plural", "description", "short_description", "title",
    "empty_label", "site_header", "site_title", "index_title", "message", "sentence", "advice", "placeholder",
}  # fmt: skip
#: Functions that show an argument, with its position.
SHOWING_CALLS = {
    "success": 1, "info": 1, "warning": 1, "error": 1, "add_message": 2, "message_user": 1, "add_error": 1,
    "ValidationError": 0,
}  # fmt: skip
#: `log.warning("…")` is for operators.
LOGS = {"log", "logger", "logging"}
SHOWN_ATTRIBUTES = {"title", "placeholder", "aria-label", "aria-description", "alt"}

_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = re.compile(r"[“\"(]?[A-Z].* .*[.!?…:]", re.DOTALL)
_CODE = re.compile(r"[a-z0-9_.:-]+")
#: Words that are the same in every language, and commands.
_NAMES = re.compile(r"\b(?:UTC|HTML|manage\.py \w+)\b|--[a-z-]+")


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is not marked, with its line."""

    line: int
    text: str


# --- Python


def in_python(source: str) -> list[Text]:
    """Unmarked texts of a module: at places that are shown, in what is raised, and whole sentences anywhere."""
    tree = ast.parse(source)
    found = {text for node in ast.walk(tree) for shown in _shown_by(node) for text in _texts(shown)}
    found |= {
        text
        for node in ast.walk(tree)
        for shown in _may_be_shown_by(node)
        for text in _texts(shown)
        if not _CODE.fullmatch(text.text)
    }
    return sorted(found | set(_sentences(tree)), key=lambda text: text.line)


def _shown_by(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value) if name in SHOWN_NAMES:
            yield value
        case ast.Call(func=function, keywords=keywords) if _owner_of(function) not in LOGS:
            yield from (keyword.value for keyword in keywords if keyword.arg in SHOWN_NAMES)
            errors = [keyword.value for keyword in keywords if keyword.arg == "error_messages"]
            yield from (value for one in errors if isinstance(one, ast.Dict) for value in one.values)
        case ast.FunctionDef(name="__str__", body=body):
            yield from (line.value for line in body if isinstance(line, ast.Return) and line.value)
        case ast.ClassDef(bases=bases, body=body) if any(_name_of(base).endswith("Choices") for base in bases):
            yield from _labels_of(body)


def _may_be_shown_by(node: ast.AST) -> Iterator[ast.expr]:
    """Arguments that are a text or a code."""
    match node:
        case ast.Call(func=function, args=args) if _owner_of(function) not in LOGS:
            position = SHOWING_CALLS.get(_name_of(function), len(args))
            yield from args[position : position + 1]
        case ast.Raise(exc=ast.Call(args=args)):
            yield from args


def _labels_of(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """The labels of an enumeration's members; without one, Django makes an English one of the member's name."""
    for line in body:
        match line:
            case ast.Assign(value=ast.Tuple(elts=[_value, label])):
                yield label
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() as value) if name.isupper():
                yield ast.copy_location(ast.Constant(f"no label of {name}"), value)


def _texts(node: ast.expr) -> Iterator[Text]:
    """The texts of an expression, but not those in its calls: what a marker gets is marked."""
    match node:
        case ast.Constant(value=str(text)):
            if _WORD.search(text):
                yield Text(node.lineno, text)
        case ast.JoinedStr(values=values):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in values)
            if _WORD.search(text):
                yield Text(node.lineno, text)
        case ast.BinOp(left=left, right=right, op=operator):
            yield from _texts(left)
            if isinstance(operator, ast.Add):
                yield from _texts(right)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*_texts(body), *_texts(orelse))
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
            yield from (text for part in parts for text in _texts(part))
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            yield from _texts(value)


def _sentences(tree: ast.AST) -> Iterator[Text]:
    """Whole sentences that are no docstring, are not marked and do not go to the log."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as docstring):
                skipped.add(id(docstring))
            case ast.Call(func=function) if _name_of(function) in MARKERS or _owner_of(function) in LOGS:
                skipped |= {id(part) for part in ast.walk(node)}
            case ast.JoinedStr(values=parts):
                skipped |= {id(part) for part in parts}
    for node in ast.walk(tree):
        if id(node) not in skipped and isinstance(node, ast.Constant | ast.JoinedStr):
            yield from (text for text in _texts(node) if _SENTENCE.fullmatch(text.text))


def _name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _owner_of(node: ast.expr) -> str:
    return ast.unparse(node.value) if isinstance(node, ast.Attribute) else ""


# --- Templates

_FILTER = re.compile(r"""\|(?:default|default_if_none|yesno|pluralize|add|join)\b(?::("[^"]*"|'[^']*'))?""")
_ARGUMENT = re.compile(r"""=("[A-Z][^"]*"|"[^"]*\s[^"]*")""")


def in_django_template(source: str) -> list[Text]:
    """Text nodes and shown attributes outside of the tags that translate, and words in the arguments of tags."""
    found, parts, inside = [], [], ""
    for token in Lexer(source).tokenize():
        name = token.contents.split()[0] if token.token_type == TokenType.BLOCK else ""
        if name in {"blocktranslate", "comment"} or token.contents == "block bodyclass":
            inside = f"end{name}"
        elif name == inside:
            inside = ""
        if token.token_type == TokenType.TEXT:
            parts.append("\n" * token.contents.count("\n") if inside else token.contents)
        elif token.token_type == TokenType.VAR or name in {"include", "with"}:
            found += [Text(token.lineno or 0, text) for text in _arguments(token.contents)]
    return [*found, *in_html("".join(parts))]


def _arguments(tag: str) -> Iterator[str]:
    """The words in an argument of a tag or of a filter; codes such as `"main"` in a class are attributes' values."""
    for match in _FILTER.finditer(tag):
        if "pluralize" in match[0] or re.search(r"[A-Z]|\w\s\w", match[1] or ""):
            yield match[0]
    yield from (match[1] for match in _ARGUMENT.finditer(tag))


def in_jinja_template(source: str) -> list[Text]:
    """Text nodes, shown attributes, and literals with a capital or a space: mails get their texts from `words`."""
    found, parts = [], []
    for line, kind, value in Environment(autoescape=True).lex(source):
        parts.append(value if kind == "data" else "\n" * value.count("\n"))
        if kind == "string" and re.search(r"[A-Z]|\w\s\w", value):
            found.append(Text(line, value))
    return [*found, *in_html("".join(parts))]


def in_html(source: str) -> list[Text]:
    """Text nodes and shown attributes of a page whose template tags are cut out."""
    page = _Page()
    page.feed(source)
    page.close()
    return page.found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Text] = []
        self.is_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.is_code = tag in {"script", "style", "code"}
        values = dict(attrs)
        shown = [values.get(name) for name in SHOWN_ATTRIBUTES]
        if tag == "input" and values.get("type") in {"submit", "button", "reset"}:
            shown.append(values.get("value"))
        for text in shown:
            self._add(text or "")

    def handle_endtag(self, tag: str) -> None:
        self.is_code = False

    def handle_data(self, data: str) -> None:
        if not self.is_code:
            self._add(data.strip())

    def _add(self, text: str) -> None:
        if _WORD.search(_NAMES.sub("", text)):
            self.found.append(Text(self.getpos()[0], text))


# --- Scripts and styles

_LITERAL = re.compile(r"""(["'`])((?:(?!\1).)*)\1""")
_SHOWS = re.compile(r"(?:(?:textContent|innerText|title|placeholder|ariaLabel)\s*\+?=|\b(?:alert|confirm)\()[^;]*$")


def in_script(source: str) -> list[Text]:
    """Literals that are set as a text, and phrases that begin with a capital: scripts get texts from attributes."""
    source = re.sub(r"(?m)^\s*//.*$", "", source)
    found = []
    for number, line in enumerate(source.splitlines(), start=1):
        for match in _LITERAL.finditer(line):
            text = re.sub(r"\$\{[^}]*\}", "", match[2])
            is_phrase = re.match(r"[A-Z][\w’']*\s+\w", match[2])
            if is_phrase or (_SHOWS.search(line[: match.start()]) and re.search(r"[a-z]\s|\s[a-z]", text)):
                found.append(Text(number, match[2]))
    return found


def keys_in_script(source: str) -> set[str]:
    """The attributes `data-text-…` that a script reads: `text("Key")`, `announce("Key")`, `dataset.textKey`.

    `counted("Key", 2)` reads `Key` for one and `Keys` for several.
    """
    calls = re.findall(r"\b(?:text|announce)\(([^;]*)", source)
    keys = {key for call in calls for key in re.findall(r'"([A-Z]\w*)"', call)}
    keys |= {key + end for key in re.findall(r'\bcounted\("([A-Z]\w*)"', source) for end in ("", "s")}
    keys |= set(re.findall(r"\.dataset\.text([A-Z]\w*)", source))
    return {"data-text" + re.sub(r"([A-Z])", lambda match: f"-{match[1].lower()}", key) for key in keys}


def in_style(source: str) -> list[Text]:
    """Words in generated content."""
    contents = re.finditer(r"""content:\s*["']([^"']*)["']""", source)
    words = ((match.start(), re.sub(r"\\[0-9a-fA-F]+", "", match[1])) for match in contents)
    return [Text(source.count("\n", 0, start) + 1, text) for start, text in words if _WORD.search(text)]
