"""The page of a shared report: one story, for whoever has its link, until it is revoked or has expired."""

from __future__ import annotations

import datetime
import re

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.content.web_versions import change_visibility
from newsletter.models import (
    FIRST_LINK,
    Delivery,
    DeliveryState,
    EngagementCounter,
    ReportShare,
    Send,
    Visibility,
)
from newsletter.reports import shared_story as module
from newsletter.reports.shared_story import (
    TooManyShares,
    can_be_shared,
    revoke_share,
    share_story,
    story_numbers,
    valid_share,
)
from tests.newsletter.admin.pages import words_on
from tests.newsletter.reports.filled import START, count_clicks
from tests.people import make_subscriptions
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.django_db


def delivered_to(count: int) -> Send:
    """A send to so many, delivered, with clicks on both links."""
    make_subscriptions(count, make_newsletter())
    send = start_sending(make_issue())
    expand_audiences()
    Delivery.objects.filter(send=send).update(state=DeliveryState.ACCEPTED, delivered_at=START)
    Send.objects.filter(pk=send.pk).update(started_at=START)
    count_clicks(send)
    return Send.objects.select_related("issue__newsletter", "edition").get(pk=send.pk)


@pytest.fixture
def send() -> Send:
    return delivered_to(40)


def shared(send: Send, *, expires_at: datetime.datetime | None = None) -> tuple[ReportShare, str]:
    share, token = share_story(send, FIRST_LINK, by="edda", expires_at=expires_at)
    return share, f"/shared/{token}/"


def test_the_page_shows_one_story_and_its_numbers(client: Client, send: Send) -> None:
    answer = client.get(shared(send)[1])
    assert answer.status_code == 200
    shown = words_on(answer)
    assert "Taller cranes" in shown
    assert "Recipients 40 Have the issue in their mailbox." in shown
    assert "Humans who clicked 7 9 clicks" in shown
    assert "Click rate 17.5%" in shown
    assert "13 clicks of machines are filtered out. 3 clicks are unclear and not counted either." in shown
    assert "After 48 hours: 9 clicks by humans, 13 clicks by machines." in shown
    rows = re.findall(r'<th scope="row">(\d+)</th><td>[^<]*</td><td>(\d+)</td><td>(\d+)</td>', answer.content.decode())
    assert rows[0] == ("1", "7", "0")
    assert rows[1] == ("6", "9", "13")
    assert rows[-1] == ("48", "9", "13")


def test_the_page_shows_nothing_else(client: Client, send: Send) -> None:
    page = client.get(shared(send)[1]).content.decode()
    assert "The long ebb" not in page
    assert "4,321" not in page
    assert "@" not in page, "neither an address of a subscriber nor the team's"
    assert not re.findall(r"<(script|form|iframe|nav|img)\b", page)
    assert set(re.findall(r'<a [^>]*href="([^"]*)"', page)) == {"#content"}


def test_nobody_keeps_finds_or_learns_the_address_of_the_page(client: Client, send: Send) -> None:
    path = shared(send)[1]
    for answer in (client.get(path), client.get(path[:-2] + "_/")):
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["Referrer-Policy"] == "no-referrer"
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "sandbox;" in f"{policy};".replace("sandbox ;", "sandbox;")
        assert "script-src" not in policy
        assert '<meta name="robots" content="noindex, nofollow">' in answer.content.decode()
        assert not answer.cookies
        assert "Cookie" not in answer.get("Vary", "")


def test_only_a_hash_of_the_token_is_stored(send: Send) -> None:
    share, path = shared(send)
    token = path.split("/")[2]
    assert len(token) >= 43
    stored = ReportShare.objects.filter(pk=share.pk).values().get()
    assert token not in str(stored)
    assert len(stored["token_sha256"]) == 64
    assert shared(send)[1] != path


