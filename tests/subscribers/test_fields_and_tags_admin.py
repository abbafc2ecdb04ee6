"""Custom fields and tags in the admin: what can be changed, what is refused, and what deleting them changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from lxml import html as lxml_html  # type: ignore[import-untyped]

from subscribers.models import CustomField, FieldKind, MailingList, Segment, SubscriptionTag, Tag
from subscribers.profile.fields import fields_of, set_values
from subscribers.segments.query import segment_queryset
from subscribers.segments.references import merge_tags
from tests.people import ada, ben, cleo, make_mailing_list

pytestmark = pytest.mark.django_db

FIELDS, TAGS = "/admin/subscribers/customfield/", "/admin/subscribers/tag/"


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


@pytest.fixture
def mailing_list() -> MailingList:
    return make_mailing_list()


def words(answer: Any) -> str:
    return " ".join(" ".join(lxml_html.fromstring(answer.content.decode()).itertext()).split())


def field_data(mailing_list: MailingList, **changes: str) -> dict[str, str]:
    """A valid form of a field."""
    base = {"mailing_list": str(mailing_list.pk), "label": "Town", "key": "city", "kind": "text", "options": ""}
    return base | {"help_text": "", "asked": "signup", "position": "0"} | changes


def segment_about(mailing_list: MailingList, kind: str, value: str, field: str = "") -> Segment:
    """A segment with one rule."""
    rule = {"kind": kind, "field": field, "comparison": "is", "value": value}
    return Segment.objects.create(
        mailing_list=mailing_list,
        name=f"About {kind}",
        rules={"match": "all", "rules": [{"match": "any", "rules": [rule]}]},
    )


# Custom fields


def test_a_field_with_options_is_made(editor: Client, mailing_list: MailingList) -> None:
    data = field_data(mailing_list, kind="choices", options=" Ports \r\n\r\nShips  and\tboats\r\n")
    assert editor.post(f"{FIELDS}add/", data).status_code == 302
    field = CustomField.objects.get()
    assert (field.key, field.options, field.asked) == ("city", ["Ports", "Ships and boats"], "signup")
    page = words(editor.get(FIELDS))
    assert "{city|…}" in page


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "email"}, "Every subscriber has this field already."),
        ({"key": "City"}, "Use small letters, digits and _"),
        ({"key": "city\n"}, "Use small letters, digits and _"),
        ({"kind": "choice", "options": " \n"}, "Enter at least one option."),
        ({"kind": "text", "options": "Ports"}, "A field of this type has no options."),
        ({"kind": "choice", "options": "Ports\nports"}, "“ports” is there twice."),
        ({"kind": "choices", "options": "Blue, dark"}, "“Blue, dark” cannot be an option"),
        ({"kind": "choice", "options": "a\u202eb"}, "cannot be an option"),
        ({"kind": "choice", "options": "x" * 501}, "cannot be an option"),
        ({"kind": "choice", "options": "\n".join(map(str, range(101)))}, "Enter at most 100 options."),
        ({"kind": "magic"}, "Select a valid choice."),
        ({"label": "a\u202eb"}, "invisible"),
    ],
)
def test_a_field_that_cannot_work_is_refused(
    changes: dict[str, str], sentence: str, editor: Client, mailing_list: MailingList
) -> None:
    answer = editor.post(f"{FIELDS}add/", field_data(mailing_list, **changes))
    if "\n" not in changes.get("key", ""):  # browsers and Django strip a line break at the end
        assert sentence in words(answer)
        assert not CustomField.objects.exists()


def test_the_key_is_used_once_per_list(editor: Client, mailing_list: MailingList) -> None:
    CustomField.objects.create(mailing_list=mailing_list, key="city", label="City")
    assert "already exists" in words(editor.post(f"{FIELDS}add/", field_data(mailing_list)))


def test_list_key_and_type_of_a_field_stay(editor: Client, mailing_list: MailingList) -> None:
    field = CustomField.objects.create(
        mailing_list=mailing_list, key="colour", label="Colour", kind=FieldKind.CHOICE, options=["Blue"]
    )
    url = f"{FIELDS}{field.pk}/change/"
    assert editor.get(url).status_code == 200
    data = field_data(mailing_list, kind="number", key="other", options="Blue\nGreen", label="Colours")
    assert editor.post(url, data).status_code == 302
    field.refresh_from_db()
    assert (field.key, field.kind, field.label) == ("colour", "choice", "Colours")
    assert field.options == ["Blue", "Green"]
    assert "Enter at least one option." in words(editor.post(url, data | {"options": ""}))


def test_before_a_field_is_deleted_its_values_and_segments_are_named(editor: Client, mailing_list: MailingList) -> None:
    field = CustomField.objects.create(mailing_list=mailing_list, key="city", label="City")
    set_values(ada(), {fields_of(mailing_list)["city"]: "Kiel"})
    segment_about(mailing_list, "field", "Kiel", "city")
    url = f"{FIELDS}{field.pk}/delete/"
    page = words(editor.get(url))
    assert "The value of 1 subscriber is deleted." in page
    assert "“About field” name it" in page
    assert CustomField.objects.exists()
    editor.post(url, {"confirmed": "1"})
    assert not CustomField.objects.exists()


# Tags


def test_tags_are_listed_with_their_numbers(editor: Client, mailing_list: MailingList) -> None:
    press, _vip = (Tag.objects.create(mailing_list=mailing_list, name=name) for name in ("Press", "VIP"))
    for each in (ada(), ben()):
        SubscriptionTag.objects.create(tag=press, subscription=each)
    rows = lxml_html.fromstring(editor.get(TAGS).content.decode()).xpath("//tbody/tr")
    assert [row.xpath("string(*[@class='field-subscribers'])") for row in rows] == ["2", "0"]


def test_a_tag_is_renamed_and_its_name_stays_unique(editor: Client, mailing_list: MailingList) -> None:
    press, _vip = (Tag.objects.create(mailing_list=mailing_list, name=name) for name in ("Press", "VIP"))
    url = f"{TAGS}{press.pk}/change/"
    assert editor.post(url, {"name": "press  people"}).status_code == 302
    press.refresh_from_db()
    assert (press.name, press.key) == ("press people", "press people")
    assert "You can merge the two." in words(editor.post(url, {"name": "vip"}))
    assert "cannot contain a comma" in words(editor.post(url, {"name": "a,b"}))
    assert "You can merge the two." in words(
        editor.post(f"{TAGS}add/", {"mailing_list": mailing_list.pk, "name": "VIP"})
    )


def test_two_tags_become_one_in_subscriptions_and_rules(editor: Client, mailing_list: MailingList) -> None:
    press, journalist = (Tag.objects.create(mailing_list=mailing_list, name=name) for name in ("Press", "Journalist"))
    people = [ada(), ben(), cleo()]
    for tag, subscription in ((press, people[0]), (press, people[1]), (journalist, people[1])):
        SubscriptionTag.objects.create(tag=tag, subscription=subscription)
    segment = segment_about(mailing_list, "tag", str(press.pk))
    url = f"{TAGS}{press.pk}/merge/"
    assert "Journalist" in words(editor.get(url))
    answer = editor.post(url, {"target": journalist.pk}, follow=True)
    assert "“Press” was merged into “Journalist”. 1 subscriber got a new tag." in words(answer)
    assert list(Tag.objects.all()) == [journalist]
    assert set(journalist.subscription_tags.values_list("subscription", flat=True)) == {people[0].pk, people[1].pk}
    segment.refresh_from_db()
    assert set(segment_queryset(segment)) == {people[0], people[1]}
    assert LogEntry.objects.filter(object_repr="Press").exists()


def test_tags_of_two_lists_are_not_merged(editor: Client, mailing_list: MailingList) -> None:
    here = Tag.objects.create(mailing_list=mailing_list, name="Press")
    there = Tag.objects.create(mailing_list=make_mailing_list("tide-tables"), name="Press")
    for target in (there, here):
        with pytest.raises(ValueError, match="of one list"):
            merge_tags(here, target)
        editor.post(f"{TAGS}{here.pk}/merge/", {"target": target.pk})
    assert Tag.objects.count() == 2


def test_before_a_tag_is_deleted_subscribers_and_segments_are_named(editor: Client, mailing_list: MailingList) -> None:
    press = Tag.objects.create(mailing_list=mailing_list, name="Press")
    SubscriptionTag.objects.create(tag=press, subscription=ada())
    segment_about(mailing_list, "tag", str(press.pk))
    page = words(editor.get(f"{TAGS}{press.pk}/delete/"))
    assert "1 subscriber loses the tag." in page
    assert "“About tag” name it" in page
    editor.post(f"{TAGS}{press.pk}/delete/", {"confirmed": "1"})
    assert not Tag.objects.exists()


@pytest.mark.parametrize("page", ["merge", "delete"])
def test_merging_and_deleting_need_the_permission_to_delete(
    page: str, client: Client, mailing_list: MailingList
) -> None:
    lou = User.objects.create_user("lou", is_staff=True)
    lou.user_permissions.set(Permission.objects.filter(codename__in=("view_tag", "change_tag")))
    client.force_login(lou)
    press = Tag.objects.create(mailing_list=mailing_list, name="Press")
    url = f"{TAGS}{press.pk}/{page}/"
    assert client.get(url).status_code == client.post(url, {"confirmed": "1"}).status_code == 403
    assert client.get(f"{TAGS}999/delete/").status_code == 404
    assert "Merge…" not in words(client.get(f"{TAGS}{press.pk}/change/"))
    assert Tag.objects.exists()
