"""Reading Resend's list of domains."""

from __future__ import annotations

import json
from typing import Any

import pytest

from newsletter.providers.base import DomainsUnreadable, SendingDomain
from newsletter.providers.resend.domains import ResendDomains
from tests.publisher import Answer, publishing


def listed(*rows: dict[str, Any], has_more: bool = False) -> Answer:
    return Answer(json.dumps({"object": "list", "has_more": has_more, "data": list(rows)}).encode())


def test_every_page_is_read_with_the_key() -> None:
    first = {"id": "d-1", "name": "Mail.Example.org", "status": "verified", "open_tracking": True}
    second = {
        "id": "d-2",
        "name": "b.example.org",
        "status": "pending",
        "open_tracking": "yes",
        "click_tracking": False,
    }
    with publishing() as publisher:
        publisher.pages["/domains?limit=100"] = listed(first, has_more=True)
        publisher.pages["/domains?limit=100&after=d-1"] = listed(second)
        domains = ResendDomains(publisher.url, "re_full").read()
        assert {request.headers["authorization"] for request in publisher.requests} == {"Bearer re_full"}
    assert domains == (
        SendingDomain(name="mail.example.org", status="verified", open_tracking=True, click_tracking=None),
        SendingDomain(name="b.example.org", status="pending", open_tracking=None, click_tracking=False),
    )


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(b'{"name": "restricted_api_key", "message": "No."}', status=401), "domains_refused"),
        (Answer(b'{"name": "validation_error", "message": "API key is not active"}', status=403), "domains_refused"),
        (Answer(b'{"name": "rate_limit_exceeded", "message": "No."}', status=429), "domains_unreadable"),
        (Answer(b"<html>", status=502), "domains_unreadable"),
        (Answer(b"[]"), "domains_unreadable"),
        (Answer(b'{"data": ["mail.example.org"]}'), "domains_unreadable"),
    ],
    ids=["sending-key", "inactive-key", "rate-limit", "html", "array", "strings"],
)
def test_an_answer_that_tells_nothing_is_an_error_with_a_reason(answer: Answer, code: str) -> None:
    with publishing() as publisher:
        publisher.pages["/domains?limit=100"] = answer
        with pytest.raises(DomainsUnreadable) as caught:
            ResendDomains(publisher.url, "re_full").read()
    assert caught.value.code == code


def test_no_answer_is_an_error_with_a_reason() -> None:
    with pytest.raises(DomainsUnreadable):
        ResendDomains("http://127.0.0.1:9", "re_full").read()
