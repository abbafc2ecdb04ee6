"""Suppressions: stored as fingerprints, on every list, and independent of subscribers."""

from __future__ import annotations

import pytest
from django.core import serializers
from django.db import IntegrityError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from pytest_django import DjangoAssertNumQueries

from subscribers import suppression
from subscribers.models import (
    LIFTED_BY_CONFIRMATION,
    Consent,
    ConsentKind,
    LiftedSuppression,
    Subscriber,
    Subscription,
    Suppression,
    fingerprint,
)
from subscribers.models import SubscriptionState as State
from subscribers.models import SuppressionReason as Reason
from subscribers.suppression import (
    RANKS,
    ExplanationMissing,
    SuppressionCause,
    filter_suppressed,
    get_suppression,
    lift_suppressions,
    suppress_addresses,
)
from tests.people import ADA, BEN, CLEO, ada, ben, cleo, make_mailing_list, make_subscriptions

pytestmark = pytest.mark.django_db


def test_a_suppression_ends_all_subscriptions_and_stores_a_consent_for_each() -> None:
    here, there = ada(), ada(make_mailing_list("tide-tables"))
    assert suppress_addresses({ADA: (Reason.HARD_BOUNCE, "550 5.1.1 no such user")}) == 2
    for subscription in (here, there):
        subscription.refresh_from_db()
        assert subscription.state == State.SUPPRESSED
        assert subscription.ended_at is not None
        proof = subscription.consents.get()
        assert (proof.kind, proof.reason, proof.detail) == (ConsentKind.SUPPRESSED, Reason.HARD_BOUNCE, "")
    assert get_suppression(ADA) is not None
    assert get_suppression(ADA).detail == "550 5.1.1 no such user"  # type: ignore[union-attr]


def test_a_repeated_suppression_changes_nothing() -> None:
    ada()
    cause = {ADA: (Reason.COMPLAINT, "")}
    assert suppress_addresses(cause) == 1
    assert suppress_addresses(cause) == 0
    assert (Suppression.objects.count(), Consent.objects.count()) == (1, 1)


def test_a_complaint_replaces_an_earlier_bounce_and_not_the_other_way_round() -> None:
    suppress_addresses({ADA: (Reason.HARD_BOUNCE, "bounce")})
    suppress_addresses({ADA: (Reason.COMPLAINT, "abuse")})
    suppress_addresses({ADA: (Reason.HARD_BOUNCE, "bounce again")})
    kept = Suppression.objects.get()
    assert (kept.reason, kept.detail) == (Reason.COMPLAINT, "abuse")


def test_every_reason_has_a_rank_of_its_own() -> None:
    assert set(RANKS) == set(Reason)
    assert len(set(RANKS.values())) == len(Reason)
    assert sorted(RANKS, key=RANKS.__getitem__) == [
        Reason.HARD_BOUNCE,
        Reason.SOFT_BOUNCE,
        Reason.NO_DOMAIN,
        Reason.INACTIVE,
        Reason.ERASED,
        Reason.PROVIDER,
        Reason.MANUAL,
        Reason.COMPLAINT,
    ]


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("5/28", "5 soft bounces within 28 days, and no mail arrived between them."),
        ("550 5/28 no", "550 5/28 no"),
        ("", ""),
    ],
)
def test_the_detail_of_repeated_bounces_is_told_in_words(detail: str, words: str) -> None:
    suppress_addresses({ADA: (Reason.SOFT_BOUNCE, detail)})
    assert Suppression.objects.get().detail_in_words == words


@pytest.mark.parametrize("reason", [Reason.HARD_BOUNCE, Reason.INACTIVE, Reason.NO_DOMAIN, Reason.SOFT_BOUNCE])
def test_a_new_confirmation_lifts_a_suppression_for_bounces(reason: Reason) -> None:
    suppress_addresses({ADA: (reason, "")})
    assert not Suppression.objects.get().blocks_signup
    assert reason in LIFTED_BY_CONFIRMATION


