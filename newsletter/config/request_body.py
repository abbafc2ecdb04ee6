"""Request bodies without a length: read whole before Django sees them, or refused.

Proxies and HTTP clients send bodies with `Transfer-Encoding: chunked` (RFC 9112 §7.1). Django reads as many bytes as
Content-Length says, which is none, and would treat such a form as empty.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import IO, Any

#: In bytes: the largest body of any request. `client_max_body_size` in docs/deploy/nginx.conf is the same.
MAX_BODY_BYTES = 16 * 1024 * 1024

#: In bytes: larger bodies are kept in a temporary file.
MEMORY_BYTES = 512 * 1024

_CHUNK_BYTES = 64 * 1024

StartResponse = Callable[..., object]
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class BodyLengthMiddleware:
    """WSGI middleware that gives every body a CONTENT_LENGTH.

    A body whose end the web server does not mark (`wsgi.input_terminated`) is refused with 411, a body of more than
    `limit` bytes with 413.
    """

    def __init__(self, application: Application, limit: int = MAX_BODY_BYTES) -> None:
        self._application, self._limit = application, limit

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("CONTENT_LENGTH"):
            return self._application(environ, start_response)
        if not environ.get("wsgi.input_terminated"):
            if "HTTP_TRANSFER_ENCODING" in environ:
                return _refuse(start_response, HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length.")
            return self._application(environ, start_response)
        with tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES) as body:
            length = self._copy(environ["wsgi.input"], body)
            if length > self._limit:
                return _refuse(start_response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
            if not length and environ.get("SERVER_PROTOCOL") == "HTTP/1.0" and "HTTP_TRANSFER_ENCODING" in environ:
                # HTTP/1.0 has no transfer codings, so the server has not read the body (RFC 9112 §6.1).
                return _refuse(start_response, HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length.")
            body.seek(0)
            environ.update({"wsgi.input": body, "CONTENT_LENGTH": str(length)})
            return self._application(environ, start_response)

    def _copy(self, source: IO[bytes], target: IO[bytes]) -> int:
        """Copy at most one byte more than the limit. Returns the number of bytes."""
        length = 0
        while length <= self._limit and (chunk := source.read(min(_CHUNK_BYTES, self._limit + 1 - length))):
            length += len(chunk)
            target.write(chunk)
        return length


def _refuse(start_response: StartResponse, status: HTTPStatus, text: str) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]
