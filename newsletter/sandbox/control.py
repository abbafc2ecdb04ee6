"""Controls the sandbox over HTTP: `/sandbox/…`.

GET    /sandbox/ledger               totals of accepted mails; ?tag=NAME groups them by the values of a tag
GET    /sandbox/ledger/mails         accepted mails, newest first (?limit, ?after, ?before, ?to=part of an address)
GET    /sandbox/ledger/calls         every attempt to send
GET    /sandbox/faults               planned faults;  POST plans more;  DELETE clears them
GET    /sandbox/webhooks             counts of events
POST   /sandbox/webhooks/replay      {"svix_id"} or {"email_id"} or {"state": "failed"}: post finished events again
POST   /sandbox/events               {"email_id", "type", …detail}: trigger an event for a mail now
POST   /sandbox/received             {"from", "to", "subject", "attachments": [{"filename", "content_type", "content"
                                     in Base64}]}: receive a mail
GET    /sandbox/received/ID/attachments/ID   an attachment, at the signed address that the API names
PATCH  /sandbox/options              change options while the server runs
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from newsletter.sandbox.exchange import Request, Response, find_handler, json_response, route
from newsletter.sandbox.faults import read_faults
from newsletter.sandbox.ledger import LedgerMail
from newsletter.sandbox.options import EMAIL_EVENTS, SandboxOptions
from newsletter.sandbox.outcomes import PlannedEvent
from newsletter.sandbox.paging import read_page
from newsletter.sandbox.received import ReceivedFile
from newsletter.sandbox.receiving_api import read_recipients
from newsletter.sandbox.refusals import Refusal, refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.time_format import format_time

#: Options that are read only when the server starts.
_FIXED_OPTIONS = frozenset({"port", "ledger", "webhook_workers"})

#: Options that are sets of names.
_NAME_SETS = frozenset({"webhook_events", "verified_domains", "open_tracking_domains", "click_tracking_domains"})


class Control:
    """`/sandbox/…`: available to every process on this machine, without a key."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._routes = (
            route("GET", "/sandbox/ledger", self._ledger),
            route("GET", "/sandbox/ledger/mails", self._mails),
            route("GET", "/sandbox/ledger/calls", self._calls),
            route("GET", "/sandbox/faults", self._faults),
            route("POST", "/sandbox/faults", self._plan_faults),
            route("DELETE", "/sandbox/faults", self._clear_faults),
            route("GET", "/sandbox/webhooks", self._webhooks),
            route("POST", "/sandbox/webhooks/replay", self._replay),
            route("POST", "/sandbox/events", self._trigger),
            route("POST", "/sandbox/received", self._receive),
            route("GET", "/sandbox/received/{}/attachments/{}", self._download),
            route("PATCH", "/sandbox/options", self._change_options),
        )

    def answer(self, request: Request) -> Response:
        """The answer to one request."""
        try:
            handler, parts = find_handler(self._routes, request.method, request.path)
            return handler(request, *parts)
        except Refusal as error:
            return json_response(error.body, error.status)

    def _ledger(self, request: Request) -> Response:
        ledger, tag = self._team.ledger, request.query.get("tag")
        return json_response(ledger.by_tag(tag) if tag else ledger.summary())

    def _mails(self, request: Request) -> Response:
        ledger = self._team.ledger
        page = read_page(request, ledger.number_of)
        mails, more = ledger.page(page, self._team.clock(), request.query.get("to", ""))
        return json_response({"has_more": more, "mails": [_described(mail) for mail in mails]})

    def _calls(self, _request: Request) -> Response:
        return json_response({"calls": self._team.ledger.calls()})

    def _faults(self, _request: Request) -> Response:
        return json_response({"faults": [dataclasses.asdict(fault) for fault in self._team.faults.waiting()]})

    def _plan_faults(self, request: Request) -> Response:
        faults = read_faults(request.json())
        self._team.faults.plan(*faults)
        return json_response({"planned": len(faults)}, 201)

    def _clear_faults(self, request: Request) -> Response:
        self._team.faults.clear()
        return self._faults(request)

    def _webhooks(self, _request: Request) -> Response:
        return json_response({"url": self._team.options.webhook_url, **self._team.events.summary()})

    def _replay(self, request: Request) -> Response:
        body = request.json_object()
        svix_id, state = _text(body, "svix_id"), _text(body, "state")
        mail = self._mail(body).number if "email_id" in body else None
        if not (svix_id or state or mail):
            raise refusal("missing_required_field", "Missing `svix_id`, `email_id` or `state` field.")
        replayed = self._team.events.replay(self._team.clock(), svix_id=svix_id, mail=mail, state=state)
        return json_response({"replayed": replayed})

    def _trigger(self, request: Request) -> Response:
        body = request.json_object()
        event_type = _text(body, "type") or ""
        if event_type not in EMAIL_EVENTS:
            raise refusal("validation_error", f"The `type` must be one of {', '.join(sorted(EMAIL_EVENTS))}.")
        self._team.trigger(self._mail(body), PlannedEvent(event_type, 0.0, _detail(body)))
        return json_response({"triggered": event_type}, 201)

    def _receive(self, request: Request) -> Response:
        body = request.json_object()
        sender, subject, files = _text(body, "from"), _text(body, "subject") or "", body.get("attachments", [])
        if not sender:
            raise refusal("missing_required_field", "Missing `from` field.")
        if not isinstance(files, list):
            raise refusal("validation_error", "The `attachments` field must be an array.")
        uid = self._team.receive(sender, read_recipients(body.get("to")), subject, [_file(each) for each in files])
        return json_response({"id": uid}, 201)

    def _download(self, request: Request, mail_id: str, file_id: str) -> Response:
        received = self._team.received
        expires, signature = (request.query.get(name, "") for name in ("expires", "signature"))
        mail = received.mail(mail_id)
        file = received.content(mail, file_id) if mail is not None else None
        if file is None or not received.is_signed(mail_id, file_id, expires, signature, self._team.clock()):
            # As CloudFront answers to an address that is not signed, or no longer valid.
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
        return Response(200, file.content, file.content_type)

    def _change_options(self, request: Request) -> Response:
        self._team.options = changed_options(self._team.options, request.json_object())
        return json_response({"changed": sorted(request.json_object())})

    def _mail(self, body: dict[str, object]) -> LedgerMail:
        mail = self._team.ledger.mail(_text(body, "email_id") or "", self._team.clock())
        if mail is None:
            raise refusal("not_found", "Email not found")
        return mail


