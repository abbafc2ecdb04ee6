"""Dry run: what a send would do, or did when it was started, as a page and as JSON."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Page, RequiredPermission, issue_page, page_url, redirect_with_message
from newsletter.admin.report import started_send
from newsletter.models import Issue
from newsletter.sending.audience_words import exclusions_in_words
from newsletter.sending.manifest import Manifest, ManifestUnreadable, read_manifest
from newsletter.sending.schedule import IssueRefused, dry_run


@require_safe
def show_dry_run(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The manifest in readable form, or why there is none."""
    manifest, refusal = _manifest_of(issue)
    send = started_send(issue)
    return issue_page(
        request,
        issue,
        "dry_run",
        title=_("Dry run: %(issue)s") % {"issue": issue.title},
        tab="report" if send else "schedule",
        manifest=manifest,
        excluded=exclusions_in_words(manifest.excluded) if manifest else (),
        refusal=refusal,
        is_record=send is not None,
        was_approved=bool(send and send.approved_sha256),
    )


@require_safe
def download_manifest(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The same as JSON, as `manage.py dry_run` prints it."""
    manifest, refusal = _manifest_of(issue)
    if manifest is None:
        sentence = " ".join(str(reason) for reason in refusal) or _("No manifest was recorded when this send started.")
        return redirect_with_message(request, sentence, page_url(issue, "dry_run"), level=messages.WARNING)
    response = HttpResponse(manifest.as_text(), content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{issue.slug}-manifest.json"'
    response["Cache-Control"] = "no-store"
    return response


def _manifest_of(issue: Issue) -> tuple[Manifest | None, tuple[str, ...]]:
    """What was recorded at the start, or what a start would record now; and why there is none."""
    send = started_send(issue)
    if send is None:
        try:
            return dry_run(issue), ()
        except IssueRefused as refusal:
            return None, refusal.sentences
    try:
        return (read_manifest(send.manifest), ()) if send.manifest else (None, ())
    except ManifestUnreadable as error:
        return None, (str(error),)


PAGES = (
    Page("dry-run", show_dry_run, RequiredPermission.VIEW),
    Page("dry-run/manifest", download_manifest, RequiredPermission.VIEW),
)
