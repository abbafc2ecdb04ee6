"""Pictures into the storage and the database: new ones, other files for them, another focus, and away again."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import ProtectedError

from newsletter.media.clean import Cleaned, Encoded, clean_picture, crop_picture
from newsletter.media.reasons import PictureReason, PictureRefused
from newsletter.models import FileUse, Newsletter, Picture, PictureFile

log = logging.getLogger(__name__)

_NAME_LENGTH, _SLUG_LENGTH = 120, 40


class PictureIsUsed(Exception):
    """An issue or an edition has the picture, so it was not deleted."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture of the library after an upload."""

    picture: Picture
    is_new: bool
    """False: the library had it already, and nothing was stored."""
    was_animated: bool
    """Whether only the first frame of an animation was stored."""


def store_picture(newsletter: Newsletter, name: str, data: bytes, by: str) -> str:
    """Store an uploaded or fetched picture, and return the https address of its large file. Raises PictureRefused.

    `name` is its file name or title, `by` the user name or step. A picture that the library has already is not stored
    again: its address is returned.
    """
    stored = save_picture(newsletter, name, data, by=by)
    return stored.picture.files.get(use=FileUse.LARGE, is_current=True).address


def save_picture(newsletter: Newsletter, name: str, data: bytes, *, by: str) -> Stored:
    """As `store_picture`, with what came of it."""
    cleaned = clean_picture(data)
    sha256 = _sha256(cleaned)
    title = title_from(name)
    files = _written(newsletter.pk, sha256, title, cleaned)
    with transaction.atomic():
        picture, is_new = Picture.objects.get_or_create(
            newsletter=newsletter, sha256=sha256, defaults={"name": title, "uploaded_by": by[:150]}
        )
        if is_new:
            _add_files(picture, files)
    if is_new:
        log.info("Picture %s of newsletter %s uploaded by %s", picture.pk, newsletter.pk, by)
    return Stored(picture, is_new, cleaned.was_animated)


def replace_file(picture: Picture, data: bytes) -> dict[str, str]:
    """Give the picture another file; the addresses that changed, by the old ones. Raises PictureRefused.

    The former files stay where they are, because mails and issues may show them.
    """
    cleaned = clean_picture(data, x=picture.focus_x, y=picture.focus_y)
    sha256 = _sha256(cleaned)
    files = _written(picture.newsletter_id, sha256, picture.name, cleaned)
    with transaction.atomic():
        others = Picture.objects.filter(newsletter=picture.newsletter_id, sha256=sha256).exclude(pk=picture.pk)
        if other := others.first():
            raise PictureRefused(PictureReason.DUPLICATE, name=other.name)
        moved = _add_files(picture, files)
        Picture.objects.filter(pk=picture.pk).update(sha256=sha256)
    picture.refresh_from_db()
    return moved


def move_focus(picture: Picture, x: int, y: int) -> dict[str, str]:
    """Cut the picture of stories around another point, in percent; the addresses that changed, by the old ones."""
    if (picture.focus_x, picture.focus_y) == (x, y):
        return {}
    large = picture.files.get(use=FileUse.LARGE, is_current=True)
    with default_storage.open(large.path, "rb") as file:
        story = crop_picture(file.read(), x=x, y=y)
    path = _write(picture.newsletter_id, picture.sha256, picture.name, FileUse.STORY, story)
    files = [(FileUse.STORY, story, path)]
    with transaction.atomic():
        moved = _add_files(picture, files)
        Picture.objects.filter(pk=picture.pk).update(focus_x=x, focus_y=y)
    picture.refresh_from_db()
    return moved


def delete_picture(picture: Picture) -> None:
    """Delete a picture that nothing uses, with its files. Raises PictureIsUsed."""
    paths = list(picture.files.values_list("path", flat=True))
    try:
        with transaction.atomic():
            picture.delete()
            transaction.on_commit(partial(_remove, paths))
    except ProtectedError as error:
        raise PictureIsUsed(str(picture.pk)) from error


def title_from(name: str) -> str:
    """The name in the library: that of the file without its folders and its ending."""
    words = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", PurePosixPath(name.replace("\\", "/")).name)
    shown = "".join(" " if unicodedata.category(each)[0] == "C" or each == "_" else each for each in words)
    return " ".join(shown.split())[:_NAME_LENGTH] or "picture"


def _sha256(cleaned: Cleaned) -> str:
    return hashlib.sha256(cleaned.large.data).hexdigest()


def _written(newsletter: int, sha256: str, name: str, cleaned: Cleaned) -> list[tuple[FileUse, Encoded, str]]:
    """The files with their paths, written to the storage before the database names them."""
    files = ((FileUse.LARGE, cleaned.large), (FileUse.STORY, cleaned.story))
    return [(use, encoded, _write(newsletter, sha256, name, use, encoded)) for use, encoded in files]


def _write(newsletter: int, sha256: str, name: str, use: FileUse, encoded: Encoded) -> str:
    """Write a file under a name that its content decides; so the same name never has another content."""
    sha = hashlib.sha256(f"{newsletter}:{sha256}:{use}:".encode() + encoded.data).hexdigest()
    slug = re.sub(r"[^a-z0-9]+", "-", _ascii(name).lower())[:_SLUG_LENGTH].strip("-") or "picture"
    # Mails are limited in size: 128 bits are enough.
    path = f"{sha[:2]}/{sha[:32]}-{slug}-{encoded.width}x{encoded.height}.{encoded.suffix}"
    if not default_storage.exists(path):
        written = default_storage.save(path, ContentFile(encoded.data))
        if written != path:  # another process was faster; its file has the same content
            default_storage.delete(written)
    return path


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")


def _add_files(picture: Picture, files: Sequence[tuple[FileUse, Encoded, str]]) -> dict[str, str]:
    """Make these the current files; the addresses of the former ones with the new ones."""
    uses = [use for use, _encoded, _path in files]
    former = {file.use: file.address for file in picture.files.filter(use__in=uses, is_current=True)}
    picture.files.filter(use__in=uses, is_current=True).update(is_current=False)
    PictureFile.objects.bulk_create(
        (
            PictureFile(
                picture=picture,
                use=use,
                path=path,
                width=encoded.width,
                height=encoded.height,
                bytes=len(encoded.data),
                is_current=False,
            )
            for use, encoded, path in files
        ),
        ignore_conflicts=True,  # a file that the picture had before
    )
    paths = [path for _use, _encoded, path in files]
    picture.files.filter(path__in=paths).update(is_current=True)
    present = {file.use: file.address for file in picture.files.filter(path__in=paths)}
    return {old: present[use] for use, old in former.items() if present[use] != old}


def _remove(paths: Sequence[str]) -> None:
    """Remove files that no picture names any more. A file that cannot be removed is left and logged."""
    named = set(PictureFile.objects.filter(path__in=paths).values_list("path", flat=True))
    for path in paths:
        if path not in named:
            try:
                default_storage.delete(path)
            except OSError as error:
                log.warning("The file %s of a deleted picture was not removed: %s", path, error)
