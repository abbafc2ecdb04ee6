"""Rules of segments about issues: received, opened, clicked, ignored, and how many were received."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from newsletter.models import Delivery, DeliveryState, Issue, SendState
from subscribers.segments.kinds import REGISTRY, Comparison, Control, Facts, Kind, Rule

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

ABOUT_ISSUES = _("Issues")

#: The largest number of last issues, each of which is a parameter of the statement; and of issues that are counted.
MAX_LAST, MAX_RECEIVED = 100, 10_000

#: The newest issues that a rule can name.
MAX_NAMED = 200

#: Sends that have begun. A cancelled one may have reached a part of its audience.
BEGUN = (SendState.SENDING, SendState.PAUSED, SendState.SENT, SendState.CANCELLED)

#: Deliveries that reached the subscriber, as far as is known: a mail server that reports no events counts as reached.
IS_RECEIVED = (
    Q(state=DeliveryState.ACCEPTED, bounced_at__isnull=True, failed_at__isnull=True, suppressed_at__isnull=True)
    | Q(opened_at__isnull=False)
    | Q(clicked_at__isnull=False)
)
IS_OPENED = Q(opened_at__isnull=False) | Q(clicked_at__isnull=False)
IS_CLICKED = Q(clicked_at__isnull=False)


def ordinary_issues(facts: Facts) -> QuerySet[Issue]:
    """The issues of the list, without weekly digests: these only repeat them."""
    return Issue.objects.filter(newsletter=facts.mailing_list.pk, digest_at__isnull=True)


def issues_of(facts: Facts) -> dict[str, str]:
    """Titles of the list's newest issues whose sending began before the time of the facts, by primary key.

    The newest comes first. The audience of a send is that of its start: its own issue is not among the last ones.
    """

    def find() -> dict[str, str]:
        begun = ordinary_issues(facts).filter(sends__state__in=BEGUN, sends__started_at__lt=facts.now)
        rows = begun.order_by("-sends__started_at", "-pk").values_list("pk", "title")[:MAX_NAMED]
        return {str(pk): title for pk, title in rows}

    return facts.once("newsletter.issues", find)


def last_issues(facts: Facts, count: int) -> list[int]:
    """Primary keys of the last issues, the newest first; fewer if there are not so many."""
    return [int(pk) for pk in list(issues_of(facts))[:count]]


def deliveries(issues: list[int], condition: Q) -> Exists:
    """Whether the subscriber has such a delivery of one of these issues."""
    return Exists(Delivery.objects.filter(condition, issue__in=issues, subscriber=OuterRef("subscriber_id")))


def received_at_least(count: int, **issues: object) -> Exists:
    """Whether the subscriber received so many of these issues."""
    rows = Delivery.objects.filter(IS_RECEIVED, subscriber=OuterRef("subscriber_id"), **issues)
    return Exists(rows.values("subscriber").annotate(count=Count("pk")).filter(count__gte=count))


class IssueKind(Kind):
    """What became of some of the last issues, or of one issue."""

    group = ABOUT_ISSUES
    fact: Q
    table: ClassVar[Mapping[str, Comparison]]

    def comparisons(self, facts: Facts, field: str) -> Mapping[str, Comparison]:
        return self.table

    def options(self, facts: Facts, field: str, comparison: str) -> Mapping[str, str]:
        return issues_of(facts) if comparison in ("issue", "not_issue") else {}

    def condition(self, rule: Rule, facts: Facts) -> Q:
        value = self.value(rule, facts)
        is_count = rule.comparison in ("last", "not_last")
        issues = last_issues(facts, int(str(value))) if is_count else [int(str(value))]
        found = Q(deliveries(issues, self.fact))
        return ~found if rule.comparison in ("not_last", "not_issue") else found


def _comparisons(
    last: StrOrPromise, not_last: StrOrPromise, issue: StrOrPromise, not_issue: StrOrPromise
) -> dict[str, Comparison]:
    return {
        "last": Comparison(_("in the last … issues"), last, Control.COUNT, MAX_LAST),
        "not_last": Comparison(_("not in the last … issues"), not_last, Control.COUNT, MAX_LAST),
        "issue": Comparison(_("the issue"), issue, Control.OPTION),
        "not_issue": Comparison(_("not the issue"), not_issue, Control.OPTION),
    }


class Received(IssueKind):
    """Accepted by the provider, and neither bounced nor failed."""

    code, label, fact = "received", _("Received"), IS_RECEIVED
    table: ClassVar = _comparisons(
        ngettext_lazy("received the last issue", "received one of the last %(value)d issues", "value"),
        ngettext_lazy("did not receive the last issue", "received none of the last %(value)d issues", "value"),
        _("received the issue “%(value)s”"),
        _("did not receive the issue “%(value)s”"),
    )


class Opened(IssueKind):
    """An open is stored, or a click, which cannot be without one."""

    code, label, fact = "opened", _("Opened"), IS_OPENED
    table: ClassVar = _comparisons(
        ngettext_lazy("opened the last issue", "opened one of the last %(value)d issues", "value"),
        ngettext_lazy("no open of the last issue", "no open in the last %(value)d issues", "value"),
        _("opened the issue “%(value)s”"),
        _("no open of the issue “%(value)s”"),
    )


class Clicked(IssueKind):
    """A click is stored."""

    code, label, fact = "clicked", _("Clicked"), IS_CLICKED
    table: ClassVar = _comparisons(
        ngettext_lazy("clicked in the last issue", "clicked in one of the last %(value)d issues", "value"),
        ngettext_lazy("no click in the last issue", "no click in the last %(value)d issues", "value"),
        _("clicked in the issue “%(value)s”"),
        _("no click in the issue “%(value)s”"),
    )


class Ignored(Kind):
    """Received each of the last issues, and opened or clicked none.

    Matches only subscribers who agreed to tracking: no open of any other subscriber is stored.
    """

    code, label, group = "ignored", _("Ignored"), ABOUT_ISSUES

    def comparisons(self, facts: Facts, field: str) -> Mapping[str, Comparison]:
        words = ngettext_lazy(
            "received the last issue without an open", "received the last %(value)d issues without an open", "value"
        )
        return {"last": Comparison(_("each of the last … issues"), words, Control.COUNT, MAX_LAST)}

    def condition(self, rule: Rule, facts: Facts) -> Q:
        count = int(str(self.value(rule, facts)))
        issues = last_issues(facts, count)
        received_all = Q(received_at_least(count, issue__in=issues))
        return Q(tracking_agreed_at__isnull=False) & received_all & ~Q(deliveries(issues, IS_OPENED))


class IssuesReceived(Kind):
    """How many issues of the newsletter the subscriber received."""

    code, label, group = "issues_received", _("Issues received"), ABOUT_ISSUES

    def comparisons(self, facts: Facts, field: str) -> Mapping[str, Comparison]:
        at_least = ngettext_lazy("received at least one issue", "received at least %(value)d issues", "value")
        fewer = ngettext_lazy("received no issue", "received fewer than %(value)d issues", "value")
        return {
            "at_least": Comparison(_("at least"), at_least, Control.COUNT, MAX_RECEIVED),
            "fewer": Comparison(_("fewer than"), fewer, Control.COUNT, MAX_RECEIVED),
        }

    def condition(self, rule: Rule, facts: Facts) -> Q:
        issues = ordinary_issues(facts).order_by().values("pk")
        enough = Q(received_at_least(int(str(self.value(rule, facts))), issue__in=issues))
        return enough if rule.comparison == "at_least" else ~enough


def register_kinds() -> None:
    """Register the kinds, in the order of the builder's menu."""
    for kind in (IssuesReceived(), Received(), Opened(), Clicked(), Ignored()):
        REGISTRY.register(kind)
