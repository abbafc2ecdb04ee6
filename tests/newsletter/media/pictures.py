"""Files that tests upload, made when asked for."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import ExifTags, Image

BLUE, RED = (40, 70, 160), (200, 60, 40)


def picture(width: int = 60, height: int = 40, *, mode: str = "RGB", color: Any = BLUE) -> Image.Image:
    return Image.new(mode, (width, height), color)


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def jpeg(width: int = 60, height: int = 40, **options: Any) -> bytes:
    return as_file(picture(width, height), "JPEG", **options)


def jpeg_of_a_phone(orientation: int = 6) -> bytes:
    """A photo with the place where it was taken, held upright; its left half is red."""
    image = picture(80, 40)
    image.paste(RED, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Lighthouse Cameras"
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (53.0, 33.0, 7.0)}
    return as_file(image, "JPEG", exif=exif, comment=b"taken at home")


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 50_000)) + chunk(b"IEND", b"")


def animated_gif() -> bytes:
    frames = [picture(color=color) for color in (BLUE, RED)]
    return as_file(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
