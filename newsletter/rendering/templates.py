"""The templates: Jinja2 over the shipped blocks and a theme's own.

The sources are read once, so nothing that a template says can reach the file system. What a theme of the
operator's own brings runs in a sandbox with neither functions nor methods (R-152), in a child process (`fenced`).
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

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.text import underline, wrap_text
from newsletter.rendering.theme import STYLES, Theme

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "mjml"

_ESCAPING = re.compile(r"\{%[-+]?\s*autoescape")
_FILTERS = frozenset({"abs", "capitalize", "default", "e", "escape", "first", "int", "join", "last", "length", "lower"})
_FILTERS |= {"replace", "round", "title", "trim", "upper", "wordcount"}
_TESTS = frozenset({"defined", "divisibleby", "even", "none", "number", "odd", "string", "undefined"})
_OF_LOOPS = frozenset({"first", "last", "index", "index0", "length"})


@cache
def shipped_sources() -> Mapping[str, str]:
    """Name and source of each shipped template, themes left out: `blocks/story.mjml`, `issue/style.css`…"""
    paths = (path for folder in ("issue", "blocks") for path in (TEMPLATES / folder).iterdir() if path.is_file())
    return {path.relative_to(TEMPLATES).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


@cache
def templates_digest() -> bytes:
    """SHA-256 over the names and sources of all shipped templates; themes have one of their own."""
    return hashlib.sha256(repr(sorted(shipped_sources().items())).encode()).digest()


def block_names() -> tuple[str, ...]:
    """The blocks that a theme may replace, sorted: `blocks/button.mjml`…"""
    return tuple(sorted(name for name in shipped_sources() if name.startswith("blocks/")))


def fill_template(name: str, theme: Theme, context: Mapping[str, object]) -> str:
    """One template with its values. RenderingError names the template, and the line where one is known."""
    try:
        return _environment(theme).get_template(name).render(context)
    except TemplateSyntaxError as error:
        raise RenderingError(
            f"The template {error.name or name} is faulty: {(error.message or '').rstrip('.')}.", line=error.lineno
        ) from error
    except RecursionError as error:
        raise RenderingError(f"The template {name} cannot be filled: a template includes itself.") from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        at, line = _place_of(error, name)
        raise RenderingError(f"The template {at} cannot be filled: {error}.", line=line) from error


@lru_cache(maxsize=64)
def stylesheet(name: str, theme: Theme, direction: str) -> str:
    """`style.css` or `head.css`, the theme's rules behind the common ones: the same for every issue, so filled once."""
    start, end = ("right", "left") if direction == "rtl" else ("left", "right")
    context = {**theme_context(theme), "start": start, "end": end}
    sheets = [f"issue/{name}", *(own for own, _ in theme.sources if own == name)]
    return "\n".join(fill_template(sheet, theme, context) for sheet in sheets)


def theme_context(theme: Theme) -> dict[str, object]:
    """What every template may use of the theme: plain values."""
    return {
        "theme": {"masthead": theme.masthead, "radius": theme.radius},
        "light": theme.light,
        "dark": theme.dark,
        "fonts": theme.fonts,
        "size": theme.measures,
        "words": theme.words,
    }


@lru_cache(maxsize=32)
def _environment(theme: Theme) -> Environment:
    """The theme's environment: undefined names are errors, and all but `.txt` and `.css` is escaped for HTML."""
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
    made.filters.update(wrapped=wrap_text, underlined=underline)
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


class _Sandbox(ImmutableSandboxedEnvironment):
    """For templates that were not shipped: values may be read, and nothing may be called (R-152)."""

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        """Values are escaped, always; Jinja has a tag to switch that off."""
        if found := _ESCAPING.search(source):
            line = source.count("\n", 0, found.start()) + 1
            raise TemplateSyntaxError("escaping cannot be switched off", line, name, filename)
        return super().preprocess(source, name, filename)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field of one of our values, or a key; never a method, which every text has too."""
        if isinstance(obj, LoopContext) and attribute in _OF_LOOPS:
            return getattr(obj, attribute)
        if dataclasses.is_dataclass(obj) and attribute in {field.name for field in dataclasses.fields(obj)}:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """What a list or table holds there."""
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(f"nothing there is called “{argument}”")

    def call(self, /, *_: Any, **__: Any) -> Any:
        """Refused in words for whoever wrote the template, whatever it is that would be called."""
        raise SecurityError("nothing can be called here, neither functions such as range(…) nor methods")

    def is_safe_callable(self, obj: Any) -> bool:
        return False


def _place_of(error: Exception, name: str) -> tuple[str, int | None]:
    """The innermost template in which the error arose, and its line there."""
    place: tuple[str, int | None] = (name, None)
    trace = error.__traceback__
    while trace is not None:  # Jinja gives the frames of templates the template's name and lines
        file = trace.tb_frame.f_code.co_filename
        if _is_template(file):
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _is_template(file: str) -> bool:
    return file in shipped_sources() or file in STYLES
