"""While the database is away or read-only, requests that need it are answered with 503 instead of 500."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable

from django.db import Error, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.log import log_response
from django.utils.translation import gettext as _
from django.views.defaults import server_error as plain_server_error

#: In seconds: when clients should try again.
RETRY_AFTER = 30

#: Paths of programs, which get a sentence instead of a page.
PROGRAM_PATHS = ("/webhooks/",)

#: Primary result codes of SQLite that say that its file cannot be used now (https://sqlite.org/rescode.html).
SQLITE_CODES = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
}

#: SQLSTATEs of PostgreSQL that psycopg reports as internal errors: a read-only transaction, and two timeouts that end
#: the connection (https://www.postgresql.org/docs/current/errcodes-appendix.html).
POSTGRESQL_CODES = {"25006", "25P03", "25P04"}
#: The class of SQLSTATEs that is an operational error to psycopg, but due to the query: program limit exceeded.
PROGRAM_LIMIT = "54"


def is_outage(error: BaseException | None) -> bool:
    """Whether the error says that the database is away, read-only, full or busy, and not that a query is wrong."""
    if not isinstance(error, Error):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # The low byte of an extended result code is the primary one. Errors of the sqlite3 module itself have none.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_CODES
    code = getattr(cause, "sqlstate", None) or ""
    if code in POSTGRESQL_CODES:
        return True
    # Without a code it is an error of the connection, such as "connection refused" or "the connection is closed".
    return isinstance(error, InterfaceError) or (isinstance(error, OperationalError) and code[:2] != PROGRAM_LIMIT)


class DatabaseOutageMiddleware:
    """Answers for views that the database has failed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle one request."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A 503 for an outage; None for every other error, which Django handles."""
        return unavailable(request, exception) if is_outage(exception) else None


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, for errors outside of views: those of middleware that loads or saves sessions."""
    error = sys.exc_info()[1]
    return unavailable(request, error) if error and is_outage(error) else plain_server_error(request)


def unavailable(request: HttpRequest, error: BaseException) -> HttpResponse:
    """A 503 in words. The database's message goes to the log."""
    if request.path_info.startswith(PROGRAM_PATHS):
        text, kind = _("The database is unavailable. Try again later."), "text/plain"
    else:
        text, kind = render_to_string("503.html"), "text/html"
    headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
    response = HttpResponse(text, status=503, content_type=f"{kind}; charset=utf-8", headers=headers)
    # Instead of Django's own line, which would not name the cause.
    log_response("The database is unavailable: %s", error, response=response, request=request)
    return response
