"""The admin of subscribers: read, unsubscribe, suppress.

No action makes a subscription active: the only ways are a subscriber's own confirmation and an import with its proof.
"""

from subscribers.admin import imports, records, subscribers, suppressions

__all__ = ["imports", "records", "subscribers", "suppressions"]
