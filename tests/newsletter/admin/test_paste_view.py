"""The page that converts pasted HTML: who may use it, what it answers, and its limits."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from newsletter.content.html_tree import MAX_CHARACTERS

PASTE = reverse("admin:newsletter_issue_paste")

pytestmark = pytest.mark.any_database


def paste(client: Client, html: str, **headers: str) -> Any:
    return client.post(PASTE, html.encode(), content_type="text/html; charset=utf-8", headers=headers)


def test_html_becomes_markdown_and_what_is_left_out_is_said(edda: Client) -> None:
    html = (
        '<p>重点 <b>C++</b>code, <a href="https://wiki.example/Crane_(machine)">cranes</a> <a href="/x">x</a></p>'
        '<img src="cid:1"><img src="cid:2"><form><input></form><iframe src="https://v.example"></iframe>'
        "<script>alert(1)</script>"
    )

    assert paste(edda, html).json() == {
        "markdown": "重点 <strong>C++</strong>code, [cranes](<https://wiki.example/Crane_(machine)>) x",
        "notes": [
            "1 link was left out and its text was kept: it has no address of the web.",
            "2 pictures were left out: they have no address of the web. Add image blocks.",
            "1 form field was left out.",
            "1 embedded video, drawing or page was left out.",
        ],
    }


def test_html_that_is_too_long_is_refused_with_a_sentence(edda: Client) -> None:
    answer = paste(edda, "x" * (MAX_CHARACTERS + 1))

    assert answer.status_code == 413
    assert "too long" in answer.json()["notes"][0]


def test_only_those_who_may_write_issues_can_convert(client: Client, db: None) -> None:
    assert paste(client, "<b>x</b>").status_code == 302
    client.force_login(User.objects.create_user("viewer", password="x", is_staff=True))
    assert paste(client, "<b>x</b>").status_code == 403


def test_a_request_needs_the_csrf_token_and_post(edda: Client) -> None:
    assert edda.get(PASTE).status_code == 405
    edda.handler.enforce_csrf_checks = True
    assert paste(edda, "<b>x</b>").status_code == 403
    token = edda.get(reverse("admin:newsletter_issue_token")).json()["token"]
    assert paste(edda, "<b>x</b>", **{"X-CSRFToken": token}).status_code == 200