class AnyOrder(TestCase):
    """The reason of a suppression depends on the causes alone."""

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.lists(st.sampled_from(list(Reason)), max_size=4), min_size=1, max_size=4).filter(any))
    def test_the_reason_does_not_depend_on_the_order_of_causes_nor_on_what_is_suppressed_together(
        self, chunks: list[list[Reason]]
    ) -> None:
        Suppression.objects.all().delete()
        for chunk in chunks:
            causes: dict[str, SuppressionCause] = {}
            for position, reason in enumerate(chunk):
                # The other addresses of the chunk must not matter.
                causes[ADA if position == 0 else f"reader-{position}@example.org"] = (reason, "")
            suppress_addresses(causes)
        of_ada = [chunk[0] for chunk in chunks if chunk]
        assert get_suppression(ADA).reason == max(of_ada, key=RANKS.__getitem__)  # type: ignore[union-attr]


def test_a_suppression_ends_a_pending_subscription_and_leaves_an_unsubscribed_one() -> None:
    waiting, gone = ben(), cleo()
    suppress_addresses({BEN: (Reason.MANUAL, ""), CLEO: (Reason.MANUAL, "")})
    waiting.refresh_from_db()
    gone.refresh_from_db()
    assert (waiting.state, gone.state) == (State.SUPPRESSED, State.UNSUBSCRIBED)
    assert filter_suppressed([ADA, BEN, CLEO]) == {BEN, CLEO}


def test_a_suppression_outlives_the_subscriber_and_contains_no_address() -> None:
    subscription = ada()
    suppress_addresses({ADA: (Reason.COMPLAINT, "")})
    Subscription.objects.filter(pk=subscription.pk).delete()
    Subscriber.objects.all().delete()
    assert get_suppression(ADA)
    assert "ada" not in serializers.serialize("json", Suppression.objects.all())


def test_an_address_without_a_subscriber_can_be_suppressed() -> None:
    assert suppress_addresses({"stranger@example.org": (Reason.MANUAL, "asked for by phone")}) == 0
    assert get_suppression("stranger@example.org")
    assert get_suppression(ADA) is None


def test_a_hundred_addresses_are_checked_in_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_subscriptions(100)
    suppress_addresses({"reader-7@example.org": (Reason.HARD_BOUNCE, "")})
    with django_assert_num_queries(1):
        assert filter_suppressed([f"reader-{n}@example.org" for n in range(1, 101)]) == {"reader-7@example.org"}


def test_the_number_of_statements_of_a_suppression_is_bounded(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    make_subscriptions(300)
    with django_assert_max_num_queries(20):
        suppress_addresses({f"reader-{n}@example.org": (Reason.HARD_BOUNCE, "") for n in range(1, 301)})
    assert Subscription.objects.filter(state=State.SUPPRESSED).count() == 300


def test_reasons_that_a_confirmation_lifts_rank_below_those_that_it_does_not() -> None:
    lifted = [RANKS[reason] for reason in LIFTED_BY_CONFIRMATION]
    assert max(lifted) < min(rank for reason, rank in RANKS.items() if reason not in LIFTED_BY_CONFIRMATION)


def test_a_complaint_is_lifted_with_an_explanation_only_and_a_record_stays() -> None:
    suppress_addresses({ADA: (Reason.COMPLAINT, "abuse"), BEN: (Reason.MANUAL, "")})
    for empty in ("", "  "):
        with pytest.raises(ExplanationMissing):
            lift_suppressions(Suppression.objects.all(), by="ida", explanation=empty)
    assert Suppression.objects.count() == 2
    assert lift_suppressions(Suppression.objects.all(), by="ida", explanation="Pressed by mistake, says a letter.") == 2
    assert not Suppression.objects.exists()
    record = LiftedSuppression.objects.get(fingerprint=fingerprint(ADA))
    assert (record.reason, record.by) == (Reason.COMPLAINT, "ida")
    assert record.explanation == "Pressed by mistake, says a letter."


def test_the_database_refuses_a_lifted_complaint_without_an_explanation() -> None:
    with pytest.raises(IntegrityError, match="lifted_complaint_is_explained"), transaction.atomic():
        LiftedSuppression.objects.create(fingerprint="f", reason=Reason.COMPLAINT)


def test_lifting_calls_the_listeners_with_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(suppression, "LIFT_LISTENERS", [heard.extend])
    suppress_addresses({ADA: (Reason.MANUAL, "")})
    lift_suppressions(Suppression.objects.all(), by="ida")
    assert heard == [fingerprint(ADA)]
