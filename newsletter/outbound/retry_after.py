"""The wait that a server asks for with Retry-After (RFC 9110 §10.2.3). Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

#: Statuses with which a server may ask for a wait: Too Many Requests (RFC 6585 §4), Service Unavailable (RFC 9110).
ASKING = (429, 503)

_SECONDS = re.compile(r"[0-9]{1,9}")


def asked_wait(
    status: int | None, headers: Mapping[str, str], now: datetime.datetime, *, longest: datetime.timedelta
) -> datetime.timedelta | None:
    """How long to wait, at most `longest`; None if the server asks for nothing, or for something invalid.

    The names of `headers` are in lower case. A date that has passed asks for nothing.
    """
    value = headers.get("retry-after", "").strip()
    if status not in ASKING or not value:
        return None
    if _SECONDS.fullmatch(value):
        wait = datetime.timedelta(seconds=int(value))
    else:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        wait = (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)) - now
    return min(wait, longest) if wait > datetime.timedelta(0) else None
