"""The admin of subscribers: read, unsubscribe, suppress; custom fields, tags and segments.

No action makes a subscription active: the only ways are a subscriber's own confirmation and an import with its proof.
"""

from subscribers.admin import fields, records, segments, subscribers, suppressions, tags

__all__ = ["fields", "records", "segments", "subscribers", "suppressions", "tags"]
