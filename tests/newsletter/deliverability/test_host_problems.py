"""What a host answers over https."""

from __future__ import annotations

import pytest

from newsletter.deliverability import hosts
from newsletter.deliverability.hosts import problem_of, problems_of
from newsletter.outbound import Fetched, FetchFailed, FetchPolicy, FetchReason, FetchRefused


def answering(error: Exception | None) -> object:
    def fetch(url: str, *args: object, **more: object) -> Fetched:
        if error:
            raise error
        return Fetched(status=404, url=url, hops=(), headers={}, body=b"")

    return fetch


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (None, None),
        (FetchRefused(FetchReason.TOO_MANY_REDIRECTS, limit=0), None),
        (FetchFailed(FetchReason.CERTIFICATE, host="a.example"), FetchReason.CERTIFICATE),
    ],
)
def test_any_answer_and_a_redirect_are_fine(
    error: Exception | None, problem: FetchReason | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "fetch", answering(error))
    assert problem_of("a.example", FetchPolicy(user_agent="tests")) is problem


def test_a_host_of_the_private_network_is_never_asked() -> None:
    policy = FetchPolicy(user_agent="tests", resolver=lambda host, port: ["10.0.0.7"])
    assert problems_of(["a.example"], policy) == {"a.example": FetchReason.PRIVATE_HOST}
