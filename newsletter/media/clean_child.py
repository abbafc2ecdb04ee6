"""The child of `clean`: sets its own limits, then cleans one picture from stdin to stdout.

Run as `python -m newsletter.media.clean_child`. The request is a line of JSON and the bytes of the file; so is the
response, with the bytes of each file that was made. Without a response, a limit ended it.
"""

from __future__ import annotations

import resource
import sys
from typing import Any

import orjson

from newsletter.media.encoding import Encoded, encode_large, encode_story
from newsletter.media.reasons import PictureRefused

#: Bytes of address space, including the interpreter's: fifty million pixels with transparency, twice, and a reserve.
MEMORY = 1_200_000_000
#: Seconds of CPU time.
CPU = 30


def main() -> int:
    """Clean the picture and write the response. Returns the exit status."""
    for which, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (limit, limit))
    head, _line_end, data = sys.stdin.buffer.read().partition(b"\n")
    job = orjson.loads(head)
    try:
        answer, files = _clean(data, job) if job["job"] == "clean" else _crop(data, job)
    except PictureRefused as refusal:
        answer, files = {"refused": refusal.reason, "values": refusal.values}, []
    answer["files"] = [
        {"suffix": each.suffix, "width": each.width, "height": each.height, "bytes": len(each.data)} for each in files
    ]
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n" + b"".join(each.data for each in files))
    sys.stdout.buffer.flush()
    return 0


def _clean(data: bytes, job: dict[str, Any]) -> tuple[dict[str, Any], list[Encoded]]:
    large, was_animated = encode_large(data)
    return {"was_animated": was_animated}, [large, encode_story(large.data, job["x"], job["y"])]


def _crop(data: bytes, job: dict[str, Any]) -> tuple[dict[str, Any], list[Encoded]]:
    return {}, [encode_story(data, job["x"], job["y"])]


if __name__ == "__main__":
    sys.exit(main())
