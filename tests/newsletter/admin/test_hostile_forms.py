"""No text with control characters breaks a page of the admin: PostgreSQL stores no NUL."""

from __future__ import annotations

import pytest
from django.test import Client
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.admin.issues import PAGES
from newsletter.admin.pages import Page
from newsletter.models import Batch, BatchState, Issue, SwitchTransition, sending_stopped
from tests.newsletter.admin.pages import page_of
from tests.newsletter.admin.test_every_page import url_of
from tests.publications import expand_audiences, start_sending

pytestmark = pytest.mark.any_database

NUL = "a\0b"

#: What our pages read without a form.
TEXTS = ("action", "based_on", "finding", "item", "listed", "reason", "revision")


def fields_of(client: Client, url: str) -> dict[str, str]:
    """Every field of every form of a page."""
    answer = client.get(url)
    if answer.status_code != 200 or not answer["Content-Type"].startswith("text/html"):
        return {}
    forms = lxml_html.fromstring(answer.content.decode()).xpath(
        "//main//form[translate(@method, 'POST', 'post')='post']"
    )
    return {name: form.fields[name] or "" for form in forms for name in form.fields.keys() if name}  # noqa: SIM118


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))
@pytest.mark.parametrize("is_sending", [False, True])
def test_no_control_character_breaks_a_page_of_an_issue(
    page: Page, is_sending: bool, issue: Issue, read_by_ada: None, edda: Client
) -> None:
    held = 1
    if is_sending:
        start_sending(issue)
        expand_audiences()
        held = Batch.objects.get().pk
        Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    url = url_of(page, issue, held)
    loose = dict.fromkeys(TEXTS, NUL)
    shown = fields_of(edda, url)
    for data in (loose, shown | {"reason": NUL}, {name: value + NUL for name, value in shown.items()}):
        assert edda.post(url, data).status_code < 500


def test_the_reason_of_a_decision_keeps_its_words_only(issue: Issue, read_by_ada: None, edda: Client) -> None:
    send = start_sending(issue)
    edda.post(page_of(issue, "pause"), {"reason": "Wrong\0 link"})
    assert send.transitions.latest("pk").values == {"text": "Wrong link"}


def test_the_reason_of_a_stop_keeps_its_words_only(edda: Client) -> None:
    assert edda.post("/admin/sending/", {"action": "stop", "reason": "\0\x1b"}).status_code == 400
    assert sending_stopped() is None
    edda.post("/admin/sending/", {"action": "stop", "reason": "The key\0 leaked.\r\n"})
    edda.post("/admin/sending/", {"action": "resume", "reason": "\0New key."})
    words = [values["text"] for values in SwitchTransition.objects.values_list("values", flat=True)]
    assert words == ["The key leaked.", "New key."]
