"""The admin of subscribers: find, edit, export, import, suppress, decide on sign-ups; fields, tags, topics, segments.

No action makes a subscription active: the only ways are a subscriber's own confirmation and an import with its proof.
"""

from subscribers.admin import (
    exports,
    fields,
    imports,
    privacy,
    records,
    segments,
    signups,
    subscribers,
    suppressions,
    tags,
    topics,
)

__all__ = [
    "exports",
    "fields",
    "imports",
    "privacy",
    "records",
    "segments",
    "signups",
    "subscribers",
    "suppressions",
    "tags",
    "topics",
]
