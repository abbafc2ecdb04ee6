"""Every word and link of a text of another tool is in the issue, or a note names it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.archives.item import ArchiveItem
from newsletter.content.archives.sections import sections_of
from tests.newsletter.content.archives.exports import as_json, notes_of, the_issue, written

#: Stand in a text for words and addresses that appear once each.
WORD, LINK = "§", "¤"

INLINE = (
    "§ §",
    "<b>§</b> <em>§<strong>§</strong></em> <code>§</code>",
    '<a href="¤">§ <i>§</i></a>',
    '<a href="¤"><img src="¤" alt="§"></a>',
    '§ <img src="¤" alt="§"> §',
    "§<br>§",
    '<a href="¤"></a> §',
    "{§} *§* _§_ [§] &lt;§&gt; # §",
    '<span style="font-weight:bold">§</span><sup>§</sup>',
)
BLOCKS = (
    "<p>%</p>",
    "<h1>%</h1>",
    "<h2>%</h2>",
    '<h3><a href="¤">§ <b>§</b></a></h3>',
    '<h3><a href="¤">§</a> · §</h3>',
    "<h3>%</h3>",
    "<h5>%</h5>",
    "<ul><li>%<ul><li>%</li></ul></li><li><p>%</p><p>%</p></li></ul>",
    "<blockquote><p>%</p>%</blockquote>",
    "<table><tr><th>§</th><th>§</th></tr><tr><td>%</td><td>%</td></tr></table>",
    '<table role="presentation"><tr><td>%</td><td><table><tr><td>%</td></tr></table></td></tr></table>',
    "<pre><code>§ {x} ¤\n\n## §</code></pre>",
    '<figure><img src="¤" alt="§"><figcaption>%</figcaption></figure>',
    '<figure><a href="¤"><img src="¤"></a></figure>',
    '<iframe src="¤" title="§"></iframe>',
    "<p>**[§](¤)**</p><p>&lt;!-- § --&gt;</p>",
    "<p>%<script>no()</script></p><!-- a comment --><hr>",
    "<details><summary>§</summary>%</details>",
    "<div>%<div><div>%</div></div></div>",
    '<div style="display:none">§ <a href="¤">§</a></div>',
    '<p>§ <a href="https://quay.us2.list-manage.com/unsubscribe?u=1&id=2">§</a></p>',
)


def data(value: dict[str, Any]) -> str:
    return html.escape(json.dumps(value), quote=True)


SUBSTACK = (
    f'<div class="embedded-post-wrap" data-attrs="{data({"canonical_url": "¤", "title": "§", "caption": "§"})}"></div>',
    f'<div class="tweet" data-attrs="{data({"url": "¤", "full_text": "§", "name": "§"})}"></div>',
    f'<div class="image-gallery-embed" data-attrs="{data({"gallery": {"images": [{"src": "¤"}], "caption": "§"}})}"></div>',
    '<p class="button-wrapper"><a class="button" href="¤">§</a></p>',
    '<div class="subscription-widget-wrap"><p>§ <a href="¤">§</a></p></div>',
    '<p>§<a class="footnote-anchor" href="#footnote-1">1</a></p>'
    '<div class="footnote" id="footnote-1"><a href="#footnote-anchor-1">1</a><div class="footnote-content"><p>%</p></div></div>',
)
GHOST = (
    '<figure class="kg-card kg-bookmark-card"><a class="kg-bookmark-container" href="¤"><div class="kg-bookmark-title">§'
    '</div><div class="kg-bookmark-description">§</div></a><figcaption>§</figcaption></figure>',
    '<div class="kg-card kg-callout-card"><div class="kg-callout-text">%</div></div>',
    '<div class="kg-toggle-card"><h4 class="kg-toggle-heading-text">§</h4><div class="kg-toggle-content"><p>%</p></div></div>',
    '<div class="kg-card kg-signup-card"><h2>§</h2></div><!--members-only-->',
    '<figure class="kg-gallery-card"><div><img src="¤" alt="§"><img src="¤" alt="§"></div><figcaption>§</figcaption></figure>',
    '<div class="kg-file-card"><a href="¤"><div class="kg-file-card-title">§</div><div class="kg-file-card-caption">§</div></a></div>',
)
MAILCHIMP = (
    '<table class="mcnTextBlock"><tbody><tr><td class="mcnTextContent">%</td></tr></tbody></table>',
    "<p>§ *|FNAME|* *|IF:X|*§*|ELSE:|*§*|END:IF|*</p>",
    '<div id="templateFooter"><p>§ <a href="*|UNSUB|*">§</a> <a href="¤">§</a></p></div>',
)
BEEHIIV = (
    '<table class="rec__content"><tr><td><a href="¤">§</a></td></tr></table>',
    "<p>§ {{first_name|there}}</p>",
)
LISTMONK = ('<p><a href="{{ TrackLink `¤` }}">§</a> <a href="¤@TrackLink">§</a> {{ if .X }}§{{ end }}</p>',)


class Numbered:
    """Words and addresses that appear once each in a text."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.links: list[str] = []

    def fill(self, block: str, inline: list[str]) -> str:
        waiting = iter(inline * 4)
        block = re.sub("%", lambda _: next(waiting), block)
        block = re.sub(WORD, lambda _: self._word(), block)
        return re.sub(LINK, lambda _: self._link(), block)

    def _word(self) -> str:
        self.words.append(f"w{len(self.words)}q")
        return self.words[-1]

    def _link(self) -> str:
        self.links.append(f"https://l{len(self.links)}q.example/")
        return self.links[-1]


