"""Further filters of the list, its order, and its filters as a segment."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import F
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from lxml import html  # type: ignore[import-untyped]

from subscribers.directory.as_segment import tree_of
from subscribers.directory.selection import InvalidSelection, IsNamedSource, Selection, sources
from subscribers.models import BulkAction, MailingList, Segment, SegmentPick, Subscriber, Subscription, Tag
from subscribers.models import SubscriptionState as State
from subscribers.profile.tags import add_tag
from subscribers.segments.query import segment_queryset
from tests.people import ADA, BEN, CLEO, FINN, ada, ben, cleo, finn, make_mailing_list, make_subscriptions

pytestmark = pytest.mark.django_db

LIST, ADD_FILTER, ADD_SEGMENT = (
    "/admin/subscribers/subscriber/",
    "/admin/subscribers/subscriber/filter/",
    "/admin/subscribers/segment/add/",
)
JOINED = ("joined", "", "after", "2020-01-01")


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def page_of(answer: Any) -> Any:
    assert answer.status_code == 200, answer.status_code
    return html.fromstring(answer.content.decode())


def shown(client: Client, query: str) -> list[str]:
    page = page_of(client.get(f"{LIST}?{query}"))
    return [str(each.text_content()) for each in page.xpath("//table[@class='subscribers']/tbody//th/a")]


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


# Adding a filter


def test_a_filter_is_added_step_by_step_without_a_script(editor: Client) -> None:
    ada(), ben(), cleo()
    page = page_of(editor.get(f"{LIST}?state=active"))
    (link,) = page.xpath("//a[text()='Add filter…']/@href")
    page = page_of(editor.get(link))
    assert "joined" in page.xpath("//select[@name='what']//option/@value")
    kept = {"state": "active", "what": "joined"}
    page = page_of(editor.get(ADD_FILTER, kept))
    assert page.xpath("//input[@name='value']/@type") == ["number"], "days are the usual comparison"
    hidden = page.xpath("//input[@name='shown']/@value")[0]
    # Another comparison has another control, which is shown first.
    page = page_of(editor.get(ADD_FILTER, {**kept, "comparison": "after", "value": "3", "shown": hidden}))
    assert page.xpath("//input[@name='value']/@type") == ["date"]
    hidden = page.xpath("//input[@name='shown']/@value")[0]
    answer = editor.get(ADD_FILTER, {**kept, "comparison": "after", "value": "2020-01-01", "shown": hidden})
    assert query_of(answer["Location"]) == {"state": "active", "rules": json.dumps([JOINED], separators=(",", ":"))}
    assert shown(editor, urlsplit(answer["Location"]).query) == [ADA]


def test_a_wrong_value_is_an_error_at_its_field(editor: Client) -> None:
    ada()
    data = {"what": "joined", "comparison": "after", "value": "soon", "shown": "joined/date"}
    page = page_of(editor.get(ADD_FILTER, data))
    assert page.xpath("//*[@name='value']/@aria-invalid") == ["true"]
    assert "Enter a date" in page.xpath("string(//*[@id='f-error'])")


def test_of_several_lists_one_is_chosen_first(editor: Client) -> None:
    ada(), ada(make_mailing_list("bridge-notes", name="Bridge Notes"))
    page = page_of(editor.get(ADD_FILTER))
    assert len(page.xpath("//select[@name='list']/option")) == 2
    rules = json.dumps([JOINED])
    assert "Choose a list" in page_of(editor.get(LIST, {"rules": rules})).text_content()
    assert shown(editor, f"list={make_mailing_list().pk}&rules={rules}") == [ADA]


def test_a_filter_is_shown_in_words_and_can_be_removed(editor: Client) -> None:
    ada()
    add_tag(Tag.objects.create(mailing_list=make_mailing_list(), name="Press"), Subscription.objects.all(), by="ida")
    rules = json.dumps([JOINED, ["state", "", "is", "active"]])
    page = page_of(editor.get(LIST, {"rules": rules, "state": "active"}))
    chips = {
        str(each.text_content()).split("✕")[0].strip(): each.get("href")
        for each in page.xpath("//ul[@class='chips']//a")
    }
    (joined,) = [url for label, url in chips.items() if label.startswith("Joined after")]
    assert json.loads(query_of(joined)["rules"]) == [["state", "", "is", "active"]]
    assert page.xpath("//form[@role='search']//input[@name='rules']"), "a new search keeps it"


def test_a_filter_about_a_deleted_tag_says_so_and_finds_nobody(editor: Client) -> None:
    ada()
    page = page_of(editor.get(LIST, {"rules": json.dumps([["tag", "", "is", "999"]])}))
    assert "no longer exists" in page.text_content()
    assert not page.xpath("//table[@class='subscribers']")


def test_a_bulk_action_and_its_record_keep_the_filter(editor: Client) -> None:
    ada(), ben()
    selection = Selection(rules=(JOINED,))
    assert Selection.from_json(json.loads(json.dumps(selection.to_json()))) == selection
    assert list(selection.subscribers().values_list("address", flat=True)) == [ADA]
    old = {name: value for name, value in selection.to_json().items() if name != "rules"}
    assert Selection.from_json(old) == Selection(), "records of an earlier version have no rules"
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize(
    "rules",
    [
        *("x", "{}", "[1]", '[["a"]]', '[["a","b","c",1]]', '[["state","","is","\\u0000"]]', "[" * 2000),
        *(json.dumps([JOINED] * 11), json.dumps([["a" * 400, "", "", ""]])),
    ],
)
def test_what_is_no_list_of_rules_is_refused(editor: Client, rules: str) -> None:
    assert editor.get(LIST, {"rules": rules}).status_code == 400
    assert editor.get(ADD_FILTER, {"rules": rules}).status_code == 400


@given(
    text=st.text(max_size=60) | st.recursive(st.text(max_size=9) | st.none() | st.integers(), st.lists).map(json.dumps)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        selection = Selection.from_query({"rules": text})
    except InvalidSelection:
        return
    assert Selection.from_query(dict(parse_qsl(selection.query))) == selection


# As a segment


def saved(editor: Client, query: str) -> tuple[Segment, Any]:
    """Save the filters of the list as a segment, as its form does."""
    page = page_of(editor.get(f"{LIST}?{query}"))
    (link,) = page.xpath("//a[text()='Save as segment…']/@href")
    builder = page_of(editor.get(link))
    fields = []
    for each in builder.xpath("//form[.//input[@name='part']]//*[@name]"):
        if each.tag == "select":
            chosen = each.xpath(".//option[@selected]/@value") or each.xpath("(.//option)[1]/@value")
            fields.append((each.get("name"), chosen[0]))
        elif each.tag == "input":
            fields.append((each.get("name"), each.get("value") or ""))
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    data |= {"name": ["Saved"], "save": ["1"]}
    answer = editor.post(ADD_SEGMENT, data)
    assert answer.status_code == 302, page_of(answer).text_content()
    return Segment.objects.get(name="Saved"), builder


def test_the_filters_of_the_list_become_a_segment_that_finds_the_same(editor: Client) -> None:
    subscription = ada()
    ben(), cleo(), finn()
    tag = Tag.objects.create(mailing_list=make_mailing_list(), name="Press")
    add_tag(tag, Subscription.objects.filter(pk=subscription.pk), by="ida")
    query = f"state=active&source=-&tag={tag.pk}&rules={json.dumps([JOINED])}"
    segment, _builder = saved(editor, query)
    assert list(segment_queryset(segment)) == [subscription]
    assert len(segment.rules["rules"]) == 4


@pytest.mark.parametrize(
    ("query", "expected"),
    [("state=paused", {FINN}), ("source=-", {ADA, BEN, CLEO, FINN}), ("state=unsubscribed", {CLEO})],
)
def test_each_filter_has_its_rule(query: str, expected: set[str]) -> None:
    ada(), ben(), cleo(), finn()
    selection = Selection.from_query(dict(parse_qsl(query)))
    tree, sentences = tree_of(selection)
    segment = Segment(mailing_list=make_mailing_list(), rules=tree)
    assert set(segment_queryset(segment).values_list("subscriber__address", flat=True)) == expected
    assert not sentences


def test_a_segment_in_the_filter_is_copied_and_a_picked_one_is_named() -> None:
    subscription, mailing_list = ada(), make_mailing_list()
    ben()
    active = {"kind": "state", "field": "", "comparison": "is", "value": "active"}
    stored = Segment.objects.create(mailing_list=mailing_list, name="Active", rules={"match": "all", "rules": [active]})
    either = Segment.objects.create(mailing_list=mailing_list, name="Any", rules={"match": "any", "rules": [active]})
    picked = Segment.objects.create(mailing_list=mailing_list, name="Picked", is_picked=True)
    SegmentPick.objects.create(segment=picked, subscription=subscription)
    for segment in (stored, either, picked):
        tree, _sentences = tree_of(Selection(segment=segment.pk))
        assert list(segment_queryset(Segment(mailing_list=mailing_list, rules=tree))) == [subscription]
    assert tree_of(Selection(segment=stored.pk))[0] == stored.rules


def test_the_search_text_is_left_out_and_the_page_says_so(editor: Client) -> None:
    ada()
    _segment, builder = saved(editor, "q=ada&state=active")
    assert "The search text is left out" in builder.text_content()


def test_filters_that_name_no_list_ask_to_check_it(editor: Client) -> None:
    ada(), ada(make_mailing_list("bridge-notes", name="Bridge Notes"))
    page = page_of(editor.get(f"{ADD_SEGMENT}?filters=1&state=active"))
    assert "The filters name no list" in page.text_content()
    page = page_of(editor.get(f"{ADD_SEGMENT}?filters=1&list={make_mailing_list().pk}"))
    assert "The filters name no list" not in page.text_content()
    assert editor.get(f"{ADD_SEGMENT}?filters=1&state=nonsense").status_code == 400


def test_without_the_right_to_add_segments_there_is_no_button(client: Client) -> None:
    leo = User.objects.create_user("leo", is_staff=True)
    leo.user_permissions.set(Permission.objects.filter(codename__in=("view_subscriber", "view_personal_data")))
    client.force_login(leo)
    ada()
    assert "Save as segment…" not in client.get(f"{LIST}?state=active").content.decode()
    assert client.get(f"{ADD_SEGMENT}?filters=1&state=active").status_code == 403


# Order


def walked(client: Client, query: str) -> list[str]:
    """The addresses of all pages."""
    found, url = [], f"{LIST}?{query}"
    while url:
        page = page_of(client.get(url))
        found += [str(each.text_content()) for each in page.xpath("//table[@class='subscribers']/tbody//th/a")]
        url = "".join(page.xpath("//a[@rel='next']/@href"))
        assert "@" not in url
    return found


@pytest.mark.parametrize(
    ("order", "column"),
    [("", "-pk"), ("-joined", "-pk"), ("joined", "pk"), ("address", "canonical"), ("-address", "-canonical")],
)
def test_the_list_is_sorted_by_columns_with_an_index(editor: Client, order: str, column: str) -> None:
    make_subscriptions(60)
    expected = list(Subscriber.objects.order_by(column).values_list("address", flat=True))
    assert walked(editor, f"o={order}&state=active") == expected


def test_the_heads_of_columns_sort_and_say_how(editor: Client) -> None:
    ada()
    page = page_of(editor.get(f"{LIST}?state=active"))
    assert page.xpath("//th[@aria-sort]/a/text()") == ["Joined"]
    (url,) = page.xpath("//thead//a[text()='Subscriber']/@href")
    page = page_of(editor.get(url))
    assert page.xpath("//th[@aria-sort='ascending']/a/text()") == ["Subscriber"]
    (back,) = page.xpath("//thead//a[text()='Subscriber']/@href")
    assert query_of(back) == {"state": "active", "o": "-address"}


def test_other_orders_are_refused(editor: Client) -> None:
    for order in ("first_name", "state", "-", "canonical", "1"):
        assert editor.get(LIST, {"o": order}).status_code == 400


def test_who_may_not_see_addresses_cannot_sort_by_them(client: Client) -> None:
    leo = User.objects.create_user("leo", is_staff=True)
    leo.user_permissions.set(Permission.objects.filter(codename="view_subscriber"))
    client.force_login(leo)
    ada()
    assert client.get(LIST, {"o": "address"}).status_code == 400
    assert not page_of(client.get(LIST)).xpath("//thead//a[text()='Subscriber']")
    assert MailingList.objects.count() == 1
    assert Subscription.objects.get().state == State.ACTIVE


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL knows values of parameters when it plans")
def test_sources_are_read_from_their_index_which_has_a_condition(editor: Client) -> None:
    ada(), make_subscriptions(3)
    Subscription.objects.filter(subscriber__address=ADA).update(source="archive")
    assert sources() == ["archive"]
    for named in (Subscription.objects.filter(IsNamedSource(F("source"))), Selection(source="archive").subscriptions()):
        assert "subscription_by_source" in named.order_by("source").explain()
    assert shown(editor, "source=archive") == [ADA]
