"""Reads Resend's webhook endpoints, and the log of the events that it sent to one of them.

Sources: GET /webhooks, GET /webhooks/{id}/events (newest first; `after` is the id of the last event read; at most 100)
and GET /webhooks/{id}/events/{event_id} (with the payload). The id of an event is the `svix-id` of its webhook. As in
`search`, plain GETs with a key of their own.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from newsletter.providers.base import SignedEvent, sanitize
from newsletter.providers.event_log import EventLogPage, EventLogUnreadable, LoggedEvent, WebhookEndpoint
from newsletter.providers.resend.responses import retry_after

PAGE_SIZE = 100

#: More endpoints than an account has.
MAX_PAGES = 10

USER_AGENT = "newsletter-events"

TIMEOUT = urllib3.Timeout(connect=5, read=15)

#: As in the header `svix-id` (see `events.SVIX_ID`): an id with other characters is none.
EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")

#: Statuses by which Resend refuses a cursor that it does not know.
CURSOR_REFUSED = (400, 404, 422)


class ResendEventLog:
    """The endpoints of a team and their logs. `key` needs full access."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """All endpoints. Raises EventLogUnreadable."""
        found: list[WebhookEndpoint] = []
        after = ""
        for _page in range(MAX_PAGES):
            status, content, headers = self._get("/webhooks", after)
            _check(status, content, headers)
            rows = _rows(content)
            try:
                found += [_endpoint(row) for row in rows]
            except (KeyError, TypeError) as error:
                raise _unreadable(type(error).__name__) from error
            if not rows or content["has_more"] is not True or after == found[-1].id:
                break
            after = found[-1].id
        return tuple(found)

    def page(self, endpoint_id: str, after: str) -> EventLogPage:
        """One page, older than the event `after`. Raises EventLogUnreadable."""
        status, content, headers = self._get(f"/webhooks/{quote(endpoint_id, safe='')}/events", after)
        if after and status in CURSOR_REFUSED and not _is_about_the_key(status, content):
            raise EventLogUnreadable("cursor_lost", permanent=False)
        _check(status, content, headers)
        try:
            entries = tuple(_entry(row) for row in _rows(content))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(type(error).__name__) from error
        cursor = entries[-1].id if entries else after
        has_more = content["has_more"] is True and bool(entries)
        if has_more and cursor == after:
            # Reading on would give the same page for ever.
            raise _unreadable("repeated_page")
        return EventLogPage(entries=entries, cursor=cursor, has_more=has_more)

    def event(self, endpoint_id: str, event_id: str) -> SignedEvent | None:
        """One event with its payload; None if the log has none. Raises EventLogUnreadable."""
        status, content, headers = self._get(
            f"/webhooks/{quote(endpoint_id, safe='')}/events/{quote(event_id, safe='')}", None
        )
        if status == 404:
            return None
        _check(status, content, headers)
        if content.get("id") != event_id:
            # A proxy may deliver the response to another request.
            raise _unreadable("another_event")
        payload = content.get("payload")
        if not isinstance(payload, dict):
            return None
        return SignedEvent(event_id=event_id, body=orjson.dumps(payload).decode())

    def _get(self, path: str, after: str | None) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Status, content and headers of a list after a cursor, or of one object (None). Raises EventLogUnreadable."""
        query = "" if after is None else "?" + urlencode({"limit": PAGE_SIZE, **({"after": after} if after else {})})
        headers = {
            "Authorization": f"Bearer {self._key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = self._pool.request("GET", f"{self._url}{path}{query}", headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise EventLogUnreadable("event_log_unavailable", type(error).__name__, permanent=False) from error
        try:
            content = orjson.loads(response.data)
        except orjson.JSONDecodeError as error:
            raise EventLogUnreadable(
                "event_log_unreadable",
                str(response.status),
                permanent=False,
                retry_after=retry_after(response.headers),
            ) from error
        if not isinstance(content, dict):
            raise _unreadable("no_object")
        return response.status, content, response.headers


def _check(status: int, content: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    if status == 200:
        return
    detail = f"{status} {sanitize(content.get('name'))}: {sanitize(content.get('message'))}"
    if _is_about_the_key(status, content):
        raise EventLogUnreadable("event_log_refused", detail, permanent=True)
    is_temporary = status == 429 or status >= 500
    wait = retry_after(headers) if is_temporary else None
    raise EventLogUnreadable("event_log_unavailable", detail, permanent=not is_temporary, retry_after=wait)


def _is_about_the_key(status: int, content: Mapping[str, Any]) -> bool:
    return status in (401, 403) or (status == 400 and "api key" in str(content.get("message")).lower())


def _unreadable(detail: str) -> EventLogUnreadable:
    return EventLogUnreadable("event_log_unreadable", detail, permanent=False)


def _rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = content.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or "has_more" not in content:
        raise _unreadable("no_list")
    return rows


def _endpoint(row: Mapping[str, Any]) -> WebhookEndpoint:
    kinds = row.get("events")
    return WebhookEndpoint(
        id=str(row["id"])[:64],
        url=str(row["endpoint"])[:500],
        is_enabled=row.get("status") != "disabled",
        kinds=frozenset(map(str, kinds)) if isinstance(kinds, list) else None,
    )


def _entry(row: Mapping[str, Any]) -> LoggedEvent:
    if not EVENT_ID.match(str(row["id"])):
        raise ValueError
    at = datetime.datetime.fromisoformat(str(row["created_at"]))
    return LoggedEvent(
        id=str(row["id"]),
        kind=str(row["type"])[:64],
        created_at=at if at.tzinfo else at.replace(tzinfo=datetime.UTC),
    )
