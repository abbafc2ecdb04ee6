"""Which form of answer a program asks for."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils.cache import patch_vary_headers


def wants_json(request: HttpRequest) -> bool:
    """Whether the Accept header prefers JSON to a page."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def json_answer(content: dict[str, object], *, status: int, allow_origin: bool = False) -> JsonResponse:
    """A JSON answer that no cache keeps. `allow_origin`: scripts of other sites may read it; no cookie goes with it."""
    response = JsonResponse(content, status=status, json_dumps_params={"ensure_ascii": False})
    response["Cache-Control"] = "no-store"
    if allow_origin:
        response["Access-Control-Allow-Origin"] = "*"
    patch_vary_headers(response, ["Accept"])
    return response
