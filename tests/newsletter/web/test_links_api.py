"""The API that saves links."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from newsletter.gathering.tokens import MOST_IN_MINUTE, make_token
from newsletter.models import LinkToken, LinkWay, SavedLink
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

URL = "https://quay.example/3"


@pytest.fixture
def secret() -> str:
    return make_token(make_newsletter(), User.objects.create_superuser("edda"), "Script")


def post(secret: str, body: Any, **headers: str) -> Any:
    # With the checks of a browser's forms, which a program cannot pass.
    client = Client(enforce_csrf_checks=True)
    sent = {"Authorization": f"Bearer {secret}"} | headers
    return client.post("/api/links/", body, content_type="application/json", headers=sent)


def test_a_link_is_saved_with_note_and_tags(secret: str) -> None:
    answer = post(secret, {"url": f" {URL} ", "title": "Quay 3", "note": "Tall", "tags": ["Ports"]})
    link = SavedLink.objects.get()
    assert answer.status_code == 201
    assert answer.json() | {"saved_at": ""} == {
        "id": link.pk,
        "url": URL,
        "state": "new",
        "saved_at": "",
        "is_new": True,
    }
    assert (link.newsletter, link.way, link.saved_by) == (make_newsletter(), LinkWay.API, "edda")
    assert (link.title, link.note, [tag.name for tag in link.tags.all()]) == ("Quay 3", "Tall", ["ports"])


def test_saving_again_changes_nothing(secret: str) -> None:
    post(secret, {"url": URL})
    answer = post(secret, {"url": f"{URL}?utm_source=script"})
    assert (answer.status_code, answer.json()["is_new"]) == (200, False)
    assert SavedLink.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "{}",
        {"url": 7},
        {"url": "quay.example"},
        {"url": "javascript:alert(1)"},
        {"url": URL, "state": "used"},
        {"url": URL, "tags": "ports"},
        {"url": URL, "tags": [1]},
        {"url": URL, "note": None},
        {"url": URL, "tags": ["a" * 50]},
        {"url": URL, "note": "x" * 100_001},
    ],
)
def test_a_wrong_body_is_refused_with_the_reason(secret: str, body: Any) -> None:
    answer = post(secret, body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not SavedLink.objects.exists()


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nllink_unknown", "Basic {secret}", "{secret}"])
def test_without_a_valid_token_nothing_is_saved(secret: str, header: str) -> None:
    answer = post(secret, {"url": URL}, Authorization=header.replace("{secret}", secret))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="links"'
    assert not SavedLink.objects.exists()


def test_too_many_requests_are_told_when_to_come_back(secret: str) -> None:
    post(secret, {"url": URL})
    LinkToken.objects.update(in_minute=MOST_IN_MINUTE)
    answer = post(secret, {"url": f"{URL}/4"})
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 61


def test_only_post_is_answered(secret: str) -> None:
    assert Client().get("/api/links/", headers={"Authorization": f"Bearer {secret}"}).status_code == 405
