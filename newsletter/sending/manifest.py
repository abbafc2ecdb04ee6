"""The manifest: a record of what a send will do, made before it starts.

    edition + audience at a time ─► Manifest ─► canonical JSON ─► SHA-256 ─► Approval ─► compared with the send itself

The manifest contains no time: for an unchanged issue, audience and limits it is the same, byte for byte. Its SHA-256
does not cover how long the send takes, which depends on the day of a warm-up, and what it costs, which may depend on
the mails of the month.
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
from typing import Any, NamedTuple, Self

import orjson
from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import TypeAdapter, ValidationError

from newsletter.config.prices import PriceList
from newsletter.config.translatable import translatable, translatable_plural
from newsletter.models import Batch, Edition, Issue, Send
from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.providers.throttle import ISSUE_SHARE
from newsletter.sending.audience import Audience
from newsletter.sending.expand import RECIPIENTS_PER_CHUNK
from newsletter.sending.limits import SENT_STATES, minimum_duration
from newsletter.sending.listed_audience import ListedAudience, joined_sha256, list_audience
from newsletter.sending.waves import LocalTime
from subscribers.models import Subscriber, SubscriptionQuerySet

VERSION = 2

#: Fields that may change although the same mails go to the same recipients. The SHA-256 does not cover them, so that,
#: for example, an unconfirmed sign-up does not stop a send. Of the audience it covers `audience_sha256`.
NOT_HASHED = frozenset({"revision", "excluded", "estimate", "audience"})

# PostgreSQL's own hash over the keys in order: 16 bytes per recipient in its memory, at most 1 GB.
COUNT_AND_HASH = """
    SELECT count(*),
        encode(sha256(coalesce(
            string_agg(uuid_send(recipient.key), ''::bytea ORDER BY recipient.id), ''::bytea
        )), 'hex')
    FROM ({recipients}) AS recipient (id, key)
