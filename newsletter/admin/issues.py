"""Issues in the admin: the list, the compose page, and the way to every other page of an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path

from newsletter.admin import (
    check,
    control,
    dry_run,
    editions,
    files,
    gather,
    issue_list,
    preview,
    report,
    revisions,
    schedule,
    test_mails,
)
from newsletter.admin.compose import ComposeForm
from newsletter.admin.pages import SEND_PERMISSION, Need, Page, page_url, steps_of, tell_and_go
from newsletter.admin.time_format import from_now
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, IssueStatus, Newsletter
from newsletter.sending.recurring import occurrence_of

if TYPE_CHECKING:
    IssueModelAdmin = admin.ModelAdmin[Issue]
else:
    IssueModelAdmin = admin.ModelAdmin

PAGES = (
    *preview.PAGES,
    *editions.PAGES,
    *check.PAGES,
    *test_mails.PAGES,
    *schedule.PAGES,
    *dry_run.PAGES,
    *control.PAGES,
    *report.PAGES,
    *files.PAGES,
    *gather.PAGES,
    *revisions.PAGES,
)


class IssueAdmin(IssueModelAdmin):
    """Stock admin for list, permissions and history; our own form, and a page for each step of an issue's way."""

    form = ComposeForm
    fields = (
        *("newsletter", "title", "date", "slug", "subject", "preheader"),
        *("category_names", "based_on", "replace_revision"),
    )
    add_form_template = change_form_template = "admin/newsletter/issue/compose.html"
    change_list_template = "admin/newsletter/issue/list.html"
    list_display = ("name", "status_pill", "when", "readers", "next_step")
    list_filter = ("status", "newsletter")
    list_select_related = ("newsletter",)
    search_fields = ("title", "subject", "sections__stories__title")
    search_help_text = "In titles, subjects and stories."
    # The deliveries of every issue on the page are counted, and an issue may have a million.
    list_per_page = 25
    # Nothing is ever done to many issues at once: each way out of draft has a page that says what it means.
    actions = None
    save_on_top = False

    def get_urls(self) -> list[URLPattern]:
        """The pages of an issue, before the admin's own, which would catch them."""
        pages = [path(f"<int:pk>/{page.path}/", self._opened(page), name=page.name) for page in PAGES]
        importing = path("import/", self.admin_site.admin_view(self.import_view), name="newsletter_issue_import")
        token = path("token/", self.admin_site.admin_view(show_token), name="newsletter_issue_token")
        return [importing, token, *pages, *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """The import form; it makes new drafts and changes old ones, so both must be allowed."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        return files.import_file(request)

    def _opened(self, page: Page) -> Any:
        def open_page(request: HttpRequest, pk: int, **named: Any) -> HttpResponse:
            issue = get_object_or_404(Issue.objects.select_related("newsletter", "edition"), pk=pk)
            if not self._may(request, issue, page.needs):
                raise PermissionDenied
            return page.view(request, issue, **named)

        return self.admin_site.admin_view(open_page)

    def _may(self, request: HttpRequest, issue: Issue, need: Need) -> bool:
        return {
            Need.VIEW: self.has_view_permission,
            Need.CHANGE: self.has_change_permission,
            Need.SEND: self.has_send_permission,
        }[need](request, issue)

    def has_send_permission(self, request: HttpRequest, obj: Issue | None = None) -> bool:
        """Whether this person may decide that mail goes out, and stop it."""
        return self.has_view_permission(request, obj) and request.user.has_perm(SEND_PERMISSION)

    def has_delete_permission(self, request: HttpRequest, obj: Issue | None = None) -> bool:
        """Drafts may go, but for those that were scheduled or started once: what was approved, and by whom, stays."""
        return super().has_delete_permission(request, obj) and (
            obj is None or (obj.is_editable and not _was_approved(obj))
        )

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[issue_list.IssueChangeList]:
        """With the counts of the page."""
        return issue_list.IssueChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Under the name that people have for it."""
        return super().changelist_view(request, {"title": "Issues", **(extra_context or {})})

    @admin.display(description="Issue", ordering="title")
    def name(self, issue: issue_list.ListedIssue) -> str:
        """Title, newsletter and stories."""
        return issue_list.name_of(issue)

    @admin.display(description="Status", ordering="status")
    def status_pill(self, issue: Issue) -> str:
        """Where it stands."""
        return issue_list.status_of(issue)

    @admin.display(description="When")
    def when(self, issue: Issue) -> str:
        """The time that matters."""
        return issue_list.when_of(issue)

    @admin.display(description="Readers")
    def readers(self, issue: issue_list.ListedIssue) -> str:
        """Everybody it was addressed to, and what is known of them."""
        return issue_list.recipients_of(issue)

    @admin.display(description="Next")
    def next_step(self, issue: Issue) -> str:
        """The main action."""
        return issue_list.action_of(issue)

    # Composing

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The compose page, or the content to read where it can no longer change and nobody is half-way in it."""
        issue: Issue | None = kwargs.get("obj")
        form = context["adminform"].form
        stored = Issue.objects.filter(pk=issue.pk).first() if issue else None
        is_open = issue is None or issue.is_editable
        may_change = self.has_change_permission(request, issue) if issue else True
        is_ready = issue is not None and issue.ready_revision == issue.revision
        context |= {
            "issue": issue,
            "title": issue.title if issue else "New issue",
            "steps": steps_of(issue, "change", request) if issue else [],
            "has_no_newsletter": issue is None and not Newsletter.objects.exists(),
            "is_form": (is_open and may_change) or form.is_bound,
            "content": load_content(issue) if issue else None,
            "stored_title": stored.title if stored else "",
            "saved": from_now(stored.updated_at) if stored else "",
            "may_change": may_change,
            "may_send": request.user.has_perm(SEND_PERMISSION),
            "may_delete": bool(issue) and self.has_delete_permission(request, issue),
            "was_approved": issue is not None and self.has_delete_permission(request) and _was_approved(issue),
            "run": occurrence_of(issue) if issue and is_ready else None,
            "is_ready": is_ready,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """The compose page; what was typed in an issue that somebody has deleted meanwhile stands in a new one."""
        is_gone = request.method == "POST" and object_id and self.get_object(request, object_id) is None
        if is_gone and self.has_add_permission(request):
            object_id = None
            messages.warning(
                request,
                "This issue was deleted while you were writing, and its revisions with it. Your text is still here: "
                "choose its newsletter, and saving makes a new issue of it.",
            )
        return super().changeform_view(request, object_id, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Issue, form: ComposeForm, change: bool) -> None:
        """Store what was written, the same way as a file's import does."""
        based_on = form.cleaned_data.get("replace_revision") or form.cleaned_data["based_on"]
        if obj.pk is None:
            obj.save()
            based_on = None
        save_content(obj, form.content(), by=request.user.get_username(), based_on=based_on)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """What the history says: the fields of the envelope, and the rows as one."""
        message = super().construct_change_message(request, form, formsets, add)
        if not add and form.rows.has_changed():
            message.append({"changed": {"fields": ["sections and stories"]}})
        return message

    def response_add(self, request: HttpRequest, obj: Issue, post_url_continue: str | None = None) -> HttpResponse:
        """Stay with the issue."""
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Issue) -> HttpResponse:
        """Stay with the issue, or go on to its checks."""
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, issue: Issue) -> HttpResponseRedirect:
        page = "check" if "_check" in request.POST else "change"
        return tell_and_go(request, f"“{issue.title}” is saved.", page_url(issue, page))


def show_token(request: HttpRequest) -> HttpResponse:
    """The CSRF token of now, for a page that has stood open for hours; who is logged out is led to the log-in."""
    return JsonResponse({"token": get_token(request)})


def _was_approved(issue: Issue) -> bool:
    """Whether something of it must be kept: an edition that was frozen, or a step that led out of draft.

    A mark for the next slot, or that it was taken off, is a note on a draft: it goes with it.
    """
    left_draft = issue.transitions.exclude(source=IssueStatus.DRAFT, target=IssueStatus.DRAFT)
    return issue.editions.exists() or left_draft.exists()
