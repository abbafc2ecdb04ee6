"""Tracked links: unwrapped without following them, and no token of a subscriber is left."""

from __future__ import annotations

import base64
import datetime
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.archives.unwrap import (
    Fate,
    is_pixel,
    subscriber_tokens,
    text_with_links_unwrapped,
    unwrap_link,
)
from newsletter.content.document import IssueContent, SectionContent, StoryContent

GOAL = "https://quay.example/cranes?page=2"
UUID = "0123abcd-0123-4abc-8abc-0123456789ab"


def substack_redirect(goal: str) -> str:
    value = json.dumps({"e": goal, "p": 12, "s": 7, "u": 991, "iat": 1, "exp": 2}).encode()
    return f"https://substack.com/redirect/2/{base64.urlsafe_b64encode(value).decode().rstrip('=')}.k3Jx-Sig_nature"


def kit_click(goal: str) -> str:
    return f"https://abc.click.convertkit-mail2.com/wvu2/owhkq/{base64.b64encode(goal.encode()).decode()}"


@pytest.mark.parametrize("wrapped", [substack_redirect(GOAL), kit_click(GOAL), kit_click(substack_redirect(GOAL))])
def test_a_goal_within_a_tracked_link_is_found_without_following_it(wrapped: str) -> None:
    assert unwrap_link(wrapped) == type(unwrap_link(wrapped))(GOAL, Fate.CHANGED)


@given(st.text(max_size=200))
def test_any_text_in_a_tracked_link_is_harmless(text: str) -> None:
    for start in ("https://substack.com/redirect/2/", "https://click.convertkit-mail.com/a/b/", "https://", ""):
        unwrap_link(f"{start}{text}")


@pytest.mark.parametrize(
    "link",
    [
        substack_redirect("https://x.substack.com/action/disable_email?token=eyJ1c2VyIjo5OTF9.abcdefghijk"),
        "https://quay.us2.list-manage.com/unsubscribe?u=1&id=2&e=abc123",
        "https://quay.us2.list-manage.com/profile?u=1&id=2&e=abc123",
        "https://www.facebook.com/sharer/sharer.php?u=https%3A%2F%2Fquay.example",
        "https://twitter.com/intent/tweet?text=x",
        "https://quay.example/opt-out/9aa8f7",
        "https://quay.example/email-preferences",
    ],
)
def test_links_to_unsubscribe_and_to_share_are_chrome(link: str) -> None:
    assert unwrap_link(link).fate == Fate.CHROME


@pytest.mark.parametrize(
    "link",
    [
        "https://quay.us2.list-manage.com/track/click?u=1&id=2&e=abc123",
        "https://link.mail.beehiiv.com/ss/c/u001.aaa/4/bbb/h1/ccc",
        f"https://lists.example/link/{UUID}/{UUID}/{UUID}",
        f"https://lists.example/campaign/{UUID}/{UUID}",
        "https://substack.com/redirect/9f8b1c2d-0000-4000-8000-000000000000?j=eyJ1IjoiMTIzIn0",
        "https://email.mg1.substack.com/c/eJwlkE",
        "https://x123.mjt.lu/lnk/AAA/1/bbb",
        "https://click.revue.email/ss/c/x",
        "https://u1.ct.sendgrid.net/ls/click?upn=x",
    ],
)
def test_a_tracked_link_without_its_goal_is_not_published(link: str) -> None:
    assert unwrap_link(link).fate == Fate.UNKNOWN


