"""The file of settings, `.env`: reads it with a sentence for each thing that can be wrong, and edits it in place."""

from __future__ import annotations

import grp
import io
import os
import pwd
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

#: `.env` as `configure` creates it: only its owner may read it.
PRIVATE_MODE = 0o600

#: Permissions that a file with secrets keeps when it is written: those of the owner, and reading for the group.
KEPT_PERMISSIONS = 0o640

#: UTF-8, with or without a byte order mark.
ENCODING = "utf-8-sig"


class UnreadableEnvFile(Exception):
    """The file exists and cannot be read; the message says why, for whom, and how to fix it. It holds no value."""


class UnwritableValue(ValueError):
    """The file format cannot hold this value."""


def read_text(path: Path) -> str | None:
    """The text of the file; None if there is none, or if it is not a regular file such as /dev/null.

    Raises UnreadableEnvFile.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableEnvFile(f"{path} is a directory, not a file. Remove it, and run manage.py configure.")
        if not stat.S_ISREG(mode):
            return None
        return path.read_text(encoding=ENCODING)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise UnreadableEnvFile(_no_permission(path)) from None
    except UnicodeDecodeError as error:
        raise UnreadableEnvFile(
            f"{path} is not text in UTF-8 (byte {error.start + 1}). Save it as UTF-8, or remove it and run "
            "manage.py configure."
        ) from None
    except OSError as error:
        raise UnreadableEnvFile(f"{path} cannot be read ({error.strerror}).") from None


def _no_permission(path: Path) -> str:
    user, group = _name_of(os.geteuid()), _group_of(os.getegid())
    try:
        status = path.stat()
    except PermissionError:
        return (
            f"The account {user} may not open the directory {path.parent}. Give it access, for example: "
            f"chgrp {group} {path.parent} && chmod g+x {path.parent}"
        )
    owner = f"{_name_of(status.st_uid)}:{_group_of(status.st_gid)}"
    return (
        f"The account {user} may not read {path}, which belongs to {owner} with mode "
        f"{stat.S_IMODE(status.st_mode):o}. Give it access, for example: chgrp {group} {path} && chmod 640 {path}"
    )


def _name_of(uid: int) -> str:
    """The account's name, or its number: an account in a container may have no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_of(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def check_env_file(path: Path) -> list[str]:
    """A sentence for each line that is no setting; it names the line and never shows it. Raises UnreadableEnvFile."""
    text = read_text(path)
    return [
        f"{path.name}, line {_line_of(binding)}: is not of the form NAME=value; quote a value that spans lines"
        for binding in parse_stream(io.StringIO(text or ""))
        if binding.error or (binding.key and binding.value is None) or "\0" in binding.original.string
    ]


def _line_of(binding: Binding) -> int:
    """Its line; blank lines and comments before a binding belong to it."""
    original = binding.original.string
    return int(binding.original.line) + original[: len(original) - len(original.lstrip())].count("\n")


def read_values(text: str) -> dict[str, str]:
    """The values in the file, by name in capital letters; a name without a value is empty."""
    values = dotenv_values(stream=io.StringIO(text))
    return {name.upper(): value or "" for name, value in values.items()}


def edit(text: str, values: Mapping[str, str]) -> str:
    """The file's text with these settings in it. Comments, unknown names and the order of lines stay.

    A setting that the file has is replaced where it stands; one that is commented out (`# NAME=`), as in
    `.env.example`, is set below the comment; any other is added at the end. Raises UnwritableValue.
    """
    for name, value in values.items():
        text = _set(text, name, value)
    read = read_values(text)
    if wrong := [name for name, value in values.items() if read.get(name) != value]:
        raise UnwritableValue(f"{wrong[0]}: .env cannot hold this value: it has “${{”, or quotes in an unusual place")
    return text


def _set(text: str, name: str, value: str) -> str:
    line = f"{name}={_quoted(value)}\n"
    bindings = list(parse_stream(io.StringIO(text)))
    present = [binding for binding in bindings if (binding.key or "").upper() == name]
    if present:
        # Of two lines with one name the last one counts.
        return "".join(_replaced(each, line) if each is present[-1] else each.original.string for each in bindings)
    lines = text.splitlines(keepends=True)
    for place, each in enumerate(lines):
        if each.startswith(f"# {name}="):
            return "".join((*lines[:place], each.rstrip("\n") + "\n", line, *lines[place + 1 :]))
    return text + ("" if not text or text.endswith("\n") else "\n") + line


def _replaced(binding: Binding, line: str) -> str:
    """The new line, below the blank lines that belong to the old one."""
    original = binding.original.string
    return original[: len(original) - len(original.lstrip())] + line


def _quoted(value: str) -> str:
    if value and all(character.isalnum() or character in "-_.:/@,+*?=&%" for character in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if value else ""


def write(path: Path, text: str, *, group: str = "") -> None:
    """Replace the file at once, so that no process reads half of it. Raises OSError; LookupError for the group.

    Owner, group and permissions of an existing file stay, except that others lose theirs. A new file belongs to the
    caller alone; with `group`, that group may read it.
    """
    # A symbolic link stays one.
    path = path.resolve()
    gid = grp.getgrnam(group).gr_gid if group else -1
    before = path.stat() if path.exists() else None
    mode = stat.S_IMODE(before.st_mode) & KEPT_PERMISSIONS if before else PRIVATE_MODE
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, before.st_uid, before.st_gid)
        if group:
            os.chown(temporary, -1, gid)
        temporary.chmod(mode | (0o040 if group else 0))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
