"""Old addresses of issues lead to their pages."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from newsletter.content.web_versions import change_visibility
from newsletter.models import Issue, Visibility, WebRedirect, redirect_path
from tests.newsletter.web.published import publish
from tests.publications import make_issue

ISSUE = "/harbour-notes/issues/issue-1/"


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/p/cranes", "/p/cranes"),
        ("/p/cranes/", "/p/cranes"),
        ("p/cranes", "/p/cranes"),
        ("/2021/05/cranes.html", "/2021/05/cranes"),
        ("/2021/05/cranes/index.html", "/2021/05/cranes"),
        ("/2021//05/cranes/index.htm?page=2#top", "/2021/05/cranes"),
        ("/p/%C3%A9t%C3%A9/", "/p/été"),
        ("/p/e\u0301te\u0301", "/p/été"),
        ("/P/Cranes", "/P/Cranes"),
        ("/index.html", ""),
        ("/", ""),
        ("", ""),
        ("/a\0b", ""),
        ("/" + "x" * 501, ""),
    ],
)
def test_a_path_has_one_form(path: str, stored: str) -> None:
    assert redirect_path(path) == stored


def test_a_decoded_path_is_not_decoded_again() -> None:
    assert redirect_path("/100%25", is_decoded=True) == "/100%25"
    assert redirect_path("/100%25") == "/100%"


@pytest.fixture
def moved(db: None) -> Issue:
    issue = publish()
    for path in ("/p/cranes", "/p/été", "/2021/05/cranes.html"):
        WebRedirect.objects.add(issue, path)
    return issue


@pytest.mark.parametrize(
    "path",
    [
        "/p/cranes",
        "/p/cranes/",
        "/p/cranes.html",
        "/p/cranes/index.html",
        "/p/cranes?utm_source=x",
        "/p/%C3%A9t%C3%A9/",
        "/2021/05/cranes",
        "/p//cranes",
    ],
)
@pytest.mark.usefixtures("moved")
def test_an_old_path_leads_to_the_issue(client: Client, path: str) -> None:
    for ask in (client.get, client.head):
        response = ask(path)
        assert (response.status_code, response["Location"]) == (301, ISSUE)
        assert response["Cache-Control"] == "public, max-age=300"
        assert not response.cookies


@pytest.mark.parametrize("path", ["/p/Cranes", "/p/cranes/comments", "/p/", "/admin/p/cranes", "/p/cranes\0"])
@pytest.mark.usefixtures("moved")
def test_other_paths_are_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code in (302, 400, 404)
    assert "Location" not in client.get("/p/Cranes")


@pytest.mark.usefixtures("moved")
def test_a_form_is_not_redirected(client: Client) -> None:
    assert client.post("/p/cranes").status_code == 404


def test_a_page_of_this_site_comes_before_an_old_path(client: Client, moved: Issue) -> None:
    WebRedirect.objects.add(publish("other", week=1), "/harbour-notes/issues/")
    assert client.get("/harbour-notes/issues/").status_code == 200


def test_the_old_path_of_an_issue_that_was_taken_down_is_gone(client: Client, moved: Issue) -> None:
    change_visibility(moved, Visibility.TAKEN_DOWN, by="edda", text="The author asked for it.")
    response = client.get("/p/cranes")
    assert response.status_code == 410
    assert "This issue was withdrawn" in response.content.decode()


def test_the_old_path_of_an_unlisted_issue_or_a_draft_is_not_found(client: Client, moved: Issue) -> None:
    change_visibility(moved, Visibility.UNLISTED, by="edda")
    WebRedirect.objects.add(make_issue("draft"), "/p/draft")
    assert client.get("/p/cranes").status_code == 404
    assert client.get("/p/draft").status_code == 404


def test_a_path_leads_to_one_issue(moved: Issue) -> None:
    assert WebRedirect.objects.add(publish("other", week=1), "/p/cranes/").issue == moved
    with pytest.raises(ValueError, match="not the path of a page"):
        WebRedirect.objects.add(moved, "/")


@pytest.mark.usefixtures("moved")
def test_a_page_that_is_not_found_costs_one_query(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        client.get("/wp-login.php/nowhere/at/all")


@pytest.mark.usefixtures("moved")
def test_a_redirect_never_leads_to_another_host(client: Client) -> None:
    for path in ("//example.org/p/cranes", "/p/cranes//example.org", "/https://example.org/p/cranes"):
        assert client.get(path).get("Location", ISSUE) == ISSUE
