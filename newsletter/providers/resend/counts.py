"""Reads how many mails were delivered, bounced, … by Resend's own count.

Source: GET /emails/metrics (`start_date`, `end_date`, `metrics`, `dimensions`, `email_id` with at most 100 ids; cached
by Resend for up to 15 minutes). As in `search`, a plain GET with a key of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from newsletter.providers.base import sanitize
from newsletter.providers.counts import CountsUnreadable, MailCounts

MAX_MAILS = 100

USER_AGENT = "newsletter-counts"

TIMEOUT = urllib3.Timeout(connect=5, read=10)

#: Fields of MailCounts, and Resend's names of them.
METRICS = {
    "sent": "sent",
    "delivered": "delivered",
    "delayed": "delivery_delayed",
    "bounced": "bounced",
    "bounced_permanently": "bounced_permanent",
    "complained": "complained",
    "failed": "failed",
    "suppressed": "suppressed",
    "opened": "unique_opened",
    "clicked": "unique_clicked",
}


class ResendCounts:
    """The counts of a team. `key` needs full access."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key

    def read(
        self, since: datetime.datetime, until: datetime.datetime, domain: str, mail_ids: Sequence[str]
    ) -> MailCounts:
        """The counts of these mails, or of all mails from `domain`. Raises CountsUnreadable.

        Raises ValueError for more than MAX_MAILS, and for neither mails nor a domain.
        """
        if len(mail_ids) > MAX_MAILS or not (mail_ids or domain):
            raise ValueError(len(mail_ids))
        query = {"start_date": _iso(since), "end_date": _iso(until), "metrics": ",".join(METRICS.values())}
        about = {"email_id": ",".join(mail_ids)} if mail_ids else {"dimensions": "domain"}
        content = self._get({**query, **about})
        try:
            if mail_ids:
                return _counts(content["totals"])
            # A domain without mails in this time has no row.
            rows = [row for row in content["data"] if str(row["domain_name"]).lower() == domain.lower()]
            return sum(map(_counts, rows), MailCounts())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CountsUnreadable("counts_unreadable", type(error).__name__, permanent=False) from error

    def _get(self, query: Mapping[str, str]) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self._key}", "Accept": "application/json", "User-Agent": USER_AGENT,
        }  # fmt: skip
        try:
            response = urllib3.request(
                "GET",
                f"{self._url}/emails/metrics?{urlencode(query)}",
                headers=headers,
                timeout=TIMEOUT,
                retries=False,
                redirect=False,
            )
            content = orjson.loads(response.data)
        except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
            raise CountsUnreadable("counts_unreadable", type(error).__name__, permanent=False) from error
        if not isinstance(content, dict):
            raise CountsUnreadable("counts_unreadable", permanent=False)
        if response.status == 200:
            return content
        detail = f"{response.status} {sanitize(content.get('name'))}: {sanitize(content.get('message'))}"
        is_refused = response.status in (401, 403) or "api key" in detail.lower()
        is_temporary = response.status == 429 or response.status >= 500
        code = "counts_refused" if is_refused else "counts_unreadable"
        raise CountsUnreadable(code, detail, permanent=is_refused or not is_temporary)


def _counts(totals: Mapping[str, Any]) -> MailCounts:
    """Counts from Resend's; a metric that is missing, or that is no whole number, is an error."""
    numbers = {field: totals[name] for field, name in METRICS.items()}
    if not all(isinstance(number, int) and number >= 0 for number in numbers.values()):
        raise ValueError
    return MailCounts(**numbers)


def _iso(at: datetime.datetime) -> str:
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
