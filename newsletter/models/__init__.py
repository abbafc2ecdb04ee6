"""The tables: newsletter, issue, edition, send, delivery, batch, event. Each state has one machine beside its model."""

from newsletter.models.audience import AudiencePart, AudiencePartKind
from newsletter.models.batch import BATCH_MACHINE, OPEN_BATCH_STATES, Batch, BatchState
from newsletter.models.deliverability import (
    DmarcReport,
    DmarcRow,
    DomainCheck,
    LeavingCheck,
    LeftBy,
    MailAfterLeaving,
    PostmasterDay,
    PostmasterReading,
    SpamRateAcknowledgement,
)
from newsletter.models.delivery import (
    DELIVERED_TYPES,
    DELIVERY_MACHINE,
    IN_FLIGHT,
    IS_DELIVERED,
    Delivery,
    DeliveryState,
    EventType,
    reason_unless_delivered,
)
from newsletter.models.disabled_link import DisabledLink
from newsletter.models.edition import Edition, EditionIsFrozen
from newsletter.models.engagement import (
    CANARIES,
    CANARY_EARLY,
    CANARY_LATE,
    FIRST_LINK,
    OPEN,
    OTHER_LINK,
    EngagementCounter,
    Hit,
    HitMethod,
    Verdict,
    numbered_links,
)
from newsletter.models.event import EVENT_MACHINE, NEWEST_FIRST, Event, EventState
from newsletter.models.event_log import UNUSED, EventLogReading, EventReplay, EventTally
from newsletter.models.feed import Feed
from newsletter.models.heartbeat import WorkerHeartbeat
from newsletter.models.issue import (
    ISSUE_MACHINE,
    SECTION_KINDS,
    Category,
    Issue,
    IssueCategory,
    IssueState,
    IssueTransition,
    Section,
    Story,
)
from newsletter.models.newsletter import ConsentMode, EngagementSource, Newsletter, WarmUpPlan
from newsletter.models.preflight import LinkCheck, LinkState, PreflightRun
from newsletter.models.provider_domain import ProviderDomain
from newsletter.models.provider_search import ProviderSearch, SearchResult
from newsletter.models.provider_suppression import ProviderSuppression, SuppressionSync
from newsletter.models.reading import ReadingMeasurement
from newsletter.models.reasons import Reason
from newsletter.models.recurring_schedule import Occurrence, RecurringSchedule
from newsletter.models.report_mail import REPORT_MAIL_MACHINE, ReportMail, ReportMailState
from newsletter.models.report_share import ReportShare
from newsletter.models.restore import DatabaseMark, Restore, RestoreSource
from newsletter.models.revision import Revision, RevisionIsImmutable
from newsletter.models.saved_link import (
    OPEN_LINKS,
    SAVED_LINK_MACHINE,
    LinkTag,
    LinkToken,
    LinkWay,
    MetadataState,
    SavedLink,
    SavedLinkState,
    Sighting,
    TaggedLink,
)
from newsletter.models.send import IN_PROGRESS, SEND_MACHINE, STARTED, Send, SendState, SendTransition
from newsletter.models.send_count import CountScope, SendCount
from newsletter.models.sending_switch import (
    SWITCH_MACHINE,
    SendingStop,
    SendingSwitch,
    SwitchState,
    SwitchTransition,
    sending_stopped,
)
from newsletter.models.soft_bounce import SoftBounce
from newsletter.models.story_clicks import STORY, WHOLE_MAIL, ClickHour, EditionStory
from newsletter.models.sunset import SunsetRound
from newsletter.models.throttle import Availability, ProviderThrottle
from newsletter.models.unfinished_draft import UnfinishedDraft
from newsletter.models.webhook import (
    CHOOSABLE_TYPES,
    ENDPOINT_MACHINE,
    FOLLOWING,
    MESSAGE_MACHINE,
    EndpointReason,
    EndpointState,
    EndpointTransition,
    MessageState,
    WebhookAttempt,
    WebhookCursor,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
    WebhookType,
)
from newsletter.models.weekday import Weekday
from newsletter.models.weekly_plan import WeeklyPlan, lock_week
from subscribers.state_machine import InvalidTransition

__all__ = [
    "BATCH_MACHINE",
    "CANARIES",
    "CANARY_EARLY",
    "CANARY_LATE",
    "CHOOSABLE_TYPES",
    "DELIVERED_TYPES",
    "DELIVERY_MACHINE",
    "ENDPOINT_MACHINE",
    "EVENT_MACHINE",
    "FIRST_LINK",
    "FOLLOWING",
    "IN_FLIGHT",
    "IN_PROGRESS",
    "ISSUE_MACHINE",
    "IS_DELIVERED",
    "MESSAGE_MACHINE",
    "NEWEST_FIRST",
    "OPEN",
    "OPEN_BATCH_STATES",
    "OPEN_LINKS",
    "OTHER_LINK",
    "REPORT_MAIL_MACHINE",
    "SAVED_LINK_MACHINE",
    "SECTION_KINDS",
    "SEND_MACHINE",
    "STARTED",
    "STORY",
    "SWITCH_MACHINE",
    "UNUSED",
    "WHOLE_MAIL",
    "AudiencePart",
    "AudiencePartKind",
    "Availability",
    "Batch",
    "BatchState",
    "Category",
    "ClickHour",
    "ConsentMode",
    "CountScope",
    "DatabaseMark",
    "Delivery",
    "DeliveryState",
    "DisabledLink",
    "DmarcReport",
    "DmarcRow",
    "DomainCheck",
    "Edition",
    "EditionIsFrozen",
    "EditionStory",
    "EndpointReason",
    "EndpointState",
    "EndpointTransition",
    "EngagementCounter",
    "EngagementSource",
    "Event",
    "EventLogReading",
    "EventReplay",
    "EventState",
    "EventTally",
    "EventType",
    "Feed",
    "Hit",
    "HitMethod",
    "InvalidTransition",
    "Issue",
    "IssueCategory",
    "IssueState",
    "IssueTransition",
    "LeavingCheck",
    "LeftBy",
    "LinkCheck",
    "LinkState",
    "LinkTag",
    "LinkToken",
    "LinkWay",
    "MailAfterLeaving",
    "MessageState",
    "MetadataState",
    "Newsletter",
    "Occurrence",
    "PostmasterDay",
    "PostmasterReading",
    "PreflightRun",
    "ProviderDomain",
    "ProviderSearch",
    "ProviderSuppression",
    "ProviderThrottle",
    "ReadingMeasurement",
    "Reason",
    "RecurringSchedule",
    "ReportMail",
    "ReportMailState",
    "ReportShare",
    "Restore",
    "RestoreSource",
    "Revision",
    "RevisionIsImmutable",
    "SavedLink",
    "SavedLinkState",
    "SearchResult",
    "Section",
    "Send",
    "SendCount",
    "SendState",
    "SendTransition",
    "SendingStop",
    "SendingSwitch",
    "Sighting",
    "SoftBounce",
    "SpamRateAcknowledgement",
    "Story",
    "SunsetRound",
    "SuppressionSync",
    "SwitchState",
    "SwitchTransition",
    "TaggedLink",
    "UnfinishedDraft",
    "Verdict",
    "WarmUpPlan",
    "WebhookAttempt",
    "WebhookCursor",
    "WebhookEndpoint",
    "WebhookMessage",
    "WebhookSecret",
    "WebhookType",
    "Weekday",
    "WeeklyPlan",
    "WorkerHeartbeat",
    "lock_week",
    "numbered_links",
    "reason_unless_delivered",
    "sending_stopped",
]
