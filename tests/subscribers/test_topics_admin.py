"""Topics in the admin: they are made and renamed, and never deleted."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from subscribers.models import Topic
from tests.people import make_mailing_list

pytestmark = pytest.mark.django_db

TOPICS = "/admin/subscribers/topic/"


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def test_a_topic_is_made_and_renamed_and_keeps_its_slug(editor: Client) -> None:
    mailing_list = make_mailing_list()
    data = {"mailing_list": str(mailing_list.pk), "name": "Ships", "slug": "ships", "description": "", "position": "1"}
    assert editor.post(f"{TOPICS}add/", data).status_code == 302
    topic = Topic.objects.get()
    editor.post(f"{TOPICS}{topic.pk}/change/", data | {"name": "Boats", "slug": "boats"})
    topic.refresh_from_db()
    assert (topic.mailing_list_id, topic.name, topic.slug, topic.position) == (mailing_list.pk, "Boats", "ships", 1)
    assert "Boats" in editor.get(TOPICS).content.decode()


def test_a_topic_cannot_be_deleted(editor: Client) -> None:
    topic = Topic.objects.create(mailing_list=make_mailing_list(), name="Ships", slug="ships")
    assert editor.post(f"{TOPICS}{topic.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Topic.objects.exists()


def test_two_topics_of_a_list_have_different_slugs(editor: Client) -> None:
    mailing_list = make_mailing_list()
    Topic.objects.create(mailing_list=mailing_list, name="Ships", slug="ships")
    data = {"mailing_list": str(mailing_list.pk), "name": "All ships", "slug": "ships", "position": "1"}
    assert editor.post(f"{TOPICS}add/", data).status_code == 200
    assert Topic.objects.count() == 1
