"""The doctor looks at the storage of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from newsletter.models import FileUse, Picture, PictureFile
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.picture_diagnostics import picture_diagnostics
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PATH = f"ab/ab{'0' * 30}-trawler-60x40.jpg"


@pytest.fixture
def storage(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    picture = Picture.objects.create(newsletter=make_newsletter(), name="Trawler", sha256="x")
    PictureFile.objects.create(picture=picture, use=FileUse.LARGE, path=PATH, width=60, height=40, bytes=3)
    return tmp_path / "media"


def test_a_storage_that_works_has_no_finding_and_nothing_is_left_in_it(storage: Path) -> None:
    (storage / PATH).parent.mkdir(parents=True)
    (storage / PATH).write_bytes(b"abc")

    assert list(picture_diagnostics()) == []
    assert [path for path in storage.rglob("*") if path.is_file()] == [storage / PATH]


def test_a_missing_file_is_an_error_that_names_it(storage: Path) -> None:
    (finding,) = picture_diagnostics()

    assert finding.severity is Severity.ERROR
    assert PATH in finding.sentence


def test_a_storage_that_cannot_be_written_is_an_error(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, content: object) -> str:
        raise PermissionError(name)

    monkeypatch.setattr(default_storage, "save", refuse)

    (finding,) = picture_diagnostics()

    assert "cannot be written (PermissionError)" in finding.sentence
