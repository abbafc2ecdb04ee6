"""Cleans pictures in a child process with limits on memory, CPU time and wall time: a decoder may hang or crash."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from newsletter.media.encoding import Encoded
from newsletter.media.reasons import PictureReason, PictureRefused

_PROJECT = Path(__file__).resolve().parents[2]
_CHILD = "newsletter.media.clean_child"

#: In bytes. A request may be a little larger than that: see newsletter/config/request_body.py.
MAX_UPLOAD_BYTES = 15_000_000
#: Seconds until the response, including the start of the child.
WALL_SECONDS = 40.0
ACCEPTED_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif")

__all__ = ["ACCEPTED_TYPES", "MAX_UPLOAD_BYTES", "Cleaned", "Encoded", "clean_picture", "crop_picture"]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The files of one picture."""

    large: Encoded
    story: Encoded
    """Three by two, for the list of stories."""
    was_animated: bool = False
    """Whether only the first of several frames is left."""


def clean_picture(data: bytes, *, x: int = 50, y: int = 50) -> Cleaned:
    """The files of an uploaded picture, with the part around the focus for stories. Raises PictureRefused."""
    if len(data) > MAX_UPLOAD_BYTES:
        raise PictureRefused(PictureReason.TOO_LARGE, megabytes=MAX_UPLOAD_BYTES // 1_000_000)
    if not data:
        raise PictureRefused(PictureReason.EMPTY)
    answer, (large, story) = _run({"job": "clean", "x": x, "y": y}, data)
    return Cleaned(large, story, was_animated=answer["was_animated"])


def crop_picture(large: bytes, *, x: int, y: int) -> Encoded:
    """The part of a large file around another focus, for stories. Raises PictureRefused."""
    _answer, (story,) = _run({"job": "crop", "x": x, "y": y}, large)
    return story


def _run(job: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Encoded]]:
    """The answer of a child process: a line of JSON, then the bytes of its files. Raises PictureRefused."""
    with TemporaryDirectory(prefix="picture-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module, without a shell
                [sys.executable, "-P", "-s", "-B", "-m", _CHILD],
                input=orjson.dumps(job) + b"\n" + data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"PYTHONPATH": str(_PROJECT), "PYTHONUTF8": "1"},
                timeout=WALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PictureRefused(PictureReason.TOO_MUCH_WORK) from error
    head, _line_end, rest = done.stdout.partition(b"\n")
    if done.returncode or not head:
        # Killed by a limit, or crashed: the decoder's fault is the file's, for who uploads it.
        raise PictureRefused(PictureReason.TOO_MUCH_WORK)
    answer = orjson.loads(head)
    if reason := answer.get("refused"):
        raise PictureRefused(PictureReason(reason), **answer["values"])
    return answer, _files(answer["files"], rest)


def _files(listed: list[dict[str, Any]], rest: bytes) -> list[Encoded]:
    files, start = [], 0
    for each in listed:
        size = each.pop("bytes")
        files.append(Encoded(**each, data=rest[start : start + size]))
        start += size
    return files
