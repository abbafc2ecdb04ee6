"""Fills the database with what drafts start from, and returns the URLs of the pages by name."""

from __future__ import annotations

import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from newsletter.content.bin import move_to_bin
from newsletter.content.snippets import rows_of_text, save_version
from newsletter.content.store import save_content
from newsletter.content.templates import template_content
from newsletter.models import DraftMade, IssueTemplate, Newsletter, RecurringDraft, Snippet
from tests.publications import content, make_issue, today

CALLOUT = "## About {callout}\nWritten on the quay, every Tuesday."


def pages(newsletter: Newsletter) -> dict[str, str]:
    """A draft with an older version of a snippet, a template, a recurring draft with a problem, and a full bin."""
    draft = make_issue("draft", newsletter)
    for number in range(3):
        move_to_bin(make_issue(f"old-{number}", newsletter, title=f"Harbour Notes #{number}, unfinished"), by="edda")
    stored: dict[str, Any] = {"content": template_content(content()), "saved_by": "edda"}
    template = IssueTemplate.objects.create(newsletter=newsletter, name="Weekly", title_pattern="Week {week}", **stored)
    snippet = Snippet.objects.create(newsletter=newsletter, name="Imprint")
    save_version(snippet, CALLOUT, by="edda")
    save_content(draft, content("draft", sections=(*content().sections, *rows_of_text(CALLOUT))), by="edda")
    save_version(snippet, CALLOUT.replace("Tuesday", "Friday"), by="will")
    recurring = RecurringDraft.objects.create(
        newsletter=newsletter,
        weekday=4,
        time=datetime.time(16),
        template=template,
        most_links=5,
        next_date=today(),
        problem="draft_refused",
    )
    DraftMade.objects.create(recurring_draft=recurring, date=today(), issue=draft, made_at=timezone.now())
    issue = {
        f"start-{page}": reverse(f"admin:newsletter_issue_{page}", args=[draft.pk])
        for page in ("delete", "save_as_template", "snippets")
    }
    rows = {"issuetemplate": template, "snippet": snippet, "recurringdraft": recurring}
    forms = {f"{name}-form": reverse(f"admin:newsletter_{name}_change", args=[row.pk]) for name, row in rows.items()}
    lists = {f"{name}-list": reverse(f"admin:newsletter_{name}_changelist") for name in rows}
    binned = newsletter.issues.model.with_bin.in_bin()[0]
    return {
        **issue,
        **forms,
        **lists,
        "issues": reverse("admin:newsletter_issue_changelist"),
        "like-last": reverse("admin:newsletter_issue_like_last"),
        "bin": reverse("admin:newsletter_issue_bin"),
        "bin-delete": reverse("admin:newsletter_issue_bin_delete", args=[binned.pk]),
        "overview-menu": reverse("admin:index"),
    }
