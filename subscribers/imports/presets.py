"""The tools whose export files are known: how a file is recognised, and what its columns mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.imports.states import RowRefusal, RowState, StateAnswer
from subscribers.imports.table import Table
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


@dataclass(frozen=True, slots=True)
class Preset:
    """A tool, applied to one table."""

    name: str
    """A key of PRESET_LABELS."""
    certainty: Certainty
    mapping: Mapping[int, Target] = field(default_factory=dict)
    """The columns that the tool writes, by position. Others are the owner's."""
    state_source: StateSource = StateSource.NOTHING
    file_state: StateAnswer | None = None
    """The state of all rows, if the name or the columns of the file tell it."""
    needs_state_answer: bool = False
    """Whether an editor has to choose the state of the rows."""


#: Presets by name, for showing. Names of tools are not translated.
PRESET_LABELS = {
    "own": _("Export of this system"),
    "mailchimp": "Mailchimp",
    "substack": "Substack",
    "ghost": "Ghost",
    "buttondown": "Buttondown",
    "kit": "Kit",
    "beehiiv": "beehiiv",
    "listmonk": "listmonk",
    "keila": "Keila",
    "mailcoach": "Mailcoach",
    "emailoctopus": "EmailOctopus",
    "sendy": "Sendy",
    "mailerlite": "MailerLite",
    "brevo": "Brevo",
    "curated": "Curated",
    "shopify": "Shopify",
    "suppression_list": _("Suppression list"),
    "other": _("Other file"),
}

#: Columns by their names in lower case. Columns without a letter before them are not imported.
_Columns = dict[str, Target]

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
    "D": TargetKind.NEW_FIELD,
    "O": TargetKind.ATTRIBUTES,
    "-": TargetKind.IGNORE,
}


