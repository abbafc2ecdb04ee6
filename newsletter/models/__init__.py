"""The tables: newsletter, issue, edition, delivery and batch, receipt. Imports `subscribers` only."""

from newsletter.models.delivery import OPEN_BATCH_STATES, Batch, BatchState, Delivery, DeliveryStatus, Fact
from newsletter.models.edition import Edition, EditionIsFrozen
from newsletter.models.feed import Feed, FeedItem, FeedItemState
from newsletter.models.flow import ProviderFlow, Standing
from newsletter.models.heartbeat import WorkerHeartbeat
from newsletter.models.issue import (
    PUBLISHED,
    SECTION_KINDS,
    TRANSITIONS,
    Category,
    Issue,
    IssueCategory,
    IssueStatus,
    IssueTransition,
    Section,
    Story,
    WrongStatus,
)
from newsletter.models.look_up import LookUp, Verdict
from newsletter.models.newsletter import Newsletter
from newsletter.models.preflight import LinkCheck, LinkState, PreflightRun
from newsletter.models.receipt import Receipt, ReceiptState
from newsletter.models.revision import Revision, RevisionIsKept
from newsletter.models.slot import Slot, SlotRun, Weekday

__all__ = [
    "OPEN_BATCH_STATES",
    "PUBLISHED",
    "SECTION_KINDS",
    "TRANSITIONS",
    "Batch",
    "BatchState",
    "Category",
    "Delivery",
    "DeliveryStatus",
    "Edition",
    "EditionIsFrozen",
    "Fact",
    "Feed",
    "FeedItem",
    "FeedItemState",
    "Issue",
    "IssueCategory",
    "IssueStatus",
    "IssueTransition",
    "LinkCheck",
    "LinkState",
    "LookUp",
    "Newsletter",
    "PreflightRun",
    "ProviderFlow",
    "Receipt",
    "ReceiptState",
    "Revision",
    "RevisionIsKept",
    "Section",
    "Slot",
    "SlotRun",
    "Standing",
    "Story",
    "Verdict",
    "Weekday",
    "WorkerHeartbeat",
    "WrongStatus",
]
