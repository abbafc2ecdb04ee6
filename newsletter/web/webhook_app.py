"""Webhooks as a WSGI application in front of Django: during a send they come by the thousand, and need none of it.

No middleware sees them: no check of the Host, no redirect to https, no session. What authenticates them is their
signature, and no answer has anything of the request in it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

from django.db import Error

from newsletter.config.request_body import Application, BodyLengthMiddleware, StartResponse
from newsletter.web.database_outage import is_outage
from newsletter.web.webhooks import CONTENT_TYPE, MAX_BODY_SIZE, UNAVAILABLE, WebhookAnswer, receive_webhook

log = logging.getLogger(__name__)

#: As the URL of the view.
PATH = re.compile(r"/webhooks/([-a-zA-Z0-9_]+)/")


class WebhookApplication:
    """Answers exactly the paths of webhooks; all other requests go to `otherwise`."""

    def __init__(self, otherwise: Application) -> None:
        self._otherwise, self._webhook = otherwise, BodyLengthMiddleware(_webhook, MAX_BODY_SIZE)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        is_webhook = PATH.fullmatch(environ.get("PATH_INFO", ""))
        return (self._webhook if is_webhook else self._otherwise)(environ, start_response)


def _webhook(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    status, text, headers = _answer(environ["PATH_INFO"].split("/")[2], environ)
    body = text.encode()
    fixed = (("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body))))
    start_response(f"{status.value} {status.phrase}", [*fixed, *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _answer(name: str, environ: dict[str, Any]) -> WebhookAnswer:
    try:
        return receive_webhook(name, environ)
    except Error as error:
        if not is_outage(error):
            raise  # the web server answers 500 and logs it
        log.error("The database is unavailable: %s", error)
        return UNAVAILABLE
