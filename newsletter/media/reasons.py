"""Why a file does not become a picture: codes, and their sentences."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from newsletter.config.translatable import Translatable, translatable

ACCEPTED = "JPEG, PNG, WebP, GIF, AVIF"


class PictureReason(enum.StrEnum):
    """Why a file is refused."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    SVG = "svg"
    HEIC = "heic"
    NO_PICTURE = "no_picture"
    DAMAGED = "damaged"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MUCH_WORK = "too_much_work"
    DUPLICATE = "duplicate"


_SENTENCES: Mapping[PictureReason, Translatable] = {
    PictureReason.EMPTY: translatable("The file is empty. Choose another one."),
    PictureReason.TOO_LARGE: translatable(
        "The file has more than {megabytes} MB. Make the picture smaller, or save it as JPEG."
    ),
    PictureReason.SVG: translatable("SVG is not accepted, because it can contain programs. Use PNG or WebP."),
    PictureReason.HEIC: translatable("HEIC is not accepted, because few programs can read it. Save it as JPEG."),
    PictureReason.NO_PICTURE: translatable(
        "This is not a picture of a type that is accepted; its name does not count. Use {types}."
    ),
    PictureReason.DAMAGED: translatable(
        "The picture is damaged or incomplete. Open it in a program for pictures, and save it again."
    ),
    PictureReason.TOO_MANY_PIXELS: translatable(
        "The picture has more than {megapixels} million pixels, or a side of more than {side} pixels. Make it smaller."
    ),
    PictureReason.TOO_MUCH_WORK: translatable(
        "Reading the picture took too much time or memory, and was stopped. Save it again as JPEG or PNG."
    ),
    PictureReason.DUPLICATE: translatable(
        "The library has this picture already, as “{name}”. Use that one, or choose another file."
    ),
}


def refusal_sentence(reason: PictureReason, values: Mapping[str, Any]) -> Translatable:
    """The sentence for a reason, in the language in which it is shown."""
    return Translatable(_SENTENCES[reason].message, values=dict(values))


class PictureRefused(Exception):
    """The file does not become a picture, and nothing was stored. The message is a sentence for the editor."""

    permanent, retryable = True, False

    def __init__(self, reason: PictureReason, **values: Any) -> None:
        super().__init__(refusal_sentence(reason, values))
        self.reason, self.values = reason, values

    def __str__(self) -> str:
        return str(self.args[0])
