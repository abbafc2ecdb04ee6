"""Permissions and security headers of every page of the admin."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.issues import PAGES
from newsletter.admin.pages import Page
from newsletter.models import (
    ArchiveImport,
    Batch,
    BatchState,
    Event,
    Issue,
    IssueTemplate,
    Newsletter,
    RecurringDraft,
    Snippet,
    WebhookEndpoint,
)
from newsletter.notifications.endpoints import open_endpoint, send_test
from newsletter.sending.schedule import schedule_issue
from subscribers.models import CustomField, Import, Segment, SignupRule, Subscriber, Suppression, Tag, Topic
from tests.newsletter.admin.pages import page_of
from tests.publications import expand_audiences, make_issue, start_sending

MODELS = list(admin.site._registry)
#: All other models are written by the system and are read-only in the admin.
ADDED_BY_HAND = {Issue, Newsletter, SignupRule, Suppression, CustomField, Tag, Topic, Segment, User, Group}
ADDED_BY_HAND |= {Subscriber, ArchiveImport, Import, WebhookEndpoint, IssueTemplate, Snippet, RecurringDraft}
#: The editors who may open a page, by the permission it needs.
OPEN_TO: dict[str, set[str]] = {"view": {"will", "sue", "lou"}, "change": {"will"}, "send": {"sue"}}
OPEN_TO |= {"personal": set(), "share": set()}


def named(model: type[Model]) -> str:
    return f"{model._meta.app_label}.{model._meta.model_name}"


@pytest.fixture
def one_row_of_each_model(issue: Issue, read_by_ada: None) -> None:
    start_sending(issue)
    expand_audiences()
    Event.objects.create(provider="resend", event_id="msg_1", kind="email.sent", body='{"a": 1}')
    endpoint = WebhookEndpoint(name="Shop", url="https://shop.example/hook", types=["issue.sent"])
    open_endpoint(endpoint)
    send_test(endpoint)


def address_of(model: type[Model], page: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def url_of(page: Page, issue: Issue, batch_pk: int) -> str:
    arguments: dict[str, object] = {"pk": issue.pk}
    if "<slug:client>" in page.path:
        arguments["client"] = "desktop"
    if "<int:batch_pk>" in page.path:
        arguments["batch_pk"] = batch_pk
    if "<int:share_pk>" in page.path:
        arguments["share_pk"] = 1
    if "<int:number>" in page.path:
        arguments["number"] = 1
    return reverse(f"admin:{page.name}", kwargs=arguments)


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_list_add_and_change_pages_open_for_a_superuser(
    model: type[Model], one_row_of_each_model: None, edda: Client
) -> None:
    assert edda.get(address_of(model, "changelist")).status_code == 200
    assert edda.get(address_of(model, "add")).status_code == (200 if model in ADDED_BY_HAND else 403)
    row = model._default_manager.first()
    if row is not None:
        assert edda.get(address_of(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_list_add_and_change_pages_are_closed_to_staff_without_permission(
    model: type[Model], one_row_of_each_model: None, signed_in: Callable[[str], Client]
) -> None:
    norm = signed_in("norm")
    assert norm.get(address_of(model, "changelist")).status_code == 403
    assert norm.get(address_of(model, "add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert norm.get(address_of(model, "change", row.pk)).status_code == 403


@pytest.mark.parametrize("name", ["will", "sue", "lou", "norm"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))
def test_a_page_of_an_issue_opens_only_with_its_permission(
    page: Page, name: str, issue: Issue, read_by_ada: None, signed_in: Callable[[str], Client]
) -> None:
    start_sending(issue)
    expand_audiences()
    held = Batch.objects.get()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    url = url_of(page, issue, held.pk)
    allowed = name in OPEN_TO[page.required_permission.value]
    assert (signed_in(name).get(url).status_code != 403) is allowed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))
def test_no_page_of_an_issue_opens_without_signing_in(page: Page, issue: Issue) -> None:
    answer = Client().get(url_of(page, issue, 1))
    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


@pytest.mark.parametrize("name", ["edda", "will", "sue", "lou"])
def test_no_page_of_an_issue_links_to_a_page_that_its_editor_may_not_open(
    name: str, issue: Issue, read_by_ada: None, signed_in: Callable[[str], Client]
) -> None:
    scheduled, started = make_issue("issue-2"), start_sending(make_issue("issue-3")).issue
    later = timezone.now() + datetime.timedelta(days=1)
    schedule_issue(scheduled, wall=later.replace(tzinfo=None), zone="UTC", by="tests")
    expand_audiences()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    client = signed_in(name)
    links = links_on(client, reverse("admin:newsletter_issue_changelist"))
    for one in (issue, scheduled, started):
        for page in ("change", "preview", "check", "report", "revisions", "compare"):
            links |= links_on(client, page_of(one, page))
    assert len(links) > 10
    assert {link for link in links if client.get(link).status_code in (403, 404)} == set()


def links_on(client: Client, url: str) -> set[str]:
    tree = lxml_html.fromstring(client.get(url, follow=True).content.decode())
    return {href for href in tree.xpath("//main//a/@href") if href.startswith("/admin/")}


@pytest.mark.parametrize("path", ["pause", "cancel", "schedule", "send_now", "test", "preview_unsaved"])
def test_a_post_without_the_csrf_token_does_nothing(path: str, issue: Issue, edda: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = edda.cookies
    assert strict.post(page_of(issue, path), {"confirm": "1"}).status_code == 403


def test_pages_carry_the_strict_policy_and_no_inline_script_or_style(
    one_row_of_each_model: None, issue: Issue, edda: Client
) -> None:
    lists = [address_of(model, "changelist") for model in MODELS]
    for url in (*lists, page_of(issue), page_of(issue, "report"), reverse("admin:newsletter_issue_import")):
        answer = edda.get(url)
        assert "unsafe" not in answer["Content-Security-Policy"]
        body = answer.content.decode()
        assert "<style" not in body
        assert " style=" not in body
        assert " onclick=" not in body


def test_the_admin_has_its_name_and_a_link_to_the_site(edda: Client) -> None:
    body = edda.get(reverse("admin:index")).content.decode()
    assert '<a href="/admin/">Newsletter</a>' in body
    assert '<a href="/">View site</a>' in body
