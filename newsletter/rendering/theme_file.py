"""theme.toml: read strictly, all its faults at once and each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.palette import FALLBACKS, NEEDED, READABLE, Palette, pairings_of
from newsletter.rendering.typography import DENSITIES, STACKS, Fonts

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
    """One thing that is wrong with a theme: in which of its files, on which line (None: the file), and what to do."""

    file: str
    line: int | None
    sentence: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.sentence}"


class ThemeError(RenderingError):
    """A theme cannot be used; `theme_faults` are all that is wrong with it. Reading it again fails the same way."""

    def __init__(self, name: str, faults: Sequence[ThemeFault]) -> None:
        super().__init__(f"The theme “{name}” cannot be used. " + " ".join(str(fault) for fault in faults))
        self.theme_faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What an issue says by itself. A theme may say it in other words, or in another language."""

    story: str = "story"
    stories: str = "stories"
    minutes: str = "min read"
    contents: str = "In this issue"
    sponsor: str = "Sponsor"
    reason: str = "You get this mail because you subscribed to"
    unsubscribe: str = "Unsubscribe"
    preferences: str = "Preferences"
    view: str = "View in browser"
    archive: str = "All issues"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a `theme.toml` says."""

    label: str
    description: str
    density: str
    masthead: str
    radius: int
    fonts: Fonts
    words: Words
    light: Palette
    dark: Palette


def read_theme_file(name: str, source: str) -> Look:
    """The values of a `theme.toml`. ThemeError with every fault: unknown keys, colours, contrast and the rest."""
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(name, [_not_toml(error)]) from error
    reading = _Reading(document, source)
    look = _look(reading)
    if look is None or reading.faults:
        raise ThemeError(name, sorted(reading.faults, key=lambda fault: fault.line or 0))
    return look


class _Reading:
    """One pass over a document: takes values out, and notes what is wrong with them."""

    def __init__(self, document: dict[str, object], source: str) -> None:
        self.document = document
        self.faults: list[ThemeFault] = []
        self._lines = dict(_key_lines(source))

    def fault(self, sentence: str, table: str = "", key: str = "") -> None:
        line = self._lines.get((table, key)) or self._lines.get((table, ""))
        self.faults.append(ThemeFault(FILE, line, sentence))

    def table(self, name: str, allowed: Collection[str], *, needed: bool = False) -> dict[str, str]:
        """The text values of a table; what is no text or has no place there is a fault."""
        found = self.document.get(name, {})
        if not isinstance(found, dict):
            self.fault(f"[{name}] must be a table with the keys {_listed(allowed)}.", key=name)
            return {}
        if needed and not found:
            self.fault(f"There is no table [{name}]. Write one with the keys {_listed(allowed)}.")
        for key in found.keys() - set(allowed):
            self.fault(f"“{key}” has no meaning in [{name}]; there are {_listed(allowed)}.", name, key)
        for key, value in found.items():
            if key in allowed and not (isinstance(value, str) and value.strip()):
                self.fault(f"“{key}” must be words between quotes.", name, key)
        return {key: value for key, value in found.items() if key in allowed and isinstance(value, str)}

    def text(self, key: str, *, default: str | None = None, one_of: Collection[str] = ()) -> str:
        value = self.document.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.fault(f"“{key}” must be there, as words between quotes.", key=key)
            return ""
        if one_of and value not in one_of:
            self.fault(f"“{key}” is “{value}”, which is none of {_listed(one_of)}.", key=key)
        return value

    def number(self, key: str, most: int) -> int:
        value = self.document.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            self.fault(f"“{key}” must be a whole number of pixels from 0 to {most}.", key=key)
            return 0
        return value


_KEYS = ("label", "description", "density", "masthead", "radius", "fonts", "words", "light", "dark")


def _look(reading: _Reading) -> Look | None:
    for key in reading.document.keys() - set(_KEYS):
        reading.fault(f"“{key}” has no meaning here; there are {_listed(_KEYS)}.", key=key)
    light, dark = _palette(reading, "light"), _palette(reading, "dark")
    look = {
        "label": reading.text("label"),
        "description": reading.text("description"),
        "density": reading.text("density", default="regular", one_of=DENSITIES),
        "masthead": reading.text("masthead", default="start", one_of=("start", "center")),
        "fonts": _fonts(reading),
        "words": Words(**reading.table("words", [field.name for field in fields(Words)])),
    }
    radius = reading.number("radius", LARGEST_RADIUS)
    if light is None or dark is None or reading.faults:
        return None
    return Look(radius=radius, light=light, dark=dark, **look)  # type: ignore[arg-type]


def _palette(reading: _Reading, scheme: str) -> Palette | None:
    given = reading.table(scheme, (*NEEDED, *FALLBACKS), needed=True)
    for key, value in given.items():
        if not _COLOUR.fullmatch(value):
            reading.fault(f"“{key}” is “{value}”; a colour is # and six digits, such as #1d1e2b.", scheme, key)
    missing = [key for key in NEEDED if key not in given]
    if given and missing:
        reading.fault(f"[{scheme}] has no {_listed(missing)}.", scheme)
    if missing or not all(_COLOUR.fullmatch(value) for value in given.values()):
        return None
    palette = Palette(**{key: given.get(key) or given[FALLBACKS[key]] for key in (*NEEDED, *FALLBACKS)})
    for pairing in pairings_of(palette):
        if pairing.contrast < READABLE:
            reading.fault(
                f"In [{scheme}], {pairing.what} cannot be read well: {pairing.text} on {pairing.ground} has a contrast "
                f"of {pairing.contrast:.2f}, and text needs {READABLE}.",
                scheme,
                _blamed(pairing.what, given),
            )
    return palette


def _blamed(what: str, given: dict[str, str]) -> str:
    """The key whose line to show for a pair: one of the two that is written there, else what they fall back on."""
    text, _, ground = what.split(" ")
    fallen = sorted((FALLBACKS.get(text, text), FALLBACKS.get(ground, ground)), key="paper".__eq__)  # never blame paper
    return next(key for key in (text, ground, *fallen) if key in given)


def _fonts(reading: _Reading) -> Fonts:
    stacks: dict[str, str] = {}
    for key, value in reading.table("fonts", [field.name for field in fields(Fonts)]).items():
        stacks[key] = STACKS.get(value, value)
        if value in STACKS:
            continue
        if not _STACK.fullmatch(value) or "," not in value or value.rpartition(",")[2].strip() not in _GENERIC:
            reading.fault(
                f"“{value}” is no stack of fonts: name one of {_listed(STACKS)}, or list fonts that readers have, "
                "separated by commas, with sans-serif, serif or monospace at the end.",
                "fonts",
                key,
            )
    stacks.setdefault("heading", stacks.get("body", Fonts().heading))
    stacks.setdefault("label", stacks.get("body", Fonts().label))
    return Fonts(**stacks)


def _key_lines(source: str) -> Iterator[tuple[tuple[str, str], int]]:
    """Where each (table, key) is written; ("light", "") is the line of [light]. tomllib does not tell."""
    table = ""
    for number, line in enumerate(source.split("\n"), start=1):
        if found := _TABLE.match(line):
            table = found[1]
            yield (table, ""), number
        elif found := _KEY.match(line):
            yield (table, found[1]), number


def _not_toml(error: tomllib.TOMLDecodeError) -> ThemeFault:
    where = _WHERE.search(str(error))
    reason = _WHERE.sub("", str(error))
    line = int(where[1]) if where and where[1] else None
    return ThemeFault(FILE, line, f"This is not valid TOML: {reason}.")


def _listed(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
