"""Pictures in the library: stored once, never changed, and kept while anything shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from newsletter.content.pictures import files_at, sent_with, uses_of
from newsletter.content.store import load_content, save_content
from newsletter.media.clean import MAX_UPLOAD_BYTES, clean_picture
from newsletter.media.reasons import PictureReason, PictureRefused
from newsletter.media.store import (
    PictureIsUsed,
    delete_picture,
    move_focus,
    replace_file,
    save_picture,
    store_picture,
    title_from,
)
from newsletter.models import FileIsImmutable, FileUse, Issue, Newsletter, Picture, PictureFile
from newsletter.sending.freeze import freeze_edition
from tests.newsletter.media.pictures import RED, as_file, jpeg, picture
from tests.publications import make_issue, make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture
def newsletter(settings: object, tmp_path: Path) -> Newsletter:
    settings.MEDIA_ROOT = tmp_path  # type: ignore[attr-defined]
    return make_newsletter()


@pytest.fixture
def stored(newsletter: Newsletter) -> Picture:
    return save_picture(newsletter, "Trawler at dusk.png", as_file(picture(1200, 600)), by="edda").picture


def address_of(stored: Picture, use: FileUse = FileUse.STORY) -> str:
    return stored.files.get(use=use, is_current=True).address


def with_picture(issue: Issue, address: str) -> Issue:
    """The issue, saved with the picture in its first story."""
    content = load_content(issue)
    lead, deep_dives, *rest = content.sections
    first, *others = deep_dives.stories
    deep_dives = replace(deep_dives, stories=(replace(first, image=address), *others))
    save_content(issue, replace(content, sections=(lead, deep_dives, *rest)), by="edda")
    return issue


def test_a_picture_is_stored_in_two_sizes_under_names_of_its_content(newsletter: Newsletter, tmp_path: Path) -> None:
    address = store_picture(newsletter, "Trawler at dusk.JPG", jpeg(2400, 1200), "edda")

    entry = Picture.objects.get()
    large, story = (entry.files.get(use=use) for use in (FileUse.LARGE, FileUse.STORY))
    assert address == large.address
    assert address.startswith("http://127.0.0.1:8000/media/")
    assert address.endswith("-trawler-at-dusk-1200x600.jpg")
    assert (entry.name, entry.uploaded_by, entry.lacks_alt) == ("Trawler at dusk", "edda", True)
    assert (story.width, story.height) == (360, 240)
    for file in (large, story):
        assert (tmp_path / file.path).stat().st_size == file.bytes
    assert files_at([address, "https://elsewhere.example/x.jpg"], newsletter.pk) == {address: large}


def test_a_picture_that_is_uploaded_again_is_the_same_one(newsletter: Newsletter) -> None:
    first, second = (save_picture(newsletter, name, jpeg(), by="edda") for name in ("a.jpg", "b.jpg"))

    assert (first.is_new, second.is_new) == (True, False)
    assert second.picture == first.picture
    assert PictureFile.objects.count() == 2


def test_two_newsletters_do_not_share_files(newsletter: Newsletter) -> None:
    first = store_picture(newsletter, "a.jpg", jpeg(), "edda")
    second = store_picture(make_newsletter(slug="tide", name="Tide"), "a.jpg", jpeg(), "edda")

    assert first != second
    delete_picture(Picture.objects.get(newsletter=newsletter))
    assert [file.address for file in PictureFile.objects.filter(use=FileUse.LARGE)] == [second]


def test_a_refused_file_stores_nothing(newsletter: Newsletter, tmp_path: Path) -> None:
    with pytest.raises(PictureRefused, match="SVG is not accepted"):
        store_picture(newsletter, "logo.svg", b"<svg/>", "edda")

    assert not Picture.objects.exists()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_too_large_is_refused_before_a_process_reads_it() -> None:
    with pytest.raises(PictureRefused) as refused:
        clean_picture(b"\0" * (MAX_UPLOAD_BYTES + 1))

    assert refused.value.reason is PictureReason.TOO_LARGE


def test_a_picture_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.media.clean.WALL_SECONDS", 0.001)

    with pytest.raises(PictureRefused) as refused:
        clean_picture(jpeg())

    assert refused.value.reason is PictureReason.TOO_MUCH_WORK


def test_a_process_that_dies_means_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.media.clean._CHILD", "newsletter.media.no_such_module")

    with pytest.raises(PictureRefused) as refused:
        clean_picture(jpeg())

    assert refused.value.reason is PictureReason.TOO_MUCH_WORK


def test_a_file_cannot_be_changed(stored: Picture) -> None:
    file = stored.files.get(use=FileUse.LARGE)

    with pytest.raises(FileIsImmutable):
        file.save()
    with pytest.raises(FileIsImmutable):
        PictureFile.objects.update(path="xx/other.jpg")


def test_a_picture_has_one_current_file_for_each_use(stored: Picture) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        PictureFile.objects.create(picture=stored, use=FileUse.LARGE, path="aa/x.jpg", width=1, height=1, bytes=1)


def test_a_decorative_picture_has_no_alternative_text(stored: Picture) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Picture.objects.filter(pk=stored.pk).update(alt="A trawler", is_decorative=True)


def test_where_a_picture_is_used_follows_the_content(stored: Picture) -> None:
    issue = with_picture(make_issue(), address_of(stored))

    (use,) = uses_of(stored)
    assert (use.issue, use.story) == (issue, 1)
    with_picture(issue, "")
    assert not uses_of(stored)
    assert not stored.issues.exists()


def test_a_picture_in_a_draft_is_not_deleted(stored: Picture) -> None:
    with_picture(make_issue(), address_of(stored))

    with pytest.raises(PictureIsUsed):
        delete_picture(stored)

    assert stored.files.count() == 2


def test_a_picture_in_an_edition_is_never_deleted(stored: Picture) -> None:
    issue = with_picture(make_issue(), address_of(stored))
    freeze_edition(issue)
    with_picture(issue, "")

    assert not uses_of(stored)
    assert sent_with(stored) == issue
    with pytest.raises(PictureIsUsed):
        delete_picture(stored)
    with pytest.raises(ProtectedError):
        Picture.objects.all().delete()


def test_an_unused_picture_is_deleted_with_its_files(
    stored: Picture, tmp_path: Path, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        delete_picture(stored)

    assert not Picture.objects.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_focus_makes_another_file_and_keeps_the_former(stored: Picture) -> None:
    former = stored.files.get(use=FileUse.STORY)

    moved = move_focus(stored, 0, 50)

    assert list(moved) == [former.address] or not moved  # a plain picture looks the same around every point
    assert move_focus(stored, 0, 50) == {}
    assert default_storage.exists(former.path)
    assert (stored.focus_x, stored.focus_y) == (0, 50)


def test_a_replaced_file_has_new_addresses_and_the_former_file_stays(stored: Picture) -> None:
    former = {file.use: file for file in stored.files.all()}

    moved = replace_file(stored, as_file(picture(1200, 600, color=RED)))

    current = {file.use: file for file in stored.files.filter(is_current=True)}
    assert moved == {former[use].address: current[use].address for use in former}
    assert all(default_storage.exists(file.path) for file in former.values())
    back = replace_file(stored, as_file(picture(1200, 600)))
    assert set(back.values()) == {file.address for file in former.values()}
    assert stored.files.count() == 4


def test_a_file_of_another_picture_is_no_replacement(stored: Picture, newsletter: Newsletter) -> None:
    other = as_file(picture(1200, 600, color=RED))
    save_picture(newsletter, "Lighthouse.png", other, by="edda")

    with pytest.raises(PictureRefused, match="Lighthouse"):
        replace_file(stored, other)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Trawler at dusk.jpg", "Trawler at dusk"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\ferry_no_3.PNG", "ferry no 3"),
        ("\u202ereversed.jpg", "reversed"),
        ("", "picture"),
        ("x" * 500 + ".jpg", "x" * 120),
    ],
)
def test_the_name_in_the_library_is_made_from_that_of_the_file(name: str, title: str) -> None:
    assert title_from(name) == title


def test_a_name_in_letters_without_ascii_gets_an_address_all_the_same(newsletter: Newsletter) -> None:
    assert "-picture-60x40." in store_picture(newsletter, "灯台.jpg", jpeg(), "edda")
