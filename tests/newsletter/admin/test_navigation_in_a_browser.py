"""The frame of the admin in a browser: the menu of a phone, without JavaScript, and the navigation of a wide screen."""

from __future__ import annotations

from typing import Any

from django.test import Client
from playwright.sync_api import expect

from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark

__all__ = ["pytestmark"]

PHONE, SCREEN = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


def test_on_a_phone_the_menu_opens_over_the_page_without_javascript(
    live_server: Any, transactional_db: None, edda: Client
) -> None:
    with browsing(live_server, edda, viewport=PHONE, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/admin/")
        menu = page.get_by_role("navigation", name="Main")
        expect(menu).to_be_hidden()
        page.get_by_role("button", name="Menu").click()
        expect(menu).to_be_visible()
        menu.get_by_role("button", name="Close menu").click()
        expect(menu).to_be_hidden()
        page.get_by_role("button", name="Menu").focus()
        page.keyboard.press("Enter")
        expect(menu).to_be_visible()
        page.keyboard.press("Escape")
        expect(menu).to_be_hidden()
        expect(page.get_by_role("button", name="Menu")).to_be_focused()
        page.get_by_role("button", name="Menu").click()
        menu.get_by_role("link", name="Subscribers").click()
        page.wait_for_url("**/admin/subscribers/subscriber/")


def test_on_a_phone_a_button_opens_what_belongs_to_the_account(
    live_server: Any, transactional_db: None, edda: Client
) -> None:
    with browsing(live_server, edda, viewport=PHONE, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/admin/")
        log_out = page.get_by_role("button", name="Log out")
        expect(log_out).to_be_hidden()
        page.get_by_role("button", name="edda").click()
        expect(log_out).to_be_visible()
        expect(page.get_by_role("link", name="View site")).to_be_visible()
        log_out.click()
        page.wait_for_url("**/admin/logout/")
        expect(page.get_by_role("navigation")).to_have_count(0)


def test_on_a_wide_screen_all_is_there_and_system_unfolds(
    live_server: Any, transactional_db: None, edda: Client
) -> None:
    with browsing(live_server, edda, viewport=SCREEN, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/admin/growth/")
        menu = page.get_by_role("navigation", name="Main")
        expect(menu).to_be_visible()
        expect(page.get_by_role("button", name="Menu")).to_be_hidden()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        expect(menu.get_by_role("link", name="Deliverability")).to_be_visible()
        expect(menu.get_by_role("link", name="Deliveries")).to_be_hidden()
        menu.get_by_text("System").click()
        menu.get_by_role("link", name="Deliveries").click()
        page.wait_for_url("**/admin/newsletter/delivery/")
        expect(menu.get_by_role("link", name="Deliveries")).to_be_visible()
        expect(menu.locator("[aria-current]")).to_have_text("Deliveries")
