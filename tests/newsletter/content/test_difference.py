"""Two versions of an issue side by side: what was found again, what became of it, and every word of both."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.difference import (
    ChangeKind,
    Span,
    SpanKind,
    difference,
    shortened,
    summary_of,
    word_spans,
)
from newsletter.content.document import IssueContent, SectionContent, SectionKind
from tests.newsletter.content.harbour_notes import CRANE, GAUGE, ISSUE_41
from tests.newsletter.content.issues import issues

SIGNAL, DEEP_DIVES = ISSUE_41.sections
FERRY = replace(CRANE, title="A ferry that waits", url="https://ferry.example/waits", body="It waits for the last bus.")


def with_sections(*sections: SectionContent) -> IssueContent:
    return replace(ISSUE_41, sections=sections)


def told(old: IssueContent, new: IssueContent) -> list[tuple[str, str, str]]:
    """Each change as its kind, what it is about, and the name of that."""
    return [(change.kind.value, change.what, change.name) for change in difference(old, new)]


def marked(old: str, new: str) -> str:
    marks = {SpanKind.SAME: "{}", SpanKind.ADDED: "+{}+", SpanKind.REMOVED: "-{}-", SpanKind.LEFT_OUT: "{}"}
    return "".join(marks[span.kind].format(span.text) for span in word_spans(old, new))


def test_equal_issues_differ_in_nothing() -> None:
    assert difference(ISSUE_41, ISSUE_41) == ()
    assert summary_of(()) == "nothing changed"


def test_a_new_word_is_shown_among_those_that_stayed() -> None:
    assert marked("It stands still in gusts now.", "It stands quite still in gusts.") == (
        "It stands +quite +still in -gusts now-+gusts+."
    )


def test_a_text_of_which_hardly_a_word_stayed_is_shown_as_one_for_the_other() -> None:
    assert (
        marked("One thing only.", "Nobody saw the other coming.") == "-One thing only.-+Nobody saw the other coming.+"
    )


def test_a_rewritten_story_is_found_again_by_its_link() -> None:
    other = replace(CRANE, title="Wait, crane!", body="Everything is different here.")
    [change] = difference(ISSUE_41, with_sections(SIGNAL, replace(DEEP_DIVES, stories=(other, GAUGE))))

    assert (change.kind, change.what, change.place) == (ChangeKind.CHANGED, "story", "Deep dives, story 1")
    assert [field.label for field in change.fields] == ["Title", "Text"]


def test_a_story_with_another_link_is_found_again_by_its_title_or_its_words() -> None:
    moved_page = replace(CRANE, url="https://gazette.example/crane-2")
    new_words = replace(GAUGE, title="Two tides, one gauge", url="")
    changes = difference(ISSUE_41, with_sections(SIGNAL, replace(DEEP_DIVES, stories=(moved_page, new_words))))

    assert [[field.label for field in change.fields] for change in changes] == [["Link"], ["Title", "Link"]]


def test_a_story_that_came_and_one_that_went_are_named() -> None:
    new = with_sections(SIGNAL, replace(DEEP_DIVES, stories=(GAUGE, FERRY)))

    assert told(ISSUE_41, new) == [("added", "story", FERRY.title), ("removed", "story", CRANE.title)]
    assert summary_of(difference(ISSUE_41, new)) == "1 story added, 1 story removed"


def test_the_one_story_that_was_moved_up_is_the_one_that_moved() -> None:
    before = with_sections(replace(DEEP_DIVES, stories=(CRANE, GAUGE, FERRY)))
    after = with_sections(replace(DEEP_DIVES, stories=(FERRY, CRANE, GAUGE)))
    [change] = difference(before, after)

    assert (change.kind, change.name, change.fields) == (ChangeKind.MOVED, FERRY.title, ())
    assert (change.came_from, change.place) == ("Deep dives, story 3", "Deep dives, story 1")


def test_a_story_that_went_to_another_section_and_changed_on_the_way_says_both() -> None:
    after = with_sections(
        replace(SIGNAL, stories=(replace(GAUGE, source="Tide"),)), replace(DEEP_DIVES, stories=(CRANE,))
    )
    [change] = difference(ISSUE_41, after)

    assert (change.kind, change.came_from) == (ChangeKind.MOVED, "Deep dives, story 2")
    assert [field.label for field in change.fields] == ["Source"]


def test_a_section_takes_its_stories_along_without_a_word_about_them() -> None:
    assert told(ISSUE_41, with_sections(DEEP_DIVES, SIGNAL)) == [("moved", "section", "Deep dives")]


def test_a_renamed_section_is_known_by_its_stories_or_by_its_words() -> None:
    new = with_sections(replace(SIGNAL, title="Signal of the day"), replace(DEEP_DIVES, title="From the quay"))

    assert told(ISSUE_41, new) == [("changed", "section", "Signal of the day"), ("changed", "section", "From the quay")]


def test_a_new_block_is_told_by_its_kind_and_counted_as_a_block() -> None:
    quote = SectionContent(kind=SectionKind.QUOTE, body="Ports are quiet.", source="Ada")
    changes = difference(ISSUE_41, with_sections(SIGNAL, quote, DEEP_DIVES))

    assert [(change.kind, change.what, change.name) for change in changes] == [(ChangeKind.ADDED, "quote", "Quote")]
    assert [field.label for field in changes[0].fields] == ["Source", "Text"]
    assert summary_of(changes) == "1 block added"


def test_what_stands_above_the_sections_is_compared_field_by_field() -> None:
    new = replace(ISSUE_41, subject="A crane that waits", categories=("News",))
    [change] = difference(ISSUE_41, new)

    assert (change.what, [field.label for field in change.fields]) == ("envelope", ["Subject", "Categories"])
    assert summary_of((change,)) == "envelope changed"


def test_long_runs_of_the_same_words_are_left_out_in_the_middle() -> None:
    long = "word " * 100
    spans = shortened(word_spans(f"old {long}", f"new {long}"))

    assert [span.kind for span in spans] == [SpanKind.REMOVED, SpanKind.ADDED, SpanKind.SAME, SpanKind.LEFT_OUT]
    assert sum(len(span.text) for span in spans) < 100


def test_a_very_long_text_is_compared_within_a_blink() -> None:
    long = "word, " * 5_000

    assert word_spans(f"{long}a", f"{long}b")[0] == Span(SpanKind.REMOVED, f"{long}a")


def test_words_that_repeat_and_repeat_are_compared_within_a_blink() -> None:
    old, new = "a " * 2_900, "b a " * 1_450
    assert word_spans(old, new) == (Span(SpanKind.REMOVED, old), Span(SpanKind.ADDED, new))


texts = st.lists(st.sampled_from(["one ", "two ", "three", ". ", "\n", "“", "naïve", "  "]), max_size=30).map("".join)


@given(texts, texts)
def test_the_spans_hold_every_word_of_both_texts_in_order(old: str, new: str) -> None:
    spans = word_spans(old, new)

    assert "".join(span.text for span in spans if span.kind != SpanKind.ADDED) == old
    assert "".join(span.text for span in spans if span.kind != SpanKind.REMOVED) == new


@settings(deadline=None, max_examples=40)
@given(issues, issues)
def test_whatever_two_issues_hold_their_difference_is_empty_only_if_they_are_equal(
    old: IssueContent, new: IssueContent
) -> None:
    assert bool(difference(old, new)) is (old != new)


@settings(deadline=None, max_examples=40)
@given(issues)
def test_sections_in_another_order_have_moved_and_nothing_else(content: IssueContent) -> None:
    turned = replace(content, sections=tuple(reversed(content.sections)))

    assert {change.kind for change in difference(content, turned)} <= {ChangeKind.MOVED, ChangeKind.CHANGED}
