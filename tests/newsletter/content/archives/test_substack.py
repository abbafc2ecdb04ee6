"""Substack's ZIP: posts, their elements, paywalls, and texts that are missing."""

from __future__ import annotations

import csv
import html
import io
import json
from typing import Any

import pytest

from newsletter.content.archives.item import ArchiveItem, UnreadItem, Visibility
from tests.newsletter.content.archives.exports import everything_in, notes_of, the_failure, the_issue, written

COLUMNS = (
    *("post_id", "post_date", "is_published", "email_sent_at", "inbox_sent_at", "type", "audience", "title"),
    *("subtitle", "podcast_url"),
)
POST = {
    "post_id": "4711.tide-log",
    "post_date": "2024-03-01T10:00:00.000Z",
    "is_published": "true",
    "type": "newsletter",
    "audience": "everyone",
    "title": "Tide log",
    "subtitle": "The &#x201C;high&#x201D; water &amp; more",
}


def export(*posts: dict[str, str], pages: dict[str, str]) -> dict[str, str | bytes]:
    made = io.StringIO()
    table = csv.DictWriter(made, COLUMNS)
    table.writeheader()
    table.writerows({**POST, **post} for post in posts)
    return {"posts.csv": made.getvalue(), **{f"posts/{name}.html": page for name, page in pages.items()}}


def with_html(page: str, **changes: Any) -> ArchiveItem:
    options = {key: changes.pop(key) for key in ("site_url", "free_part_only") if key in changes}
    return the_issue(export(changes, pages={"4711.tide-log": page}), "substack", **options)


def attributes(value: dict[str, Any], times: int = 1) -> str:
    text = json.dumps(value)
    for _ in range(times - 1):
        text = json.dumps(text)
    return html.escape(text, quote=True)


def test_a_post_has_its_facts() -> None:
    item = with_html("<p>Words</p>")
    assert (item.key, item.place) == ("4711.tide-log", "posts.csv, row 2")
    assert item.content.preheader == "The “high” water & more"
    assert item.content.slug == "tide-log"
    assert item.old_paths == ("/p/tide-log", "/p/tide-log/comments")
    assert str(item.published_at) == "2024-03-01 10:00:00+00:00"
    assert item.visibility == Visibility.PUBLIC


@pytest.mark.parametrize(
    ("changes", "visibility"),
    [
        ({"is_published": "TRUE"}, Visibility.PUBLIC),
        ({"is_published": "false"}, Visibility.DRAFT),
        ({"is_published": ""}, Visibility.DRAFT),
        ({"audience": "only_paid"}, Visibility.PRIVATE),
        ({"audience": "only_free"}, Visibility.PRIVATE),
        ({"audience": "founding"}, Visibility.PRIVATE),
        ({"audience": "something new"}, Visibility.PRIVATE),
    ],
)
def test_only_posts_for_everyone_are_public(changes: dict[str, str], visibility: Visibility) -> None:
    assert with_html("<p>Words</p>", **changes).visibility == visibility


def test_a_missing_text_is_a_failure_with_its_row() -> None:
    item = the_failure(export({}, pages={}))
    assert item.is_failure
    assert item.place == "posts.csv, row 2"
    assert "posts/4711.tide-log.html is missing" in item.sentence


def test_pages_are_named_and_lists_of_subscribers_are_not_read() -> None:
    files = export({"type": "page"}, pages={"4711.tide-log": "<p>About</p>"})
    files["posts/4711.delivers.csv"] = b"\xff\xfe not even text"
    (item,) = everything_in(files)
    assert isinstance(item, UnreadItem)
    assert not item.is_failure


def test_a_text_that_is_not_in_the_list_is_named() -> None:
    found = everything_in(export({}, pages={"4711.tide-log": "<p>A</p>", "4712.other": "<p>B</p>"}))
    assert isinstance(found[1], UnreadItem)
    assert found[1].place == "posts/4712.other.html"


def test_an_id_without_the_slug_finds_its_text() -> None:
    item = the_issue(export({"post_id": "4711"}, pages={"4711.tide-log": "<p>A</p>"}))
    assert (item.key, item.content.slug) == ("4711", "tide-log")


ORIGINAL = "https://substack-post-media.s3.amazonaws.com/public/images/quay.png"
CDN = "https://substackcdn.com/image/fetch/$s_!a!,w_1456,c_limit,f_auto/https%3A%2F%2Fsubstack-post-media.s3.amazonaws.com%2Fpublic%2Fimages%2Fquay.png"


def test_a_captioned_picture_is_one_picture_at_its_own_address() -> None:
    item = with_html(
        f'<div class="captioned-image-container"><figure><a class="image-link image2" href="{CDN}"><div '
        f'class="image2-inset">'
        f'<picture><source srcset="{CDN} 424w"><img src="{CDN}" width="2" height="1" alt="The quay"></picture>'
        '<div class="image-link-expand"><button><svg></svg></button></div></div></a>'
        "<figcaption>At <strong>low</strong> water</figcaption></figure></div><p>After.</p>"
    )
    assert written(item.content) == f"## {{image}}\n![The quay]({ORIGINAL})\nAt **low** water\n\n## {{text}}\nAfter."


def test_a_picture_that_links_to_another_page_keeps_the_link() -> None:
    item = with_html(
        f'<figure><a class="image-link image2" href="https://quay.example/"><img src="{CDN}" alt="The quay">'
        f"</a></figure>"
    )
    assert item.content.sections[0].url == "https://quay.example/"


