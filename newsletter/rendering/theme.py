"""The theme: how a newsletter's issues look, as plain values read from a folder."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from newsletter.rendering.palette import Pairing, Palette, pairings_of
from newsletter.rendering.theme_file import FILE, ThemeError, ThemeFault, Words, read_theme_file
from newsletter.rendering.typography import DENSITIES, Fonts, Measures

SHIPPED_THEMES = Path(__file__).resolve().parents[2] / "templates" / "mjml" / "themes"
LARGEST_FILE = 64_000
"""Octets of one file of a theme."""

STYLES = ("style.css", "head.css")
"""Rules written into elements, and rules kept in the head; a theme's stand behind the common ones."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_OWN_TEMPLATE = re.compile(r"style\.css|head\.css|blocks/[a-z-]+\.mjml")
_NOT_IN_STYLES = re.compile(r"@import|@font-face|url\s*\(|expression\s*\(|image-set\s*\(", re.IGNORECASE)
_HIDDEN = re.compile(r"(^|/)\.|~$")
"""What systems and editors leave behind: `.DS_Store`, `.git`, `theme.toml~`."""
_JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}", re.DOTALL)
_NOT_A_BRACE = re.compile(r"/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'|[^{}\n]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Everything that a newsletter chooses by naming a theme. `sha256` is of all its files."""

    name: str
    label: str
    light: Palette
    dark: Palette
    fonts: Fonts
    density: str
    """compact, regular or airy."""
    folder: Path | None
    """Where its own templates are; None where it has none and uses the shipped blocks."""
    is_shipped: bool
    """A theme of the operator's own is rendered in a child process (R-153)."""
    sha256: str
    description: str = ""
    masthead: str = "start"
    """Where the masthead's words stand: start or center."""
    radius: int = 0
    """Corners of boxes, buttons and pictures, in pixels."""
    words: Words = field(default_factory=Words)
    sources: tuple[tuple[str, str], ...] = ()
    """Its own templates as they were read: (`style.css` or `blocks/….mjml`, source), sorted."""

    @property
    def measures(self) -> Measures:
        """The sizes of its density."""
        return DENSITIES[self.density]

    @property
    def needs_limits(self) -> bool:
        """Whether templates that were not shipped are run for it (R-152, R-153)."""
        return bool(self.sources) and not self.is_shipped


def load_theme(name: str, folders: Sequence[Path] = ()) -> Theme:
    """The theme `name`, shipped or from one of `folders`, as its files are now. ThemeError lists all that is wrong.

    Files that did not change are not read again: an edited theme is seen at once, and a load costs some `stat` calls.
    """
    folder = folder_of(name, folders)
    try:
        return _load(folder, tuple(_signature(folder)))
    except OSError as error:  # a file that may not be read, or that an editor is replacing just now
        raise ThemeError(name, [ThemeFault(name, None, f"It could not be read: {error.strerror}.")]) from error


def folder_of(name: str, folders: Sequence[Path] = ()) -> Path:
    """Where the theme `name` is kept. ThemeError where there is none, or more than one."""
    found = [folder / name for folder in (SHIPPED_THEMES, *folders) if name in _names_in(folder)]
    if not found:
        known = ", ".join(theme_names(folders))
        raise ThemeError(name, [ThemeFault(name, None, f"There is no theme of this name. There are {known}.")])
    if len(found) > 1:
        raise ThemeError(name, [ThemeFault(name, None, "Another theme has this name already. Rename its folder.")])
    return found[0]


def theme_names(folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """Names of all themes, the shipped ones first; each group sorted."""
    shipped = _names_in(SHIPPED_THEMES)
    own = {name for folder in folders for name in _names_in(folder)}
    return (*sorted(shipped), *sorted(own - shipped))


def pairings(theme: Theme) -> tuple[Pairing, ...]:
    """Every (what, text colour, ground) that can meet in the theme; `what` reads `quiet on tint, dark`."""
    return tuple(
        Pairing(f"{pairing.what}, {scheme}", pairing.text, pairing.ground)
        for scheme, palette in (("light", theme.light), ("dark", theme.dark))
        for pairing in pairings_of(palette)
    )


def unread_files(folder: Path, blocks: Collection[str]) -> list[str]:
    """Files of a theme's folder that nothing reads: misspelled blocks, for most of them."""
    return [name for name, _, _ in _signature(folder) if name not in {FILE, *STYLES, *blocks}]


def _names_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / FILE).is_file()}


def _signature(folder: Path) -> Iterator[tuple[str, int, int]]:
    """What changes when a file of the theme does: name, time and size of each. Hidden files are nobody's theme."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if _HIDDEN.search(name):
            continue
        status = path.stat()
        yield name, status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=32)
def _load(folder: Path, signature: tuple[tuple[str, int, int], ...]) -> Theme:
    files = {name: _read(folder, name) for name, _, _ in signature if name == FILE or _OWN_TEMPLATE.fullmatch(name)}
    look = read_theme_file(folder.name, files.pop(FILE))
    sources = tuple(sorted(files.items()))
    if faults := [fault for name, source in sources if name in STYLES for fault in _style_faults(name, source)]:
        raise ThemeError(folder.name, faults)
    digest = hashlib.sha256(repr((folder.name, look, sources)).encode())
    return Theme(
        name=folder.name,
        label=look.label,
        description=look.description,
        light=look.light,
        dark=look.dark,
        fonts=look.fonts,
        density=look.density,
        masthead=look.masthead,
        radius=look.radius,
        words=look.words,
        sources=sources,
        folder=folder if sources else None,
        is_shipped=folder.parent == SHIPPED_THEMES,
        sha256=digest.hexdigest(),
    )


def _style_faults(name: str, source: str) -> Iterator[ThemeFault]:
    """A mail loads nothing: neither sheets nor pictures nor fonts come in through its styles."""
    for number, line in enumerate(source.split("\n"), start=1):
        if found := _NOT_IN_STYLES.search(line):
            yield ThemeFault(name, number, f"“{found[0]}” has no place in a mail's styles: it would load something.")
        if "<" in _JINJA.sub("", line):
            yield ThemeFault(name, number, "“<” cannot be written in the styles of a mail.")
    yield from _brace_faults(name, source)


def _brace_faults(name: str, source: str) -> Iterator[ThemeFault]:
    """A brace too few or too many: programs would pass over the rules behind it, without a word."""
    bare = _JINJA.sub(_line_ends, source)
    opened: list[int] = []
    line = 1
    for mark in _NOT_A_BRACE.sub(_line_ends, bare):
        if mark == "{":
            opened.append(line)
        elif mark == "}" and not opened:
            yield ThemeFault(name, line, "“}” closes nothing that is open.")
        elif mark == "}":
            opened.pop()
        line += mark == "\n"
    yield from (ThemeFault(name, start, "“{” is never closed.") for start in opened)


def _line_ends(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _read(folder: Path, name: str) -> str:
    path = folder / name
    if path.stat().st_size > LARGEST_FILE:
        raise ThemeError(folder.name, [ThemeFault(name, None, f"The file is larger than {LARGEST_FILE // 1000} KB.")])
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ThemeError(folder.name, [ThemeFault(name, line, "The file is not UTF-8.")]) from error


PLAIN = load_theme("plain")
