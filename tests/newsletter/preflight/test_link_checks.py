"""Link checks over the network: once for all issues, and one request at a time to a host."""

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
from newsletter.outbound import Fetched, FetchFailed, FetchPolicy, FetchReason
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
    """A site on this machine, which FETCH_ALLOWED_HOSTS allows."""
    settings.FETCH_ALLOWED_HOSTS = ("127.0.0.1", "localhost")
    with publishing() as publisher:
        yield publisher


def linking_to(*urls: str) -> IssueContent:
    return with_stories(*(replace(CRANE, url=url) for url in urls))


def check_all() -> int:
    """Check all waiting links; the number of steps."""
    steps = 1
    while check_next_links():
        steps += 1
    return steps


def check_of(url: str) -> LinkCheck:
    return LinkCheck.objects.get(url=url)


def test_requesting_checks_is_idempotent() -> None:
    assert request_link_checks(PLAIN_ISSUE) == 2
    assert request_link_checks(PLAIN_ISSUE) == 2
    assert LinkCheck.objects.count() == 2
    assert link_statuses(PLAIN_ISSUE) == {}


def test_only_web_addresses_are_checked() -> None:
    content = with_stories(replace(CRANE, url="ftp://a.example/", body="<mailto:a@b.example> and [x](/nowhere)"))
    assert request_link_checks(content) == 0


def test_a_result_is_used_for_a_day_unless_forced() -> None:
    request_link_checks(PLAIN_ISSUE)
    LinkCheck.objects.update(state=LinkState.CHECKED, status=200, checked_at=timezone.now())
    assert request_link_checks(PLAIN_ISSUE) == 0
    assert len(link_statuses(PLAIN_ISSUE)) == 2
    assert request_link_checks(PLAIN_ISSUE, force=True) == 2
    LinkCheck.objects.update(state=LinkState.CHECKED, checked_at=timezone.now() - TWO_DAYS)
    assert request_link_checks(PLAIN_ISSUE) == 2


def test_responses_are_stored_with_their_redirects(site: Publisher) -> None:
    site.pages["/here"] = Answer(b"Here I am.")
    site.pages["/moved"] = Answer(status=308, headers={"Location": "/here"})
    content = linking_to(f"{site.url}/here", f"{site.url}/moved", f"{site.url}/gone")
    request_link_checks(content)
    check_all()
    statuses = link_statuses(content)
    assert [statuses[f"{site.url}/{page}"].status for page in ("here", "moved", "gone")] == [200, 200, 404]
    assert statuses[f"{site.url}/moved"].hops == (LinkHop(f"{site.url}/moved", 308),)
    assert statuses[f"{site.url}/moved"].final_url == f"{site.url}/here"
    assert statuses[f"{site.url}/here"].has_https is False


def test_a_host_gets_one_request_at_a_time(site: Publisher) -> None:
    request_link_checks(linking_to(*(f"{site.url}/{number}" for number in range(3))))
    assert check_next_links() is True
    assert LinkCheck.objects.filter(state=LinkState.CHECKED).count() == 1
    assert check_all() == 2


def test_different_hosts_are_requested_in_parallel(site: Publisher) -> None:
    by_name = site.url.replace("127.0.0.1", "localhost")
    request_link_checks(linking_to(f"{site.url}/", f"{by_name}/"))
    assert check_next_links() is False
    assert LinkCheck.objects.filter(state=LinkState.CHECKED).count() == 2


def test_the_number_of_links_per_step_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    result = link_checks.LinkResult(status=200)
    monkeypatch.setattr(link_checks, "check_link", lambda url, policy: result)
    request_link_checks(linking_to(*(f"https://{number}.example/" for number in range(LINKS_PER_STEP + 1))))
    assert check_next_links() is True
    assert LinkCheck.objects.filter(state=LinkState.WAITING).count() == 1
    assert check_next_links() is False