def _columns(*lines: str) -> _Columns:
    """Each line: a letter of _KINDS, and the names of columns behind it, separated by commas."""
    return {name.strip(): Target(_KINDS[line[0]]) for line in lines for name in line[1:].split(",") if name.strip()}


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    certainty: Certainty
    signature: Callable[[Names], bool]
    columns: _Columns
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
_TOOLS = (
    _Tool(
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
            "-source,frequency,paused_until,topics_off",
        ),
        StateSource.COLUMN,
    ),
    _Tool("mailchimp", Certainty.HIGH, lambda names: names.has("leid", "euid"), {}, StateSource.FILE_NAME),
    _Tool(
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
    _Tool(
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
    _Tool(
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
    _Tool(
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
    _Tool(
        "listmonk",
        Certainty.HIGH,
        lambda names: names.has("uuid", "email", "attributes", "status"),
        _columns("Aemail", "Fname", "Oattributes", "Sstatus", "Jcreated_at", "-uuid,updated_at"),
        StateSource.COLUMN,
        needs_state_answer=True,
    ),
    _Tool(
        "keila",
        Certainty.HIGH,
        lambda names: names.has("email", "data", "external id", "first name"),
        _columns("Aemail", "1first name", "2last name", "Odata", "Sstatus", "-external id"),
        StateSource.COLUMN,
    ),
    _Tool(
        "emailoctopus",
        Certainty.MIDDLE,
        lambda names: names.has("identifier", "email address", "last changed"),
        _columns("Aemail address", "1first name", "2last name", "Ttags", "Jcreated", "-identifier,last changed"),
        StateSource.NOTHING,
        needs_state_answer=True,
    ),
    _Tool(
        "mailcoach",
        Certainty.HIGH,
        _exactly("email", "first_name", "last_name", "tags", "subscribed_at", "unsubscribed_at"),
        _columns("Aemail", "1first_name", "2last_name", "Ttags", "Jsubscribed_at", "Eunsubscribed_at"),
        StateSource.DATES,
    ),
    _Tool(
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
    _Tool(
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
    _Tool(
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
    _Tool(
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
    _Tool(
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
    _Tool(
        "shopify",
        Certainty.HIGH,
        lambda names: names.has("customer id", "accepts email marketing"),
        _columns("Aemail", "1first name", "2last name", "Saccepts email marketing", "Ttags", "Nnote"),
        StateSource.COLUMN,
    ),
    _Tool(
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
_ONLY_OWN = frozenset({"own", "shopify", "suppression_list", "curated", "mailcoach"})


def recognise(table: Table, file_name: str) -> Preset:
    """The tool that made this table; `other` if none is certain. `file_name` is the name of the upload.

    The name of a file in a ZIP is the table's.
    """
    names = Names(table.header)
    if table.header:
        tool = next((tool for tool in _TOOLS if tool.signature(names)), None)
        return _applied(tool, table, file_name) if tool else Preset("other", Certainty.NONE)
    return _sendy(table, file_name) or Preset("other", Certainty.NONE)


def preset_named(name: str, table: Table, file_name: str) -> Preset:
    """The preset that an editor chose, applied to this table. Its certainty is that of `recognise`, or none."""
    recognised = recognise(table, file_name)
    if recognised.name == name:
        return recognised
    tool = next((tool for tool in _TOOLS if tool.name == name), None)
    if tool is None or not table.header:
        return Preset(name if name in PRESET_LABELS else "other", Certainty.NONE)
    return replace(_applied(tool, table, file_name), certainty=Certainty.NONE)


def _applied(tool: _Tool, table: Table, file_name: str) -> Preset:
    if tool.name == "mailchimp":
        return _mailchimp(table, file_name)
    names = Names(table.header)
    known = dict(tool.columns)
    if tool.name == "own":
        known |= {name: _own_field(name) for name in names.set if name.startswith(_OWN_FIELD)}
    if tool.name == "beehiiv":
        known |= {name: Target(TargetKind.IGNORE) for name in names.set if name.endswith(" tier")}
    if tool.name == "mailerlite" and not names.has("last name"):
        known["name"] = Target(TargetKind.FULL_NAME)
    if tool.name in _ONLY_OWN:
        known = {name: Target(TargetKind.IGNORE) for name in names.set} | known
    mapping = _mapped(names, known)
    has_state = any(target.kind == TargetKind.STATE for target in mapping.values())
    file_state = _state_of_suppressions(names, has_state) if tool.name == "suppression_list" else None
    source = StateSource.HEADER if file_state else tool.state_source
    if source == StateSource.NOTHING and has_state:
        source = StateSource.COLUMN
    if source == StateSource.COLUMN and not has_state:
        source = StateSource.NOTHING
    is_unanswered = tool.needs_state_answer and not (tool.name == "mailerlite" and has_state)
    return Preset(
        tool.name, tool.certainty, mapping, source, file_state, is_unanswered or source == StateSource.NOTHING
    )


#: Before the keys of custom fields, in our own exports.
_OWN_FIELD = "field:"


def _own_field(name: str) -> Target:
    return Target(TargetKind.NEW_FIELD, name.removeprefix(_OWN_FIELD))


def _state_of_suppressions(names: Names, has_state: bool) -> RowState | None:
    """SendGrid and Mailgun export bounces and complaints to files of their own: only bounces have these columns."""
    is_bounces = names.has("status", "reason", "email", "created") or names.has("address", "code", "error")
    return RowState.BOUNCED if is_bounces and not has_state else None


def _mapped(names: Names, known: _Columns) -> dict[int, Target]:
    """By position. Of two columns with the same name and one meaning, the first has it."""
    mapping: dict[int, Target] = {}
    taken: set[tuple[str, TargetKind]] = set()
    for index, name in enumerate(names.lower):
        target = known.get(name)
        if target is None:
            continue
        key = (name, target.kind)
        mapping[index] = Target(TargetKind.IGNORE) if key in taken else target
        taken.add(key)
    return mapping


_MAILCHIMP_TAIL = _columns(
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
_MAILCHIMP_FILES: tuple[tuple[re.Pattern[str], StateAnswer], ...] = (
    (re.compile(r"non[-_ ]?subscribed|transactional"), RowRefusal.NEVER_OPTED_IN),
    (re.compile(r"unsubscribed"), RowState.UNSUBSCRIBED),
    (re.compile(r"cleaned"), RowState.BOUNCED),
    (re.compile(r"subscribed"), RowState.ACTIVE),
)


def _mailchimp(table: Table, file_name: str) -> Preset:
    """The columns before the tail are the owner's merge fields. Some of them have names of the tail, too."""
    names = Names(table.header)
    start = max(names.last("member_rating"), -1)
    if start < 0:
        start = max(names.last("optin_time"), 0)
    if start > 0 and names.lower[start - 1] == "email_type":
        start -= 1
    tail = {
        index: _MAILCHIMP_TAIL[name]
        for index, name in enumerate(names.lower)
        if index >= start and name in _MAILCHIMP_TAIL
    }
    by_name = _state_of_mailchimp_file(table.name) or _state_of_mailchimp_file(file_name)
    by_tail = _state_of_mailchimp_tail(names)
    # A file that was renamed makes no row active.
    file_state = by_tail or by_name
    source = StateSource.HEADER if by_tail else StateSource.FILE_NAME if by_name else StateSource.NOTHING
    return Preset("mailchimp", Certainty.HIGH, tail, source, file_state, file_state is None)


def _state_of_mailchimp_file(file_name: str) -> StateAnswer | None:
    name = PurePosixPath(file_name).name.lower()
    return next((state for pattern, state in _MAILCHIMP_FILES if pattern.search(name)), None)


def _state_of_mailchimp_tail(names: Names) -> RowState | None:
    """Columns between REGION and LEID are Mailchimp's own. Merge fields in front of them can have the same names."""
    own = names.lower[names.last("region") + 1 : max(names.last("leid"), 0)]
    if "clean_time" in own:
        return RowState.BOUNCED
    return RowState.UNSUBSCRIBED if "unsub_time" in own else None


_SENDY_FILE = re.compile(r"-(active|unconfirmed|unsubscribed|bounced|marked-as-spam|all)(?: ?\(\d+\))?\.csv\Z")
_SENDY_STATES: dict[str, StateAnswer | None] = {
    "active": RowState.ACTIVE,
    "unconfirmed": RowState.PENDING,
    "unsubscribed": RowState.UNSUBSCRIBED,
    "bounced": RowState.BOUNCED,
    "marked-as-spam": RowState.COMPLAINED,
    # Everybody in one file, without a state.
    "all": RowRefusal.NO_STATE,
}


def _sendy(table: Table, file_name: str) -> Preset | None:
    """A file without a header: name, address, and the owner's fields. Only its name tells the state."""
    samples = table.samples(5)
    if not all(len(row.cells) > 1 and "@" in row.cells[1] and "@" not in row.cells[0] for row in samples):
        return None
    found = _SENDY_FILE.search(PurePosixPath(table.name).name.lower()) or _SENDY_FILE.search(file_name.lower())
    if found is None:
        return None
    mapping = {0: Target(TargetKind.FULL_NAME), 1: Target(TargetKind.ADDRESS)}
    return Preset("sendy", Certainty.MIDDLE, mapping, StateSource.FILE_NAME, _SENDY_STATES[found[1]])
