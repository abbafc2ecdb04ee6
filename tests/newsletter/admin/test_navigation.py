"""The navigation: every page is in it once, and each user sees what they may open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.navigation import SECTIONS, Entry, all_entries, owner_of
from newsletter.models import Issue
from tests.newsletter.admin.pages import page_of
from tests.publications import make_issue, start_sending

pytestmark = pytest.mark.any_database

ENTRIES = list(all_entries())

#: Pages of an editor's own account, and what is no page: it answers scripts, redirects, or is reached by POST.
OUTSIDE = {"login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site"}
OUTSIDE |= {"app_list"}

#: Permissions that open a page by themselves, and two that open some only together with another one.
PERMISSIONS = [
    *(f"{model._meta.app_label}.view_{model._meta.model_name}" for model in admin.site._registry),
    *("newsletter.change_issue", "newsletter.change_newsletter", "newsletter.change_event", "newsletter.send_issue"),
    *("newsletter.view_deliverability", "newsletter.change_deliverability", "newsletter.stop_all_sending"),
    *("subscribers.view_personal_data", "subscribers.change_subscriber", "subscribers.add_import"),
]
SETS = [
    *({name} for name in PERMISSIONS),
    set(),
    set(PERMISSIONS),
    set(PERMISSIONS) - {"subscribers.view_personal_data"},
    {"newsletter.view_issue", "newsletter.view_delivery", "subscribers.view_personal_data"},
]


def admin_patterns(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Address and name of each page below /admin/."""
    for pattern in patterns or get_resolver().url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from admin_patterns(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("admin/"):
            yield path, pattern.name or ""


def tree_of(answer: Any) -> Any:
    return lxml_html.fromstring(answer.content.decode())


def links_of(answer: Any) -> list[str]:
    """The links of the navigation, each once: a section repeats its first entry."""
    return sorted(set(tree_of(answer).xpath("//nav[@id='navigation']//a/@href")))


def current_of(answer: Any) -> list[str]:
    return [" ".join(link.itertext()) for link in tree_of(answer).xpath("//nav[@id='navigation']//*[@aria-current]")]


def editor_with(names: set[str]) -> Client:
    """Somebody who may log in to the admin and has these permissions."""
    user = User.objects.create_user("gwen", "gwen@example.org", is_staff=True)
    wanted = [Permission.objects.get(content_type__app_label=app, codename=code) for app, code in map(_split, names)]
    user.user_permissions.set(wanted)
    client = Client()
    client.force_login(user)
    return client


def _split(name: str) -> tuple[str, str]:
    app, code = name.split(".")
    return app, code


# The table


def test_every_registered_model_is_in_one_entry() -> None:
    listed = [entry.model for entry in ENTRIES if entry.model and not entry.query]
    assert sorted(map(str, listed)) == sorted(map(str, admin.site._registry))


def test_every_page_of_the_admin_belongs_to_an_entry() -> None:
    pages = {name for path, name in admin_patterns() if name and name not in OUTSIDE}
    assert len(pages) > 150
    assert [name for name in sorted(pages) if owner_of(name) is None] == []


def test_every_page_of_ours_has_a_name() -> None:
    """Without a name, the test above would not see it. Django leaves some of its own redirects without one."""
    unnamed = [path for path, name in admin_patterns() if not name]
    assert [path for path in unnamed if "<path:object_id>/" not in path and "(?P<url>" not in path] == [
        "admin/autocomplete/"
    ]


def test_no_two_entries_lead_to_the_same_page(db: None) -> None:
    urls = [entry.url for entry in ENTRIES]
    assert len(set(urls)) == len(urls)


def test_sections_come_in_the_order_of_a_week_with_the_machinery_last() -> None:
    names = [str(section.label) for section in SECTIONS]
    assert names == ["Overview", "Issues", "Inbox", "Subscribers", "Reports", "Newsletter", "System"]
    assert [section.is_folded for section in SECTIONS] == [False] * 6 + [True]


# Who sees what


@pytest.mark.parametrize(
    "names", SETS, ids=lambda names: "+".join(sorted(names)) if len(names) < 3 else str(len(names))
)
def test_an_entry_is_shown_to_those_for_whom_its_page_opens(names: set[str], db: None) -> None:
    client = editor_with(names)
    opened = {entry.url for entry in ENTRIES if client.get(entry.url).status_code == 200}
    shown: set[str] = set()
    for url in opened:
        shown |= set(links_of(client.get(url)))
    assert shown == opened


def test_a_superuser_sees_all_entries(edda: Client) -> None:
    shown: set[str] = set()
    for entry in ENTRIES:
        shown |= set(links_of(edda.get(entry.url)))
    assert shown == {entry.url for entry in ENTRIES}


def test_a_section_without_an_entry_is_left_out(signed_in: Callable[[str], Client]) -> None:
    answer = signed_in("lou").get(reverse("admin:index"))
    sections = tree_of(answer).xpath("//nav[@id='navigation']/ul/li")
    assert [" ".join(" ".join(each.itertext()).split()) for each in sections] == [
        "Overview",
        "Issues",
        "Inbox",
        "Reports",
        "System All sending",
    ]


def test_a_section_leads_to_the_first_entry_that_opens(db: None) -> None:
    client = editor_with({"newsletter.view_deliverability"})
    assert links_of(client.get("/admin/")) == ["/admin/", "/admin/deliverability/", "/admin/sending/"]


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/subscribers/tag/add/?_popup=1"])
def test_login_and_popups_have_no_navigation(path: str, edda: Client) -> None:
    client = Client() if "login" in path else edda
    answer = client.get(path)
    assert answer.status_code == 200
    assert tree_of(answer).xpath("//nav") == []


def test_those_who_see_no_issues_are_led_to_the_navigation(db: None) -> None:
    answer = editor_with({"subscribers.view_tag"}).get("/admin/")
    assert "The navigation shows the pages that you may open." in answer.content.decode()
    assert "/admin/subscribers/tag/" in links_of(answer)


# Where one is


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.url)
def test_the_entry_of_a_page_is_the_only_current_one(entry: Entry, edda: Client) -> None:
    answer = edda.get(entry.url)
    tree = tree_of(answer)
    current = tree.xpath("//nav[@id='navigation']//*[@aria-current='page']")
    assert [link.get("href") for link in current] == [entry.url]
    assert tree.xpath("//nav[@class='crumbs']") == []
    assert len(tree.xpath("//h1")) == 1


