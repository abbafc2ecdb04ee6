"""Guarded fetches of feeds, pages and links that others publish."""

from newsletter.outbound.errors import FetchError, FetchFailed, FetchReason, FetchRefused, Hop, fetch_message
from newsletter.outbound.fetch_policy import FetchPolicy, site_fetch_policy
from newsletter.outbound.fetching import Fetched, Limits, fetch

__all__ = [
    "FetchError",
    "FetchFailed",
    "FetchPolicy",
    "FetchReason",
    "FetchRefused",
    "Fetched",
    "Hop",
    "Limits",
    "fetch",
    "fetch_message",
    "site_fetch_policy",
]
