"""The manifest: what a send would do, written down before it does it.

    edition + audience at a moment ─► Manifest ─► canonical JSON ─► SHA-256 ─► Approval ─► held against the send itself

Nothing in it depends on the time or the order of looking: of an unchanged issue and list it is the same, byte for byte.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Self

import orjson
from django.conf import settings
from django.db import connection
from pydantic import TypeAdapter, ValidationError

from newsletter.models import Edition, Issue
from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.providers.throttle import ISSUE_SHARE
from newsletter.sending.expand import CHUNK, audience_of, excluded_from
from newsletter.sending.limits import time_for
from newsletter.sending.waves import LocalTime

VERSION = 1

#: What may change without anything else going out, or to anybody else: the digest leaves it out. So a stranger who
#: asks to subscribe, and has not confirmed, stops nobody's send.
BESIDE = frozenset({"revision", "excluded", "estimate"})

# PostgreSQL's own hash over the keys in order: 16 bytes a reader in its memory, at most 1 GB.
DIGEST = """
    SELECT count(*),
        encode(sha256(coalesce(string_agg(uuid_send(reader.key), ''::bytea ORDER BY reader.id), ''::bytea)), 'hex')
    FROM ({readers}) AS reader (id, key)
"""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestUnreadable(ValueError):
    """What was given is no manifest, or was changed since it was written; the sentence says which."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLink:
    """One address that editors linked to: the words and the place of its first link, and how many there are."""

    url: str
    label: str
    place: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long a send takes and what it costs, as far as that is known. Money as decimal text."""

    seconds: int
    """At `posts_per_second`, less the share that is kept for confirmation mails."""
    posts_per_second: float
    """What the provider documents; what it says while it sends may be more or less."""
    price_per_thousand: str | None
    cost: str | None
    """None where no price is set."""
    currency: str
    is_held_back: bool = False
    """Whether the newsletter's own limit or warm-up, and not the provider, decides how long it takes."""

    @property
    def days(self) -> int:
        """On how many days mails go out, as far as whole days tell."""
        return math.ceil(self.seconds / 86_400)

    @property
    def minutes(self) -> int:
        """The same, rounded up."""
        return math.ceil(self.seconds / 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What goes out, to how many, to whom. Holds no address of a reader."""

    version: int = VERSION
    newsletter: str
    issue: str
    revision: int
    edition: str
    """SHA-256 of the edition: that it has, or would have if the issue were frozen."""
    subject: str
    sender: str
    html_bytes: int
    """As frozen; each reader's slots come on top."""
    text_bytes: int
    links: tuple[ListedLink, ...]
    readers: int
    readers_sha256: str
    """Over the keys of their subscriptions, in the order of addressing."""
    excluded: dict[str, int]
    """Members of the list who do not get it, by reason."""
    batches: int
    estimate: Estimate

    @property
    def sha256(self) -> str:
        """Over everything but what is BESIDE it: while it stays, the same goes out to the same readers."""
        promised = {name: value for name, value in dataclasses.asdict(self).items() if name not in BESIDE}
        return hashlib.sha256(_canonical(promised)).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Plain values with the digest beside them, as they are stored and printed."""
        return {**dataclasses.asdict(self), "sha256": self.sha256}

    def as_text(self) -> str:
        """Canonical JSON, indented for people; ends with a line break."""
        return _canonical(self.as_json(), orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


_MANIFEST = TypeAdapter(Manifest)


def read_manifest(given: Any) -> Manifest:
    """A manifest from its plain values. Raises ManifestUnreadable where they are none, or do not fit their digest."""
    try:
        manifest = _MANIFEST.validate_python(given)
    except ValidationError as error:
        raise ManifestUnreadable("This is no manifest of a dry run, or one of another version of it.") from error
    if given.get("sha256") != manifest.sha256:
        raise ManifestUnreadable("This manifest was changed after the dry run that wrote it.")
    return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The manifest that a person has approved: its digest, and all of it where they brought all of it."""

    sha256: str
    manifest: Manifest | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Of a manifest that is known as a whole."""
        return cls(sha256=manifest.sha256, manifest=manifest)

    @classmethod
    def read(cls, text: str) -> Self:
        """From a digest of 64 hex digits, or from a manifest as a dry run printed it. Raises ManifestUnreadable."""
        if _SHA256.fullmatch(text.strip()):
            return cls(sha256=text.strip())
        try:
            return cls.of(read_manifest(orjson.loads(text)))
        except orjson.JSONDecodeError as error:
            raise ManifestUnreadable("A manifest is named by its SHA-256, 64 hex digits, or brought whole.") from error

    @classmethod
    def stored_on(cls, issue: Issue) -> Self | None:
        """What was approved when the issue was scheduled; None where the readers might change until the start."""
        if not issue.manifest_sha256:
            return None
        try:
            return cls(sha256=issue.manifest_sha256, manifest=read_manifest(issue.manifest))
        except ManifestUnreadable:
            # Written by another version of this program. The digest still decides; only the details are not told.
            return cls(sha256=issue.manifest_sha256)

    def differences(self, now: Manifest) -> tuple[str, ...]:
        """Why `now` is not what was approved, in sentences; none if it is."""
        if now.sha256 == self.sha256:
            return ()
        if self.manifest is None:
            return (
                f"The manifest that you approved ({self.sha256[:12]}…) does not hold any more; it is "
                f"{now.sha256[:12]}… now. Make another dry run and look at what changed.",
            )
        told = (*_content_differences(self.manifest, now), *_audience_differences(self.manifest, now))
        return told or ("What goes out is counted in another way since this program was updated.",)

    def content_differences(self, now: Manifest) -> tuple[str, ...]:
        """The same without the readers, where all of the manifest is known; else all."""
        return tuple(_content_differences(self.manifest, now)) if self.manifest else self.differences(now)


def manifest_of(
    issue: Issue, edition: Edition, *, moment: datetime.datetime, local: LocalTime | None = None
) -> Manifest:
    """What starting `issue` with `edition`, which need not be stored, at `moment` would do. Two queries.

    With `local`, each reader gets it at their own time.
    """
    provider = get_provider()
    readers, readers_sha256, batches = _count_readers(issue.newsletter_id, moment, provider.batch_size, local)
    return Manifest(
        newsletter=issue.newsletter.slug,
        issue=issue.slug,
        revision=issue.revision,
        edition=edition.sha256,
        subject=edition.subject,
        sender=edition.envelope["sender"],
        html_bytes=len(edition.html.encode()),
        text_bytes=len(edition.text.encode()),
        links=_link_table(edition.links),
        readers=readers,
        readers_sha256=readers_sha256,
        excluded=excluded_from(issue.newsletter_id, moment),
        batches=batches,
        estimate=estimate_for(readers, provider, limits=time_for(issue.newsletter, readers, start=moment)),
    )


def estimate_for(readers: int, provider: Provider, *, limits: datetime.timedelta = datetime.timedelta(0)) -> Estimate:
    """How long it takes `provider` to carry an issue to so many, and what it costs at the price that is set.

    `limits` is how long the newsletter's own limits stretch it (`allowance.time_for`).
    """
    price: Decimal | None = settings.PRICE_PER_THOUSAND
    seconds = math.ceil(count_batches(readers, provider.batch_size) / (provider.posts_per_second * ISSUE_SHARE))
    return Estimate(
        seconds=max(seconds, math.ceil(limits.total_seconds())),
        is_held_back=limits.total_seconds() > seconds,
        posts_per_second=provider.posts_per_second,
        price_per_thousand=None if price is None else str(price),
        cost=None if price is None else str((price * readers / 1000).quantize(Decimal("0.01"))),
        currency=settings.PRICE_CURRENCY,
    )


def count_batches(readers: int, size: int) -> int:
    """How many batches addressing cuts: each chunk for itself."""
    chunks, rest = divmod(readers, CHUNK)
    return chunks * math.ceil(CHUNK / size) + math.ceil(rest / size)


def _count_readers(list_pk: int, moment: datetime.datetime, size: int, local: LocalTime | None) -> tuple[int, str, int]:
    """How many, their digest, and their batches: one query, so that all are of the same moment."""
    readers = audience_of(list_pk, moment).order_by("pk")
    if local is None and connection.vendor == "postgresql":
        count, sha256 = _digest_in_postgresql(readers)
        return count, sha256, count_batches(count, size)
    # The wave of a reader; where everybody gets it at once, no zone is read, and there is one.
    columns, wave_of = (("key", "subscriber__time_zone"), cache(local.instant_in)) if local else (("key", "state"), str)
    rows = readers.values_list(*columns).iterator(chunk_size=5_000)
    digest, count = hashlib.sha256(), 0
    groups: Counter[Any] = Counter()
    for key, zone in rows:
        digest.update(key.bytes)
        groups[count // CHUNK, wave_of(zone)] += 1
        count += 1
    return count, digest.hexdigest(), sum(math.ceil(readers / size) for readers in groups.values())


def _digest_in_postgresql(readers: Any) -> tuple[int, str]:
    """How many, and the same digest as over the stream: the first post must not wait until a million keys came here."""
    sql, params = readers.values_list("pk", "key").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(DIGEST.format(readers=sql), params)
        count, sha256 = cursor.fetchone()
    return count, sha256


def _link_table(links: list[dict[str, str]]) -> tuple[ListedLink, ...]:
    counts = Counter(link["url"] for link in links)
    first = {link["url"]: link for link in reversed(links)}
    return tuple(
        ListedLink(url=url, label=first[url]["label"], place=first[url]["place"], count=count)
        for url, count in counts.items()
    )


def _content_differences(approved: Manifest, now: Manifest) -> Iterator[str]:
    if (approved.newsletter, approved.issue) != (now.newsletter, now.issue):
        yield f"It was made for the issue “{approved.issue}” of {approved.newsletter}."
        return
    if approved.edition == now.edition:
        return
    if approved.subject != now.subject:
        yield f"The subject was “{approved.subject}”, and is “{now.subject}” now."
    if approved.sender != now.sender:
        yield f"The sender was {approved.sender}, and is {now.sender} now."
    old, new = ({link.url for link in one.links} for one in (approved, now))
    if old != new:
        yield f"The links changed: {len(new - old)} came in, and {len(old - new)} went out."
    yield (
        f"What goes out changed, in its words or in its look: the HTML had {approved.html_bytes:,} bytes, and has "
        f"{now.html_bytes:,} now."
    )


def _audience_differences(approved: Manifest, now: Manifest) -> Iterator[str]:
    more = now.readers - approved.readers
    if more:
        change = f"{abs(more):,} {'reader' if abs(more) == 1 else 'readers'} {'more' if more > 0 else 'fewer'}"
        verb = "is" if abs(more) == 1 else "are"
        yield f"There {verb} {change} than when it was approved: {now.readers:,}, not {approved.readers:,}."
    elif approved.readers_sha256 != now.readers_sha256:
        yield "There are as many readers as before, but not the same: as many left as joined."
    if not more and approved.batches != now.batches:
        yield f"It would go out in {now.batches:,} batches, not in {approved.batches:,}."


def _canonical(value: Any, options: int = 0) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | options)
