"""The report: every number from the rows, and fresh while the issue is on its way."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.models import Delivery, DeliveryStatus, Issue
from newsletter.sending.control import pause_issue
from tests.newsletter.admin.pages import page_of, words_on
from tests.people import many_readers
from tests.publications import address_everybody, make_newsletter, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")


@pytest.fixture
def on_its_way(issue: Issue) -> Issue:
    many_readers(9, make_newsletter())
    start_sending(issue)
    address_everybody()
    return Issue.objects.get(pk=issue.pk)


def test_the_numbers_are_those_of_the_deliveries(edda: Client, on_its_way: Issue) -> None:
    now, keys = timezone.now(), list(Delivery.objects.values_list("pk", flat=True))
    Delivery.objects.filter(pk__in=keys[:6]).update(status=DeliveryStatus.ACCEPTED, delivered_at=now)
    Delivery.objects.filter(pk__in=keys[:3]).update(opened_at=now)
    Delivery.objects.filter(pk__in=keys[:2]).update(clicked_at=now)
    Delivery.objects.filter(pk=keys[5]).update(bounced_at=now)
    Delivery.objects.filter(pk=keys[6]).update(status=DeliveryStatus.FAILED, reason="The address is malformed.")
    shown = words_on(edda.get(page_of(on_its_way, "report")))
    assert "70 %" in shown
    assert "Accepted 6" in shown
    assert "Delivered 5" in shown
    assert "Opened (estimate) 3" in shown
    assert "Clicked 2 40.0 % of the delivered" in shown
    assert "Bounced 1" in shown
    assert "Refused The address is malformed. 1" in shown
    assert "Not addressed Unsubscribed. 1" in shown
    assert on_its_way.edition is not None
    assert on_its_way.edition.sha256 in shown


def test_the_numbers_are_sent_again_only_when_they_have_changed(edda: Client, on_its_way: Issue) -> None:
    first = edda.get(page_of(on_its_way, "report_numbers"))
    assert first.status_code == 200
    seen = {"If-None-Match": first["ETag"]}
    assert edda.get(page_of(on_its_way, "report_numbers"), headers=seen).status_code == 304
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(status=DeliveryStatus.ACCEPTED)  # type: ignore[union-attr]
    assert edda.get(page_of(on_its_way, "report_numbers"), headers=seen).status_code == 200


def test_the_page_watches_while_it_sends_and_not_when_all_is_over(edda: Client, on_its_way: Issue) -> None:
    def watches() -> tuple[bool, bool]:
        body = edda.get(page_of(on_its_way, "report")).content.decode()
        return "poll.js" in body, '<noscript><meta http-equiv="refresh"' in body

    assert watches() == (True, True)
    pause_issue(on_its_way, by="tests", reason="A look")
    assert watches() == (True, True)
    edda.post(page_of(on_its_way, "cancel"))
    assert watches() == (False, False)


def test_a_draft_has_no_report_and_says_so(edda: Client, issue: Issue) -> None:
    assert "There is no report yet" in words_on(edda.get(page_of(issue, "report"), follow=True))
