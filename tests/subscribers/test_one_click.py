"""One-click bodies as mail programs and relays send them (RFC 8058 §3.1)."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from subscribers.consent.tokens import decline_url, unsubscribe_url
from subscribers.models import SubscriptionState as State
from subscribers.web.one_click import is_one_click
from tests.people import ada

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
BODY = b"List-Unsubscribe=One-Click"
PART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


def post(body: bytes, content_type: str, url: str) -> tuple[int, str]:
    path = url.removeprefix("http://127.0.0.1:8000")
    answer = Client(enforce_csrf_checks=True).generic("POST", path, body, content_type=content_type)
    return answer.status_code, answer.content.decode()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (BODY, FORM),
        (BODY + b"\r\n", FORM),
        (BODY + b"\n", FORM),
        (BODY + b"\r\n\r\n", f"{FORM}; charset=utf-8"),
        (BODY, ""),
        (BODY + b"\r\n", ""),
        (BODY, f"{FORM}; charset=us-ascii"),
        (BODY, f"{FORM}; charset=iso-8859-1"),
        (BODY, f'{FORM}; charset="windows-1252"'),
        (BODY, f"{FORM}; charset=klingon"),
        (BODY, "text/plain"),
        (BODY, "application/octet-stream"),
        (b"List-Unsubscribe=One%2DClick", FORM),
        (BODY + b"&campaign=7", FORM),
        (b"campaign=7&" + BODY, FORM),
        (PART, "multipart/form-data; boundary=x"),
        (PART.replace(b"\r\n", b"\n"), "multipart/form-data; boundary=x"),
        (PART, "multipart/form-data; boundary=x; charset=us-ascii"),
        (PART, "multipart/form-data"),
        (PART, ""),
        (
            PART.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", 1),
            "multipart/form-data",
        ),
        (PART.replace(b"--x--", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--'), ""),
    ],
)
@pytest.mark.parametrize("url_of", [unsubscribe_url, decline_url])
def test_one_click_is_understood(body: bytes, content_type: str, url_of: Callable[[uuid.UUID], str]) -> None:
    subscription = ada()
    assert post(body, content_type, url_of(subscription.key)) == (200, "Unsubscribed.\n")
    subscription.refresh_from_db()
    assert subscription.state == State.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"", ""),
        (b"\r\n", FORM),
        (b"List-Unsubscribe", FORM),
        (b"List-Unsubscribe=Two-Clicks", FORM),
        (b"One-Click", ""),
        (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
        (b"action=unsubscribe", "text/plain"),
        (b"action=unsubscribe", f"{FORM}; charset=us-ascii"),
        (PART.replace(b"One-Click", b"Two-Clicks"), "multipart/form-data; boundary=x"),
        (PART.replace(b"List-", b"Other-"), "multipart/form-data; boundary=x"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"--x\r\nbroken", "multipart/form-data"),
        (b"a=1&" * 200 + BODY, FORM),
        (BODY + b"&" + b"a" * 100_000, FORM),
        (b"\xff\xfe\x00", FORM),
    ],
)
def test_a_post_that_is_not_understood_is_a_400_and_changes_nothing(body: bytes, content_type: str) -> None:
    subscription = ada()
    for url in (unsubscribe_url(subscription.key), decline_url(subscription.key)):
        status, text = post(body, content_type, url)
        assert status == 400
        assert "The site did not understand this request. Nothing was changed." in text
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE


@given(body=st.binary(max_size=300), content_type=st.sampled_from([FORM, "", "multipart/form-data; boundary=x"]))
def test_no_other_body_is_taken_for_one_click_or_fails(body: bytes, content_type: str) -> None:
    request = RequestFactory().generic("POST", "/", body, content_type=content_type)
    assert not is_one_click(request) or b"One-Click" in body
