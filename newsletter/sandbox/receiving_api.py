"""API calls about received mails and their attachments.

Sources: resend.com/docs/api-reference/emails (retrieve and list received emails), …/attachments (list and retrieve
received attachments), the SDK for Python (2.51).
"""

from __future__ import annotations

import sqlite3
from typing import Any

from newsletter.sandbox.exchange import Request, Response, json_response
from newsletter.sandbox.paging import read_page
from newsletter.sandbox.received import DOWNLOAD_SECONDS, ORIGINAL, described_file, event_data
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.time_format import format_time
from newsletter.sandbox.validation import is_uuid


class Receiving:
    """`/emails/receiving`."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def list(self, request: Request) -> Response:
        """GET /emails/receiving: newest first, without contents."""
        received = self._team.received
        mails, more = received.page(read_page(request, received.number_of))
        return json_response({"object": "list", "has_more": more, "data": [self._listed(mail) for mail in mails]})

    def get(self, request: Request, uid: str) -> Response:
        """GET /emails/receiving/{id}. The sandbox reads no text from the original."""
        mail = self._mail(uid)
        original = None if mail["original"] is None else self._address(request, mail, ORIGINAL)
        contents: dict[str, Any] = {"html": None, "text": None, "headers": {}, "reply_to": [], "received_for": []}
        return json_response({"object": "email", **self._listed(mail), **contents, "raw": original})

    def list_files(self, request: Request, uid: str) -> Response:
        """GET /emails/receiving/{id}/attachments."""
        mail, received = self._mail(uid), self._team.received
        files, more = received.files(mail, read_page(request, received.file_number))
        found = [self._signed(request, mail, file) for file in files]
        return json_response({"object": "list", "has_more": more, "data": found})

    def get_file(self, request: Request, uid: str, file_id: str) -> Response:
        """GET /emails/receiving/{id}/attachments/{attachment_id}."""
        mail = self._mail(uid)
        if not is_uuid(file_id):
            raise refusal("invalid_parameter", "The `id` must be a valid UUID.")
        file = self._team.received.file(mail, file_id)
        if file is None:
            raise refusal("not_found", "Attachment not found")
        return json_response({"object": "attachment", **self._signed(request, mail, file)})

    def _listed(self, mail: sqlite3.Row) -> dict[str, Any]:
        files, _more = self._team.received.files(mail)
        data = event_data(mail, files)
        return {"id": data.pop("email_id"), **data, "attachments": [described_file(file) for file in files]}

    def _signed(self, request: Request, mail: sqlite3.Row, file: sqlite3.Row) -> dict[str, Any]:
        return {**described_file(file), **self._address(request, mail, file["uid"])}

    def _address(self, request: Request, mail: sqlite3.Row, file: str) -> dict[str, str]:
        """Where a file is loaded from, on the host that was called."""
        expires_at = self._team.clock() + DOWNLOAD_SECONDS
        path = self._team.received.download_path(mail["uid"], file, expires_at)
        host = request.headers.get("host", "")
        return {"download_url": f"http://{host}{path}", "expires_at": format_time(expires_at)}

    def _mail(self, uid: str) -> sqlite3.Row:
        if not is_uuid(uid):
            raise refusal("invalid_parameter", "The `id` must be a valid UUID.")
        mail = self._team.received.mail(uid)
        if mail is None:
            raise refusal("not_found", "Email not found")
        return mail


def read_recipients(value: object) -> list[str]:
    """The recipients of a mail to receive, from JSON. Raises Refusal."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise refusal("validation_error", "The `to` field must be a `string` or an array of strings.")
    return names
