"""The list of subscribers: search, filters, and the actions on a selection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from subscribers.addresses import masked
from subscribers.admin.bulk_actions import offered_actions, open_actions, recent_results
from subscribers.admin.rights import may_export, may_see_personal_data
from subscribers.directory.counting import Count, count_rows
from subscribers.directory.issues import IssueHistory, has_issues, issue_histories
from subscribers.directory.selection import (
    MAX_DIGITS,
    NO_SOURCE,
    PAUSED,
    InvalidSelection,
    Selection,
    SelectionGone,
    group_of,
    sources,
)
from subscribers.models import (
    IMPORTED,
    MailingList,
    Segment,
    Subscriber,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    Tag,
)
from subscribers.segments.kinds import Facts
from subscribers.segments.rules import RulesError, describe

#: Rows of a page, squares of a row, and choices of a filter.
PAGE, ISSUES, MAX_CHOICES = 25, 8, 200

#: Orders of the list by the value of `o`: the column that sorts, which has an index. The default is the first.
ORDERS = {"-joined": "-pk", "joined": "pk", "address": "canonical", "-address": "-canonical"}

#: Parameters of Django's own pages that lead here: links that it makes after a change, and pop-ups.
IGNORED = {"_changelist_filters", "_facets", "_popup", "_to_field", "e"}


@dataclass(slots=True)
class Row:
    """One subscriber of the list."""

    subscriber: Subscriber
    address: str
    states: list[tuple[Subscription, bool]] = field(default_factory=list)
    """With whether it is paused now."""
    tags: list[str] = field(default_factory=list)
    issues: IssueHistory = field(default_factory=IssueHistory)


@dataclass(frozen=True, slots=True)
class Filter:
    """One of the filters above the list."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]]
    value: str

    @property
    def chosen(self) -> str:
        """The label of the choice; the value itself if it is not among the choices that are offered."""
        return dict(self.choices).get(self.value, self.value)


def selection_of(request: HttpRequest, *, without: Iterable[str] = ()) -> Selection:
    """The selection of the query string, apart from these parameters. Raises BadRequest."""
    if repeated := [name for name, values in request.GET.lists() if len(values) > 1]:
        raise BadRequest(f"repeated parameter {min(repeated)!r}")
    query = {name: str(value) for name, value in request.GET.items() if name not in {*without, *IGNORED}}
    try:
        return Selection.from_query(query, is_exact=not may_see_personal_data(request))
    except InvalidSelection as error:
        raise BadRequest(str(error)) from error


def show_list(request: HttpRequest) -> HttpResponse:
    """One page of the list, or the way to an action on the chosen rows. Raises BadRequest."""
    selection = selection_of(request, without=("before", "o"))
    order = _order(request)
    if request.method == "POST":
        return _to_action(request, selection)
    before = request.GET.get("before", "")
    if before and not (before.isascii() and before.isdecimal() and len(before) <= MAX_DIGITS):
        raise BadRequest("no key in 'before'")
    url = reverse("admin:subscribers_subscriber_changelist")
    context: dict[str, Any] = {"rows": [], "next_url": "", "error": ""}
    try:
        # Once: on SQLite it counts, to choose the faster way.
        found = selection.subscribers()
        context |= _page(
            selection, found, int(before) if before else None, order, may_see=may_see_personal_data(request)
        )
        context["count"] = count_rows(found) if before or context["has_more"] else Count(len(context["rows"]))
    except SelectionGone as error:
        context["error"] = str(error)
    if context.pop("has_more", False):
        context["next_url"] = f"{url}?{_ordered(selection, order, before=context['rows'][-1].subscriber.pk)}"
    lists = list(MailingList.objects.order_by("name"))
    filters = _filters(selection, lists)
    return TemplateResponse(
        request,
        "admin/subscribers/subscriber/list.html",
        {
            **admin.site.each_context(request),
            "title": capfirst(str(Subscriber._meta.verbose_name_plural)),
            "opts": Subscriber._meta,
            "selection": selection,
            "filters": filters,
            "chips": _chips(selection, filters, url),
            # Eight statements, which a search does without.
            "totals": [] if selection.query or before else _totals(lists),
            "has_lists": len(lists) > 1,
            "has_issues": has_issues(),
            "is_first": not before,
            "first_url": f"{url}?{_ordered(selection, order)}",
            "hidden": _hidden(selection, order),
            "as_segment_query": _joined(selection.query, filters=1),
            "orders": _orders(request, selection, order, url),
            "order": order,
            "may_add_segment": request.user.has_perm("subscribers.add_segment"),
            "page_size": PAGE,
            "checkbox": ACTION_CHECKBOX_NAME,
            "actions": offered_actions(request),
            "running": open_actions(),
            "recent": recent_results(request),
            "may_export": may_export(request),
            "is_personal": may_see_personal_data(request),
            "may_add": request.user.has_perm("subscribers.add_subscriber"),
            **context,
        },
    )


