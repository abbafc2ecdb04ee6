"""Pictures are decoded and encoded anew; hostile and broken files are refused with a sentence."""

from __future__ import annotations

import pytest
from PIL import ExifTags, Image, ImageCms

from newsletter.media.encoding import LARGE_BYTES, STORY_BYTES, encode_large, encode_story
from newsletter.media.reasons import PictureReason, PictureRefused
from tests.newsletter.media.pictures import (
    BLUE,
    RED,
    animated_gif,
    as_file,
    jpeg,
    jpeg_of_a_phone,
    opened,
    picture,
    png_that_claims,
)

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PAGE = b"<html><script>alert(1)</script></html>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", PictureReason.EMPTY),
        (SVG, PictureReason.SVG),
        (b"\xef\xbb\xbf  <SVG>", PictureReason.SVG),
        (PAGE, PictureReason.NO_PICTURE),
        (b"%PDF-1.7", PictureReason.NO_PICTURE),
        (b"II*\0" + b"\0" * 40, PictureReason.NO_PICTURE),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, PictureReason.HEIC),
        (b"GIF89a/*" + PAGE, PictureReason.DAMAGED),
        (b"RIFF\0\0\0\0WAVEfmt ", PictureReason.DAMAGED),
        (b"\x89PNG\r\n\x1a\n", PictureReason.DAMAGED),
        (jpeg(400, 300, quality=95)[:-200], PictureReason.DAMAGED),
        (as_file(picture(400, 300, color=RED))[:60], PictureReason.DAMAGED),
        (png_that_claims(50_000, 50_000), PictureReason.TOO_MANY_PIXELS),
        (png_that_claims(9_000, 9_000), PictureReason.TOO_MANY_PIXELS),
        (png_that_claims(30_000, 2), PictureReason.TOO_MANY_PIXELS),
        (png_that_claims(3_000, 3_000), PictureReason.DAMAGED),
    ],
    ids=[
        "nothing", "svg", "svg with a mark", "page", "pdf", "tiff", "heic", "gif that is a page", "sound",
        "png without chunks", "jpeg cut off", "png cut off", "bomb", "too many pixels", "too long", "too little data",
    ],
)  # fmt: skip
def test_a_file_that_is_no_whole_picture_is_refused_with_the_reason(data: bytes, reason: PictureReason) -> None:
    with pytest.raises(PictureRefused) as refused:
        encode_large(data)

    assert refused.value.reason is reason
    assert str(refused.value).endswith(".")
    assert "{" not in str(refused.value)


def test_what_is_appended_to_a_picture_is_gone() -> None:
    for data in (as_file(picture(), "GIF"), as_file(picture()), jpeg()):
        large, _ = encode_large(data + PAGE)

        assert b"script" not in large.data


def test_the_place_where_a_photo_was_taken_is_removed_and_the_photo_is_turned_upright() -> None:
    photo = jpeg_of_a_phone(orientation=6)
    assert opened(photo).getexif().get_ifd(ExifTags.IFD.GPSInfo)

    large, _ = encode_large(photo)

    shown = opened(large.data)
    assert shown.size == (large.width, large.height) == (40, 80)
    assert not dict(shown.getexif())
    assert not {"exif", "comment", "icc_profile"} & set(shown.info)
    for trace in (b"Exif", b"GPS", b"Lighthouse", b"taken at home"):
        assert trace not in large.data
    red = shown.getchannel("R")
    top, bottom = red.getpixel((20, 10)), red.getpixel((20, 70))
    assert isinstance(top, int)
    assert isinstance(bottom, int)
    assert top > 150 > bottom


def test_metadata_of_a_png_is_removed() -> None:
    image, exif = picture(), Image.Exif()
    exif[ExifTags.Base.Make] = "Lighthouse Cameras"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    large, _ = encode_large(as_file(image, exif=exif, icc_profile=profile, dpi=(300, 300)))

    assert large.suffix == "png"
    assert not opened(large.data).info


def test_an_animation_becomes_its_first_frame() -> None:
    large, was_animated = encode_large(animated_gif())

    assert was_animated
    assert getattr(opened(large.data), "n_frames", 1) == 1
    assert opened(large.data).convert("RGB").getpixel((0, 0)) == BLUE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_every_accepted_type_becomes_one_that_all_mail_programs_show(kind: str) -> None:
    large, was_animated = encode_large(as_file(picture(), kind))

    assert (large.suffix, opened(large.data).format) in {("jpg", "JPEG"), ("png", "PNG")}
    assert (large.width, large.height, was_animated) == (60, 40, False)


def test_the_colours_of_print_become_those_of_screens() -> None:
    large, _ = encode_large(as_file(picture(mode="CMYK", color=(0, 255, 255, 0)), "JPEG", quality=95))

    shown = opened(large.data)
    assert shown.mode == "RGB"
    red, green, blue = shown.getpixel((5, 5))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60


def test_sixteen_bits_become_eight_without_being_cut_off() -> None:
    image = Image.new("I;16", (30, 20), 32_768)

    large, _ = encode_large(as_file(image))

    assert opened(large.data).convert("RGB").getpixel((3, 3)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L"])
def test_each_way_of_storing_pixels_is_read(mode: str) -> None:
    image = picture(mode="RGBA", color=(*BLUE, 255))
    image.paste((0, 0, 0, 0), (0, 0, 10, 10))

    large, _ = encode_large(as_file(image.convert(mode)))

    is_transparent = mode in ("RGBA", "LA", "P")
    assert opened(large.data).mode == ("RGBA" if is_transparent else "RGB")


def test_a_broken_colour_profile_is_ignored() -> None:
    large, _ = encode_large(as_file(picture(), "JPEG", icc_profile=b"no profile at all"))

    assert (large.width, large.height) == (60, 40)


def test_a_picture_is_made_smaller_and_never_larger() -> None:
    wide, _ = encode_large(jpeg(3000, 1500))
    tall, _ = encode_large(as_file(picture(10, 6000)))
    small, _ = encode_large(jpeg(90, 60))

    assert (wide.width, wide.height) == (1200, 600)
    assert (tall.width, tall.height) == (4, 2400)
    assert (small.width, small.height) == (90, 60)


def test_a_noisy_photo_stays_light_enough_for_mails() -> None:
    noise = as_file(Image.effect_noise((1600, 1000), 40).convert("RGB"), "JPEG", quality=95)

    large, _ = encode_large(noise)
    story = encode_story(large.data, 50, 50)

    assert len(large.data) < len(noise) / 2
    assert len(story.data) <= STORY_BYTES
    assert large.suffix == "jpg"
    assert LARGE_BYTES > STORY_BYTES


def test_the_picture_of_a_story_is_three_by_two_around_the_focus() -> None:
    image = picture(1200, 400)
    image.paste(RED, (0, 0, 400, 400))
    large, _ = encode_large(as_file(image))

    left, right = (encode_story(large.data, x, 50) for x in (0, 100))

    assert (left.width, left.height) == (right.width, right.height) == (360, 240)
    assert opened(left.data).convert("RGB").getpixel((5, 5)) == RED
    assert opened(right.data).convert("RGB").getpixel((5, 5)) == BLUE


@pytest.mark.parametrize(("size", "story_size"), [((30, 20), (30, 20)), ((1, 1), (1, 1)), ((10, 400), (10, 7))])
def test_the_picture_of_a_story_is_not_enlarged(size: tuple[int, int], story_size: tuple[int, int]) -> None:
    large, _ = encode_large(as_file(picture(*size)))

    story = encode_story(large.data, 50, 50)

    assert (story.width, story.height) == story_size