def test_links_that_do_not_work_have_the_same_answer(client: Client, send: Send) -> None:
    now = timezone.now()
    revoked, of_revoked = shared(send)
    revoke_share(revoked, by="edda")
    _expired, of_expired = shared(send, expires_at=now - datetime.timedelta(seconds=1))
    _valid, works = shared(send, expires_at=now + datetime.timedelta(days=1))
    token = works.split("/")[2]
    flipped = ("A" if token[20] != "A" else "B").join((token[:20], token[21:]))
    paths = [of_revoked, of_expired, f"/shared/{flipped}/", f"/shared/{token[:-1]}/", "/shared/x/", "/shared/ü%00/"]
    answers = [client.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    assert client.get(works).status_code == 200


def test_a_link_does_not_work_while_the_page_of_its_issue_is_taken_down(client: Client, send: Send) -> None:
    _share, path = shared(send)
    change_visibility(send.issue, Visibility.TAKEN_DOWN, by="edda", text="The author asked for it.")
    assert client.get(path).status_code == 404
    change_visibility(send.issue, Visibility.UNLISTED, by="edda")
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("position", range(0, 43, 6))
def test_a_link_with_one_flipped_character_does_not_work(client: Client, send: Send, position: int) -> None:
    token = shared(send)[1].split("/")[2]
    other = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
    assert client.get(f"/shared/{other}/").status_code == 404


def test_a_link_works_until_it_expires(send: Send) -> None:
    end = timezone.now() + datetime.timedelta(days=7)
    token = shared(send, expires_at=end)[1].split("/")[2]
    assert valid_share(token, end - datetime.timedelta(seconds=1)) is not None
    assert valid_share(token, end) is None


def test_a_repeated_revoke_changes_nothing(send: Send) -> None:
    share, _path = shared(send)
    assert revoke_share(share, by="edda")
    assert not revoke_share(share, by="ida")
    share.refresh_from_db()
    assert share.revoked_by == "edda"


def test_too_few_recipients_have_no_rate(client: Client) -> None:
    shown = words_on(client.get(shared(delivered_to(19))[1]))
    assert "Click rate – Too few recipients for a rate." in shown
    assert "%" not in shown


def test_without_deliveries_recipients_are_those_whose_mail_was_accepted(client: Client, send: Send) -> None:
    Delivery.objects.update(delivered_at=None)
    assert "Recipients 40 Accepted by the mail provider." in words_on(client.get(shared(send)[1]))


def test_a_story_that_nobody_clicked_has_a_page(client: Client, send: Send) -> None:
    EngagementCounter.objects.all().delete()
    shown = words_on(client.get(shared(send)[1]))
    assert "No click so far." in shown
    assert "Humans who clicked 0 0 clicks" in shown


def test_the_page_is_in_the_language_of_the_newsletter(client: Client, send: Send) -> None:
    send.issue.newsletter.language = "de"
    send.issue.newsletter.save()
    answer = client.get(shared(send)[1], headers={"Accept-Language": "fr"})
    assert answer["Content-Language"] == "de"
    assert '<html lang="de"' in answer.content.decode()


def test_only_links_of_the_edition_are_shared(send: Send) -> None:
    assert can_be_shared(send)
    for number in (FIRST_LINK - 1, FIRST_LINK + 2, -1):
        with pytest.raises(ValueError, match=str(number)):
            share_story(send, number, by="edda")


def test_a_link_that_the_edition_lost_has_no_numbers(send: Send) -> None:
    share, _path = shared(send)
    share.number = 99
    assert story_numbers(share, timezone.now()) is None


def test_links_that_work_are_limited(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHARES", 2)
    first, _path = shared(send)
    shared(send)
    with pytest.raises(TooManyShares):
        shared(send)
    revoke_share(first, by="edda")
    shared(send)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_page_is_only_read(client: Client, send: Send, method: str) -> None:
    assert getattr(client, method)(shared(send)[1]).status_code == 405


def test_young_sends_show_the_hours_so_far(send: Send) -> None:
    share, _path = shared(send)
    numbers = story_numbers(share, START + datetime.timedelta(hours=1, minutes=45))
    assert numbers is not None
    assert [(hour.number, hour.humans, hour.machines) for hour in numbers.hours] == [(1, 7, 0), (2, 7, 13), (3, 7, 13)]