def changed_options(options: SandboxOptions, changes: dict[str, Any]) -> SandboxOptions:
    """Options with some values replaced; lists from JSON are converted. Raises Refusal (422) for an invalid value."""
    fixed = _FIXED_OPTIONS.intersection(changes)
    if fixed:
        raise refusal("validation_error", f"{', '.join(sorted(fixed))} can be set only when the sandbox starts.")
    try:
        values = {name: _converted(name, value) for name, value in changes.items()}
        return dataclasses.replace(options, **values)
    except (TypeError, ValueError) as error:
        raise refusal("validation_error", str(error)) from error


def _converted(name: str, value: Any) -> Any:
    if name == "webhook_secrets" and isinstance(value, list):
        return tuple(value)
    if name in _NAME_SETS and isinstance(value, list):
        return frozenset(value)
    return value


def _text(body: dict[str, object], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise refusal("validation_error", f"The `{name}` field must be a `string`.")
    return value


def _file(value: object) -> ReceivedFile:
    """An attachment from JSON. Raises Refusal."""
    if not isinstance(value, dict):
        raise refusal("validation_error", "Each attachment must be an object.")
    try:
        content = base64.b64decode(_text(value, "content") or "", validate=True)
    except ValueError as error:
        raise refusal("invalid_attachment", "The `content` of an attachment must be Base64.") from error
    content_type = _text(value, "content_type") or "application/octet-stream"
    if not content_type.isascii() or not content_type.isprintable():
        raise refusal("invalid_attachment", "The `content_type` of an attachment must be ASCII.")
    return ReceivedFile(filename=_text(value, "filename"), content_type=content_type, content=content)


def _detail(body: dict[str, object]) -> dict[str, object]:
    """The part of an event's payload that depends on its type, under Resend's name for it."""
    detail = {name: value for name, value in body.items() if name not in ("type", "email_id")}
    for name, value in detail.items():
        if name not in ("bounce", "click", "failed", "suppressed") or not isinstance(value, dict):
            raise refusal("validation_error", f"`{name}` must be a `bounce`, `click`, `failed` or `suppressed` object.")
    return detail


def _described(mail: LedgerMail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "created_at": format_time(mail.created_at),
        "to": mail.envelope["to"],
        "subject": mail.envelope["subject"],
        "tags": mail.tags,
        "last_event": mail.last_event,
    }
