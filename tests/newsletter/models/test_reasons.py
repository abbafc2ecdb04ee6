"""Reasons: each code has a sentence, with or without its values."""

from __future__ import annotations

import pytest

from newsletter.models import Reason
from newsletter.models.reasons import reason_sentence


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_sentence_even_without_its_values(reason: Reason) -> None:
    assert "%(" not in reason_sentence(reason)
    assert reason_sentence(reason, {"text": "More words."}).endswith("More words.")
