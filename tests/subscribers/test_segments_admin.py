"""Segments in the admin: built without code, counted, saved with errors at the rule, and used by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from subscribers.addresses import masked
from subscribers.models import CustomField, MailingList, Segment, SegmentPick, Subscriber, Subscription, Tag
from subscribers.segments import uses
from subscribers.segments.uses import Use, register_uses
from tests.people import ada, ben, cleo, make_mailing_list

pytestmark = pytest.mark.django_db

ADD, LIST = "/admin/subscribers/segment/add/", "/admin/subscribers/segment/"
PREVIEW = "/admin/subscribers/segment/preview/"


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


@pytest.fixture
def mailing_list() -> MailingList:
    return make_mailing_list()


@pytest.fixture
def signed_in(client: Client) -> Callable[..., Client]:
    """Signs in a user with these permissions only."""

    def sign_in(*codenames: str) -> Client:
        user = User.objects.create_user("lou", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return sign_in


def form_data(answer: Any) -> list[tuple[str, str]]:
    """The fields that a browser submits, in the order of the page."""
    assert answer.status_code == 200, answer.content[:500]
    tree = lxml_html.fromstring(answer.content.decode())
    for part in tree.xpath("//*[@disabled]"):
        part.getparent().remove(part)
    (form,) = tree.xpath("//form[@id='segment_form']")
    return [(name, value) for name, value in form.form_values() if name != "csrfmiddlewaretoken"]


def changed(data: list[tuple[str, str]], **values: str) -> str:
    """The fields as a request body; `what_1` sets the second `what`."""
    counts: dict[str, int] = {}
    fields = []
    for name, value in data:
        number = counts[name] = counts.get(name, -1) + 1
        fields.append((name, values.pop(f"{name}_{number}", values.get(name, value))))
    known = {name for name, _value in data}
    fields += [(name, value) for name, value in values.items() if name not in known]
    return urlencode(fields)


def submit(editor: Client, url: str, data: list[tuple[str, str]], *, follow: bool = False, **values: str) -> Any:
    """Submit the form with these changes."""
    body = changed(data, **values)
    return editor.post(url, body, content_type="application/x-www-form-urlencoded", follow=follow)


def words(answer: Any) -> str:
    return " ".join(" ".join(lxml_html.fromstring(answer.content.decode()).itertext()).split())


def segment_of(mailing_list: MailingList, **fields: Any) -> Segment:
    """A segment of the active subscriptions."""
    rule = {"kind": "state", "field": "", "comparison": "is", "value": "active"}
    rules = {"match": "all", "rules": [rule]}
    return Segment.objects.create(**{"mailing_list": mailing_list, "name": "Active", "rules": rules} | fields)


def test_a_segment_is_built_without_javascript(editor: Client, mailing_list: MailingList) -> None:
    Tag.objects.create(mailing_list=mailing_list, name="Press")
    ada(), ben(), cleo()
    data = form_data(editor.get(ADD))
    # Add a group; its rule is about the tag; count; and save.
    data = form_data(submit(editor, ADD, data, name="Loyal", do="add_group:0"))
    data = form_data(submit(editor, ADD, data, what_1="tag", update="1"))
    refused = submit(editor, ADD, data, save="1")
    assert "Error:" in words(refused)
    assert "The segment is not saved." in words(refused)
    tree = lxml_html.fromstring(refused.content.decode())
    (link,) = tree.xpath("//div[@role='alert']//a")
    (rule,) = tree.xpath(f"//*[@id='{link.get('href')[1:]}']")
    assert rule.xpath(".//select[@name='value'][@aria-invalid='true']")
    assert "Choose a value." in rule.text_content()
    press = str(Tag.objects.get().pk)
    counted = submit(editor, ADD, data, value_1=press, comparison_1="is_not", update="1")
    assert "1 subscriber 100.0% of the number of active subscribers." in words(counted)
    assert "In words: state is Active and without tag Press." in words(counted)
    assert "ada@example.org" in words(counted)
    numbers = lxml_html.fromstring(counted.content.decode()).xpath("//*[@data-number]/text()")
    assert numbers == ["1", "3", "3"]
    saved = submit(editor, ADD, form_data(counted), save="1", follow=True)
    assert "The segment “Loyal” is saved." in words(saved)
    segment = Segment.objects.get()
    assert (segment.by, segment.mailing_list, segment.rules["rules"][1]["match"]) == ("ida", mailing_list, "any")
    assert segment.rules["rules"][1]["rules"][0]["value"] == press


def test_rules_are_moved_and_removed_by_buttons(editor: Client, mailing_list: MailingList) -> None:
    segment = segment_of(mailing_list)
    url = f"/admin/subscribers/segment/{segment.pk}/change/"
    data = form_data(submit(editor, url, form_data(editor.get(url)), do="add_rule:0"))
    data = form_data(submit(editor, url, data, value_1="pending", do="up:2"))
    assert [value for name, value in data if name == "value"] == ["pending", "active"]
    data = form_data(submit(editor, url, data, do="remove:1"))
    assert [value for name, value in data if name == "value"] == ["active"]
    empty = submit(editor, url, data, do="remove:1")
    assert "Add a rule." in words(submit(editor, url, form_data(empty), save="1"))
    segment.refresh_from_db()
    assert len(segment.rules["rules"]) == 1


def test_the_fragment_counts_and_answers_412_while_nothing_changes(editor: Client, mailing_list: MailingList) -> None:
    ada(), ben()
    data = form_data(editor.get(ADD))
    first = submit(editor, PREVIEW, data, count="1")
    assert first.status_code == 200
    assert "no-store" in first["Cache-Control"]
    assert "1 subscriber" in words(first)
    body = changed(data, count="1")
    form = "application/x-www-form-urlencoded"
    again = editor.post(PREVIEW, body, content_type=form, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (412, b"")
    quick = submit(editor, PREVIEW, data, do="add_rule:0")
    assert "Not counted yet." in words(quick)
    assert quick.content.count(b"data-rule ") == 2
    assert editor.get(PREVIEW).status_code == 405


@pytest.mark.parametrize("body", ["", "mailing_list=1", "mailing_list=x&part=group&match=all&part=end", "part=end"])
def test_a_form_that_no_page_has_is_a_bad_request(body: str, editor: Client, mailing_list: MailingList) -> None:
    body = body.replace("mailing_list=1", f"mailing_list={mailing_list.pk}")
    assert editor.post(PREVIEW, body, content_type="application/x-www-form-urlencoded").status_code == 400


def test_text_of_editors_and_subscribers_is_escaped(editor: Client, mailing_list: MailingList) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    CustomField.objects.create(mailing_list=mailing_list, key="city", label=hostile)
    ada()
    Subscriber.objects.update(address=f"{hostile}@example.org")
    data = form_data(editor.get(ADD))
    answer = submit(editor, ADD, data, name=hostile, what="field:city", comparison="is", value=hostile, update="1")
    answer = submit(editor, ADD, form_data(answer), value=hostile, update="1")
    assert b"<img" not in answer.content
    sample = submit(editor, ADD, data, update="1")
    assert b"<img" not in sample.content
    assert "onerror" in words(sample)


def test_a_name_is_used_once_per_list(editor: Client, mailing_list: MailingList) -> None:
    segment_of(mailing_list)
    answer = submit(editor, ADD, form_data(editor.get(ADD)), name="Active", save="1")
    assert "already exists" in words(answer)
    for name in ("", "a\u202eb", "x" * 101):
        assert "The segment is not saved" in words(submit(editor, ADD, form_data(editor.get(ADD)), name=name, save="1"))
    assert Segment.objects.count() == 1


def test_a_segment_is_duplicated_with_its_rules(editor: Client, mailing_list: MailingList) -> None:
    segment = segment_of(mailing_list)
    url = f"{ADD}?copy={segment.pk}"
    submit(editor, url, form_data(editor.get(url)), save="1")
    copy = Segment.objects.exclude(pk=segment.pk).get()
    assert (copy.name, copy.rules) == ("Copy of Active", segment.rules)


def test_without_permission_to_change_the_page_is_read_only(
    signed_in: Callable[..., Client], mailing_list: MailingList
) -> None:
    ada()
    segment = segment_of(mailing_list)
    lou, url = signed_in("view_segment"), f"/admin/subscribers/segment/{segment.pk}/change/"
    page = lou.get(url)
    tree = lxml_html.fromstring(page.content.decode())
    assert tree.xpath("//fieldset[@disabled]//select")
    assert not tree.xpath("//main//button")
    assert "1 subscriber" in words(page)
    assert lou.post(url, {"save": "1"}).status_code == 403
    assert lou.get(ADD).status_code == 403
    assert lou.get(f"/admin/subscribers/segment/{segment.pk}/delete/").status_code == 403


def test_addresses_are_shown_only_to_who_may_see_subscribers(
    signed_in: Callable[..., Client], mailing_list: MailingList
) -> None:
    member = SegmentPick.objects.create(segment=segment_of(mailing_list, is_picked=True), subscription=ada())
    lou = signed_in("add_segment", "change_segment", "view_segment")
    counted = submit(lou, ADD, form_data(lou.get(ADD)), update="1")
    assert "1 subscriber" in words(counted)
    picked = lou.get(f"/admin/subscribers/segment/{member.segment_id}/change/")
    for page in (counted, picked):
        assert "ada@example.org" not in words(page)


def test_who_may_not_see_addresses_gets_masked_ones(
    signed_in: Callable[..., Client], mailing_list: MailingList
) -> None:
    member = SegmentPick.objects.create(segment=segment_of(mailing_list, is_picked=True), subscription=ada())
    lou = signed_in("add_segment", "change_segment", "view_segment", "view_subscriber")
    counted = submit(lou, ADD, form_data(lou.get(ADD)), update="1")
    picked = lou.get(f"/admin/subscribers/segment/{member.segment_id}/change/")
    for page in (counted, picked):
        assert masked("ada@example.org") in words(page)
        assert "ada@example.org" not in page.content.decode()


def test_staff_without_permission_get_no_fragment(signed_in: Callable[..., Client], mailing_list: MailingList) -> None:
    body = {"mailing_list": mailing_list.pk, "part": ["group", "end"], "match": "all"}
    assert signed_in("view_subscriber").post(PREVIEW, body).status_code == 403


def test_subscriptions_of_a_picked_segment_are_listed_and_removed(editor: Client, mailing_list: MailingList) -> None:
    url = f"{ADD}?picked=1"
    submit(editor, url, form_data(editor.get(url)), name="Friends", save="1")
    segment = Segment.objects.get(is_picked=True)
    picks = [SegmentPick.objects.create(segment=segment, subscription=each) for each in (ada(), ben())]
    page = f"/admin/subscribers/segment/{segment.pk}/change/"
    assert "ada@example.org" in words(editor.get(page))
    answer = editor.post(page, {"picked": [str(picks[0].pk), "x", "9" * 30], "remove": "1"}, follow=True)
    assert "1 subscriber was removed." in words(answer)
    assert list(segment.picks.all()) == [picks[1]]
    assert Subscription.objects.count() == 2
    renamed = editor.post(page, {"name": "Best friends", "mailing_list": mailing_list.pk, "save": "1"}, follow=True)
    assert "The segment “Best friends” is saved." in words(renamed)


def test_many_picked_subscriptions_are_on_several_pages(
    editor: Client, mailing_list: MailingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subscribers.admin.segments.PICKED_PER_PAGE", 1)
    segment = segment_of(mailing_list, is_picked=True)
    for each in (ada(), ben()):
        SegmentPick.objects.create(segment=segment, subscription=each)
    url = f"/admin/subscribers/segment/{segment.pk}/change/"
    first = editor.get(url)
    (link,) = lxml_html.fromstring(first.content.decode()).xpath("//a[contains(@href, '?after=')]/@href")
    assert "ada@example.org" in words(first)
    assert "ben@example.org" not in words(first)
    second = words(editor.get(url + link))
    assert "ben@example.org" in second
    assert "ada@example.org" not in second


@pytest.fixture
def used_by_a_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """A use of every segment."""
    monkeypatch.setattr(uses, "_FINDERS", [])
    register_uses(lambda segment: [Use("Winter special", "excluded", "/admin/newsletter/issue/1/change/")])


def test_what_uses_a_segment_is_said_on_its_page_when_saving_and_before_deleting(
    editor: Client, mailing_list: MailingList, used_by_a_send: None
) -> None:
    segment = segment_of(mailing_list)
    url = f"/admin/subscribers/segment/{segment.pk}/change/"
    page = editor.get(url)
    assert "Winter special : excluded" in words(page) or "Winter special: excluded" in words(page)
    saved = submit(editor, url, form_data(page), save="1", follow=True)
    assert "This changes the audience of: Winter special." in words(saved)
    delete = f"/admin/subscribers/segment/{segment.pk}/delete/"
    assert "It is used by “Winter special”" in words(editor.get(delete))
    assert Segment.objects.filter(pk=segment.pk).exists()
    assert "“Active” was deleted." in words(editor.post(delete, {"confirmed": "1"}, follow=True))
    assert not Segment.objects.filter(pk=segment.pk).exists()


def test_deleting_a_picked_segment_names_the_segments_whose_rules_name_it(
    editor: Client, mailing_list: MailingList
) -> None:
    picked = segment_of(mailing_list, is_picked=True, name="Friends")
    rule = {"kind": "picked", "field": "", "comparison": "not_in", "value": str(picked.pk)}
    segment_of(mailing_list, name="Strangers", rules={"match": "all", "rules": [rule]})
    assert "“Strangers” name it" in words(editor.get(f"/admin/subscribers/segment/{picked.pk}/delete/"))
    assert "Strangers" in words(editor.get(f"/admin/subscribers/segment/{picked.pk}/change/"))


def test_without_a_list_there_is_no_segment(editor: Client) -> None:
    assert "Create a newsletter first" in words(editor.get(ADD, follow=True))
    assert reverse("admin:subscribers_segment_changelist") == LIST
