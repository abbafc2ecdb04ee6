"""What a report should say of a send, from the independent count alone: numbers, and how they are written."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.journeys.flood.facts import UTC
from tests.journeys.flood.recount import FIRST_LINK, IMAGE, Recount

HOUR = datetime.timedelta(hours=1)

#: The order of the table of places, and what each means for the recipient.
PLACES = {
    "reached": "delivered",
    "complained": "delivered",
    "accepted": "under_way",
    "delayed": "under_way",
    "bounced": "not_delivered",
    "suppressed": "not_delivered",
    "not_sent": "not_delivered",
}
OF_DOMAINS = ("delivered", "bounced", "opened", "clicked", "complained")
MOST_DOMAINS = 20

#: Rates of complaints that are marked, from the highest.
LEVELS = ((0.003, "above limit"), (0.001, "above warning"), (0.0008, "near warning"))


@dataclass(frozen=True, slots=True)
class Rates:
    delivered: float
    bounced: float
    opened: float | None
    clicked: float | None
    complained: float
    unsubscribed: float | None


class ExpectedReport:
    """The numbers of one send's report. `earlier` are the sends that it is compared with."""

    def __init__(self, recount: Recount, send: int, started_at: datetime.datetime, earlier: Sequence[int]) -> None:
        self._recount, self.send = recount, send
        self.recipients = recount.sends[send]
        self.started_at = started_at
        self.mail = self.recipients[0].mail
        self.has_tracking = self.mail.has_provider_tracking
        self.totals = recount.totals(send)
        self.places = {name: self.totals[f"place.{name}"] for name in PLACES if self.totals[f"place.{name}"]}
        self.audience = self.totals["audience"]
        #: Complaints prove that the mail arrived.
        self.delivered = self.totals["place.reached"] + self.totals["place.complained"]
        self._earlier = earlier

    def with_event(self, kind: str) -> int:
        return self.totals[f"event.{kind}"]

    def in_place(self, place: str) -> set[int]:
        return {each.mail.delivery for each in self.recipients if each.place == place}

    def with_bounce(self, code: str) -> set[int]:
        return {each.mail.delivery for each in self.recipients if each.bounce == code}

    def in_group(self, group: str) -> int:
        return sum(count for place, count in self.places.items() if PLACES[place] == group)

    @property
    def bounces(self) -> dict[str, int]:
        """By class, the most frequent first."""
        counts = Counter(each.bounce for each in self.recipients if each.bounce)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def hours(self) -> list[dict[str, Any]]:
        """Cumulative, at the end of each of the first 48 hours of the clock."""
        start = self.started_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        kinds = [kind for kind in ("delivered", "opened", "clicked") if kind == "delivered" or self.with_event(kind)]
        times = {kind: sorted(each.times[kind] for each in self.recipients if kind in each.times) for kind in kinds}
        return [
            {
                "until": (start + number * HOUR).isoformat(),
                **{kind: sum(at < start + number * HOUR for at in times[kind]) for kind in kinds},
            }
            for number in range(1, 49)
        ]

    @property
    def domains(self) -> list[dict[str, Any]]:
        """The domains with the most delivered mails, and all others together."""
        counts: dict[str, Counter[str]] = {}
        for each in self.recipients:
            counts.setdefault(each.domain, Counter()).update(each.times.keys() & set(OF_DOMAINS))
        known = [domain for domain in counts if domain and counts[domain]["delivered"]]
        largest = sorted(known, key=lambda domain: (-counts[domain]["delivered"], domain))[:MOST_DOMAINS]
        others: Counter[str] = Counter()
        for domain in counts.keys() - set(largest):
            others.update(counts[domain])
        rows = [{"domain": domain, **{name: counts[domain][name] for name in OF_DOMAINS}} for domain in largest]
        return [*rows, {"domain": "", **{name: others[name] for name in OF_DOMAINS}}] if +others else rows

    def rates(self) -> Rates:
        base = self.delivered
        return Rates(
            delivered=self.delivered / self.audience,
            bounced=self.totals["place.bounced"] / self.audience,
            opened=self.with_event("opened") / base or None,
            clicked=self.with_event("clicked") / base or None,
            complained=self.with_event("complained") / base,
            unsubscribed=0.0,
        )

    def comparison(self) -> dict[str, Any] | None:
        """With one earlier issue at most, whose rates are their own median."""
        if not self._earlier:
            return None
        (other,) = (ExpectedReport(self._recount, send, self.started_at, ()).rates() for send in self._earlier)
        names = Rates.__dataclass_fields__
        return {
            "issues": 1,
            "this": {name: getattr(self.rates(), name) for name in names},
            "median": {name: getattr(other, name) for name in names},
        }

    def as_json(self) -> dict[str, Any]:
        """The file for programs, without the time at which it was counted."""
        return {
            "newsletter": "harbour-notes" if self.has_tracking else "tide-tables",
            "issue": self.mail.issue,
            "title": self.mail.issue,
            "state": "sent",
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "finished_at": (self.started_at + datetime.timedelta(minutes=5)).isoformat(timespec="seconds"),
            "recipients": self.audience,
            "delivered": self.delivered,
            **{name: self.with_event(name) for name in ("opened", "clicked", "complained", "bounced")},
            "unsubscribed": 0,
            "unsubscribes": {"by_way": {}, "by_reason": {}},
            "rates_of": {"mails": "delivered", "count": self.delivered},
            "places": [
                {"place": place, "group": PLACES[place], "recipients": count, "reasons": []}
                for place, count in self.places.items()
            ],
            "excluded": {},
            "bounces": [{"class": code, "recipients": count} for code, count in self.bounces.items()],
            "hours": self.hours,
            "domains": self.domains,
            "comparison": self.comparison(),
        }

    def as_csv(self) -> list[list[str]]:
        """The rows of the file for spreadsheets."""
        rows: list[list[Any]] = [["section", "name", "detail", "recipients", "of"]]
        rows.append(["numbers", "recipients", "", self.audience, ""])
        rows.append(["numbers", "delivered", "", self.delivered, self.audience])
        rows += [["numbers", name, "", self.with_event(name), self.delivered] for name in OF_DOMAINS[2:]]
        rows.append(["numbers", "unsubscribed", "", 0, self.delivered])
        rows += [["places", place, "", count, self.audience] for place, count in self.places.items()]
        rows += [["bounces", code, "", count, self.with_event("bounced")] for code, count in self.bounces.items()]
        hours = self.hours
        for kind in [name for name in hours[0] if name != "until"]:
            rows += [["hours", kind, hour["until"], hour[kind], ""] for hour in hours]
        for row in self.domains:
            base = domain_base(row)
            rows += [["domains", row["domain"] or "others", name, row[name], base] for name in OF_DOMAINS]
        return [[str(cell) for cell in row] for row in rows]

    # --- Links --------------------------------------------------------------------------------------------------------

    def hits(self) -> dict[int, tuple[int, int, int]]:
        """By number of link, or of the image: human visitors, hits of humans, and all hits."""
        counts: dict[int, list[int]] = {}
        for (edition, number, _hour, verdict), (hits, visitors) in self._recount.engagement().items():
            if edition == self.mail.edition:
                found = counts.setdefault(number, [0, 0, 0])
                found[2] += hits
                if verdict == "human":
                    found[0] += visitors
                    found[1] += hits
        return {number: (found[0], found[1], found[2]) for number, found in counts.items()}

    def links(self) -> list[tuple[int, int]]:
        """Humans and all hits of each link, in the order of the mail."""
        hits = self.hits()
        found = [hits.get(FIRST_LINK + place, (0, 0, 0)) for place in range(self.mail.links)]
        return [(humans, every) for humans, _hits, every in found]

    def hits_on_links(self) -> tuple[int, int]:
        """All of them, and those of programs."""
        found = [counts for number, counts in self.hits().items() if number >= FIRST_LINK]
        return sum(counts[2] for counts in found), sum(counts[2] - counts[1] for counts in found)

    def opens(self) -> tuple[int, int]:
        """Humans, and all loads of the image."""
        humans, _hits, every = self.hits().get(IMAGE, (0, 0, 0))
        return humans, every


def domain_base(row: Mapping[str, Any]) -> int:
    """What the rates of a domain are shares of."""
    return max(int(row[name]) for name in ("delivered", "opened", "clicked", "complained"))


def level_of(row: Mapping[str, Any]) -> str:
    """How the complaints of a domain are marked."""
    base, complained = domain_base(row), row["complained"]
    if complained < 2 or base < 20:
        return ""
    return next((words for rate, words in LEVELS if complained / base >= rate), "")


def grouped(count: int) -> str:
    return f"{count:,}"


def percent(count: float, of: float) -> str:
    """`10.8%`, and `0.15%` below one percent; never 100 or 0 for what is only close to it."""
    if not of:
        return "–"
    share = 100 * count / of
    places = 2 if share < 1 else 1
    step = 10.0**-places
    if count and share < step:
        return f"under {step:.{places}f}%"
    share = min(round(share, places), 100 - step) if count < of else round(share, places)
    return f"{share:.{places}f}%"


def short_percent(share: float) -> str:
    """As the first page writes it."""
    places = 1 if 100 * share >= 1 or not share else 2
    return f"{round(100 * share, places):.{places}f}%"
