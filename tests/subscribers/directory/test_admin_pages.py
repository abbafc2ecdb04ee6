"""The list of subscribers, the page of each, and their actions in the admin."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from lxml import html  # type: ignore[import-untyped]

from subscribers.admin import bulk_actions
from subscribers.consent import actions, frequency, preferences
from subscribers.directory import bulk
from subscribers.directory.edit import tag_names_of
from subscribers.models import (
    BulkAction,
    Change,
    Consent,
    ConsentKind,
    CustomField,
    Evidence,
    FieldKind,
    Frequency,
    Note,
    Segment,
    Subscriber,
    Subscription,
    Tag,
    Topic,
    TopicOptOut,
    TransactionalMail,
)
from subscribers.models import SubscriptionState as State
from subscribers.models import SuppressionReason as Reason
from subscribers.profile.fields import values_of
from subscribers.profile.tags import add_tag, get_tags
from subscribers.suppression import get_suppression, suppress_addresses
from tests.people import ADA, BEN, CLEO, FINN, ada, ben, cleo, dina, finn, make_mailing_list, make_subscriptions

pytestmark = pytest.mark.django_db

LIST = "/admin/subscribers/subscriber/"


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def viewer(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("leo", password="a long password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return str(response.content.decode())


def page_of(subscriber: Subscriber, name: str = "change") -> str:
    return reverse(f"admin:subscribers_subscriber_{name}", args=[subscriber.pk])


def shown(client: Client, **query: str | int) -> list[str]:
    page = html.fromstring(text_of(client.get(LIST, query)))
    return [str(each.text_content()) for each in page.xpath("//table[@class='subscribers']/tbody//th/a")]


# The list


def test_the_list_shows_states_tags_source_and_the_date_of_joining(editor: Client) -> None:
    subscription = finn()
    Subscription.objects.filter(pk=subscription.pk).update(source="archive", created_at="2026-05-31T12:00:00Z")
    (tag,) = get_tags(subscription.mailing_list, ["patron"])
    add_tag(tag, Subscription.objects.all(), by="ida")
    words = " ".join(
        html.fromstring(text_of(editor.get(LIST))).xpath("//table[@class='subscribers']")[0].text_content().split()
    )
    for word in (FINN, "Paused", "until", "patron", "archive", "2026-05-31"):
        assert word in words


def test_a_subscriber_is_found_by_a_part_of_the_address_or_name(editor: Client) -> None:
    ada()
    Subscriber.objects.filter(pk=ben().subscriber_id).update(first_name="Benedikta")
    assert shown(editor, q="ada@") == [ADA]
    assert shown(editor, q="DIKTA") == [BEN]
    assert "No subscriber matches." in text_of(editor.get(LIST, {"q": "nobody"}))


def test_list_and_state_are_of_the_same_subscription(editor: Client) -> None:
    here, there = make_mailing_list(), make_mailing_list("tide-tables", name="Tide Tables")
    cleo(here)
    Subscription.objects.create(
        subscriber=Subscriber.objects.get(), mailing_list=there, state=State.ACTIVE, confirmed_at=timezone.now()
    )
    ada(here)
    assert shown(editor, list=here.pk, state="active") == [ADA]
    assert shown(editor, list=there.pk, state="active") == [CLEO]
    assert shown(editor, list=here.pk) == [ADA, CLEO]


def test_the_other_filters_find_their_subscribers(editor: Client) -> None:
    tagged, sourced, picked, paused = ada(), ben(), cleo(), finn()
    (tag,) = get_tags(tagged.mailing_list, ["patron"])
    add_tag(tag, Subscription.objects.filter(pk=tagged.pk), by="ida")
    Subscription.objects.filter(pk=sourced.pk).update(source="archive")
    segment = Segment.objects.create(mailing_list=picked.mailing_list, name="Jury", is_picked=True)
    segment.picks.create(subscription=picked)
    assert shown(editor, tag=tag.pk) == [ADA]
    assert shown(editor, source="archive") == [BEN]
    assert shown(editor, source="-", state="active") == [FINN, ADA]
    assert shown(editor, segment=segment.pk) == [CLEO]
    assert shown(editor, state="paused") == [paused.subscriber.address]
    page = text_of(editor.get(f"{LIST}?tag={tag.pk}&state=active"))
    chips = html.fromstring(page).xpath("//ul[@class='chips']//a/@href")
    assert f"{LIST}?tag={tag.pk}" in chips
    assert f"{LIST}?state=active" in chips


def test_a_filter_by_a_deleted_segment_says_so(editor: Client) -> None:
    ada()
    assert "The segment was deleted." in text_of(editor.get(LIST, {"segment": 99}))


@pytest.mark.parametrize(
    "query", ["state=x", "list=x", "tag=²", "before=x", "canonical__regex=(", "q=%00", "state=active&state=active"]
)
def test_a_query_that_no_page_has_is_refused(editor: Client, query: str) -> None:
    assert editor.get(f"{LIST}?{query}").status_code == 400


def test_pages_follow_the_key_without_counting_them(editor: Client) -> None:
    make_subscriptions(30)
    first = html.fromstring(text_of(editor.get(LIST)))
    assert "30 subscribers, 25 shown" in first.text_content()
    (link,) = first.xpath("//a[@rel='next']/@href")
    with CaptureQueriesContext(connection) as queries:
        second = html.fromstring(text_of(editor.get(link)))
    assert [str(each.text) for each in second.xpath("//table[@class='subscribers']/tbody//th/a")] == [
        f"reader-{number}@example.org" for number in range(5, 0, -1)
    ]
    assert not second.xpath("//a[@rel='next']")
    assert not [each for each in queries if "OFFSET" in each["sql"]]


def test_a_page_of_the_list_is_small(editor: Client) -> None:
    make_subscriptions(30)
    page = text_of(editor.get(LIST))
    assert len(page.encode()) < 40_000
    assert len(html.fromstring(page).xpath("//*")) < 700


# Without the right to personal data


def test_without_the_right_addresses_are_masked_and_found_as_a_whole_only(client: Client) -> None:
    leo = viewer(client, "view_subscriber", "change_subscriber", "export_subscriber")
    subscriber = ada().subscriber
    actions.unsubscribe(Subscription.objects.get().key, Evidence(form="one-click", ip="192.0.2.7"))
    Note.objects.create(subscriber=subscriber, text="A good friend.", by="ida")
    assert shown(leo) == ["a•••@example.org"]
    assert shown(leo, q="ada@") == []
    assert shown(leo, q=ADA) == ["a•••@example.org"]
    for name in ("change", "edit", "unsubscribe"):
        page = text_of(leo.get(page_of(subscriber, name), follow=True))
        assert ADA not in page
        assert "192.0.2.7" not in page
    assert leo.get(page_of(subscriber, "merge")).status_code == 403
    assert leo.get(f"{LIST}export/").status_code == 403


def test_those_who_may_only_look_can_change_nothing(client: Client) -> None:
    leo = viewer(client, "view_subscriber", "view_personal_data")
    subscriber = ada().subscriber
    assert "Unsubscribe" not in text_of(leo.get(page_of(subscriber)))
    names = ("edit", "merge", "pause", "unsubscribe", "suppress", "lift")
    assert {leo.post(page_of(subscriber, name), {"words": "x"}).status_code for name in names} == {403}
    posts = ("note", "send_link", "resume", "allow_signups")
    assert {leo.post(page_of(subscriber, name), {"text": "x"}).status_code for name in posts} == {403}
    assert leo.get(f"{LIST}actions/unsubscribe/").status_code == 403
    assert leo.get(reverse("admin:subscribers_subscriber_add")).status_code == 403
    answer = leo.post(LIST, {"action": "unsubscribe", "everyone": "1"})
    assert answer.status_code == 400
    assert Subscription.objects.get().state == State.ACTIVE


def test_who_may_not_see_subscribers_sees_no_page(client: Client) -> None:
    leo = viewer(client)
    subscriber = ada().subscriber
    for url in (LIST, page_of(subscriber), page_of(subscriber, "edit"), f"{LIST}actions/progress/"):
        assert leo.get(url).status_code == 403


# Actions on a selection


def test_chosen_rows_are_tagged_after_a_page_that_says_how_many(editor: Client) -> None:
    ada(), ben(), cleo()
    keys = [str(pk) for pk in Subscriber.objects.order_by("pk").values_list("pk", flat=True)[:2]]
    answer: Any = editor.post(LIST, {"action": "add_tag", "_selected_action": keys})
    assert "The tag is added to 2 subscribers." in text_of(editor.get(answer.url))
    done = editor.post(answer.url, {"mailing_list": make_mailing_list().pk, "name": "patron"}, follow=True)
    assert "The tag “patron” was added to 2 subscriptions." in text_of(done)
    assert Change.objects.filter(kind="tag_added").count() == 2


def test_all_that_match_are_unsubscribed(editor: Client) -> None:
    make_subscriptions(30)
    cleo()
    answer: Any = editor.post(f"{LIST}?state=active", {"action": "unsubscribe", "everyone": "1"})
    page = text_of(editor.get(answer.url))
    assert "This ends subscriptions of 30 subscribers" in page
    assert "Only subscriptions that match the filter end." in page
    assert "30 subscriptions have ended." in text_of(editor.post(answer.url, {"words": "closed"}, follow=True))
    assert Consent.objects.filter(kind=ConsentKind.UNSUBSCRIBED, by="ida", detail="closed").count() == 30


def test_a_large_action_shows_its_progress_and_can_be_cancelled(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    make_subscriptions(5)
    page = editor.post(f"{LIST}actions/suppress/", {"words": "role accounts"}, follow=True)
    assert "is running in the background" in text_of(page)
    bulk.run_bulk_actions()
    progress = editor.get(f"{LIST}actions/progress/")
    assert "2 of 5 subscribers done" in " ".join(text_of(progress).split())
    assert editor.get(f"{LIST}actions/progress/", headers={"If-None-Match": progress["ETag"]}).status_code == 304
    cancelled = editor.post(f"{LIST}actions/{BulkAction.objects.get().pk}/cancel/", follow=True)
    assert "Cancelled. 2 addresses are suppressed." in text_of(cancelled)
    assert not bulk.run_bulk_actions()


def test_the_result_of_an_action_in_the_background_is_shown_when_it_is_over(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    monkeypatch.setattr(bulk_actions, "AT_ONCE", 1)
    mailing_list = make_subscriptions(3)[0].mailing_list
    for name in ("patron", "press"):
        editor.post(f"{LIST}actions/add_tag/", {"mailing_list": mailing_list.pk, "name": name})
    Tag.objects.get(name="press").delete()
    while bulk.run_bulk_actions():
        pass
    page = text_of(editor.get(LIST))
    assert "The tag “patron” was added to 3 subscriptions." in page
    assert "“Add tag” failed: The tag was deleted." in page


def test_a_tag_with_a_comma_is_refused_and_an_imported_one_is_kept(editor: Client) -> None:
    subscription = ada()
    mailing_list = subscription.mailing_list
    body = {"mailing_list": mailing_list.pk, "name": "Berlin, Mitte"}
    refused = text_of(editor.post(f"{LIST}actions/add_tag/?keys={subscription.subscriber_id}", body))
    assert "A tag cannot contain a comma" in refused
    assert not Tag.objects.exists()
    # Other tools separate tags by other signs.
    for tag in get_tags(mailing_list, ["Berlin, Mitte", "press"]):
        add_tag(tag, Subscription.objects.all(), by="ida")
    url = page_of(subscription.subscriber, "edit")
    (form,) = html.fromstring(text_of(editor.get(url))).xpath("//form[@class='narrow']")
    editor.post(url, {**dict(form.form_values()), f"list-{mailing_list.pk}-tags": "press, vip"})
    assert tag_names_of(subscription) == ["Berlin, Mitte", "press", "vip"]


def test_a_reason_is_required_for_suppressing_many(editor: Client) -> None:
    subscription = ada()
    assert "This field is required." in text_of(editor.post(f"{LIST}actions/suppress/", {"words": " "}))
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE


def test_nothing_is_added_to_a_segment_with_rules(editor: Client) -> None:
    segment = Segment.objects.create(mailing_list=ada().mailing_list, name="Jury")
    form = {"mailing_list": segment.mailing_list_id, "name": "Jury"}
    assert "found by rules" in text_of(editor.post(f"{LIST}actions/add_to_segment/", form))
    form["name"] = "Guests"
    answer = editor.post(f"{LIST}actions/add_to_segment/", form, follow=True)
    assert "1 subscription was added to the segment “Guests”." in text_of(answer)


def test_an_action_without_a_selection_asks_for_one(editor: Client) -> None:
    ada()
    assert "Select subscribers first" in text_of(editor.post(LIST, {"action": "unsubscribe"}, follow=True))


# The page of one subscriber


def test_the_timeline_has_everything_in_order_and_can_be_filtered(editor: Client) -> None:
    subscription = ada()
    actions.unsubscribe(subscription.key, Evidence(form="one-click", ip="192.0.2.7"))
    editor.post(page_of(subscription.subscriber, "note"), {"text": "<b>Met</b> at the fair."})
    page = text_of(editor.get(page_of(subscription.subscriber)))
    entries = [" ".join(each.text_content().split()) for each in html.fromstring(page).xpath("//ol/li")]
    assert "Note by ida" in entries[0]
    assert "<b>Met</b> at the fair." in entries[0]
    assert "One-click unsubscribe of the mail program · 192.0.2.7" in entries[1]
    for show, expected in (("consent", 1), ("change", 1), ("mail", 0), ("", 2)):
        page = text_of(editor.get(page_of(subscription.subscriber), {"show": show}))
        assert len(html.fromstring(page).xpath("//ol/li")) == expected
    assert editor.get(page_of(subscription.subscriber), {"show": "x"}).status_code == 400


def test_older_entries_are_loaded_below_the_others(editor: Client) -> None:
    subscriber = ada().subscriber
    Note.objects.bulk_create(Note(subscriber=subscriber, text=f"Note {number}", by="ida") for number in range(40))
    page = html.fromstring(text_of(editor.get(page_of(subscriber))))
    assert len(page.xpath("//ol/li")) == 25
    (link,) = page.xpath("//a[text()='Show older entries']/@href")
    assert link == "?entries=50#entry-26"
    older = html.fromstring(text_of(editor.get(page_of(subscriber) + link)))
    assert len(older.xpath("//ol/li")) == 40
    assert older.xpath("//li[@tabindex='-1']/@id") == ["entry-26"]


def test_a_changed_frequency_is_shown_with_the_day_on_which_it_applies(
    editor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Week:
        """A week in which an issue was sent."""

        def lock(self, mailing_list_pk: int) -> bool:
            return True

        def ends_on(self, mailing_list_pk: int) -> datetime.date:
            return datetime.date(2026, 11, 30)

    monkeypatch.setattr(frequency, "_weeks", [Week()])
    subscription = ada(make_mailing_list(offers_weekly=True))
    edit, prefix = page_of(subscription.subscriber, "edit"), f"list-{subscription.mailing_list_id}-"
    assert editor.post(edit, {f"{prefix}frequency": Frequency.WEEKLY}).status_code == 302
    page = text_of(editor.get(page_of(subscription.subscriber)))
    assert f"from {date_format(datetime.date(2026, 11, 30))} on: Once a week, all issues in one mail" in page
    # The form shows what was chosen, so that saving it again takes nothing back.
    assert re.search(r'value="weekly" selected', editor.get(edit).content.decode())


def test_a_frequency_that_the_list_does_not_offer_cannot_be_chosen(editor: Client) -> None:
    subscription = ada()
    url, prefix = page_of(subscription.subscriber, "edit"), f"list-{subscription.mailing_list_id}-"
    assert "Frequency" not in text_of(editor.get(url))
    form = {"first_name": "Ada", "time_zone": "", "language": "", f"{prefix}tags": ""}
    editor.post(url, {**form, f"{prefix}frequency": Frequency.WEEKLY})
    subscription.refresh_from_db()
    assert (subscription.subscriber.first_name, subscription.frequency) == ("Ada", Frequency.EACH)


def test_details_tags_topics_frequency_and_fields_are_edited_and_recorded(editor: Client) -> None:
    subscription = ada(make_mailing_list(offers_weekly=True))
    mailing_list = subscription.mailing_list
    CustomField.objects.create(mailing_list=mailing_list, key="boat", label="Boat", is_required=True)
    year = CustomField.objects.create(mailing_list=mailing_list, key="year", label="Year", kind=FieldKind.NUMBER)
    ships, craft = (
        Topic.objects.create(mailing_list=mailing_list, name=name, slug=name) for name in ("Ships", "Craft")
    )
    url, prefix = page_of(subscription.subscriber, "edit"), f"list-{mailing_list.pk}-"
    form = {
        "first_name": "Ada",
        "time_zone": "Europe/Berlin",
        "language": "de",
        f"{prefix}tags": "patron, press",
        f"{prefix}topics": [str(craft.pk)],
        f"{prefix}frequency": Frequency.WEEKLY,
        f"{prefix}field-boat": "Elster",
        f"{prefix}field-year": "",
    }
    assert "The changes were saved." in text_of(editor.post(url, form, follow=True))
    subscription.refresh_from_db()
    assert subscription.subscriber.first_name == "Ada"
    assert subscription.frequency == Frequency.WEEKLY
    assert [opt_out.topic for opt_out in subscription.topic_opt_outs.all()] == [ships]
    assert values_of([subscription.pk])[subscription.pk] == {"boat": "Elster"}
    recorded = sorted(Change.objects.filter(by="ida").values_list("kind", flat=True))
    expected = ["field", "frequency", "language", "name", "tag_added", "tag_added", "time_zone", "topics"]
    assert recorded == expected
    editor.post(url, form)
    assert Change.objects.count() == len(expected), "nothing has changed"
    page = text_of(editor.get(page_of(subscription.subscriber)))
    assert "Boat: – → Elster" in page
    assert "Topics changed: Ships, Craft → Craft" in page
    refused = text_of(editor.post(url, {**form, f"{prefix}field-year": "soon", "time_zone": "+01:00"}))
    assert "Enter a number, such as 12 or 3.5." in refused
    assert "is not a time zone" in refused
    assert year.values.count() == 0


def test_what_the_subscriber_chose_since_the_page_was_opened_stays(editor: Client) -> None:
    subscription = ada(make_mailing_list(offers_weekly=True))
    mailing_list = subscription.mailing_list
    ships, craft, birds = (
        Topic.objects.create(mailing_list=mailing_list, name=name, slug=name) for name in ("Ships", "Craft", "Birds")
    )
    TopicOptOut.objects.create(subscription=subscription, topic=birds)
    url = page_of(subscription.subscriber, "edit")
    (form,) = html.fromstring(text_of(editor.get(url))).xpath("//form[@class='narrow']")
    # The subscriber leaves a topic and takes the digest; then the editor, who adds another one, saves the page.
    assert preferences.set_topics(subscription.key, [craft.slug])
    assert preferences.set_frequency(subscription.key, Frequency.WEEKLY)
    posted: dict[str, list[str]] = {"first_name": ["Ada"]}
    for name, value in form.form_values():
        posted.setdefault(name, []).append(value)
    posted[f"list-{mailing_list.pk}-topics"].append(str(birds.pk))
    assert "The changes were saved." in text_of(editor.post(url, posted, follow=True))
    subscription.refresh_from_db()
    assert [opt_out.topic for opt_out in subscription.topic_opt_outs.all()] == [ships]
    assert subscription.frequency == Frequency.WEEKLY


@pytest.mark.parametrize("text", ["", "each x", "daily", "each 1", "weekly " + "9" * 40, "each  "])
def test_a_form_that_says_something_else_about_what_it_showed_is_saved_as_it_is(editor: Client, text: str) -> None:
    subscription = ada(make_mailing_list(offers_weekly=True))
    form = {
        f"list-{subscription.mailing_list_id}-{name}": value
        for name, value in (("frequency", "weekly"), ("seen", text))
    }
    editor.post(page_of(subscription.subscriber, "edit"), form)
    subscription.refresh_from_db()
    assert subscription.frequency == Frequency.WEEKLY


def test_an_editor_pauses_and_resumes(editor: Client) -> None:
    subscription = ada()
    form = {"subscriptions": [str(subscription.pk)], "weeks": "4"}
    assert "Issues are paused." in text_of(editor.post(page_of(subscription.subscriber, "pause"), form, follow=True))
    subscription.refresh_from_db()
    assert subscription.is_paused(timezone.now() + datetime.timedelta(days=27))
    page = text_of(editor.post(page_of(subscription.subscriber, "resume"), follow=True))
    assert "receives issues again" in page
    assert list(Consent.objects.order_by("pk").values_list("kind", "by")) == [("paused", "ida"), ("resumed", "ida")]


def test_an_editor_unsubscribes_from_one_list_after_a_confirmation(editor: Client) -> None:
    here, there = ada(), ada(make_mailing_list("tide-tables", name="Tide Tables"))
    url = page_of(here.subscriber, "unsubscribe")
    assert "You cannot undo this" in text_of(editor.get(url))
    answer = editor.post(url, {"subscriptions": [str(there.pk)], "words": "by phone"}, follow=True)
    assert "1 subscription has ended." in text_of(answer)
    for subscription in (here, there):
        subscription.refresh_from_db()
    assert (here.state, there.state) == (State.ACTIVE, State.UNSUBSCRIBED)
    proof = Consent.objects.get()
    assert (proof.kind, proof.form, proof.by, proof.detail) == ("unsubscribed", "admin", "ida", "by phone")


def test_an_editor_suppresses_an_address_with_a_reason(editor: Client) -> None:
    subscriber = ada().subscriber
    assert "This field is required." in text_of(editor.post(page_of(subscriber, "suppress"), {"words": ""}))
    assert "The address is suppressed." in text_of(
        editor.post(page_of(subscriber, "suppress"), {"words": "asked by letter"}, follow=True)
    )
    stored = get_suppression(ADA)
    assert stored is not None
    assert (stored.reason, stored.detail) == (Reason.MANUAL, "asked by letter")


def test_a_suppression_is_lifted_with_a_reason_only(editor: Client) -> None:
    subscription = dina()
    url = page_of(subscription.subscriber, "lift")
    assert "reported a mail as spam" in text_of(editor.get(url))
    assert "This field is required." in text_of(editor.post(url, {"words": "  "}))
    assert get_suppression(subscription.subscriber.canonical)
    page = text_of(editor.post(url, {"words": "asked us to, by phone"}, follow=True))
    assert "Its subscriptions stay ended" in page
    assert "Suppression lifted: Reported a mail as spam – asked us to, by phone" in page
    assert get_suppression(subscription.subscriber.canonical) is None
    subscription.refresh_from_db()
    assert subscription.state == State.SUPPRESSED


def test_a_preferences_link_is_mailed_to_active_subscribers_a_few_times_a_day(editor: Client) -> None:
    subscription = ada()
    url = page_of(subscription.subscriber, "send_link")
    for _number in range(3):
        assert "1 mail will be sent." in text_of(editor.post(url, follow=True))
    assert "No mail is sent" in text_of(editor.post(url, follow=True))
    mail = TransactionalMail.objects.latest("pk")
    assert mail.subject == "Your preferences: Harbour Notes"
    assert "/preferences/" in mail.text
    assert "/preferences/" not in text_of(editor.get(page_of(subscription.subscriber)))
    assert "No mail is sent" in text_of(editor.post(page_of(cleo().subscriber, "send_link"), follow=True))


def test_an_editor_can_allow_sign_ups_again_after_a_decline(editor: Client) -> None:
    subscriber = ben().subscriber
    actions.decline(Subscription.objects.get().key, Evidence(form="decline"))
    assert "This was not me" in text_of(editor.get(page_of(subscriber)))
    editor.post(page_of(subscriber, "allow_signups"))
    subscriber.refresh_from_db()
    assert subscriber.declined_at is None
    assert Subscription.objects.get().state == State.UNSUBSCRIBED


def test_two_addresses_are_merged_on_a_page_that_asks_whether_they_are_one_person(editor: Client) -> None:
    kept, merged = ada().subscriber, ben().subscriber
    url = page_of(kept, "merge")
    assert "This field is required." in text_of(editor.post(url, {"address": BEN}))
    assert "No subscriber has this address." in text_of(editor.post(url, {"address": CLEO, "is_sure": "on"}))
    assert "Enter the other address." in text_of(editor.post(url, {"address": ADA.upper(), "is_sure": "on"}))
    page = text_of(editor.post(url, {"address": BEN, "is_sure": "on"}, follow=True))
    assert "The addresses were merged." in page
    assert f"Merged with another address: {BEN}" in page
    assert merged.subscriptions.get().state == State.UNSUBSCRIBED


def test_a_suppressed_subscriber_says_why(editor: Client) -> None:
    suppress_addresses({ADA: (Reason.HARD_BOUNCE, "550 no such user")})
    page = text_of(editor.get(page_of(ada().subscriber)))
    assert "The mailbox does not exist" in page
    assert "550 no such user" in page


# Adding by hand


def add(editor: Client, address: str = "gus@example.org", **fields: str) -> str:
    form = {"mailing_list": str(make_mailing_list().pk), "address": address, "method": "confirmation", **fields}
    return text_of(editor.post(reverse("admin:subscribers_subscriber_add"), form, follow=True))


PROOF = {"method": "proof", "kind": "paper_or_event", "statement": "Signed our list at the fair, 12 May."}


def test_a_subscriber_who_is_added_gets_a_confirmation_mail(editor: Client) -> None:
    assert "A confirmation mail will be sent." in add(editor, first_name="Gus")
    subscription = Subscription.objects.get()
    assert (subscription.state, subscription.subscriber.first_name) == (State.PENDING, "Gus")
    assert TransactionalMail.objects.get().kind == "confirmation"
    assert (Consent.objects.get().form, Consent.objects.get().by) == ("admin", "ida")


def test_a_subscriber_with_proof_is_active_at_once(editor: Client) -> None:
    assert "The subscriber was added." in add(editor, **PROOF)
    assert Subscription.objects.get().state == State.ACTIVE
    consent = Consent.objects.get()
    assert consent.text is not None
    assert (consent.kind, consent.form, consent.by, consent.detail, consent.text.text) == (
        ConsentKind.IMPORTED,
        "admin",
        "ida",
        "paper_or_event",
        "Signed our list at the fair, 12 May.",
    )
    assert not TransactionalMail.objects.exists()


@pytest.mark.parametrize("missing", ["kind", "statement"])
def test_nobody_is_subscribed_at_once_without_a_whole_proof(editor: Client, missing: str) -> None:
    assert "Without a proof" in add(editor, **{**PROOF, missing: ""})
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("person", [ada, ben, cleo, dina])
def test_who_is_known_is_never_subscribed_at_once(editor: Client, person: Any) -> None:
    subscription = person()
    page = add(editor, subscription.subscriber.address, **PROOF)
    assert 'class="errorlist"' in page
    before = subscription.state
    subscription.refresh_from_db()
    assert subscription.state == before
    assert Subscription.objects.count() == 1


def test_who_declined_or_is_suppressed_is_neither_added_nor_mailed(editor: Client) -> None:
    suppress_addresses({"gus@example.org": (Reason.COMPLAINT, "")})
    actions.decline(ben().key, Evidence(form="decline"))
    for address, sentence in (("gus@example.org", "is suppressed"), (BEN, "This was not me")):
        assert sentence in add(editor, address)
        other = str(make_mailing_list("tide-tables", name="Tide Tables").pk)
        assert sentence in add(editor, address, **PROOF, mailing_list=other)
    assert not TransactionalMail.objects.exists()
    assert not Subscription.objects.filter(state=State.ACTIVE).exists()


# The other pages with addresses


@pytest.mark.parametrize("model", ["subscription", "consent", "transactionalmail"])
def test_pages_of_records_need_the_right_to_personal_data(client: Client, model: str) -> None:
    ada()
    url = reverse(f"admin:subscribers_{model}_changelist")
    leo = viewer(client, f"view_{model}", f"change_{model}")
    assert leo.get(url).status_code == 403
    User.objects.get(username="leo").user_permissions.add(Permission.objects.get(codename="view_personal_data"))
    assert leo.get(url).status_code == 200
