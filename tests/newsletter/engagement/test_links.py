"""The page behind wrapped links: leads on for genuine tokens only, says nothing about others, and needs no database."""

from __future__ import annotations

import contextlib
import math
import string
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.urls import reverse

from newsletter.engagement import disabled_links, link_tables
from newsletter.engagement.disabled_links import DISABLED
from newsletter.engagement.judge import judge_hits
from newsletter.engagement.link_tables import TABLES, LinkTables, keep_table
from newsletter.engagement.record import RECORDER
from newsletter.engagement.tokens import EditionSigner
from newsletter.models import (
    CANARY_EARLY,
    CANARY_LATE,
    FIRST_LINK,
    OPEN,
    Batch,
    ConsentMode,
    Delivery,
    Edition,
    Hit,
    HitMethod,
    Newsletter,
    Send,
)
from newsletter.reports.engagement import links_of, opens_of
from newsletter.sending.message import message_template
from subscribers.models import Consent, Subscription
from tests.newsletter.engagement.logs import CHROME, IPHONE
from tests.newsletter.engagement.sent import (
    BO,
    delivery_of,
    mails_of,
    own_links,
    send_to,
    token_of,
    tracked_urls,
    urls_in,
)
from tests.people import ADA

TARGET = "https://harbour.example/cranes/1"


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    TABLES.forget()
    DISABLED.forget()
    message_template.cache_clear()
    yield
    TABLES.forget()
    DISABLED.forget()


@pytest.fixture
def send(db: None) -> Send:
    return send_to(ADA, BO, newsletter=own_links(measures_opens=True))


def path_of(send: Send, number: int, address: str | None = None) -> str:
    signer = EditionSigner(send.edition_id)
    ending = signer.ending(delivery_of(address, send).pk) if address else ""
    return signer.url(number, ending=ending).removeprefix("http://127.0.0.1:8000")