def test_a_claimed_link_is_skipped_until_its_claim_expires(site: Publisher) -> None:
    request_link_checks(linking_to(f"{site.url}/a", f"{site.url}/b"))
    now = timezone.now()
    LinkCheck.objects.filter(url__endswith="/a").update(claimed_until=now + datetime.timedelta(minutes=1))
    assert check_next_links() is False, "another request to its host is running"
    assert site.requests == []
    LinkCheck.objects.filter(url__endswith="/a").update(claimed_until=now - datetime.timedelta(seconds=1))
    check_all()
    assert LinkCheck.objects.filter(state=LinkState.CHECKED).count() == 2


def test_a_host_of_the_local_network_is_never_requested(site: Publisher, settings: Any) -> None:
    settings.FETCH_ALLOWED_HOSTS = ()
    content = linking_to(f"{site.url}/secret")
    request_link_checks(content)
    check_all()
    check = check_of(f"{site.url}/secret")
    assert (check.status, site.requests) == (None, [])
    assert (check.reason, check.reason_detail) == ("private_host", {"host": "127.0.0.1"})
    (status,) = link_statuses(content).values()
    assert status.reason.startswith("127.0.0.1 is not on the public internet")


def test_a_server_without_support_for_head_gets_a_get_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, policy: FetchPolicy, *, method: str = "GET", **options: Any) -> Fetched:
        status = 405 if method == "HEAD" else 200
        return Fetched(status=status, url=url, hops=(), headers={}, body=b"")

    monkeypatch.setattr(link_checks, "fetch", fetch)
    assert link_checks.check_link("https://a.example/", policy()).status == 200


@pytest.mark.parametrize(("secure_body", "has_https"), [(b"the same", True), (b"another", False), (None, False)])
def test_https_is_used_only_if_it_returns_the_same_page(
    secure_body: bytes | None, has_https: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        body = b"the same" if url.startswith("http://") else secure_body
        if body is None:
            raise FetchFailed(FetchReason.UNREACHABLE, host="a.example")
        return Fetched(status=200, url=url, hops=(), headers={"content-type": "text/html"}, body=body)

    monkeypatch.setattr(link_checks, "fetch", fetch)
    assert link_checks.check_link("http://a.example/", policy()).has_https is has_https


def test_an_internal_error_is_logged_and_stops_no_other_check(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        if "odd" in url:
            raise UnicodeError("an unexpected error")
        return Fetched(status=200, url=url, hops=(), headers={}, body=b"")

    monkeypatch.setattr(link_checks, "fetch", fetch)
    content = linking_to("https://odd.example/", "https://even.example/")
    request_link_checks(content)
    check_all()
    statuses = link_statuses(content)
    assert (statuses["https://odd.example/"].status, statuses["https://even.example/"].status) == (None, 200)
    assert "an unexpected error" in caplog.text


def test_https_is_used_if_the_site_redirects_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        return Fetched(status=200, url="https://a.example/x", hops=(), headers={}, body=b"")

    monkeypatch.setattr(link_checks, "fetch", fetch)
    assert link_checks.check_link("http://a.example/x", policy()).has_https is True


def policy() -> FetchPolicy:
    return FetchPolicy(user_agent="tests")


def test_a_reason_of_an_older_version_is_shown_as_it_is() -> None:
    request_link_checks(linking_to("https://a.example/"))
    LinkCheck.objects.update(state=LinkState.CHECKED, reason="a.example cannot be reached.")
    assert (
        link_statuses(linking_to("https://a.example/"))["https://a.example/"].reason == "a.example cannot be reached."
    )


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_workers_never_check_the_same_link(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    both = threading.Barrier(2)

    def check_link(url: str, policy: FetchPolicy) -> link_checks.LinkResult:
        checked.append(url)
        return link_checks.LinkResult(status=200, final_url=url)

    def work() -> None:
        both.wait(10)
        check_all()
        connection.close()

    monkeypatch.setattr(link_checks, "check_link", check_link)
    urls = {f"https://{number}.example/" for number in range(60)}
    request_link_checks(linking_to(*urls))
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    check_all()
    assert sorted(checked) == sorted(urls)
