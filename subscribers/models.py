"""The tables of readers and their consent."""

from __future__ import annotations

import datetime
import uuid
import zoneinfo
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from subscribers.addresses import UNFIT_FOR_HEADERS, AddressError, parse_address


def check_header_text(value: str) -> None:
    """Refuse what must not stand in a mail's head: line breaks, controls, direction signs (R-19)."""
    if UNFIT_FOR_HEADERS.search(value):
        raise ValidationError("Leave out line breaks and invisible characters.")


def check_sender_name(value: str) -> None:
    """A sender's name that looks like an address would tell a second, false sender (R-21)."""
    check_header_text(value)
    if "@" in value:
        raise ValidationError("A sender's name holds no @.")


def check_time_zone(name: str) -> None:
    """Refuse what is no IANA time zone, such as a bare offset."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is no time zone. Use a name such as Europe/Berlin.")


def check_address(value: str) -> None:
    """The same check as for readers' addresses (R-44)."""
    try:
        parse_address(value)
    except AddressError as error:
        raise ValidationError(str(error)) from error


class MailingList(models.Model):
    """What a reader joins, and the name in which it writes to them."""

    name = models.CharField(max_length=100, validators=[check_header_text])
    slug = models.SlugField(max_length=60, unique=True, help_text="Part of the addresses of its pages.")
    description = models.CharField(
        max_length=300, blank=True, help_text="What readers get and how often; shown where they sign up."
    )
    sender_name = models.CharField(max_length=100, validators=[check_sender_name])
    sender_email = models.EmailField(
        validators=[check_address], help_text="On a domain that is verified with your provider."
    )
    reply_to = models.EmailField(
        blank=True, validators=[check_address], help_text="Where answers go; empty: to the sender."
    )
    postal_address = models.TextField(
        blank=True,
        help_text="Yours, in the foot of every mail: the law asks for it, and no issue goes out without.",
    )
    language = models.CharField(max_length=10, default="en", help_text="As in HTML: en, de, pt-BR …")

    def __str__(self) -> str:
        return self.name

    @property
    def postal_line(self) -> str:
        """The postal address on one line, for the foot of a page."""
        return ", ".join(line.strip(" ,") for line in self.postal_address.splitlines() if line.strip(" ,"))


class Subscriber(models.Model):
    """A person's address. `canonical` decides whether two addresses are the same person's (R-43)."""

    address = models.CharField(max_length=320, help_text="As the reader typed it; mail goes to this form.")
    canonical = models.CharField(max_length=320, unique=True, editable=False)
    first_name = models.CharField(
        max_length=60,
        blank=True,
        validators=[check_header_text],
        help_text="As they gave it; issues may greet them by it.",
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[check_time_zone],
        help_text="Where they are, if they said so: issues may come by their own clock.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    signups_allowed_at = models.DateTimeField(
        null=True, editable=False, help_text="Confirmation mails without an answer are counted from here."
    )
    declined_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Said “this was not me”: no confirmation mail goes there, whoever types the address.",
    )

    def __str__(self) -> str:
        return self.address


#: How long a request may be confirmed after it was made (R-32).
REQUEST_LIFETIME = datetime.timedelta(days=7)