@pytest.mark.parametrize(
    ("link", "clean"),
    [
        ("https://a.example/?mc_cid=1&mc_eid=2&q=3", "https://a.example/?mc_cid=1&q=3"),
        ("https://a.example/x?ck_subscriber_id=42", "https://a.example/x"),
        ("https://mailchi.mp/abc/issue-12?e=77f", "https://mailchi.mp/abc/issue-12"),
        ("https://us1.campaign-archive.com/?u=1&id=2&e=9", "https://us1.campaign-archive.com/?u=1&id=2"),
        ("https://log.example/p/tide?utm_source=s&r=1abc", "https://log.example/p/tide?utm_source=s"),
        ("https://harbour.substack.com/subscribe?token=secret", "https://harbour.substack.com/subscribe"),
        ("https://a.example/?email=ada%40quay.example&x=1#top", "https://a.example/?x=1#top"),
        ("https://a.example/?_bhlid=7c&last_resource_guid=x", "https://a.example/"),
        ("https://a.example/?r=10&e=2", "https://a.example/?r=10&e=2"),
    ],
)
def test_ids_of_subscribers_are_removed_and_other_parameters_stay(link: str, clean: str) -> None:
    assert unwrap_link(link).url == clean


def test_counting_parameters_stay_unless_they_are_unwanted() -> None:
    link = "https://a.example/?utm_source=s&q=%C3%A9+x&mc_cid=5"
    assert unwrap_link(link) == type(unwrap_link(link))(link, Fate.KEPT)
    assert unwrap_link(link, keeps_counters=False).url == "https://a.example/?q=%C3%A9+x"


def test_an_article_about_unsubscribing_is_not_chrome() -> None:
    link = "https://a.example/how-to-unsubscribe-from-every-list"
    assert unwrap_link(link).url == link


def test_pixels_are_known_by_their_addresses() -> None:
    assert is_pixel("https://quay.us2.list-manage.com/track/open.php?u=1&id=2&e=3")
    assert is_pixel(f"https://lists.example/campaign/{UUID}/{UUID}/px.png")
    assert not is_pixel("https://pictures.example/pixelart-of-a-crane.png")


def issue(**changes: object) -> IssueContent:
    content = IssueContent(title="T", slug="t", date=datetime.date(2026, 1, 2), subject="T")
    return replace(content, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example/?token=abc",
        "https://a.example/x?mc_eid=1",
        "https://quay.us2.list-manage.com/track/click?u=1&id=2&e=3",
        "https://a.example/go/eyJ1c2VyIjo5OTF9.c2lnbmF0dXJl",
        "https://a.example/?to=ada@quay.example",
        f"https://lists.example/link/{UUID}/{UUID}/{UUID}",
    ],
)
def test_what_still_looks_like_a_token_is_named_wherever_it_is(address: str) -> None:
    places = [
        issue(sections=(SectionContent(title="S", body=f"Words [x]({address}) and more."),)),
        issue(sections=(SectionContent(title="S", stories=(StoryContent(title="x", url=address),)),)),
        issue(preheader=address),
    ]
    assert [subscriber_tokens(content) for content in places] == [(address,)] * 3


def test_ordinary_links_are_no_tokens() -> None:
    body = "[a](https://a.example/?page=2&utm_source=x) <https://b.example/p/tide> mail@quay.example"
    assert subscriber_tokens(issue(sections=(SectionContent(title="S", body=body),))) == ()


def test_links_in_markdown_are_unwrapped_too() -> None:
    text = (
        f"[The *crane*]({substack_redirect(GOAL)}) and <{kit_click(GOAL)}>, "
        "[Leave](https://quay.us2.list-manage.com/unsubscribe?u=1&e=3) "
        "[More](https://quay.us2.list-manage.com/track/click?u=1&e=3) [x][y]\n\n[y]: https://a.example/?mc_eid=4\n"
    )
    made, removed = text_with_links_unwrapped(text)
    assert made == f"[The *crane*]({GOAL}) and <{GOAL}>,  More [x][y]\n\n[y]: https://a.example/\n"
    assert removed == (
        "https://quay.us2.list-manage.com/unsubscribe?u=1",
        "https://quay.us2.list-manage.com/track/click?u=1",
    )


def test_a_shared_calendar_names_no_subscriber() -> None:
    calendar = "https://www.google.com/calendar/embed?src=abc123%40group.calendar.google.com"
    assert subscriber_tokens(issue(sections=(SectionContent(title="S", body=f"[events]({calendar})"),))) == ()
