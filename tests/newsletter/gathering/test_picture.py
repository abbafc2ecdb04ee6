"""A picture from the web: fetched under the guards, and what the server said is told."""

from __future__ import annotations

from typing import Any

import pytest

from newsletter.gathering.page import UnreadableLink
from newsletter.gathering.picture import LIMITS, picture_at
from newsletter.outbound import Fetched, FetchPolicy

POLICY = FetchPolicy(user_agent="tests")
URL = "https://photos.example/img/Night%20shift.jpg"


def answer(monkeypatch: pytest.MonkeyPatch, status: int) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def fetch(url: str, policy: FetchPolicy, **options: Any) -> Fetched:
        asked.append(options)
        return Fetched(status=status, url=url, hops=(), headers={"content-type": "text/html"}, body=b"the bytes")

    monkeypatch.setattr("newsletter.gathering.picture.fetch", fetch)
    return asked


def test_the_name_comes_from_the_address_and_the_type_is_left_to_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, 200)

    assert picture_at(f" {URL}\n", POLICY) == ("/img/Night shift.jpg", b"the bytes")
    assert asked[0]["limits"] == LIMITS
    assert "svg" not in asked[0]["accept"]


@pytest.mark.parametrize(("status", "is_permanent"), [(404, True), (503, False)])
def test_an_error_of_the_server_is_told_with_its_status(
    monkeypatch: pytest.MonkeyPatch, status: int, is_permanent: bool
) -> None:
    answer(monkeypatch, status)

    with pytest.raises(UnreadableLink, match=str(status)) as refused:
        picture_at(URL, POLICY)

    assert refused.value.permanent is is_permanent


@pytest.mark.parametrize("url", ["http://127.0.0.1/x.png", "http://169.254.169.254/latest", "file:///etc/passwd", "x"])
def test_addresses_within_this_network_are_refused_before_a_connection(url: str) -> None:
    with pytest.raises(UnreadableLink) as refused:
        picture_at(url, POLICY)

    assert refused.value.permanent
