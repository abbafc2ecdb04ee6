"""Fetches what others publish, with the guards of R-155: feeds, pages, links."""

from newsletter.outbound.fetch_policy import FetchPolicy, site_fetch_policy
from newsletter.outbound.fetching import Fetched, FetchError, FetchFailed, FetchRefused, Hop, Limits, fetch

__all__ = [
    "FetchError",
    "FetchFailed",
    "FetchPolicy",
    "FetchRefused",
    "Fetched",
    "Hop",
    "Limits",
    "fetch",
    "site_fetch_policy",
]
