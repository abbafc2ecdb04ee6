"""The files of pictures are part of a backup, and come back where they are missing."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from newsletter.backup.archive import DamagedBackup, read_pictures, write_archive
from newsletter.backup.manifest import Manifest, Part, manifest_of
from newsletter.backup.pictures import picture_paths, restore_pictures, stored_pictures
from newsletter.backup.postgresql import rows
from newsletter.backup.restore import check_archive
from newsletter.media.store import store_picture
from newsletter.models import PictureFile
from tests.newsletter.media.pictures import jpeg
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture
def paths(settings: Any, tmp_path: Path) -> list[str]:
    settings.MEDIA_ROOT = tmp_path / "media"
    store_picture(make_newsletter(), "Trawler.jpg", jpeg(1200, 600), "edda")
    return picture_paths(rows)


@pytest.fixture
def backup(paths: list[str], tmp_path: Path) -> tuple[Path, Manifest]:
    (tmp_path / "database").write_bytes(b"the database")
    manifest = manifest_of(rows, made_at=timezone.now())
    file = tmp_path / "backup.zip"
    return file, write_archive(file, manifest, tmp_path / "database", stored_pictures(paths))


def test_every_file_of_a_picture_is_in_the_backup_and_comes_back(
    backup: tuple[Path, Manifest], paths: list[str]
) -> None:
    file, manifest = backup
    before = dict(stored_pictures(paths))
    assert set(paths) == set(PictureFile.objects.values_list("path", flat=True))
    default_storage.delete(paths[0])

    check_archive(file)
    assert dict(read_pictures(file, manifest)) == before
    assert restore_pictures(read_pictures(file, manifest)) == 1
    assert dict(stored_pictures(paths)) == before


def test_a_file_that_is_missing_in_the_storage_is_logged_and_left_out(
    paths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    default_storage.delete(paths[0])

    found = dict(stored_pictures(paths))

    assert set(found) == {paths[1]}
    assert paths[0] in caplog.text


def test_a_picture_that_differs_from_its_checksum_is_damage(backup: tuple[Path, Manifest], paths: list[str]) -> None:
    file, manifest = backup
    for data, sentence in ((b"other", "differs from its checksum"), (None, "is missing")):
        with zipfile.ZipFile(file) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(file, "w") as archive:
            for name, kept in content.items():
                if name != f"media/{paths[0]}":
                    archive.writestr(name, kept)
                elif data is not None:
                    archive.writestr(name, data)
        with pytest.raises(DamagedBackup, match=sentence):
            check_archive(file)
    assert manifest.parts


def test_a_name_that_leaves_the_storage_is_refused(backup: tuple[Path, Manifest]) -> None:
    file, manifest = backup
    hostile = "media/../../evil.jpg"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(hostile, b"x")
    manifest.parts[hostile] = Part(bytes=1, sha256=hashlib.sha256(b"x").hexdigest())

    with pytest.raises(DamagedBackup, match="no name of a picture"):
        list(read_pictures(file, manifest))
