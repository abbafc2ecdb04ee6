"""A link that an editor has disabled shows a page, counts nothing, and stays disabled while the database is stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from newsletter.engagement import disabled_links
from newsletter.engagement.disabled_links import DISABLED, DisabledLinks, disable_address, enable_address
from newsletter.engagement.link_tables import TABLES
from newsletter.models import FIRST_LINK, OPEN, DisabledLink, Edition, Hit, Send, numbered_links
from newsletter.sending.message import message_template
from tests.newsletter.engagement.sent import edition_of, own_links, send_to
from tests.newsletter.engagement.test_links import TARGET, database_stopped, path_of
from tests.people import ADA

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_process(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.LINK_TABLES_DIR = tmp_path / "links"
    TABLES.forget()
    DISABLED.forget()
    message_template.cache_clear()
    yield
    TABLES.forget()
    DISABLED.forget()


@pytest.fixture
def send() -> Send:
    return send_to(ADA, newsletter=own_links(measures_opens=True))


def disable(send: Send, url: str = TARGET) -> int:
    return disable_address(send.issue, url, by="edda", text="The site was hacked.")


def numbers_of(edition: Edition, url: str) -> list[int]:
    return [number for number, link in enumerate(numbered_links(edition), start=FIRST_LINK) if link["url"] == url]


def test_a_disabled_link_shows_a_page_and_counts_nothing_and_the_others_lead_on(client: Client, send: Send) -> None:
    assert client.get(path_of(send, FIRST_LINK, ADA)).status_code == 302
    hits = Hit.objects.count()
    assert disable(send) == len(numbers_of(edition_of(send), TARGET)) > 0
    response = client.get(path_of(send, FIRST_LINK, ADA))
    assert response.status_code == 410
    words = response.content.decode()
    assert "This link is no longer available" in words
    assert TARGET not in words
    assert response["Cache-Control"] == "private, no-store"
    assert Hit.objects.count() == hits
    other = next(n for n in range(FIRST_LINK, FIRST_LINK + 3) if n not in numbers_of(edition_of(send), TARGET))
    assert client.get(path_of(send, other, ADA)).status_code == 302
    assert client.get(path_of(send, OPEN, ADA)).status_code == 200


def test_an_enabled_link_leads_on_and_both_are_kept_as_its_history(client: Client, send: Send) -> None:
    count = disable(send)
    assert disable(send) == 0, "a second click"
    assert enable_address(send.issue, TARGET, by="max") == count
    assert enable_address(send.issue, TARGET, by="max") == 0
    assert client.get(path_of(send, FIRST_LINK, ADA))["Location"] == TARGET
    assert disable(send) == count
    first, *_others = DisabledLink.objects.filter(number=FIRST_LINK).order_by("pk")
    assert (first.by, first.text, first.ended_by) == ("edda", "The site was hacked.", "max")
    assert DisabledLink.objects.filter(number=FIRST_LINK).count() == 2


def test_a_link_is_disabled_once_at_a_time_and_for_a_reason(send: Send) -> None:
    disable(send)
    with pytest.raises(IntegrityError), transaction.atomic():
        DisabledLink.objects.create(edition_id=send.edition_id, number=FIRST_LINK, by="max", text="Again.")
    with pytest.raises(IntegrityError), transaction.atomic():
        DisabledLink.objects.create(edition_id=send.edition_id, number=40_000, by="max", text="")


def test_links_of_other_issues_stay_as_they_are(client: Client, send: Send) -> None:
    other = send_to(ADA, newsletter=send.issue.newsletter, slug="issue-2")
    disable(send)
    assert client.get(path_of(other, FIRST_LINK, ADA)).status_code == 302


def test_what_is_disabled_stays_so_while_the_database_is_stopped(client: Client, send: Send) -> None:
    path = path_of(send, FIRST_LINK, ADA)
    client.get(path)
    disable(send)
    DISABLED.forget()
    with database_stopped():
        assert client.get(path).status_code == 410, "a new process reads the file"
    enable_address(send.issue, TARGET, by="max")
    DISABLED.forget()
    with database_stopped():
        assert client.get(path).status_code == 302


def test_a_process_asks_the_database_every_few_seconds_and_not_for_each_link(
    send: Send, django_assert_num_queries: Any
) -> None:
    now = [0.0]
    links = DisabledLinks(clock=lambda: now[0])
    with django_assert_num_queries(1):
        assert not any(links.has(send.edition_id, FIRST_LINK) for _ in range(5))
    disable(send)
    now[0] = disabled_links.REFRESH_SECONDS - 1
    assert not links.has(send.edition_id, FIRST_LINK)
    now[0] = disabled_links.REFRESH_SECONDS
    with django_assert_num_queries(1):
        assert all(links.has(send.edition_id, FIRST_LINK) for _ in range(5))


def test_a_database_that_does_not_answer_makes_one_request_wait_and_changes_nothing(send: Send) -> None:
    now = [0.0]
    links = DisabledLinks(clock=lambda: now[0])
    disable(send)
    assert links.has(send.edition_id, FIRST_LINK)
    now[0] = 100.0
    with database_stopped():
        assert links.has(send.edition_id, FIRST_LINK)
    enable_address(send.issue, TARGET, by="max")
    assert links.has(send.edition_id, FIRST_LINK), "it was asked just now"
    links.refresh()
    assert not links.has(send.edition_id, FIRST_LINK)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'[["a", "b"]]', b'{"a": 1}'])
def test_a_damaged_file_disables_nothing(send: Send, settings: Settings, content: bytes) -> None:
    settings.LINK_TABLES_DIR.mkdir(parents=True, exist_ok=True)
    (settings.LINK_TABLES_DIR / "disabled.json").write_bytes(content)
    with database_stopped():
        assert not DisabledLinks().has(send.edition_id, FIRST_LINK)


def test_a_folder_that_cannot_be_written_stops_nothing(send: Send, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.LINK_TABLES_DIR = tmp_path / "file" / "links"
    assert disable(send)
    assert DISABLED.has(send.edition_id, FIRST_LINK)


def test_a_web_server_reads_them_in_the_background_and_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    links, reads = DisabledLinks(), threading.Semaphore(0)

    def read() -> None:
        links._read_at = 0.0
        reads.release()
        raise RuntimeError

    monkeypatch.setattr(disabled_links, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(links, "_read", read)
    links.start()
    try:
        assert all(reads.acquire(timeout=30) for _ in range(3))
        assert not links.has(1, FIRST_LINK), "the thread reads, not the request"
    finally:
        links.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "disabled-links"]
