"""Placeholders: tokens survive every encoding, and values are inserted exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape, unescape

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import SectionContent
from newsletter.rendering import (
    PlaceholderContext,
    PlaceholderError,
    PlaceholderTemplate,
    as_json_string,
    placeholder_token,
    render_issue,
)
from newsletter.rendering.placeholders import MAX_IN_SUBJECT, in_subject
from subscribers.addresses import UNFIT_FOR_HEADERS
from tests.newsletter.rendering.sample_issues import MASTHEAD, WEB_URL, sample_issue

NONCE = "0123456789ab"
HTML = placeholder_token(NONCE, "name", PlaceholderContext.HTML)
PLAIN = placeholder_token(NONCE, "name", PlaceholderContext.PLAIN)

any_text = st.text(st.characters(exclude_categories=["Cs"]))


def fill(template: str, **values: str) -> str:
    return PlaceholderTemplate.split(template.encode(), NONCE).fill(values).decode()


def test_a_token_consists_of_characters_that_no_encoding_changes() -> None:
    token = placeholder_token(NONCE, "unsubscribe_url", PlaceholderContext.HTML)
    assert token == "zq0123456789abxhunsubscribe_urlxqz"
    assert token.replace("_", "").isalnum()
    assert token.isascii()


@pytest.mark.parametrize("placeholder", ["", "Name", "1st", "na-me", "axqzb", "näme", "a b"])
def test_an_ambiguous_placeholder_name_is_refused(placeholder: str) -> None:
    with pytest.raises(PlaceholderError, match="cannot be the name of a placeholder"):
        placeholder_token(NONCE, placeholder, PlaceholderContext.PLAIN)


def test_values_are_escaped_in_html_only() -> None:
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


def test_a_value_that_looks_like_a_token_is_literal() -> None:
    other = placeholder_token(NONCE, "other", PlaceholderContext.PLAIN)
    assert fill(f"{PLAIN}|{other}", name=other, other=PLAIN) == f"{other}|{PLAIN}"


def test_tokens_of_another_nonce_are_ignored() -> None:
    foreign = placeholder_token("ba9876543210", "name", PlaceholderContext.PLAIN)
    assert fill(f"{foreign} {PLAIN}", name="Ada") == f"{foreign} Ada"


def test_tokens_may_be_adjacent_and_names_may_end_like_a_token() -> None:
    placeholders = ("x", "ax", "axq", "a_x", "x2")
    template = "".join(placeholder_token(NONCE, placeholder, PlaceholderContext.PLAIN) for placeholder in placeholders)
    assert fill(template, **{placeholder: f"<{placeholder}>" for placeholder in placeholders}) == "".join(
        f"<{placeholder}>" for placeholder in placeholders
    )


def test_a_value_is_encoded_once_per_recipient_and_context() -> None:
    calls: list[str] = []

    def counted(value: str) -> bytes:
        calls.append(value)
        return value.encode()

    template = PlaceholderTemplate.split((HTML * 3 + PLAIN * 4).encode(), NONCE, outer=counted)
    assert template.fill({"name": "<Ada>"}) == b"&lt;Ada&gt;" * 3 + b"<Ada>" * 4
    assert sorted(calls) == ["&lt;Ada&gt;", "<Ada>"]


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(PlaceholderError, match="no value for the placeholder 'name'"):
        PlaceholderTemplate.split(PLAIN.encode(), NONCE).fill({"other": "x"})


def test_a_value_that_is_not_unicode_is_refused_in_both_encodings() -> None:
    for outer in ({}, {"outer": as_json_string}):
        with pytest.raises(PlaceholderError, match="not valid Unicode"):
            PlaceholderTemplate.split(PLAIN.encode(), NONCE, **outer).fill({"name": "\ud800"})


def test_the_placeholders_of_a_template_are_listed() -> None:
    template = f"{HTML}{placeholder_token(NONCE, 'address', PlaceholderContext.PLAIN)}{PLAIN}"
    assert PlaceholderTemplate.split(template.encode(), NONCE).placeholders == ("address", "name")


@given(any_text, any_text, any_text)
def test_a_json_message_is_encoded_once_and_filled_in_place(before: str, value: str, after: str) -> None:
    message = {"to": [PLAIN], "html": f"{before}{HTML}{after}", "headers": {"X": f"<{PLAIN}>"}, PLAIN: 1}
    template = PlaceholderTemplate.split(orjson.dumps(message), NONCE, outer=as_json_string)
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
def test_filling_equals_replacing_each_token(placeholders: list[str], gap: str) -> None:
    values = {"name": "Ada & Co", "city": "Łódź 🛶", "url": "https://x.example/?a=1&b=2"}
    template = gap + gap.join(
        placeholder_token(NONCE, placeholder, PlaceholderContext.PLAIN) + gap for placeholder in placeholders
    )
    expected = gap + gap.join(values[placeholder] + gap for placeholder in placeholders)
    assert fill(template, **values) == expected


@given(st.text())
def test_a_value_in_a_subject_is_one_short_line(value: str) -> None:
    shown = in_subject(value)
    assert len(shown) <= MAX_IN_SUBJECT
    assert shown == shown.strip()
    assert not UNFIT_FOR_HEADERS.search(shown.encode(errors="ignore").decode())


@pytest.mark.parametrize("value", ["Zoë 🦊", "שרה כהן", "علی‌رضا", "O’Neill"])
def test_an_ordinary_name_in_a_subject_stays_as_it_is(value: str) -> None:
    assert in_subject(value) == value


def test_the_merge_fields_of_subject_and_preheader_are_those_of_the_parts() -> None:
    opening = SectionContent(body="Hello {first_name|there}.")
    content = replace(
        sample_issue(), subject="For {first_name|there} and {email|you}", preheader="{county|You}", sections=(opening,)
    )
    rendered = render_issue(content, MASTHEAD, web_url=WEB_URL)
    assert rendered.subject == content.subject
    names = {(merge.field, merge.fallback): merge.placeholder for merge in rendered.merges}
    assert names.keys() == {("first_name", "there"), ("email", "you"), ("county", "You")}
    assert placeholder_token(rendered.nonce, names["county", "You"], PlaceholderContext.HTML) in rendered.html
    assert placeholder_token(rendered.nonce, names["first_name", "there"], PlaceholderContext.PLAIN) in rendered.text
