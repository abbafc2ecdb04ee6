"""Prices: what a provider charges a month, in tiers of mails or of contacts.

Resend's prices in US dollars, without taxes, as quoted from its price page in August 2025 and in March 2026. They
change, and larger volumes have prices of their own: compare them with resend.com/pricing, and set PRICE_TIERS to yours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, Self

Unit = Literal["mails", "contacts"]

#: A price list as text: `mails:50000=20,100000=90`. The unit may be left out.
TEXT = re.compile(r"(?:(mails|contacts):)?(.+)", re.DOTALL)

MAX_TIERS = 50


@dataclass(frozen=True, slots=True)
class PriceTier:
    """A monthly price for up to so many mails a month, or contacts."""

    up_to: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class PriceList:
    """The tiers of a provider, the smallest first."""

    unit: Unit
    """What is counted: mails a month, or contacts, which may get any number of mails."""
    tiers: tuple[PriceTier, ...]

    @classmethod
    def of(cls, unit: Unit, prices: dict[int, int]) -> Self:
        return cls(unit, tuple(PriceTier(up_to, Decimal(price)) for up_to, price in prices.items()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the name of a published list, or from tiers as text. Raises ValueError."""
        if text in PUBLISHED:
            return cls(PUBLISHED[text].unit, PUBLISHED[text].tiers)
        match = TEXT.fullmatch(text)
        unit: Unit = "contacts" if match and match[1] == "contacts" else "mails"
        tiers = tuple(_tier(part) for part in (match[2] if match else "").split(","))
        sizes = [tier.up_to for tier in tiers]
        if sizes != sorted(set(sizes)) or len(tiers) > MAX_TIERS:
            raise ValueError("must list its tiers in ascending order, each once")
        return cls(unit, tiers)

    def tier_for(self, count: int) -> PriceTier | None:
        """The smallest tier that holds so many; None if they are more than the largest holds."""
        return next((tier for tier in self.tiers if count <= tier.up_to), None)


def _tier(part: str) -> PriceTier:
    size, _equals, price = part.strip().partition("=")
    try:
        tier = PriceTier(int(size), Decimal(price))
    except (ValueError, InvalidOperation) as error:
        raise ValueError(
            f"must be {', '.join(PUBLISHED)}, or tiers such as 50000=20,100000=90 (mails a month = price) or "
            f"contacts:5000=40,10000=80; “{part[:40]}” is none"
        ) from error
    if not (0 < tier.up_to < 10**12 and tier.price.is_finite() and 0 <= tier.price < 10**9):
        raise ValueError(f"must have sizes above 0 and prices of 0 or more; “{part[:40]}” has others")
    return tier


#: Price lists by name. That of Resend is for transactional mail, which this program sends: free plan, Pro and Scale.
PUBLISHED: dict[str, PriceList] = {"resend": PriceList.of("mails", {3_000: 0, 50_000: 20, 100_000: 90})}
