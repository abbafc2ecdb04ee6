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


TAGS = (
    *(
        "{% if x %}",
        "{% else %}",
        "{% endif %}",
        "{{ if .X }}",
        "{{ else }}",
        "{{ end }}",
        "{% unless y %}",
        "{% raw %}",
    ),
    *("*|IF:X|*", "*|ELSE:|*", "*|END:IF|*", "{{ name }}", "*|FNAME|*", "{{", "%}", "*|", "|*", "{% endraw %}"),
)


@given(st.lists(st.sampled_from(TAGS), max_size=20))
def test_every_word_around_template_code_is_in_the_text_or_in_a_note(tags: list[str]) -> None:
    words = [f"w{number}q" for number in range(len(tags))]
    shown, notes = without_tags("".join(f" {word} {tag}" for word, tag in zip(words, tags, strict=True)))
    kept = " ".join([shown, *(note.sentence for note in notes)])
    assert [word for word in words if word not in kept] == []
    assert "\ue020" not in shown
