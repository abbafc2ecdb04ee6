"""Guarded fetches of feeds, pages and links that others publish."""

from newsletter.outbound.errors import FetchError, FetchFailed, FetchReason, FetchRefused, Hop, fetch_message
from newsletter.outbound.fetch_policy import FetchPolicy, site_fetch_policy
from newsletter.outbound.fetching import Fetched, Limits, fetch, post
from newsletter.outbound.retry_after import asked_wait

__all__ = [
    "FetchError",
    "FetchFailed",
    "FetchPolicy",
    "FetchReason",
    "FetchRefused",
    "Fetched",
    "Hop",
    "Limits",
    "asked_wait",
    "fetch",
    "fetch_message",
    "post",
    "site_fetch_policy",
]
