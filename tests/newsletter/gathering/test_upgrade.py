"""Entries of feeds that an earlier version stored become saved links, and stories are found by their addresses."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from newsletter.content.links import link_sha256, saved_link_sha256
from newsletter.gathering.inbox import earlier_stories
from newsletter.models import Newsletter, SavedLink, SavedLinkState
from tests.old_schema import Models, Node, schema_of, upgrade

pytestmark = [pytest.mark.upgrade, pytest.mark.django_db(transaction=True)]

BEFORE: tuple[Node, ...] = (("newsletter", "0031_compose"), ("subscribers", "0013_where_left"))
PARTS = "https://quay.example/notes#June_05"


def store(models: Models) -> None:
    """A feed with entries in all states, and a draft with one of them."""

    def create(model: str, **fields: Any) -> Any:
        return models(f"newsletter.{model}").objects.create(**fields)

    newsletter = create("Newsletter", slug="harbour-notes", name="Harbour Notes", sender_email="a@harbour.example")
    feed = create("Feed", newsletter=newsletter, url="https://quay.example/feed")
    issue = create("Issue", newsletter=newsletter, slug="one", title="One")
    section = create("Section", issue=issue, position=1, title="News")
    create("Story", section=section, position=1, title="Used", url="https://quay.example/used?utm_source=x")
    create("Story", section=section, position=2, title="Without a link")
    for state, url in (
        ("new", PARTS),
        ("used", "https://quay.example/used"),
        ("dismissed", "https://quay.example/dropped"),
    ):
        create(
            "FeedItem",
            feed=feed,
            newsletter=newsletter,
            link_sha256=link_sha256(url),
            guid=f"tag:{state}",
            title=state,
            url=url,
            state=state,
            issue=issue if state == "used" else None,
        )


def test_entries_become_links_with_their_states_and_ids() -> None:
    with schema_of(*BEFORE) as models:
        store(models)
        upgrade()
        links = {link.title: link for link in SavedLink.objects.all()}
        assert {title: link.state for title, link in links.items()} == {
            "new": SavedLinkState.NEW,
            "used": SavedLinkState.USED,
            "dismissed": SavedLinkState.DISMISSED,
        }
        assert links["used"].issue is not None
        assert links["new"].link_sha256 == saved_link_sha256(PARTS) != links["new"].page_sha256 == link_sha256(PARTS)
        assert links["new"].expires_at > timezone.now()
        assert [each.guid for each in links["new"].sightings.all()] == ["tag:new"]
        found = earlier_stories(Newsletter.objects.get(), [links["used"].url], [links["used"].page_sha256])
        assert found[links["used"].url].issue.title == "One"
