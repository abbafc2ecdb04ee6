"""API calls about the webhook endpoint and its log of events.

Sources: resend.com/docs/api-reference/webhooks, the SDKs for Python (2.51) and Node (6.38).
"""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from newsletter.sandbox.control import changed_options
from newsletter.sandbox.exchange import Request, Response, json_response
from newsletter.sandbox.paging import read_limit, read_page
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.time_format import format_time
from newsletter.sandbox.validation import is_uuid


class Webhooks:
    """`/webhooks`. The sandbox has one endpoint, or none without `webhook_url`; it is neither made nor removed here."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def list(self, request: Request) -> Response:
        """GET /webhooks."""
        found = self._described()
        page = read_page(request, lambda uid: 1 if found and uid == found["id"] else None)
        shown = [found] if found and page.after is None and page.before is None else []
        return json_response({"object": "list", "has_more": False, "data": shown})

    def get(self, _request: Request, uid: str) -> Response:
        """GET /webhooks/{id}, with the newest signing secret."""
        secret = next(iter(self._team.options.webhook_secrets), "")
        return json_response({"object": "webhook", **self._checked(uid), "signing_secret": secret})

    def update(self, request: Request, uid: str) -> Response:
        """PATCH /webhooks/{id}: `endpoint`, `events` and `status`."""
        self._checked(uid)
        body = request.json_object()
        status, kinds = body.get("status"), body.get("events")
        if status not in (None, "enabled", "disabled"):
            raise refusal("validation_error", "The `status` must be enabled or disabled.")
        if "events" in body and (not isinstance(kinds, list) or not kinds):
            raise refusal("validation_error", "The `events` field must be a non-empty array.")
        names = {"endpoint": "webhook_url", "events": "webhook_events"}
        changes = {option: body[name] for name, option in names.items() if name in body}
        self._team.options = changed_options(self._team.options, changes)
        if status is not None:
            self._team.endpoint.switch(is_enabled=status == "enabled", now=self._team.clock())
        return json_response({"object": "webhook", "id": uid})

    def list_events(self, request: Request, uid: str) -> Response:
        """GET /webhooks/{id}/events, newest first; only `after` is supported."""
        self._checked(uid)
        after = request.query.get("after")
        if request.query.get("before"):
            raise refusal("validation_error", "The `before` parameter is not supported for this endpoint.")
        limit, cursor = read_limit(request), self._team.endpoint.event(after, self._team.clock()) if after else None
        if after and cursor is None:
            raise refusal("validation_error", "The pagination cursor is invalid.")
        rows, more = self._team.endpoint.page(cursor, limit, self._team.clock())
        return json_response({"object": "list", "has_more": more, "data": [_logged(row) for row in rows]})

    def get_event(self, _request: Request, uid: str, event_id: str) -> Response:
        """GET /webhooks/{id}/events/{event_id}, with the payload."""
        event, endpoint = self._event(uid, event_id), self._team.endpoint
        next_at = endpoint.next_attempt_at(event)
        return json_response(
            {
                "object": "webhook_event",
                **_logged(event),
                "next_attempt_at": None if next_at is None else format_time(next_at),
                "payload": orjson.loads(endpoint.payload(event)),
            }
        )

    def list_attempts(self, request: Request, uid: str, event_id: str) -> Response:
        """GET /webhooks/{id}/events/{event_id}/attempts, newest first."""
        event, endpoint = self._event(uid, event_id), self._team.endpoint
        if request.query.get("before"):
            raise refusal("validation_error", "The `before` parameter is not supported for this endpoint.")
        rows, more = endpoint.attempts(event, read_page(request, endpoint.attempt_number))
        return json_response({"object": "list", "has_more": more, "data": [_attempt(row) for row in rows]})

    def replay(self, _request: Request, uid: str, event_id: str) -> Response:
        """POST /webhooks/{id}/events/{event_id}/replay; refused while the endpoint is disabled."""
        event = self._event(uid, event_id)
        if not self._team.endpoint.is_enabled:
            raise refusal("validation_error", "The webhook is disabled. Enable it to replay its events.")
        self._team.endpoint.replay(event, self._team.clock())
        return json_response({"object": "webhook_event", "id": event_id})

    def _described(self) -> dict[str, Any] | None:
        options, endpoint = self._team.options, self._team.endpoint
        if options.webhook_url is None:
            return None
        return endpoint.described(options.webhook_url, options.webhook_events, format_time(endpoint.created_at))

    def _checked(self, uid: str) -> dict[str, Any]:
        """The endpoint. Raises Refusal for another id."""
        if not is_uuid(uid):
            raise refusal("invalid_parameter", "The `webhook_id` must be a valid UUID.")
        found = self._described()
        if found is None or found["id"] != uid:
            raise refusal("not_found", "Webhook not found")
        return found

    def _event(self, uid: str, event_id: str) -> sqlite3.Row:
        self._checked(uid)
        event = self._team.endpoint.event(event_id, self._team.clock())
        if event is None:
            raise refusal("not_found", "Webhook event not found")
        return event


def _logged(event: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": event["svix_id"],
        "type": event["type"],
        "created_at": format_time(event["happens_at"]),
        "status": event["status"],
    }


def _attempt(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["uid"],
        "http_status_code": row["status"],
        "response": row["response"],
        "sent_at": format_time(row["at"]),
    }
