"""Exports of other tools in the documented shape, with invented people in all states."""

from __future__ import annotations

import csv
import datetime
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from subscribers.imports.states import RowRefusal, RowState, StateAnswer

A, P, U, B, C = RowState.ACTIVE, RowState.PENDING, RowState.UNSUBSCRIBED, RowState.BOUNCED, RowState.COMPLAINED

FIRST_NAMES = ("Ada", "Béla", "Chloé", "Dörte", "Emil", "=Fay", "O'Hara", "Gül", 'Hedy "H"', "Ines")
LAST_NAMES = ("Lindqvist", "Okoye", "van der Meer", "Nguyễn", "Ó Briain", "Castelló, Jr.", "Sørensen")
TAGS = ("VIP", "Blog", "Harbour news", "press")


@dataclass(frozen=True)
class Person:
    """One invented person."""

    number: int
    word: str
    """The tool's word for the state."""
    state: StateAnswer
    """How the row has to end."""

    @property
    def address(self) -> str:
        """As the tool has it: some with capital letters."""
        local = f"reader.{self.number}" if self.number % 3 else f"Reader+{self.number}"
        return f"{local}@{('example.org', 'mail.example.org', 'Post.Example.org')[self.number % 3]}"

    @property
    def first_name(self) -> str:
        return FIRST_NAMES[self.number % len(FIRST_NAMES)]

    @property
    def last_name(self) -> str:
        return LAST_NAMES[self.number % len(LAST_NAMES)]

    @property
    def tags(self) -> tuple[str, ...]:
        """None, one or two."""
        return tuple(TAGS[(self.number + more) % len(TAGS)] for more in range(self.number % 3))

    @property
    def joined(self) -> datetime.datetime:
        """In UTC."""
        start = datetime.datetime(2021, 1, 1, 6, 30, 15, tzinfo=datetime.UTC)
        return start + datetime.timedelta(hours=7 * self.number)

    @property
    def left(self) -> datetime.datetime:
        """In UTC, after `joined`."""
        return self.joined + datetime.timedelta(days=30)


@dataclass(frozen=True)
class Export:
    """A file of a tool, and how its rows have to end."""

    name: str
    data: bytes
    people: tuple[Person, ...]
    answer: RowState | None = None
    """What an editor has to answer for rows whose state the file does not tell."""
    expected: dict[str, StateAnswer] = field(default_factory=dict)
    """By canonical address."""

    def written(self, folder: Path) -> Path:
        """The file in this folder."""
        path = folder / self.name
        path.write_bytes(self.data)
        return path


#: The words of each tool with the state that they mean.
WORDS: dict[str, Sequence[tuple[str, StateAnswer]]] = {
    "mailchimp": (("subscribed", A), ("unsubscribed", U), ("cleaned", B), ("nonsubscribed", RowRefusal.NEVER_OPTED_IN)),
    "substack": (("false", A), ("true", U), ("FALSE", A), ("TRUE", U)),
    "ghost": (("true", A), ("false", U)),
    "buttondown": (
        *((word, A) for word in ("regular", "premium", "gifted", "trialed", "churning", "churned", "paused")),
        *((word, A) for word in ("past_due", "upcoming")),
        *(("unactivated", P), ("unsubscribed", U), ("removed", U), ("undeliverable", B), ("complained", C)),
        *(("blocked", RowRefusal.BLOCKED_THERE), ("unpaid", RowRefusal.NO_STATE)),
    ),
    "listmonk": (("enabled", A), ("blocklisted", U), ("disabled", U)),
    "kit": (
        *(("active", A), ("Confirmed", A), ("cold", A), ("inactive", P), ("unconfirmed", P)),
        *(("cancelled", U), ("bounced", B), ("complained", C)),
    ),
    "beehiiv": (
        *(("active", A), ("inactive", U), ("pending", P), ("validating", P), ("needs_attention", P)),
        *(("needs approval", P), ("invalid", B)),
    ),
}