def test_older_pictures_and_galleries_are_read_from_their_data() -> None:
    old = "https://bucketeer-1a2b.s3.amazonaws.com/public/images/old.png"
    gallery = {
        "gallery": {"images": [{"src": CDN}, {"src": "https://p.example/2.png"}], "caption": "Both", "alt": "Two quays"}
    }
    item = with_html(
        f'<div class="image3" data-attrs="{attributes({"src": old, "alt": "Old quay"})}"></div>'
        f'<div class="image-gallery-embed" data-attrs="{attributes(gallery)}"></div>'
    )
    assert written(item.content) == (
        "## {image}\n![Old quay](https://substack-post-media.s3.amazonaws.com/public/images/old.png)\n\n"
        f"## {{image}}\n![Two quays]({ORIGINAL})\n\n## {{image}}\n![Two quays](https://p.example/2.png)\n\n## "
        f"{{text}}\nBoth"
    )


def test_buttons_of_substack_are_dropped_and_others_stay() -> None:
    def button(url: str, words: str) -> str:
        data = attributes({"url": url, "text": words})
        anchor = f'<a class="button primary" href="{url}"><span>{words}</span></a>'
        return f'<p class="button-wrapper" data-attrs="{data}">{anchor}</p>'

    item = with_html(
        "<p>Words</p>"
        + button("https://harbour.substack.com/p/x?utm_source=substack&action=share", "Share")
        + button("https://harbour.substack.com/subscribe?gift=true", "Give")
        + button("https://log.example/p/tide-log/comments", "Leave a comment")
        + button("%%checkout_url%%", "Upgrade")
        + button("https://shop.example/", "Buy a map")
        + '<div class="subscription-widget-wrap"><form><input value="x"></form><p>Join 500 others</p></div>'
    )
    assert written(item.content) == "## {text}\nWords\n\n[Buy a map](https://shop.example/)"
    for words in ("Share", "Give", "Leave a comment", "Upgrade", "Join 500 others"):
        assert words in notes_of(item)


def test_footnotes_become_footnotes() -> None:
    item = with_html(
        '<h2>One</h2><p>High<a class="footnote-anchor" id="footnote-anchor-1" href="#footnote-1">1</a> water</p>'
        '<h2>Two</h2><p>Low<a class="footnote-anchor" id="footnote-anchor-2" href="#footnote-2">2</a></p>'
        '<div class="footnote"><a id="footnote-1" href="#footnote-anchor-1" class="footnote-number">1</a>'
        '<div class="footnote-content"><p>Since <em>June</em>.</p><p>And <a href="https://a.example/">here</a>.</p></div></div>'
        '<div class="footnote" id="footnote-2"><a href="#footnote-anchor-2">2</a><div '
        'class="footnote-content"><p>Until May.</p></div></div>'
    )
    assert written(item.content) == (
        "## One\nHigh[^1] water\n\n[^1]: Since *June*. And [here](https://a.example/).\n\n## Two\nLow[^2]\n"
        "\n[^2]: Until May."
    )


@pytest.mark.parametrize("times", [1, 2])
def test_a_card_of_another_post_is_a_link_even_if_its_data_is_encoded_twice(times: int) -> None:
    data = attributes(
        {"canonical_url": "https://other.example/p/x?r=1ab", "title": "The crane", "caption": "About it"}, times
    )
    item = with_html(f'<div class="embedded-post-wrap" data-attrs="{data}"></div>')
    assert written(item.content) == "## {text}\n[The crane](https://other.example/p/x)\n\nAbout it"


def test_embeds_become_links() -> None:
    tweet = attributes({"url": "https://twitter.com/quay/status/1", "full_text": "The tide is in", "name": "Quay"})
    film = attributes({"videoId": "abc123"})
    item = with_html(
        f'<div class="tweet" data-attrs="{tweet}"></div><div class="youtube-wrap" data-attrs="{film}"><iframe src="https://www.youtube-nocookie.com/embed/abc123"></iframe></div>'
        f'<div class="latex-rendered" data-attrs="{attributes({"persistentExpression": "a_1"})}"></div>'
        f'<p>By <span class="mention-wrap" data-attrs="{attributes({"name": "Ada Quay"})}"></span></p>'
    )
    assert written(item.content) == (
        "## {text}\n> The tide is in\n\n[Quay](https://twitter.com/quay/status/1)\n\n"
        "[youtube.com](https://www.youtube.com/watch?v=abc123)\n\n```\na_1\n```\n\nBy Ada Quay"
    )


PAID = '<p>Free.</p><div class="paywall-jump"></div><p>Paid one.</p><div><p>Paid two.</p></div>'


def test_what_is_below_a_paywall_is_not_public() -> None:
    item = with_html(PAID, audience="only_paid")
    assert item.visibility == Visibility.PRIVATE
    assert "Paid two." in written(item.content)


def test_a_paid_post_can_be_cut_at_its_paywall_and_be_public() -> None:
    item = with_html(PAID, audience="only_paid", free_part_only=True)
    assert item.visibility == Visibility.PUBLIC
    assert written(item.content) == "## {text}\nFree."
    assert "Paid" not in notes_of(item)


def test_relative_links_lead_to_the_old_site() -> None:
    item = with_html('<p><a href="/p/other">x</a></p>', site_url="https://log.example")
    assert written(item.content) == "## {text}\n[x](https://log.example/p/other)"


def test_an_empty_title_becomes_the_first_words() -> None:
    item = with_html("<p>The tide is in.</p>", title="")
    assert item.content.title == "The tide is in."
    assert "had no title" in notes_of(item)


def test_a_post_without_title_and_text_is_a_failure() -> None:
    assert the_failure(export({"title": ""}, pages={"4711.tide-log": "<p></p>"})).is_failure
