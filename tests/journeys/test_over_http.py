"""From sign-up to archive through HTTP only: three processes, real webhooks, no access to the database."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newsletter.content.issue_file import write_issue_file
from tests.browser import Browser, Page
from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.publications import content

pytestmark = pytest.mark.processes

ADA, GONE = "ada@readers.example", "ida@readers.example"
PASSWORD = "quay-side-lantern-7"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SeparateInstallation]:
    with separate_installation(tmp_path) as installation:
        installation.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
        installation.run(
            "manage.py", "createsuperuser", "--noinput", "--username", "edda", "--email", "edda@example.org"
        )
        installation.processes.start_sandbox("--webhook-time-scale", "0.01", "--rate-limit", "200")
        installation.processes.start_web()
        installation.processes.start_worker()
        yield installation


def test_from_signup_to_archive(site: SeparateInstallation) -> None:
    edda = log_in(site)
    make_newsletter(site, edda)

    for address in (ADA, GONE):
        sign_up_and_confirm(site, address)
    publish(site, edda, slug="issue-1", recipients=2)
    first = mail_to(site, ADA, "Taller cranes")

    let_it_bounce(site, mail_to(site, GONE, "Taller cranes"))
    wait_until(lambda: "suppressed" in state_of(site, edda, GONE), "the bounce has suppressed the address")
    publish(site, edda, slug="issue-2", recipients=1)
    mail_to(site, ADA, "Taller cranes", count=2)

    unsubscribe_with_one_click(first)
    wait_until(lambda: "unsubscribed" in state_of(site, edda, ADA), "Ada is unsubscribed")
    import_issue(site, edda, slug="issue-3")
    assert "no active subscribers" in edda.get(f"{issue_url(site, edda, 'issue-3')}send-now/").words

    check_the_archive(site)


def log_in(site: SeparateInstallation) -> Browser:
    edda = Browser()
    page = edda.get(f"{site.environment['SITE_URL']}/admin/login/?next=/admin/")
    page = edda.submit(page, username="edda", password=PASSWORD)
    assert "Log out" in page.words
    return edda


def make_newsletter(site: SeparateInstallation, edda: Browser) -> None:
    page = edda.get(f"{site.environment['SITE_URL']}/admin/newsletter/newsletter/add/")
    page = edda.submit(
        page,
        button="Save",
        name="Harbour Notes",
        slug="harbour-notes",
        sender_name="Harbour Notes",
        sender_email="notes@mail.example.org",
        postal_address="4 Quay Street\n20457 Hamburg",
        time_zone="Europe/Berlin",
        language="en",
    )
    assert "was added successfully" in page.words


def sign_up_and_confirm(site: SeparateInstallation, address: str) -> None:
    subscriber = Browser()
    page = subscriber.get(f"{site.environment['SITE_URL']}/harbour-notes/")
    page = subscriber.submit(page, button="Subscribe", email=address)
    while "Press the button again" in page.words:
        # The stamp of the cached page counts once for a network. The page that is shown has a stamp of its own.
        time.sleep(0.6)
        page = subscriber.submit(page, button="Subscribe", email=address)
    assert "Check your mail" in page.words
    mail = mail_to(site, address, "onfirm")
    link = next(word for word in mail["text"].split() if "/confirm/" in word)
    page = subscriber.get(link)
    assert "Confirm your subscription" in page.words
    page = subscriber.submit(page, button="Confirm subscription")
    assert page.status == 200
    assert not subscriber.cookies, "subscribers get no cookies"


def import_issue(site: SeparateInstallation, edda: Browser, *, slug: str) -> None:
    page = edda.get(f"{site.environment['SITE_URL']}/admin/newsletter/issue/import/")
    page = edda.submit(page, button="Import issue", text=write_issue_file(content(slug, title=f"Title of {slug}")))
    assert page.status == 200


def publish(site: SeparateInstallation, edda: Browser, *, slug: str, recipients: int) -> None:
    import_issue(site, edda, slug=slug)
    page = edda.get(f"{issue_url(site, edda, slug)}send-now/")
    assert f"{recipients} recipient" in page.words
    page = edda.submit(page, button="Send to")
    report = f"{issue_url(site, edda, slug)}report/"
    wait_until(lambda: "Sent" in edda.get(report).words, f"{slug} is sent")


def issue_url(site: SeparateInstallation, edda: Browser, slug: str) -> str:
    """The URL prefix of an issue's pages in the admin, found through the list."""
    listed = edda.get(f"{site.environment['SITE_URL']}/admin/newsletter/issue/")
    return listed.link(f"Title of {slug}").rpartition("change/")[0]


def state_of(site: SeparateInstallation, edda: Browser, address: str) -> str:
    """The row of a subscriber in the admin's list, without the filters above it."""
    page = edda.get(f"{site.environment['SITE_URL']}/admin/subscribers/subscriber/?q={address}")
    return page.words_in("//table[@class='subscribers']/tbody").lower()


def mail_to(site: SeparateInstallation, address: str, subject: str, *, count: int = 1) -> dict[str, Any]:
    """The newest mail to an address with this text in its subject, read through the provider's API."""

    def found() -> list[dict[str, Any]]:
        mails = ask_provider(site, "/emails?limit=100")["data"]
        return [mail for mail in mails if mail["to"] == [address] and subject in mail["subject"]]

    wait_until(lambda: len(found()) >= count, f"{count} mails “{subject}” arrive")
    assert len(found()) == count
    return ask_provider(site, f"/emails/{found()[0]['id']}")


def ask_provider(site: SeparateInstallation, path: str) -> dict[str, Any]:
    headers = {"Authorization": "Bearer re_sandbox", "User-Agent": "tests"}
    request = urllib.request.Request(site.environment["SANDBOX_URL"] + path, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        result: dict[str, Any] = json.load(answer)
    return result


def let_it_bounce(site: SeparateInstallation, mail: dict[str, Any]) -> None:
    bounce = {"type": "Permanent", "subType": "General", "message": "There is no such mailbox any more."}
    event = {"email_id": mail["id"], "type": "email.bounced", "bounce": bounce}
    request = urllib.request.Request(site.environment["SANDBOX_URL"] + "/sandbox/events", json.dumps(event).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


def unsubscribe_with_one_click(mail: dict[str, Any]) -> None:
    link = next(word for word in mail["text"].split() if "/unsubscribe/" in word)
    program = Browser()
    page = program.post(link, {"List-Unsubscribe": "One-Click"})
    assert (page.status, page.url, len(program.cookies)) == (200, link, 0)


def check_the_archive(site: SeparateInstallation) -> None:
    visitor = Browser()
    url = site.environment["SITE_URL"]
    listed = visitor.get(f"{url}/harbour-notes/issues/")
    assert f"{url}/harbour-notes/issues/issue-1/" in listed.links()
    page: Page = visitor.get(f"{url}/harbour-notes/issues/issue-1/")
    assert "Quay 3 gets a taller crane" in page.words
    assert ADA not in page.text
    assert "/unsubscribe/" not in page.text
    assert "Title of issue-1" in visitor.get(f"{url}/harbour-notes/feed.atom").text
    assert visitor.get(f"{url}/harbour-notes/issues/issue-9/").status == 404
    assert not visitor.cookies
