"""The API that saves links to the inbox: `POST /api/links/` with a bearer token."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from newsletter.gathering.saving import LinkRefused, NewLink, checked, save_links, tags_in
from newsletter.gathering.tokens import TokenRefused, TokenThrottled, use_token
from newsletter.models import LinkWay

#: The permission that the user of a token needs.
PERMISSION = "newsletter.change_issue"
MAX_BODY = 100_000
TEXTS = ("url", "title", "note")


@csrf_exempt
@require_POST
def save_link(request: HttpRequest) -> JsonResponse:
    """Save the link in the JSON object of the body: `url`, and optionally `title`, `note` and `tags`, a list.

    201: saved; 200: it was in the inbox already. 400: the body is wrong; 401: the token is; 429: too many requests.
    """
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        return _unauthorized("Send the token as “Authorization: Bearer …”.")
    try:
        token = use_token(secret.strip(), PERMISSION, now=timezone.now())
        data = _object(request.body)
        links = checked([NewLink(data["url"].strip(), data["title"])])
        tags = tags_in(",".join(data["tags"]))
    except TokenRefused:
        return _unauthorized("This token is unknown or revoked, or its user may not change issues.")
    except TokenThrottled as error:
        answer = _error("Too many requests with this token.", HTTPStatus.TOO_MANY_REQUESTS)
        answer["Retry-After"] = str(error.wait)
        return answer
    except (LinkRefused, ValueError) as error:
        return _error(str(error.args[0]), HTTPStatus.BAD_REQUEST)
    saved = save_links(
        token.newsletter, links, way=LinkWay.API, by=token.user.get_username(), note=data["note"], tags=tags
    )[0]
    status = HTTPStatus.CREATED if saved.is_new else HTTPStatus.OK
    link = saved.link
    shown = {"id": link.pk, "url": link.url, "state": link.state, "saved_at": link.found_at, "is_new": saved.is_new}
    return _private(JsonResponse(shown, status=status))


def _object(body: bytes) -> dict[str, Any]:
    """The fields of the body. Raises ValueError."""
    if len(body) > MAX_BODY:
        raise ValueError("The body is too long.")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError("The body is not JSON.") from error
    if not isinstance(data, dict):
        raise ValueError("The body is not a JSON object.")
    if unknown := data.keys() - {*TEXTS, "tags"}:
        raise ValueError(f"Unknown field “{min(unknown)[:40]}”.")
    data = {name: data.get(name, "") for name in TEXTS} | {"tags": data.get("tags", [])}
    if not data["url"] or not all(isinstance(data[name], str) for name in TEXTS):
        raise ValueError("“url” is required; “url”, “title” and “note” are texts.")
    if not isinstance(data["tags"], list) or not all(isinstance(tag, str) for tag in data["tags"]):
        raise ValueError("“tags” is a list of texts.")
    return data


def _unauthorized(sentence: str) -> JsonResponse:
    answer = _error(sentence, HTTPStatus.UNAUTHORIZED)
    answer["WWW-Authenticate"] = 'Bearer realm="links"'
    return answer


def _error(sentence: str, status: HTTPStatus) -> JsonResponse:
    return _private(JsonResponse({"error": sentence}, status=status))


def _private(answer: JsonResponse) -> JsonResponse:
    answer["Cache-Control"] = "no-store"
    return answer
