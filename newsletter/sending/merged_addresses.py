"""Two addresses of one subscriber are merged: deliveries follow, unless an issue is on its way to one of them.

An issue that awaits a weekly digest is on its way to those who get the digest.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from newsletter.models import Delivery, DeliveryState, Newsletter, Send
from newsletter.models.send import IN_PROGRESS
from newsletter.sending.weekly import sends_of_week, undecided_digests
from subscribers.directory.merge import MergeRefused, register_merge
from subscribers.models import Frequency, Subscriber, Subscription, SubscriptionState

#: Deliveries whose mail may still go out, or whose bytes are kept for a repeat.
UNFINISHED = (DeliveryState.PENDING, DeliveryState.BATCHED, DeliveryState.UNKNOWN)


def move_deliveries(kept: Subscriber, merged: Subscriber) -> None:
    """Give the deliveries of `merged` to `kept`, except of issues that both got. Raises MergeRefused while one waits.

    Otherwise a mail could go to an address that has just ended, or the subscriber miss an issue or get it twice.
    """
    of_both = Delivery.objects.filter(subscriber__in=(kept.pk, merged.pk))
    running = list(Send.objects.filter(state__in=IN_PROGRESS).values_list("issue_id", flat=True))
    sent = list(Send.objects.current().values_list("issue_id", flat=True))
    # By issue: there is no index by the subscriber alone.
    if running or of_both.filter(issue__in=sent, state__in=UNFINISHED).exists():
        raise MergeRefused(_("An issue is being sent, or waits for a decision. Merge the addresses when it is over."))
    _refuse_while_one_awaits_it(kept, merged)
    same = Delivery.objects.filter(issue=OuterRef("issue"), subscriber=kept.pk)
    Delivery.objects.filter(~Exists(same), issue__in=sent, subscriber=merged.pk).update(subscriber=kept.pk)


def _refuse_while_one_awaits_it(kept: Subscriber, merged: Subscriber) -> None:
    """Raise MergeRefused while an issue awaits a digest that one of the two gets, and the other got it by itself.

    The subscriber would get it again in the digest; or miss it, if the address without it is kept with each issue.
    """
    both = (kept.pk, merged.pk)
    active = Subscription.objects.filter(subscriber__in=both, state=SubscriptionState.ACTIVE)
    weekly = active.filter(frequency=Frequency.WEEKLY).values_list("mailing_list", "subscriber")
    for newsletter in Newsletter.objects.filter(pk__in=[list_pk for list_pk, _subscriber in weekly]):
        awaiting = [send.issue_id for send in sends_of_week(newsletter)]
        if not awaiting and not undecided_digests().filter(newsletter=newsletter.pk).exists():
            continue
        others = set(both) - {subscriber for list_pk, subscriber in weekly if list_pk == newsletter.pk}
        got_it = Delivery.objects.filter(issue__in=awaiting, subscriber__in=others)
        if active.filter(mailing_list=newsletter.pk, subscriber__in=others).exists() or got_it.exists():
            raise MergeRefused(
                _(
                    "One of the addresses gets an issue of “%(newsletter)s” with the weekly digest, and the other by "
                    "itself. Merge the addresses when the digest is sent."
                )
                % {"newsletter": newsletter.name}
            )


def register() -> None:
    """Have deliveries follow merged addresses."""
    register_merge(move_deliveries)
