"""What the export files of other tools contain: their columns, and what shows the state of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import pgettext_lazy

from subscribers.imports.targets import Target, TargetKind


class Certainty(TextChoices):
    """How sure it is that the file comes from the tool."""

    HIGH = "high", pgettext_lazy("certainty", "Recognised by its columns")
    MIDDLE = "middle", pgettext_lazy("certainty", "Probably")
    LOW = "low", pgettext_lazy("certainty", "Perhaps")
    NONE = "none", pgettext_lazy("certainty", "Not recognised")


class StateSource(TextChoices):
    """What tells the state of a row."""

    COLUMN = "column", pgettext_lazy("source of the state", "A column")
    DATES = "dates", pgettext_lazy("source of the state", "The dates of joining and leaving")
    FILE_NAME = "file_name", pgettext_lazy("source of the state", "The name of the file")
    HEADER = "header", pgettext_lazy("source of the state", "The columns that the file has")
    NOTHING = "nothing", pgettext_lazy("source of the state", "Nothing in the file")


#: Targets by the names of columns in lower case.
Columns = dict[str, Target]

_KINDS = {
    "A": TargetKind.ADDRESS,
    "F": TargetKind.FULL_NAME,
    "1": TargetKind.FIRST_NAME,
    "2": TargetKind.LAST_NAME,
    "T": TargetKind.TAGS,
    "S": TargetKind.STATE,
    "J": TargetKind.JOINED_AT,
    "C": TargetKind.CONFIRMED_AT,
    "E": TargetKind.ENDED_AT,
    "V": TargetKind.EVIDENCE,
    "Z": TargetKind.TIME_ZONE,
    "L": TargetKind.LANGUAGE,
    "N": TargetKind.NOTE,
    "Q": TargetKind.FREQUENCY,
    "P": TargetKind.PAUSED_UNTIL,
    "X": TargetKind.TOPICS_OFF,
    "D": TargetKind.NEW_FIELD,
    "O": TargetKind.ATTRIBUTES,
    "-": TargetKind.IGNORE,
}


def _columns(*lines: str) -> Columns:
    """Each line: a letter of _KINDS, and the names of columns behind it, separated by commas."""
    return {name.strip(): Target(_KINDS[line[0]]) for line in lines for name in line[1:].split(",") if name.strip()}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool whose files are recognised by their columns."""

    name: str
    certainty: Certainty
    signature: Callable[[Names], bool]
    columns: Columns
    state_source: StateSource
    needs_state_answer: bool = False


class Names:
    """The names of a table's columns, for comparing."""

    def __init__(self, header: tuple[str, ...]) -> None:
        self.exact = header
        self.lower = [name.lower() for name in header]
        self.set = frozenset(self.lower)

    def has(self, *names: str) -> bool:
        """Whether all of these are there."""
        return self.set.issuperset(names)

    def has_one(self, *names: str) -> bool:
        """Whether one of these is there."""
        return not self.set.isdisjoint(names)

    def last(self, name: str) -> int:
        """The last position of a column; -1 if there is none."""
        return max((index for index, column in enumerate(self.lower) if column == name), default=-1)


def _exactly(*names: str) -> Callable[[Names], bool]:
    return lambda header: sorted(header.lower) == sorted(names)


def _is_beehiiv(names: Names) -> bool:
    marks = names.has_one("unsubscribed_at", "acquisition_source") or any(name.endswith(" tier") for name in names.set)
    return names.has("email", "status", "tier", "created_at") and marks


def _is_brevo(names: Names) -> bool:
    return "EMAIL" in names.exact and names.has_one("added_time", "email_blacklisted", "_listids")


def _is_kit(names: Names) -> bool:
    return (
        names.has("first_name", "created_at")
        and names.has_one("email", "email_address")
        and names.has_one("state", "status")
    )


def _is_suppression_list(names: Names) -> bool:
    """Exports of Postmark, SendGrid, Mailgun, Amazon SES and Resend."""
    return (
        names.has("emailaddress", "suppressionreason")
        or names.has("status", "reason", "email", "created")
        or names.has("address", "code", "error")
        or names.has("emailaddress", "reason", "lastupdatetime")
        or names.has("email", "origin", "source_id")
    )


