"""The templates: Jinja2 with the shipped blocks and those of a theme.

The sources are read once, so templates cannot reach the file system. Templates that were not shipped run in a sandbox
without functions and methods, in a child process with limits (`limited_process`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError, TemplateSyntaxError, select_autoescape
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.text import underline, wrap_text
from newsletter.rendering.theme import STYLES, Theme
from newsletter.rendering.words import in_quotation_marks

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "mjml"

_ESCAPING = re.compile(r"\{%[-+]?\s*autoescape")
_SPACE_IN_CSS = re.compile(r" ?([{}!;]) ?|(?<=:) |(?<=\{)\n|(?<=,) (?=\[)")
"""Spaces that a browser does not need; Gmail drops styles of more than 8 KB."""
_FILTERS = frozenset({"abs", "capitalize", "default", "e", "escape", "first", "int", "join", "last", "length", "lower"})
_FILTERS |= {"replace", "round", "title", "trim", "upper", "wordcount"}
_TESTS = frozenset({"defined", "divisibleby", "even", "none", "number", "odd", "string", "undefined"})
_OF_LOOPS = frozenset({"first", "last", "index", "index0", "length", "nextitem", "previtem"})


@cache
def shipped_sources() -> Mapping[str, str]:
    """Name and source of each shipped template, without themes: `blocks/story.mjml`, `issue/style.css`…"""
    paths = (path for folder in ("issue", "blocks") for path in (TEMPLATES / folder).iterdir() if path.is_file())
    return {path.relative_to(TEMPLATES).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


@cache
def templates_hash() -> bytes:
    """SHA-256 of the names and sources of all shipped templates; each theme has its own."""
    return hashlib.sha256(repr(sorted(shipped_sources().items())).encode()).digest()


def block_names() -> tuple[str, ...]:
    """The names of the blocks that a theme may replace, sorted: `blocks/button.mjml`…"""
    return tuple(sorted(name for name in shipped_sources() if name.startswith("blocks/")))


def fill_template(name: str, theme: Theme, context: Mapping[str, object]) -> str:
    """Render one template. Raises RenderingError with the template, and the line if it is known."""
    try:
        return _environment(theme).get_template(name).render(context)
    except TemplateSyntaxError as error:
        at = error.name or name
        reason = (error.message or "").rstrip(".")
        sentence = translatable("The template {template} has a syntax error: {reason}.", template=at, reason=reason)
        raise RenderingError(sentence, line=error.lineno, template=at) from error
    except RecursionError as error:
        sentence = translatable("The template {template} includes itself.", template=name)
        raise RenderingError(sentence, template=name) from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        at, line = _place_of(error, name)
        sentence = translatable("The template {template} cannot be rendered: {reason}.", template=at, reason=str(error))
        raise RenderingError(sentence, line=line, template=at) from error


@lru_cache(maxsize=64)
def stylesheet(name: str, theme: Theme, direction: str) -> str:
    """`style.css`, `head.css` or `word.css` with the theme's rules after the common ones; the same for every issue."""
    start, end = sides(direction)
    context = {**theme_context(theme), "start": start, "end": end}
    sheets = [f"issue/{name}", *(own for own, _ in theme.sources if own == name)]
    css = "\n".join(fill_template(sheet, theme, context) for sheet in sheets)
    return _SPACE_IN_CSS.sub(r"\1", css) if name != "style.css" else css


def sides(direction: str) -> tuple[str, str]:
    """The sides on which lines start and end."""
    return ("right", "left") if direction == "rtl" else ("left", "right")


def theme_context(theme: Theme) -> dict[str, object]:
    """What every template may use of the theme: plain values, without its words."""
    return {
        "theme": {"masthead": theme.masthead, "radius": theme.radius},
        "light": theme.light,
        "dark": theme.dark,
        "fonts": theme.fonts,
        "size": theme.measures,
    }


@lru_cache(maxsize=32)
def _environment(theme: Theme) -> Environment:
    """The theme's Jinja environment: undefined names are errors, all but `.txt` and `.css` is escaped for HTML."""
    sources = {**shipped_sources(), **dict(theme.sources)}
    made = (_Sandbox if theme.needs_limits else Environment)(
        loader=FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None),
        autoescape=select_autoescape(enabled_extensions=(), disabled_extensions=("txt", "css"), default=True),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.filters.update(wrapped=wrap_text, underlined=underline, quoted=in_quotation_marks)
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


class _Sandbox(ImmutableSandboxedEnvironment):
    """For templates that were not shipped: they can read values and call nothing."""

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        """Refuse the tag that switches escaping off."""
        if found := _ESCAPING.search(source):
            line = source.count("\n", 0, found.start()) + 1
            raise TemplateSyntaxError("escaping cannot be switched off", line, name, filename)
        return super().preprocess(source, name, filename)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field of a dataclass or a key; never a method."""
        if isinstance(obj, LoopContext) and attribute in _OF_LOOPS:
            return getattr(obj, attribute)
        if dataclasses.is_dataclass(obj) and attribute in {field.name for field in dataclasses.fields(obj)}:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item of a list or mapping."""
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(f"there is no “{argument}” here")

    def call(self, /, *_: Any, **__: Any) -> Any:
        """Refuse every call, with a message for the author of the template."""
        raise SecurityError("functions and methods cannot be called")

    def is_safe_callable(self, obj: Any) -> bool:
        return False


def _place_of(error: Exception, name: str) -> tuple[str, int | None]:
    """The innermost template of the traceback, and the line in it."""
    place: tuple[str, int | None] = (name, None)
    trace = error.__traceback__
    while trace is not None:  # Jinja gives frames of templates the template's name and line
        file = trace.tb_frame.f_code.co_filename
        if _is_template(file):
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _is_template(file: str) -> bool:
    return file in shipped_sources() or file in STYLES
