"""Numbers of rows that are left out, so that none is given twice."""

from __future__ import annotations

import pytest

from newsletter.models import Delivery, Edition
from newsletter.models.numbering import NUMBERS_LEFT_OUT, leave_out_numbers
from tests import people
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db


def send_one(slug: str) -> Delivery:
    """A new delivery, with a new edition."""
    start_sending(make_issue(slug))
    expand_audiences()
    return Delivery.objects.latest("pk")


def test_a_table_goes_on_far_ahead() -> None:
    people.ada(make_newsletter())
    first = send_one("issue-1")
    leave_out_numbers(Delivery)
    leave_out_numbers(Edition)
    second = send_one("issue-2")
    assert second.pk > first.pk + NUMBERS_LEFT_OUT
    assert second.send.edition_id > first.send.edition_id + NUMBERS_LEFT_OUT


def test_a_table_without_rows_begins_far_ahead_and_a_second_time_farther() -> None:
    people.ada(make_newsletter())
    leave_out_numbers(Delivery)
    leave_out_numbers(Delivery)
    assert send_one("issue-1").pk > 2 * NUMBERS_LEFT_OUT


def test_deleted_rows_do_not_take_the_numbers_back() -> None:
    people.ada(make_newsletter())
    leave_out_numbers(Delivery)
    last = send_one("issue-1")
    Delivery.objects.all().delete()
    leave_out_numbers(Delivery)
    assert send_one("issue-2").pk > last.pk + NUMBERS_LEFT_OUT
