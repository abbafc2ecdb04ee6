"""Topics in the admin: made, renamed and deleted by editors."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import html as lxml_html  # type: ignore[import-untyped]

from subscribers.models import MailingList, Segment, Topic, TopicOptOut
from tests.people import ada, make_mailing_list

pytestmark = pytest.mark.django_db

TOPICS = "/admin/subscribers/topic/"


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


@pytest.fixture
def mailing_list() -> MailingList:
    return make_mailing_list()


def words(answer: Any) -> str:
    return " ".join(" ".join(lxml_html.fromstring(answer.content.decode()).itertext()).split())


def topic_data(mailing_list: MailingList, **changes: str) -> dict[str, str]:
    base = {"mailing_list": str(mailing_list.pk), "name": "Ships", "slug": "ships", "description": "", "position": "0"}
    return base | changes


def test_an_editor_makes_a_topic_that_subscribers_can_choose(editor: Client, mailing_list: MailingList) -> None:
    assert editor.post(f"{TOPICS}add/", topic_data(mailing_list)).status_code == 302
    topic = Topic.objects.get()
    assert (topic.mailing_list, topic.name, topic.slug) == (mailing_list, "Ships", "ships")
    assert "Ships" in words(editor.get(TOPICS))


def test_a_slug_is_there_once_per_list(editor: Client, mailing_list: MailingList) -> None:
    editor.post(f"{TOPICS}add/", topic_data(mailing_list))
    assert editor.post(f"{TOPICS}add/", topic_data(mailing_list, name="Boats")).status_code == 200
    other = make_mailing_list("bridge-notes", name="Bridge Notes")
    assert editor.post(f"{TOPICS}add/", topic_data(other)).status_code == 302
    assert Topic.objects.count() == 2


def test_a_topic_is_renamed_and_keeps_its_list_and_slug(editor: Client, mailing_list: MailingList) -> None:
    topic = Topic.objects.create(mailing_list=mailing_list, name="Ships", slug="ships")
    other = make_mailing_list("bridge-notes", name="Bridge Notes")
    editor.post(f"{TOPICS}{topic.pk}/change/", topic_data(other, name="Boats", slug="boats"))
    topic.refresh_from_db()
    assert (topic.name, topic.slug, topic.mailing_list) == ("Boats", "ships", mailing_list)


def test_before_a_topic_is_deleted_the_page_says_what_changes(editor: Client, mailing_list: MailingList) -> None:
    topic = Topic.objects.create(mailing_list=mailing_list, name="Ships", slug="ships")
    TopicOptOut.objects.create(topic=topic, subscription=ada())
    rule = {"kind": "topic", "field": "", "comparison": "includes", "value": str(topic.pk)}
    Segment.objects.create(mailing_list=mailing_list, name="About ships", rules={"match": "all", "rules": [rule]})
    page = words(editor.get(f"{TOPICS}{topic.pk}/delete/"))
    assert "1 subscriber has chosen not to get it." in page
    assert "“About ships” name it" in page
    editor.post(f"{TOPICS}{topic.pk}/delete/", {"confirmed": "1"})
    assert not Topic.objects.exists()


def test_lines_of_a_name_are_refused(editor: Client, mailing_list: MailingList) -> None:
    assert editor.post(f"{TOPICS}add/", topic_data(mailing_list, name="a\x07b")).status_code == 200
    assert not Topic.objects.exists()
