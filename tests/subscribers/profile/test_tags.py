"""Tags: made once whatever their capital letters, given and taken in sets."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from subscribers.models import Change, ChangeKind, Subscription, SubscriptionTag, Tag
from subscribers.profile.tags import add_tag, get_tags, remove_tag, tag_names
from tests.people import ada, ben, make_mailing_list, make_subscription

pytestmark = pytest.mark.django_db


def test_names_are_read_once_whatever_their_capital_letters() -> None:
    assert tag_names(" VIP , vip,, Blog  reader ,ÉTÉ,été") == ["VIP", "Blog reader", "ÉTÉ"]
    assert [len(name) for name in tag_names("x" * 100)] == [60]
    with pytest.raises(ValidationError):
        tag_names("a\u202eb")


def test_a_tag_is_made_once_per_list() -> None:
    first, second = make_mailing_list(), make_mailing_list("tide-tables")
    (vip,) = get_tags(first, ["VIP"])
    assert get_tags(first, ["vip", "Blog"]) == [vip, Tag.objects.get(name="Blog")]
    assert get_tags(second, ["VIP"]) != [vip]
    with pytest.raises(IntegrityError), transaction.atomic():
        Tag.objects.create(mailing_list=first, name="vIP")


def test_a_tag_is_given_once_and_taken_once() -> None:
    mailing_list = make_mailing_list()
    (tag,) = get_tags(mailing_list, ["VIP"])
    everyone = Subscription.objects.all()
    ada()
    assert add_tag(tag, everyone, by="edda") == 1
    ben()
    elsewhere = make_subscription("zoe@example.org", make_mailing_list("tide-tables"))
    assert add_tag(tag, everyone, by="edda") == 1
    assert not SubscriptionTag.objects.filter(subscription=elsewhere).exists()
    assert (remove_tag(tag, everyone, by="edda"), remove_tag(tag, everyone, by="edda")) == (2, 0)
    kinds = list(Change.objects.order_by("pk").values_list("kind", "values", "by"))
    added, removed = (ChangeKind.TAG_ADDED, {"tag": "VIP"}, "edda"), (ChangeKind.TAG_REMOVED, {"tag": "VIP"}, "edda")
    assert kinds == [added, added, removed, removed]


def test_more_subscriptions_than_a_statement_takes_are_tagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscribers.profile.tags.CHUNK", 2)
    mailing_list = make_mailing_list()
    (tag,) = get_tags(mailing_list, ["VIP"])
    for number in range(5):
        make_subscription(f"reader-{number}@example.org")
    assert add_tag(tag, Subscription.objects.all(), by="edda") == 5
    assert remove_tag(tag, Subscription.objects.all(), by="edda") == 5
