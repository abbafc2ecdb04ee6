"""Themes: the design of a newsletter's issues, as plain values read from a folder."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from newsletter.config.translatable import translatable
from newsletter.rendering.palette import Pairing, Palette, pairings_of
from newsletter.rendering.theme_file import FILE, ThemeError, ThemeFault, read_theme_file
from newsletter.rendering.typography import DENSITIES, Fonts, Measures
from newsletter.rendering.words import ThemeWords

SHIPPED_THEMES = Path(__file__).resolve().parents[2] / "templates" / "mjml" / "themes"
MAX_FILE_SIZE = 64_000
"""Octets of one file of a theme."""

STYLES = ("style.css", "head.css")
"""Rules that are inlined, and rules that stay in the head; a theme's rules come after the common ones."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_OWN_TEMPLATE = re.compile(r"style\.css|head\.css|blocks/[a-z-]+\.mjml")
_NOT_IN_STYLES = re.compile(r"@import|@font-face|url\s*\(|expression\s*\(|image-set\s*\(", re.IGNORECASE)
_HIDDEN = re.compile(r"(^|/)\.|~$")
"""Files of operating systems and text editors: `.DS_Store`, `.git`, `theme.toml~`."""
_JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}", re.DOTALL)
_NOT_A_BRACE = re.compile(r"/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'|[^{}\n]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """A theme. `sha256` is the hash of all its files."""

    name: str
    label: str
    light: Palette
    dark: Palette
    fonts: Fonts
    density: str
    """compact, regular, airy or spacious."""
    folder: Path | None
    """The folder of its own templates; None if it uses the shipped blocks only."""
    is_shipped: bool
    """Templates of other themes are rendered in a child process."""
    sha256: str
    description: str = ""
    masthead: str = "start"
    """Alignment of the masthead: start or center."""
    radius: int = 0
    """Radius of the corners of boxes, buttons and images, in pixels."""
    words: ThemeWords = field(default_factory=ThemeWords)
    sources: tuple[tuple[str, str], ...] = ()
    """Its own templates: (`style.css`, `head.css` or `blocks/….mjml`, source), sorted."""

    @property
    def measures(self) -> Measures:
        """The sizes of the theme's density."""
        return DENSITIES[self.density]

    @property
    def needs_limits(self) -> bool:
        """Whether it has templates that were not shipped, which run in a sandbox and a child process."""
        return bool(self.sources) and not self.is_shipped


def load_theme(name: str, folders: Sequence[Path] = ()) -> Theme:
    """Load the theme `name`, shipped or from one of `folders`. Raises ThemeError with every fault.

    Unchanged files are not read again: an edit takes effect immediately, and loading costs a few `stat` calls.
    """
    folder = folder_of(name, folders)
    try:
        return _load(folder, tuple(_signature(folder)))
    except OSError as error:  # an unreadable file, or one that a text editor is replacing
        sentence = translatable("The theme cannot be read: {reason}.", reason=error.strerror)
        raise ThemeError(name, [ThemeFault(name, None, sentence)]) from error


def folder_of(name: str, folders: Sequence[Path] = ()) -> Path:
    """The folder of the theme `name`. Raises ThemeError if there is none, or more than one."""
    found = [folder / name for folder in (SHIPPED_THEMES, *folders) if name in _names_in(folder)]
    if not found:
        names = ", ".join(theme_names(folders))
        sentence = translatable("There is no theme with this name. The themes are: {names}.", names=names)
        raise ThemeError(name, [ThemeFault(name, None, sentence)])
    if len(found) > 1:
        sentence = translatable("There are two themes with this name. Rename the folder of yours.")
        raise ThemeError(name, [ThemeFault(name, None, sentence)])
    return found[0]


def theme_names(folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """Names of all themes, the shipped ones first; each group sorted."""
    shipped = _names_in(SHIPPED_THEMES)
    own = {name for folder in folders for name in _names_in(folder)}
    return (*sorted(shipped), *sorted(own - shipped))


def pairings(theme: Theme) -> tuple[Pairing, ...]:
    """Every colour with every background that it can appear on; `what` reads `quiet on tint, dark`."""
    return tuple(
        replace(pairing, what=f"{pairing.what}, {scheme}")
        for scheme, palette in (("light", theme.light), ("dark", theme.dark))
        for pairing in pairings_of(palette)
    )


def unread_files(folder: Path, blocks: Collection[str]) -> list[str]:
    """Files in a theme's folder that are not used, such as misspelled blocks."""
    return [name for name, _, _ in _signature(folder) if name not in {FILE, *STYLES, *blocks}]


def _names_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / FILE).is_file()}


def _signature(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name, modification time and size of each file of a theme, without hidden files."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if _HIDDEN.search(name):
            continue
        status = path.stat()
        yield name, status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=32)
def _load(folder: Path, signature: tuple[tuple[str, int, int], ...]) -> Theme:
    files = {name: _read(folder, name) for name, _, _ in signature if name == FILE or _OWN_TEMPLATE.fullmatch(name)}
    values = read_theme_file(folder.name, files.pop(FILE))
    sources = tuple(sorted(files.items()))
    if faults := [fault for name, source in sources if name in STYLES for fault in _style_faults(name, source)]:
        raise ThemeError(folder.name, faults)
    sha256 = hashlib.sha256(repr((folder.name, values, sources)).encode())
    return Theme(
        name=folder.name,
        label=values.label,
        description=values.description,
        light=values.light,
        dark=values.dark,
        fonts=values.fonts,
        density=values.density,
        masthead=values.masthead,
        radius=values.radius,
        words=values.words,
        sources=sources,
        folder=folder if sources else None,
        is_shipped=folder.parent == SHIPPED_THEMES,
        sha256=sha256.hexdigest(),
    )


def _style_faults(name: str, source: str) -> Iterator[ThemeFault]:
    """Refuse everything with which a mail would load stylesheets, images or fonts."""
    for number, line in enumerate(source.split("\n"), start=1):
        if found := _NOT_IN_STYLES.search(line):
            sentence = translatable("“{text}” is not allowed: styles of a mail must not load anything.", text=found[0])
            yield ThemeFault(name, number, sentence)
        if "<" in _JINJA.sub("", line):
            yield ThemeFault(name, number, translatable("“<” is not allowed in the styles of a mail."))
    yield from _brace_faults(name, source)


def _brace_faults(name: str, source: str) -> Iterator[ThemeFault]:
    """Braces without a partner: mail programs would ignore the rules after them."""
    bare = _JINJA.sub(_line_ends, source)
    opened: list[int] = []
    line = 1
    for mark in _NOT_A_BRACE.sub(_line_ends, bare):
        if mark == "{":
            opened.append(line)
        elif mark == "}" and not opened:
            yield ThemeFault(name, line, translatable("“}” closes no open brace."))
        elif mark == "}":
            opened.pop()
        line += mark == "\n"
    yield from (ThemeFault(name, start, translatable("“{” is never closed.")) for start in opened)


def _line_ends(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _read(folder: Path, name: str) -> str:
    path = folder / name
    if path.stat().st_size > MAX_FILE_SIZE:
        sentence = translatable("The file is larger than {limit} KB.", limit=MAX_FILE_SIZE // 1000)
        raise ThemeError(folder.name, [ThemeFault(name, None, sentence)])
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ThemeError(folder.name, [ThemeFault(name, line, translatable("The file is not UTF-8."))]) from error


PLAIN = load_theme("plain")
