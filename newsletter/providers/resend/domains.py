"""Reads Resend's list of sending domains, with their tracking.

Source: GET /domains (`open_tracking` and `click_tracking` of each domain; they concern every mail of the domain). As in
`search`, plain GETs with a key of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from newsletter.providers.base import DomainsUnreadable, SendingDomain, sanitize

PAGE_SIZE = 100

#: More domains than an account has.
MAX_PAGES = 20

USER_AGENT = "newsletter-domains"

TIMEOUT = urllib3.Timeout(connect=5, read=10)


class ResendDomains:
    """The domains of an account."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def read(self) -> tuple[SendingDomain, ...]:
        """All domains. Raises DomainsUnreadable."""
        return tuple(self._pages())

    def _pages(self) -> Iterator[SendingDomain]:
        after = ""
        for _page in range(MAX_PAGES):
            content = self._get({"limit": str(PAGE_SIZE), **({"after": after} if after else {})})
            rows = content.get("data")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise DomainsUnreadable("domains_unreadable")
            yield from map(_domain, rows)
            after = str(rows[-1].get("id") or "") if rows and content.get("has_more") is True else ""
            if not after:
                return

    def _get(self, query: Mapping[str, str]) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self._key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = urllib3.request(
                "GET",
                f"{self._url}/domains?{urlencode(query)}",
                headers=headers,
                timeout=TIMEOUT,
                retries=False,
                redirect=False,
            )
            content = orjson.loads(response.data)
        except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
            raise DomainsUnreadable("domains_unreadable", type(error).__name__) from error
        if not isinstance(content, dict):
            raise DomainsUnreadable("domains_unreadable")
        if response.status == 200:
            return content
        detail = f"{response.status} {sanitize(content.get('name'))}: {sanitize(content.get('message'))}"
        is_refused = response.status in (401, 403) or "api key" in detail.lower()
        raise DomainsUnreadable("domains_refused" if is_refused else "domains_unreadable", detail)


def _domain(row: Mapping[str, Any]) -> SendingDomain:
    return SendingDomain(
        name=str(row.get("name") or "").lower()[:255],
        status=str(row.get("status") or "")[:32],
        open_tracking=_flag(row.get("open_tracking")),
        click_tracking=_flag(row.get("click_tracking")),
    )


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
