"""The navigation of the admin: its sections and entries as one table, and what of it a user may open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from newsletter.admin import brand, deliverability, growth, inbox, pictures
from newsletter.models import (
    ArchiveImport,
    Batch,
    Delivery,
    Edition,
    Event,
    Issue,
    IssueTemplate,
    Newsletter,
    RecurringDraft,
    Send,
    SendState,
    Snippet,
    WebhookEndpoint,
    WebhookMessage,
)
from subscribers.models import (
    BulkAction,
    Consent,
    CustomField,
    Export,
    Import,
    Segment,
    Signup,
    SignupDecision,
    SignupRule,
    Subscriber,
    Subscription,
    Suppression,
    Tag,
    Topic,
    TransactionalMail,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Label
else:
    Label = object

Rule = Callable[[HttpRequest], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A link of the navigation, with the rule of the view behind it."""

    label: Label | str
    name: str
    """Of its URL pattern, with the namespace."""
    may_open: Rule
    pages: tuple[str, ...]
    """What the names of the URL patterns begin with that belong to it; the longest beginning of all entries counts."""
    query: tuple[str, str] | None = None
    """A parameter of the URL with its value, where the same page without it is another entry."""
    model: type[Model] | None = None
    """Whose rows it lists."""

    @property
    def url(self) -> str:
        """Its URL. Not kept: it depends on the path that the site is mounted at."""
        return reverse(self.name) + ("?{}={}".format(*self.query) if self.query else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A group of entries, which links to the first of them."""

    label: Label
    icon: str
    """Its name in icons.svg."""
    entries: tuple[Entry, ...]
    is_folded: bool = False


def _list(model: type[Model], label: Label | str = "", **changes: Any) -> Entry:
    """The list of a registered model, which opens for those who may view or change its rows; named as the model is."""
    names = f"{model._meta.app_label}_{model._meta.model_name}_"
    shown = {"label": label or model._meta.verbose_name_plural or "", "pages": (names,), "model": model, **changes}
    return Entry(name=f"admin:{names}changelist", may_open=partial(_may_list, model), **shown)


def _may_list(model: type[Model], request: HttpRequest) -> bool:
    return bool(admin.site._registry[model].has_view_or_change_permission(request))


def _page(name: str, label: Label, permission: str = "", *more: str) -> Entry:
    """A page of ours; without a permission it opens for everyone who may log in to the admin. `more` belong to it."""
    may_open = partial(_may, permission) if permission else _everyone
    return Entry(label=label, name=name, may_open=may_open, pages=(name.rpartition(":")[2], *more))


def _may(permission: str, request: HttpRequest) -> bool:
    return request.user.has_perm(permission)


def _everyone(request: HttpRequest) -> bool:
    return True


def _inbox() -> Entry:
    """The saved links, for those who see issues."""
    return Entry(label=_("Inbox"), name="inbox", may_open=inbox.may_see, pages=("inbox",))


#: Of the stories.
CSV_FILES = ("stories_csv", "sources_csv")

#: The sections in the order of an editor's week. A new page of the admin is one line here.
SECTIONS = (
    Section(label=_("Overview"), icon="overview", entries=(_page("admin:index", _("Overview")),)),
    Section(
        label=_("Issues"),
        icon="issues",
        entries=(
            _list(Issue, _("All issues")),
            _list(IssueTemplate, _("Templates")),
            _list(Snippet),
            _list(RecurringDraft),
            _list(ArchiveImport, _("Imported archives")),
            Entry(
                label=_("Bin"),
                name="admin:newsletter_issue_bin",
                may_open=partial(_may_list, Issue),
                pages=("newsletter_issue_bin",),
            ),
        ),
    ),
    Section(label=_("Inbox"), icon="inbox", entries=(_inbox(),)),
    Section(
        label=_("Subscribers"),
        icon="subscribers",
        entries=(
            _list(Subscriber, _("All subscribers")),
            _list(Segment),
            _list(Import, _("Import")),
            _list(CustomField, _("Fields")),
            _list(Tag),
            _list(Suppression),
            _list(Signup),
            _list(SignupRule),
        ),
    ),
    Section(
        label=_("Reports"),
        icon="reports",
        entries=(
            _list(Issue, _("Issues"), query=("status", SendState.SENT.value), pages=("newsletter_issue_report",)),
            _page(
                "stories_and_sources", _("Stories and sources"), growth.VIEW_PERMISSION, "stories_csv", "sources_csv"
            ),
            _page("best_times", _("Best day and hour"), growth.VIEW_PERMISSION),
            _page("growth", _("Growth"), growth.VIEW_PERMISSION),
            _page("deliverability", _("Deliverability"), deliverability.VIEW),
        ),
    ),
    Section(
        label=_("Newsletter"),
        icon="newsletter",
        entries=(
            _page("brand", _("Brand"), brand.PERMISSION),
            _page("pictures", _("Pictures"), pictures.VIEW),
            _list(Newsletter, _("Settings and schedule")),
            _list(Topic),
        ),
    ),
    Section(
        label=_("System"),
        icon="system",
        is_folded=True,
        entries=(
            _page("sending_switch", _("All sending")),
            _list(Send),
            _list(Edition),
            _list(Batch),
            _list(Delivery),
            _list(Event),
            _list(TransactionalMail),
            _list(WebhookEndpoint),
            _list(WebhookMessage),
            _list(Subscription),
            _list(Consent),
            _list(SignupDecision),
            _list(BulkAction),
            _list(Export),
            _list(User),
            _list(Group),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class ShownEntry:
    label: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class ShownSection:
    label: str
    icon: str
    url: str
    is_current: bool
    is_folded: bool
    entries: list[ShownEntry] = field(default_factory=list)
    """Only of the current section, and of a folded one."""


@dataclass(frozen=True, slots=True)
class Navigation:
    """What a user sees of it on one page."""

    sections: list[ShownSection]
    up: ShownEntry | None
    """The entry that the page belongs to, if it is another page."""


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `navigation` in the templates of the admin. It is made where a template asks for it."""
    return {"navigation": SimpleLazyObject(partial(navigation_of, request))}


def navigation_of(request: HttpRequest) -> Navigation:
    """The sections with an entry that this user may open. It queries nothing but the user's permissions."""
    current = _current(request)
    sections = []
    for section in SECTIONS:
        if allowed := [entry for entry in section.entries if entry.may_open(request)]:
            sections.append(_shown(section, allowed, current))
    up = None
    if current and current.may_open(request) and not _is_at(current, request):
        up = ShownEntry(str(capfirst(current.label)), current.url, False)
    return Navigation(sections, up)


def _shown(section: Section, allowed: list[Entry], current: Entry | None) -> ShownSection:
    is_current = current in allowed
    has_children = section.is_folded or (is_current and len(allowed) > 1)
    entries = [ShownEntry(str(capfirst(each.label)), each.url, each is current) for each in allowed]
    return ShownSection(
        label=str(section.label),
        icon=section.icon,
        url=allowed[0].url,
        is_current=is_current,
        is_folded=section.is_folded,
        entries=entries if has_children else [],
    )


def _current(request: HttpRequest) -> Entry | None:
    """The entry that the page belongs to; None for pages of the account, such as the change of a password."""
    match = request.resolver_match
    if match is None or not match.url_name:
        return None
    at = [entry for entry in _with_query() if _is_at(entry, request)]
    return at[0] if at else owner_of(match.url_name)


def _is_at(entry: Entry, request: HttpRequest) -> bool:
    """Whether the page is the very one that the entry links to."""
    match = request.resolver_match
    is_page = match is not None and match.view_name == entry.name
    return is_page and (entry.query is None or request.GET.get(entry.query[0]) == entry.query[1])


@cache
def owner_of(url_name: str) -> Entry | None:
    """The entry that a page with this name, without its namespace, belongs to."""
    owners = [(len(start), entry) for entry in all_entries() for start in entry.pages if url_name.startswith(start)]
    return max(owners, key=lambda owner: owner[0])[1] if owners else None


@cache
def _with_query() -> tuple[Entry, ...]:
    return tuple(entry for entry in all_entries() if entry.query)


def all_entries() -> Iterator[Entry]:
    """The entries of all sections."""
    for section in SECTIONS:
        yield from section.entries
