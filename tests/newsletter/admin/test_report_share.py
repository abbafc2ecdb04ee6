"""Sharing with a sponsor: who may, the link that is shown once, the list, and revoking."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from newsletter.models import FIRST_LINK, Issue, ReportShare, Send
from newsletter.reports import shared_story
from tests.newsletter.admin.pages import page_of, words_on
from tests.newsletter.web.test_shared import delivered_to
from tests.publications import make_issue

pytestmark = pytest.mark.django_db

CHOICE = {"story": str(FIRST_LINK), "days": "30"}


@pytest.fixture
def send() -> Send:
    return delivered_to(25)


def shared_path(page: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:8000(/shared/[^/<]+/)", page)
    assert found is not None
    return found[1]


def test_a_link_is_made_and_shown_once(edda: Client, send: Send) -> None:
    url = page_of(send.issue, "report_share")
    assert url in edda.get(page_of(send.issue, "report")).content.decode()
    form = edda.get(url)
    assert "Taller cranes (News, story 1)" in words_on(form)
    answer = edda.post(url, CHOICE)
    assert "no-store" in answer["Cache-Control"]
    path = shared_path(answer.content.decode())
    assert "Taller cranes" in words_on(Client().get(path))
    share = ReportShare.objects.get()
    assert share.created_by == "edda"
    assert share.expires_at is not None
    assert 29 < (share.expires_at - timezone.now()).days + 1 <= 30
    later = edda.get(url)
    assert path.split("/")[2] not in later.content.decode()
    assert re.search(r"Taller cranes \(News, story 1\) Active .* by edda Ends: ", words_on(later))


def test_a_link_may_have_no_end(edda: Client, send: Send) -> None:
    edda.post(page_of(send.issue, "report_share"), {**CHOICE, "days": "0"})
    assert ReportShare.objects.get().expires_at is None
    assert "Ends: Never" in words_on(edda.get(page_of(send.issue, "report_share")))


@pytest.mark.parametrize(
    "changes", [{"story": "3"}, {"story": "99"}, {"story": "x"}, {"story": ""}, {"days": "1"}, {"days": ""}]
)
def test_a_choice_that_is_not_offered_makes_no_link(edda: Client, send: Send, changes: dict[str, str]) -> None:
    answer = edda.post(page_of(send.issue, "report_share"), {**CHOICE, **changes})
    assert answer.status_code == 200
    assert not ReportShare.objects.exists()


def test_a_revoked_link_stops_at_once(edda: Client, send: Send) -> None:
    path = shared_path(edda.post(page_of(send.issue, "report_share"), CHOICE).content.decode())
    share = ReportShare.objects.get()
    url = page_of(send.issue, "report_share_revoke", share.pk)
    assert edda.get(url).status_code == 405
    assert "The link is revoked." in words_on(edda.post(url, follow=True))
    assert Client().get(path).status_code == 404
    shown = words_on(edda.post(url, follow=True))
    assert "The link was revoked before." in shown
    assert "Revoked by edda" in shown


def test_a_link_of_another_issue_is_not_revoked_here(edda: Client, send: Send) -> None:
    edda.post(page_of(send.issue, "report_share"), CHOICE)
    other, share = make_issue("issue-2", send.issue.newsletter), ReportShare.objects.get()
    assert edda.post(page_of(other, "report_share_revoke", share.pk)).status_code == 404
    share.refresh_from_db()
    assert share.revoked_at is None


def test_only_who_has_the_permission_shares_and_revokes(signed_in: Callable[[str], Client], send: Send) -> None:
    lou = signed_in("lou")
    edda = signed_in("edda")
    edda.post(page_of(send.issue, "report_share"), CHOICE)
    share = ReportShare.objects.get()
    assert page_of(send.issue, "report_share") not in lou.get(page_of(send.issue, "report")).content.decode()
    assert lou.get(page_of(send.issue, "report_share")).status_code == 403
    assert lou.post(page_of(send.issue, "report_share"), CHOICE).status_code == 403
    assert lou.post(page_of(send.issue, "report_share_revoke", share.pk)).status_code == 403
    assert ReportShare.objects.filter(revoked_at=None).count() == 1
    User.objects.get(username="lou").user_permissions.add(Permission.objects.get(codename="share_report"))
    assert lou.post(page_of(send.issue, "report_share"), CHOICE).status_code == 200
    assert lou.post(page_of(send.issue, "report_share_revoke", share.pk)).status_code == 302
    assert ReportShare.objects.filter(revoked_at=None).count() == 1


def test_an_issue_without_counted_links_cannot_be_shared(edda: Client, running_send: Send) -> None:
    url = page_of(running_send.issue, "report_share")
    assert edda.get(url).status_code == 404
    assert url not in edda.get(page_of(running_send.issue, "report")).content.decode()


def test_a_draft_cannot_be_shared(edda: Client, issue: Issue) -> None:
    assert edda.get(page_of(issue, "report_share")).status_code == 404


def test_too_many_links_are_an_error_of_the_form(edda: Client, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_story, "MAX_SHARES", 1)
    edda.post(page_of(send.issue, "report_share"), CHOICE)
    assert "Revoke one first." in words_on(edda.post(page_of(send.issue, "report_share"), CHOICE))
    assert ReportShare.objects.count() == 1
