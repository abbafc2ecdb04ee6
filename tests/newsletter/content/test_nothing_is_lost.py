"""Every word and link that people write is in both parts of a mail and in the exported file, or a note names it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.html_markdown import html_as_markdown
from newsletter.content.issue_file import read_issue_file, write_issue_file
from newsletter.content.markdown import markdown_to_html, markdown_to_text
from newsletter.rendering.context import view_issue

HEAD = "---\ntitle: T\nslug: t\ndate: 2026-03-31\n---\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some Markdown with places for words, `{0}`, and for addresses, `<0>`; `tail` comes last in the file."""

    text: str
    tail: str = ""


INLINE = (
    Piece("{0} {1}"),
    Piece("*{0}* **{1}** ~~{2}~~ `{3}`"),
    Piece("[{0}](<0>)"),
    Piece("[{0}][l0]", "[l0]: <0>"),
    Piece("{0}[^f0]", "[^f0]: {1} [{2}](<0>)"),
    Piece('<a href="<0>">{0} <b>{1}</b></a>'),
    Piece("H<sub>{0}</sub> <br> <span>{1}</span> <T> {2}"),
    Piece("![{0}](<0>) {1}"),
    Piece("<0> {0}"),
    Piece("{0} [x] [{1}] {2}"),
)
BLOCKS = (
    "%",
    "- %\n- [x] %\n  1. %",
    "> %\n> %",
    "| % | {0} |\n|---|---|\n| {1} | % |",
    "#### %",
    "### {0} %",
    "### [{0}](<0>) {1} [{2}](<0>)\n%",
    "### [{0}](<0>) by {1}\n%",
    "<div>\n<p>{0}</p><ul><li>{1} <i>{2}</i></li></ul>\n</div>",
    "![{0}](<0>)",
    "%\n% <!-- hidden words --> %",
    "<!--\n## hidden\n\nhidden words\n-->",
    "### [{0} **{1}**](<0>) · {2}\n%",
    "### [{0}][l1] · {1}\n%",
    "## {0} *{1}* [{2}](<0>)\n%",
    "```\n{0} # <!-- {1} -->\n```",
)
TAILS = {"l1": "[l1]: <0>"}


class _Numbers:
    """Words and addresses that appear once each."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.links: list[str] = []
        self.tails: list[str] = []
        self.labels = 0

    def fill(self, text: str) -> str:
        """`text` with new words, addresses and labels."""
        text = re.sub(r"\{\d\}", lambda _: self._new(self.words, "w{}q"), text)
        return re.sub(r"<\d>", lambda _: self._new(self.links, "https://l{}q.example"), text)

    def _new(self, made: list[str], form: str) -> str:
        made.append(form.format(len(made)))
        return made[-1]

    def inline(self, piece: Piece) -> str:
        """One piece; its definition is kept for the end of the file."""
        self.labels += 1
        text, tail = (re.sub(r"\b([lf])0\b", rf"\g<1>{self.labels + 10}", part) for part in (piece.text, piece.tail))
        if tail:
            self.tails.append(self.fill(tail))
        return self.fill(text)

    def block(self, form: str, pieces: Iterator[Piece]) -> str:
        """A block with a piece at each `%`."""
        if "[l1]" in form:
            self.labels += 1
            form = form.replace("l1", f"l{self.labels + 10}")
            self.tails.append(self.fill(f"[l{self.labels + 10}]: <0>"))
        return re.sub("%", lambda _: self.inline(next(pieces)), self.fill(form))


@st.composite
def files(draw: st.DrawFn) -> tuple[str, _Numbers]:
    """The text of a file, and its words and links."""
    numbers = _Numbers()
    forms = draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6))
    pieces = iter(lambda: draw(st.sampled_from(INLINE)), None)
    blocks = [numbers.block(form, pieces) for form in forms]
    heading = draw(st.sampled_from([["## First"], ["A lead."]]))
    return "\n\n".join([*heading, *blocks, *numbers.tails]), numbers


def words_of(text: str) -> str:
    return unicodedata.normalize("NFKC", html.unescape(re.sub(r"<[^>]*>", "", text)))


@settings(deadline=None)
@given(files())
def test_words_and_links_of_a_file_are_in_both_parts_and_in_the_exported_file_or_noted(
    given_file: tuple[str, _Numbers],
) -> None:
    body, numbers = given_file
    reading = read_issue_file(HEAD + body)
    notes = "\n".join(note.sentence for note in reading.notes)
    view = view_issue(reading.content)
    page, text = [], []
    for section in view.sections:
        page += [section.title, section.html, section.url, section.image, section.alt]
        text += [section.title, section.text, section.url, section.image, section.alt]
        for story in section.stories:
            page += [story.title, story.url, story.source, story.html]
            text += [story.title, story.url, story.source, story.text]
    exported = write_issue_file(reading.content)

    for word in numbers.words:
        assert word in words_of("\n".join(page)), word
        assert word in unicodedata.normalize("NFKC", "\n".join(text)), word
        assert word in exported
    for link in numbers.links:
        assert (link in "\n".join(page) and link in "\n".join(text)) or link in notes, link
        assert link in exported or link in notes
    assert "hidden" not in words_of("\n".join(page)) + "\n".join(text)
    assert read_issue_file(exported).content == reading.content


INLINE_HTML = st.recursive(
    st.just("%"),
    lambda inner: st.one_of(
        st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["b", "i", "del", "code", "sub", "span", "u"]), inner),
        st.builds('<a href="@">{}</a>'.format, inner.filter(lambda text: "<a" not in text)),
        st.builds("{}{}{}".format, inner, st.sampled_from(["", " ", "<br>", "：", "++"]), inner),
    ),
    max_leaves=4,
)
BLOCK_HTML = st.recursive(
    INLINE_HTML.map("<p>{}</p>".format),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: f"<ul><li>{'</li><li>'.join(items)}</li></ul>"),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: f"<ol><li>{'</li><li>'.join(items)}</li></ol>"),
        inner.map("<blockquote>{}</blockquote>".format),
        st.lists(INLINE_HTML, min_size=2, max_size=3).map(
            lambda cells: (
                f"<table><tr><th>{'</th><th>'.join(cells)}</th></tr><tr><td>{'</td><td>'.join(cells)}</td></tr></table>"
            )
        ),
        INLINE_HTML.map("<h2>{}</h2>".format),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(BLOCK_HTML)
def test_words_and_links_of_html_are_in_the_markdown_and_in_what_it_shows(form: str) -> None:
    numbers = _Numbers()
    typed = re.sub("%", lambda _: numbers.fill("{0}"), form)
    typed = re.sub("@", lambda _: numbers.fill("<0>"), typed)
    converted = html_as_markdown(typed)

    page, text = markdown_to_html(converted.markdown), markdown_to_text(converted.markdown)
    for word in numbers.words:
        assert word in words_of(page)
        assert word in unicodedata.normalize("NFKC", text)
    lost = sum(f'href="{link}"' not in page for link in numbers.links)
    assert lost <= converted.dropped["link"]
    assert "**" not in words_of(page)
