"""Merge fields: filled in running text only; text that only looks like one is reported with its line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.markdown import markdown_to_html, markdown_to_text
from newsletter.content.merge_faults import merge_field_faults, one_line_merge_faults, subject_merge_faults
from newsletter.content.merge_fields import MERGE_FIELDS, MergeField, fallback_of, merge_fields_in
from newsletter.content.plain_text import plain_to_markdown


def named(field: MergeField) -> str:
    return f"[{field.name}:{field.fallback}]"


def faults_of(text: str, names: tuple[str, ...] | None = MERGE_FIELDS) -> list[tuple[int, str]]:
    return list(merge_field_faults(text, names))


def test_a_field_is_filled_in_paragraphs_lists_emphasis_and_the_words_of_links() -> None:
    body = "Hello {first_name|there},\n\n- **for {first_name|you}**\n- [write, {first_name|friend}](https://a.example)"

    assert markdown_to_html(body, merge=named) == (
        "<p>Hello [first_name:there],</p>\n<ul>\n<li><strong>for [first_name:you]</strong></li>\n"
        '<li><a href="https://a.example">write, [first_name:friend]</a></li>\n</ul>'
    )
    assert markdown_to_text(body, fallback_of) == ("Hello there,\n\n- for you\n- write, friend (https://a.example)")
    assert faults_of(body) == []


def test_without_replacements_fields_stay_as_typed() -> None:
    assert markdown_to_html("Hello {first_name|there}") == "<p>Hello {first_name|there}</p>"
    assert markdown_to_text("Hello {first_name|there}") == "Hello {first_name|there}"


@pytest.mark.parametrize(
    "body",
    [
        "`{first_name|there}`",
        "```\n{first_name|there}\n```",
        "    {first_name|there}",
        "\\{first_name|there}",
        "https://a.example/{first_name|there}",
        "<https://a.example/{first_name|there}>",
    ],
)
def test_fields_in_code_in_addresses_and_after_a_backslash_are_literal(body: str) -> None:
    assert "[first_name" not in markdown_to_html(body, merge=named)
    assert "[first_name" not in markdown_to_text(body, named)


def test_replacements_are_text_and_not_markup() -> None:
    html = markdown_to_html("{first_name|there}", merge=lambda _field: "<img src=x onerror=a> **b** {email|x}")

    assert html == "<p>&lt;img src=x onerror=a&gt; **b** {email|x}</p>"


def test_fields_of_a_body_that_is_nested_too_deeply_are_filled() -> None:
    assert "[first_name:you]" in markdown_to_html("> " * 60 + "for {first_name|you}", merge=named)


@pytest.mark.parametrize(
    ("body", "line", "sentence"),
    [
        ("One.\n\nTwo {firstname|you}", 3, "There is no merge field “firstname”. Write {first_name|there}."),
        ("{First Name|you}", 1, "Write {first_name|there}"),
        ("{shoe_size|42}", 1, "There is no merge field “shoe_size”. The merge fields are {first_name|there}, {email|"),
        ("a\nb {first_name}", 2, "“{first_name}” has no fallback for recipients without a value"),
        ("{first_name|}", 1, "1 to 60 plain characters"),
        ("Hello {first_name|my\ndear reader}", 1, "on the same line"),
        ("Hello {first\nname|you}", 1, "no merge field “first name”"),
        (f"Hello {{first_name|{'y' * 300}}}", 1, "1 to 60 plain characters"),
        ("{first_name|*you*}", 1, "without formatting"),
        ("{first_name|a|b}", 1, "another |"),
        ("{first_name|" + "x" * 61 + "}", 1, "1 to 60"),
        ("- a\n- Dear {{ subscriber.name }}", 2, "“{{ subscriber.name }}” would be sent as typed"),
        ("{% if reader %}x", 1, "templates are not run"),
        ("Hello *|FNAME|*!", 1, "Write {first_name|there} for a recipient’s value"),
        ("Mail *|EMAIL|*", 1, "Write {email|your address}"),
        ("x\n\n[here](https://a.example/?to={email|x})", 3, "links are the same for every recipient"),
    ],
)
def test_faulty_fields_are_reported_with_line_and_advice(body: str, line: int, sentence: str) -> None:
    [(found_line, found)] = [fault for fault in faults_of(body) if sentence in fault[1]]

    assert found_line == line
    assert found.endswith(".")


CUSTOM = (*MERGE_FIELDS, "city", "shoe_size2")


def test_a_custom_field_is_filled_like_any_other() -> None:
    assert markdown_to_html("To {city|your town}", merge=named) == "<p>To [city:your town]</p>"
    assert markdown_to_text("To {shoe_size2|you}", fallback_of) == "To you"
    assert faults_of("To {city|your town} {shoe_size2|x}", CUSTOM) == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "{county|x}",
            "There is no merge field “county”. The merge fields are {first_name|there}, {email|your address}, "
            "{city|your city}, {shoe_size2|your shoe size2}.",
        ),
        ("{citty|x}", "There is no merge field “citty”. Write {city|your city}."),
        ("{City|x}", "There is no merge field “City”. Write {city|your city}."),
        ("{city}", "“{city}” has no fallback for recipients without a value. Write {city|your city}."),
        ("{city|*x*}", "The fallback of “{city|*x*}” must be 1 to 60 plain characters"),
        ("{{ city }}", "Write {city|your city} for a recipient’s value"),
    ],
)
def test_an_unknown_field_is_reported_with_the_names_that_exist(body: str, sentence: str) -> None:
    [(_line, found)] = faults_of(body, CUSTOM)
    assert sentence in found


def test_where_the_fields_of_the_newsletter_are_not_known_any_name_may_exist() -> None:
    assert faults_of("{county|x} {firstname|you}", None) == []
    [(_line, sentence)] = faults_of("{county|a|b}", None)
    assert sentence.startswith("The fallback of “{county|a|b}” must be")


@pytest.mark.parametrize("value", ["News of {city|your town}", "{city}", "{{ city }} news"])
def test_a_custom_field_in_a_subject_is_refused(value: str) -> None:
    [sentence] = one_line_merge_faults("Subject", value, CUSTOM)
    assert sentence.startswith("“Subject” contains “")
    assert list(one_line_merge_faults("Subject", value)) == []


@pytest.mark.parametrize(
    "body",
    [
        "`{{ name }}` and\n\n```\n{% if x %} *|FNAME|*\n```",
        "\\{{ name }} and \\{firstname|x} and \\*|FNAME|\\*",
        'Sets such as {a, b} and {x}, an empty {}, a JSON {"a": 1}.',
        "{first_name|mon ami} and {email|your address}",
    ],
)
def test_code_escapes_and_ordinary_braces_are_not_fields(body: str) -> None:
    assert faults_of(body) == []


@pytest.mark.parametrize("value", ["For {first_name|you}", "{first_name}", "Hi {{ first_name }}", "*|FNAME|*, news"])
def test_a_field_in_a_title_or_subject_is_refused(value: str) -> None:
    [sentence] = one_line_merge_faults("Subject", value)
    assert sentence.startswith("“Subject” contains “")


@pytest.mark.parametrize("value", ["For {first_name|you}", "{email|you}: news", "{a, b}", "100 % {sure}", "{x}"])
def test_a_subject_may_have_merge_fields_with_a_fallback_and_other_braces(value: str) -> None:
    assert list(subject_merge_faults("Subject", value, MERGE_FIELDS)) == []


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("For {first_name}", "“{first_name}”, which is not a merge field. Write {first_name|there}"),
        ("For {first_name|}", "“{first_name|}”, which is not a merge field."),
        ("For {first_name|a|b}", "Write {first_name|there}"),
        ("Hi {{ first_name | there }}", "Write {first_name|there}"),
        ("Hi {{ name }}", "Write {first_name|there}"),
        ("*|FNAME|*, news", "Write {first_name|there}"),
        ("{firstname|you}", "there is no such merge field"),
        ("{a|b}", "“a”, but there is no such merge field. The merge fields are {first_name|there}"),
    ],
)
def test_what_is_no_merge_field_in_a_subject_is_reported(value: str, sentence: str) -> None:
    [fault] = subject_merge_faults("Subject", value, MERGE_FIELDS)
    assert sentence in str(fault)


@pytest.mark.parametrize("value", ["What {{ mustaches }} are", "{a|b} and {c}", "100 % {sure}"])
def test_a_title_may_contain_other_braces(value: str) -> None:
    assert list(one_line_merge_faults("Title", value)) == []


@pytest.mark.parametrize("marks", ["{{", "{%", "*|", "{a|", "{a ", "{{ a }}"])
def test_thousands_of_braces_do_not_take_quadratic_time(marks: str) -> None:
    started = time.thread_time()
    for _ in merge_field_faults(marks * 20_000):
        pass
    for _ in one_line_merge_faults("Subject", marks * 1_000):
        pass

    assert time.thread_time() - started < 60  # about a second; a quadratic search needs many minutes


PIECES = ("{first_name|you}", "{first_name}", "{x|y}", "{{ a }}", "{% b %}", "*|FNAME|*", "{", "}", "|", "*", "_", "`")
OTHERS = ("\\", "[", "](https://a.example)", " ", "\n", "\n\n", "```", "a", "{first_name|", "}}")
pieces = st.lists(st.sampled_from(PIECES + OTHERS), max_size=12).map("".join)


@given(pieces)
def test_faults_have_lines_and_no_more_fields_are_filled_than_found(body: str) -> None:
    filled: list[MergeField] = []

    def collect(field: MergeField) -> str:
        filled.append(field)
        return ""

    markdown_to_text(body, collect)
    for line, sentence in [*merge_field_faults(body), *merge_field_faults(body, MERGE_FIELDS)]:
        assert 1 <= line <= body.count("\n") + 1
        assert sentence.endswith(".")
    assert len(filled) <= len(list(merge_fields_in(body)))


@given(pieces)
def test_plain_text_is_literal_even_if_it_looks_like_a_field(text: str) -> None:
    line = " ".join(text.split())
    markdown = plain_to_markdown(line)

    assert markdown_to_text(markdown, named) == line
    assert faults_of(markdown) == []
