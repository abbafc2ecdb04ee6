"""Mailchimp's campaigns: mails in nested tables, merge tags, and dates that are elsewhere."""

from __future__ import annotations

import pytest

from newsletter.content.archives.item import DateSource
from tests.newsletter.content.archives.exports import as_json, everything_in, issues_of, notes_of, the_issue, written


def nested(content: str, depth: int = 6) -> str:
    for _ in range(depth):
        content = f'<table width="100%"><tbody><tr><td valign="top">{content}</td></tr></tbody></table>'
    return content


MAIL = (
    "<!doctype html><html><head><title>*|MC:SUBJECT|*</title><style>p{color:red}</style></head><body>"
    '<!--*|IF:MC_PREVIEW_TEXT|*--><span class="mcnPreviewText" style="display:none;">Soon at high '
    "water</span><!--*|END:IF|*-->"
    '<table id="templatePreheader"><tr><td class="mcnTextContent"><a href="*|ARCHIVE|*">View this email '
    "in your browser</a></td></tr></table>"
    + nested(
        '<table id="templateBody"><tr><td class="mcnTextContent"><h1>Tide log</h1><p>Dear *|FNAME|*,<br>the tide is '
        '<a href="https://quay.us2.list-manage.com/track/click?u=1&id=2&e=3">in</a>.</p>'
        '<h3><a href="https://a.example/crane?mc_cid=1&mc_eid=2">The crane</a></h3><p>After two years.</p></td></tr>'
        '<tr><td><img class="mcnImage" src="https://mcusercontent.com/1/images/q.png" width="564" alt="Quay"></td></tr>'
        '<tr><td class="mceText"><p>End.</p></td></tr></table>'
    )
    + '<table class="mcnShareContent"><tr><td><a href="https://www.facebook.com/sharer/sharer.php?u=x">Share</a></td></tr></table>'
    '<table id="templateFooter"><tr><td class="mcnTextContent">*|LIST:COMPANY|*, Quay 1<br><a '
    'href="*|UNSUB|*">unsubscribe from this list</a></td></tr></table>'
    '<img src="https://quay.us2.list-manage.com/track/open.php?u=1&id=2&e=3" height="1" width="1"></body></html>'
)


def test_a_campaign_keeps_its_text_and_loses_what_is_around_it() -> None:
    item = the_issue({"campaigns/4711_tide-log.html": MAIL}, "mailchimp")
    assert written(item.content) == (
        "## {text}\nDear,\\\nthe tide is in.\n\n### [The crane](https://a.example/crane?mc_cid=1)\nAfter two years.\n\n"
        "## {image}\n![Quay](https://mcusercontent.com/1/images/q.png)\n\n## {text}\nEnd."
    )
    assert item.content.preheader == "Soon at high water"
    assert "e=3" not in repr(item)
    for words in (
        "View this email in your browser",
        "Share",
        "Quay 1",
        "unsubscribe from this list",
        "*|FNAME|*",
        "“in”",
    ):
        assert words in notes_of(item)


def test_the_title_is_that_of_the_page_or_of_the_file() -> None:
    page = MAIL.replace("*|MC:SUBJECT|*", "High &amp; low *|FNAME|*")
    found = list(
        issues_of(
            everything_in(
                {"a/4711_tide-log.html": MAIL, "b/4711_tide-log.html": MAIL.replace("h1>", "h2>"), "c.html": page}
            )
        )
    )
    assert [item.content.title for item in found] == ["Tide log", "4711 tide log", "High & low"]


def test_a_table_of_campaigns_gives_subjects_and_dates() -> None:
    table = (
        'Title,Subject,List,Send Date,Unique Id\nTide log,"High water, again",Log,"Mar 26, 2023 10:08 am",0a1b2c3d4e\n'
    )
    item = the_issue({"campaigns.csv": table, "campaigns/0a1b2c3d4e.html": MAIL})
    assert (item.key, item.content.title) == ("0a1b2c3d4e", "High water, again")
    assert str(item.published_at) == "2023-03-26 10:08:00+00:00"
    assert item.date_source == DateSource.COLUMN


def test_campaigns_of_the_api_give_their_page() -> None:
    listed = {"campaigns": [{
        "id": "0a1b2c3d4e",
        "send_time": "2023-03-26T10:08:00+00:00",
        "archive_url": "https://mailchi.mp/ab12/tide-log-12",
        "settings": {"subject_line": "High water", "title": "Tide log", "preview_text": "Soon"},
    }]}  # fmt: skip
    item = the_issue({"list.json": as_json(listed), "0a1b2c3d4e_tide-log.html": MAIL})
    assert (item.content.title, item.content.preheader) == ("High water", "Soon")
    assert item.old_paths == ("/ab12/tide-log-12",)


@pytest.mark.parametrize(
    ("name", "title", "date", "source"),
    [
        ("2023-03-26-tide.html", "Tide", "2023-03-26 12:00:00+00:00", DateSource.FILE_NAME),
        ("20230326_tide.html", "Tide", "2023-03-26 12:00:00+00:00", DateSource.FILE_NAME),
        ("tide.html", "Tide 2023-03-26", "2023-03-26 12:00:00+00:00", DateSource.TITLE),
        ("tide.html", "Tide", "None", DateSource.UNKNOWN),
        ("tide-20231399.html", "Tide", "None", DateSource.UNKNOWN),
    ],
)
def test_the_date_is_that_of_the_name_or_of_the_title_or_unknown(
    name: str, title: str, date: str, source: DateSource
) -> None:
    item = the_issue({name: MAIL.replace("*|MC:SUBJECT|*", title)})
    assert str(item.published_at) == date
    assert item.date_source == source
    if item.published_at is None:
        assert str(item.content.date) == "1970-01-01"


def test_links_in_deeply_nested_tables_are_kept() -> None:
    page = MAIL.replace("<p>End.</p>", nested('<p>Deep <a href="https://deep.example/">link</a></p>', 30))
    assert "Deep [link](https://deep.example/)" in written(the_issue({"a.html": page}).content)
