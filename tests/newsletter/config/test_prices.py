"""Prices in tiers: published lists, and an operator's own."""

from __future__ import annotations

from decimal import Decimal

import pytest

from newsletter.config.prices import PUBLISHED, PriceList


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_list_grows_with_the_volume(name: str) -> None:
    prices = PriceList.parse(name)
    assert [tier.up_to for tier in prices.tiers] == sorted(tier.up_to for tier in prices.tiers)
    assert [tier.price for tier in prices.tiers] == sorted(tier.price for tier in prices.tiers)


def test_the_smallest_tier_that_is_large_enough_is_chosen() -> None:
    prices = PriceList.parse("50000=20, 100000=90.50")
    assert prices.unit == "mails"
    assert [tier and tier.price for tier in map(prices.tier_for, (0, 50_000, 50_001, 100_001))] == [
        Decimal(20),
        Decimal(20),
        Decimal("90.50"),
        None,
    ]
    assert PriceList.parse("contacts:5000=40").unit == "contacts"


@pytest.mark.parametrize(
    "text", ["50000", "x=1", "100=x", "100=1,100=2", "200=1,100=2", "0=1", "-5=1", "5=-1", "5=NaN", "people:5=1", ","]
)
def test_a_list_that_cannot_be_read_is_refused_with_its_faulty_part(text: str) -> None:
    with pytest.raises(ValueError, match="must "):
        PriceList.parse(text)
