"""Translation catalogues as data: what a .po and a .mo file hold, and what `make messages` would write now."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from newsletter.config.configuration import PROJECT_ROOT

LOCALE = PROJECT_ROOT / "newsletter" / "locale"
LANGUAGES = ("de", "fr", "es")
#: The folders that `make messages` reads, and what it needs to run in a copy.
SOURCES = ("newsletter", "subscribers", "templates")

_KEYWORD = re.compile(r'^(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d+)\])? (".*")$')


@dataclass(slots=True)
class Entry:
    """One message of a .po file with its translation."""

    msgid: str = ""
    plural: str = ""
    context: str = ""
    forms: list[str] = field(default_factory=list)
    """One text, or one for each plural form."""
    flags: set[str] = field(default_factory=set)
    places: list[str] = field(default_factory=list)
    """Source files; a committed catalogue has none."""

    @property
    def key(self) -> tuple[str, str]:
        """What a catalogue finds it by."""
        return self.context, self.msgid

    @property
    def is_translated(self) -> bool:
        """Whether every form is filled."""
        return bool(self.forms) and all(self.forms)


def read_po(text: str) -> list[Entry]:
    """The messages of a .po file, the header first."""
    return [entry for block in text.split("\n\n") if (entry := _entry_of(block)) is not None]


def _entry_of(block: str) -> Entry | None:
    entry, parts, keyword = Entry(), {}, ""
    for line in block.splitlines():
        if line.startswith("#,"):
            entry.flags |= {flag.strip() for flag in line[2:].split(",")}
        elif line.startswith("#:"):
            entry.places += [place.removeprefix("./") for place in line[2:].split()]
        elif match := _KEYWORD.match(line):
            keyword = match[1] + (match[2] or "")
            parts[keyword] = ast.literal_eval(match[3])
        elif line.startswith('"'):
            parts[keyword] += ast.literal_eval(line)
    if "msgid" not in parts:
        return None
    entry.msgid, entry.plural, entry.context = (parts.get(name, "") for name in ("msgid", "msgid_plural", "msgctxt"))
    entry.forms = [parts[name] for name in sorted(parts) if name.startswith("msgstr")]
    return entry


def catalogue(language: str) -> list[Entry]:
    """The messages of a language as committed, without the header."""
    path = LOCALE / language / "LC_MESSAGES" / "django.po"
    return [entry for entry in read_po(path.read_text(encoding="utf-8")) if entry.msgid]


def compiled(language: str) -> gettext.GNUTranslations:
    """The .mo file of a language as committed."""
    with (LOCALE / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def extracted(folder: Path) -> Iterator[Entry]:
    """The messages of the sources as they are now, with their places. Works in a copy of them in `folder`."""
    for name in SOURCES:
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in ("manage.py", "tests/__init__.py", "tests/settings.py"):
        shutil.copy(PROJECT_ROOT / name, folder / name)
    command = [sys.executable, "manage.py", "makemessages", "--settings", "tests.settings", "--locale", "de"]
    command += ["--no-wrap", "--no-obsolete", "--ignore", "tests", "--add-location", "file"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    written = folder / LOCALE.relative_to(PROJECT_ROOT) / "de" / "LC_MESSAGES" / "django.po"
    return (entry for entry in read_po(written.read_text(encoding="utf-8")) if entry.msgid)
