"""Ghost's JSON: versions, editors, cards, paywalls, and what is not public."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from newsletter.content.archives.item import ArchiveItem, DateSource, UnreadItem, Visibility
from newsletter.content.document import SectionKind
from tests.newsletter.content.archives.exports import as_json, everything_in, issues_of, notes_of, the_issue, written

POST: dict[str, Any] = {
    "id": "65a0000000000000000000aa",
    "uuid": "11111111-2222-4333-8444-555555555555",
    "title": "Tide log 12",
    "slug": "tide-log-12",
    "html": "<p>The tide is in.</p>",
    "type": "post",
    "status": "published",
    "visibility": "public",
    "published_at": "2025-06-30 15:31:36",
}
AT = datetime.datetime(2025, 6, 30, 15, 31, 36, tzinfo=datetime.UTC)


def export(*posts: dict[str, Any], **tables: Any) -> dict[str, str]:
    data = {"posts": [{**POST, **post} for post in posts], **tables}
    return {"harbour.ghost.2025-07-01.json": as_json({"db": [{"meta": {"version": "6.0.0"}, "data": data}]})}


def with_html(html: str, **changes: Any) -> ArchiveItem:
    return the_issue(export({"html": html, **changes}), "ghost", site_url="https://log.example")


def lexical(*nodes: dict[str, Any]) -> str:
    return json.dumps({"root": {"type": "root", "children": list(nodes)}})


def text(words: str, bits: int = 0) -> dict[str, Any]:
    return {"type": "extended-text", "text": words, "format": bits}


def test_a_post_has_its_facts() -> None:
    tables = {
        "posts_meta": [{"post_id": POST["id"], "email_subject": "High water", "og_title": "Seen", "email_only": 0}],
        "tags": [{"id": "t1", "name": "News"}, {"id": "t2", "name": "#internal"}, {"id": "t3", "name": "Harbour"}],
        "posts_tags": [
            {"post_id": POST["id"], "tag_id": "t1", "sort_order": 1},
            {"post_id": POST["id"], "tag_id": "t2", "sort_order": 2},
            {"post_id": POST["id"], "tag_id": "t3", "sort_order": 0},
        ],
        "users": [{"id": "u1", "name": "Ada Quay"}],
        "posts_authors": [{"post_id": POST["id"], "author_id": "u1"}],
    }
    item = the_issue(export({"custom_excerpt": "Short", "locale": "de", "featured_by": "x"}, **tables), "ghost")
    assert item.key == POST["id"]
    assert item.published_at == AT
    assert item.date_source == DateSource.COLUMN
    assert item.old_paths == ("/tide-log-12/", f"/p/{POST['uuid']}/")
    assert (item.content.title, item.content.subject, item.content.slug) == ("Tide log 12", "High water", "tide-log-12")
    assert (item.content.preheader, item.content.categories, item.language) == ("Short", ("Harbour", "News"), "de")
    assert item.content.date == datetime.date(2025, 6, 30)
    assert item.unknown == {"og_title": "Seen", "authors": ["Ada Quay"], "featured_by": "x"}
    assert written(item.content) == "## {text}\nThe tide is in."


@pytest.mark.parametrize(
    "date", ["2025-06-30 15:31:36", "2025-06-30T15:31:36.000Z", 1751297496000, "2025-06-30T17:31:36+02:00"]
)
def test_all_forms_of_dates_are_read(date: object) -> None:
    assert the_issue(export({"published_at": date})).published_at == AT


@pytest.mark.parametrize(
    "wrap", [lambda data: {"db": [{"data": data}]}, lambda data: {"data": data}, lambda data: {"db": {"data": data}}]
)
def test_the_wrapper_may_be_missing(wrap: Any) -> None:
    assert the_issue({"ghost.json": as_json(wrap({"posts": [POST]}))}, "ghost").content.title == "Tide log 12"


@pytest.mark.parametrize(
    ("changes", "visibility"),
    [
        ({}, Visibility.PUBLIC),
        ({"status": "draft", "published_at": None}, Visibility.DRAFT),
        ({"status": "scheduled"}, Visibility.DRAFT),
        ({"status": "sent"}, Visibility.MAIL_ONLY),
        ({"visibility": "members"}, Visibility.PRIVATE),
        ({"visibility": "paid"}, Visibility.PRIVATE),
        ({"visibility": "tiers"}, Visibility.PRIVATE),
        ({"visibility": "something new"}, Visibility.PRIVATE),
    ],
)
def test_only_public_posts_are_public(changes: dict[str, Any], visibility: Visibility) -> None:
    assert the_issue(export(changes)).visibility == visibility


def test_a_post_that_was_only_mailed_has_no_page_to_redirect() -> None:
    item = the_issue(export({}, posts_meta=[{"post_id": POST["id"], "email_only": 1}]))
    assert item.visibility == Visibility.MAIL_ONLY
    assert item.old_paths == (f"/p/{POST['uuid']}/",)


@pytest.mark.parametrize("changes", [{"type": "page"}, {"type": None, "page": 1}])
def test_pages_are_named_and_no_issues(changes: dict[str, Any]) -> None:
    (item,) = everything_in(export(changes))
    assert isinstance(item, UnreadItem)
    assert not item.is_failure
    assert "“Tide log 12” is a page" in item.sentence


def test_headings_divide_a_post_into_sections_and_stories() -> None:
    item = with_html(
        "<h1>Tide log 12</h1><p>Hello.</p><h2>News</h2><p>Lead.</p>"
        '<h3><a href="https://quay.example/a">The <em>crane</em> is back</a></h3><p>After two years.</p>'
        "<h3>Without a link</h3><p>Text.</p><h2>More {quote}</h2><p>End.</p>"
    )
    assert written(item.content) == (
        "## {text}\nHello.\n\n## News\nLead.\n\n### [The crane is back](https://quay.example/a)\nAfter two years.\n\n"
        "#### Without a link\n\nText.\n\n## More \\{quote}\nEnd."
    )


def test_the_address_of_the_site_is_put_in_and_sizes_of_pictures_are_undone() -> None:
    item = with_html(
        '<p><a href="__GHOST_URL__/other/">other</a></p>'
        '<figure class="kg-card kg-image-card kg-card-hascaption">'
        '<a href="__GHOST_URL__/content/images/2024/01/quay.jpg">'
        '<img src="__GHOST_URL__/content/images/size/w600/2024/01/quay.jpg" alt="The quay" class="kg-image"></a>'
        "<figcaption>Seen from <em>above</em></figcaption></figure>"
    )
    assert written(item.content) == (
        "## {text}\n[other](https://log.example/other/)\n\n"
        "## {image}\n![The quay](https://log.example/content/images/2024/01/quay.jpg)\nSeen from *above*"
    )


def test_without_the_address_of_the_site_its_links_are_named_and_its_pictures_are_those_of_the_archive() -> None:
    html = (
        '<p><a href="__GHOST_URL__/other/">other</a> <a href="https://a.example/">a</a></p>'
        '<img src="__GHOST_URL__/content/images/2024/01/quay.jpg" alt="The quay"><img '
        'src="__GHOST_URL__/content/images/gone.jpg">'
    )
    files: dict[str, str | bytes] = {**export({"html": html}), "content/images/2024/01/quay.jpg": b"\xff\xd8"}
    item = the_issue(files, "ghost")
    (picture,) = item.pictures
    assert picture.path == "content/images/2024/01/quay.jpg"
    assert f"![The quay]({picture.address})" in written(item.content)
    assert "other [a](https://a.example/)" in written(item.content)
    assert "/other/, /content/images/gone.jpg" in notes_of(item)


def test_the_feature_image_comes_first() -> None:
    meta = [
        {
            "post_id": POST["id"],
            "feature_image_alt": "A crane",
            "feature_image_caption": "By <a href='https://a.example'>Ada</a>",
        }
    ]
    item = the_issue(
        export({"feature_image": "__GHOST_URL__/content/images/c.png"}, posts_meta=meta), site_url="https://log.example"
    )
    assert written(item.content).startswith(
        "## {image}\n![A crane](https://log.example/content/images/c.png)\nBy [Ada](https://a.example)"
    )


def test_cards_become_links_quotes_and_text() -> None:
    item = with_html(
        "<!--kg-card-begin: html--><p>Own</p><!--kg-card-end: html-->"
        '<figure class="kg-card kg-bookmark-card"><a class="kg-bookmark-container" href="https://b.example/x">'
        '<div class="kg-bookmark-content"><div class="kg-bookmark-title">A book</div>'
        '<div class="kg-bookmark-description">Of tides</div><div class="kg-bookmark-metadata">'
        '<img class="kg-bookmark-icon" src="https://b.example/i.png"><span '
        'class="kg-bookmark-author">Ada</span></div></div></a></figure>'
        '<div class="kg-card kg-button-card"><a class="kg-btn" href="https://b.example/buy">Buy</a></div>'
        '<div class="kg-card kg-callout-card"><div class="kg-callout-emoji">⚓</div><div '
        'class="kg-callout-text">Mind the gap</div></div>'
        '<div class="kg-card kg-toggle-card"><div class="kg-toggle-heading"><h4 '
        'class="kg-toggle-heading-text">Why</h4></div>'
        '<div class="kg-toggle-content"><p>Because.</p></div></div>'
        '<div class="kg-card kg-audio-card"><div class="kg-audio-title">Foghorn</div><audio src="https://b.example/content/media/f.mp3"></audio></div>'
        '<figure class="kg-card kg-embed-card"><iframe src="https://video.example/embed/1" title="Film">'
        "</iframe></figure>"
        '<div class="kg-card kg-signup-card"><h2>Join us</h2><form><input></form></div>'
        '<p><a href="#/portal/signup">Sign up</a></p>'
    )
    shown = written(item.content)
    for piece in (
        "[A book](https://b.example/x)\n\nOf tides\n\nAda",
        "[Buy](https://b.example/buy)",
        "> ⚓\n>\n> Mind the gap",
        "#### Why\n\nBecause.",
        "[Foghorn](https://b.example/content/media/f.mp3)",
        "[Film](https://video.example/embed/1)",
    ):
        assert piece in shown
    assert "Join us" not in shown
    assert "Sign up" not in shown
    assert "Join us" in notes_of(item)
    assert "Sign up" in notes_of(item)


def test_a_gallery_becomes_its_pictures() -> None:
    item = with_html(
        '<figure class="kg-card kg-gallery-card"><div class="kg-gallery-container">'
        '<div class="kg-gallery-image"><img src="https://p.example/1.png" alt="One"></div>'
        '<div class="kg-gallery-image"><img src="https://p.example/2.png" alt="Two"></div></div>'
        "<figcaption>Both</figcaption></figure>"
    )
    assert written(item.content) == (
        "## {image}\n![One](https://p.example/1.png)\n\n## {image}\n![Two](https://p.example/2.png)\n\n## {text}\nBoth"
    )


PAID = "<p>Free part.</p><!--members-only--><p>Paid part.</p>"


def test_what_is_below_a_paywall_is_not_public() -> None:
    item = with_html(PAID, visibility="paid")
    assert item.visibility == Visibility.PRIVATE
    assert "Paid part." in written(item.content)


def test_a_paid_post_can_be_cut_at_its_paywall_and_be_public() -> None:
    item = the_issue(export({"html": PAID, "visibility": "paid"}), free_part_only=True)
    assert item.visibility == Visibility.PUBLIC
    assert written(item.content) == "## {text}\nFree part."
    assert "2 words" in notes_of(item)


def test_a_paid_post_without_a_paywall_is_never_public() -> None:
    item = the_issue(export({"visibility": "paid"}), free_part_only=True)
    assert item.visibility == Visibility.PRIVATE


def test_a_public_post_is_whole_whatever_markers_are_in_it() -> None:
    item = the_issue(export({"html": PAID}), free_part_only=True)
    assert written(item.content) == "## {text}\nFree part.\n\nPaid part."


def test_lexical_is_read_when_there_is_no_html() -> None:
    document = lexical(
        {"type": "extended-heading", "tag": "h2", "children": [text("News")]},
        {"type": "paragraph", "children": [
            text("Bold", 1), text(" and "), text("both", 3), {"type": "linebreak"},
            {"type": "link", "url": "https://a.example/", "children": [text("a link")]},
            text(" <T> "), text("x = 1", 16)]},
        {"type": "list", "tag": "ol", "listType": "number", "start": 3, "children": [
            {"type": "listitem", "children": [text("three")]}, {"type": "listitem", "children": [text("four")]}]},
        {"type": "extended-quote", "children": [text("Quoted")]},
        {"type": "image", "src": "https://p.example/1.png", "alt": "One", "caption": "<b>Seen</b>"},
        {"type": "bookmark", "url": "https://b.example/", "metadata": {"title": "A book", "description": "Of tides"}},
        {"type": "button", "buttonText": "Buy", "buttonUrl": "https://b.example/buy"},
        {"type": "codeblock", "code": "a < b", "language": "c"},
        {"type": "markdown", "markdown": "**strong**"},
        {"type": "html", "html": "<p>Own</p>"},
        {"type": "horizontalrule"},
        {"type": "callout", "calloutEmoji": "⚓", "calloutText": "Mind"},
        {"type": "email", "html": "<p>Only mailed</p>"},
        {"type": "novelty", "label": "Unheard of", "version": 1},
    )  # fmt: skip
    item = the_issue(export({"html": None, "lexical": document}))
    assert written(item.content) == (
        "## News\n**Bold** and ***both***\\\n[a link](https://a.example/) \\<T> `x = 1`\n\n3. three\n4. "
        "four\n\n> Quoted\n\n"
        "## {image}\n![One](https://p.example/1.png)\n**Seen**\n\n"
        "## {text}\n[A book](https://b.example/)\n\nOf tides\n\n[Buy](https://b.example/buy)\n\n```\na < b\n```\n\n"
        "**strong**\n\nOwn\n\n---\n\n> ⚓ Mind\n\nUnheard of"
    )
    assert "Only mailed" in notes_of(item)
    assert "novelty" in notes_of(item)


def test_a_paywall_in_lexical_counts() -> None:
    document = lexical(
        {"type": "paragraph", "children": [text("Free")]},
        {"type": "paywall"},
        {"type": "paragraph", "children": [text("Paid")]},
    )
    item = the_issue(export({"html": "", "lexical": document, "visibility": "members"}), free_part_only=True)
    assert written(item.content) == "## {text}\nFree"


def test_mobiledoc_is_read_when_there_is_no_html() -> None:
    document = json.dumps({
        "version": "0.3.1",
        "markups": [["strong"], ["a", ["href", "https://a.example/"]], ["em"]],
        "atoms": [["soft-return", "", {}]],
        "cards": [["image", {"src": "https://p.example/1.png", "alt": "One", "caption": "Seen"}], ["hr", {}],
                  ["markdown", {"markdown": "*here*"}],
                  ["embed", {"url": "https://video.example/1", "html": "<iframe></iframe>"}]],
        "sections": [
            [1, "h2", [[0, [], 0, "News"]]],
            [1, "p", [[0, [0, 2], 1, "Bold "], [0, [], 1, "still"], [1, [], 0, 0], [0, [1], 1, "a link"]]],
            [3, "ul", [[[0, [], 0, "one"]], [[0, [], 0, "two"]]]],
            [10, 0], [10, 1], [10, 2], [10, 3],
        ],
    })  # fmt: skip
    item = the_issue(export({"html": None, "mobiledoc": document}))
    assert written(item.content) == (
        "## News\n***Bold* still**\\\n[a link](https://a.example/)\n\n- one\n- two\n\n"
        "## {image}\n![One](https://p.example/1.png)\nSeen\n\n"
        "## {text}\n---\n\n*here*\n\n[https://video.example/1](https://video.example/1)"
    )


@pytest.mark.parametrize(
    "broken", [{"lexical": "{"}, {"mobiledoc": json.dumps({"sections": [[10, 5]], "cards": []})}, {"lexical": "[]"}]
)
def test_a_text_that_cannot_be_read_is_a_failure_and_stops_nothing(broken: dict[str, Any]) -> None:
    found = everything_in(export({"html": None, **broken}, {"id": "2", "slug": "b"}))
    assert isinstance(found[0], UnreadItem)
    assert found[0].is_failure
    assert len(list(issues_of(found))) == 1


def test_the_first_versions_are_read() -> None:
    post = {"id": 5, "title": "Old", "slug": "old", "markdown": "**Words**",
            "image": "/content/images/a.png", "page": 0,
            "status": "published", "language": "en_US", "published_at": 1388318400000}  # fmt: skip
    item = the_issue(
        {"g.json": as_json({"meta": {"version": "000"}, "data": {"posts": [post]}})}, site_url="https://log.example"
    )
    assert item.key == "5"
    assert item.published_at == datetime.datetime(2013, 12, 29, 12, tzinfo=datetime.UTC)
    assert "**Words**" in written(item.content)
    assert "https://log.example/content/images/a.png" in written(item.content)


def test_pictures_have_a_kind_of_their_own() -> None:
    item = with_html('<p>A</p><img src="http://p.example/1.png"><p>B</p>')
    assert [part.kind for part in item.content.sections] == [SectionKind.TEXT, SectionKind.IMAGE, SectionKind.TEXT]
    assert item.content.sections[1].image == "https://p.example/1.png"
    assert item.content.sections[1].alt == "Tide log 12"
    assert "no description" in notes_of(item)
