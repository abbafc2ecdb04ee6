"""Two addresses of one subscriber are merged: deliveries follow, unless an issue is on its way to one of them.

An issue that awaits a weekly digest is on its way to those who get the digest. Of two deliveries of one issue, a failed
one is not retried: the subscriber would get the issue again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from itertools import chain

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models import Delivery, DeliveryState, Issue, Newsletter, Reason, Send, WeeklyPlan
from newsletter.models.send import IN_PROGRESS
from newsletter.sending.recipients import AFTER_ATTEMPT
from newsletter.sending.reconcile import HAS_EVENT
from newsletter.sending.retry import CERTAINLY_FAILED
from newsletter.sending.weekly import sends_of_week, undecided_digests
from subscribers.directory.merge import MergeRefused, register_merge
from subscribers.models import Frequency, Subscriber, Subscription, SubscriptionState

#: Deliveries, none of them unfinished, whose mail has reached the subscriber or may have.
MAY_HAVE_IT = ~CERTAINLY_FAILED & (
    Q(state=DeliveryState.ACCEPTED)
    | HAS_EVENT
    | Q(reason__in=[Reason.OTHER_ADDRESS, Reason.DELIVERED_AFTER_ALL, *AFTER_ATTEMPT.values()])
)

ONLY_SOME_ISSUES = gettext_lazy(
    "The weekly digest “%(issue)s” could not be sent to one of the addresses, and the other got some of its issues by "
    "themselves. Retry the failed deliveries of the digest, then merge the addresses."
)

#: Deliveries whose mail may still go out, or whose bytes are kept for a repeat.
UNFINISHED = (DeliveryState.PENDING, DeliveryState.BATCHED, DeliveryState.UNKNOWN)


class MergedDeliveries:
    """What happens to deliveries, for `subscribers.directory.merge`."""

    def lock(self) -> None:
        """Let no send start, and no delivery be retried, until the transaction ends.

        An audience that is expanded at this moment would have deliveries for both addresses, or for the merged one,
        which is not mailed any more. Any newsletter may send to any list.
        """
        WeeklyPlan.objects.lock_all()

    def move(self, kept: Subscriber, merged: Subscriber) -> None:
        """Give the deliveries of `merged` to `kept`. Raises MergeRefused."""
        _move_deliveries(kept, merged)


def _move_deliveries(kept: Subscriber, merged: Subscriber) -> None:
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
    other_address = _failed_of_both(kept, merged, sent) | _failed_weekly_digests(kept, merged)
    Delivery.objects.filter(pk__in=other_address).update(reason=Reason.OTHER_ADDRESS)
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


def _failed_of_both(kept: Subscriber, merged: Subscriber, sent: Collection[int]) -> set[int]:
    """Failed deliveries (primary keys) of issues that both addresses have: a retry would send the issue again.

    If both failed, that of the address which is kept is retried.
    """
    rows = Delivery.objects.filter(issue__in=sent, subscriber__in=(kept.pk, merged.pk))
    others = Delivery.objects.filter(issue=OuterRef("issue"), subscriber__in=(kept.pk, merged.pk))
    others = others.exclude(subscriber=OuterRef("subscriber"))
    is_other = Q(subscriber=merged.pk) & Exists(others) | Exists(others.filter(MAY_HAVE_IT))
    return set(rows.filter(CERTAINLY_FAILED).filter(is_other).values_list("pk", flat=True))


def _failed_weekly_digests(kept: Subscriber, merged: Subscriber) -> set[int]:
    """The same where one address has an issue by itself and the other with a digest. Raises MergeRefused."""
    issues_of: dict[int, set[int]] = defaultdict(set)
    sends = Send.objects.current().filter(weekly_digest__isnull=False)
    for weekly_digest, issue in sends.values_list("weekly_digest", "issue"):
        issues_of[weekly_digest].add(issue)
    issues = {*issues_of, *chain(*issues_of.values())}
    rows = Delivery.objects.filter(issue__in=issues, subscriber__in=(kept.pk, merged.pk))
    failed = set(rows.filter(CERTAINLY_FAILED).values_list("pk", flat=True))
    has: dict[int, dict[int, int]] = {kept.pk: {}, merged.pk: {}}
    for pk, subscriber, issue in rows.exclude(state=DeliveryState.SKIPPED).values_list("pk", "subscriber", "issue"):
        has[subscriber][issue] = pk
    found: set[int] = set()
    for weekly, other in ((kept.pk, merged.pk), (merged.pk, kept.pk)):
        for weekly_digest in issues_of.keys() & has[weekly].keys():
            alone = issues_of[weekly_digest] & has[other].keys()
            if has[weekly][weekly_digest] not in failed:
                found |= {has[other][issue] for issue in alone} & failed
            elif alone == issues_of[weekly_digest]:
                found.add(has[weekly][weekly_digest])
            elif alone:
                raise MergeRefused(ONLY_SOME_ISSUES % {"issue": Issue.objects.get(pk=weekly_digest).title})
    return found


def register() -> None:
    """Have deliveries follow merged addresses."""
    register_merge(MergedDeliveries())