def ghost(text: str) -> dict[str, str]:
    post = {"id": "1", "title": "T", "slug": "t", "html": text, "status": "published", "visibility": "public"}
    return {"g.json": as_json({"data": {"posts": [post]}})}


def substack(text: str) -> dict[str, str]:
    return {"posts.csv": "post_id,post_date,is_published,title\n1.t,2024-03-01,true,T\n", "posts/1.t.html": text}


def mailchimp(text: str) -> dict[str, str]:
    return {"t.html": f"<html><head><title>T</title></head><body>{text}<p>*|LIST:COMPANY|*</p></body></html>"}


def beehiiv(text: str) -> dict[str, str]:
    cell = '"' + f'<table><tr><td id="content-blocks">{text}</td></tr></table>'.replace('"', '""') + '"'
    return {"p.csv": f"id,web_title,status,audience,content_html\n1,T,confirmed,free,{cell}\n"}


def listmonk(text: str) -> dict[str, str]:
    return {
        "c.json": as_json([{"uuid": "u", "subject": "T", "content_type": "html", "body": text, "status": "finished"}])
    }


def kit(text: str) -> dict[str, str]:
    return {
        "b.json": as_json([{"id": 1, "subject": "T", "content": text, "public": True, "published_at": "2024-03-01"}])
    }


def feed(text: str) -> dict[str, str]:
    return {
        "f.json": as_json(
            {"version": "https://jsonfeed.org/version/1", "items": [{"id": "1", "title": "T", "content_html": text}]}
        )
    }


TOOLS: Mapping[str, tuple[Callable[[str], dict[str, str]], tuple[str, ...]]] = {
    "ghost": (ghost, GHOST),
    "substack": (substack, SUBSTACK),
    "mailchimp": (mailchimp, MAILCHIMP),
    "beehiiv": (beehiiv, BEEHIIV),
    "listmonk": (listmonk, LISTMONK),
    "kit": (kit, ()),
    "feed": (feed, ()),
}
numbers = st.integers(0, 1_000)


def lost(item: ArchiveItem, made: Numbered) -> list[str]:
    kept = f"{written(item.content)}\n{notes_of(item)}\n{item.content.preheader}"
    words = set(re.findall(r"w\d+q", kept))
    links = set(re.findall(r"l\d+q", kept))
    return [word for word in made.words if word not in words] + [
        url for url in made.links if re.findall(r"l\d+q", url)[0] not in links
    ]


@pytest.mark.parametrize("tool", TOOLS)
@given(chosen=st.lists(st.tuples(numbers, st.lists(numbers, min_size=1, max_size=3)), min_size=1, max_size=5))
def test_words_and_links_of_html_are_in_the_issue_or_in_a_note(tool: str, chosen: list[tuple[int, list[int]]]) -> None:
    files, own = TOOLS[tool]
    blocks, made = (*BLOCKS, *own), Numbered()
    text = "\n".join(
        made.fill(blocks[block % len(blocks)], [INLINE[one % len(INLINE)] for one in inline])
        for block, inline in chosen
    )
    made_of = files(text)
    assert lost(the_issue(made_of, tool), made) == []


MARKDOWN = (
    "§ *§* [§](¤)",
    "# §",
    "## § [§](¤)",
    "### [§](¤) · §",
    "### [§][a] §",
    "### § {quote}",
    "§\n---",
    "§\n===",
    "- §\n\n  ## §\n- [ ] §",
    "> §\n> §",
    "![§](¤)",
    "![§](¤)\n§",
    "[![§](¤)](¤)",
    "```\n## § ¤\n```",
    "§[^1] [§][b]",
    "[^1]: §\n    §",
    "[b]: ¤",
    "| § | § |\n|---|---|\n| § | ¤ |",
    "**[§](¤)** · §",
    "<div>\n<p>§</p>\n</div>",
    "§ {{ name }} {{x|y}} <T> \\§",
    "    ## §",
    "\\ §",
)


@given(st.lists(numbers, min_size=1, max_size=8))
def test_words_and_links_of_markdown_are_in_the_issue_or_in_a_note(chosen: list[int]) -> None:
    made = Numbered()
    text = "\n\n".join(made.fill(MARKDOWN[number % len(MARKDOWN)], [""]) for number in chosen)
    files = {"e.json": as_json([{"id": "1", "subject": "T", "slug": "t", "publish_date": "2024-03-01", "body": text}])}
    assert lost(the_issue(files, "buttondown"), made) == []


@given(st.text(st.sampled_from("# \n`~-=>[]()!*_{}<>|^:\\1aé\u2028\ue000\x07"), max_size=60))
def test_any_markdown_becomes_parts_that_can_be_stored(text: str) -> None:
    files = {"e.json": as_json([{"id": "1", "subject": "T", "slug": "t", "publish_date": "2024-03-01", "body": text}])}
    the_issue(files, "buttondown")
    sections_of(text, title="")
