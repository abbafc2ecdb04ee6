"""HTTP requests, responses and routes."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import orjson

from newsletter.sandbox.refusals import refusal

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class Ending(enum.Enum):
    """How a response is sent; a fault can interrupt it."""

    WHOLE = "whole"
    #: The connection is reset and nothing is sent.
    RESET = "reset"
    #: The headers announce the whole body, half of it is sent, then the connection closes.
    CUT = "cut"
    #: Nothing is sent for a while, then the connection closes.
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `path` is as sent (still quoted), header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON; an empty body is `{}`. Raises Refusal (400) if it is not JSON."""
        try:
            parsed: object = orjson.loads(self.body or b"{}")
        except orjson.JSONDecodeError as error:
            raise refusal("validation_error", "The request body must be valid JSON.", status=400) from error
        return parsed

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object. Raises Refusal (422) if it is something else."""
        parsed = self.json()
        if not isinstance(parsed, dict):
            raise refusal("validation_error", "The request body must be a JSON object.")
        return parsed


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Ending = Ending.WHOLE
    #: Seconds, with Ending.SILENCE.
    seconds: float = 0.0


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(status, orjson.dumps(value), headers=headers or {})


Handler = Callable[..., Response]
#: (method, pattern of the path, handler). The handler gets the request and the pattern's groups, unquoted.
Route = tuple[str, re.Pattern[str], Handler]


def route(method: str, pattern: str, handler: Handler) -> Route:
    """A route; `{}` matches one part of the path."""
    return method, re.compile(pattern.replace("{}", "([^/]+)")), handler


def find_handler(routes: tuple[Route, ...], method: str, path: str) -> tuple[Handler, list[str]]:
    """The handler of `method` on `path`, and the path's parts. Raises Refusal (404 or 405) if there is none."""
    wrong_method = False
    for known_method, pattern, handler in routes:
        match = pattern.fullmatch(path)
        if match and known_method == method:
            return handler, [unquote(part) for part in match.groups()]
        wrong_method = wrong_method or match is not None
    raise refusal("method_not_allowed" if wrong_method else "not_found")
