"""theme.toml: parsed strictly; all faults are reported at once, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.palette import FALLBACKS, NEEDED, READABLE, Pairing, Palette, filled_in, pairings_of
from newsletter.rendering.typography import DENSITIES, STACKS, Fonts
from newsletter.rendering.words import ThemeWords

FILE = "theme.toml"
LARGEST_RADIUS = 24

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_STACK = re.compile(r"[A-Za-z0-9 ,'_-]{3,200}")
_GENERIC = ("sans-serif", "serif", "monospace")
_TABLE = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+)\s*=")
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class ThemeFault:
    """One problem of a theme: the file or block, the line (None: the whole file), and what to do."""

    file: str
    line: int | None
    sentence: str

    def __str__(self) -> str:
        if self.line is None:
            return f"{self.file}: {self.sentence}"
        return str(
            translatable("{file}, line {line}: {problem}", file=self.file, line=self.line, problem=self.sentence)
        )


class ThemeError(RenderingError):
    """A theme cannot be used. `theme_faults` lists all its problems."""

    def __init__(self, name: str, faults: Sequence[ThemeFault]) -> None:
        super().__init__(translatable("The theme “{theme}” cannot be used.", theme=name))
        self.theme_faults = tuple(faults)

    def __str__(self) -> str:
        return " ".join([str(self.message), *map(str, self.theme_faults)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeSettings:
    """The values of a `theme.toml`."""

    label: str
    description: str
    density: str
    masthead: str
    radius: int
    fonts: Fonts
    words: ThemeWords
    light: Palette
    dark: Palette


def read_theme_file(name: str, source: str) -> ThemeSettings:
    """Parse a `theme.toml`. Raises ThemeError with every fault: unknown keys, colours, contrast and the rest."""
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(name, [_toml_fault(error)]) from error
    values = _Values(document, source)
    theme_settings = _theme_settings(values)
    if theme_settings is None or values.faults:
        raise ThemeError(name, sorted(values.faults, key=lambda fault: fault.line or 0))
    return theme_settings


class _Values:
    """Takes values out of a TOML document, and collects what is wrong with them."""

    def __init__(self, document: dict[str, object], source: str) -> None:
        self.document = document
        self.faults: list[ThemeFault] = []
        self._lines = dict(_key_lines(source))

    def fault(self, sentence: str, table: str = "", key: str = "") -> None:
        line = self._lines.get((table, key)) or self._lines.get((table, ""))
        self.faults.append(ThemeFault(FILE, line, sentence))

    def table(self, name: str, allowed: Collection[str], *, needed: bool = False) -> dict[str, str]:
        """The text values of a table. Other values and unknown keys are faults."""
        keys = ", ".join(allowed)
        found = self.document.get(name, {})
        if not isinstance(found, dict):
            self.fault(
                translatable("[{table}] must be a table with these keys: {keys}.", table=name, keys=keys), key=name
            )
            return {}
        if needed and not found:
            self.fault(translatable("The table [{table}] is missing. Its keys are: {keys}.", table=name, keys=keys))
        for key in found.keys() - set(allowed):
            sentence = translatable(
                "“{key}” is not a key of [{table}]. The keys are: {keys}.", key=key, table=name, keys=keys
            )
            self.fault(sentence, name, key)
        for key, value in found.items():
            if key in allowed and not (isinstance(value, str) and value.strip()):
                self.fault(translatable("“{key}” must be text in quotes.", key=key), name, key)
        return {key: value for key, value in found.items() if key in allowed and isinstance(value, str)}

    def text(self, key: str, *, default: str | None = None, one_of: Collection[str] = ()) -> str:
        value = self.document.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.fault(translatable("“{key}” is required. Write it as text in quotes.", key=key), key=key)
            return ""
        if one_of and value not in one_of:
            sentence = translatable(
                "“{key}” is “{value}”, but must be one of these: {values}.",
                key=key,
                value=value,
                values=", ".join(one_of),
            )
            self.fault(sentence, key=key)
        return value

    def number(self, key: str, maximum: int) -> int:
        value = self.document.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
            sentence = translatable(
                "“{key}” must be a whole number of pixels from 0 to {maximum}.", key=key, maximum=maximum
            )
            self.fault(sentence, key=key)
            return 0
        return value


_KEYS = ("label", "description", "density", "masthead", "radius", "fonts", "words", "light", "dark")


def _theme_settings(values: _Values) -> ThemeSettings | None:
    for key in values.document.keys() - set(_KEYS):
        sentence = translatable(
            "“{key}” is not a key of a theme. The keys are: {keys}.", key=key, keys=", ".join(_KEYS)
        )
        values.fault(sentence, key=key)
    light, dark = _palette(values, "light"), _palette(values, "dark")
    others = {
        "label": values.text("label"),
        "description": values.text("description"),
        "density": values.text("density", default="regular", one_of=DENSITIES),
        "masthead": values.text("masthead", default="start", one_of=("start", "center")),
        "fonts": _fonts(values),
        "words": ThemeWords(**values.table("words", [field.name for field in fields(ThemeWords)])),
    }
    radius = values.number("radius", LARGEST_RADIUS)
    if light is None or dark is None or values.faults:
        return None
    return ThemeSettings(radius=radius, light=light, dark=dark, **others)  # type: ignore[arg-type]


def _palette(values: _Values, scheme: str) -> Palette | None:
    colours = values.table(scheme, (*NEEDED, *FALLBACKS), needed=True)
    for key, value in colours.items():
        if not _COLOUR.fullmatch(value):
            sentence = translatable(
                "“{key}” is “{value}”. Write a colour as # and six hexadecimal digits, such as #1d1e2b.",
                key=key,
                value=value,
            )
            values.fault(sentence, scheme, key)
    missing = [key for key in NEEDED if key not in colours]
    if colours and missing:
        keys = ", ".join(missing)
        values.fault(translatable("These keys are missing in [{table}]: {keys}.", table=scheme, keys=keys), scheme)
    if missing or not all(_COLOUR.fullmatch(value) for value in colours.values()):
        return None
    palette = filled_in(colours)
    for pairing in pairings_of(palette):
        if pairing.contrast < pairing.minimum:
            values.fault(_contrast_fault(pairing, scheme), scheme, _key_to_change(pairing.what, colours))
    return palette


def _contrast_fault(pairing: Pairing, scheme: str) -> str:
    numbers = {
        "table": scheme,
        "pair": pairing.what,
        "text": pairing.text,
        "background": pairing.background,
        "contrast": pairing.contrast,
        "minimum": pairing.minimum,
    }
    if pairing.minimum < READABLE:
        return translatable(
            "In [{table}], the contrast of {pair} ({text} on {background}) is {contrast:.2f}. The outline of a button "
            "needs at least {minimum}.",
            **numbers,
        )
    return translatable(
        "In [{table}], the contrast of {pair} ({text} on {background}) is {contrast:.2f}. Text needs at least "
        "{minimum}.",
        **numbers,
    )


def _key_to_change(what: str, colours: dict[str, str]) -> str:
    """The key whose line is reported for a pair: one of the two if it is in the file, else one of their defaults."""
    text, _, background = what.split(" ")
    defaults = [_in_file(text, colours), _in_file(background, colours)]
    ordered = sorted(defaults, key="paper".__eq__)  # never report paper if there is another one
    return next(key for key in (text, background, *ordered) if key in colours)


def _in_file(key: str, colours: dict[str, str]) -> str:
    """The key that gives a colour: itself, or the first of its defaults that the file has."""
    while key not in colours:
        key = FALLBACKS[key]
    return key


def _fonts(values: _Values) -> Fonts:
    stacks: dict[str, str] = {}
    for key, value in values.table("fonts", [field.name for field in fields(Fonts)]).items():
        stacks[key] = STACKS.get(value, value)
        if value in STACKS:
            continue
        if not _STACK.fullmatch(value) or "," not in value or value.rpartition(",")[2].strip() not in _GENERIC:
            sentence = translatable(
                "“{value}” is not a font stack. Use one of these: {stacks}. Or list installed fonts, separated by "
                "commas, with sans-serif, serif or monospace at the end.",
                value=value,
                stacks=", ".join(STACKS),
            )
            values.fault(sentence, "fonts", key)
    stacks.setdefault("heading", stacks.get("body", Fonts().heading))
    stacks.setdefault("label", stacks.get("body", Fonts().label))
    return Fonts(**stacks)


def _key_lines(source: str) -> Iterator[tuple[tuple[str, str], int]]:
    """The line of each (table, key), which tomllib does not report; ("light", "") is the line of [light]."""
    table = ""
    for number, line in enumerate(source.split("\n"), start=1):
        if found := _TABLE.match(line):
            table = found[1]
            yield (table, ""), number
        elif found := _KEY.match(line):
            yield (table, found[1]), number


def _toml_fault(error: tomllib.TOMLDecodeError) -> ThemeFault:
    where = _WHERE.search(str(error))
    reason = _WHERE.sub("", str(error))
    line = int(where[1]) if where and where[1] else None
    return ThemeFault(FILE, line, translatable("The file is not valid TOML: {reason}.", reason=reason))
