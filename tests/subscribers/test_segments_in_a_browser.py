"""Segments are built in a real browser: rules come and go without a new page, and numbers follow each change."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Route

from subscribers.models import Segment, SubscriptionTag, Tag
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark, watched
from tests.people import ada, ben, cleo, make_mailing_list

__all__ = ["pytestmark"]


@pytest.fixture
def editor(transactional_db: None, client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1440, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    ],
    ids=["desk", "dark phone"],
)
def test_a_segment_is_built_with_live_counts(live_server: Any, editor: Client, options: dict[str, Any]) -> None:
    press = Tag.objects.create(mailing_list=make_mailing_list(), name="Press")
    SubscriptionTag.objects.create(tag=press, subscription=ada())
    ben(), cleo()
    problems: list[str] = []
    with browsing(live_server, editor, **options) as context:
        page = watched(context, problems)
        page.goto("/admin/subscribers/segment/add/")
        page.locator("[data-count]", has_text="1 subscriber").wait_for()
        page.get_by_label("Name", exact=True).fill("Not the press")
        page.get_by_role("button", name="Add group").click()
        inner = page.locator("[data-group] [data-group] [data-rule]")
        inner.get_by_label("Rule about").select_option("tag")
        inner.get_by_label("Comparison").select_option(label="is not")
        page.locator("[data-group] [data-group] [data-rule] select[name=value]").select_option(label="Press")
        page.locator("[data-count]", has_text="0 subscribers").wait_for()
        page.get_by_role("button", name="Remove rule").first.click()
        page.locator("[data-count]", has_text="2 subscribers").wait_for()
        # The rule leaves its group by Alt+↑, keeps the focus, and the group that is empty now is removed.
        inner.get_by_label("Comparison").focus()
        page.keyboard.press("Alt+ArrowUp")
        assert page.evaluate("document.activeElement.name") == "comparison"
        assert page.locator("[data-group] > [data-parts] > [data-rule]:first-child").count() == 1
        page.get_by_role("button", name="Remove group").click()
        page.locator("[data-group] [data-group]").wait_for(state="detached")
        page.locator("[data-number]", has_text="2").wait_for()
        page.locator("[data-count]", has_text="2 subscribers").wait_for()
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            problems.append("the page scrolls sideways")
        page.get_by_role("button", name="Save segment").click()
        page.get_by_text("The segment “Not the press” is saved.").wait_for()
    assert problems == []
    rule = {"kind": "tag", "field": "", "comparison": "is_not", "value": str(press.pk)}
    assert Segment.objects.get().rules == {"match": "all", "rules": [rule]}


def test_a_value_that_is_chosen_while_the_server_works_is_kept(live_server: Any, editor: Client) -> None:
    press, blog = (Tag.objects.create(mailing_list=make_mailing_list(), name=name) for name in ("Press", "Blog"))
    SubscriptionTag.objects.create(tag=press, subscription=ada())
    ben(), cleo()
    rule = {"kind": "tag", "field": "", "comparison": "is", "value": str(press.pk)}
    segment = Segment.objects.create(
        mailing_list=make_mailing_list(), name="Press", rules={"match": "all", "rules": [rule]}
    )
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        held.append(route)

    with browsing(live_server, editor) as context:
        page = context.new_page()
        page.goto(f"/admin/subscribers/segment/{segment.pk}/change/")
        page.locator("[data-count]", has_text="1 subscriber").wait_for()
        page.route("**/segment/preview/", hold_the_first)
        with page.expect_request("**/segment/preview/"):
            page.get_by_label("Comparison").select_option(label="is not")
        page.locator("select[name=value]").select_option(label="Blog")
        held[0].continue_()
        page.locator("[data-count]", has_text="3 subscribers").wait_for()
        assert page.locator("select[name=value]").input_value() == str(blog.pk)
