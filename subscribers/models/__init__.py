"""The tables of mailing lists, subscribers and their consent."""

from subscribers.models.consent import Consent, ConsentForm, ConsentKind, ConsentText
from subscribers.models.mailing_list import MailingList
from subscribers.models.signing_key import SigningKey
from subscribers.models.signup import Signup
from subscribers.models.subscriber import Subscriber
from subscribers.models.subscription import (
    REQUEST_LIFETIME,
    SUBSCRIPTION_MACHINE,
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
    "LIFTED_BY_CONFIRMATION",
    "REQUEST_LIFETIME",
    "SUBSCRIPTION_MACHINE",
    "TRANSACTIONAL_MAIL_MACHINE",
    "Consent",
    "ConsentForm",
    "ConsentKind",
    "ConsentText",
    "Evidence",
    "MailingList",
    "SigningKey",
    "Signup",
    "Subscriber",
    "Subscription",
    "SubscriptionQuerySet",
    "SubscriptionState",
    "Suppression",
    "SuppressionReason",
    "SuppressionSecret",
    "TransactionalMail",
    "TransactionalMailKind",
    "TransactionalMailReason",
    "TransactionalMailState",
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
    "suppression_secret_differs",
    "update_subscriptions",
]
