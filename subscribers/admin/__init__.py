"""The admin of subscribers: read, unsubscribe, suppress, decide about sign-ups.

No action makes a subscription active: the only ways are a subscriber's own confirmation and an import with its proof.
"""

from subscribers.admin import records, signups, subscribers, suppressions

__all__ = ["records", "signups", "subscribers", "suppressions"]
