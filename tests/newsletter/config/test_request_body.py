"""Bodies without a length are read whole, or refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.config.request_body import BodyLengthMiddleware

LIMIT = 1000


class Trickle(io.RawIOBase):
    """A stream whose reads return a few bytes each, as those of a socket do."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = data, step
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        part = self._data[self.taken : self.taken + min(self._step, size)]
        self.taken += len(part)
        return part


def ask(environ: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """The status, and the environment that the application has seen, its body read as far as the length says."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        seen.update(environ, body=environ["wsgi.input"].read(length))
        start_response("200 OK", [])
        return []

    statuses: list[str] = []
    list(BodyLengthMiddleware(application, LIMIT)(environ, lambda status, headers: statuses.append(status)))
    return statuses[0], seen or None


@example(data=b"a" * LIMIT, step=300)
@example(data=b"a" * (LIMIT + 1), step=300)
@example(data=b"a" * (2 * LIMIT), step=700)
@given(data=st.binary(max_size=LIMIT + 300), step=st.integers(1, 700))
def test_a_body_without_a_length_gets_one_or_is_too_large(data: bytes, step: int) -> None:
    stream = Trickle(data, step)
    status, seen = ask({"wsgi.input": stream, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"})
    if len(data) > LIMIT:
        assert (status.split()[0], seen) == ("413", None), "the phrase differs between versions of Python"
        assert stream.taken == LIMIT + 1, "no more is read than is needed to know"
    else:
        assert seen is not None
        assert (seen["CONTENT_LENGTH"], seen["body"]) == (str(len(data)), data)


def test_a_body_with_a_length_is_left_to_the_server() -> None:
    stream = Trickle(b"a=b", 10)
    _status, seen = ask({"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": "3"})
    assert seen is not None
    assert (seen["wsgi.input"], seen["body"]) == (stream, b"a=b")


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""},
        {"HTTP_TRANSFER_ENCODING": "chunked", "SERVER_PROTOCOL": "HTTP/1.0", "wsgi.input_terminated": True},
    ],
)
def test_a_body_whose_end_the_server_does_not_know_needs_a_length(environ: dict[str, Any]) -> None:
    assert ask({"wsgi.input": Trickle(b"", 1), **environ}) == ("411 Length Required", None)


def test_a_request_without_a_body_passes() -> None:
    assert ask({"wsgi.input": Trickle(b"", 1)})[0] == "200 OK"
    assert ask({"wsgi.input": Trickle(b"", 1), "wsgi.input_terminated": True})[0] == "200 OK"
