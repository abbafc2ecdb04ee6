"""Policy bounces: mailbox providers that refuse the sender, counted for each of them while a send runs.

One such reply is sent to every recipient at a mailbox provider, and each further mail makes it worse. Batches mix the
recipients of all mailbox providers, so that the whole send is paused and its reason names the provider.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from newsletter.config.translatable import to_data, translatable
from newsletter.models import Delivery, Event, Reason, Send, SendState
from newsletter.providers.bounce_classes import BounceClass
from newsletter.sending.warm_up import MAILBOX_PROVIDERS, PLACE_OF_DOMAIN
from subscribers.models import Subscriber

#: So many policy bounces of one mailbox provider within the window pause a send of any size, or more than so many of
#: all together.
MAX_POLICY_BOUNCES, POLICY_WINDOW = 20, datetime.timedelta(minutes=5)

#: So does more than this share of a mailbox provider's last mails whose outcome is known.
LAST_MAILS, MAX_SHARE = 200, 0.05

#: The newest policy bounces that are looked at.
MAX_READ = 1_000

ADVICE = translatable(
    "Fix the cause before more are sent: SPF, DKIM, DMARC and reputation of the sender's domain. No address is "
    "suppressed for this. The mails to all other recipients wait, too."
)

NAMES = ("", *MAILBOX_PROVIDERS)


@dataclass(slots=True)
class PolicyBounces:
    """The policy bounces of one mailbox provider."""

    total: int = 0
    recent: int = 0
    """Of those, the ones within the window."""
    reply: str = ""
    """The words of the newest one, without addresses."""
    deliveries: set[int] = field(default_factory=set)


def mailbox_provider_of(canonical: str) -> str:
    """The name of a large mailbox provider, or the domain; empty for an erased subscriber."""
    domain = canonical.rpartition("@")[2]
    return NAMES[PLACE_OF_DOMAIN.get(domain, 0)] or domain


def policy_bounces(send: Send, *, since: datetime.datetime | None) -> dict[str, PolicyBounces]:
    """The send's policy bounces by mailbox provider, of the newest `MAX_READ` after `since`."""
    lately = timezone.now() - POLICY_WINDOW
    bounced = Delivery.objects.filter(send=send, bounced_at__isnull=False)
    events = Event.objects.filter(delivery_id__in=bounced.values("pk"), bounce=BounceClass.POLICY.value)
    if since is not None:
        events = events.filter(received_at__gt=since)
    rows = list(events.order_by("-pk").values_list("delivery_id", "received_at", "detail")[:MAX_READ])
    providers = mailbox_providers_of({delivery for delivery, _at, _words in rows if delivery})
    found: dict[str, PolicyBounces] = defaultdict(PolicyBounces)
    for delivery, at, words in rows:
        bounces = found[providers.get(delivery or 0, "")]
        if delivery is None or delivery in bounces.deliveries:
            continue
        bounces.deliveries.add(delivery)
        bounces.total += 1
        bounces.recent += at > lately
        bounces.reply = bounces.reply or words
    return dict(found)


def mailbox_providers_of(deliveries: set[int]) -> dict[int, str]:
    """The mailbox provider of each delivery; empty for an erased subscriber."""
    owners = dict(Delivery.objects.filter(pk__in=deliveries).values_list("pk", "subscriber_id"))
    canonicals = dict(Subscriber.objects.filter(pk__in=set(owners.values())).values_list("pk", "canonical"))
    return {pk: mailbox_provider_of(canonicals.get(owner, "")) for pk, owner in owners.items()}


def policy_problems(send: Send) -> Iterator[tuple[Reason, dict[str, Any]]]:
    """A reason for each mailbox provider that refuses the sender, or one for all of them together.

    What came before an operator resumed the send does not count.
    """
    least = int(LAST_MAILS * MAX_SHARE) + 1
    bounced = Delivery.objects.filter(send=send, bounced_at__isnull=False)
    if bounced[:least].count() < least:
        return
    resumed = send.transitions.filter(target=SendState.SENDING).last()
    found = policy_bounces(send, since=resumed.at if resumed else None)
    refusing = [
        (name, bounces.recent if bounces.recent >= MAX_POLICY_BOUNCES else bounces.total, bounces.reply)
        for name, bounces in sorted(found.items(), key=lambda item: -item[1].total)
        if name and (bounces.recent >= MAX_POLICY_BOUNCES or _refuses_many(send, name, bounces))
    ]
    for place, (name, count, reply) in enumerate(refusing, 1):
        advice = {"sentences": [to_data(ADVICE)]} if place == len(refusing) else {}
        yield Reason.PROVIDER_REFUSES, {"provider": name, "count": count, "reply": reply, **advice}
    recent = sum(bounces.recent for bounces in found.values())
    if not refusing and recent > MAX_POLICY_BOUNCES:
        minutes = int(POLICY_WINDOW.total_seconds() // 60)
        yield Reason.POLICY_BOUNCES, {"count": recent, "minutes": minutes}


def _refuses_many(send: Send, name: str, bounces: PolicyBounces) -> bool:
    """Whether more than its share of the mailbox provider's last mails was refused. False while there are fewer."""
    if bounces.total <= LAST_MAILS * MAX_SHARE:
        return False
    outcome = Q(delivered_at__isnull=False) | Q(bounced_at__isnull=False)
    at_provider = Q()
    for domain in MAILBOX_PROVIDERS.get(name, (name,)):
        at_provider |= Q(subscriber__canonical__endswith=f"@{domain}")
    last = Delivery.objects.filter(outcome, at_provider, send=send).order_by("-pk").values_list("pk", flat=True)
    keys = set(last[:LAST_MAILS])
    return len(keys) == LAST_MAILS and len(keys & bounces.deliveries) > LAST_MAILS * MAX_SHARE


def newest_refusals(send: Send, limit: int) -> Mapping[str, PolicyBounces]:
    """For diagnostics: the mailbox providers that refused most mails of the send, with what they said."""
    found = policy_bounces(send, since=None)
    most = sorted(found.items(), key=lambda item: -item[1].total)
    return dict(most[:limit])
