"""The tables: newsletter, issue, edition, delivery and batch, receipt. Imports `subscribers` only."""

from newsletter.models.delivery import OPEN_BATCH_STATES, Batch, BatchState, Delivery, DeliveryStatus, Fact
from newsletter.models.edition import Edition, EditionIsFrozen
from newsletter.models.issue import (
    PUBLISHED,
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
from newsletter.models.newsletter import Newsletter
from newsletter.models.receipt import Receipt, ReceiptState

__all__ = [
    "OPEN_BATCH_STATES",
    "PUBLISHED",
    "TRANSITIONS",
    "Batch",
    "BatchState",
    "Category",
    "Delivery",
    "DeliveryStatus",
    "Edition",
    "EditionIsFrozen",
    "Fact",
    "Issue",
    "IssueCategory",
    "IssueStatus",
    "IssueTransition",
    "Newsletter",
    "Receipt",
    "ReceiptState",
    "Section",
    "Story",
    "WrongStatus",
]
