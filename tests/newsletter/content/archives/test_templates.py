"""Template code of other tools as a page without a subscriber shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.archives.templates import MERGE_LINK, without_tags


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi *|FNAME|*, welcome", "Hi, welcome"),
        ('Hi {{ subscriber.first_name | default: "friend" }}!', "Hi friend!"),
        ('Hi {{ subscriber.metadata.name|default:"you" }}!', "Hi you!"),
        ("*|IF:FNAME|*Dear *|FNAME|**|ELSE:|*Dear all*|END:IF|*!", "Dear all!"),
        ("*|IFNOT:FNAME|*Dear all*|END:IF|*!", "Dear all!"),
        ("{% if subscriber.premium %}Secret{% else %}Public{% endif %}", "Public"),
        ("{% unless subscriber.premium %}Public{% endunless %}", "Public"),
        ("{{ if .Subscriber.Attribs.city }}In {{ .Subscriber.Attribs.city }}{{ else }}Anywhere{{ end }}", "Anywhere"),
        ('<a href="{{ TrackLink "https://quay.example/a" . }}">x</a>', '<a href="https://quay.example/a">x</a>'),
        ('<a href="https://quay.example/a@TrackLink">x</a>', '<a href="https://quay.example/a">x</a>'),
        ('<a href="*|UNSUB|*">x</a>', f'<a href="{MERGE_LINK}UNSUB">x</a>'),
        ('<a href="{{ UnsubscribeURL }}">x</a>', f'<a href="{MERGE_LINK}UnsubscribeURL">x</a>'),
        ('<a href="https://a.example/?id={{subscriber_id}}">x</a>', '<a href="https://a.example/?id=">x</a>'),
        ("{{ TrackView }}", ""),
        ("{% raw %}shown{% endraw %}", "shown"),
        ("No code { at } all * | x | *", "No code { at } all * | x | *"),
    ],
)
def test_values_are_empty_and_conditions_false(text: str, shown: str) -> None:
    assert without_tags(text)[0] == shown


def test_values_that_are_known_are_filled() -> None:
    assert without_tags("<title>*|MC:SUBJECT|*</title>", {"MC:SUBJECT": "Tide"})[0] == "<title>Tide</title>"


def test_words_for_chosen_subscribers_are_in_a_note_and_not_in_the_text() -> None:
    text, notes = without_tags("A {% if premium %}<b>for payers</b>{% if x %} more{% endif %}{% endif %} B")
    assert text == "A  B"
    assert "for payers … more" in notes[0].sentence


def test_a_value_is_named_in_a_note() -> None:
    assert "{{ subscribe_form }}" in without_tags("A {{ subscribe_form }}")[1][0].sentence


pieces = st.sampled_from(
    ["{{", "}}", "{%", "%}", "*|", "|*", "if x", "else", "endif", "end", " ", "w", "IF:X", "END:IF", "ELSE:"]
)


@given(st.lists(pieces, max_size=30).map("".join))
def test_any_template_code_is_read_and_no_tag_is_left(text: str) -> None:
    shown, _ = without_tags(text)
    again, notes = without_tags(shown)
    assert "\ue020" not in shown
    assert again == shown or notes
