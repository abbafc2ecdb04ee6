"""No page of the admin that opens has a barrier: those of every model, and those of issues in each state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from newsletter.admin.issues import PAGES
from newsletter.content.store import load_content, save_content
from newsletter.models import Batch, BatchState, Event, Issue, Newsletter
from tests.accessibility import site
from tests.accessibility.axe import TWO_SCREENS, axe_script, findings_on_every_screen
from tests.accessibility.test_pages import PICTURES, editor, newsletter, take_pictures
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark
from tests.publications import expand_audiences, make_issue, start_sending

__all__ = ["editor", "newsletter", "pytestmark"]

#: Django's script for choosing permissions puts a label on a span, which no template of ours can change.
NOT_OURS = ("auth_user_change", "auth_group_add", "auth_group_change")

#: Arguments in the paths of issue pages. Those of other pages are only in links, which tests of those pages follow.
ARGUMENTS = {"<slug:client>": ("client", "desktop"), "<int:number>": ("number", 1)}


def model_pages() -> Iterator[tuple[str, str]]:
    """The list of every model, the form for a new row, and the pages of its first row."""
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.order_by("pk").first()
        yield f"{name}_list", reverse(f"admin:{name}_changelist")
        yield f"{name}_add", reverse(f"admin:{name}_add")
        if row is not None and model is not Issue:
            yield from ((f"{name}_{page}", reverse(f"admin:{name}_{page}", args=[row.pk])) for page in row_pages(model))


def row_pages(model: type[Model]) -> tuple[str, ...]:
    """The pages that Django has for one row."""
    return ("change", "delete", "history")


def issue_pages(issue: Issue) -> Iterator[tuple[str, str]]:
    """Every page below an issue whose path needs nothing else, and Django's own."""
    for page in PAGES:
        arguments: dict[str, Any] = {"pk": issue.pk}
        arguments |= dict(argument for part, argument in ARGUMENTS.items() if part in page.path)
        if page.path.count("<") == len(arguments) - 1:
            yield f"{page.name}-{issue.slug}", reverse(f"admin:{page.name}", kwargs=arguments)
    for own in ("change", "delete", "history"):
        yield f"{own}-{issue.slug}", reverse(f"admin:newsletter_issue_{own}", args=[issue.pk])


def is_page(client: Client, url: str) -> bool:
    """Whether it opens with HTML that is a page of the admin, and not a part of one or the frame of a mail."""
    answer = client.get(url)
    is_html = answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
    return is_html and b'id="content-start"' in answer.content


def findings(live_server: Any, client: Client, pages: list[tuple[str, str]]) -> tuple[list[str], int]:
    """What axe-core finds on those that are pages, and their number."""
    script, found = axe_script(), []
    chosen = [(name, url) for name, url in pages if name not in NOT_OURS and is_page(client, url)]
    with browsing(live_server, client, viewport={"width": 1440, "height": 900}, bypass_csp=True) as context:
        page = context.new_page()
        for name, url in chosen:
            page.goto(url)
            found += [f"{name}: {each}" for each in findings_on_every_screen(page, script, TWO_SCREENS)]
            if PICTURES:
                take_pictures(page, name)
    return found, len(chosen)


def test_no_page_of_a_model_has_a_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    site.record_pages(newsletter)
    site.subscriber_pages(newsletter)
    start_sending(make_issue("issue-9", newsletter))
    expand_audiences()
    Group.objects.create(name="Editors")
    Event.objects.create(provider="resend", event_id="msg_1", kind="email.sent", body='{"a": 1}')
    found, count = findings(live_server, editor, list(model_pages()))
    assert "\n".join(found) == ""
    assert count >= 2 * len(admin.site._registry)


def test_no_page_of_an_issue_has_a_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    draft = make_issue("issue-1", newsletter)
    save_content(draft, replace(load_content(draft), preheader=""), by="edda")
    sent = start_sending(make_issue("issue-3", newsletter)).issue
    expand_audiences()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    found, count = findings(live_server, editor, [*issue_pages(draft), *issue_pages(sent)])
    assert "\n".join(found) == ""
    assert count >= 20