@contextlib.contextmanager
def database_stopped() -> Iterator[None]:
    """No statement gets an answer."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(refuse):
        yield


def test_a_link_leads_on_and_nobody_may_keep_the_answer(client: Client, send: Send) -> None:
    response = client.get(path_of(send, FIRST_LINK, ADA), headers={"User-Agent": IPHONE})
    assert (response.status_code, response["Location"], response.content) == (302, TARGET, b"")
    assert response["Cache-Control"] == "private, no-store"
    assert response["Referrer-Policy"] == "no-referrer"
    assert "noindex" in response["X-Robots-Tag"]
    assert not response.cookies
    assert "Vary" not in response or "Accept-Language" not in response["Vary"]
    hit = Hit.objects.get()
    assert (hit.edition_id, hit.number, hit.delivery_id) == (send.edition_id, FIRST_LINK, delivery_of(ADA, send).pk)
    assert (hit.agent, hit.visitor, hit.method, hit.is_due) == ("safari iphone", "", HitMethod.GET, True)


def test_every_link_of_a_mail_leads_to_what_the_content_names(client: Client, send: Send) -> None:
    html = mails_of(send)[ADA]["html"]
    targets = [client.get(url).headers.get("Location") for url in tracked_urls(html)]
    assert targets == [None, *(f"https://harbour.example/cranes/{number}" for number in (1, 2, 3)), None]


def test_the_image_is_one_pixel_and_an_open(client: Client, send: Send) -> None:
    response = client.get(path_of(send, OPEN, ADA))
    assert (response.status_code, response["Content-Type"]) == (200, "image/gif")
    assert response.content.startswith(b"GIF89a")
    assert response["Cache-Control"] == "private, no-store"
    assert Hit.objects.get().number == OPEN


@pytest.mark.parametrize("number", [CANARY_EARLY, CANARY_LATE])
def test_a_canary_is_a_plain_page_that_leads_nowhere(client: Client, send: Send, number: int) -> None:
    response = client.get(path_of(send, number, ADA))
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "nothing to see" in response.content.decode()
    assert Hit.objects.get().number == number


def test_head_is_answered_like_get_and_counts_nothing(client: Client, send: Send) -> None:
    for number in (FIRST_LINK, OPEN, CANARY_EARLY):
        path = path_of(send, number, ADA)
        head = client.head(path)
        assert not Hit.objects.exists()
        get = client.get(path)
        assert (head.status_code, head.headers.get("Location")) == (get.status_code, get.headers.get("Location"))
        Hit.objects.all().delete()


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_other_methods_are_refused_and_count_nothing(client: Client, send: Send, method: str) -> None:
    assert getattr(client, method)(path_of(send, FIRST_LINK)).status_code == 405
    assert not Hit.objects.exists()


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose", "X-Moz"])
def test_a_browser_that_fetches_ahead_is_marked(client: Client, send: Send, header: str) -> None:
    client.get(path_of(send, FIRST_LINK, ADA), headers={header: "prefetch;prerender"})
    assert Hit.objects.get().method == HitMethod.PREFETCH


def test_no_damaged_token_leads_anywhere_and_all_get_the_same_page(client: Client, send: Send) -> None:
    pages = set()
    for path in (path_of(send, FIRST_LINK), path_of(send, FIRST_LINK, ADA)):
        token = token_of(path)
        damaged = [token[:place] for place in range(1, len(token))]
        damaged += [
            token[:place] + chr(ord(token[place]) ^ 1 << bit) + token[place + 1 :]
            for place in range(len(token))
            for bit in range(7)
        ]
        usable = [one for one in damaged if set(one) <= set(string.ascii_letters + string.digits + "-_")]
        for one in (*usable, f"{token}A", "x", path_of(send, 99).rpartition("/")[2], token_of(stranger())):
            response = client.get(f"/l/{one}")
            assert response.status_code == 404
            assert "Location" not in response
            assert response["Cache-Control"] == "private, no-store"
            pages.add(response.content)
    (page,) = pages
    assert reverse("archive", args=["harbour-notes"]) in page.decode()
    assert not Hit.objects.exists()


def stranger() -> str:
    """A genuine token of an edition that does not exist, as after a restored backup."""
    return EditionSigner(999_999).url(FIRST_LINK)


def test_a_link_of_a_former_key_leads_on(client: Client, send: Send, settings: Any) -> None:
    paths = [path_of(send, FIRST_LINK), path_of(send, FIRST_LINK, ADA)]
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 60
    assert [client.get(path)["Location"] for path in paths] == [TARGET] * 2
    settings.SECRET_KEY_FALLBACKS = []
    assert [client.get(path).status_code for path in paths] == [404, 404]


def test_links_of_an_edition_lead_on_while_the_database_is_stopped(client: Client, send: Send) -> None:
    path = path_of(send, FIRST_LINK, ADA)
    assert mails_of(send), "the worker keeps the table before the first mail leaves"
    for _ in ("from the file", "from memory"):
        with database_stopped():
            response = client.get(path)
        assert (response.status_code, response["Location"]) == (302, TARGET)
    assert not Hit.objects.exists(), "not counted"
    assert client.get(path).status_code == 302
    assert Hit.objects.count() == 1


def test_what_needs_no_table_is_answered_while_the_database_is_stopped(client: Client, send: Send) -> None:
    paths = [path_of(send, OPEN, ADA), path_of(send, CANARY_EARLY, ADA), "/l/damaged"]
    with database_stopped():
        assert [client.get(path).status_code for path in paths] == [200, 200, 404]


def test_without_table_and_database_the_visitor_is_asked_to_come_back(client: Client, send: Send) -> None:
    path = path_of(send, FIRST_LINK)
    link_tables._path(send.edition_id).unlink(missing_ok=True)
    with database_stopped():
        assert client.get(path).status_code == 503


def test_a_known_link_needs_no_query_to_lead_on(
    client: Client, send: Send, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disabled_links, "REFRESH_SECONDS", math.inf)
    path = path_of(send, FIRST_LINK, ADA)
    client.get(path)
    taken: list[object] = []
    monkeypatch.setattr(RECORDER, "take", taken.append)
    with django_assert_num_queries(0):
        assert client.get(path).status_code == 302
    assert len(taken) == 1


def test_memory_keeps_the_tables_that_were_used_last(send: Send, django_assert_num_queries: Any) -> None:
    other = send_to(ADA, newsletter=send.issue.newsletter, slug="issue-2")
    tables = LinkTables(size=1)
    for edition, queries in ((send, 1), (send, 0), (other, 1), (other, 0), (send, 1)):
        with django_assert_num_queries(queries):
            assert tables.destination(edition.edition_id, FIRST_LINK) == TARGET
    for number in (-5, 0, FIRST_LINK - 1, FIRST_LINK + 3, 40_000):
        assert tables.destination(send.edition_id, number) is None


def test_a_table_of_a_restored_database_replaces_the_file(send: Send) -> None:
    keep_table(send.edition_id, {"links": [{"url": "https://elsewhere.example/"}]})
    assert TABLES.destination(send.edition_id, FIRST_LINK) == TARGET
    TABLES.forget()
    with database_stopped():
        assert TABLES.destination(send.edition_id, FIRST_LINK) == TARGET


def test_a_folder_that_cannot_be_written_stops_nothing(send: Send, settings: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    settings.LINK_TABLES_DIR = tmp_path / "file" / "links"
    assert TABLES.destination(send.edition_id, FIRST_LINK) == TARGET
    assert mails_of(send)


def snapshot() -> list[Any]:
    """Everything that a visit must not change."""
    models = (Subscription, Consent, Delivery, Batch, Newsletter, Edition, Send)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_a_scanner_that_fetches_everything_changes_nothing_but_counts_of_machines(client: Client, send: Send) -> None:
    html = mails_of(send)[ADA]["html"]
    before = snapshot()
    for method in ("head", "get", "get"):
        for url in (*urls_in(html), path_of(send, OPEN, ADA)):
            if url.startswith(("http://127.0.0.1:8000", "/")):
                getattr(client, method)(url.removeprefix("http://127.0.0.1:8000"), headers={"User-Agent": CHROME})
    while judge_hits():
        pass
    assert snapshot() == before
    edition = Edition.objects.get(pk=send.edition_id)
    links = links_of(edition)
    assert [link.human_hits + link.humans for link in links] == [0, 0, 0]
    assert [link.all_hits for link in links] == [2, 2, 2]
    assert (opens_of(edition).humans, opens_of(edition).all_hits) == (0, 2)


def test_with_totals_nothing_stored_says_who_clicked(client: Client, db: None) -> None:
    send = send_to(ADA, BO, newsletter=own_links(ConsentMode.AGGREGATE))
    client.get(tracked_urls(mails_of(send)[ADA]["html"])[1])
    hit = Hit.objects.get()
    assert hit.delivery_id is None
    assert len(hit.visitor) == 16


def test_robots_are_asked_to_stay_away(client: Client, db: None) -> None:
    assert "Disallow: /l/\n" in client.get("/robots.txt").content.decode()
