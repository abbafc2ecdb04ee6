"""Differences between two versions of an issue: matched parts, kinds of changes, and words."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.difference import DETAILS, STORY, ChangeKind, difference, summary_of
from newsletter.content.document import IssueContent, SectionContent, SectionKind
from newsletter.content.spans import Span, SpanKind, shortened, word_spans
from tests.newsletter.content.harbour_notes import CRANE, GAUGE, ISSUE_41
from tests.newsletter.content.issues import issues

SIGNAL, DEEP_DIVES = ISSUE_41.sections
FERRY = replace(CRANE, title="A ferry that waits", url="https://ferry.example/waits", body="It waits for the last bus.")


def with_sections(*sections: SectionContent) -> IssueContent:
    return replace(ISSUE_41, sections=sections)


def overview(old: IssueContent, new: IssueContent) -> list[tuple[str, str, str]]:
    """Kind, part and name of each change."""
    return [(change.kind.value, change.what, change.name) for change in difference(old, new)]


def marked(old: str, new: str) -> str:
    marks = {SpanKind.SAME: "{}", SpanKind.ADDED: "+{}+", SpanKind.REMOVED: "-{}-", SpanKind.LEFT_OUT: "{}"}
    return "".join(marks[span.kind].format(span.text) for span in word_spans(old, new))


def test_equal_issues_have_no_differences() -> None:
    assert difference(ISSUE_41, ISSUE_41) == ()
    assert summary_of(()) == "No changes"


def test_a_new_word_is_shown_among_unchanged_ones() -> None:
    assert marked("It stands still in gusts now.", "It stands quite still in gusts.") == (
        "It stands +quite +still in -gusts now-+gusts+."
    )


def test_a_rewritten_text_is_shown_as_removed_and_added() -> None:
    assert (
        marked("One thing only.", "Nobody saw the other coming.") == "-One thing only.-+Nobody saw the other coming.+"
    )


def test_a_rewritten_story_is_matched_by_its_link() -> None:
    other = replace(CRANE, title="Wait, crane!", body="Everything is different here.")
    [change] = difference(ISSUE_41, with_sections(SIGNAL, replace(DEEP_DIVES, stories=(other, GAUGE))))

    assert (change.kind, change.what, change.place) == (ChangeKind.CHANGED, STORY, "Deep dives, story 1")
    assert [field.label for field in change.fields] == ["Title", "Text"]


def test_a_story_with_another_link_is_matched_by_its_title_or_its_words() -> None:
    moved_page = replace(CRANE, url="https://gazette.example/crane-2")
    new_words = replace(GAUGE, title="Two tides, one gauge", url="")
    changes = difference(ISSUE_41, with_sections(SIGNAL, replace(DEEP_DIVES, stories=(moved_page, new_words))))

    assert [[field.label for field in change.fields] for change in changes] == [["Link"], ["Title", "Link"]]


def test_added_and_removed_stories_are_listed() -> None:
    new = with_sections(SIGNAL, replace(DEEP_DIVES, stories=(GAUGE, FERRY)))

    assert overview(ISSUE_41, new) == [("added", "story", FERRY.title), ("removed", "story", CRANE.title)]
    assert summary_of(difference(ISSUE_41, new)) == "1 story added, 1 story removed"


def test_only_the_story_that_was_moved_up_has_moved() -> None:
    before = with_sections(replace(DEEP_DIVES, stories=(CRANE, GAUGE, FERRY)))
    after = with_sections(replace(DEEP_DIVES, stories=(FERRY, CRANE, GAUGE)))
    [change] = difference(before, after)

    assert (change.kind, change.name, change.fields) == (ChangeKind.MOVED, FERRY.title, ())
    assert (change.came_from, change.place) == ("Deep dives, story 3", "Deep dives, story 1")


def test_a_story_can_move_to_another_section_and_change() -> None:
    after = with_sections(
        replace(SIGNAL, stories=(replace(GAUGE, source="Tide"),)), replace(DEEP_DIVES, stories=(CRANE,))
    )
    [change] = difference(ISSUE_41, after)

    assert (change.kind, change.came_from) == (ChangeKind.MOVED, "Deep dives, story 2")
    assert [field.label for field in change.fields] == ["Source"]


def test_stories_of_a_moved_section_have_not_moved() -> None:
    assert overview(ISSUE_41, with_sections(DEEP_DIVES, SIGNAL)) == [("moved", "section", "Deep dives")]


def test_a_renamed_section_is_matched_by_its_stories_or_its_words() -> None:
    new = with_sections(replace(SIGNAL, title="Signal of the day"), replace(DEEP_DIVES, title="From the quay"))

    assert overview(ISSUE_41, new) == [
        ("changed", "section", "Signal of the day"),
        ("changed", "section", "From the quay"),
    ]


def test_a_new_block_is_named_by_its_kind_and_counted_as_a_block() -> None:
    quote = SectionContent(kind=SectionKind.QUOTE, body="Ports are quiet.", source="Ada")
    changes = difference(ISSUE_41, with_sections(SIGNAL, quote, DEEP_DIVES))

    assert [(change.kind, change.what, change.label) for change in changes] == [(ChangeKind.ADDED, "quote", "Quote")]
    assert [field.label for field in changes[0].fields] == ["Source", "Text"]
    assert summary_of(changes) == "1 block added"


def test_details_are_compared_field_by_field() -> None:
    new = replace(ISSUE_41, subject="A crane that waits", categories=("News",))
    [change] = difference(ISSUE_41, new)

    assert (change.what, [field.label for field in change.fields]) == (DETAILS, ["Subject", "Categories"])
    assert summary_of((change,)) == "details changed"


def test_the_middle_of_long_unchanged_runs_is_left_out() -> None:
    long = "word " * 100
    spans = shortened(word_spans(f"old {long}", f"new {long}"))

    assert [span.kind for span in spans] == [SpanKind.REMOVED, SpanKind.ADDED, SpanKind.SAME, SpanKind.LEFT_OUT]
    assert sum(len(span.text) for span in spans) < 100


def test_a_very_long_text_is_not_compared_word_by_word() -> None:
    long = "word, " * 5_000

    assert word_spans(f"{long}a", f"{long}b")[0] == Span(SpanKind.REMOVED, f"{long}a")


def test_a_text_with_many_repeated_words_is_not_compared_word_by_word() -> None:
    old, new = "a " * 2_900, "b a " * 1_450
    assert word_spans(old, new) == (Span(SpanKind.REMOVED, old), Span(SpanKind.ADDED, new))


texts = st.lists(st.sampled_from(["one ", "two ", "three", ". ", "\n", "“", "naïve", "  "]), max_size=30).map("".join)


@given(texts, texts)
def test_the_spans_contain_every_word_of_both_texts_in_order(old: str, new: str) -> None:
    spans = word_spans(old, new)

    assert "".join(span.text for span in spans if span.kind != SpanKind.ADDED) == old
    assert "".join(span.text for span in spans if span.kind != SpanKind.REMOVED) == new


@settings(deadline=None, max_examples=40)
@given(issues, issues)
def test_a_difference_is_empty_only_for_equal_issues(old: IssueContent, new: IssueContent) -> None:
    assert bool(difference(old, new)) is (old != new)


@settings(deadline=None, max_examples=40)
@given(issues)
def test_reversed_sections_have_only_moved_or_changed(content: IssueContent) -> None:
    turned = replace(content, sections=tuple(reversed(content.sections)))

    assert {change.kind for change in difference(content, turned)} <= {ChangeKind.MOVED, ChangeKind.CHANGED}