_SUBSTACK = _columns(
    "Aemail",
    "Fname",
    "Semail_disabled",
    "Jcreated_at,subscription date,start date",
    "Dplan,type,country,sections",
    "-active_subscription,expiry,first_payment_at,prefer_digests,stripe_connected_customer_id,subscription type,"
    "activity,revenue,expires at,first payment at,paid upgrade date,cancel date,receiving emails for,is bestseller,"
    "bestseller,"
    "stripe plan,state/province,expiration date,num_emails_opened,user_id,subscription source (free),"
    "subscription source (paid)",
)

#: In this order: the first tool whose columns fit is the one.
TOOLS = (
    Tool(
        "own",
        Certainty.HIGH,
        lambda names: names.has("address", "first_name", "state", "tags", "joined_at", "confirmed_at", "ended_at"),
        _columns(
            "Aaddress",
            "1first_name",
            "Sstate,suppression_reason",
            "Ttags",
            "Jjoined_at",
            "Cconfirmed_at",
            "Eended_at",
            "Vproof",
            "Llanguage",
            "Ztime_zone",
            "Qfrequency",
            "Ppaused_until",
            "Xtopics_off",
            "-source",
        ),
        StateSource.COLUMN,
    ),
    Tool("mailchimp", Certainty.HIGH, lambda names: names.has("leid", "euid"), {}, StateSource.FILE_NAME),
    Tool(
        "substack",
        Certainty.HIGH,
        lambda names: (
            names.has("email", "expiry")
            and (names.has("active_subscription") or names.has("stripe_connected_customer_id", "type"))
        ),
        _SUBSTACK,
        StateSource.COLUMN,
    ),
    # The list that the dashboard offers does not say who turned mail off.
    Tool(
        "substack",
        Certainty.HIGH,
        lambda names: (
            names.has("email")
            and names.has_one("emails opened (6mo)", "subscription source (free)", "email receives (last 6 months)")
        ),
        _SUBSTACK,
        StateSource.NOTHING,
        needs_state_answer=True,
    ),
    Tool(
        "ghost",
        Certainty.HIGH,
        lambda names: names.has("complimentary_plan") and names.has_one("subscribed_to_emails", "subscribed"),
        _columns(
            "Aemail",
            "Fname",
            "Nnote",
            "Ssubscribed_to_emails,subscribed",
            "Jcreated_at",
            "Tlabels",
            "Dtiers,products",
            "-id,complimentary_plan,stripe_customer_id,deleted_at,gift_id,error",
        ),
        StateSource.COLUMN,
    ),
    Tool(
        "buttondown",
        Certainty.HIGH,
        lambda names: names.has("subscriber_type", "secondary_id"),
        _columns(
            "Aemail,email_address",
            "Nnotes",
            "Ssubscriber_type",
            "Jcreation_date",
            "Eunsubscription_date",
            "Vsubscription_date,ip_address,referrer_url,source,unsubscription_reason",
            "Ttags",
            "Ometadata",
            "-id,secondary_id,utm_source,utm_medium,utm_campaign",
        ),
        StateSource.COLUMN,
    ),
    Tool(
        "listmonk",
        Certainty.HIGH,
        lambda names: names.has("uuid", "email", "attributes", "status"),
        _columns("Aemail", "Fname", "Oattributes", "Sstatus", "Jcreated_at", "-uuid,updated_at"),
        StateSource.COLUMN,
        needs_state_answer=True,
    ),
    Tool(
        "keila",
        Certainty.HIGH,
        lambda names: names.has("email", "data", "external id", "first name"),
        _columns("Aemail", "1first name", "2last name", "Odata", "Sstatus", "-external id"),
        StateSource.COLUMN,
    ),
    Tool(
        "emailoctopus",
        Certainty.MIDDLE,
        lambda names: names.has("identifier", "email address", "last changed"),
        _columns("Aemail address", "1first name", "2last name", "Ttags", "Jcreated", "-identifier,last changed"),
        StateSource.NOTHING,
        needs_state_answer=True,
    ),
    Tool(
        "mailcoach",
        Certainty.HIGH,
        _exactly("email", "first_name", "last_name", "tags", "subscribed_at", "unsubscribed_at"),
        _columns("Aemail", "1first_name", "2last_name", "Ttags", "Jsubscribed_at", "Eunsubscribed_at"),
        StateSource.DATES,
    ),
    Tool(
        "beehiiv",
        Certainty.MIDDLE,
        _is_beehiiv,
        _columns(
            "Aemail",
            "1first name,first_name",
            "2last name,last_name",
            "Sstatus",
            "Dtier",
            "Jcreated_at,subscription date (substack)",
            "Eunsubscribed_at",
            "Vacquisition_source",
            "Ttags",
            "-id,stripe_customer_id,open_rate,click_rate,last_opened_at,last_clicked_at,total_clicked,total_opened,"
            "total_sent,utm_source,utm_medium,utm_campaign,utm_channel,referral_code,referring_site,total_referrals",
        ),
        StateSource.COLUMN,
    ),
    Tool(
        "mailerlite",
        Certainty.MIDDLE,
        lambda names: names.has("subscriber", "subscribed") and names.has_one("groups", "last name"),
        _columns(
            "Asubscriber",
            "1name",
            "2last name",
            "Tgroups",
            "Jsubscribed",
            "Sstatus",
            "Vsubscribe ip,opt-in ip",
            "-sent,opens,clicks,opened,clicked",
        ),
        StateSource.NOTHING,
        needs_state_answer=True,
    ),
    Tool(
        "brevo",
        Certainty.MIDDLE,
        _is_brevo,
        _columns(
            "Aemail",
            "1firstname",
            "2lastname",
            "Semail_blacklisted",
            "Jadded_time",
            "Cdouble_opt-in",
            "-modified_time,sms,sms_blacklisted,whatsapp,_listids,contact id,contact_id",
        ),
        StateSource.COLUMN,
    ),
    Tool(
        "kit",
        Certainty.LOW,
        _is_kit,
        _columns(
            "Aemail,email_address",
            "1first_name",
            "2last_name",
            "Sstate,status",
            "Jcreated_at",
            "Ttags",
            "-id,attribution,location",
        ),
        StateSource.COLUMN,
    ),
    Tool(
        "curated",
        Certainty.HIGH,
        lambda names: names.has("email address", "subscribed at", "utm last path"),
        _columns(
            "Aemail address",
            "Jsubscribed at",
            "Vutm referrer,utm last path",
            "-utm source,utm medium,utm term,utm content,utm campaign",
        ),
        StateSource.NOTHING,
        needs_state_answer=True,
    ),
    Tool(
        "shopify",
        Certainty.HIGH,
        lambda names: names.has("customer id", "accepts email marketing"),
        _columns("Aemail", "1first name", "2last name", "Saccepts email marketing", "Ttags", "Nnote"),
        StateSource.COLUMN,
    ),
    Tool(
        "suppression_list",
        Certainty.MIDDLE,
        _is_suppression_list,
        _columns(
            "Aemail,emailaddress,address",
            "Ssuppressionreason,origin",
            "Ecreated,createdat,created_at,lastupdatetime",
            "Vreason,status,code,error",
            "-id,source_id",
        ),
        StateSource.COLUMN,
    ),
)

#: Tools that put only columns of their own into a file: nothing else in it becomes a custom field.
ONLY_OWN = frozenset({"own", "shopify", "suppression_list", "curated", "mailcoach"})

#: The columns that Mailchimp puts behind the merge fields of the owner.
MAILCHIMP_TAIL = _columns(
    "Joptin_time",
    "Cconfirm_time",
    "Eunsub_time,clean_time",
    "Voptin_ip,confirm_ip,unsub_reason,unsub_reason_other",
    "Ztimezone",
    "Nnotes",
    "Ttags",
    "-member_rating,latitude,longitude,gmtoff,dstoff,cc,region,last_changed,unsub_campaign_title,unsub_campaign_id,"
    "clean_campaign_title,clean_campaign_id,leid,euid,email_type",
)
