"""The POST of a mail program's unsubscribe button (RFC 8058 §3.1), in the forms in which it arrives."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from django.http import HttpRequest

FIELD, VALUE = "List-Unsubscribe", "One-Click"

#: In bytes. The body has 26; in multipart form, or with fields of the mail program, some hundred.
MAX_BODY_BYTES = 16 * 1024

_PART = re.compile(
    rf'^content-disposition: *form-data *;[^\r\n]*\bname="?{FIELD}"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n\s*{VALUE}\s*$',
    re.IGNORECASE | re.MULTILINE,
)


def is_one_click(request: HttpRequest) -> bool:
    """Whether the request is a one-click POST.

    The body decides: mail programs and the relays between them add a line break, leave Content-Type out or name other
    character sets, which Django refuses for forms. All of them agree on the ASCII that is looked for here.
    """
    if request.method != "POST" or int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        return False
    body = request.body.decode("latin-1").strip()
    if body.startswith("--"):
        return _has_part(body)
    try:
        fields = parse_qsl(body, max_num_fields=100)
    except ValueError:
        return False
    return any((name.strip(), value.strip()) == (FIELD, VALUE) for name, value in fields)


def _has_part(body: str) -> bool:
    """Whether a part of a multipart/form-data body (RFC 7578) is the field. The first line is the boundary."""
    boundary = body.splitlines()[0].rstrip()
    return any(VALUE in part and _PART.search(part.strip()) for part in body.split(boundary))