class SubscriptionState(models.TextChoices):
    """Where a membership of a list stands; `consent` holds the arrows between them."""

    PENDING = "pending", "Waiting for confirmation"
    ACTIVE = "active", "Active"
    UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
    SUPPRESSED = "suppressed", "Suppressed"


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Questions about memberships."""

    def mailable(self, moment: datetime.datetime) -> SubscriptionQuerySet:
        """Those who may be sent an issue at `moment`: active, and not on a pause."""
        return self.filter(Q(paused_until__isnull=True) | Q(paused_until__lte=moment), state=SubscriptionState.ACTIVE)


class Subscription(models.Model):
    """One person's membership of one list."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="subscriptions")
    mailing_list = models.ForeignKey(MailingList, on_delete=models.PROTECT, related_name="subscriptions")
    state = models.CharField(max_length=12, choices=SubscriptionState.choices, default=SubscriptionState.PENDING)
    key = models.UUIDField(
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="What links in mails name instead of the person.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    request_number = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counts the requests; a confirmation link answers one of them."
    )

    objects: ClassVar[SubscriptionQuerySet] = SubscriptionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mailing_list", "subscriber"], name="subscription_once_per_person_and_list"
            ),
            models.CheckConstraint(condition=Q(state__in=SubscriptionState.values), name="subscription_state_known"),
            models.CheckConstraint(
                condition=~Q(state=SubscriptionState.ACTIVE) | Q(confirmed_at__isnull=False),
                name="subscription_active_only_when_confirmed",
            ),
        ]
        indexes = [
            # The audience of an issue is read in chunks along the key, active memberships of one list only.
            models.Index(
                fields=["mailing_list", "id"],
                condition=Q(state=SubscriptionState.ACTIVE),
                name="subscription_audience",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} · {self.mailing_list}"

    def request_has_expired(self, moment: datetime.datetime) -> bool:
        """Whether it is too late at `moment` to confirm; judged by the stored time, not by the link (R-34)."""
        return self.requested_at is None or moment - self.requested_at > REQUEST_LIFETIME

    def is_paused(self, moment: datetime.datetime) -> bool:
        """Whether issues pass this reader by at `moment`."""
        return self.paused_until is not None and self.paused_until > moment


class SuppressionReason(models.TextChoices):
    """Why an address must not be mailed."""

    HARD_BOUNCE = "hard_bounce", "The mailbox does not exist"
    COMPLAINT = "complaint", "Reported a mail as spam"
    PROVIDER = "provider", "On the provider's own list"
    MANUAL = "manual", "Entered by an editor"


#: Suppressions that end when the person confirms anew: a mailbox may come back (R-54). The others last until an
#: editor takes them off.
LIFTED_BY_CONFIRMATION = (SuppressionReason.HARD_BOUNCE,)


class Suppression(models.Model):
    """An address that must not be mailed, on any list, kept as a keyed hash and independent of subscriber rows."""

    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    reason = models.CharField(max_length=12, choices=SuppressionReason.choices)
    detail = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(reason__in=SuppressionReason.values), name="suppression_reason_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} · {self.created_at:%Y-%m-%d}"


class ConsentText(models.Model):
    """The words that a person agreed to, kept once for all who saw them. Append-only."""

    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    form = models.CharField(max_length=40, help_text="Which form or mail showed it.")
    version = models.CharField(max_length=20)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.form} {self.version}"


class ConsentKind(models.TextChoices):
    """What a person, an editor or a provider did to a membership."""

    REQUESTED = "requested", "Asked to subscribe"
    CONFIRMED = "confirmed", "Confirmed"
    IMPORTED = "imported", "Imported with proof"
    PAUSED = "paused", "Paused"
    RESUMED = "resumed", "Resumed"
    UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
    DECLINED = "declined", "Said: this was not me"
    SUPPRESSED = "suppressed", "Suppressed"


class Consent(models.Model):
    """The proof of one step of a membership (R-30).

    Append-only: the database refuses to change or delete a row. One thing stays possible, for erasure: emptying
    the columns in PERSONAL_COLUMNS, one way.
    """

    PERSONAL_COLUMNS: ClassVar = ("address", "canonical", "source", "ip", "user_agent", "detail")

    subscription = models.ForeignKey(Subscription, on_delete=models.SET_NULL, null=True, related_name="consents")
    kind = models.CharField(max_length=12, choices=ConsentKind.choices)
    created_at = models.DateTimeField(default=timezone.now)
    address = models.CharField(max_length=320, blank=True, help_text="As the reader typed it.")
    canonical = models.CharField(max_length=320, blank=True)
    list_name = models.CharField(max_length=100, help_text="What the list was called then.")
    form = models.CharField(max_length=40, help_text="Where it happened: a form, a link in a mail, an import.")
    text = models.ForeignKey(ConsentText, on_delete=models.PROTECT, null=True, help_text="What the person read.")
    language = models.CharField(max_length=10, blank=True)
    source = models.CharField(max_length=300, blank=True, help_text="Path of the page.")
    ip = models.GenericIPAddressField("IP address", null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    notice = models.ForeignKey(
        "Notice", on_delete=models.SET_NULL, null=True, related_name="+", help_text="The mail that asked."
    )
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=ConsentKind.values), name="consent_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.created_at:%Y-%m-%d %H:%M}"


