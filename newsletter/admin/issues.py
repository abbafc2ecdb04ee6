"""Issues in the admin: the list, the compose page, and the way to every other page of an issue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin import (
    autosave,
    bin,
    check,
    control,
    correction,
    dry_run,
    editions,
    files,
    gather,
    inbox,
    issue_list,
    paste,
    preview,
    report,
    report_files,
    report_link,
    report_provider,
    report_recipients,
    report_share,
    revisions,
    schedule,
    snippets,
    start,
    test_mails,
    web_version,
)
from newsletter.admin.check_tour import tour_of
from newsletter.admin.compose import INBOX_CLIENTS, ComposeForm
from newsletter.admin.pages import (
    SEND_PERMISSION,
    SHARE_PERMISSION,
    Page,
    RequiredPermission,
    main_page_url,
    may_see_recipients,
    page_url,
    redirect_with_message,
    tabs_of,
)
from newsletter.admin.time_format import clock_time, from_now
from newsletter.admin.unfinished import drop_unfinished
from newsletter.content.bin import is_kept
from newsletter.content.drafts import next_envelope
from newsletter.content.snippets import outdated_copies
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, IssueState, Newsletter
from newsletter.sending.recurring import occurrence_of
from newsletter.sending.schedule import IssueRefused, refuse_published
from subscribers.admin.filters import OfferedFilters

if TYPE_CHECKING:
    IssueModelAdmin = admin.ModelAdmin[Issue]
else:
    IssueModelAdmin = admin.ModelAdmin

PAGES = (
    *autosave.PAGES,
    *preview.PAGES,
    *editions.PAGES,
    *check.PAGES,
    *test_mails.PAGES,
    *schedule.PAGES,
    *dry_run.PAGES,
    *control.PAGES,
    *report.PAGES,
    *report_files.PAGES,
    *report_link.PAGES,
    *report_recipients.PAGES,
    *report_provider.PAGES,
    *report_share.PAGES,
    *files.PAGES,
    *gather.PAGES,
    *revisions.PAGES,
    *web_version.PAGES,
    *correction.PAGES,
    *start.PAGES,
    *snippets.PAGES,
)

#: Not for issues that were published on the web without a send.
PAGES_OF_SENDING = (*schedule.PAGES, *dry_run.PAGES)


class IssueAdmin(OfferedFilters, IssueModelAdmin):
    """Stock admin for list, permissions and history; our own form, and a page for each step of an issue."""

    form = ComposeForm
    fields = (
        *("newsletter", "title", "number", "date", "slug", "subject", "preheader"),
        *("category_names", "based_on", "replace_revision", "page_key", "continued"),
    )
    add_form_template = change_form_template = "admin/newsletter/issue/compose.html"
    change_list_template = "admin/newsletter/issue/list.html"
    list_display = ("name", "status_pill", "when", "recipients", "next_step")
    list_filter = (issue_list.StatusFilter, "newsletter")
    list_select_related = ("newsletter", "web_page")
    search_fields = ("title", "subject", "sections__stories__title")
    search_help_text = gettext_lazy("Searches titles, subjects and stories.")
    # The deliveries of every issue on the page are counted, and an issue may have a million.
    list_per_page = 25
    # Nothing is done to several issues at once: each decision has a page that explains it.
    actions = None
    save_on_top = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Issue]:
        """With the send of each, in one further query."""
        return super().get_queryset(request).with_send()  # type: ignore[attr-defined,no-any-return]

    def get_urls(self) -> list[URLPattern]:
        """The pages of an issue, before the admin's own, which would catch them."""
        pages = [path(f"<int:pk>/{page.path}/", self._opened(page), name=page.name) for page in PAGES]
        importing = path("import/", self.admin_site.admin_view(self.import_view), name="newsletter_issue_import")
        token = path("token/", self.admin_site.admin_view(show_token), name="newsletter_issue_token")
        new = path("autosave/", self.admin_site.admin_view(autosave.autosave_new), name="newsletter_issue_autosave_new")
        pasted = path("pasted/", self.admin_site.admin_view(autosave.read_pasted), name="newsletter_issue_pasted")
        pasting = path("paste/", self.admin_site.admin_view(self.paste_view), name="newsletter_issue_paste")
        return [importing, pasting, token, new, pasted, *self._start_urls(), *pages, *super().get_urls()]

    def _start_urls(self) -> list[URLPattern]:
        """The pages that make drafts from something, and those of the bin."""
        pages: dict[str, Callable[..., HttpResponse]] = {
            "like-last/": start.like_last,
            "<int:pk>/duplicate/": start.duplicate,
            "bin/": bin.show_bin,
            "bin/<int:pk>/restore/": bin.restore,
            "bin/<int:pk>/delete/": bin.delete_now,
        }
        names = ("like_last", "duplicate", "bin", "bin_restore", "bin_delete")
        return [
            path(route, self.admin_site.admin_view(view), name=f"newsletter_issue_{name}")
            for name, (route, view) in zip(names, pages.items(), strict=True)
        ]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """The import form; it makes new drafts and changes old ones, so both must be allowed."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        return files.import_file(request)

    def paste_view(self, request: HttpRequest) -> HttpResponse:
        """Pasted text as Markdown, for those who may write issues."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        return paste.convert_paste(request)

    def _opened(self, page: Page) -> Any:
        def open_page(request: HttpRequest, pk: int, **named: Any) -> HttpResponse:
            issue = get_object_or_404(Issue.objects.select_related("newsletter").with_send(), pk=pk)
            if not self._may(request, issue, page.required_permission):
                raise PermissionDenied
            if page in PAGES_OF_SENDING:
                try:
                    refuse_published(issue)
                except IssueRefused as refused:
                    return redirect_with_message(request, str(refused), main_page_url(issue), level=messages.WARNING)
            return page.view(request, issue, **named)

        return self.admin_site.admin_view(open_page)

    def _may(self, request: HttpRequest, issue: Issue, required: RequiredPermission) -> bool:
        return {
            RequiredPermission.VIEW: self.has_view_permission,
            RequiredPermission.CHANGE: self.has_change_permission,
            RequiredPermission.SEND: self.has_send_permission,
            RequiredPermission.PERSONAL: self.has_personal_permission,
            RequiredPermission.SHARE: self.has_share_permission,
        }[required](request, issue)

    def has_send_permission(self, request: HttpRequest, obj: Issue | None = None) -> bool:
        """Whether this user may start and stop sends."""
        return self.has_view_permission(request, obj) and request.user.has_perm(SEND_PERMISSION)

    def has_personal_permission(self, request: HttpRequest, obj: Issue | None = None) -> bool:
        """Whether this user may see who got it."""
        return self.has_view_permission(request, obj) and may_see_recipients(request)

    def has_share_permission(self, request: HttpRequest, obj: Issue | None = None) -> bool:
        """Whether this user may give the numbers of a story to others."""
        return self.has_view_permission(request, obj) and request.user.has_perm(SHARE_PERMISSION)

    def has_delete_permission(self, request: HttpRequest, obj: Issue | None = None) -> bool:
        """Drafts may be deleted, except those that were scheduled or started once: the record of that stays."""
        return super().has_delete_permission(request, obj) and (obj is None or not is_kept(obj))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """One sentence, and the way to the bin: nothing is deleted at once."""
        issue = self.get_object(request, object_id)
        if issue is None:
            raise Http404
        if not self.has_delete_permission(request, issue):
            raise PermissionDenied
        return bin.confirm_move(request, issue)

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[issue_list.IssueChangeList]:
        """With the counts of the page."""
        return issue_list.IssueChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With a plain title."""
        shown = {"title": _("Issues"), "just_deleted": bin.just_deleted(request)}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """With a button to duplicate each, for those who may add issues."""
        return (*self.list_display, "copy") if self.has_add_permission(request) else self.list_display

    @admin.display(description=gettext_lazy("Issue"), ordering="title")
    def name(self, issue: issue_list.ListedIssue) -> str:
        """Title, newsletter and stories."""
        return issue_list.name_cell(issue)

    @admin.display(description=gettext_lazy("Status"))
    def status_pill(self, issue: Issue) -> str:
        """Its status."""
        return issue_list.status_cell(issue)

    @admin.display(description=gettext_lazy("When"))
    def when(self, issue: Issue) -> str:
        """The time that matters."""
        return issue_list.when_cell(issue)

    @admin.display(description=gettext_lazy("Recipients"))
    def recipients(self, issue: issue_list.ListedIssue) -> str:
        """The size of its audience, and what became of its mails."""
        return issue_list.recipients_cell(issue)

    @admin.display(description=gettext_lazy("Next"))
    def next_step(self, issue: Issue) -> str:
        """Its next action."""
        return issue_list.action_cell(issue)

    @admin.display(description=gettext_lazy("Duplicate"))
    def copy(self, issue: Issue) -> str:
        """A new draft with its content."""
        return issue_list.duplicate_cell(issue)

    # Composing

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The compose page, or the content to read where a send uses the issue and no form was submitted."""
        issue: Issue | None = kwargs.get("obj")
        form = context["adminform"].form
        stored = Issue.objects.filter(pk=issue.pk).first() if issue else None
        is_open = issue is None or issue.is_editable
        may_change = self.has_change_permission(request, issue) if issue else True
        is_approved = issue is not None and issue.state == IssueState.APPROVED
        context |= {
            "issue": issue,
            "title": issue.title if issue else _("New issue"),
            "tabs": tabs_of(issue, "change", request) if issue else [],
            "has_no_newsletter": issue is None and not Newsletter.objects.exists(),
            "is_form": (is_open and may_change) or form.is_bound,
            "content": load_content(issue) if issue else None,
            "stored_title": stored.title if stored else "",
            "saved": clock_time(stored.updated_at, stored.newsletter.time_zone) if stored else "",
            "zone": issue.newsletter.time_zone if issue else "UTC",
            "sender_name": issue.newsletter.sender_name if issue else _("Newsletter"),
            "inbox_clients": INBOX_CLIENTS,
            "beside": [preview.CLIENTS[key] for key in preview.BESIDE],
            "unfinished_ago": from_now(form.unfinished.saved_at) if form.unfinished else "",
            "may_change": may_change,
            "may_send": request.user.has_perm(SEND_PERMISSION),
            "may_delete": bool(issue) and self.has_delete_permission(request, issue),
            "is_kept": issue is not None and self.has_delete_permission(request) and is_kept(issue),
            "may_add": self.has_add_permission(request),
            "snippets": snippets.offered_snippets(issue.newsletter) if issue else [],
            "outdated": outdated_copies(load_content(issue), issue.newsletter) if issue and is_open else [],
            "occurrence": occurrence_of(issue) if issue and is_approved else None,
            "is_approved": is_approved,
            "tour": tour_of(request, issue) if issue else None,
            **(inbox.for_issue(issue) if issue else {}),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """The compose page. The text of an issue that was deleted while it was edited is kept in a new one."""
        is_gone = request.method == "POST" and object_id and self.get_object(request, object_id) is None
        if is_gone and self.has_add_permission(request):
            object_id = None
            messages.warning(
                request,
                _(
                    "This issue was deleted while you were writing. Your text is still here: choose its newsletter and "
                    "save it as a new issue."
                ),
            )
        with transaction.atomic():  # an unfinished draft is checked against the issue as it is now
            return super().changeform_view(request, object_id, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: Issue | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form; it opens with the editor's unfinished draft."""
        made: Any = super().get_form(request, obj, change, **kwargs)
        if self.has_change_permission(request, obj):
            made.opened_by = request.user.get_username()
        return made

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """An empty issue has the title, number and date of the next draft, where its newsletter has a title pattern."""
        newsletters = list(Newsletter.objects.all()[:2])
        only = newsletters[0] if len(newsletters) == 1 else None
        found = next_envelope(only) if only and only.title_pattern else {}
        return {**found, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Issue, form: ComposeForm, change: bool) -> None:
        """Store the content the same way as an import does."""
        based_on = form.cleaned_data.get("replace_revision") or form.cleaned_data["based_on"]
        if obj.pk is None:
            obj.save()
            based_on = None
        by = request.user.get_username()
        save_content(obj, form.content(), by=by, based_on=based_on)
        autosave.save_number(obj, form)
        page = form.cleaned_data
        drop_unfinished(obj, by=by, page=page["page_key"], continued=page["continued"])

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """For the history: the fields of the envelope, and the rows as one."""
        message = super().construct_change_message(request, form, formsets, add)
        if not add and form.rows.has_changed():
            message.append({"changed": {"fields": ["sections and stories"]}})
        if not add and form.audience.content() != form.audience.stored:
            message.append({"changed": {"fields": ["audience"]}})
        return message

    def response_add(self, request: HttpRequest, obj: Issue, post_url_continue: str | None = None) -> HttpResponse:
        """Stay on the issue."""
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Issue) -> HttpResponse:
        """Stay on the issue, or go to its checks."""
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, issue: Issue) -> HttpResponseRedirect:
        page = "check" if "_check" in request.POST else "change"
        return redirect_with_message(
            request, _("“%(title)s” is saved.") % {"title": issue.title}, page_url(issue, page)
        )


def show_token(request: HttpRequest) -> HttpResponse:
    """The current CSRF token, for a page that was open for hours."""
    return JsonResponse({"token": get_token(request)})
