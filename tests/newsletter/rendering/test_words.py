"""The text of a mail beside its content: counts, translations, and words of themes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import orjson
import pytest

from newsletter.config import translatable
from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.rendering import PLAIN, RenderedIssue, Words, render_issue, words_for
from newsletter.rendering.limited_process import ProcessLimits, run_limited
from newsletter.rendering.render import RenderRequest, as_json, render_request
from newsletter.rendering.words import ThemeWords, reading_minutes, with_theme_words
from tests.newsletter.rendering.digests import MASTHEAD, WEB_URL, write_digest
from tests.newsletter.rendering.test_issue import Page, write_issue

GERMAN = {
    "You get this mail because you subscribed to {newsletter}.": "Du erhältst diese Mail, weil du {newsletter} liest.",
    "{count} story": "{count} Beitrag",
    "{count} stories": "{count} Beiträge",
    "{count} min read": "{count} Min. Lesezeit",
    "Unsubscribe": "Abbestellen",
}
OWN_FOOTER = (
    '<mj-section><mj-column><mj-text>{{ words.stories }}, {{ words.minutes }}<a href="{{ unsubscribe_url }}">x</a>'
)
OWN_FOOTER += '<a href="{{ preferences_url }}">y</a></mj-text></mj-column></mj-section>'


@pytest.fixture
def in_german(monkeypatch: pytest.MonkeyPatch) -> None:
    def gettext(message: str) -> str:
        return GERMAN.get(message, message)

    def ngettext(one: str, many: str, count: int) -> str:
        return gettext(one if count == 1 else many)

    monkeypatch.setattr(translatable, "_gettext", gettext)
    monkeypatch.setattr(translatable, "_ngettext", ngettext)


def with_stories(count: int) -> IssueContent:
    stories = tuple(StoryContent(title=f"Story {number}") for number in range(count))
    return write_issue(SectionContent(title="Stories", stories=stories))


def render(content: IssueContent) -> RenderedIssue:
    return render_issue(content, MASTHEAD, web_url=WEB_URL)


@pytest.mark.parametrize(("count", "expected"), [(0, ""), (1, "1 story"), (2, "2 stories")])
def test_the_number_of_stories_has_its_plural_form(count: int, expected: str) -> None:
    assert words_for(with_stories(count)).story_count == expected


def test_the_reading_time_is_at_least_a_minute_and_grows_with_the_text() -> None:
    assert reading_minutes(write_issue()) == 1
    assert words_for(write_digest()).reading_time == f"{reading_minutes(write_digest())} min read"
    assert 8 < reading_minutes(write_digest()) < 14


def test_all_text_beside_the_content_is_translated(in_german: None) -> None:
    rendered = render(with_stories(2))
    for part in (Page(rendered.html).text, rendered.text):
        assert "2 Beiträge · 1 Min. Lesezeit" in part
        assert "Abbestellen" in part
        assert "Unsubscribe" not in part
    assert "weil du The Harbour Digest liest." in " ".join(rendered.text.split())
    assert "The Harbour Digest</a> liest." in rendered.html
    assert "1 Beitrag · " in render(with_stories(1)).text


def test_the_language_is_part_of_the_nonce(request: pytest.FixtureRequest) -> None:
    english = render(with_stories(2)).nonce
    request.getfixturevalue("in_german")
    assert render(with_stories(2)).nonce != english


def test_templates_in_a_child_process_get_the_translated_text(in_german: None) -> None:
    theme = dataclasses.replace(PLAIN, is_shipped=False, sources=(("blocks/footer.mjml", OWN_FOOTER),))
    content = with_stories(2)
    request = RenderRequest(content=content, masthead=MASTHEAD, web_url=WEB_URL, theme=theme, words=words_for(content))
    patient = ProcessLimits(wall=120)  # a busy machine starts a process slowly
    rendered = orjson.loads(run_limited(render_request, as_json(request), limits=patient))
    assert "Beiträge, Min. Lesezeit" in rendered["html"]
    assert "Abbestellen" in rendered["text"]


@pytest.mark.parametrize(
    ("own", "count", "read"),
    [
        (ThemeWords(stories="reads"), 2, lambda words: words.story_count == "2 reads"),
        (ThemeWords(stories="reads"), 1, lambda words: words.story_count == "1 story"),
        (ThemeWords(story="read", stories="reads"), 1, lambda words: words.story_count == "1 read"),
        (ThemeWords(stories="reads"), 0, lambda words: words.story_count == ""),
        (ThemeWords(minutes="minutes"), 2, lambda words: words.reading_time == "1 minutes"),
        (ThemeWords(reason="You read"), 2, lambda words: (words.reason, words.reason_end) == ("You read", ".")),
        (
            ThemeWords(reason="You get {newsletter} by mail."),
            2,
            lambda words: (words.reason, words.reason_end) == ("You get", " by mail."),
        ),
        (ThemeWords(view="Online"), 2, lambda words: (words.view, words.archive) == ("Online", "All issues")),
    ],
)
def test_words_of_a_theme_replace_those_of_the_language(
    own: ThemeWords, count: int, read: Callable[[Words], bool]
) -> None:
    content = with_stories(count)
    assert read(with_theme_words(words_for(content), own, content))


def test_themes_can_write_the_numbers_themselves() -> None:
    words = words_for(with_stories(2))
    assert (words.story, words.stories, words.minutes) == ("story", "stories", "min read")
