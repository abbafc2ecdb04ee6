"""Reads Resend's suppression list and removes entries from it, with an API key of its own.

Sources: GET /suppressions (newest first; `after` is the id of the last entry read; origins bounce, complaint and
manual; the list is the team's, across its domains) and DELETE /suppressions/{id}. As in `search`, the SDK's key stays
as it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from newsletter.providers.base import sanitize
from newsletter.providers.suppression_list import ListedSuppression, SuppressionPage, SuppressionsUnreadable

PAGE_SIZE = 100

USER_AGENT = "newsletter-suppressions"

TIMEOUT = urllib3.Timeout(connect=5, read=30)


class ResendSuppressions:
    """The team's suppression list. `key` needs full access."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def read(self, after: str) -> SuppressionPage:
        """One page, older than the entry `after`. Raises SuppressionsUnreadable."""
        query = {"limit": str(PAGE_SIZE), **({"after": after} if after else {})}
        status, content = self._call("GET", f"/suppressions?{urlencode(query)}")
        if status in (400, 404, 422) and after:
            raise SuppressionsUnreadable("cursor_lost", permanent=False)
        _check(status, content)
        try:
            entries = tuple(_entry(row) for row in content["data"])
            has_more = content["has_more"] is True and bool(entries)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SuppressionsUnreadable("suppressions_unreadable", type(error).__name__, permanent=False) from error
        return SuppressionPage(entries=entries, cursor=entries[-1].id if entries else after, has_more=has_more)

    def remove(self, suppression_id: str) -> None:
        """Remove an entry; it need not be there. Raises SuppressionsUnreadable."""
        status, content = self._call("DELETE", f"/suppressions/{quote(suppression_id, safe='')}")
        if status != 404:
            _check(status, content)

    def _call(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        headers = {
            "Authorization": f"Bearer {self._key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = urllib3.request(
                method, f"{self._url}{path}", headers=headers, timeout=TIMEOUT, retries=False, redirect=False
            )
            content = orjson.loads(response.data)
        except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
            raise SuppressionsUnreadable("suppressions_unreadable", type(error).__name__, permanent=False) from error
        if not isinstance(content, dict):
            raise SuppressionsUnreadable("suppressions_unreadable", permanent=False)
        return response.status, content


def _check(status: int, content: Mapping[str, Any]) -> None:
    if status == 200:
        return
    detail = f"{status} {sanitize(content.get('name'))}: {sanitize(content.get('message'))}"
    is_refused = status in (401, 403) or "api key" in detail.lower()
    raise SuppressionsUnreadable(
        "suppressions_refused" if is_refused else "suppressions_unreadable", detail, permanent=is_refused
    )


def _entry(row: Mapping[str, Any]) -> ListedSuppression:
    at = datetime.datetime.fromisoformat(str(row["created_at"]))
    return ListedSuppression(
        id=str(row["id"])[:64],
        address=str(row["email"])[:320],
        origin=str(row.get("origin") or "")[:16],
        listed_at=at if at.tzinfo else at.replace(tzinfo=datetime.UTC),
    )
