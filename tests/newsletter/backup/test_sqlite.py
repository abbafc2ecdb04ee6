"""A SQLite file that is damaged, or a disk that is full, is told in a sentence that names the file."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from newsletter.settings import database_settings

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.own_database,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's files; PostgreSQL has its own programs"),
]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Path]:
    """The file of the database that Django uses: a copy of the tests' own."""
    usual = connections["default"]
    file = tmp_path / "live" / "newsletter.sqlite3"
    configured = database_settings(f"sqlite:///{file}")
    file.write_bytes(usual.connection.serialize())
    connections["default"] = usual.copy()
    connections["default"].settings_dict = {**usual.settings_dict, **configured}
    yield file
    connection.close()
    connections["default"] = usual


@pytest.fixture
def backup(live: Path, tmp_path: Path) -> Path:
    call_command("backup", str(tmp_path / "backup.zip"))
    connection.close()
    return tmp_path / "backup.zip"


def overwrite(file: Path, start: float, end: float) -> None:
    content = bytearray(file.read_bytes())
    first, last = int(len(content) * start), int(len(content) * end)
    content[first:last] = b"\xa5" * (last - first)
    file.write_bytes(content)


def damage_the_header(file: Path) -> None:
    overwrite(file, 0.0, 0.01)


def damage_the_rest(file: Path) -> None:
    """All but the schema's first page."""
    overwrite(file, 0.01, 1.0)


DAMAGES = pytest.mark.parametrize("damage", [damage_the_header, damage_the_rest])


@DAMAGES
def test_a_damaged_database_is_not_backed_up_and_is_named(
    live: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(live)
    with pytest.raises(CommandError, match=r"No backup was made\. .*newsletter\.sqlite3 is damaged"):
        call_command("backup", str(tmp_path / "backup.zip"))
    assert not (tmp_path / "backup.zip").exists()


def test_a_full_disk_is_the_reason_that_no_backup_was_made(live: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (live.stat().st_size // 2, hard))
    try:
        with pytest.raises(CommandError, match=r"No backup was made\. SQLite failed: .*disk"):
            call_command("backup", str(tmp_path / "backup.zip"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [each.name for each in tmp_path.iterdir()] == ["live"], "no part of a backup is left"


@DAMAGES
def test_a_damaged_database_can_be_replaced_after_it_was_moved_away(
    live: Path, backup: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(live)
    with pytest.raises(CommandError) as caught:
        call_command("restore", str(backup), "--replace")
    assert f"{live} is damaged" in str(caught.value)
    assert f"Move {live}, newsletter.sqlite3-wal and newsletter.sqlite3-shm to another directory" in str(caught.value)
    connection.close()
    (tmp_path / "damaged").mkdir()
    for file in live.parent.glob("newsletter.sqlite3*"):
        file.rename(tmp_path / "damaged" / file.name)
    call_command("restore", str(backup))
    with closing(sqlite3.connect(live)) as restored:
        assert restored.execute("SELECT state FROM newsletter_sendingswitch").fetchall() == [("stopped",)]
