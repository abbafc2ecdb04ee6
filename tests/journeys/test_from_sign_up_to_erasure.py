"""From sign-up to erasure in a real browser, with JavaScript and without."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.installation import SeparateInstallation
from tests.journeys.test_in_a_browser import browser, fits, pytestmark, site
from tests.journeys.test_over_http import ADA, PASSWORD, mail_to
from tests.subscribers.imports.exports_of import export_of

__all__ = ["browser", "pytestmark", "site"]

NEW_ADDRESS = "ada@new.example"

#: In milliseconds: a worker reads the file and writes its rows, and a busy machine needs long for that.
WORK = 60_000


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no script"])
def test_a_list_is_imported_and_a_subscriber_comes_and_is_forgotten(
    site: SeparateInstallation, browser: Browser, tmp_path: Path, with_script: bool
) -> None:
    errors: list[str] = []

    def opened(width: int) -> Page:
        context = browser.new_context(
            base_url=site.environment["SITE_URL"],
            java_script_enabled=with_script,
            viewport={"width": width, "height": 900},
        )
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    editor, visitor = opened(1440), opened(390)
    log_in(editor)
    prepare_the_list(editor, with_script)
    import_a_file(editor, tmp_path)
    edit_and_export(editor)
    sign_up(site, visitor)
    send_the_preferences_link(editor)
    choose(site, visitor)
    change_the_address(site, visitor)
    leave_and_return(site, visitor)
    download_and_erase(site, visitor)
    assert visitor.context.cookies() == []
    find_nobody(editor)
    assert errors == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def link_in(site: SeparateInstallation, address: str, subject: str, path: str) -> str:
    """The link with this path in the mail with this subject."""
    words = str(mail_to(site, address, subject)["text"]).split()
    return next(word for word in words if f"/{path}/" in word)


# The editor


def log_in(page: Page) -> None:
    page.goto("/admin/login/?next=/admin/")
    page.get_by_label("Username").fill("edda")
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Log in")


def prepare_the_list(page: Page, with_script: bool) -> None:
    """A field that the sign-up form asks for, a tag, two topics, and a segment of those who have the tag."""
    add(page, "customfield", label="Boat", key="boat", asked="signup")
    add(page, "tag", name="VIP")
    for name in ("Ships", "Weather"):
        add(page, "topic", name=name, slug=name.lower())
    page.goto("/admin/subscribers/segment/add/")
    page.get_by_label("Name", exact=True).fill("Patrons")
    page.get_by_label("Rule about").select_option("tag")
    if not with_script:
        press(page, "Update count")
    page.locator("select[name=value]").select_option(label="VIP")
    press(page, "Save segment")
    expect(page.get_by_text("The segment “Patrons” is saved.")).to_be_visible()


def add(page: Page, model: str, **values: str) -> None:
    page.goto(f"/admin/subscribers/{model}/add/")
    page.locator("[name=mailing_list]").select_option(label="Harbour Notes")
    for name, value in values.items():
        control = page.locator(f"[name={name}]")
        if control.evaluate("each => each.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
    press(page, "Save")
    expect(page.locator(".messagelist .success")).to_be_visible()


def import_a_file(page: Page, folder: Path) -> None:
    """Twelve contacts of Mailchimp, three in each of its states."""
    page.goto("/admin/subscribers/subscriber/")
    page.get_by_role("link", name="Import…").click()
    page.get_by_label("Mailchimp", exact=True).check()
    page.locator("[name=file]").set_input_files(export_of("mailchimp", 12).written(folder))
    press(page, "Continue to columns")
    expect(page.get_by_label("Boat", exact=True).locator("option:checked")).to_have_text("Field: Boat")
    press(page, "Continue to review")
    expect(page.get_by_role("alert").get_by_text("How did these subscribers agree?")).to_be_visible()
    page.get_by_label("They confirmed by double opt-in at the previous provider").check()
    page.get_by_label("Statement for the record").fill("Double opt-in at Mailchimp, form at harbour.example.")
    press(page, "Continue to review")
    expect(page.get_by_role("heading", name="Dry run of 12 rows")).to_be_visible(timeout=WORK)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the 3 refused rows with reasons (CSV)").click()
    assert "Never agreed" in Path(download.value.path()).read_text(encoding="utf-8-sig")
    press(page, "Import 9 rows")
    expect(page.locator(".pill", has_text="Finished")).to_be_visible(timeout=WORK)
    page.get_by_role("link", name="Show subscribers").click()
    expect(page.get_by_text("3 active · 3 unsubscribed · 3 suppressed")).to_be_visible()


def edit_and_export(page: Page) -> None:
    find(page, "reader.4")
    page.get_by_role("link", name="reader.4@mail.example.org").click()
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("First name").fill("Emilia")
    press(page, "Save changes")
    expect(page.get_by_text("The changes were saved.")).to_be_visible()
    page.goto("/admin/subscribers/subscriber/?state=active")
    page.get_by_role("link", name="Export…").click()
    with page.expect_download() as download:
        press(page, "Export")
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 4
    assert any(line.startswith("reader.4@mail.example.org,Emilia,active,") and "Elster 4" in line for line in lines)


def find(page: Page, text: str) -> None:
    page.goto("/admin/subscribers/subscriber/")
    page.get_by_label("Part of the address or name").fill(text)
    press(page, "Search")


def send_the_preferences_link(page: Page) -> None:
    find(page, ADA)
    page.get_by_role("link", name=ADA, exact=True).click()
    press(page, "Send preferences link")
    expect(page.get_by_text("1 mail will be sent.")).to_be_visible()


def find_nobody(page: Page) -> None:
    for address in (ADA, NEW_ADDRESS):
        find(page, address)
        expect(page.get_by_text("No subscriber matches.")).to_be_visible()


# The subscriber


def sign_up(site: SeparateInstallation, page: Page) -> None:
    page.goto("/subscribe/harbour-notes/?source=poster")
    # As fast as a subscriber types: a form that comes back within half a second is taken for a program's.
    page.get_by_label("Email address").press_sequentially(ADA, delay=40)
    page.get_by_label("Boat").fill("Elster")
    press(page, "Subscribe")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    page.goto(link_in(site, ADA, "Please confirm", "confirm"))
    press(page, "Confirm subscription")
    expect(page.get_by_role("heading", name="You are subscribed")).to_be_visible()


def choose(site: SeparateInstallation, page: Page) -> None:
    page.goto(link_in(site, ADA, "references", "preferences"))
    assert fits(page)
    page.get_by_label("Weather").uncheck()
    press(page, "Save topics")
    expect(page.get_by_label("Weather")).not_to_be_checked()
    page.get_by_label("Boat (optional)").fill("Ketch")
    press(page, "Save details")
    expect(page.locator("dd", has_text="K•••")).to_be_visible()
    page.locator("#language").select_option("de")
    press(page, "Save language")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.locator("#language").select_option("en")
    page.locator("button[value=language]").click()
    page.get_by_label("For 4 weeks").check()
    press(page, "Pause")
    expect(page.get_by_role("heading", name="Your subscription is paused")).to_be_visible()


def change_the_address(site: SeparateInstallation, page: Page) -> None:
    page.get_by_text("Change address").first.click()
    page.get_by_label("New email address").fill(NEW_ADDRESS)
    press(page, "Change address")
    expect(page.get_by_text("The new address has not confirmed yet.")).to_be_visible()
    page.goto(link_in(site, NEW_ADDRESS, "Confirm your new address", "confirm-address"))
    press(page, "Confirm this address")
    page.goto(link_in(site, ADA, "A change of your address", "approve-address"))
    press(page, "Approve the change")
    expect(page.get_by_role("status")).to_contain_text("from now on")


def leave_and_return(site: SeparateInstallation, page: Page) -> None:
    page.goto(link_in(site, ADA, "references", "preferences"))
    press(page, "Unsubscribe")
    page.get_by_label("Too many mails").check()
    press(page, "Send answer")
    expect(page.get_by_role("status")).to_contain_text("Thank you for your answer.")
    press(page, "Undo: subscribe again")
    page.goto(link_in(site, NEW_ADDRESS, "Please confirm", "confirm"))
    press(page, "Confirm subscription")
    expect(page.get_by_role("heading", name="You are subscribed")).to_be_visible()


def download_and_erase(site: SeparateInstallation, page: Page) -> None:
    preferences = link_in(site, ADA, "references", "preferences")
    page.goto(preferences)
    press(page, "Download my data")
    page.goto(link_in(site, NEW_ADDRESS, "Your data", "access"))
    with page.expect_download() as download:
        press(page, "Download my data")
    names = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())).namelist()
    assert {name.rpartition(".")[2] for name in names} >= {"json", "html"}
    page.goto(preferences)
    press(page, "Delete my data…")
    page.goto(link_in(site, NEW_ADDRESS, "Delete your data", "erase"))
    press(page, "Delete my data")
    expect(page.get_by_role("heading", name="Your data is deleted")).to_be_visible()