def export_of(tool: str, count: int) -> Export:
    """An export of one of the seven tools in WORDS with so many people, in all states in turn."""
    words = WORDS[tool]
    people = tuple(Person(number, *words[number % len(words)]) for number in range(count))
    name, data = _WRITERS[tool](people)
    expected = {person.address.lower(): person.state for person in people}
    return Export(name, data, people, RowState.ACTIVE if tool == "listmonk" else None, expected)


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]], line_end: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _zip(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


_MAILCHIMP_MIDDLE = (
    *("MEMBER_RATING", "OPTIN_TIME", "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP", "LATITUDE", "LONGITUDE", "GMTOFF"),
    *("DSTOFF", "TIMEZONE", "CC", "REGION"),
)
_MAILCHIMP_OWN = {
    "subscribed": ("LAST_CHANGED",),
    "nonsubscribed": ("LAST_CHANGED",),
    "unsubscribed": ("UNSUB_TIME", "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON", "UNSUB_REASON_OTHER"),
    "cleaned": ("CLEAN_TIME", "CLEAN_CAMPAIGN_TITLE", "CLEAN_CAMPAIGN_ID"),
}


def _mailchimp(people: Sequence[Person]) -> tuple[str, bytes]:
    files = {}
    for state, own in _MAILCHIMP_OWN.items():
        # The owner's merge fields come first, and two of them have names that Mailchimp uses itself.
        header = ("Email Address", "First Name", "Last Name", "Boat", "UNSUB_TIME", *_MAILCHIMP_MIDDLE, *own)
        rows = [_mailchimp_row(person, own) for person in people if person.word == state]
        files[f"{state}_members_export_1a2b3c.csv"] = _csv((*header, "LEID", "EUID", "NOTES", "TAGS"), rows)
    return "audience_export.zip", _zip(files)


def _mailchimp_row(person: Person, own: Sequence[str]) -> list[str]:
    instant = f"{person.joined:%Y-%m-%d %H:%M:%S}"
    middle = ["2", instant, "", instant, "192.0.2.7", "52.5", "13.4", "1", "2", "Europe/Berlin", "de", "be"]
    ends = [f"{person.left:%Y-%m-%d %H:%M:%S}", *("N/A" for _ in own[1:])]
    tags = ",".join(f'"{tag}"' for tag in person.tags)
    ids = [str(person.number), f"e{person.number}"]
    return [
        *(person.address, person.first_name, person.last_name, f"Elster {person.number}", ""),
        *(*middle, *ends, *ids, "met at the quay", tags),
    ]


def _substack(people: Sequence[Person]) -> tuple[str, bytes]:
    header = ("email", "active_subscription", "expiry", "plan", "email_disabled", "created_at", "first_payment_at")
    rows = [
        (
            person.address,
            "true" if person.number % 5 == 0 else "false",
            "2118-01-01T00:00:00.000Z" if person.number % 5 == 0 else "",
            "comp" if person.number % 5 == 0 else "other",
            person.word,
            f"{person.joined:%Y-%m-%dT%H:%M:%S}.123Z",
            "",
        )
        for person in people
    ]
    return "harbour.zip", _zip(
        {
            "posts.csv": _csv(("post_id", "title"), [("1", "Hello")]),
            "posts/1.hello.html": b"<p>Hello</p>",
            "posts/1.delivers.csv": _csv(("email",), [("long.gone@example.org",)]),
            "posts/1.opens.csv": _csv(("email", "country"), [("long.gone@example.org", "NL")]),
            "email_list.harbour.csv": _csv(header, rows),
        }
    )


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and cell else cell


def _ghost(people: Sequence[Person]) -> tuple[str, bytes]:
    header = (
        *("id", "email", "name", "note", "subscribed_to_emails", "complimentary_plan", "stripe_customer_id"),
        *("created_at", "deleted_at", "labels", "tiers", "gift_id", "custom_fields.boat"),
    )
    rows = [
        (
            *(f"{person.number:024x}", person.address, _guarded(f"{person.first_name} {person.last_name}")),
            *("met at\nthe quay" if person.number % 4 == 0 else "", person.word, "false", ""),
            *(f"{person.joined:%Y-%m-%dT%H:%M:%S}.000Z", "", ",".join(person.tags), "", "", f"Elster {person.number}"),
        )
        for person in people
    ]
    return "members.2026-11-02.csv", _csv(header, rows, "\r\n")


def _buttondown(people: Sequence[Person]) -> tuple[str, bytes]:
    header = (
        *("id", "secondary_id", "email", "notes", "subscriber_type", "referrer_url", "utm_source", "utm_medium"),
        *(
            "utm_campaign",
            "creation_date",
            "ip_address",
            "subscription_date",
            "unsubscription_date",
            "tags",
            "metadata",
        ),
    )
    rows = [
        (
            *(f"sub_{person.number}", str(person.number), person.address, "", person.word, "https://example.org/"),
            *("", "", "", f"{person.joined:%Y-%m-%d %H:%M:%S}.183465+00:00", "192.0.2.7"),
            *(f"{person.joined:%Y-%m-%d %H:%M:%S}.183465+00:00",),
            f"{person.left:%Y-%m-%d %H:%M:%S}+00:00" if person.word == "unsubscribed" else "",
            ";".join(person.tags),
            str({"boat": f"Elster {person.number}", "staff": "true"}),
        )
        for person in people
    ]
    return "subscribers.csv", _csv(header, rows)


def _listmonk(people: Sequence[Person]) -> tuple[str, bytes]:
    header = ("uuid", "email", "name", "attributes", "status", "created_at", "updated_at")
    rows = [
        (
            f"00000000-0000-4000-8000-{person.number:012x}",
            person.address,
            f"{person.first_name} {person.last_name}",
            "{broken" if person.number % 50 == 7 else json.dumps({"boat": {"name": "Elster"}, "berth": person.number}),
            person.word,
            f"{person.joined + datetime.timedelta(hours=2):%Y-%m-%d %H:%M:%S}.12345 +0200 CEST",
            f"{person.left:%Y-%m-%d %H:%M:%S} +0000 UTC",
        )
        for person in people
    ]
    return "subscribers.csv", _csv(header, rows)


def _kit(people: Sequence[Person]) -> tuple[str, bytes]:
    header = ("first_name", "email", "created_at", "status", "last_name", "tags", "Boat")
    rows = [
        (
            *(person.first_name, person.address, f"{person.joined:%Y-%m-%dT%H:%M:%SZ}", person.word, person.last_name),
            *(", ".join(person.tags), f"Elster {person.number}"),
        )
        for person in people
    ]
    return "kit-subscribers.csv", _csv(header, rows)


def _beehiiv(people: Sequence[Person]) -> tuple[str, bytes]:
    header = (
        *("email", "First Name", "Last Name", "status", "tier", "created_at", "stripe_customer_id", "Free Tier"),
        *("Bronze Tier", "unsubscribed_at", "Subscription Date (Substack)", "Boat"),
    )
    rows = [
        (
            *(person.address, f" {person.first_name} ", person.last_name, person.word, "Free Tier"),
            *(f"{person.left:%Y-%m-%d %H:%M:%S} UTC", "", "Yes", "No"),
            f"{person.left:%Y-%m-%d %H:%M:%S} UTC" if person.word == "inactive" else "",
            *(f"{person.joined:%Y-%m-%d %H:%M:%S} UTC", f"Elster {person.number}"),
        )
        for person in people
    ]
    return "beehiiv_export.csv", _csv(header, rows)


_WRITERS: dict[str, Callable[[Sequence[Person]], tuple[str, bytes]]] = {
    "mailchimp": _mailchimp,
    "substack": _substack,
    "ghost": _ghost,
    "buttondown": _buttondown,
    "listmonk": _listmonk,
    "kit": _kit,
    "beehiiv": _beehiiv,
}
