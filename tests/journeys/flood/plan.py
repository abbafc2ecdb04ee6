"""The events of a flood: what a provider tells about the mails of several sends, and everything else that it posts.

Each mail has a course, such as “delivered, opened, clicked by a filter”; about it, one event says one thing. Times are
free: an event may be posted long before what happened earlier. The same seed gives the same events.
"""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.journeys.flood.facts import ENVIRONMENT, UTC, Mail, Said, link_to

#: Replies of mail servers by the class that docs and RFC 3463 give them: hard, soft and about the sender.
REPLIES: dict[str, tuple[str, ...]] = {
    "no_mailbox": ("550 5.1.1 No such user here", "smtp; 550 5.1.1 <{to}>: User unknown"),
    "inactive": ("550 5.2.1 This mailbox is disabled", "525 5.7.13 Disabled recipient address"),
    "null_mx": ("556 5.1.10 <{to}>: Recipient address rejected: Domain has null MX",),
    "no_domain": ("550 5.4.4 Invalid domain", "550 Unrouteable address"),
    "mailbox_full": ("452 4.2.2 Mailbox full", "552 5.2.2 <{to}>: user is over quota"),
    "full_abandoned": ("552 5.2.2 The recipient's inbox is out of storage space and inactive.",),
    "temporary": ("451 4.3.2 System not accepting network messages", "421 4.4.1 Connection timed out"),
    "relay_denied": ("550 5.7.1 Relaying denied", "554 5.7.1 <{to}>: Relay access denied"),
    "unknown": ("554 delivery failed",),
    "policy": (
        "550 5.7.1 Mail refused: poor reputation of the sending IP",
        "554 5.7.1 Service unavailable; client host is on a block list",
    ),
    "rate_limited": ("451 4.7.500 Server busy", "421 4.7.0 Too many messages, slow down"),
    "content": ("552 5.3.4 Message too big", "554 5.6.0 Message content rejected as spam"),
    "greylisted": ("451 4.7.1 Greylisted, please try again in 300 seconds",),
}
CLASSES = tuple(REPLIES)
HARD = ("no_mailbox", "inactive", "null_mx")

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
PROGRAMS = ("curl/8.5.0", "python-requests/2.32", "Barracuda Sentinel (EE)")
PREVIEW = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"

#: A network of data centers, and one from which a filter opens the links of many mails.
HOSTING, SCANNER = "5.9.77.8", "100.64.9.3"

#: Courses of mails, with how many of a thousand take them.
COURSES = {
    "delivered": 815,
    "bounced": 60,
    "returned": 15,  # taken by the mail server, and bounced afterwards
    "bounced twice": 10,
    "replied": 10,  # an automatic reply, which Resend calls a bounce
    "replied and bounced": 8,
    "failed": 10,
    "failed and delivered": 6,
    "suppressed": 8,
    "suppressed as a bounce": 5,
    "complained": 10,
    "complained only": 4,
    "opened only": 6,
    "delayed": 10,
    "silent": 23,
}

#: Who clicks a mail that arrived, and how many of a thousand do so.
CLICKERS = {
    "human": 165,
    "filter": 16,  # opens several links in a moment
    "program": 12,
    "no agent": 6,
    "preview": 5,
    "early": 6,  # before the mail was accepted
    "checked": 8,  # a click that a filter in another network repeats at once
    "cloud": 8,
    "elsewhere": 5,
    "settings": 5,  # the link to unsubscribe
    "nobody": 764,
}

#: What is signed, about no mail of an issue or unreadable, with weights.
OTHERS = {
    "transactional": 20,
    "no delivery": 15,
    "other edition": 8,
    "other recipient": 8,
    "other installation": 15,
    "no tags": 5,
    "other kind": 15,
    "poison": 20,
}

OTHER_KINDS = ("email.scheduled", "email.received", "contact.created", "domain.updated", "email.teleported", "")


def body_of(kind: str, at: datetime.datetime, data: object) -> bytes:
    """An event as Resend writes it."""
    return json.dumps({"type": kind, "created_at": iso(at), "data": data}, ensure_ascii=False).encode()


