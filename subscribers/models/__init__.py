"""The tables of mailing lists, subscribers and their consent."""

from subscribers.models.address_change import (
    ADDRESS_CHANGE_MACHINE,
    CHANGE_LIFETIME,
    CHANGE_RETENTION,
    AddressChange,
    AddressChangeState,
)
from subscribers.models.bulk_action import (
    BULK_ACTION_MACHINE,
    BulkAction,
    BulkActionKind,
    BulkActionReason,
    BulkActionState,
)
from subscribers.models.consent import Consent, ConsentForm, ConsentKind, ConsentText, LeaveReason
from subscribers.models.custom_field import (
    BUILT_IN_FIELDS,
    MAX_OPTIONS,
    MAX_TEXT,
    CustomField,
    FieldAsked,
    FieldKind,
    FieldValue,
)
from subscribers.models.data_request import (
    DATA_REQUEST_LIFETIME,
    DATA_REQUEST_RETENTION,
    DataRequest,
    DataRequestKind,
)
from subscribers.models.export import Export, ExportFormat
from subscribers.models.history import Change, ChangeKind, Note
from subscribers.models.mail_domain import MailDomain, MailDomainStatus
from subscribers.models.mailing_list import MailingList
from subscribers.models.retention import RetentionProgress
from subscribers.models.segment import Segment, SegmentMember
from subscribers.models.signing_key import SigningKey
from subscribers.models.signup import SIGNUP_MACHINE, Signup, SignupAnswers, SignupState
from subscribers.models.signup_limits import (
    CONFIRMED,
    DAY,
    HOUR,
    REQUESTED,
    SignupCounter,
    UsedStamp,
    add_to_counters,
    counted,
    window_start,
)
from subscribers.models.signup_rule import (
    DecisionReason,
    RateScope,
    RateWindow,
    RuleAction,
    SignupDecision,
    SignupRule,
)
from subscribers.models.subscriber import Subscriber
from subscribers.models.subscription import (
    IMPORTED,
    REQUEST_LIFETIME,
    SUBSCRIPTION_MACHINE,
    Frequency,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
)
from subscribers.models.sunset import SUNSET_MACHINE, SunsetQuestion, SunsetState
from subscribers.models.suppression import (
    LIFTED_BY_CONFIRMATION,
    LiftedSuppression,
    Suppression,
    SuppressionReason,
    SuppressionSecret,
    fingerprint,
    present_secret_fingerprint,
    secret_fingerprint,
    suppression_secret_differs,
)
from subscribers.models.tag import SubscriptionTag, Tag, tag_key
from subscribers.models.topic import Topic, TopicOptOut
from subscribers.models.transactional_mail import (
    TRANSACTIONAL_MAIL_MACHINE,
    TransactionalMail,
    TransactionalMailKind,
    TransactionalMailReason,
    TransactionalMailState,
    new_idempotency_key,
)
from subscribers.models.transitions import Evidence, move_subscriptions, record_consents, update_subscriptions
from subscribers.models.validators import check_address, check_header_text, check_sender_name, check_time_zone

__all__ = [
    "ADDRESS_CHANGE_MACHINE",
    "BUILT_IN_FIELDS",
    "BULK_ACTION_MACHINE",
    "CHANGE_LIFETIME",
    "CHANGE_RETENTION",
    "CONFIRMED",
    "DATA_REQUEST_LIFETIME",
    "DATA_REQUEST_RETENTION",
    "DAY",
    "HOUR",
    "IMPORTED",
    "LIFTED_BY_CONFIRMATION",
    "MAX_OPTIONS",
    "MAX_TEXT",
    "REQUESTED",
    "REQUEST_LIFETIME",
    "SIGNUP_MACHINE",
    "SUBSCRIPTION_MACHINE",
    "SUNSET_MACHINE",
    "TRANSACTIONAL_MAIL_MACHINE",
    "AddressChange",
    "AddressChangeState",
    "BulkAction",
    "BulkActionKind",
    "BulkActionReason",
    "BulkActionState",
    "Change",
    "ChangeKind",
    "Consent",
    "ConsentForm",
    "ConsentKind",
    "ConsentText",
    "CustomField",
    "DataRequest",
    "DataRequestKind",
    "DecisionReason",
    "Evidence",
    "Export",
    "ExportFormat",
    "FieldAsked",
    "FieldKind",
    "FieldValue",
    "Frequency",
    "LeaveReason",
    "LiftedSuppression",
    "MailDomain",
    "MailDomainStatus",
    "MailingList",
    "Note",
    "RateScope",
    "RateWindow",
    "RetentionProgress",
    "RuleAction",
    "Segment",
    "SegmentMember",
    "SigningKey",
    "Signup",
    "SignupAnswers",
    "SignupCounter",
    "SignupDecision",
    "SignupRule",
    "SignupState",
    "Subscriber",
    "Subscription",
    "SubscriptionQuerySet",
    "SubscriptionState",
    "SubscriptionTag",
    "SunsetQuestion",
    "SunsetState",
    "Suppression",
    "SuppressionReason",
    "SuppressionSecret",
    "Tag",
    "Topic",
    "TopicOptOut",
    "TransactionalMail",
    "TransactionalMailKind",
    "TransactionalMailReason",
    "TransactionalMailState",
    "UsedStamp",
    "add_to_counters",
    "check_address",
    "check_header_text",
    "check_sender_name",
    "check_time_zone",
    "counted",
    "fingerprint",
    "move_subscriptions",
    "new_idempotency_key",
    "present_secret_fingerprint",
    "record_consents",
    "secret_fingerprint",
    "suppression_secret_differs",
    "tag_key",
    "update_subscriptions",
    "window_start",
]
