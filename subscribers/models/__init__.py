"""The tables of mailing lists, subscribers and their consent."""

from subscribers.models.consent import REFUSALS, Consent, ConsentForm, ConsentKind, ConsentText
from subscribers.models.custom_field import (
    BUILT_IN_FIELDS,
    MAX_OPTIONS,
    MAX_TEXT,
    CustomField,
    FieldAsked,
    FieldKind,
    FieldValue,
)
from subscribers.models.history import Change, ChangeKind, Note
from subscribers.models.imports import (
    ENDED,
    IMPORT_MACHINE,
    WORKING,
    Import,
    ImportPart,
    ImportProblem,
    ImportRefusal,
    ImportState,
    ImportSuppression,
    StagedRow,
    UpdateMode,
)
from subscribers.models.mailing_list import MailingList
from subscribers.models.segment import Segment, SegmentMember
from subscribers.models.signing_key import SigningKey
from subscribers.models.signup import Signup
from subscribers.models.subscriber import Subscriber
from subscribers.models.subscription import (
    REQUEST_LIFETIME,
    SUBSCRIPTION_MACHINE,
    Frequency,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
)
from subscribers.models.suppression import (
    LIFTED_BY_CONFIRMATION,
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
from subscribers.models.transitions import (
    Evidence,
    move_subscriptions,
    record_consents,
    stored_text,
    update_subscriptions,
)
from subscribers.models.validators import check_address, check_header_text, check_sender_name, check_time_zone

__all__ = [
    "BUILT_IN_FIELDS",
    "ENDED",
    "IMPORT_MACHINE",
    "LIFTED_BY_CONFIRMATION",
    "MAX_OPTIONS",
    "MAX_TEXT",
    "REFUSALS",
    "REQUEST_LIFETIME",
    "SUBSCRIPTION_MACHINE",
    "TRANSACTIONAL_MAIL_MACHINE",
    "WORKING",
    "Change",
    "ChangeKind",
    "Consent",
    "ConsentForm",
    "ConsentKind",
    "ConsentText",
    "CustomField",
    "Evidence",
    "FieldAsked",
    "FieldKind",
    "FieldValue",
    "Frequency",
    "Import",
    "ImportPart",
    "ImportProblem",
    "ImportRefusal",
    "ImportState",
    "ImportSuppression",
    "MailingList",
    "Note",
    "Segment",
    "SegmentMember",
    "SigningKey",
    "Signup",
    "StagedRow",
    "Subscriber",
    "Subscription",
    "SubscriptionQuerySet",
    "SubscriptionState",
    "SubscriptionTag",
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
    "UpdateMode",
    "check_address",
    "check_header_text",
    "check_sender_name",
    "check_time_zone",
    "fingerprint",
    "move_subscriptions",
    "new_idempotency_key",
    "present_secret_fingerprint",
    "record_consents",
    "secret_fingerprint",
    "stored_text",
    "suppression_secret_differs",
    "tag_key",
    "update_subscriptions",
]
