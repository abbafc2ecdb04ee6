"""Looking at links: once for all issues, politely, and never in the way of mail."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from newsletter.content.document import IssueContent
from newsletter.models import LinkCheck, LinkState
from newsletter.outbound import Fetched, FetchFailed, FetchPolicy
from newsletter.preflight import check_next_links, link_checks, request_link_checks
from newsletter.preflight.findings import LinkHop
from newsletter.preflight.link_checks import LINKS_PER_STEP, link_statuses
from tests.newsletter.preflight.finding import with_stories
from tests.newsletter.preflight.sample_issue import CRANE, PLAIN_ISSUE
from tests.publisher import Answer, Publisher, publishing

pytestmark = pytest.mark.django_db
TWO_DAYS = datetime.timedelta(days=2)


@pytest.fixture
def site(settings: Any) -> Iterator[Publisher]:
    """A site inside this machine, which the operator allows to be visited."""
    settings.FETCH_ALLOWED_HOSTS = ("127.0.0.1", "localhost")
    with publishing() as publisher:
        yield publisher


def linking_to(*urls: str) -> IssueContent:
    return with_stories(*(replace(CRANE, url=url) for url in urls))


def look_at_all() -> int:
    """Look at whatever waits; how many turns that took."""
    turns = 1
    while check_next_links():
        turns += 1
    return turns


def state_of(url: str) -> LinkCheck:
    return LinkCheck.objects.get(url=url)


def test_asking_twice_is_as_good_as_asking_once() -> None:
    assert request_link_checks(PLAIN_ISSUE) == 2
    assert request_link_checks(PLAIN_ISSUE) == 2
    assert LinkCheck.objects.count() == 2
    assert link_statuses(PLAIN_ISSUE) == {}


def test_only_addresses_of_the_web_are_looked_at() -> None:
    content = with_stories(replace(CRANE, url="ftp://a.example/", body="<mailto:a@b.example> and [x](/nowhere)"))
    assert request_link_checks(content) == 0


def test_a_look_holds_for_a_day_or_until_somebody_asks_anew() -> None:
    request_link_checks(PLAIN_ISSUE)
    LinkCheck.objects.update(state=LinkState.CHECKED, status=200, checked_at=timezone.now())
    assert request_link_checks(PLAIN_ISSUE) == 0
    assert len(link_statuses(PLAIN_ISSUE)) == 2
    assert request_link_checks(PLAIN_ISSUE, force=True) == 2
    LinkCheck.objects.update(state=LinkState.CHECKED, checked_at=timezone.now() - TWO_DAYS)
    assert request_link_checks(PLAIN_ISSUE) == 2


def test_answers_are_kept_with_their_redirects(site: Publisher) -> None:
    site.pages["/here"] = Answer(b"Here I am.")
    site.pages["/moved"] = Answer(status=308, headers={"Location": "/here"})
    content = linking_to(f"{site.url}/here", f"{site.url}/moved", f"{site.url}/gone")
    request_link_checks(content)
    look_at_all()
    looks = link_statuses(content)
    assert [looks[f"{site.url}/{page}"].status for page in ("here", "moved", "gone")] == [200, 200, 404]
    assert looks[f"{site.url}/moved"].hops == (LinkHop(f"{site.url}/moved", 308),)
    assert looks[f"{site.url}/moved"].final_url == f"{site.url}/here"
    assert looks[f"{site.url}/here"].has_https is False


def test_a_host_is_asked_for_one_link_at_a_time(site: Publisher) -> None:
    request_link_checks(linking_to(*(f"{site.url}/{number}" for number in range(3))))
    assert check_next_links() is True
    assert LinkCheck.objects.filter(state=LinkState.CHECKED).count() == 1
    assert look_at_all() == 2


def test_different_hosts_are_asked_side_by_side(site: Publisher) -> None:
    by_name = site.url.replace("127.0.0.1", "localhost")
    request_link_checks(linking_to(f"{site.url}/", f"{by_name}/"))
    assert check_next_links() is False
    assert LinkCheck.objects.filter(state=LinkState.CHECKED).count() == 2


def test_a_turn_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_checks, "check_link", lambda url, policy: link_checks.LinkResult(status=200, final_url=url))
    request_link_checks(linking_to(*(f"https://{number}.example/" for number in range(LINKS_PER_STEP + 1))))
    assert check_next_links() is True
    assert LinkCheck.objects.filter(state=LinkState.WAITING).count() == 1
    assert check_next_links() is False


def test_what_another_worker_has_claimed_is_left_to_it_until_its_time_is_up(site: Publisher) -> None:
    request_link_checks(linking_to(f"{site.url}/a", f"{site.url}/b"))
    now = timezone.now()
    LinkCheck.objects.filter(url__endswith="/a").update(claimed_until=now + datetime.timedelta(minutes=1))
    assert check_next_links() is False, "its host is being asked"
    assert site.requests == []
    LinkCheck.objects.filter(url__endswith="/a").update(claimed_until=now - datetime.timedelta(seconds=1))
    look_at_all()
    assert LinkCheck.objects.filter(state=LinkState.CHECKED).count() == 2


def test_a_machine_of_our_own_network_is_never_asked(site: Publisher, settings: Any) -> None:
    settings.FETCH_ALLOWED_HOSTS = ()
    request_link_checks(linking_to(f"{site.url}/secret"))
    look_at_all()
    check = state_of(f"{site.url}/secret")
    assert (check.status, site.requests) == (None, [])
    assert "not on the public internet" in check.reason


def test_a_server_that_knows_no_head_is_asked_with_get(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, policy: FetchPolicy, *, method: str = "GET", **options: Any) -> Fetched:
        status = 405 if method == "HEAD" else 200
        return Fetched(status=status, url=url, hops=(), headers={}, body=b"")

    monkeypatch.setattr(link_checks, "fetch", fetch)
    assert link_checks.check_link("https://a.example/", visitor()).status == 200


@pytest.mark.parametrize(("secure_body", "has_https"), [(b"the same", True), (b"another", False), (None, False)])
def test_https_is_proved_by_the_same_answer(
    secure_body: bytes | None, has_https: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        body = b"the same" if url.startswith("http://") else secure_body
        if body is None:
            raise FetchFailed("a.example cannot be reached.")
        return Fetched(status=200, url=url, hops=(), headers={"content-type": "text/html"}, body=body)

    monkeypatch.setattr(link_checks, "fetch", fetch)
    assert link_checks.check_link("http://a.example/", visitor()).has_https is has_https


def test_a_link_that_breaks_our_own_code_is_told_of_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        if "odd" in url:
            raise UnicodeError("nobody thought of this")
        return Fetched(status=200, url=url, hops=(), headers={}, body=b"")

    monkeypatch.setattr(link_checks, "fetch", fetch)
    content = linking_to("https://odd.example/", "https://even.example/")
    request_link_checks(content)
    look_at_all()
    looks = link_statuses(content)
    assert (looks["https://odd.example/"].status, looks["https://even.example/"].status) == (None, 200)
    assert "nobody thought of this" in caplog.text


def test_https_is_proved_where_the_site_leads_there_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        return Fetched(status=200, url="https://a.example/x", hops=(), headers={}, body=b"")

    monkeypatch.setattr(link_checks, "fetch", fetch)
    assert link_checks.check_link("http://a.example/x", visitor()).has_https is True


def visitor() -> FetchPolicy:
    return FetchPolicy(user_agent="tests")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_workers_never_look_at_the_same_link(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    both = threading.Barrier(2)

    def check_link(url: str, policy: FetchPolicy) -> link_checks.LinkResult:
        looked.append(url)
        return link_checks.LinkResult(status=200, final_url=url)

    def work() -> None:
        both.wait(10)
        look_at_all()
        connection.close()

    monkeypatch.setattr(link_checks, "check_link", check_link)
    urls = {f"https://{number}.example/" for number in range(60)}
    request_link_checks(linking_to(*urls))
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    look_at_all()
    assert sorted(looked) == sorted(urls)
