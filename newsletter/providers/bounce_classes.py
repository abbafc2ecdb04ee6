"""The classes of bounces, and what follows from each: for the subscriber, for the bounce rate and for the send.

A hard bounce is a statement about a mailbox and not a status code: only such a statement suppresses an address. Replies
about the sender are sent to every recipient at a mailbox provider, so they suppress none of them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from newsletter.config.translatable import translatable


class BounceClass(enum.Enum):
    """What a mail server's reply is about. The values are stored, in at most 16 characters."""

    NO_MAILBOX = "no_mailbox"
    INACTIVE = "inactive"
    NULL_MX = "null_mx"
    NO_DOMAIN = "no_domain"
    MAILBOX_FULL = "mailbox_full"
    FULL_ABANDONED = "full_abandoned"
    TEMPORARY = "temporary"
    RELAY_DENIED = "relay_denied"
    NOT_WANTED = "not_wanted"
    UNKNOWN = "unknown"
    POLICY = "policy"
    RATE_LIMITED = "rate_limited"
    CONTENT = "content"
    GREYLISTED = "greylisted"
    AUTO_REPLY = "auto_reply"
    SUPPRESSED = "suppressed"

    @property
    def rule(self) -> ClassRule:
        """What follows from it."""
        return CLASS_RULES[self]

    @property
    def is_about_full_mailbox(self) -> bool:
        return self in (BounceClass.MAILBOX_FULL, BounceClass.FULL_ABANDONED)


class RecipientEffect(enum.Enum):
    """What one bounce means for the subscriber."""

    SUPPRESS = translatable("The address is suppressed at once.")
    SECOND_TIME = translatable("The address is suppressed if this is reported again 72 hours later or more.")
    POINT = translatable("Counts as one soft bounce. Repeated soft bounces suppress the address.")
    NOTHING = translatable("The address is not suppressed for this.")


class SendEffect(enum.Enum):
    """How bounces of a class may stop the send."""

    BOUNCE_RATE = "bounce_rate"
    """They count towards the bounce rate."""
    POLICY_COUNT = "policy_count"
    """They are counted by mailbox provider."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ClassRule:
    """One row of the table."""

    name: str
    """A short label."""
    meaning: str
    recipient: RecipientEffect
    send: SendEffect = SendEffect.NOTHING


_SUPPRESS, _SECOND_TIME, _POINT, _NOTHING = RecipientEffect

#: What follows from each class.
CLASS_RULES: Mapping[BounceClass, ClassRule] = {
    BounceClass.NO_MAILBOX: ClassRule(
        translatable("No such mailbox"),
        translatable("The mailbox does not exist."),
        _SUPPRESS,
        SendEffect.BOUNCE_RATE,
    ),
    BounceClass.INACTIVE: ClassRule(
        translatable("Inactive mailbox"),
        translatable("The mailbox is disabled, closed or no longer used."),
        _SUPPRESS,
        SendEffect.BOUNCE_RATE,
    ),
    BounceClass.NULL_MX: ClassRule(
        translatable("Domain takes no mail"),
        translatable("The domain declares that it takes no mail (null MX)."),
        _SUPPRESS,
        SendEffect.BOUNCE_RATE,
    ),
    # A fault of the domain's DNS says the same: only the second time counts towards the bounce rate, too.
    BounceClass.NO_DOMAIN: ClassRule(
        translatable("No such domain"),
        translatable("The domain does not exist or has no mail server."),
        _SECOND_TIME,
    ),
    BounceClass.MAILBOX_FULL: ClassRule(
        translatable("Mailbox full"),
        translatable("The mailbox is full."),
        _POINT,
    ),
    BounceClass.FULL_ABANDONED: ClassRule(
        translatable("Mailbox full and unused"),
        translatable("The mailbox is full, and its provider says that it is not used."),
        _POINT,
    ),
    BounceClass.TEMPORARY: ClassRule(
        translatable("Temporary problem"),
        translatable("The mailbox provider could not be reached, or had a problem of its own."),
        _POINT,
    ),
    BounceClass.RELAY_DENIED: ClassRule(
        translatable("Relaying denied"),
        translatable("The mail server of the domain does not take mail for it."),
        _POINT,
    ),
    BounceClass.NOT_WANTED: ClassRule(
        translatable("Refused by the recipient"),
        translatable("This recipient or group takes no mail from this sender."),
        _POINT,
    ),
    BounceClass.UNKNOWN: ClassRule(
        translatable("Unknown reason"),
        translatable("The reply gives no reason that is known."),
        _POINT,
    ),
    BounceClass.POLICY: ClassRule(
        translatable("Sender refused"),
        translatable("The mailbox provider refuses the sender: reputation, block lists, authentication or rules."),
        _NOTHING,
        SendEffect.POLICY_COUNT,
    ),
    BounceClass.RATE_LIMITED: ClassRule(
        translatable("Too many mails"),
        translatable("The mailbox provider, or this recipient, gets mail too fast."),
        _NOTHING,
    ),
    BounceClass.CONTENT: ClassRule(
        translatable("Mail refused"),
        translatable("The mailbox provider refuses this mail: its size, its content, its links or its headers."),
        _NOTHING,
    ),
    BounceClass.GREYLISTED: ClassRule(
        translatable("Greylisted"),
        translatable("The mail server asks to come back in a moment."),
        _NOTHING,
    ),
    BounceClass.AUTO_REPLY: ClassRule(
        translatable("Automatic reply"),
        translatable("An automatic reply, such as out of office. The mail arrived."),
        _NOTHING,
    ),
    BounceClass.SUPPRESSED: ClassRule(
        translatable("Suppressed by the provider"),
        translatable("The provider did not try: the address is on its suppression list."),
        _NOTHING,
    ),
}  # fmt: skip

#: Codes of events that an earlier version applied, with the class that is nearest. Its class POLICY has the same code.
EARLIER_CODES: Mapping[str, BounceClass] = {"hard": BounceClass.NO_MAILBOX, "soft": BounceClass.UNKNOWN}


_BY_CODE = {each.value: each for each in BounceClass}


def class_of(code: str) -> BounceClass | None:
    """The class of a stored code, also of an earlier version's; None for none."""
    if code in EARLIER_CODES:
        return EARLIER_CODES[code]
    return _BY_CODE.get(code)


def codes_for(*, recipient: RecipientEffect | None = None, send: SendEffect | None = None) -> tuple[str, ...]:
    """The stored codes of all classes with these effects, with those of an earlier version."""
    chosen = {
        each
        for each, rule in CLASS_RULES.items()
        if recipient in (None, rule.recipient) and send in (None, rule.send)
    }  # fmt: skip
    earlier = (code for code, each in EARLIER_CODES.items() if each in chosen)
    return (*(each.value for each in BounceClass if each in chosen), *earlier)