@pytest.mark.parametrize(
    ("page", "label", "up"),
    [("change", "All issues", "All issues"), ("schedule", "All issues", "All issues"), ("report", "Issues", "Issues")],
)
def test_pages_of_an_issue_belong_to_issues_or_reports(
    page: str, label: str, up: str, issue: Issue, edda: Client
) -> None:
    if page == "report":
        start_sending(issue)
    answer = edda.get(page_of(issue, page))
    assert [text.strip() for text in current_of(answer)] == [label]
    assert tree_of(answer).xpath("//nav[@class='crumbs']/a/text()") == [up]
    section = tree_of(answer).xpath("//nav[@id='navigation']//*[contains(@class, 'current')]")[0]
    assert section.text_content().split()[0] == ("Reports" if page == "report" else "Issues")


def test_pages_below_a_row_lead_back_to_it(issue: Issue, edda: Client) -> None:
    path = reverse("admin:newsletter_newsletter_history", args=[issue.newsletter_id])
    links = tree_of(edda.get(path)).xpath("//nav[@class='crumbs']/a/@href")
    assert links == ["/admin/newsletter/newsletter/", f"/admin/newsletter/newsletter/{issue.newsletter_id}/change/"]


def test_only_the_current_section_shows_its_entries(edda: Client) -> None:
    subscribers, growth = reverse("admin:subscribers_segment_changelist"), reverse("growth")
    assert growth not in links_of(edda.get(subscribers))
    assert subscribers not in links_of(edda.get(growth))


def test_the_machinery_is_folded_unless_one_is_there(edda: Client) -> None:
    def is_open(path: str) -> bool:
        return bool(tree_of(edda.get(path)).xpath("//nav[@id='navigation']//details[@open]"))

    assert not is_open("/admin/")
    assert is_open(reverse("admin:newsletter_send_changelist"))


def test_the_page_of_an_account_has_no_current_entry(edda: Client) -> None:
    answer = edda.get(reverse("admin:password_change"))
    assert current_of(answer) == []
    assert len(links_of(answer)) > 15


@pytest.mark.parametrize("app", ["newsletter", "subscribers", "auth"])
def test_the_page_of_an_app_is_the_overview(app: str, edda: Client) -> None:
    answer = edda.get(f"/admin/{app}/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_it_costs_no_query(edda: Client) -> None:
    """Of a superuser; the permissions of others are read once, by Django."""
    make_issue()
    with CaptureQueriesContext(connection) as queries:
        edda.get(reverse("sending_switch"))
    tables = " ".join(query["sql"] for query in queries.captured_queries)
    assert "django_session" in tables
    assert "newsletter_issue" not in tables
    assert "subscribers_subscriber" not in tables
    assert "auth_permission" not in tables


def test_landmarks_come_in_the_order_of_the_page(edda: Client) -> None:
    tree = tree_of(edda.get(reverse("growth")))
    landmarks = tree.xpath("//body//*[self::header or self::nav[@id='navigation'] or self::main]")
    assert [each.tag for each in landmarks] == ["header", "nav", "main"]
    assert tree.xpath("//body/a[1]/@href") == ["#content-start"]
    assert tree.xpath("//nav[@id='navigation']/@aria-label") == ["Main"]
