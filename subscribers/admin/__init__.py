"""The admin of subscribers: look, unsubscribe, suppress, decide about sign-ups; custom fields, tags and segments.

No action makes a subscription active: the only ways are a subscriber's own confirmation and an import with its proof.
"""

from subscribers.admin import fields, privacy, records, segments, signups, subscribers, suppressions, tags

__all__ = ["fields", "privacy", "records", "segments", "signups", "subscribers", "suppressions", "tags"]
