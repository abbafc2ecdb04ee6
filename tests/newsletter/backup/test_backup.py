"""Backups: one file that tells when it is damaged, and a restore that is refused in words where it must not be."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from newsletter.backup import DamagedBackup, Manifest, problems_of, read_manifest
from newsletter.backup import make as make_module
from newsletter.backup.archive import DATABASE_PARTS, write_archive
from newsletter.backup.make import backup_path
from newsletter.backup.manifest import FORMAT, manifest_of
from newsletter.backup.postgresql import rows
from newsletter.backup.restore import Permissions, check_archive, notes_on
from newsletter.models import WorkerHeartbeat

pytestmark = pytest.mark.django_db

REPLACE = Permissions(replace=True)


@pytest.fixture
def manifest() -> Manifest:
    return manifest_of(rows, made_at=timezone.now())


@pytest.fixture
def backup(manifest: Manifest, tmp_path: Path) -> Path:
    (tmp_path / "database").write_bytes(b"the database " * 10_000)
    write_archive(tmp_path / "backup.zip", manifest, tmp_path / "database")
    return tmp_path / "backup.zip"


def test_a_manifest_names_the_installation_without_its_secrets(manifest: Manifest) -> None:
    text = manifest.as_json()
    assert settings.SECRET_KEY not in text
    assert settings.SUPPRESSION_SECRET not in text
    assert Manifest.from_json(text) == manifest
    assert manifest.installation["ENVIRONMENT"] == settings.ENVIRONMENT
    assert manifest.counts["newsletter_delivery"] == 0


def test_a_complete_backup_passes_its_check_and_any_program_can_unpack_it(backup: Path, manifest: Manifest) -> None:
    assert check_archive(backup).migrations == manifest.migrations
    with zipfile.ZipFile(backup) as archive:
        assert archive.read(DATABASE_PARTS[manifest.vendor]).startswith(b"the database")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """Another database under the same manifest."""
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read("manifest.json")
        (name,) = set(archive.namelist()) - {"manifest.json"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", manifest)
        archive.writestr(name, b"another database")


def without_manifest(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "Not a backup.")


@pytest.mark.parametrize("damage", [cut, flip, empty, swap, without_manifest])
def test_a_damaged_backup_is_refused_by_name(backup: Path, damage: Callable[[Path], None]) -> None:
    damage(backup)
    with pytest.raises(DamagedBackup, match=r"backup\.zip"):
        check_archive(backup)
    with pytest.raises(CommandError, match="Nothing was restored"):
        call_command("restore", str(backup))


def test_a_backup_of_a_later_format_is_refused(backup: Path, manifest: Manifest) -> None:
    with zipfile.ZipFile(backup, "w") as archive:
        archive.writestr("manifest.json", replace(manifest, format=FORMAT + 1).as_json())
    with pytest.raises(DamagedBackup, match="a later version"):
        read_manifest(backup)


def test_the_same_installation_may_restore_its_backup(manifest: Manifest) -> None:
    assert problems_of(manifest, REPLACE) == []
    assert notes_on(manifest) == []


def test_a_database_with_content_is_replaced_only_on_demand(manifest: Manifest) -> None:
    (problem,) = problems_of(manifest, Permissions())
    assert "use --replace" in problem


def test_another_suppression_secret_is_refused_unless_it_is_lost(manifest: Manifest) -> None:
    other = replace(manifest, installation={**manifest.installation, "SUPPRESSION_SECRET": "0" * 16})
    (problem,) = problems_of(other, REPLACE)
    assert "would not be recognised" in problem
    assert problems_of(other, Permissions(replace=True, other_suppressions=True)) == []


def test_a_later_schema_is_refused_and_an_earlier_one_is_not(manifest: Manifest) -> None:
    later = replace(manifest, migrations=[*manifest.migrations, "newsletter.9999_later"])
    (problem,) = problems_of(later, REPLACE)
    assert "newsletter.9999_later" in problem
    assert problems_of(replace(manifest, migrations=manifest.migrations[:-1]), REPLACE) == []


def test_a_backup_of_another_kind_of_database_is_refused(manifest: Manifest) -> None:
    (other,) = set(DATABASE_PARTS) - {connection.vendor}
    (problem,) = problems_of(replace(manifest, vendor=other), REPLACE)
    assert "Set DATABASE_URL" in problem


def test_nothing_is_restored_while_a_worker_runs(manifest: Manifest) -> None:
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="another-host:1", started_at=now, seen_at=now)
    (problem,) = problems_of(manifest, REPLACE)
    assert "another-host:1. Stop all of them" in problem


def test_what_differs_is_noted(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    former = settings.SECRET_KEY
    monkeypatch.setattr(settings, "ENVIRONMENT", "staging")
    monkeypatch.setattr(settings, "SECRET_KEY", "another " * 10)
    monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", [])
    notes = " ".join(notes_on(manifest))
    assert "SECRET_KEY differs" in notes
    assert "ENVIRONMENT is staging" in notes
    monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", [former])
    assert "SECRET_KEY differs" not in " ".join(notes_on(manifest))


def test_a_backup_in_a_directory_is_named_by_its_time(tmp_path: Path) -> None:
    at = datetime.datetime(2026, 11, 29, 3, 5, tzinfo=datetime.UTC)
    assert backup_path(tmp_path, at) == tmp_path / "newsletter-20261129T030500Z.zip"
    assert backup_path(tmp_path / "mine.zip", at) == tmp_path / "mine.zip"


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "backup.zip").write_text("another one")
    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(tmp_path / "backup.zip"))
    assert (tmp_path / "backup.zip").read_text() == "another one"


def test_a_database_without_all_migrations_is_not_backed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_module, "count_unapplied_migrations", lambda: 1)
    with pytest.raises(CommandError, match=r"Run manage\.py migrate first"):
        call_command("backup", str(tmp_path))
    assert not list(tmp_path.iterdir())
