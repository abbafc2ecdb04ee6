"""Serves the files of pictures, from the storage and without the database: mails load them while it is down, too."""

from __future__ import annotations

from http import HTTPStatus

from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.views.decorators.http import require_safe

from newsletter.content.picture_address import FILE_PATH

_TYPES = {"jpg": "image/jpeg", "png": "image/png"}

#: A year: a name never has another content.
CACHE = "public, max-age=31536000, immutable"


@require_safe
def picture_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """One file, which every cache may keep for good; 404 for every other path, without a page around it."""
    name = FILE_PATH.fullmatch(path)
    if name is None:
        return _missing()
    etag = f'"{name["digest"]}"'
    if request.headers.get("If-None-Match") == etag:
        return _cacheable(HttpResponseNotModified(), etag)
    try:
        file = default_storage.open(path, "rb")
    except (FileNotFoundError, IsADirectoryError):
        return _missing()
    response = FileResponse(file, content_type=_TYPES[name["suffix"]])
    # FileResponse would name the file as on the disk of this machine.
    response["Content-Disposition"] = "inline"
    return _cacheable(response, etag)


def _cacheable(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response["Cache-Control"], response["ETag"] = CACHE, etag
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # Web mail and feed readers show pictures on pages of their own.
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _missing() -> HttpResponse:
    """Not cached for long: a file may be on its way from another machine."""
    response = HttpResponse("Not found\n", status=HTTPStatus.NOT_FOUND, content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response
