"""API calls about accepted mails: list, get, reschedule, cancel."""

from __future__ import annotations

from typing import Any

from newsletter.sandbox.exchange import Request, Response, json_response
from newsletter.sandbox.ledger import LedgerMail
from newsletter.sandbox.paging import read_page
from newsletter.sandbox.plaintext import text_of
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.time_format import format_time
from newsletter.sandbox.validation import is_uuid, read_schedule


class Mailbox:
    """`/emails`, except for sending."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def list_mails(self, request: Request) -> Response:
        """GET /emails: newest first, with `last_event`, without contents."""
        ledger = self._team.ledger
        mails, more = ledger.page(read_page(request, ledger.number_of), self._team.clock())
        return json_response({"object": "list", "has_more": more, "data": [_listed(mail) for mail in mails]})

    def get_mail(self, _request: Request, uid: str) -> Response:
        """GET /emails/{id}."""
        mail = self._mail(uid)
        contents = self._team.ledger.contents(mail)
        html, text = contents.get("html") or "", contents.get("text")
        return json_response(
            {
                "object": "email",
                **_listed(mail),
                "html": html,
                # A missing text is generated from the HTML; an empty one stays empty.
                "text": text_of(html) if text is None else text,
                "tags": [{"name": name, "value": value} for name, value in mail.tags.items()],
            }
        )

    def reschedule(self, request: Request, uid: str) -> Response:
        """PATCH /emails/{id}: changes `scheduled_at`."""
        mail, now = self._scheduled_mail(uid), self._team.clock()
        scheduled_at = request.json_object().get("scheduled_at")
        if not isinstance(scheduled_at, str):
            raise refusal("missing_required_field", "Missing `scheduled_at` field.")
        self._team.ledger.reschedule(mail, read_schedule(scheduled_at, now), now)
        return json_response({"object": "email", "id": uid})

    def cancel(self, _request: Request, uid: str) -> Response:
        """POST /emails/{id}/cancel."""
        self._team.ledger.cancel(self._scheduled_mail(uid), self._team.clock())
        return json_response({"object": "email", "id": uid})

    def _mail(self, uid: str) -> LedgerMail:
        if not is_uuid(uid):
            raise refusal("invalid_parameter", "The `id` must be a valid UUID.")
        mail = self._team.ledger.mail(uid, self._team.clock())
        if mail is None:
            raise refusal("not_found", "Email not found")
        return mail

    def _scheduled_mail(self, uid: str) -> LedgerMail:
        mail = self._mail(uid)
        if mail.last_event != "scheduled":
            raise refusal("validation_error", "Only a scheduled email can be changed or canceled.")
        return mail


def _listed(mail: LedgerMail) -> dict[str, Any]:
    envelope = mail.envelope
    return {
        "id": mail.id,
        "message_id": mail.message_id,
        "to": envelope["to"],
        "from": envelope["from"],
        "created_at": format_time(mail.created_at),
        "subject": envelope["subject"],
        "bcc": envelope["bcc"],
        "cc": envelope["cc"],
        "reply_to": envelope["reply_to"],
        "last_event": mail.last_event,
        "scheduled_at": None if mail.scheduled_at is None else format_time(mail.scheduled_at),
    }