def _to_action(request: HttpRequest, selection: Selection) -> HttpResponse:
    """The page of the action that was asked for, with the chosen rows or all that match."""
    keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
    if not all(key.isascii() and key.isdecimal() and len(key) <= MAX_DIGITS for key in keys) or len(keys) > PAGE:
        raise BadRequest("invalid key of a selected row")
    action = request.POST.get("action", "")
    if action not in {*(kind for kind, _label in offered_actions(request)), "export"}:
        raise BadRequest("unknown action")
    query = selection.query
    if not request.POST.get("everyone"):
        if not keys:
            here = request.get_full_path()
            admin.site._registry[Subscriber].message_user(
                request, _("Select subscribers first, or “all that match”."), level="warning"
            )
            return HttpResponseRedirect(here)
        query = _joined(query, keys=",".join(keys))
    if action == "export":
        return HttpResponseRedirect(f"{reverse('admin:subscribers_subscriber_export')}?{query}")
    return HttpResponseRedirect(f"{reverse('admin:subscribers_subscriber_bulk', args=[action])}?{query}")


def _order(request: HttpRequest) -> str:
    """The order that was asked for. Raises BadRequest. The order of addresses would tell who may not see them more."""
    order = request.GET.get("o", "") or next(iter(ORDERS))
    if order not in ORDERS or (order.endswith("address") and not may_see_personal_data(request)):
        raise BadRequest("unknown order")
    return order


def _ordered(selection: Selection, order: str, **more: object) -> str:
    """The query string of the list in this order."""
    return _joined(selection.query, **({"o": order} if order != next(iter(ORDERS)) else {}), **more)


def _hidden(selection: Selection, order: str) -> list[tuple[str, str]]:
    """What a new search keeps, and no field of the form has."""
    return parse_qsl(_ordered(Selection(rules=selection.rules), order))


def _orders(request: HttpRequest, selection: Selection, order: str, url: str) -> dict[str, str]:
    """The URL behind the head of each column that sorts: in the other direction, if it sorts now."""
    joined = "joined" if order == "-joined" else "-joined"
    urls = {"joined": f"{url}?{_ordered(selection, joined)}"}
    if may_see_personal_data(request):
        address = "-address" if order == "address" else "address"
        urls["address"] = f"{url}?{_ordered(selection, address)}"
    return urls


def _joined(query: str, **more: object) -> str:
    return "&".join(filter(None, (query, urlencode(more))))


