"""The admin of subscribers: find, edit, export, unsubscribe, suppress.

No action makes a subscription active: the only ways are a subscriber's own confirmation and an import with its proof.
"""

from subscribers.admin import exports, records, subscribers, suppressions

__all__ = ["exports", "records", "subscribers", "suppressions"]
