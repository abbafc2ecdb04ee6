"""Buttondown, beehiiv, listmonk, Kit and TinyLetter: tables and JSON lists of mails."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest

from newsletter.content.archives.item import UnreadItem, Visibility
from tests.newsletter.content.archives.exports import as_json, everything_in, notes_of, the_failure, the_issue, written


def table(rows: Sequence[dict[str, str]], delimiter: str = ",") -> str:
    made = io.StringIO()
    writer = csv.DictWriter(made, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


# Buttondown

MAIL = {
    "id": "ab12",
    "secondary_id": "7",
    "subject": "Tide log",
    "publish_date": "2023-01-02 16:55:00+00:00",
    "source": "app",
    "slug": "tide-log",
}


def test_buttondown_gives_the_facts_of_a_mail() -> None:
    item = the_issue({"emails.csv": table([MAIL]), "emails/tide-log.md": "The tide is in."}, "buttondown")
    assert (item.key, item.content.title, item.content.slug) == ("ab12", "Tide log", "tide-log")
    assert str(item.published_at) == "2023-01-02 16:55:00+00:00"
    assert item.old_paths == ("/archive/tide-log/",)
    assert item.unknown == {"secondary_id": "7", "source": "app"}
    assert item.visibility == Visibility.PUBLIC


def test_buttondown_says_by_its_first_line_whether_a_text_is_html() -> None:
    plain = (
        "<!-- buttondown-editor-mode: plaintext -->\n# Tide log\n\nHigh *water*[^1]\n\n## News\n\n[^1]: Since June.\n"
    )
    fancy = "<!-- buttondown-editor-mode: fancy --><h2>News</h2><p>High <em>water</em></p>"
    mails = table([MAIL, {**MAIL, "id": "2", "slug": "two"}, {**MAIL, "id": "3", "slug": "three"}])
    files = {
        "emails.csv": mails,
        "emails/tide-log.md": plain,
        "emails/two.md": fancy,
        "emails/three.md": "<p>No <b>mode</b></p>",
    }
    items = everything_in(files, "buttondown")
    assert [written(item.content) for item in items if not isinstance(item, UnreadItem)] == [
        "## {text}\nHigh *water*[^1]\n\n[^1]: Since June.\n\n## News",
        "## News\nHigh *water*",
        "## {text}\nNo **mode**",
    ]


def test_buttondown_markdown_loses_code_comments_and_scripts_but_no_words() -> None:
    text = (
        "Hi {{ subscriber.metadata.name | default: 'you' }}, <!-- ask Ada -->\n\n{{ subscribe_form }}\n\n"
        "{: .lead}\nA `{code}` and {first} brace\n\n<script>track()</script>\n"
        '<iframe src="https://video.example/1" title="Film"></iframe>\n\n```\n<script>kept</script>\n```\n\n'
        "Setext\n======\n\n![](https://p.example/1.png)\n\n### [A *story*][s] · Quay\n\nText.\n\n### Plain\n\n[s]: https://a.example/?mc_eid=1\n"
    )
    item = the_issue({"emails.csv": table([MAIL]), "tide-log.md": text}, "buttondown")
    assert written(item.content) == (
        "## {text}\nHi you, \n\nA `{code}` and {first} brace\n\n[Film](https://video.example/1)\n\n```\n<script>kept</script>\n```\n\n"
        "## Setext\n\n## {image}\n![Tide log](https://p.example/1.png)\n\n### [A story](https://a.example/) "
        "· Quay\nText.\n\n#### Plain"
    )
    assert "Ask Ada" not in notes_of(item)
    assert "{{ subscribe_form }}" in notes_of(item)


@pytest.mark.parametrize(
    ("changes", "visibility"),
    [
        ({"email_type": "public"}, Visibility.PUBLIC),
        ({"email_type": "private"}, Visibility.MAIL_ONLY),
        ({"email_type": "premium"}, Visibility.PRIVATE),
        ({"publish_date": ""}, Visibility.DRAFT),
        ({"status": "draft"}, Visibility.DRAFT),
        ({"status": "imported"}, Visibility.PUBLIC),
        ({"archival_mode": "disabled"}, Visibility.MAIL_ONLY),
        ({"archival_mode": "for paying"}, Visibility.PRIVATE),
        ({"archival_mode": "enabled"}, Visibility.PUBLIC),
        ({"archival_mode": "something new"}, Visibility.PRIVATE),
    ],
)
def test_buttondown_mails_are_public_if_their_page_is(changes: dict[str, str], visibility: Visibility) -> None:
    mails = as_json([{**MAIL, "body": "Words", **changes}])
    assert the_issue({"emails.json": mails}, "buttondown").visibility == visibility


def test_buttondown_without_the_text_of_a_mail_is_a_failure() -> None:
    item = the_failure({"emails.csv": table([MAIL])})
    assert item.is_failure
    assert "tide-log.md" in item.sentence


def test_buttondown_mails_that_were_deleted_are_no_issues() -> None:
    (item,) = everything_in({"emails.json": as_json({"results": [{**MAIL, "status": "deleted", "body": "x"}]})})
    assert isinstance(item, UnreadItem)
    assert not item.is_failure


# beehiiv

POST = {
    "id": "p-1",
    "web_title": "Tide log",
    "status": "confirmed",
    "audience": "free",
    "content_tags": "Harbour; News",
    "url": "https://log.example/p/tide-log",
    "web_subtitle": "Sub",
    "email_subject_line": "High water",
    "email_preview_text": "Soon",
    "content_html": "<p>Words</p>",
    "thumbnail_url": "uploads/x.png",
    "created_at": "2023-01-18 21:25:27",
}
WHOLE_MAIL = """<!DOCTYPE html><html><head><title>x</title><style>p{}</style></head><body>
<div style="display:none">Hidden preview</div>
<table><tr><td class="f"><a href="https://log.example/p/tide-log?_bhlid=9">Read Online</a></td></tr>
<tr><td id="content-blocks"><table role="none"><tr><td><h1>Tide log</h1></td></tr>
<tr><td><p>Hi {{first_name|there}}, words with
<a href="https://a.example/x?utm_source=log&_bhlid=4&last_resource_guid=z">a link</a>.</p></td></tr>
<tr><td><img src="https://media.beehiiv.com/uploads/q.png" alt="Quay" width="600"></td></tr>
<tr><td><p><a href="https://link.mail.beehiiv.com/ss/c/u001.x/4/y/h1/z">Tracked</a></p></td></tr></table></td></tr>
<tr><td><table class="rec__content">
<tr><td><a href="https://other.example/subscribe">Another letter</a></td></tr></table></td></tr>
<tr><td class="b"><p>Update your <a href="https://log.example/email-preferences?token=s3cret">preferences</a> or
<a href="https://log.example/unsubscribe?token=s3cret">unsubscribe</a></p></td></tr></table>
<img data-open-tracking src="https://link.mail.beehiiv.com/ss/o/u001/x.gif" width="1" height="1">
{{OPEN_TRACKING_PIXEL}}</body></html>"""


def test_beehiiv_gives_the_facts_of_a_post() -> None:
    item = the_issue({"posts.csv": table([POST])}, "beehiiv")
    assert item.key == "p-1"
    assert (item.content.title, item.content.subject, item.content.preheader) == ("Tide log", "High water", "Soon")
    assert item.content.categories == ("Harbour", "News")
    assert item.content.slug == "tide-log"
    assert item.old_paths == ("/p/tide-log",)
    assert item.unknown == {"thumbnail_url": "uploads/x.png", "web_subtitle": "Sub"}
    assert "date is that of the draft" in notes_of(item)


def test_beehiiv_mails_keep_their_text_and_lose_what_is_around_it() -> None:
    item = the_issue({"posts.csv": table([{**POST, "content_html": WHOLE_MAIL}])}, "beehiiv")
    assert written(item.content) == (
        "## {text}\nHi there, words with [a link](https://a.example/x?utm_source=log).\n\n"
        "## {image}\n![Quay](https://media.beehiiv.com/uploads/q.png)\n\n## {text}\nTracked"
    )
    assert "s3cret" not in repr(item)
    for words in (
        "Read Online",
        "Hidden preview",
        "Another letter https://other.example/subscribe",
        "unsubscribe",
        "Tracked",
    ):
        assert words in notes_of(item)


def test_beehiiv_mails_without_the_usual_ids_lose_chrome_by_what_it_is() -> None:
    page = WHOLE_MAIL.replace('id="content-blocks"', "")
    item = the_issue({"posts.csv": table([{**POST, "content_html": page}])}, "beehiiv")
    assert "words with [a link](https://a.example/x?utm_source=log)" in written(item.content)
    assert "unsubscribe" not in written(item.content)
    assert "s3cret" not in repr(item)


@pytest.mark.parametrize(
    ("changes", "visibility"),
    [
        ({"audience": "both"}, Visibility.PUBLIC),
        ({"audience": "premium"}, Visibility.PRIVATE),
        ({"audience": "All premium subscribers"}, Visibility.PRIVATE),
        ({"audience": ""}, Visibility.PRIVATE),
        ({"status": "draft"}, Visibility.DRAFT),
    ],
)
def test_beehiiv_posts_are_public_if_they_are_free(changes: dict[str, str], visibility: Visibility) -> None:
    assert the_issue({"posts.csv": table([{**POST, **changes}])}).visibility == visibility


# listmonk

CAMPAIGN: dict[str, Any] = {
    "id": 3,
    "uuid": "aaaaaaaa-0000-4000-8000-000000000001",
    "name": "internal name",
    "subject": "Tide log",
    "body": "<p>Words</p>",
    "content_type": "richtext",
    "status": "finished",
    "type": "regular",
    "send_at": "2024-05-01T07:00:00Z",
    "started_at": "2024-05-01T07:00:05.123456Z",
    "tags": ["harbour"],
    "archive": True,
    "archive_slug": "tide-log",
}


def campaigns(*changes: dict[str, Any]) -> dict[str, str]:
    return {
        "campaigns.json": as_json({"data": {"results": [{**CAMPAIGN, **change} for change in changes], "total": 1}})
    }


def test_listmonk_gives_the_facts_of_a_campaign() -> None:
    item = the_issue(campaigns({}), "listmonk")
    assert item.key == CAMPAIGN["uuid"]
    assert item.content.title == "Tide log"
    assert item.old_paths == ("/archive/tide-log", f"/archive/{CAMPAIGN['uuid']}")
    assert str(item.published_at).startswith("2024-05-01 07:00:05")
    assert item.content.categories == ("harbour",)


def test_listmonk_bodies_are_read_in_all_their_types() -> None:
    items = everything_in(
        campaigns(
            {"content_type": "markdown", "body": "## News\n\n[Crane](https://a.example/@TrackLink)"},
            {"content_type": "plain", "body": "2 * 3 = <six>\n\n# no heading"},
            {
                "content_type": "visual",
                "body": '<p><a href="{{ TrackLink "https://a.example/" . }}">x</a></p>',
                "body_source": "{}",
            },
        )
    )
    assert [written(item.content) for item in items if not isinstance(item, UnreadItem)] == [
        "## News\n[Crane](https://a.example/)",
        "## {text}\n2 * 3 = <six>\n\n\\# no heading",
        "## {text}\n[x](https://a.example/)",
    ]


def test_listmonk_bodies_lose_what_is_for_one_subscriber() -> None:
    body = (
        "<p>Hi {{ .Subscriber.FirstName }}, words</p><p>{{ if .Subscriber.Attribs.vip }}Come in{{ else "
        "}}Welcome{{ end }}</p>"
        '<p><a href="{{ UnsubscribeURL }}">Unsubscribe</a> <a href="{{ MessageURL }}">View online</a></p>{{ '
        "TrackView }}"
    )
    item = the_issue(campaigns({"body": body}))
    assert written(item.content) == "## {text}\nHi, words\n\nWelcome"
    assert "Come in" in notes_of(item)
    assert "Unsubscribe View online" in notes_of(item)


@pytest.mark.parametrize(
    ("changes", "visibility"),
    [
        ({"archive": False}, Visibility.MAIL_ONLY),
        ({"status": "draft"}, Visibility.DRAFT),
        ({"status": "cancelled"}, Visibility.DRAFT),
        ({}, Visibility.PUBLIC),
    ],
)
def test_listmonk_campaigns_are_public_if_they_are_in_its_archive(
    changes: dict[str, Any], visibility: Visibility
) -> None:
    assert the_issue(campaigns(changes)).visibility == visibility


def test_listmonk_mails_that_ask_for_confirmation_are_no_issues() -> None:
    (item,) = everything_in(campaigns({"type": "optin"}))
    assert isinstance(item, UnreadItem)
    assert not item.is_failure


# Kit

BROADCAST: dict[str, Any] = {
    "id": 99,
    "subject": "Tide log",
    "preview_text": "Soon",
    "content": '<p>Hi {{ subscriber.first_name | default: "friend" }}</p>',
    "public": True,
    "published_at": "2024-05-01T07:00:00Z",
    "send_at": None,
    "public_url": "https://harbour.kit.com/posts/tide-log",
    "thumbnail_url": "https://p.example/t.png",
}


@pytest.mark.parametrize("wrap", [lambda one: {"broadcasts": [one]}, lambda one: {"broadcast": one}, lambda one: [one]])
def test_kit_gives_the_facts_of_a_broadcast(wrap: Any) -> None:
    item = the_issue({"b.json": as_json(wrap(BROADCAST))}, "kit")
    assert (item.key, item.content.slug, item.old_paths) == ("99", "tide-log", ("/posts/tide-log",))
    assert item.unknown == {"thumbnail_url": "https://p.example/t.png"}
    assert written(item.content) == "## {text}\nHi friend"


@pytest.mark.parametrize(
    ("changes", "visibility"),
    [
        ({"public": False}, Visibility.MAIL_ONLY),
        ({"published_at": None}, Visibility.DRAFT),
        ({"published_at": None, "send_at": "2024-05-01T07:00:00Z"}, Visibility.PUBLIC),
    ],
)
def test_kit_broadcasts_are_public_if_they_say_so(changes: dict[str, Any], visibility: Visibility) -> None:
    assert the_issue({"b.json": as_json([{**BROADCAST, **changes}])}).visibility == visibility


def test_kit_lists_without_texts_are_failures_that_say_what_to_do() -> None:
    item = the_failure({"b.json": as_json([{**BROADCAST, "content": None}])})
    assert item.is_failure
    assert "Get each broadcast by its id" in item.sentence


# TinyLetter


def test_tinyletter_gives_the_letters_of_a_table() -> None:
    letters = [{"Subject": "Tide & time", "Content": "<p>Words</p>", "Created_At": "2019-03-05 10:11:12"}]
    item = the_issue({"letters.csv": table(letters, ";")}, "tinyletter")
    assert (item.content.title, item.content.slug) == ("Tide & time", "tide-and-time")
    assert str(item.published_at) == "2019-03-05 10:11:12+00:00"
    assert item.visibility == Visibility.PUBLIC


def test_a_field_of_many_characters_is_read() -> None:
    letters = [{"Subject": "Long", "Content": "<p>" + "word " * 60_000 + "</p>", "Created_At": ""}]
    item = the_issue({"letters.csv": table(letters)})
    assert sum(part.body.count("word") for part in item.content.sections) == 60_000
    assert len(item.content.sections) == 4
