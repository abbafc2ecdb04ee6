"""The pages of web versions, in all their states: for editors, and for visitors."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from newsletter.content.web_versions import (
    change_visibility,
    correct_web_version,
    publish_on_web,
    shown_content,
    version_number,
)
from newsletter.models import Issue, Newsletter, Visibility
from newsletter.models.web_pages import reachable_issues
from tests.newsletter.admin.pages import page_of
from tests.publications import make_issue, start_sending


def correct(issue: Issue, note: str, **changes: Any) -> None:
    row = reachable_issues().get(pk=issue.pk)
    after = replace(shown_content(row), **changes)
    correct_web_version(issue, after, by="edda", based_on=version_number(row), note=note, is_minor=not note)


def pages(newsletter: Newsletter) -> dict[str, str]:
    """By name. Four issues: corrected, as mailed, taken down, imported."""
    corrected = start_sending(make_issue("corrected", newsletter, title="Taller cranes at quays 4 and 7")).issue
    first, *others = shown_content(reachable_issues().get(pk=corrected.pk)).sections
    correct(corrected, "The cranes are at quays 4 and 8, not 7.", title="Taller cranes at quays 4 and 8")
    shorter = replace(
        first, body="The port orders **three** cranes, and a ferry for the [islands](https://i.example/)."
    )
    correct(corrected, "", sections=(shorter, *others[:-1]))
    withdrawn = start_sending(make_issue("withdrawn", newsletter, title="A quiet harbour")).issue
    change_visibility(withdrawn, Visibility.NOT_INDEXED, by="edda")
    change_visibility(withdrawn, Visibility.TAKEN_DOWN, by="edda", text="The author withdrew her text.")
    mailed = start_sending(make_issue("mailed", newsletter)).issue
    old = make_issue("old", newsletter, title="Cranes of 2019", date=datetime.date(2019, 5, 3))
    publish_on_web(old, published_at=datetime.datetime(2019, 5, 3, 6, tzinfo=datetime.UTC), by="import")
    public = f"/{newsletter.slug}/issues/"
    return {
        "web": page_of(corrected, "web"),
        "web-mailed": page_of(mailed, "web"),
        "web-taken-down": page_of(withdrawn, "web"),
        "web-imported": page_of(old, "web"),
        "web-correct": page_of(corrected, "web_correct"),
        "web-version": page_of(corrected, "web_version", 2),
        "web-take-down": page_of(mailed, "web_take_down"),
        "issue-imported": page_of(old),
        "issue-list": "/admin/newsletter/issue/",
        "public-corrected": f"{public}corrected/",
        "public-changes": f"{public}corrected/changes/",
        "public-gone": f"{public}withdrawn/",
    }
