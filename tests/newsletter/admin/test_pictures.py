"""The library of pictures in the admin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from newsletter.admin.picture_list import PAGE
from newsletter.content.store import load_content
from newsletter.gathering.page import UnreadableLink
from newsletter.media.store import save_picture
from newsletter.models import FileUse, Issue, Newsletter, Picture, PictureFile
from newsletter.sending.freeze import freeze_edition
from tests.newsletter.media.pictures import RED, animated_gif, as_file, jpeg, picture
from tests.newsletter.media.test_store import with_picture
from tests.publications import make_issue, make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

URL = "/admin/pictures/"


@pytest.fixture
def newsletter(settings: Any, tmp_path: Path) -> Newsletter:
    settings.MEDIA_ROOT = tmp_path
    return make_newsletter()


@pytest.fixture
def trawler(newsletter: Newsletter) -> Picture:
    image = picture(1200, 600)
    image.paste(RED, (0, 0, 400, 600))
    return save_picture(newsletter, "Trawler at dusk.png", as_file(image), by="edda").picture


def upload(client: Client, *files: tuple[str, bytes], **headers: str) -> Any:
    sent = [SimpleUploadedFile(name, data) for name, data in files]
    data = {"newsletter": make_newsletter().pk, "files": sent}
    return client.post(f"{URL}upload/", data, follow=True, headers=headers or None)


def _first_image(issue: Issue) -> str:
    return next(load_content(issue).stories()).image


def entry(newsletter: Newsletter, name: str, **fields: Any) -> Picture:
    """A picture whose files are only named."""
    made = Picture.objects.create(newsletter=newsletter, name=name, sha256=name, **fields)
    for use in FileUse.values:
        PictureFile.objects.create(
            picture=made, use=use, path=f"{name}-{use}.jpg", width=360, height=240, bytes=2000, is_current=True
        )
    return made


def test_an_empty_library_says_what_is_accepted(edda: Client, newsletter: Newsletter) -> None:
    page = edda.get(URL).content.decode()

    assert "No pictures yet." in page
    assert "JPEG, PNG, WebP, GIF and AVIF are accepted, up to 15 MB each." in page


def test_without_a_newsletter_there_is_no_library(edda: Client) -> None:
    assert "There is no newsletter yet." in edda.get(URL).content.decode()


def test_several_files_are_uploaded_at_once_and_the_last_one_is_shown(edda: Client, newsletter: Newsletter) -> None:
    response = upload(edda, ("Ferry.jpg", jpeg()), ("Crane.png", as_file(picture(color=RED))))

    page = response.content.decode()
    assert "2 pictures added." in page
    assert '<h2 id="picture-name">Crane</h2>' in page
    assert set(Picture.objects.values_list("name", "uploaded_by")) == {("Ferry", "edda"), ("Crane", "edda")}


def test_each_refused_file_is_named_with_its_reason_and_the_others_are_stored(
    edda: Client, newsletter: Newsletter
) -> None:
    response = upload(edda, ("logo.svg", b"<svg/>"), ("Ferry.jpg", jpeg()), ("page.png", b"<html>"))

    page = response.content.decode()
    assert "logo.svg was refused: SVG is not accepted, because it can contain programs. Use PNG or WebP." in page
    assert "page.png was refused: This is not a picture" in page
    assert "<title>Error:" in page
    assert Picture.objects.get().name == "Ferry"


def test_scripts_get_the_addresses_and_the_errors(edda: Client, newsletter: Newsletter) -> None:
    answer = upload(edda, ("Ferry.jpg", jpeg()), ("no.gif", b"GIF89a"), Accept="application/json").json()

    (found,) = answer["pictures"]
    assert found["large"].startswith("http://127.0.0.1:8000/media/")
    assert (found["name"], found["alt"]) == ("Ferry", "")
    assert found["story"] != found["large"]
    assert len(answer["errors"]) == 1


def test_an_animation_and_a_repeated_file_are_said(edda: Client, newsletter: Newsletter) -> None:
    first, second = (upload(edda, (name, animated_gif())).content.decode() for name in ("Waves.gif", "again.gif"))

    assert "“Waves” was animated. Its first frame is kept" in first
    assert "“Waves” was in the library already." in second


def test_an_upload_without_a_file_is_an_error(edda: Client, newsletter: Newsletter) -> None:
    assert "No file was chosen." in upload(edda).content.decode()


def test_a_picture_is_added_from_the_web(edda: Client, newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter.admin.pictures.picture_at", lambda url, policy: ("/img/Night%20shift.jpg", jpeg()))

    edda.post(f"{URL}from-web/", {"newsletter": newsletter.pk, "url": "https://photos.example/x"})

    assert Picture.objects.exists()


def test_an_address_that_gives_no_picture_is_an_error_and_stays_typed(
    edda: Client, newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str, policy: object) -> None:
        raise UnreadableLink("The host photos.example does not exist.", permanent=True)

    monkeypatch.setattr("newsletter.admin.pictures.picture_at", refuse)

    page = edda.post(f"{URL}from-web/", {"newsletter": newsletter.pk, "url": "https://photos.example/x"})

    assert "https://photos.example/x was refused: The host photos.example does not exist." in page.content.decode()
    assert 'value="https://photos.example/x"' in page.content.decode()


def test_the_details_of_a_picture_are_saved(edda: Client, trawler: Picture) -> None:
    data = {"alt": "A wooden trawler\nat the quay", "credit": "Mira Okafor", "focus_x": 50, "focus_y": 50}

    edda.post(f"{URL}{trawler.pk}/", data)

    trawler.refresh_from_db()
    assert (trawler.alt, trawler.credit) == ("A wooden trawler at the quay", "Mira Okafor")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"is_decorative": "on"}, "A decorative picture has no alternative text."),
        ({"focus_x": "101"}, "less than or equal to 100"),
        ({"focus_y": "left"}, "Enter a whole number"),
        ({"alt": "x" * 301}, "at most 300 characters"),
    ],
)
def test_wrong_details_are_named_at_their_field(
    edda: Client, trawler: Picture, changes: dict[str, str], sentence: str
) -> None:
    data = {"alt": "A trawler", "credit": "", "focus_x": "50", "focus_y": "50"} | changes

    page = edda.post(f"{URL}{trawler.pk}/", data).content.decode()

    assert sentence in page
    assert "<title>Error:" in page
    trawler.refresh_from_db()
    assert trawler.alt == ""


def test_another_focus_moves_the_picture_in_drafts_and_not_in_editions(edda: Client, trawler: Picture) -> None:
    address = trawler.files.get(use=FileUse.STORY).address
    draft, frozen = (with_picture(make_issue(slug), address) for slug in ("one", "two"))
    edition = freeze_edition(frozen)

    data = {"alt": "", "credit": "", "focus_x": 0, "focus_y": 50}
    page = edda.post(f"{URL}{trawler.pk}/", data, follow=True).content.decode()

    moved = trawler.files.get(use=FileUse.STORY, is_current=True).address
    assert moved != address
    assert _first_image(draft) == moved
    assert "2 drafts show the new version" in page
    assert address in edition.html
    assert draft.revisions.first().note_text == "Picture changed in the library: Trawler at dusk"  # type: ignore[union-attr]


def test_a_replaced_file_is_followed_by_drafts(edda: Client, trawler: Picture) -> None:
    draft = with_picture(make_issue(), trawler.files.get(use=FileUse.STORY).address)
    new = SimpleUploadedFile("new.png", as_file(picture(900, 600, color=RED)))

    page = edda.post(f"{URL}{trawler.pk}/replace/", {"file": new}, follow=True).content.decode()

    assert "1 draft shows the new version" in page
    assert _first_image(draft) == trawler.files.get(use=FileUse.STORY, is_current=True).address


def test_a_replacement_that_is_no_picture_changes_nothing(edda: Client, trawler: Picture) -> None:
    for data in ({}, {"file": SimpleUploadedFile("x.png", b"<svg/>")}):
        assert 'role="alert" data-errors><p>' in edda.post(f"{URL}{trawler.pk}/replace/", data).content.decode()

    assert trawler.files.count() == 2


def test_an_unused_picture_is_deleted(edda: Client, trawler: Picture) -> None:
    assert "Delete picture" in edda.get(f"{URL}?picture={trawler.pk}").content.decode()

    page = edda.post(f"{URL}{trawler.pk}/delete/", follow=True).content.decode()

    assert "“Trawler at dusk” is deleted." in page
    assert not Picture.objects.exists()


def test_a_picture_of_a_frozen_issue_cannot_be_deleted_and_the_page_says_why(edda: Client, trawler: Picture) -> None:
    issue = with_picture(make_issue(), trawler.files.get(use=FileUse.STORY).address)
    freeze_edition(issue)

    page = edda.get(f"{URL}?picture={trawler.pk}").content.decode()

    assert "This picture cannot be deleted: “Taller cranes” was made ready for sending with it" in page
    assert "Deep dives”, story 1</a>" in page
    assert "Delete picture" not in page
    answer = edda.post(f"{URL}{trawler.pk}/delete/", follow=True).content.decode()
    assert "was not deleted: an issue uses it." in answer
    assert Picture.objects.exists()


def test_filters_and_search_narrow_the_list(edda: Client, newsletter: Newsletter, trawler: Picture) -> None:
    with_picture(make_issue(), trawler.files.get(use=FileUse.STORY).address)
    entry(newsletter, "Keeper’s stairs", alt="Stairs of a lighthouse")
    entry(newsletter, "Fog", is_decorative=True)
    entry(make_newsletter(slug="tide", name="Tide"), "Elsewhere")

    def names(parameters: str) -> set[str]:
        page = edda.get(f"{URL}?newsletter={newsletter.pk}&{parameters}")
        return {cell.picture.name for cell in page.context["cells"]}

    assert names("") == {"Trawler at dusk", "Keeper’s stairs", "Fog"}
    assert names("filter=unused") == {"Keeper’s stairs", "Fog"}
    assert names("filter=no-alt") == {"Trawler at dusk"}
    assert names("q=lighthouse") == {"Keeper’s stairs"}
    assert names("q=taller+cranes") == {"Trawler at dusk"}
    assert names("q=trawler&filter=unused") == set()
    assert names("filter=nonsense&before=x&picture=y") == names("")


def test_the_page_takes_as_many_queries_for_many_pictures_as_for_few(
    edda: Client, newsletter: Newsletter, django_assert_num_queries: Any
) -> None:
    entry(newsletter, "0")
    with CaptureQueriesContext(connection) as few:
        edda.get(URL)
    for number in range(1, PAGE + 5):
        entry(newsletter, str(number))

    with django_assert_num_queries(len(few)):
        page = edda.get(URL)

    assert len(page.context["cells"]) == PAGE
    older = edda.get(URL + page.context["older"])
    assert [cell.picture.name for cell in older.context["cells"]] == ["4", "3", "2", "1", "0"]
    assert not older.context["older"]


@pytest.mark.parametrize("name", ["will", "lou", "norm"])
def test_the_library_is_closed_without_permission(
    signed_in: Callable[[str], Client], trawler: Picture, name: str
) -> None:
    client = signed_in(name)

    assert client.get(URL).status_code == 403
    assert client.get(f"{URL}choose/").status_code == 403
    for path in ("upload/", "from-web/", f"{trawler.pk}/", f"{trawler.pk}/replace/", f"{trawler.pk}/delete/"):
        assert client.post(URL + path, {"newsletter": trawler.newsletter_id}).status_code == 403


@pytest.mark.parametrize("key", ["0", "x", "9" * 40, "-1", "\u0661"])
def test_an_unknown_newsletter_is_not_found(edda: Client, newsletter: Newsletter, key: str) -> None:
    assert edda.get(URL, {"newsletter": key}).status_code == 404
    assert edda.post(f"{URL}upload/", {"newsletter": key}).status_code == 404


def test_the_choice_for_a_row_names_both_files(edda: Client, trawler: Picture) -> None:
    page = edda.get(f"{URL}choose/?newsletter={trawler.newsletter_id}&q=trawler").content.decode()

    for file in trawler.files.all():
        assert file.address in page
    assert "<html" not in page
