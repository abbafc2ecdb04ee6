"""Folders and ZIP files: what is read of them, and what is refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from newsletter.content.archives.files import FolderFiles, Limits, OneFile, ZipFiles, open_archive, read_text
from newsletter.content.archives.item import ArchiveError
from tests.newsletter.content.archives.exports import MemoryFiles

SMALL = Limits(file_bytes=100, total_bytes=300, files=3, ratio=200)


def zipped(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def names(paths: tuple[PurePosixPath, ...]) -> list[str]:
    return [str(path) for path in paths]


def test_a_folder_gives_its_regular_files_sorted(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.md", ".git/config", "a/.hidden", "__MACOSX/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    outside = tmp_path.parent / "outside.md"
    outside.write_text("secret")
    (tmp_path / "link.md").symlink_to(outside)
    (tmp_path / "linked").symlink_to(tmp_path.parent)
    files = open_archive(tmp_path)
    assert names(files.paths()) == ["a/c.md", "b.md"]
    assert files.read(PurePosixPath("a/c.md")) == b"a/c.md"


@pytest.mark.parametrize(
    "name", ["../outside.md", "link.md", "linked/outside.md", ".git/config", "missing", "/etc/hosts", "a", "pipe"]
)
def test_nothing_outside_of_a_folder_is_read(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git/config").write_text("secret")
    (tmp_path / "outside.md").write_text("secret")
    (root / "link.md").symlink_to(tmp_path / "outside.md")
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    with pytest.raises(ArchiveError):
        FolderFiles(root).read(PurePosixPath(name))


def test_a_zip_gives_its_files_under_the_names_that_they_were_packed_with(tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "a.zip",
        {
            "posts/größe.html": b"x",
            "a\\b.csv": b"y",
            "__MACOSX/a": b"",
            ".x": b"",
            "../up": b"",
            "/abs": b"",
            "d/": b"",
        },
    )
    files = open_archive(archive)
    assert names(files.paths()) == ["a/b.csv", "posts/größe.html"]
    assert files.read(PurePosixPath("a/b.csv")) == b"y"


def test_names_in_utf_8_without_the_mark_are_read(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("grossXe.md", b"x")
    unmarked = made.getvalue().replace(b"grossXe.md", "größe.md".encode())
    assert names(ZipFiles(io.BytesIO(unmarked)).paths()) == ["größe.md"]


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("link.md")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hosts")
    assert ZipFiles(io.BytesIO(made.getvalue())).paths() == ()


def test_a_zip_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="far more than its size"):
        open_archive(zipped(tmp_path / "a.zip", {"a.html": b"\0" * 3_000_000}))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"a.html": b"x"}).read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveError, match="password"):
        ZipFiles(io.BytesIO(bytes(data)))


def test_an_odd_compression_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"a\.html"):
        open_archive(zipped(tmp_path / "a.zip", {"a.html": b"x" * 50}, zipfile.ZIP_LZMA))


@pytest.mark.parametrize("change", [lambda data: data[:-30], lambda data: data[:40], lambda data: b"PK\x03\x04"])
def test_a_damaged_zip_is_refused(tmp_path: Path, change: object) -> None:
    data = zipped(tmp_path / "a.zip", {"a.html": b"x" * 500}).read_bytes()
    (tmp_path / "b.zip").write_bytes(change(data))  # type: ignore[operator]
    with pytest.raises(ArchiveError, match="damaged"):
        open_archive(tmp_path / "b.zip")


def test_a_damaged_file_in_a_zip_is_refused_when_it_is_read(tmp_path: Path) -> None:
    data = zipped(tmp_path / "a.zip", {"a.html": b"unmistakable"}, zipfile.ZIP_STORED).read_bytes()
    files = ZipFiles(io.BytesIO(data.replace(b"unmistakable", b"unmistakablX")))
    with pytest.raises(ArchiveError, match="damaged"):
        files.read(PurePosixPath("a.html"))


@pytest.mark.parametrize("is_zip", [True, False])
def test_limits_hold_for_number_and_sizes(tmp_path: Path, is_zip: bool) -> None:
    def files_of(sizes: list[int]) -> object:
        contents = {f"{number}.md": os.urandom(size) for number, size in enumerate(sizes)}
        if is_zip:
            return ZipFiles(zipped(tmp_path / "a.zip", contents), limits=SMALL)
        folder = tmp_path / "-".join(map(str, sizes))
        folder.mkdir()
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        return FolderFiles(folder, limits=SMALL)

    allowed = files_of([100, 100, 100])
    assert len(allowed.paths()) == 3  # type: ignore[attr-defined]
    with pytest.raises(ArchiveError, match="more than 3 files"):
        files_of([1, 1, 1, 1]).paths()  # type: ignore[attr-defined]
    with pytest.raises(ArchiveError, match="MB"):
        files_of([100, 100, 101]).paths()  # type: ignore[attr-defined]
    with pytest.raises(ArchiveError, match=r"0\.md"):
        files_of([101]).read(PurePosixPath("0.md"))  # type: ignore[attr-defined]


def test_one_file_is_an_archive_of_itself(tmp_path: Path) -> None:
    (tmp_path / "ghost.json").write_text("{}")
    (tmp_path / "other.json").write_text("{}")
    files = open_archive(tmp_path / "ghost.json")
    assert isinstance(files, OneFile)
    assert names(files.paths()) == ["ghost.json"]
    assert files.read(PurePosixPath("ghost.json")) == b"{}"
    with pytest.raises(ArchiveError):
        files.read(PurePosixPath("other.json"))


def test_a_missing_archive_is_an_error_for_the_editor(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"gone\.zip"):
        open_archive(tmp_path / "gone.zip")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "größe".encode()),
        ("a.csv", b"\xef\xbb\xbf" + "größe".encode()),
        ("a.csv", "größe".encode("utf-16")),
        ("a.csv", "größe".encode("utf-16-le")),
        ("a.csv", "größe".encode("cp1252")),
        ("a.html", b'<meta charset="iso-8859-2">' + "größe".encode("iso-8859-2")),
    ],
)
def test_texts_are_read_in_their_encoding(name: str, data: bytes) -> None:
    assert read_text(MemoryFiles({name: data}), PurePosixPath(name)).endswith("größe")