def iso(at: datetime.datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def poisons(at: datetime.datetime) -> list[bytes]:
    """Bodies that no event can be read from, although they are signed."""
    time, data = iso(at), '"data": {"email_id": "x", "tags": {"env": "test", "delivery": "1"}}'
    return [
        b"not JSON",
        b"null",
        b"[]",
        b'"email.delivered"',
        b'{"type": "email.delivered"',
        f'{{"created_at": "{time}", {data}}}'.encode(),
        f'{{"type": "email.bounced", {data}}}'.encode(),
        f'{{"type": "email.bounced", "created_at": "yesterday", {data}}}'.encode(),
        f'{{"type": "email.bounced", "created_at": null, {data}}}'.encode(),
        f'{{"type": "email.complained", "created_at": "1999-12-31T23:59:59Z", {data}}}'.encode(),
        f'{{"type": "email.complained", "created_at": "2100-01-01T00:00:00Z", {data}}}'.encode(),
        f'{{"type": "email.complained", "created_at": "{time}", "data": ["a", "b"]}}'.encode(),
        f'{{"type": "email.complained", "created_at": "{time}", "data": "text"}}'.encode(),
        f'{{"type": "email.complained", "created_at": "{time}", "data": {"[" * 5_000}{"]" * 5_000}}}'.encode(),
        f'{{"type": "email.complained\\ud800", "created_at": "{time}", {data}}}'.encode(),
        b"\x00",
    ]


class Plan:
    """Writes the events of mails and others; `chance` decides."""

    def __init__(self, mails: Sequence[Mail], seed: int) -> None:
        self._mails, self._chance = mails, random.Random(seed)
        #: Of erased subscribers, nobody knows that a recipient is another one.
        self._known = [mail for mail in mails if not mail.is_erased]
        self._number = 0

    def events(self, count: int) -> list[Said]:
        """So many events, with those about nothing of ours at the end. There must be few enough mails."""
        found = [said for mail in self._mails for said in self._course(mail)]
        found += self._sweeps()
        assert 0.85 * count < len(found) < 0.97 * count, f"{len(found)} events of mails"
        kinds = self._chance.choices(list(OTHERS), list(OTHERS.values()), k=count - len(found))
        return found + [self._other(kind) for kind in kinds]

    # --- Mails --------------------------------------------------------------------------------------------------------

    def _course(self, mail: Mail) -> Iterator[Said]:
        chance = self._chance
        accepted = mail.started_at + self._seconds(1, 900)
        if chance.random() < 0.75:
            yield self._said(mail, "sent", accepted)
        if chance.random() < 0.05:
            for _ in range(chance.randint(1, 3)):
                yield self._said(mail, "delayed", accepted + self._seconds(5, 3_600))
        (course,) = chance.choices(list(COURSES), list(COURSES.values()))
        steps: dict[str, Callable[[Mail, datetime.datetime], Iterator[Said]]] = {
            "delivered": self._delivered,
            "bounced": self._bounced,
            "bounced twice": self._bounced_twice,
            "replied": self._replied,
            "opened only": self._read,
        }
        if course in steps:
            yield from steps[course](mail, accepted)
        else:
            yield from self._rare(course, mail, accepted)

    def _rare(self, course: str, mail: Mail, accepted: datetime.datetime) -> Iterator[Said]:
        later = accepted + self._seconds(3_600, 90_000)
        match course:
            case "returned":
                yield from self._delivered(mail, accepted)
                yield self._bounce(mail, later)
            case "replied and bounced":
                yield from self._replied(mail, accepted)
                yield self._bounce(mail, later)
            case "failed":
                yield self._failed(mail, accepted)
            case "failed and delivered":
                yield self._failed(mail, accepted)
                yield from self._delivered(mail, accepted)
            case "suppressed":
                words = {"type": "OnAccountSuppressionList", "message": "Suppressed after a bounce."}
                yield self._said(mail, "suppressed", accepted + self._seconds(1, 9), suppressed=words)
            case "suppressed as a bounce":
                words = {"type": "Permanent", "subType": "Suppressed", "message": "On the suppression list."}
                at = accepted + self._seconds(1, 9)
                yield self._said(mail, "suppressed", at, as_kind="email.bounced", bounce=words)
            case "complained":
                yield from self._delivered(mail, accepted)
                yield self._said(mail, "complained", later)
            case "complained only":
                yield self._said(mail, "complained", later)
            case "delayed":
                yield self._said(mail, "delayed", accepted + self._seconds(60, 7_200))

    def _delivered(self, mail: Mail, accepted: datetime.datetime) -> Iterator[Said]:
        at = accepted + self._seconds(1, 14_400 if self._chance.random() < 0.1 else 30)
        if self._chance.random() < 0.004:
            # A clock of the provider that is wrong by years.
            at = datetime.datetime(self._chance.choice((2001, 2097)), 6, 1, 12, tzinfo=UTC)
        for _ in range(1 + (self._chance.random() < 0.04)):
            # Rarely a second event of the same fact, with another time.
            yield self._said(mail, "delivered", at + self._seconds(0, 2))
        yield from self._read(mail, accepted, at)

    def _bounced(self, mail: Mail, accepted: datetime.datetime) -> Iterator[Said]:
        yield self._bounce(mail, accepted + self._seconds(1, 7_200))

    def _bounced_twice(self, mail: Mail, accepted: datetime.datetime) -> Iterator[Said]:
        for _ in range(2):
            yield self._bounce(mail, accepted + self._seconds(1, 90_000))

    def _replied(self, mail: Mail, accepted: datetime.datetime) -> Iterator[Said]:
        words = {"type": "Transient", "subType": "General", "message": "Out of office: I am back on Monday"}
        at = accepted + self._seconds(2, 60)
        yield self._said(mail, "delivered", at, as_kind="email.bounced", class_="auto_reply", bounce=words)

    def _bounce(self, mail: Mail, at: datetime.datetime) -> Said:
        (kind,) = self._chance.choices(CLASSES, [6 if name in HARD else 4 for name in CLASSES])
        return self._said(mail, "bounced", at, class_=kind, bounce=self._reply(kind, mail.address))

    def _reply(self, kind: str, to: str) -> dict[str, Any]:
        """As Resend tells it: its type is a guess, and the reply stands in one of two places."""
        text = self._chance.choice(REPLIES[kind]).replace("{to}", to)
        bounce: dict[str, Any] = {"type": self._chance.choice(("Permanent", "Transient")), "subType": "General"}
        if self._chance.random() < 0.5:
            return {**bounce, "message": text}
        return {**bounce, "message": "", "diagnosticCode": [text]}

    def _failed(self, mail: Mail, accepted: datetime.datetime) -> Said:
        reason = self._chance.choice(("reached_daily_quota", "The attachment could not be read."))
        return self._said(mail, "failed", accepted + self._seconds(1, 60), failed={"reason": reason})

    # --- Opens and clicks ---------------------------------------------------------------------------------------------

    def _read(self, mail: Mail, accepted: datetime.datetime, at: datetime.datetime | None = None) -> Iterator[Said]:
        """Also of those who did not agree, and of newsletters that do not ask: the domain's tracking is on."""
        chance = self._chance
        is_reader = at is None or chance.random() < 0.5
        for _ in range(chance.randint(1, 4) if is_reader else 0):
            yield self._said(mail, "opened", accepted + self._seconds(30, 150_000))
        (clicker,) = chance.choices(list(CLICKERS), list(CLICKERS.values()))
        for after, link, agent, ip in self._clicks(clicker, mail):
            # The cloud is quick after the delivery, the early one before the mail was accepted.
            start = at if clicker == "cloud" and at is not None else accepted
            yield self._click(mail, start + datetime.timedelta(milliseconds=round(after * 1000)), link, agent, ip)

    def _clicks(self, clicker: str, mail: Mail) -> Iterator[tuple[float, str, str | None, str]]:
        """Seconds after the mail was accepted, link, agent and address of each click."""
        chance, home = self._chance, home_of(mail)
        first = chance.uniform(300, 120_000)
        some = link_to(chance.randint(1, mail.links))
        match clicker:
            case "human":
                for number in range(chance.randint(1, 3)):
                    yield first + 900 * number, link_to(chance.randint(1, mail.links)), BROWSER, home
            case "filter":
                for number in chance.sample(range(1, mail.links + 1), 4):
                    yield first + number * 0.15, link_to(number), BROWSER, home
            case "program":
                yield first, some, chance.choice(PROGRAMS), home
            case "no agent":
                yield first, some, "", home
            case "preview":
                yield first, some, PREVIEW, home
            case "early":
                yield -chance.uniform(20, 600), some, BROWSER, home
            case "checked":
                yield first, some, BROWSER, home
                yield first + 1.2, some, BROWSER, f"2001:db8:{mail.delivery:x}::7"
            case "cloud":
                yield chance.uniform(20, 100), some, BROWSER, HOSTING
            case "elsewhere":
                yield first, "https://elsewhere.example/imprint", BROWSER, home
            case "settings":
                yield first, "https://news.example/unsubscribe/abcdef", BROWSER, home

    def _sweeps(self) -> Iterator[Said]:
        """A filter that opens the links of eight mails of one send within minutes, and one link of four others."""
        tracked = [mail for mail in self._mails if mail.has_provider_tracking and mail.agreed_at is not None]
        of_send = [mail for mail in tracked if mail.send == tracked[0].send]
        scanned = self._chance.sample(of_send, 12)
        start = tracked[0].started_at + datetime.timedelta(hours=30)
        for place, mail in enumerate(scanned):
            at = start + datetime.timedelta(seconds=20 * place)
            for number in range(1, 5 if place < 8 else 2):
                moment = at + datetime.timedelta(milliseconds=100 * number)
                yield self._click(mail, moment, link_to(number), BROWSER, SCANNER)

    def _click(self, mail: Mail, at: datetime.datetime, link: str, agent: str | None, ip: str) -> Said:
        click = {"link": link, "ipAddress": ip, "timestamp": iso(at), "userAgent": agent}
        return self._said(mail, "clicked", at, seen=(link, agent, ip), click=click)

    # --- Everything else ----------------------------------------------------------------------------------------------

    def _other(self, what: str) -> Said:
        chance, number = self._chance, self._next()
        mail = chance.choice(self._known)
        at = mail.started_at + self._seconds(60, 90_000)
        guest = f"guest-{number}@elsewhere.example"
        kind = chance.choice(("delivered", "bounced", "complained", "opened", "sent"))
        tags = {"env": ENVIRONMENT, "delivery": str(mail.delivery), "edition": str(mail.edition)}
        match what:
            case "transactional":
                ignored = "ignored tracking_not_agreed" if kind == "opened" else ""
                return self._about(number, kind, at, guest, {"env": ENVIRONMENT}, ignored)
            case "no delivery":
                lost = {**tags, "delivery": str(10**12 + number)}
                return self._about(number, kind, at, guest, lost, "orphan no_such_delivery")
            case "other edition":
                other = {**tags, "edition": "999999999"}
                return self._about(number, kind, at, mail.address, other, "orphan other_edition")
            case "other recipient":
                return self._about(number, kind, at, guest, tags, "orphan other_recipient")
            case "no tags":
                return self._about(number, kind, at, mail.address, None, "ignored other_installation")
            case "other kind":
                name = chance.choice(OTHER_KINDS)
                body = body_of(name, at, {"tags": tags, "to": [guest]})
                return Said(event_id=event_id(number), body=body, kind="", at=at, unused="ignored not_about_a_mail")
            case "poison":
                body = chance.choice(poisons(at))
                return Said(event_id=event_id(number), body=body, kind="", at=at, unused="ignored event_unreadable")
        foreign = {**tags, "env": "elsewhere"}
        return self._about(number, kind, at, mail.address, foreign, "ignored other_installation")

    def _about(
        self, number: int, kind: str, at: datetime.datetime, to: str, tags: dict[str, str] | None, unused: str
    ) -> Said:
        data: dict[str, Any] = {"email_id": f"other-{number}", "to": [to], **({"tags": tags} if tags else {})}
        bounce = ""
        if kind == "bounced":
            bounce = self._chance.choice(("no_mailbox", "mailbox_full", "policy"))
            data["bounce"] = self._reply(bounce, to)
        return Said(
            event_id=event_id(number),
            body=body_of(f"email.{kind}", at, data),
            kind=kind,
            at=at,
            address=to.lower(),
            bounce=bounce,
            unused=unused,
        )

    def _said(
        self,
        mail: Mail,
        kind: str,
        at: datetime.datetime,
        *,
        as_kind: str = "",
        class_: str = "",
        seen: tuple[str, str | None, str] = ("", None, ""),
        **words: Any,
    ) -> Said:
        """One event about a mail. A few have the forms that Resend's own examples have."""
        chance, number = self._chance, self._next()
        tags: Any = {"env": ENVIRONMENT, "delivery": str(mail.delivery), "edition": str(mail.edition)}
        if chance.random() < 0.02:
            del tags["edition"]
        if chance.random() < 0.03:
            tags = [{"name": name, "value": value} for name, value in tags.items()]
        shown = mail.address.upper() if chance.random() < 0.02 else mail.address
        data = {
            "email_id": mail.mail_id,
            "created_at": iso(mail.started_at),
            "from": "Harbour Notes <notes@mail.example.org>",
            "to": shown if chance.random() < 0.01 else [shown],
            "subject": "Taller cranes, quieter ferries – Größe zählt",
            "tags": tags,
            **words,
        }
        name = as_kind or {"delayed": "email.delivery_delayed"}.get(kind, f"email.{kind}")
        link, agent, ip = seen
        return Said(
            event_id=event_id(number),
            body=body_of(name, at, data),
            kind=kind,
            at=at,
            mail=mail,
            address=mail.address.lower(),
            bounce=class_,
            link=link,
            agent=agent,
            ip=ip,
        )

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _seconds(self, least: float, most: float) -> datetime.timedelta:
        return datetime.timedelta(milliseconds=round(1000 * self._chance.uniform(least, most)))


def event_id(number: int) -> str:
    return f"msg_{number:08d}"


def home_of(mail: Mail) -> str:
    """An address in a network of its own."""
    return f"10.{mail.delivery // 250 % 250}.{mail.delivery % 250}.7"
