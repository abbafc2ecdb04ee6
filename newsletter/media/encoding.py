"""Decodes a picture and encodes it anew for mails. Pure; runs in the limited process, since files may be hostile.

What comes out was written by this module: metadata, colour profiles, further frames and appended data are gone.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import AvifImagePlugin, ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from newsletter.media.reasons import ACCEPTED, PictureReason, PictureRefused

#: In pixels. Mails are 600 wide, and screens have up to two pixels for each of a mail.
LARGE_WIDTH, LARGE_HEIGHT = 1200, 2400
#: Of a story: three by two, twice the widest that a theme shows.
STORY_WIDTH, STORY_HEIGHT = 360, 240
#: In bytes: above these, JPEG is encoded with less quality, down to the last one.
LARGE_BYTES, STORY_BYTES = 160_000, 40_000
QUALITIES = (82, 75, 68)
#: In bytes: the largest PNG of a picture without transparency that stays a PNG.
SHARP_BYTES = 120_000

MAX_PIXELS, MAX_SIDE = 50_000_000, 20_000
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF")
_AVIF, _HEIC = (b"avif", b"avis"), (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

#: By the value of EXIF's orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Threads count as processes, of which the limited process may start none.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One file, of the type that its suffix says: `jpg` or `png`."""

    suffix: str
    width: int
    height: int
    data: bytes


def encode_large(data: bytes) -> tuple[Encoded, bool]:
    """The picture at most LARGE_WIDTH wide, and whether it is the first frame of an animation. Raises PictureRefused.

    An animation becomes its first frame: recipients could not stop it (WCAG 2.2.2), and Outlook shows no other.
    """
    _refuse_other_types(data)
    with _opened(data) as image:
        is_animated = getattr(image, "is_animated", False)
        keeps_edges = image.format in ("PNG", "GIF")
        # A JPEG of a camera is decoded at a half, a quarter or an eighth of its size.
        image.draft(None, (2 * LARGE_WIDTH, 2 * LARGE_HEIGHT))
        turn = _TURNS.get(_orientation(image))
        shown = _in_srgb(image)
    if turn is not None:
        shown = shown.transpose(turn)
    shown.thumbnail((LARGE_WIDTH, LARGE_HEIGHT), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _encoded(shown, LARGE_BYTES, keeps_edges=keeps_edges), is_animated


def encode_story(large: bytes, x: int, y: int) -> Encoded:
    """The part around the focus, three by two; `x` and `y` in percent from the left and the top. Never enlarged.

    `large` is a file that `encode_large` has made. Raises PictureRefused.
    """
    with _opened(large) as image:
        keeps_edges = image.format == "PNG"
        shown = _in_srgb(image)
    width = max(1, min(STORY_WIDTH, shown.width, shown.height * 3 // 2))
    size = (width, max(1, round(width * 2 / 3)))
    cut = ImageOps.fit(shown, size, Image.Resampling.LANCZOS, centering=(x / 100, y / 100))
    return _encoded(cut, STORY_BYTES, keeps_edges=keeps_edges)


def _refuse_other_types(data: bytes) -> None:
    if not data:
        raise PictureRefused(PictureReason.EMPTY)
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _AVIF or data.startswith(_MAGIC):
        return
    if brand in _HEIC:
        raise PictureRefused(PictureReason.HEIC)
    if b"<svg" in data[:2000].lower():
        raise PictureRefused(PictureReason.SVG)
    raise PictureRefused(PictureReason.NO_PICTURE, types=ACCEPTED)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture, not decoded yet. Each error of a decoder becomes a refusal."""
    too_many = PictureRefused(PictureReason.TOO_MANY_PIXELS, megapixels=MAX_PIXELS // 1_000_000, side=MAX_SIDE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
                    raise too_many
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many from error
    except UnidentifiedImageError as error:
        raise PictureRefused(PictureReason.DAMAGED) from error
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise PictureRefused(PictureReason.DAMAGED) from error


def _in_srgb(image: Image.Image) -> Image.Image:
    """The first frame, decoded, as RGB or RGBA in sRGB."""
    profile = image.info.get("icc_profile")
    image.load()
    shown: Image.Image = image
    if shown.mode.startswith("I") or shown.mode == "F":
        # 16 bits for each pixel; Pillow would cut off what is above 255.
        shown = shown.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        shown.info = {}
    alpha = None
    if "transparency" in shown.info or shown.mode[-1] in "Aa":
        alpha = shown.convert("RGBA").getchannel("A")
    converted = _through_profile(shown, profile) or shown.convert("RGBA" if shown.mode == "P" else "RGB")
    converted = converted.convert("RGB")
    if alpha is not None and alpha.getextrema()[0] != 255:
        converted.putalpha(alpha)
    return converted


def _through_profile(image: Image.Image, profile: Any) -> Image.Image | None:
    """The colours as sRGB has them; None without a profile, or with one that is broken or of another kind."""
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _orientation(image: Image.Image) -> int:
    """How the camera was held, as EXIF says; 1 if it says nothing or nonsense."""
    with contextlib.suppress(Exception):  # as many errors as there are ways to break it, and none matters
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _encoded(image: Image.Image, most_bytes: int, *, keeps_edges: bool) -> Encoded:
    """As PNG if it is transparent or was drawn, else as JPEG: both are shown by every mail program."""
    image.info = {}  # Pillow would write comments and profiles of it
    if image.mode == "RGBA":
        return _file("png", image, _as_png(image))
    if keeps_edges and len(sharp := _as_png(image)) <= SHARP_BYTES:
        return _file("png", image, sharp)
    data = b""
    for quality in QUALITIES:
        target = io.BytesIO()
        image.save(target, "JPEG", quality=quality, optimize=True, progressive=True)
        data = target.getvalue()
        if len(data) <= most_bytes:
            break
    return _file("jpg", image, data)


def _as_png(image: Image.Image) -> bytes:
    data = _png_bytes(image)
    if image.mode == "RGBA" and len(data) > LARGE_BYTES:
        return min(data, _png_bytes(image.quantize(256, Image.Quantize.FASTOCTREE)), key=len)
    return data


def _png_bytes(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()


def _file(suffix: str, image: Image.Image, data: bytes) -> Encoded:
    return Encoded(suffix=suffix, width=image.width, height=image.height, data=data)