"""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestUnreadable(ValueError):
    """The input is no manifest, or was changed since it was written; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLink:
    """One linked address: label and place of its first link, and how many links lead there."""

    url: str
    label: str
    place: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long a send takes and what it costs. Money as decimal text."""

    seconds: int
    """At `posts_per_second`, less the share that is reserved for transactional mails."""
    posts_per_second: float
    """The provider's documented rate; the rate in force may differ."""
    price_per_thousand: str | None
    cost: str | None
    """None where no price is set, or where the mails of this month are more than the largest tier holds."""
    currency: str
    tier_up_to: int | None = None
    """With tiers: the size of the one that holds the mails of this month with these, or all contacts."""
    tier_price: str | None = None
    """Its price for a month, of which `cost` is the part of these mails."""
    tier_unit: str = ""
    """`mails` or `contacts`. A price by contacts holds any number of mails, so that these cost nothing more."""
    is_limited: bool = False
    """Whether the newsletter's own limit or warm-up, and not the provider, decides how long it takes."""

    @property
    def days(self) -> int:
        """Days that it takes, rounded up."""
        return math.ceil(self.seconds / 86_400)

    @property
    def minutes(self) -> int:
        """Minutes that it takes, rounded up."""
        return math.ceil(self.seconds / 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is sent, to how many, to whom. Holds no address of a recipient."""

    version: int = VERSION
    newsletter: str
    issue: str
    revision: int
    edition: str
    """SHA-256 of the edition that the issue has, or would have if it were frozen."""
    subject: str
    sender: str
    html_bytes: int
    """As frozen; the values of placeholders are not counted."""
    text_bytes: int
    links: tuple[ListedLink, ...]
    recipients: int
    recipients_sha256: str
    """Over the keys of their subscriptions, in the order of expansion; of several lists, over the hashes of each."""
    excluded: dict[str, int]
    """Subscriptions of the lists that are left out, counted by reason."""
    batches: int
    estimate: Estimate
    audience: ListedAudience | None = None
    """None: recorded before issues had audiences of their own."""

    @property
    def sha256(self) -> str:
        """The hash of all fields but NOT_HASHED: if it is equal, the same mails go to the same recipients."""
        hashed = {name: value for name, value in dataclasses.asdict(self).items() if name not in NOT_HASHED}
        if self.audience_sha256:
            hashed["audience"] = self.audience_sha256
        return hashlib.sha256(_canonical(hashed)).hexdigest()

    @property
    def audience_sha256(self) -> str:
        """The hash of what decides who is in the audience; empty for the newsletter's own list and nothing else."""
        if self.audience is None or self.audience.is_default:
            return ""
        return hashlib.sha256(_canonical(self.audience.decides)).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Plain values and the SHA-256, as they are stored and printed."""
        return {**dataclasses.asdict(self), "sha256": self.sha256}

    def as_text(self) -> str:
        """Canonical JSON, indented; ends with a line break."""
        return _canonical(self.as_json(), orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


_MANIFEST = TypeAdapter(Manifest)


def read_manifest(stored: Any) -> Manifest:
    """A manifest from its plain values. Raises ManifestUnreadable if they are invalid or do not match their SHA-256."""
    try:
        manifest = _MANIFEST.validate_python(stored)
    except ValidationError as error:
        raise ManifestUnreadable(_("This is not a manifest of a dry run, or one of another version.")) from error
    if stored.get("sha256") != manifest.sha256:
        raise ManifestUnreadable(_("This manifest was changed after the dry run that wrote it."))
    return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSummary:
    """The fields of a manifest that are compared with a later one: a few hundred bytes, however long the issue is."""

    sha256: str
    newsletter: str
    issue: str
    edition: str
    subject: str
    sender: str
    html_bytes: int
    recipients: int
    recipients_sha256: str
    batches: int
    audience_sha256: str = ""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: getattr(manifest, name) for name in names})

    def as_text(self) -> str:
        """Canonical JSON, for the hidden field of a form."""
        return _canonical(dataclasses.asdict(self)).decode()


_SUMMARY = TypeAdapter(ManifestSummary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An approved manifest: its SHA-256, which decides, and its summary if known, which only names the differences."""

    sha256: str
    summary: ManifestSummary | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        return cls(sha256=manifest.sha256, summary=ManifestSummary.of(manifest))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a SHA-256 (64 hex digits), a summary, or a manifest of a dry run. Raises ManifestUnreadable."""
        if _SHA256.fullmatch(text.strip()):
            return cls(sha256=text.strip())
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ManifestUnreadable(
                _("Give the SHA-256 of a manifest (64 hex digits), or the whole manifest of a dry run.")
            ) from error
        if isinstance(values, dict) and "version" in values:
            return cls.of(read_manifest(values))
        try:
            summary = _SUMMARY.validate_python(values)
        except ValidationError as error:
            raise ManifestUnreadable(_("This is not a manifest of a dry run, or one of another version.")) from error
        return cls(sha256=summary.sha256, summary=summary)

    @classmethod
    def stored_on(cls, send: Send) -> Self | None:
        """The approval with which the send was scheduled; None if the audience may change until the start."""
        if not send.approved_sha256:
            return None
        try:
            return cls(sha256=send.approved_sha256, summary=ManifestSummary.of(read_manifest(send.manifest)))
        except ManifestUnreadable:
            # Written by another version of this program. The SHA-256 still decides; only the details are missing.
            return cls(sha256=send.approved_sha256)

    def differences(self, current: Manifest) -> tuple[str, ...]:
        """Why `current` is not what was approved, as sentences; none if it is."""
        if current.sha256 == self.sha256:
            return ()
        if self.summary is None:
            return (
                _(
                    "The approved manifest (%(approved)s…) is out of date; it is %(now)s… now. Make another dry run "
                    "and look at what changed."
                )
                % {"approved": self.sha256[:12], "now": current.sha256[:12]},
            )
        found = (*_content_differences(self.summary, current), *_audience_differences(self.summary, current))
        return found or (translatable("The manifest is computed differently since the last update of this program."),)

    def content_differences(self, current: Manifest) -> tuple[str, ...]:
        """The same without the audience, where the summary is known; else all."""
        return tuple(_content_differences(self.summary, current)) if self.summary else self.differences(current)


def manifest_of(
    issue: Issue, edition: Edition, audience: Audience, *, at: datetime.datetime, local: LocalTime | None = None
) -> Manifest:
    """What starting `issue` with `edition`, which need not be stored, `at` a time would do.

    Two queries for the newsletter's own list, and some more for each further list and segment. With `local`, each
    recipient gets it at their own time.
    """
    provider = get_provider()
    counted = [
        _count_recipients(audience.once_each(place, at).order_by("pk"), provider.batch_size, local)
        for place in range(len(audience.lists))
    ]
    recipients = sum(each.recipients for each in counted)
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
        recipients=recipients,
        recipients_sha256=joined_sha256([each.sha256 for each in counted]),
        excluded=audience.excluded(at),
        batches=sum(each.batches for each in counted),
        estimate=estimate_for(recipients, provider, limits=minimum_duration(issue.newsletter, recipients, start=at)),
        audience=list_audience(audience, [each.recipients for each in counted], at),
    )


def estimate_for(
    recipients: int, provider: Provider, *, limits: datetime.timedelta = datetime.timedelta(0)
) -> Estimate:
    """How long `provider` takes for so many recipients, and what it costs at the configured price or tiers.

    `limits` is how long the newsletter's own limits stretch it (`limits.minimum_duration`).
    """
    seconds = math.ceil(count_batches(recipients, provider.batch_size) / (provider.posts_per_second * ISSUE_SHARE))
    return Estimate(
        seconds=max(seconds, math.ceil(limits.total_seconds())),
        is_limited=limits.total_seconds() > seconds,
        posts_per_second=provider.posts_per_second,
        currency=settings.PRICE_CURRENCY,
        **(_cost_in_tiers(recipients) if settings.PRICE_TIERS else _cost_per_thousand(recipients)),
    )


def _cost_per_thousand(recipients: int) -> dict[str, Any]:
    price: Decimal | None = settings.PRICE_PER_THOUSAND
    if price is None:
        return {"price_per_thousand": None, "cost": None}
    return {"price_per_thousand": str(price), "cost": _money(price * recipients / 1000)}


def _cost_in_tiers(recipients: int) -> dict[str, Any]:
    """The part of these mails in the price of the tier that the month needs with them. One query."""
    prices = PriceList.parse(settings.PRICE_TIERS)
    is_by_mails = prices.unit == "mails"
    tier = prices.tier_for(_sent_this_month() + recipients if is_by_mails else Subscriber.objects.count())
    if tier is None:
        return {"price_per_thousand": None, "cost": None, "tier_unit": prices.unit}
    return {
        "price_per_thousand": None,
        "cost": _money(tier.price * recipients / tier.up_to if is_by_mails else Decimal(0)),
        "tier_up_to": tier.up_to,
        "tier_price": _money(tier.price),
        "tier_unit": prices.unit,
    }


def _sent_this_month() -> int:
    """Mails of issues of all newsletters since the first of the month, UTC, as providers count them."""
    first = timezone.now().astimezone(datetime.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    sent = Batch.objects.filter(state__in=SENT_STATES, first_attempt_at__gte=first)
    return int(sent.aggregate(mails=Sum("recipients"))["mails"] or 0)


def _money(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01")))


def count_batches(recipients: int, size: int) -> int:
    """The number of batches that expanding creates: each chunk is cut into batches separately."""
    chunks, rest = divmod(recipients, RECIPIENTS_PER_CHUNK)
    return chunks * math.ceil(RECIPIENTS_PER_CHUNK / size) + math.ceil(rest / size)


class CountedList(NamedTuple):
    """Number of recipients through one list, SHA-256 of their keys, and number of batches."""

    recipients: int
    sha256: str
    batches: int


def _count_recipients(audience: SubscriptionQuerySet, size: int, local: LocalTime | None) -> CountedList:
    """All three from one query and so of the same time."""
    if local is None and connection.vendor == "postgresql":
        count, sha256 = _hash_in_postgresql(audience)
        return CountedList(count, sha256, count_batches(count, size))
    # Each wave has batches of its own. Without local times there is one wave, and no zone is read.
    columns, wave_of = (("key", "subscriber__time_zone"), cache(local.instant_in)) if local else (("key", "state"), str)
    rows = audience.values_list(*columns).iterator(chunk_size=5_000)
    sha256_of_keys, count = hashlib.sha256(), 0
    groups: Counter[Any] = Counter()
    for key, zone in rows:
        sha256_of_keys.update(key.bytes)
        groups[count // RECIPIENTS_PER_CHUNK, wave_of(zone)] += 1
        count += 1
    batches = sum(math.ceil(recipients / size) for recipients in groups.values())
    return CountedList(count, sha256_of_keys.hexdigest(), batches)


def _hash_in_postgresql(audience: SubscriptionQuerySet) -> tuple[int, str]:
    """Count and hash in the database: the first post must not wait until a million keys are transferred."""
    try:
        sql, params = audience.values_list("pk", "key").query.sql_with_params()
    except EmptyResultSet:
        # No subscription can be in it, as Django knows without asking.
        return 0, hashlib.sha256().hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(COUNT_AND_HASH.format(recipients=sql), params)
        count, sha256 = cursor.fetchone()
    return count, sha256


def _link_table(links: list[dict[str, str]]) -> tuple[ListedLink, ...]:
    counts = Counter(link["url"] for link in links)
    first = {link["url"]: link for link in reversed(links)}
    return tuple(
        ListedLink(url=url, label=first[url]["label"], place=first[url]["place"], count=count)
        for url, count in counts.items()
    )


def _content_differences(approved: ManifestSummary, current: Manifest) -> Iterator[str]:
    if (approved.newsletter, approved.issue) != (current.newsletter, current.issue):
        yield translatable(
            "It was made for the issue “{issue}” of {newsletter}.", issue=approved.issue, newsletter=approved.newsletter
        )
        return
    if approved.edition == current.edition:
        return
    if approved.subject != current.subject:
        yield translatable(
            "The subject changed from “{before}” to “{now}”.", before=approved.subject, now=current.subject
        )
    if approved.sender != current.sender:
        yield translatable("The sender changed from {before} to {now}.", before=approved.sender, now=current.sender)
    yield translatable(
        "The content or the design changed: the HTML had {before:,} bytes and has {now:,} bytes now.",
        before=approved.html_bytes,
        now=current.html_bytes,
    )


def _audience_differences(approved: ManifestSummary, current: Manifest) -> Iterator[str]:
    if approved.audience_sha256 != current.audience_sha256:
        yield translatable(
            "The lists, segments or topic of the audience, or the rules of a segment, changed since the approval."
        )
    if current.recipients != approved.recipients:
        yield translatable_plural(
            "The audience changed from {before:,} to {count:,} recipient since the approval.",
            "The audience changed from {before:,} to {count:,} recipients since the approval.",
            before=approved.recipients,
            count=current.recipients,
        )
    elif approved.recipients_sha256 != current.recipients_sha256:
        yield translatable("The audience has the same size but is not the same: as many subscribers left as joined.")
    if current.recipients == approved.recipients and approved.batches != current.batches:
        yield translatable_plural(
            "It would be sent in {count:,} batch instead of {before:,}.",
            "It would be sent in {count:,} batches instead of {before:,}.",
            count=current.batches,
            before=approved.batches,
        )


def _canonical(value: Any, options: int = 0) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | options)
