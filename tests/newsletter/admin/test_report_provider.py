"""The provider's own count on the report: a part of its own that never keeps the page waiting."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.admin import report_provider
from newsletter.models import Delivery, Issue, Send
from newsletter.providers.counts import CountsUnreadable, MailCounts
from newsletter.reports.provider_counts import ProviderCounts
from tests.newsletter.admin.pages import page_of, words_on

pytestmark = pytest.mark.django_db

PAGES = ("report_provider", "report_provider_counts")


def found(*, is_of_send: bool = True, is_complete: bool = True, **counts: int) -> ProviderCounts:
    return ProviderCounts(
        provider="resend", counts=MailCounts(**counts), is_of_send=is_of_send, is_complete=is_complete
    )


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: ProviderCounts | CountsUnreadable | None) -> list[Send]:
    asked: list[Send] = []

    def counted(send: Send) -> ProviderCounts | None:
        asked.append(send)
        if isinstance(answer, CountsUnreadable):
            raise answer
        return answer

    monkeypatch.setattr(report_provider, "provider_counts", counted)
    return asked


def test_the_report_does_not_ask_and_names_where_the_part_is(
    edda: Client, running_send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer_with(monkeypatch, found())
    page = edda.get(page_of(running_send.issue, "report")).content.decode()
    assert not asked
    assert f'data-fragment="{page_of(running_send.issue, "report_provider_counts")}"' in page
    assert f'href="{page_of(running_send.issue, "report_provider")}"' in page


@pytest.mark.parametrize("name", PAGES)
def test_both_counts_stand_beside_each_other(
    edda: Client, running_send: Send, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Delivery.objects.update(delivered_at=timezone.now(), clicked_at=timezone.now(), state="accepted")
    answer_with(monkeypatch, found(sent=1, delivered=0, clicked=3))
    shown = words_on(edda.get(page_of(running_send.issue, name)))
    assert "Count Ours Resend Difference" in shown
    assert "Sent 1 1 none Delivered 1 0 -1 Events are on their way" in shown.replace("\u2212", "-")
    assert "Clicked 1 3 +2 The provider counts machines, too" in shown
    assert "up to 15 minutes old" in shown
    assert "30 days" not in shown
    assert "all mails from" not in shown


def test_what_makes_them_hard_to_compare_is_said(
    edda: Client, running_send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, found(is_of_send=False, is_complete=False))
    shown = words_on(edda.get(page_of(running_send.issue, "report_provider_counts")))
    domain = running_send.issue.newsletter.sender_email.partition("@")[2]
    assert f"They are of all mails from {domain} since this send began" in shown
    assert "The provider keeps its data for 30 days" in shown


@pytest.mark.parametrize("name", PAGES)
def test_a_provider_that_cannot_tell_is_a_sentence(
    edda: Client, running_send: Send, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer_with(monkeypatch, None)
    assert "does not count mails by itself" in words_on(edda.get(page_of(running_send.issue, name)))
    error = CountsUnreadable("counts_refused", "403 restricted_api_key", permanent=True)
    answer_with(monkeypatch, error)
    answer = edda.get(page_of(running_send.issue, name))
    assert answer.status_code == 200
    assert str(error) in words_on(answer)
    assert "Refresh" in words_on(answer)


def test_the_part_is_not_kept_and_is_no_whole_page(
    edda: Client, running_send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, found())
    answer = edda.get(page_of(running_send.issue, "report_provider_counts"))
    assert "no-store" in answer["Cache-Control"]
    assert "<html" not in answer.content.decode()


@pytest.mark.parametrize("name", PAGES)
def test_a_draft_has_no_count(edda: Client, issue: Issue, name: str) -> None:
    assert edda.get(page_of(issue, name)).status_code == 404
