"""Content bounces: the same refusal of the mail itself, at several domains or many times, while a send runs.

One mailbox provider may have a strange filter. Several that say the same have found something in the issue: a listed
link, its size, its headers. Each further mail harms the sender's reputation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Sum

from newsletter.config.translatable import to_data, translatable
from newsletter.models import CountScope, Delivery, Event, Reason, Send, SendCount, SendState
from newsletter.providers.bounce_classes import BounceClass
from newsletter.providers.bounces import gist_of
from newsletter.sending.policy_bounces import mailbox_providers_of

#: The same reply of so many mailbox providers, or so many times, pauses a send of any size.
MIN_PROVIDERS, MIN_REPLIES = 3, 20

#: The newest content bounces that are looked at.
MAX_READ = 1_000

ADVICE = translatable(
    "Look for what they object to before more are sent: links to listed sites, the size of the mail, its headers. No "
    "address is suppressed for this. If you resume the send, this reply does not pause it again."
)


@dataclass(slots=True)
class SameReply:
    """The content bounces of a send with one reply."""

    reply: str
    """The words of the newest one, without addresses."""
    deliveries: set[int] = field(default_factory=set)
    providers: set[str] = field(default_factory=set)

    @property
    def is_problem(self) -> bool:
        return len(self.providers) >= MIN_PROVIDERS or len(self.deliveries) >= MIN_REPLIES


def content_problems(send: Send) -> Iterator[tuple[Reason, dict[str, Any]]]:
    """A reason for each reply that recurs, unless the send was paused for it before and resumed."""
    if _count(send) < MIN_PROVIDERS:
        return
    acknowledged = _acknowledged(send)
    found = {gist: same for gist, same in content_bounces(send).items() if gist not in acknowledged}
    recurring = [(gist, same) for gist, same in found.items() if same.is_problem]
    for place, (gist, same) in enumerate(recurring, 1):
        advice = {"sentences": [to_data(ADVICE)]} if place == len(recurring) else {}
        counts = {"count": len(same.deliveries), "providers": len(same.providers)}
        yield Reason.CONTENT_REFUSED, {**counts, "reply": same.reply, "gist": gist, **advice}


def content_bounces(send: Send) -> dict[str, SameReply]:
    """The send's content bounces by what they say, of the newest `MAX_READ`; most recipients first."""
    bounced = Delivery.objects.filter(send=send, bounced_at__isnull=False)
    events = Event.objects.filter(delivery_id__in=bounced.values("pk"), bounce=BounceClass.CONTENT.value)
    rows = list(events.order_by("-pk").values_list("delivery_id", "detail")[:MAX_READ])
    providers = mailbox_providers_of({delivery for delivery, _words in rows if delivery})
    found: dict[str, SameReply] = {}
    for delivery, words in rows:
        gist = gist_of(words)
        if delivery is None or not gist:
            continue
        same = found.setdefault(gist, SameReply(words))
        same.deliveries.add(delivery)
        # An erased subscriber has no provider, and still was refused.
        same.providers |= {name for name in (providers.get(delivery, ""),) if name}
    return dict(sorted(found.items(), key=lambda item: (-len(item[1].deliveries), item[0])))


def _count(send: Send) -> int:
    """How many there are, by the counters: a send is asked every second while it runs."""
    counters = SendCount.objects.filter(send=send, scope=CountScope.BOUNCE, key=BounceClass.CONTENT.value)
    return counters.aggregate(total=Sum("value"))["total"] or 0


def _acknowledged(send: Send) -> set[str]:
    """What was said when the send was paused for it."""
    pauses = send.transitions.filter(target=SendState.PAUSED, reason=Reason.AUTO_PAUSED)
    reasons = (reason for values in pauses.values_list("values", flat=True) for reason in values.get("reasons", ()))
    return {str(values.get("gist")) for code, values in reasons if code == Reason.CONTENT_REFUSED.value}
