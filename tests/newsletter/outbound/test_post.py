"""The guarded post: the guards of a fetch, no redirects, and the beginning of an answer of any length."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from urllib3.connection import HTTPConnection

from newsletter.outbound import FetchFailed, FetchPolicy, FetchReason, FetchRefused, Limits, fetching, post
from tests.newsletter.notifications.receiver import Receiver, Reply, receiving
from tests.publisher import local_policy

LIMITS = Limits(seconds=2.0, bytes=500, redirects=0, connect_seconds=0.5)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


def post_to(url: str, policy: FetchPolicy | None = None) -> fetching.Fetched:
    return post(url, b"{}", policy or local_policy(), headers={"webhook-id": "msg_1"}, limits=LIMITS)


def test_the_bytes_and_the_headers_arrive_as_they_are(receiver: Receiver) -> None:
    assert post_to(f"{receiver.url}/plain").status == 204
    (received,) = receiver.at("/plain")
    assert (received.body, received.uid) == (b"{}", "msg_1")
    assert received.headers["content-length"] == "2"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer(receiver: Receiver, status: int) -> None:
    receiver.replies["/moved"] = Reply(status, b"", {"Location": f"{receiver.url}/target"})
    assert post_to(f"{receiver.url}/moved").status == status
    assert receiver.at("/target") == []


@pytest.mark.parametrize("size", [0, 499, 500, 501, 3_000_000])
def test_an_answer_of_any_length_is_cut_off(receiver: Receiver, size: int) -> None:
    receiver.replies["/long"] = Reply(200, b"x" * size)
    answer = post_to(f"{receiver.url}/long")
    assert (answer.status, len(answer.body)) == (200, min(size, 500))


def test_a_server_that_does_not_answer_is_cut_off(receiver: Receiver) -> None:
    receiver.replies["/silent"] = Reply(waits=True)
    with pytest.raises(FetchFailed) as caught:
        post(f"{receiver.url}/silent", b"{}", local_policy(), headers={}, limits=Limits(seconds=0.3))
    assert caught.value.reason is FetchReason.TIMEOUT
    receiver.release.set()


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "64:ff9b::7f00:1", "::1"])
def test_a_name_that_leads_into_the_local_network_is_refused(address: str, receiver: Receiver) -> None:
    policy = FetchPolicy(user_agent="newsletter (+tests)", resolver=lambda host, port: ["93.184.216.34", address])
    before = len(receiver.received)
    with pytest.raises(FetchRefused) as caught:
        post_to(receiver.url.replace("127.0.0.1", "hooks.example"), policy)
    assert caught.value.reason is FetchReason.PRIVATE_HOST
    assert len(receiver.received) == before


def test_a_connection_is_given_up_after_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[object] = []

    class Unreachable(HTTPConnection):
        def connect(self) -> None:
            timeouts.append(self.timeout)
            raise OSError("unreachable")

    monkeypatch.setattr(fetching, "HTTPConnection", Unreachable)
    policy = FetchPolicy(user_agent="newsletter (+tests)", resolver=lambda host, port: ["93.184.216.34"])
    with pytest.raises(FetchFailed):
        post("http://hooks.example/", b"{}", policy, headers={}, limits=Limits(seconds=15.0, connect_seconds=5.0))
    assert timeouts == [5.0]
