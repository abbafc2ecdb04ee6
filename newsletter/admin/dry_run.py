"""Dry run: what a send would do, or did when it was started, to read and to take along as JSON."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from newsletter.admin.pages import Need, Page, issue_page, page_url, tell_and_go
from newsletter.admin.schedule import in_words
from newsletter.models import PUBLISHED, Issue
from newsletter.sending.manifest import Manifest, ManifestUnreadable, read_manifest
from newsletter.sending.schedule import IssueRefused, dry_run


@require_safe
def show_dry_run(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The manifest in readable form, or why there is none."""
    manifest, refusal = _manifest_of(issue)
    return issue_page(
        request,
        issue,
        "dry_run",
        title=f"Dry run: {issue.title}",
        step="report" if issue.status in PUBLISHED else "schedule",
        manifest=manifest,
        left_out=in_words(manifest.excluded) if manifest else (),
        refusal=refusal,
        is_record=issue.status in PUBLISHED,
    )


@require_safe
def download_manifest(request: HttpRequest, issue: Issue) -> HttpResponse:
    """The same as JSON, as `manage.py dry_run` prints it."""
    manifest, refusal = _manifest_of(issue)
    if manifest is None:
        sentence = " ".join(refusal) or "No manifest was recorded when this issue was started."
        return tell_and_go(request, sentence, page_url(issue, "dry_run"), level=messages.WARNING)
    response = HttpResponse(manifest.as_text(), content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{issue.slug}-manifest.json"'
    response["Cache-Control"] = "no-store"
    return response


def _manifest_of(issue: Issue) -> tuple[Manifest | None, tuple[str, ...]]:
    """What was recorded at the start, or what a start would record now; and why there is none."""
    if issue.status not in PUBLISHED:
        try:
            return dry_run(issue), ()
        except IssueRefused as refusal:
            return None, refusal.sentences
    try:
        return (read_manifest(issue.manifest), ()) if issue.manifest else (None, ())
    except ManifestUnreadable as error:
        return None, (str(error),)


PAGES = (
    Page("dry-run", show_dry_run, Need.VIEW),
    Page("dry-run/manifest", download_manifest, Need.VIEW),
)
