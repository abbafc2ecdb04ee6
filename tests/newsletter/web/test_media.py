"""The files of pictures, as mails and pages load them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

ADDRESS = f"ab/ab{'0' * 30}-trawler-60x40.jpg"


@pytest.fixture
def file(settings: object, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"  # type: ignore[attr-defined]
    path = tmp_path / "media" / ADDRESS
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8\xff picture")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return path


def test_a_file_is_served_for_every_cache_to_keep_without_the_database(file: Path, client: Client) -> None:
    response = client.get(f"/media/{ADDRESS}")

    assert b"".join(response) == file.read_bytes()
    assert response["Content-Type"] == "image/jpeg"
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == "inline"
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "sandbox" in response["Content-Security-Policy"]
    assert response["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "Set-Cookie" not in response
    assert "Vary" not in response or "Cookie" not in response["Vary"]


def test_a_cache_that_has_the_file_is_told_so(file: Path, client: Client) -> None:
    seen = client.get(f"/media/{ADDRESS}")
    assert b"".join(seen)
    etag = seen["ETag"]

    assert client.get(f"/media/{ADDRESS}", headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    "path",
    [
        f"ab/ab{'1' * 30}-trawler-60x40.jpg",
        f"cd/ab{'0' * 30}-trawler-60x40.jpg",
        f"ab/ab{'0' * 30}-trawler-60x40.svg",
        f"ab/ab{'0' * 30}-trawler-60x40.html",
        f"{ADDRESS}/",
        "../secret.jpg",
        "%2e%2e/secret.jpg",
        "ab",
        "ab/",
        "secret.jpg",
    ],
)
def test_nothing_else_is_served(file: Path, client: Client, path: str) -> None:
    response = client.get(f"/media/{path}")

    assert response.status_code == 404


def test_files_are_only_read(file: Path, client: Client) -> None:
    assert client.post(f"/media/{ADDRESS}").status_code == 405
