"""The inbox: a newsletter's saved links, from which editors pick the stories of an issue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from newsletter.admin.inbox_rows import ShownLink, Target, followed_feeds, inbox_url, shown_links, targets_of
from newsletter.admin.pages import CHANGE_PERMISSION, username_of
from newsletter.content.document import IssueContent
from newsletter.content.store import ContentError, load_content
from newsletter.gathering.inbox import (
    MAX_SEARCH,
    MOST_COUNTED,
    LinkOrder,
    LinkQuery,
    WrongCursor,
    count_open,
    drafts_of,
    page_of_links,
    tags_of,
)
from newsletter.gathering.metadata import try_again
from newsletter.gathering.pick import add_links, drop_links, keep_links, take_back
from newsletter.gathering.poll import poll_now
from newsletter.gathering.saving import LinkRefused, SavedNow, links_in, save_links
from newsletter.models import Issue, LinkWay, Newsletter, SavedLink, SavedLinkState
from subscribers.admin.filters import MAX_KEY_DIGITS, refusal

ORDERS = {
    LinkOrder.TIMES: gettext_lazy("Most often linked"),
    LinkOrder.NEWEST: gettext_lazy("Newest"),
    LinkOrder.EXPIRY: gettext_lazy("Expires soonest"),
}
PARAMETERS = {"newsletter", "state", "q", "tag", "sort", "after", "issue"}
#: Links that one request may decide about.
MAX_CHOSEN = 100


def may_see(request: HttpRequest) -> bool:
    """Whether the user may see the inbox: those who may see issues."""
    return bool(request.user.has_perm("newsletter.view_issue") or request.user.has_perm(CHANGE_PERMISSION))


@dataclass(frozen=True, slots=True)
class Choice:
    """What the query string asks for: a newsletter, the draft that links go to, and a part of the list."""

    newsletter: Newsletter
    target: Issue | None
    query: LinkQuery

    def url(self, **changes: object) -> str:
        """The page with some of it changed; it starts at the first page."""
        query = self.query
        values: dict[str, object] = {
            "issue": self.target.pk if self.target else "",
            "state": "" if query.shown == SavedLinkState.NEW else query.shown.value,
            "q": query.search,
            "tag": query.tag or "",
            "sort": "" if query.order is LinkOrder.TIMES else query.order.value,
        }
        return inbox_url(self.newsletter, **(values | changes))


def _choice(request: HttpRequest, newsletters: Sequence[Newsletter]) -> Choice:
    """Raises BadRequest."""
    values = request.GET
    if unknown := values.keys() - PARAMETERS:
        raise BadRequest(f"unknown parameter {min(unknown)!r}")
    keys = {name: _key(values.get(name, "")) for name in ("newsletter", "tag", "issue")}
    newsletter = newsletters[0]
    if keys["newsletter"]:
        newsletter = next((each for each in newsletters if each.pk == keys["newsletter"]), newsletter)
    try:
        query = LinkQuery(
            shown=SavedLinkState(values.get("state") or "new"),
            search=values.get("q", "").replace("\0", "")[:MAX_SEARCH],
            tag=keys["tag"],
            order=LinkOrder(values.get("sort") or "times"),
            after=values.get("after", ""),
        )
    except ValueError as error:
        raise BadRequest("unknown value of 'state' or 'sort'") from error
    drafts = drafts_of(newsletter)
    target = next((each for each in drafts if each.pk == keys["issue"]), drafts[0] if drafts else None)
    return Choice(newsletter, target, query)


def _key(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_KEY_DIGITS):
        raise BadRequest("not a key")
    return int(text)


@require_http_methods(["GET", "HEAD", "POST"])
def show_inbox(request: HttpRequest) -> HttpResponse:
    """The list. POST saves links, or decides about some; scripts ask for JSON."""
    if not may_see(request):
        raise PermissionDenied
    newsletters = list(Newsletter.objects.order_by("name", "pk"))
    if not newsletters:
        context = admin.site.each_context(request) | {"title": _("Inbox"), "newsletter": None}
        return TemplateResponse(request, "admin/newsletter/inbox/inbox.html", context)
    try:
        choice = _choice(request, newsletters)
        if request.method == "POST":
            return _act(request, choice)
        return _page(request, choice, newsletters)
    except (BadRequest, WrongCursor) as error:
        return refusal(request, BadRequest(str(error)))


def _page(
    request: HttpRequest, choice: Choice, newsletters: Sequence[Newsletter], *, typed: str = "", refused: str = ""
) -> HttpResponse:
    newsletter, query, target = choice.newsletter, choice.query, choice.target
    content = load_content(target) if target else None
    page = page_of_links(newsletter, query)
    counts = count_open(newsletter)
    undo = request.session.pop("inbox_undo", None)
    context = admin.site.each_context(request) | {
        "title": _("Inbox"),
        "newsletter": newsletter,
        "newsletters": newsletters if len(newsletters) > 1 else [],
        "links": shown_links(newsletter, page.links, target, content),
        "next_url": choice.url(after=page.next) if page.next else "",
        "is_first": not query.after,
        "states": [
            (
                state.label,
                choice.url(state="" if state == SavedLinkState.NEW else state.value),
                state == query.shown,
                shown_count(counts[state]) if state in counts else "",
                state.value,
            )
            for state in SavedLinkState
        ],
        "query": query,
        "orders": [(order.value, label, order is query.order) for order, label in ORDERS.items()],
        "tags": [(tag.pk, tag.name, tag.pk == query.tag) for tag in tags_of(newsletter)],
        "is_narrowed": bool(query.search or query.tag),
        "may_change": request.user.has_perm(CHANGE_PERMISSION),
        "may_follow": request.user.has_perm("newsletter.change_newsletter"),
        "may_add_issue": request.user.has_perm("newsletter.add_issue"),
        "feeds": followed_feeds(newsletter),
        "undo": undo if isinstance(undo, dict) else None,
        "typed": typed,
        "refused": refused,
        "can_keep": query.shown != SavedLinkState.KEPT and query.shown != SavedLinkState.USED,
        "can_drop": query.shown in counts,
        "can_add": query.shown != SavedLinkState.USED,
        **places(request, target, content),
    }
    return TemplateResponse(request, "admin/newsletter/inbox/inbox.html", context)


def places(request: HttpRequest, target: Issue | None, content: IssueContent | None) -> dict[str, Any]:
    """For templates: the sections of the target with the last choice first, and the other drafts."""
    targets = targets_of(target, content) if target and content is not None else []
    last = request.session.get("inbox_to", "")
    others = [each for each in drafts_of(target.newsletter) if each.pk != target.pk] if target else []
    return {
        "target": target,
        "targets": targets,
        "choices": sorted(targets, key=lambda each: each.value != last),
        "drafts": [Target(f"{each.pk}:", each.title, "") for each in others],
    }


def for_issue(issue: Issue) -> dict[str, str]:
    """For the compose page: the way to the inbox, and the number of new links there."""
    new = count_open(issue.newsletter)[SavedLinkState.NEW]
    return {"inbox_url": inbox_url(issue.newsletter, issue=issue.pk), "inbox_new": shown_count(new) if new else ""}


def shown_count(count: int) -> str:
    """A number that stops at MOST_COUNTED."""
    return f"{number_format(count, force_grouping=True)}{'+' if count >= MOST_COUNTED else ''}"


# What editors do


def _act(request: HttpRequest, choice: Choice) -> HttpResponse:
    if not request.user.has_perm(CHANGE_PERMISSION):
        raise PermissionDenied
    data, newsletter = request.POST, choice.newsletter
    if "save" in data:
        return _save(request, choice)
    if "poll" in data:
        feeds = poll_now(newsletter)
        sentence = ngettext("%(count)s feed is being fetched.", "%(count)s feeds are being fetched.", feeds)
        return _done(request, choice, sentence % {"count": feeds})
    chosen = chosen_links(data)
    if "add" in data:
        query = QueryDict(mutable=True)
        query.setlist("link", [str(pk) for pk in chosen])
        query["issue"] = str(choice.target.pk) if choice.target else ""
        return HttpResponseRedirect(f"{reverse('inbox_add')}?{query.urlencode()}")
    if not chosen:
        return _done(request, choice, _("Select at least one link."), level=messages.WARNING)
    if "retry" in data:
        try_again(newsletter, chosen)
        return _done(request, choice, _("The page is being fetched again."))
    state = choice.query.shown
    if "undo" in data:
        return _undo(request, choice, chosen)
    if "keep" in data:
        moved, sentence = keep_links(newsletter, chosen), _("Kept.")
    elif "drop" in data:
        moved, sentence = drop_links(newsletter, chosen), _("Dropped.")
    else:
        raise BadRequest("no action")
    if not moved:
        return _done(request, choice, _("Another user has decided about this link."), level=messages.WARNING)
    return _done(request, choice, sentence, undo=_undoing(chosen, state))


def chosen_links(data: QueryDict) -> list[int]:
    """The links that a request is about: the one of the button that was pressed, or those that are selected."""
    for name in ("keep", "drop", "add", "retry"):
        if (value := data.get(name, "")).isdecimal():
            return _numbers([value])
    return _numbers(data.getlist("link"))[:MAX_CHOSEN]


def _numbers(texts: Sequence[str]) -> list[int]:
    found = (text for text in texts if text.isascii() and text.isdecimal() and len(text) <= MAX_KEY_DIGITS)
    return list(dict.fromkeys(map(int, found)))


def _undoing(chosen: Sequence[int], state: str) -> dict[str, Any]:
    back = SavedLinkState.KEPT if state == SavedLinkState.KEPT else SavedLinkState.NEW
    return {"state": back.value, "links": list(chosen)}


def _undo(request: HttpRequest, choice: Choice, chosen: Sequence[int]) -> HttpResponse:
    try:
        moved = take_back(choice.newsletter, chosen, request.POST["undo"], by=username_of(request))
    except ContentError as error:
        return _done(request, choice, str(error), level=messages.ERROR)
    sentence = _("Undone.") if moved else _("There is nothing to undo.")
    return _done(request, choice, sentence)


def _done(
    request: HttpRequest,
    choice: Choice,
    sentence: str,
    *,
    undo: dict[str, Any] | None = None,
    level: int = messages.SUCCESS,
) -> HttpResponse:
    """Back to the list, or what a script needs to change it."""
    if request.accepts("text/html") and "application/json" not in request.headers.get("Accept", ""):
        if undo:
            request.session["inbox_undo"] = undo | {"sentence": sentence}
        else:
            messages.add_message(request, level, sentence)
        return HttpResponseRedirect(request.get_full_path())
    counts = count_open(choice.newsletter)
    left = counts[SavedLinkState.NEW]
    remaining = ngettext("%(count)s new link left.", "%(count)s new links left.", left) % {"count": shown_count(left)}
    target = choice.target
    targets = targets_of(target, load_content(target)) if target else []
    return JsonResponse(
        {
            "sentence": f"{sentence} {remaining}",
            "is_error": level in (messages.ERROR, messages.WARNING),
            "undo": undo,
            "counts": {state.value: shown_count(count) for state, count in counts.items()},
            "targets": {each.value: each.stories for each in targets},
        }
    )


def _save(request: HttpRequest, choice: Choice) -> HttpResponse:
    text, note = request.POST.get("links", ""), request.POST.get("note", "")
    try:
        saved = save_links(
            choice.newsletter, links_in(text), way=LinkWay.FORM, by=username_of(request), note=" ".join(note.split())
        )
    except LinkRefused as error:
        newsletters = list(Newsletter.objects.order_by("name", "pk"))
        return _page(request, choice, newsletters, typed=text, refused=str(error.args[0]))
    for sentence, level in saved_sentences(saved):
        messages.add_message(request, level, sentence)
    return HttpResponseRedirect(choice.url(state="", q="", tag="", sort=LinkOrder.NEWEST.value))


def saved_sentences(saved: Sequence[SavedNow]) -> list[tuple[str, int]]:
    """What became of links that were saved, in words, with the levels of the messages."""
    found, new = [], sum(each.is_new for each in saved)
    if new:
        sentence = ngettext("%(count)s link is saved.", "%(count)s links are saved.", new) % {"count": new}
        found.append((f"{sentence} {_('Title, source and summary are being fetched.')}", messages.SUCCESS))
    for each in [each for each in saved if not each.is_new][:5]:
        found.append((already_sentence(each.link), messages.INFO))
    return found


def already_sentence(link: SavedLink) -> str:
    """That a link is in the inbox already, since when, and what was decided about it."""
    return _("“%(link)s” is already in the inbox since %(date)s (%(state)s).") % {
        "link": str(link)[:120],
        "date": date_format(link.found_at, "DATE_FORMAT"),
        "state": str(SavedLinkState(link.state).label).lower(),
    }


# Adding to an issue


@require_http_methods(["GET", "HEAD", "POST"])
def add_to_issue(request: HttpRequest) -> HttpResponse:
    """The sections and drafts that links can be added to, where no script shows them; POST adds the links."""
    if not request.user.has_perm(CHANGE_PERMISSION):
        raise PermissionDenied
    data = request.POST if request.method == "POST" else request.GET
    chosen = _numbers(data.getlist("link"))[:MAX_CHOSEN]
    links = list(SavedLink.objects.filter(pk__in=chosen).select_related("newsletter"))
    if not links or len({link.newsletter_id for link in links}) > 1:
        messages.warning(request, _("Select at least one link."))
        return HttpResponseRedirect(reverse("inbox"))
    newsletter = links[0].newsletter
    issue_key, _colon, heading = data.get("to", "").partition(":")
    try:
        wanted = _key(issue_key) or _key(data.get("issue", ""))
    except BadRequest as error:
        return refusal(request, error)
    drafts = drafts_of(newsletter)
    target = next((each for each in drafts if each.pk == wanted), drafts[0] if drafts else None)
    choice = Choice(newsletter, target, LinkQuery(shown=SavedLinkState(links[0].state)))
    if request.method == "POST" and wanted:
        issue = get_object_or_404(Issue.objects.select_related("newsletter"), pk=wanted, newsletter=newsletter)
        return _add(request, choice, issue, chosen, data.get("new_section", "").strip() or heading)
    content = load_content(target) if target else None
    context = admin.site.each_context(request) | {
        "title": _("Add to…"),
        "newsletter": newsletter,
        "links": links,
        "back_url": inbox_url(newsletter, issue=target.pk if target else ""),
        "may_add_issue": request.user.has_perm("newsletter.add_issue"),
        **places(request, target, content),
    }
    return TemplateResponse(request, "admin/newsletter/inbox/add.html", context)


def _add(request: HttpRequest, choice: Choice, issue: Issue, chosen: Sequence[int], heading: str) -> HttpResponse:
    try:
        added = add_links(issue, chosen, section=heading, by=username_of(request))
    except ContentError as error:
        return _answered(request, choice, _("Nothing was added. %(reason)s") % {"reason": error}, level=messages.ERROR)
    if not added:
        sentence = _("Nothing was added: another user has used these links.")
        return _answered(request, choice, sentence, level=messages.WARNING)
    request.session["inbox_to"] = f"{issue.pk}:{heading}"
    values = {"count": added, "section": heading or issue.title}
    sentence = ngettext(
        "%(count)s story was added to “%(section)s”.", "%(count)s stories were added to “%(section)s”.", added
    )
    return _answered(request, choice, sentence % values, undo=_undoing(chosen, choice.query.shown))


def _answered(request: HttpRequest, choice: Choice, sentence: str, **more: Any) -> HttpResponse:
    answer = _done(request, choice, sentence, **more)
    if isinstance(answer, HttpResponseRedirect):
        return HttpResponseRedirect(choice.url(state=""))
    return answer


View = Callable[[HttpRequest], HttpResponse]


def show_rows(request: HttpRequest) -> HttpResponse:
    """The rows of some links as HTML, for a script that waits until their pages were fetched."""
    if not may_see(request):
        raise PermissionDenied
    chosen = _numbers(request.GET.getlist("link"))[:25]
    links = list(SavedLink.objects.filter(pk__in=chosen).select_related("feed", "newsletter").prefetch_related("tags"))
    rows: list[ShownLink] = shown_links(links[0].newsletter, links, None, None) if links else []
    state = links[0].state if links else SavedLinkState.NEW
    context = {
        "links": rows,
        "may_change": request.user.has_perm(CHANGE_PERMISSION),
        "can_keep": state != SavedLinkState.KEPT and state != SavedLinkState.USED,
        "can_drop": state in (SavedLinkState.NEW, SavedLinkState.KEPT),
        "can_add": state != SavedLinkState.USED,
    }
    return TemplateResponse(request, "admin/newsletter/inbox/rows.html", context)