def _page(
    selection: Selection, found: QuerySet[Subscriber], before: int | None, order: str, *, may_see: bool
) -> dict[str, Any]:
    """The rows after the cursor, which is the key of the last row before, in five statements. Raises SelectionGone."""
    column = ORDERS[order]
    found = found.order_by(column)
    if before is not None:
        name, comparison = column.removeprefix("-"), "lt" if column.startswith("-") else "gt"
        # No address in a URL: the key stands for it. After a row that was deleted the list begins again.
        last = before if name == "pk" else Subscriber.objects.filter(pk=before).values_list(name, flat=True).first()
        found = found.filter(**{f"{name}__{comparison}": last}) if last is not None else found
    subscribers = list(found[: PAGE + 1])
    rows = {
        subscriber.pk: Row(subscriber, subscriber.address if may_see else masked(subscriber.address))
        for subscriber in subscribers[:PAGE]
    }
    now, keys = timezone.now(), list(rows)
    subscriptions = selection.subscriptions_of(keys).select_related("mailing_list").order_by("mailing_list__name")
    for subscription in subscriptions:
        is_paused = subscription.state == SubscriptionState.ACTIVE and subscription.is_paused(now)
        rows[subscription.subscriber_id].states.append((subscription, is_paused))
    tags = SubscriptionTag.objects.filter(subscription__in=subscriptions.order_by()).order_by("tag__key")
    for owner, name in tags.values_list("subscription__subscriber", "tag__name"):
        if name not in rows[owner].tags:
            rows[owner].tags.append(name)
    for owner, history in issue_histories(keys, ISSUES, is_personal=may_see).items():
        rows[owner].issues = history
    return {"rows": list(rows.values()), "has_more": len(subscribers) > PAGE}


def state_choices() -> list[tuple[str, str]]:
    """The states of the filter."""
    states = [(str(state.value), str(state.label)) for state in SubscriptionState]
    return [*states[:2], (PAUSED, pgettext("subscription", "Paused")), *states[2:]]


def _filters(selection: Selection, lists: Sequence[MailingList]) -> list[Filter]:
    """Those that have something to choose from."""
    tags = Tag.objects.order_by("key")
    segments = Segment.objects.order_by("name")
    if selection.mailing_list:
        tags = tags.filter(mailing_list=selection.mailing_list)
        segments = segments.filter(mailing_list=selection.mailing_list)
    several = len(lists) > 1 and not selection.mailing_list
    shown_sources = [(source, _("Import") if source == IMPORTED else source) for source in sources()]
    filters = [
        Filter("list", _("List"), [(str(each.pk), each.name) for each in lists], str(selection.mailing_list or "")),
        Filter("state", _("State"), state_choices(), selection.state),
        Filter("source", _("Source"), [*shown_sources, (NO_SOURCE, _("Not known"))], selection.source),
        Filter("tag", _("Tag"), _named(tags, several=several), str(selection.tag or "")),
        Filter("segment", _("Segment"), _named(segments, several=several), str(selection.segment or "")),
    ]
    return [each for each in filters if len(each.choices) > 1 or each.value or each.name in ("tag", "segment")]


def _named(rows: QuerySet[Any], *, several: bool) -> list[tuple[str, str]]:
    found = rows.values_list("pk", "name", "mailing_list__name")[:MAX_CHOICES]
    return [(str(pk), f"{name} ({list_name})" if several else name) for pk, name, list_name in found]


def _chips(selection: Selection, filters: Sequence[Filter], url: str) -> list[tuple[str, str]]:
    """What is filtered by, in words, each with the URL without it."""
    names = {"list": "mailing_list"}
    chips = [
        (f"{each.label}: {each.chosen}", f"{url}?{selection.without(names.get(each.name, each.name)).query}")
        for each in filters
        if each.value
    ]
    chips += _rule_chips(selection, url)
    if selection.text:
        chips.insert(0, (f"“{selection.text}”", f"{url}?{selection.without('text').query}"))
    return chips


def _rule_chips(selection: Selection, url: str) -> list[tuple[str, str]]:
    """The further filters in words; one that cannot be used says why."""
    mailing_list = selection.list_of_rules() if selection.rules else None
    facts = Facts(mailing_list) if mailing_list else None
    chips = []
    for rule in selection.rules:
        label = rule[0]
        if facts:
            try:
                label = describe(group_of([rule], facts), facts)
            except RulesError as error:
                label = str(error)
        chips.append((capfirst(label), f"{url}?{selection.without_rule(rule).query}"))
    return chips


def _totals(lists: Sequence[MailingList]) -> list[tuple[str, str]]:
    """The subscriptions by state: number and label."""
    ours = Subscription.objects.filter(mailing_list__in=[each.pk for each in lists])
    counts = ((count_rows(ours.filter(state=state.value)), str(state.label)) for state in SubscriptionState)
    return [(count.words, label.lower()) for count, label in counts if count.number]
