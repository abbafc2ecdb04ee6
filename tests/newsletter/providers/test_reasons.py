"""Reason codes: each code has a sentence, which is translated when it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import newsletter.providers
from newsletter.config import translatable as translatable_module
from newsletter.models import Reason
from newsletter.providers.base import Outcome, OutcomeKind, ProviderSearchFailed
from newsletter.providers.reasons import CODE, REASONS, provider_reason_sentence
from newsletter.sandbox.refusals import REFUSALS

CODE_IN_SOURCE = re.compile(r'(?:code=|code = |EventRejected\(|ProviderSearchFailed\(|NoConnection\([\w.]+, )"(\w+)"')


def codes_in_source() -> Iterator[str]:
    for path in Path(newsletter.providers.__file__).parent.rglob("*.py"):
        yield from CODE_IN_SOURCE.findall(path.read_text(encoding="utf-8"))


def test_every_code_has_a_sentence() -> None:
    used = set(codes_in_source())
    assert len(used) > 25
    assert used <= set(REASONS)


def test_codes_are_short_slugs_and_sentences_end_with_a_full_stop() -> None:
    assert all(CODE.match(code) for code in REASONS)
    assert all(sentence.endswith((".", ")")) for sentence in REASONS.values())


def test_no_code_of_a_provider_is_also_a_reason_of_ours() -> None:
    # Both are stored in the same columns, and the sentence of a code must not depend on who wrote it.
    assert not set(REASONS) & set(Reason.values)


def test_every_error_of_resend_about_sending_has_a_sentence() -> None:
    names = {name for _status, name, _message in REFUSALS}
    # These are about other endpoints than those that send.
    assert names - set(REASONS) <= {"resource_locked", "missing_required_parameter", "invalid_region"}


@pytest.mark.parametrize(
    ("code", "detail", "expected"),
    [
        ("", "", ""),
        ("invalid_api_key", "", "The provider does not accept the API key."),
        ("invalid_api_key", "Unknown key", "The provider does not accept the API key. Details: Unknown key"),
        ("", "Unknown key", "Unknown key"),
        ("http_502", "", "The provider answered with HTTP status 502."),
        ("a_new_name", "No.", "The provider answered with the error “a_new_name”. Details: No."),
    ],
)
def test_the_sentence_of_a_code_and_its_detail(code: str, detail: str, expected: str) -> None:
    assert provider_reason_sentence(code, detail) == expected
    assert Outcome(kind=OutcomeKind.UNKNOWN, code=code, detail=detail).reason == expected


def test_the_sentence_is_translated_when_it_is_shown_and_the_detail_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = provider_reason_sentence("invalid_api_key", "Unknown key")
    translations = {
        "The provider does not accept the API key.": "Der Anbieter akzeptiert den API-Schlüssel nicht.",
        "{sentence} Details: {detail}": "{sentence} Einzelheiten: {detail}",
    }
    monkeypatch.setattr(translatable_module, "_gettext", lambda message: translations.get(message, message))
    assert str(sentence) == "Der Anbieter akzeptiert den API-Schlüssel nicht. Einzelheiten: Unknown key"


def test_an_error_has_the_code_the_detail_and_the_sentence() -> None:
    error = ProviderSearchFailed("list_unavailable", "ReadTimeoutError", permanent=False)
    assert (error.code, error.detail) == ("list_unavailable", "ReadTimeoutError")
    assert str(error) == "The provider's list of mails did not answer. Details: ReadTimeoutError"