class NoticeKind(models.TextChoices):
    """The mails we write to one person about their membership; each has a folder of templates by this name."""

    CONFIRMATION = "confirmation", "Please confirm"
    ALREADY_SUBSCRIBED = "already_subscribed", "You are already subscribed"


class NoticeState(models.TextChoices):
    """Where a notice stands."""

    PENDING = "pending", "Waiting"
    SENT = "sent", "Sent"
    FAILED = "failed", "Refused"
    UNKNOWN = "unknown", "Not known"
    WITHDRAWN = "withdrawn", "No longer needed"  # the person left, or confirmed, before it went out


def new_notice_key() -> str:
    """An idempotency key that no other notice has, in this installation or another of the same provider team."""
    return f"notice:{uuid.uuid4().hex}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    """Questions about notices."""

    def due(self, moment: datetime.datetime) -> NoticeQuerySet:
        """Waiting, their time come, and in no worker's hands; the longest waiting first."""
        return self.filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=moment),
            state=NoticeState.PENDING,
            not_before__lte=moment,
        ).order_by("not_before", "pk")


class Notice(models.Model):
    """One mail to one person about their membership, from request to outcome: the outbox of `notices`.

    Written whole when it is made, so that every attempt sends the same bytes under the same key. Its body holds
    working links and is removed as soon as no attempt is left.
    """

    kind = models.CharField(max_length=20, choices=NoticeKind.choices)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="notices")
    recipient = models.CharField(max_length=320)
    sender = models.CharField(max_length=500)
    reply_to = models.CharField(max_length=320, blank=True)
    subject = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    idempotency_key = models.CharField(max_length=64, unique=True, default=new_notice_key, editable=False)

    state = models.CharField(max_length=10, choices=NoticeState.choices, default=NoticeState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    first_attempt_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    provider_id = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it is not sent, as a sentence.")

    objects: ClassVar[NoticeQuerySet] = NoticeQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=NoticeKind.values), name="notice_kind_known"),
            models.CheckConstraint(condition=Q(state__in=NoticeState.values), name="notice_state_known"),
        ]
        indexes = [
            # What `send_due_notices` looks for; the rows of the past are not in it.
            models.Index(fields=["not_before"], condition=Q(state=NoticeState.PENDING), name="notice_to_send"),
            # The caps on mails to one person are counted here at each sign-up.
            models.Index(fields=["subscription", "kind", "created_at"], name="notice_caps"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.created_at:%Y-%m-%d %H:%M}"


class Signup(models.Model):
    """One press of a sign-up button, whoever's address was typed: all that the web does with it (R-37).

    The worker answers it, and it is kept for a day: so that the next page can send the link again without asking
    for the address, and to count what one network does.
    """

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    mailing_list = models.ForeignKey(MailingList, on_delete=models.CASCADE, related_name="signups")
    address = models.CharField(max_length=320)
    evidence = models.JSONField(help_text="Where and how, for the proof.")
    network = models.CharField(max_length=43, blank=True, help_text="IPv4 address, or the /64 of an IPv6 one.")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: it is answered.")

    class Meta:
        indexes = [
            models.Index(fields=["network", "created_at"], name="signup_network"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="signup_to_answer"),
        ]

    def __str__(self) -> str:
        return f"{self.mailing_list} · {self.created_at:%Y-%m-%d %H:%M}"
