"""Sentences of pure modules: English where they are compared or stored, translated where they are shown."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator

import pytest
from django.template import Context, Template
from django.utils import translation

from newsletter.config import translatable as module
from newsletter.config.translatable import Translatable, from_data, to_data, translatable, translatable_plural


@pytest.fixture
def shouting() -> Iterator[None]:
    before = module._gettext, module._ngettext
    module.install(str.upper, lambda one, many, count: (one if count == 1 else many).upper().replace("COUNT", "count"))
    yield
    module.install(*before)


def test_a_sentence_is_english_until_it_is_shown(shouting: None) -> None:
    sentence = translatable("The link is missing.")
    assert sentence == "The link is missing."
    assert hash(sentence) == hash("The link is missing.")
    assert str(sentence) == "THE LINK IS MISSING."
    assert f"{sentence:>21}" == " THE LINK IS MISSING."


def test_a_template_shows_it_translated_and_escaped(shouting: None) -> None:
    shown = Template("{{ sentence }}").render(Context({"sentence": translatable("a < b")}))
    assert shown == "A &lt; B"


def test_an_exception_shows_it_translated(shouting: None) -> None:
    assert str(ValueError(translatable("Choose a later time."))) == "CHOOSE A LATER TIME."


def test_counts_choose_the_form(shouting: None) -> None:
    one, many = (translatable_plural("{count} link", "{count} links", count=count) for count in (1, 2))
    assert (one, many) == ("1 link", "2 links")
    assert (str(one), str(many)) == ("1 LINK", "2 LINKS")


def test_a_pickled_sentence_is_the_same_sentence() -> None:
    sentence = translatable("Line {line} is empty.", line=3)
    again = pickle.loads(pickle.dumps(sentence))
    assert (again, again.message, again.values) == (sentence, sentence.message, {"line": 3})


def test_a_sentence_within_a_sentence_is_english_where_the_sentence_is(shouting: None) -> None:
    sentence = translatable("Section: {place}", place=translatable("{title}, story {number}", title="News", number=2))
    assert sentence == "Section: News, story 2"


def test_numbers_take_the_separators_of_the_language() -> None:
    sentence = translatable("{size:,} bytes, {share:.1f} %", size=102_000, share=4.5)
    assert (sentence, str(sentence)) == ("102,000 bytes, 4.5 %", "102,000 bytes, 4.5 %")
    with translation.override("de"):
        assert (sentence, str(sentence)) == ("102,000 bytes, 4.5 %", "102.000 bytes, 4,5 %")


def test_a_stored_sentence_is_made_again() -> None:
    inner = translatable_plural("{count} link", "{count} links", count=2)
    sentence = translatable("{place}: {what}", place="News", what=inner)
    again = from_data(json.loads(json.dumps(to_data(sentence))))
    assert isinstance(again, Translatable)
    assert (again, again.values) == (sentence, sentence.values)
    assert isinstance(again.values["what"], Translatable)
    assert from_data(to_data("as it is")) == "as it is"
