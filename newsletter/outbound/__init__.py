"""Fetches what others publish, with the guards of R-155: feeds, pages, links. Imports nothing of the project."""

from newsletter.outbound.fetching import Fetched, FetchError, FetchFailed, FetchRefused, Hop, Limits, fetch
from newsletter.outbound.visitor import Visitor, site_visitor

__all__ = [
    "FetchError",
    "FetchFailed",
    "FetchRefused",
    "Fetched",
    "Hop",
    "Limits",
    "Visitor",
    "fetch",
    "site_visitor",
]
