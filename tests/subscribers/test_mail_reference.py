"""Links in the mails of an issue name their mail, and the proof of an unsubscribe keeps which it was."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from subscribers.consent.tokens import (
    IN_ISSUES,
    LinkSigner,
    LinkToken,
    Purpose,
    read_key,
    read_link,
    unsubscribe_url,
)
from subscribers.models import Consent, ConsentForm, ConsentKind, Subscription
from subscribers.models import SubscriptionState as State
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests.people import ADA, ada, ben, make_mailing_list, make_subscription

pytestmark = pytest.mark.django_db

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
REFERENCES = st.integers(0, 2**32 - 1)


def path(purpose: Purpose, subscription: Subscription, reference: int | None = 7) -> str:
    return f"/{purpose}/{LinkSigner(purpose, reference).token_of(subscription.key)}"


def unsubscribes() -> list[tuple[str, int | None, str | None]]:
    rows = Consent.objects.filter(kind=ConsentKind.UNSUBSCRIBED).order_by("pk")
    return list(rows.values_list("form", "mail_reference", "leave_reason"))


@given(st.uuids(), REFERENCES, st.sampled_from(IN_ISSUES))
def test_a_link_names_the_mail_that_it_was_made_for(key: Any, reference: int, purpose: Purpose) -> None:
    signer = LinkSigner(purpose, reference)
    token = signer.url(key).rpartition("/")[2]
    assert token == signer.token_of(key)
    assert read_link(purpose, token) == LinkToken(key, reference)
    assert read_key(purpose, token) == key
    assert not any(read_key(other, token) for other in Purpose if other is not purpose)


@given(st.uuids(), REFERENCES, st.integers(0, 47), st.characters())
def test_neither_key_nor_mail_can_be_changed(key: Any, reference: int, position: int, character: str) -> None:
    token = LinkSigner(Purpose.UNSUBSCRIBE, reference).token_of(key)
    changed = token[:position] + character + token[position + 1 :]
    assert (read_link(Purpose.UNSUBSCRIBE, changed) is not None) == (changed == token)


@given(st.uuids(), REFERENCES, st.integers(1, 47))
def test_the_number_cannot_be_cut_off(key: Any, reference: int, length: int) -> None:
    token = LinkSigner(Purpose.PREFERENCES, reference).token_of(key)
    assert read_link(Purpose.PREFERENCES, token[:length]) is None


@given(st.uuids())
def test_links_of_earlier_versions_work_and_name_no_mail(key: Any) -> None:
    assert read_link(Purpose.UNSUBSCRIBE, unsubscribe_url(key).rpartition("/")[2]) == LinkToken(key)


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose not in IN_ISSUES])
def test_links_that_are_in_no_issue_name_no_mail(purpose: Purpose) -> None:
    with pytest.raises(ValueError, match=purpose):
        LinkSigner(purpose, 7)


@pytest.mark.parametrize(
    ("purpose", "data", "form"),
    [
        (Purpose.UNSUBSCRIBE, ONE_CLICK, ConsentForm.ONE_CLICK),
        (Purpose.UNSUBSCRIBE, {"action": "unsubscribe"}, ConsentForm.UNSUBSCRIBE),
        (Purpose.UNSUBSCRIBE, {"action": "leave-all"}, ConsentForm.UNSUBSCRIBE),
        (Purpose.PREFERENCES, {"action": "unsubscribe"}, ConsentForm.PREFERENCES),
        (Purpose.PREFERENCES, {"action": "leave-all"}, ConsentForm.PREFERENCES),
    ],
)
@pytest.mark.parametrize("reference", [7, None])
def test_the_proof_keeps_the_mail(
    client: Client, purpose: Purpose, data: dict[str, str], form: str, reference: int | None
) -> None:
    subscription = ada()
    for _ in range(2):
        assert client.post(path(purpose, subscription, reference), data).status_code == 200
    assert unsubscribes() == [(form, reference, None)]


def test_the_way_from_the_unsubscribe_page_to_the_preferences_keeps_the_mail(client: Client) -> None:
    subscription = ada()
    page = client.get(path(Purpose.UNSUBSCRIBE, subscription)).content.decode()
    found = re.search(r'href="(/preferences/[^"]+)"', page)
    assert found is not None
    client.post(found[1], {"action": "unsubscribe"})
    assert unsubscribes() == [(ConsentForm.PREFERENCES, 7, None)]


def test_a_mail_is_named_by_the_subscription_that_it_was_for_only(client: Client) -> None:
    other = make_subscription(ADA, make_mailing_list("tide-tables", name="Tide Tables"))
    subscription = ada()
    client.post(path(Purpose.UNSUBSCRIBE, subscription), {"action": "leave-all"})
    other.refresh_from_db()
    assert other.state == State.UNSUBSCRIBED
    named = Consent.objects.filter(mail_reference=7).values_list("subscription", flat=True)
    assert list(named) == [subscription.pk]


def test_leaving_another_list_on_the_preferences_page_names_no_mail(client: Client) -> None:
    other = make_mailing_list("tide-tables", name="Tide Tables", is_listed=True)
    make_subscription(ADA, other)
    client.post(path(Purpose.PREFERENCES, ada()), {"action": "leave", "list": "tide-tables"})
    assert unsubscribes() == [(ConsentForm.PREFERENCES, None, None)]


def confirm_again(subscription: Subscription) -> None:
    Subscription.objects.filter(pk=subscription.pk).update(state=State.ACTIVE, ended_at=None)


def test_who_comes_back_and_leaves_by_the_same_mail_left_because_of_it_once(client: Client) -> None:
    subscription = ada()
    for reference in (7, 7, 8):
        client.post(path(Purpose.UNSUBSCRIBE, subscription, reference), ONE_CLICK)
        confirm_again(subscription)
    assert [reference for _form, reference, _reason in unsubscribes()] == [7, None, 8]


def test_the_answer_why_belongs_to_the_mail_of_the_unsubscribe(client: Client) -> None:
    subscription = ada()
    client.post(path(Purpose.UNSUBSCRIBE, subscription), ONE_CLICK)
    # By a link that names no mail, as on the page after an unsubscribe, and by one that names another.
    client.post(path(Purpose.UNSUBSCRIBE, subscription, 9), {"action": "reason", "reason": "too_many", "text": "Daily"})
    assert unsubscribes() == [
        (ConsentForm.ONE_CLICK, 7, None),
        (ConsentForm.UNSUBSCRIBE_REASON, 7, "too_many"),
    ]


def test_the_answer_after_an_unsubscribe_without_a_mail_names_none(client: Client) -> None:
    subscription = ada()
    client.post(path(Purpose.UNSUBSCRIBE, subscription, None), {"action": "unsubscribe"})
    client.post(path(Purpose.UNSUBSCRIBE, subscription), {"action": "reason", "reason": "other"})
    assert unsubscribes() == [
        (ConsentForm.UNSUBSCRIBE, None, None),
        (ConsentForm.UNSUBSCRIBE_REASON, None, "other"),
    ]


def test_erasure_keeps_the_codes_and_nothing_else(client: Client) -> None:
    subscription = ben()
    client.post(path(Purpose.UNSUBSCRIBE, subscription), ONE_CLICK)
    answer = {"action": "reason", "reason": "other", "text": "Ben is tired"}
    client.post(path(Purpose.UNSUBSCRIBE, subscription), answer)
    erase_data_subject(find_data_subject(subscription.subscriber.address))
    kept = Consent.objects.filter(mail_reference=7).order_by("pk")
    assert [(row.form, row.leave_reason, row.detail, row.subscription) for row in kept] == [
        (ConsentForm.ONE_CLICK, None, "", None),
        (ConsentForm.UNSUBSCRIBE_REASON, "other", "", None),
    ]
