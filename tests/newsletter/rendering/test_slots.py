"""Slots: tokens that survive every encoding, and values that arrive exactly as they are."""

from __future__ import annotations

import json
from html import escape, unescape

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.rendering import SlotContext, SlotError, SlotTemplate, as_json_string, slot_token

NONCE = "0123456789ab"
HTML = slot_token(NONCE, "name", SlotContext.HTML)
PLAIN = slot_token(NONCE, "name", SlotContext.PLAIN)

any_text = st.text(st.characters(exclude_categories=["Cs"]))


def fill(template: str, **values: str) -> str:
    return SlotTemplate.split(template.encode(), NONCE).fill(values).decode()


def test_a_token_is_made_of_characters_that_no_encoding_touches() -> None:
    token = slot_token(NONCE, "unsubscribe_url", SlotContext.HTML)
    assert token == "zq0123456789abxhunsubscribe_urlxqz"
    assert token.replace("_", "").isalnum()
    assert token.isascii()


@pytest.mark.parametrize("slot", ["", "Name", "1st", "na-me", "axqzb", "näme", "a b"])
def test_a_slot_name_that_could_not_be_found_again_is_refused(slot: str) -> None:
    with pytest.raises(SlotError, match="cannot name a slot"):
        slot_token(NONCE, slot, SlotContext.PLAIN)


def test_values_are_escaped_for_html_and_left_alone_in_plain_text() -> None:
    value = "\"><img src=x onerror=alert(1)> & 'more'"
    assert fill(f'<a title="{HTML}">', name=value) == (
        '<a title="&quot;&gt;&lt;img src=x onerror=alert(1)&gt; &amp; &#x27;more&#x27;">'
    )
    assert fill(PLAIN, name=value) == value


@pytest.mark.parametrize(
    "value", ["{{7*7}}", "{{ 7*7 }}@x.example", "{% for %}", "${x}", "%(x)s", "\\1 \\g<0>", "🛶 é"]
)
def test_a_value_is_never_run_as_a_template(value: str) -> None:
    assert unescape(fill(f"a {HTML} b {PLAIN} c", name=value)) == f"a {value} b {value} c"


def test_a_value_that_looks_like_a_token_arrives_literally() -> None:
    other = slot_token(NONCE, "other", SlotContext.PLAIN)
    assert fill(f"{PLAIN}|{other}", name=other, other=PLAIN) == f"{other}|{PLAIN}"


def test_tokens_of_another_nonce_are_left_alone() -> None:
    foreign = slot_token("ba9876543210", "name", SlotContext.PLAIN)
    assert fill(f"{foreign} {PLAIN}", name="Ada") == f"{foreign} Ada"


def test_tokens_may_touch_each_other_and_names_may_end_like_the_token_does() -> None:
    slots = ("x", "ax", "axq", "a_x", "x2")
    template = "".join(slot_token(NONCE, slot, SlotContext.PLAIN) for slot in slots)
    assert fill(template, **{slot: f"<{slot}>" for slot in slots}) == "".join(f"<{slot}>" for slot in slots)


def test_a_value_is_encoded_once_per_reader_and_context_however_often_it_appears() -> None:
    calls: list[str] = []

    def counted(value: str) -> bytes:
        calls.append(value)
        return value.encode()

    template = SlotTemplate.split((HTML * 3 + PLAIN * 4).encode(), NONCE, outer=counted)
    assert template.fill({"name": "<Ada>"}) == b"&lt;Ada&gt;" * 3 + b"<Ada>" * 4
    assert sorted(calls) == ["&lt;Ada&gt;", "<Ada>"]


def test_a_reader_without_a_value_gets_nothing_rather_than_a_hole() -> None:
    with pytest.raises(SlotError, match="no value for the slot 'name'"):
        SlotTemplate.split(PLAIN.encode(), NONCE).fill({"other": "x"})


def test_a_value_that_is_no_unicode_is_refused_in_both_encodings() -> None:
    for outer in ({}, {"outer": as_json_string}):
        with pytest.raises(SlotError, match="not valid Unicode"):
            SlotTemplate.split(PLAIN.encode(), NONCE, **outer).fill({"name": "\ud800"})


def test_the_slots_of_a_template_are_named() -> None:
    template = f"{HTML}{slot_token(NONCE, 'address', SlotContext.PLAIN)}{PLAIN}"
    assert SlotTemplate.split(template.encode(), NONCE).slots == ("address", "name")


@given(any_text, any_text, any_text)
def test_a_json_message_is_encoded_once_and_filled_in_place(before: str, value: str, after: str) -> None:
    message = {"to": [PLAIN], "html": f"{before}{HTML}{after}", "headers": {"X": f"<{PLAIN}>"}, PLAIN: 1}
    template = SlotTemplate.split(orjson.dumps(message), NONCE, outer=as_json_string)
    filled = json.loads(template.fill({"name": value}))
    assert filled["to"] == [value]
    assert filled["html"] == before + escape(value) + after
    assert filled["headers"] == {"X": f"<{value}>"}
    assert value in filled


@given(any_text)
def test_an_html_value_reads_back_as_it_was(value: str) -> None:
    inside = fill(f'"{HTML}"', name=value)[1:-1]
    assert not set(inside) & set("<>\"'")
    assert unescape(inside) == value


@given(st.lists(st.sampled_from(["name", "city", "url"])), any_text)
def test_filling_equals_replacing_each_token(slots: list[str], gap: str) -> None:
    values = {"name": "Ada & Co", "city": "Łódź 🛶", "url": "https://x.example/?a=1&b=2"}
    template = gap + gap.join(slot_token(NONCE, slot, SlotContext.PLAIN) + gap for slot in slots)
    expected = gap + gap.join(values[slot] + gap for slot in slots)
    assert fill(template, **values) == expected
