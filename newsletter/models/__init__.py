"""The tables: newsletter, issue, edition, delivery and batch, receipt."""

from newsletter.models.delivery import OPEN_BATCH_STATES, Batch, BatchState, Delivery, DeliveryStatus, Fact
from newsletter.models.edition import Edition, EditionIsFrozen
from newsletter.models.event import Event, EventState
from newsletter.models.feed import Feed, FeedItem, FeedItemState
from newsletter.models.heartbeat import WorkerHeartbeat
from newsletter.models.issue import (
    PUBLISHED,
    SECTION_KINDS,
    TRANSITIONS,
    Category,
    InvalidTransition,
    Issue,
    IssueCategory,
    IssueStatus,
    IssueTransition,
    Section,
    Story,
)
from newsletter.models.newsletter import Newsletter
from newsletter.models.preflight import LinkCheck, LinkState, PreflightRun
from newsletter.models.provider_search import ProviderSearch, SearchResult
from newsletter.models.recurring_schedule import Occurrence, RecurringSchedule, Weekday
from newsletter.models.revision import Revision, RevisionIsImmutable
from newsletter.models.throttle import Availability, ProviderThrottle

__all__ = [
    "OPEN_BATCH_STATES",
    "PUBLISHED",
    "SECTION_KINDS",
    "TRANSITIONS",
    "Availability",
    "Batch",
    "BatchState",
    "Category",
    "Delivery",
    "DeliveryStatus",
    "Edition",
    "EditionIsFrozen",
    "Event",
    "EventState",
    "Fact",
    "Feed",
    "FeedItem",
    "FeedItemState",
    "InvalidTransition",
    "Issue",
    "IssueCategory",
    "IssueStatus",
    "IssueTransition",
    "LinkCheck",
    "LinkState",
    "Newsletter",
    "Occurrence",
    "PreflightRun",
    "ProviderSearch",
    "ProviderThrottle",
    "RecurringSchedule",
    "Revision",
    "RevisionIsImmutable",
    "SearchResult",
    "Section",
    "Story",
    "Weekday",
    "WorkerHeartbeat",
]
