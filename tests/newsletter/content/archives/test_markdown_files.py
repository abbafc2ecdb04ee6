"""Folders of Markdown files: which files are issues, their dates, paths and texts, in the shapes that archives have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.archives.item import ArchiveItem, DateSource, UnreadItem, Visibility
from newsletter.content.archives.markdown_files import MarkdownArchive
from newsletter.content.document import SectionKind
from tests.newsletter.content.archives.exports import MemoryFiles

NOON = "T12:00:00+00:00"


def read(texts: dict[str, str]) -> list[ArchiveItem | UnreadItem]:
    assert MarkdownArchive().fits(MemoryFiles(texts))
    return list(MarkdownArchive().items(MemoryFiles(texts)))


def only(texts: dict[str, str]) -> ArchiveItem:
    [item] = [found for found in read(texts) if isinstance(found, ArchiveItem)]
    return item


def text_of(item: ArchiveItem) -> str:
    return "\n".join(
        "\n".join([section.title, section.body, section.image, *(f"{one.title} {one.body}" for one in section.stories)])
        for section in item.content.sections
    )


@pytest.mark.parametrize(
    ("path", "text", "date", "where"),
    [
        (
            "a.md",
            "---\ntitle: A\ndate: 2024-10-09 23:30:00 -0000\n---\nx",
            "2024-10-09T23:30:00+00:00",
            DateSource.HEAD,
        ),
        ("a.md", "---\nTitle: A\nDate: 2016-3-21 9:05:00\n---\nx", "2016-03-21T09:05:00+00:00", DateSource.HEAD),
        ("a.md", "---\ntitle: A\ndate: 2019-05-01 09:00 +0200\n---\nx", "2019-05-01T07:00:00+00:00", DateSource.HEAD),
        (
            "a.md",
            '+++\ntitle = "A"\ndate = 2021-01-07\n[extra]\nmood = "calm"\n+++\nx',
            f"2021-01-07{NOON}",
            DateSource.HEAD,
        ),
        ("a.md", '{"title": "A", "date": "2021-01-07T08:00:00Z"}\n\nx', "2021-01-07T08:00:00+00:00", DateSource.HEAD),
        ("a.md", "Title: A\nDate: 2019-9-4\nCategory: Tides\n\nx", f"2019-09-04{NOON}", DateSource.HEAD),
        ("a.rst", "Tide log\n########\n\n:date: 2019-09-04 10:20\n\nx", "2019-09-04T10:20:00+00:00", DateSource.HEAD),
        ("2016-5-21-issue-0.md", "x", f"2016-05-21{NOON}", DateSource.FILE_NAME),
        ("2016-10-31-23.md", "x", f"2016-10-31{NOON}", DateSource.FILE_NAME),
        ("#53-2019.01.21.md", "x", f"2019-01-21{NOON}", DateSource.FILE_NAME),
        ("2022-05-16-2022-W20.md", "x", f"2022-05-16{NOON}", DateSource.FILE_NAME),
        ("log/050-2019-july-16.md", "x", f"2019-07-16{NOON}", DateSource.FILE_NAME),
        ("log/2019/07/16/tides.md", "x", f"2019-07-16{NOON}", DateSource.FILE_NAME),
        ("issue-53.md", "# Tide log #53 | 2019-01-21\n\nx", f"2019-01-21{NOON}", DateSource.TITLE),
        ("issue-7.md", "Tide log — 2016.07.27 edition\n====\n\nx", f"2016-07-27{NOON}", DateSource.TITLE),
    ],
)
def test_dates_are_found_wherever_they_are(path: str, text: str, date: str, where: DateSource) -> None:
    item = only({path: text})

    assert item.published_at is not None
    assert (item.published_at.isoformat(), item.date_source) == (date, where)
    assert item.content.date == item.published_at.date()


@pytest.mark.parametrize(
    "broken", ["2016-03-21 14:4g5:00", "2016-03-21 18::48::00", "2021-(TODO: MM-DD)", "2016-02-30"]
)
def test_a_broken_date_is_a_note_and_neither_today_nor_a_failure(broken: str) -> None:
    item = only({"issue-3.md": f"---\ntitle: A\ndate: '{broken}'\n---\nx"})

    assert (item.published_at, item.date_source) == (None, DateSource.UNKNOWN)
    assert [note.line for note in item.notes if broken in note.sentence] == [3]
    assert item.unknown == {"date": broken}


def test_a_month_without_a_day_is_its_first_day_and_noted() -> None:
    item = only({"001-2015-Dec.md": "x"})

    assert item.content.date.isoformat() == "2015-12-01"
    assert any("first day of its month" in note.sentence for note in item.notes)


@pytest.mark.parametrize(
    ("path", "text", "title", "slug"),
    [
        ("notes/issue-10.md", "Welcome!\n\nx", "Issue 10", "issue-10"),
        ("notes/053.md", "x", "#53", "issue-53"),
        ("notes/issue-12.md", "# 港口周刊（第 12 期）：潮汐\n\nx", "港口周刊（第 12 期）：潮汐", "issue-12"),
        ("2019-01-21.md", "# 潮汐\n\nx", "潮汐", "2019-01-21"),
        ("_posts/2019-01-21-low-water.md", "---\ntitle: ! 'Tides #4'\n---\nx", "Tides #4", "low-water"),
        ("_posts/2019-01-21-low.md", "---\ntitle: Tides #4\nslug: own\n---\nx", "Tides #4", "own"),
        ("issues/12/index.md", "+++\ntitle = 'Low: water'\n+++\nx", "Low: water", "issue-12"),
        ("week012-tides/README.md", "# Tides\n\nx", "Tides", "week012-tides"),
    ],
)
def test_each_issue_has_a_title_and_a_slug(path: str, text: str, title: str, slug: str) -> None:
    content = only({path: text}).content

    assert (content.title, content.slug) == (title, slug)


def test_a_greeting_that_opens_many_files_is_no_title() -> None:
    items = read({f"log/00{number}-2019-july-{number}.md": f"# Hello\n\nTide {number}" for number in (1, 2)})

    assert [item.content.title for item in items if isinstance(item, ArchiveItem)] == ["#1", "#2"]
    assert "Hello" in text_of(items[0]) if isinstance(items[0], ArchiveItem) else False


def test_pages_and_templates_are_no_issues_and_no_failures() -> None:
    found = read(
        {
            **{"README.md": "x", "CONTRIBUTING.md": "x", "templates/2019-01-01-new.md": "x", "LICENSE.md": "x"},
            **{"docs/issue-1.md": "x", "docs/free-ropes.md": "# Ropes\n\nx", "docs/empty-2.md": "\n"},
        }
    )
    assert [item.key for item in found if isinstance(item, ArchiveItem)] == ["docs/issue-1.md"]
    assert len([one for one in found if isinstance(one, UnreadItem) and not one.is_failure]) == 6


def test_drafts_and_hidden_posts_are_not_public() -> None:
    found = read(
        {
            "_drafts/2019-01-01-a.md": "x",
            "_posts/2019-01-02-b.md": "---\npublished: false\n---\nx",
            "content/2019-01-03-c.md": "Title: C\nStatus: draft\n\nx",
            "content/2019-01-04-d.md": "---\ndraft: true\n---\nx",
            "content/2019-01-05-e.md": "---\ndraft: false\npublished: true\n---\nx",
        }
    )
    seen = [item.visibility for item in found if isinstance(item, ArchiveItem)]
    assert seen == [*[Visibility.DRAFT] * 2, Visibility.DRAFT, Visibility.DRAFT, Visibility.PUBLIC][: len(seen)]
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("de/issue-1.md", "de"),
        ("log/1-2019-july-16-chinese.md", "zh"),
        ("issue-1.pt-BR.md", "pt-BR"),
        ("issue-1.md", ""),
    ],
)
def test_the_language_is_that_of_the_name_or_folder(path: str, language: str) -> None:
    assert only({path: "x"}).language == language


JEKYLL = {"_config.yml": "url: https://log.example\nbaseurl: /tides\npermalink: /:year/:month/:title.html\n"}


@pytest.mark.parametrize(
    ("settings_file", "path", "head", "paths"),
    [
        (JEKYLL, "_posts/2019-01-21-low.md", "title: A", ("/tides/2019/01/low.html",)),
        (
            JEKYLL,
            "_posts/2019-01-21-low.md",
            "permalink: /own/\nredirect_from: [/old, /older]",
            ("/tides/own/", "/old", "/older"),
        ),
        (
            {"_config.yml": "permalink: pretty"},
            "_posts/2019-01-21-low.md",
            "category: News",
            ("/news/2019/01/21/low/",),
        ),
        (
            {"hugo.toml": "baseURL = 'https://log.example/'"},
            "content/log/7/index.md",
            "aliases: [/x/]",
            ("/log/7/", "/x/"),
        ),
        (
            {"config.toml": "base_url = 'https://log.example'"},
            "content/log/2019-01-21-low.md",
            "title: A",
            ("/log/low/",),
        ),
        ({"astro.config.mjs": "site: 'https://log.example',"}, "src/content/log/low-7.md", "title: A", ("/log/low-7",)),
        (
            {"pelicanconf.py": "ARTICLE_URL = 'log/{date:%Y}/{slug}/'\n"},
            "content/2019-01-21-x.md",
            "title: Low water 7",
            ("/log/2019/low-water-7/",),
        ),
    ],
)
def test_old_paths_are_those_of_the_generator(
    settings_file: dict[str, str], path: str, head: str, paths: tuple[str, ...]
) -> None:
    assert only({**settings_file, path: f"---\n{head}\n---\nx"}).old_paths == paths


def test_pictures_of_the_archive_are_blocks_and_relative_links_become_full() -> None:
    item = only(
        {
            **JEKYLL,
            "img/quay 1.png": "x",
            "_posts/2019-01-21-low.md": "Before.\n\n![The quay](/img/quay%201.png)\n\nSee [more](/about/) and [x](#x).",
        }
    )
    [picture] = item.pictures
    assert picture.path == "img/quay 1.png"
    assert [one.image for one in item.content.sections if one.kind == SectionKind.IMAGE] == [picture.address]
    assert "[more](https://log.example/about/)" in text_of(item)


def test_code_of_the_site_is_turned_or_left_out_with_a_note() -> None:
    item = only(
        {
            "_posts/2019-01-21-low.md": "---\ntitle: A\n---\nLead.\n{: .lead}\n\n<!--excerpt-->\n\n"
            "{% include sponsor.html name='Rope' %}\n\n{% highlight ruby %}\nputs 1\n{% endhighlight %}\n\n"
            "<iframe src='https://www.youtube.com/embed/abc_123-x'></iframe>\n\n"
            "<!-- ask https://x.example/?e=ada -->\n\n"
            "<script>alert(1)</script>\n\n{% raw %}{{ shown }}{% endraw %}\n\n{{< figure src='https://p.example/q.png' "
            "alt='Quay' >}}\n\n`{{ code }}`"
        }
    )
    text, notes = text_of(item), "\n".join(note.sentence for note in item.notes)
    for shown in (
        "Lead.",
        "```ruby\nputs 1\n```",
        "https://www.youtube.com/watch?v=abc_123-x",
        "https://p.example/q.png",
    ):
        assert shown in text
    assert "shown" in text
    assert "{{ code }}" in text
    for hidden in ("{:", "include", "alert", "x.example", "<!--"):
        assert hidden not in text
    assert "{% include sponsor.html name='Rope' %}" in notes
    assert "alert(1)" in notes
    assert "x.example" not in notes


def test_a_broken_head_is_read_as_far_as_it_goes() -> None:
    item = only({"issue-4.md": "---\ntitle: Tides: high and low\ndate: 2019-01-21\n---\n\nText."})

    assert item.content.title == "Tides: high and low"
    assert item.content.date.isoformat() == "2019-01-21"
    assert any("not valid YAML" in note.sentence for note in item.notes)


def test_unknown_keys_are_kept_as_json_values() -> None:
    item = only({"issue-4.md": "---\ntitle: A\nlayout: post\nimage:\n  file: q.png\n  caption:\n---\nx"})
    assert item.unknown == {"layout": "post", "image": {"file": "q.png", "caption": None}}


def test_headings_become_sections_stories_and_headings_of_texts() -> None:
    item = only(
        {
            "issue-4.md": "# Tides\n\nLead.\n\n## News\n\n### [Crane](https://a.example) by Ada\n\nIt moved.\n\n"
            "### Elsewhere\n\n- [One](https://b.example)\n\nSmall print\n-----------\n\nBye."
        }
    )
    assert [(one.kind.value, one.title) for one in item.content.sections] == [
        ("text", ""),
        ("section", "News"),
        ("text", ""),
        ("section", "Small print"),
    ]
    [story] = item.content.stories()
    assert (story.url, "Ada" in story.title + story.source) == ("https://a.example", True)


def test_issues_kept_as_json_are_read() -> None:
    item = only(
        {
            "2019-01-21.json": '{"subject": "Tides 4", "date": "2019-01-21", "header": ["Hello."], '
            '"chapters": [{"title": "News", "entries": [{"title": "Crane", "url": '
            '"https://a.example", "text": "<p>It <b>moved</b>.</p>"}]}], '
            '"footer": "Bye."}',
            "package.json": '{"name": "x", "files": ["a"]}',
        }
    )
    assert (item.content.title, item.date_source) == ("Tides 4", DateSource.HEAD)
    [story] = item.content.stories()
    assert (story.title, story.url, story.body) == ("Crane", "https://a.example", "It **moved**.\n\nBye.")
    assert "Hello." in text_of(item)


def test_rst_posts_keep_headings_links_lists_and_code() -> None:
    item = only(
        {
            "log/2019-01-21.rst": "Tides\n=====\n\n:tags: sea, wind\n\nSee `the plan "
            "<https://a.example/p>`_ and crane_.\n\n"
            "News\n----\n\n* one ``x_y``\n* two\n\n.. code-block:: c\n\n   int x;\n\n.. _crane: https://c.example\n"
        }
    )
    assert item.content.title == "Tides"
    assert item.content.categories == ("sea", "wind")
    text = text_of(item)
    for shown in ("[the plan](https://a.example/p)", "[crane](https://c.example)", "* one `x_y`", "```c\nint x;\n```"):
        assert shown in text
    assert [one.title for one in item.content.sections if one.title] == ["News"]


@pytest.mark.parametrize(
    "hostile",
    [
        "---\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(12))
        + "---\nx",
        "---\n" + "[" * 5_000 + "\n---\nx",
        "+++\na = " + "[" * 5_000 + "\n+++\nx",
        '{"a":' * 5_000,
        "{% raw %}" * 5_000,
        "<script>" * 5_000 + "<!--" * 5_000,
        "{{< x " * 5_000,
        "![" * 20_000,
        "\x00\x08\ufffe text",
    ],
)
def test_hostile_files_are_read_or_refused_but_never_stop_the_rest(hostile: str) -> None:
    found = read({"issue-1.md": hostile, "issue-2.md": "Fine."})
    assert [one.key for one in found if isinstance(one, ArchiveItem)][-1] == "issue-2.md"


WORDS = st.sampled_from(
    ["tide", "[gauge](https://g.example/x)", "*rope*", "{{ x }}", "{% y %}", "<b>quay</b>", "#", "---"]
)
LINES = st.lists(WORDS, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(LINES, LINES.map("## {}".format), LINES.map("### {}".format), st.just("")), max_size=8))
def test_no_word_and_no_link_of_any_text_is_lost(lines: list[str]) -> None:
    text = "\n".join(["First words.", "", *lines])
    item = only({"issue-1.md": text})
    kept = text_of(item) + "\n".join(note.sentence for note in item.notes)
    urls = kept + "\n".join(story.url for story in item.content.stories())
    for word in ("First words.", *(one for one in ("tide", "gauge", "rope", "quay") if one in text)):
        assert word in kept
    assert "g.example" not in text or "https://g.example/x" in urls
