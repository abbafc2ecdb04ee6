"""The preferences page: every part is a form of its own, nothing personal is shown, and each change is recorded."""

from __future__ import annotations

import datetime
import html
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter.models import Newsletter
from newsletter.models.newsletter import ConsentMode
from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in, frequency, preferences
from subscribers.consent.address_change import request_change
from subscribers.consent.data_requests import MAX_LINKS_PER_DAY, send_link
from subscribers.consent.sunset import ask_to_stay
from subscribers.consent.tokens import LinkSigner, Purpose, confirm_url, preferences_url
from subscribers.models import (
    AddressChange,
    Change,
    ChangeKind,
    Consent,
    ConsentKind,
    CustomField,
    DataRequest,
    DataRequestKind,
    Evidence,
    FieldAsked,
    FieldKind,
    FieldValue,
    Frequency,
    MailingList,
    Subscriber,
    Subscription,
    Topic,
    TopicOptOut,
    TransactionalMail,
    record_consents,
)
from subscribers.models import SubscriptionState as State
from subscribers.profile.fields import Value, set_values, values_of
from subscribers.web.preferences import ACTIONS
from tests.people import ADA, ada, ben, cleo, dina, emil, finn, make_mailing_list, make_subscription
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

SITE = "http://127.0.0.1:8000"
HERE = Evidence(form="test")


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def path_of(subscription: Subscription) -> str:
    return preferences_url(subscription.key).removeprefix(SITE)


def shown(client: Client, path: str) -> str:
    return html.unescape(client.get(path).content.decode())


def saved(client: Client, path: str, action: str, **fields: Any) -> str:
    """The page after a button was pressed that stores something."""
    answer = client.post(path, {"action": action, **fields})
    assert answer.status_code == 303
    return shown(client, answer["Location"])


def refused(client: Client, path: str, action: str, **fields: Any) -> str:
    """The page after a button was pressed that stores nothing."""
    answer = client.post(path, {"action": action, **fields})
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def changes(kind: ChangeKind) -> list[dict[str, Any]]:
    rows = Change.objects.filter(kind=kind, by="").order_by("pk")
    return [row.values for row in rows]


def rows() -> list[object]:
    """All rows that the page could change."""
    models = (
        Subscriber, Subscription, Consent, Change, TopicOptOut, FieldValue, AddressChange, DataRequest,
        TransactionalMail,
    )  # fmt: skip
    return [list(model._default_manager.order_by("pk").values()) for model in models]


# --- What is stored -------------------------------------------------------------------------------------------------


def test_the_page_says_what_is_stored_and_where_it_came_from(client: Client) -> None:
    gus = double_opt_in.request_subscription(make_mailing_list(), parse_address("gus@example.org"), HERE)
    assert gus is double_opt_in.RequestResult.CONFIRMATION
    subscription = Subscription.objects.get()
    confirm = confirm_url(subscription.key, 1).removeprefix(SITE)
    client.post(confirm, {"action": "confirm", "first_name": "Augusta"})
    Subscription.objects.update(
        source="spring-fair", confirmed_at=datetime.datetime(2026, 2, 2, 12, tzinfo=datetime.UTC)
    )
    Subscriber.objects.update(time_zone="Europe/Berlin", language="de")
    Subscriber.objects.update(language="en")
    page = re.sub(r"\s+", " ", shown(client, path_of(subscription)))
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    proof = facts.pop("Proof")
    assert re.match("Berlin \\(UTC\\+[12]\\)", facts.pop("Time zone"))
    assert facts == {
        "Address": "g•••@example.org",
        "First name": "A•••",
        "Language": "English",
        "Subscribed": "2 February 2026",
        "Signed up on": "spring-fair",
    }
    assert re.fullmatch(r"You confirmed on \d+ \w+ \d{4}, by the link in a mail\.", proof)


def test_an_import_is_named_as_the_origin(client: Client) -> None:
    subscription = ada()
    record_consents(ConsentKind.IMPORTED, [subscription], Evidence(form="import", by="idabell", detail="A secret."))
    page = shown(client, path_of(subscription))
    assert "<dt>Signed up on</dt><dd>Import</dd>" in page
    assert re.search(r"Imported on \d+ \w+ \d{4}, with a proof of your consent\.", page)
    assert "secret" not in page
    assert "idabell" not in page


def test_nothing_is_said_to_be_stored_that_is_not(client: Client) -> None:
    page = shown(client, path_of(ada()))
    assert "<dt>First name</dt><dd>not stored</dd>" in page
    assert "<dt>Time zone</dt><dd>not stored</dd>" in page
    assert "Delete stored name" not in page
    assert "<dt>Proof</dt>" not in page


def personal_fields(subscription: Subscription) -> None:
    """A field of each type with a value, and a name."""
    Subscriber.objects.update(first_name="Zebulon")
    values: dict[FieldKind, Value] = {
        FieldKind.TEXT: "Quay Street 4",
        FieldKind.NUMBER: Decimal("4711"),
        FieldKind.DATE: datetime.date(1961, 12, 24),
        FieldKind.YES_NO: True,
        FieldKind.CHOICE: "Sloop",
        FieldKind.CHOICES: ("Mast", "Hull"),
    }
    for position, (kind, value) in enumerate(values.items()):
        field = CustomField.objects.create(
            mailing_list=subscription.mailing_list, key=f"f_{kind}", label=f"Your {kind}", kind=kind,
            options=["Ketch", "Sloop", "Mast", "Hull"], position=position,
        )  # fmt: skip
        set_values(subscription, {field: value}, by="ida")


@pytest.mark.parametrize("person", [ada, ben, cleo, dina, emil, finn])
def test_a_forwarded_mail_gives_away_no_address_name_or_text(
    client: Client, person: Callable[[], Subscription]
) -> None:
    subscription = person()
    personal_fields(subscription)
    path = path_of(subscription)
    pages = [shown(client, path)]
    for action in ACTIONS:
        answer = client.post(path, {"action": action, "first_name": "<b>", "email": "x", "weeks": "0"}, follow=True)
        pages.append(html.unescape(answer.content.decode()))
    Subscriber.objects.update(first_name="Zebulon")
    for page in pages:
        for secret in (subscription.subscriber.address, "Zebulon", "Quay Street", "4711", "1961"):
            assert secret not in page.replace("4 Quay Street, 20457", "")


def test_values_that_are_one_of_a_few_are_shown_and_others_are_masked(client: Client) -> None:
    subscription = ada()
    personal_fields(subscription)
    page = shown(client, path_of(subscription))
    assert "<dt>Your text</dt><dd>Q•••</dd>" in page
    assert "<dt>Your number</dt><dd>•••</dd>" in page
    assert "<dt>Your choices</dt><dd>Mast, Hull</dd>" in page
    assert '<option value="Sloop" selected>' in page
    assert "Stored: Q•••. Leave the field empty to keep it." in page


def test_fields_that_only_editors_may_change_are_not_on_the_page(client: Client) -> None:
    subscription = ada()
    CustomField.objects.create(
        mailing_list=subscription.mailing_list, key="score", label="Lead score", is_editable=False
    )
    assert "Lead score" not in shown(client, path_of(subscription))


# --- Name, zone and language ----------------------------------------------------------------------------------------


def test_a_name_is_masked_and_each_change_of_it_is_recorded(client: Client) -> None:
    path = path_of(ada())
    assert "A•••" in saved(client, path, "name", first_name="Augusta")
    saved(client, path, "delete-name")
    assert changes(ChangeKind.NAME) == [{"from": "", "to": "Augusta"}, {"from": "Augusta", "to": ""}]


def test_saving_what_is_stored_already_records_nothing(client: Client) -> None:
    path = path_of(ada())
    for _ in range(2):
        saved(client, path, "zone", time_zone="Asia/Tokyo")
        saved(client, path, "language", language="en")
    assert Change.objects.count() == 2


def test_the_chosen_language_is_that_of_pages_and_mails(client: Client) -> None:
    subscription = ada()
    path = path_of(subscription)
    answer = client.post(path, {"action": "language", "language": "de"}, follow=True)
    assert answer["Content-Language"] == "de"
    assert client.get(path)["Content-Language"] == "de"
    assert '<option value="de" lang="de" selected>' in client.get(path).content.decode()
    send_link(subscription.key, DataRequestKind.ACCESS)
    assert '<html lang="de"' in TransactionalMail.objects.get().html
    assert changes(ChangeKind.LANGUAGE) == [{"from": "", "to": "de"}]
    client.post(path, {"action": "pause", "weeks": "2"})
    assert Consent.objects.get().language == "de"


@pytest.mark.parametrize("language", ["", "xx", "it", "\x00", "de,en"])
def test_a_language_that_is_not_offered_is_refused(client: Client, language: str) -> None:
    page = refused(client, path_of(ada()), "language", language=language)
    assert 'href="#language"' in page
    assert "Choose a language from the list." in page
    assert Subscriber.objects.get().language == ""


def test_the_confirmation_text_is_in_the_language_of_the_page(client: Client) -> None:
    subscription = ben()
    Subscriber.objects.update(language="de")
    path = confirm_url(subscription.key, 1).removeprefix(SITE)
    page = shown(client, path)
    client.post(path, {"action": "confirm"})
    proof = Consent.objects.get(kind=ConsentKind.CONFIRMED)
    assert proof.text is not None
    assert (proof.language, proof.text.text in page) == ("de", True)


# --- Topics and frequency -------------------------------------------------------------------------------------------


@pytest.fixture
def topics() -> list[Topic]:
    return [
        Topic.objects.create(mailing_list=make_mailing_list(), name=name, slug=name.lower(), description=f"All {name}.")
        for name in ("Ships", "Weather", "Trade")
    ]


def opted_out() -> set[str]:
    return set(TopicOptOut.objects.values_list("topic__name", flat=True))


def test_topics_are_chosen_by_check_boxes(client: Client, topics: list[Topic]) -> None:
    path = path_of(ada())
    page = shown(client, path)
    assert page.count('name="topics"') == len(re.findall(r'name="topics" value="\w+" checked', page)) == 3
    assert "All Weather." in page
    page = saved(client, path, "topics", topics=[topics[0].slug, topics[2].slug])
    assert "You receive issues about the topics that you have chosen." in page
    assert opted_out() == {"Weather"}
    assert f'value="{topics[1].slug}">' in page
    saved(client, path, "topics", topics=[topics[1].slug])
    assert opted_out() == {"Ships", "Trade"}
    assert changes(ChangeKind.TOPICS) == [
        {"from": ["Ships", "Weather", "Trade"], "to": ["Ships", "Trade"]},
        {"from": ["Ships", "Trade"], "to": ["Weather"]},
    ]


def test_a_topic_that_is_made_later_is_chosen(client: Client, topics: list[Topic]) -> None:
    path = path_of(ada())
    saved(client, path, "topics", topics=[topics[0].slug])
    later = Topic.objects.create(mailing_list=make_mailing_list(), name="Craft", slug="craft")
    assert f'value="{later.slug}" checked' in shown(client, path)


def test_no_topic_at_all_is_refused_and_the_page_says_what_to_do(client: Client, topics: list[Topic]) -> None:
    page = refused(client, path_of(ada()), "topics")
    assert "To get no issues, pause the subscription or unsubscribe." in page
    assert 'href="#topics"' in page
    assert opted_out() == set()


@pytest.mark.parametrize("value", ["x", "0", "99999999999999999999", "\x00", "ships,trade"])
def test_a_topic_of_another_list_is_refused(client: Client, topics: list[Topic], value: str) -> None:
    foreign = Topic.objects.create(mailing_list=make_mailing_list("tide-tables"), name="Tides", slug="tides")
    for chosen in (value, foreign.slug):
        refused(client, path_of(Subscription.objects.first() or ada()), "topics", topics=[chosen])
    assert opted_out() == set()
    assert not Change.objects.exists()


def test_without_topics_the_page_has_no_such_part(client: Client) -> None:
    page = shown(client, path_of(ada()))
    assert 'name="topics"' not in page
    assert 'name="frequency"' not in page


def test_the_frequency_can_be_chosen_where_the_list_offers_it(client: Client) -> None:
    subscription = ada()
    path = path_of(subscription)
    refused(client, path, "frequency", frequency="weekly")
    MailingList.objects.update(offers_weekly=True)
    page = saved(client, path, "frequency", frequency="weekly")
    assert 'value="weekly" checked' in page
    assert "Choose how often you want mail." in refused(client, path, "frequency", frequency="daily")
    subscription.refresh_from_db()
    assert subscription.frequency == Frequency.WEEKLY
    assert changes(ChangeKind.FREQUENCY) == [{"from": "each", "to": "weekly"}]


@pytest.fixture
def week(monkeypatch: pytest.MonkeyPatch) -> datetime.date:
    """A week in which an issue was sent: changes wait for its end."""
    ends_on = datetime.date(2026, 11, 30)

    class Week:
        def lock(self, mailing_list_pk: int) -> bool:
            return True

        def ends_on(self, mailing_list_pk: int) -> datetime.date:
            return ends_on

    monkeypatch.setattr(frequency, "_weeks", [Week()])
    return ends_on


def test_a_change_of_the_frequency_that_must_wait_is_shown_with_its_day(client: Client, week: datetime.date) -> None:
    subscription = ada()
    MailingList.objects.update(offers_weekly=True)
    page = saved(client, path_of(subscription), "frequency", frequency="weekly")
    assert f"The change applies from {date_format(week)} on." in page
    assert "Until then: Each issue." in page
    assert 'value="weekly" checked' in page
    subscription.refresh_from_db()
    assert (subscription.frequency, subscription.next_frequency) == (Frequency.EACH, Frequency.WEEKLY)
    page = saved(client, path_of(subscription), "frequency", frequency="each")
    assert "Until then" not in page
    subscription.refresh_from_db()
    assert (subscription.frequency, subscription.next_frequency) == (Frequency.EACH, "")
    assert changes(ChangeKind.FREQUENCY) == [{"from": "each", "to": "weekly"}, {"from": "weekly", "to": "each"}]


# --- Undo -----------------------------------------------------------------------------------------------------------


def undo_of(page: str) -> dict[str, str]:
    """What the button “Undo” of the page submits."""
    found = re.search(r'name="change" value="(\d+)"><button name="action" value="undo"', page)
    assert found is not None
    return {"change": found[1]}


@pytest.mark.parametrize(
    ("action", "fields", "column"),
    [
        ("name", {"first_name": "Augusta"}, "first_name"),
        ("zone", {"time_zone": "Asia/Tokyo"}, "time_zone"),
        ("language", {"language": "en"}, "language"),
    ],
)
def test_a_saved_change_can_be_undone(client: Client, action: str, fields: dict[str, str], column: str) -> None:
    path = path_of(ada())
    stored_before = {"first_name": "Ada", "time_zone": "Europe/Berlin", "language": "en"}
    Subscriber.objects.update(**stored_before | {"language": ""})
    page = saved(client, path, action, **fields)
    assert "The change was taken back." in saved(client, path, "undo", **undo_of(page))
    assert getattr(Subscriber.objects.get(), column) == (stored_before | {"language": ""})[column]


def test_topics_and_frequency_can_be_undone(client: Client, topics: list[Topic]) -> None:
    MailingList.objects.update(offers_weekly=True)
    path = path_of(ada())
    saved(client, path, "topics", topics=[topics[0].slug])
    page = saved(client, path, "topics", topics=[topics[1].slug])
    saved(client, path, "undo", **undo_of(page))
    assert opted_out() == {"Weather", "Trade"}
    page = saved(client, path, "frequency", frequency="weekly")
    saved(client, path, "undo", **undo_of(page))
    assert Subscription.objects.get().frequency == Frequency.EACH


def test_only_the_newest_change_can_be_undone_once_and_for_ten_minutes(client: Client) -> None:
    path = path_of(ada())
    first = undo_of(saved(client, path, "name", first_name="Augusta"))
    second = undo_of(saved(client, path, "zone", time_zone="Asia/Tokyo"))
    refused(client, path, "undo", **first)
    saved(client, path, "undo", **second)
    refused(client, path, "undo", **second)
    page = saved(client, path, "name", first_name="Ada")
    Change.objects.update(created_at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    refused(client, path, "undo", **undo_of(page))
    assert "Undo" not in shown(client, f"{path}?saved=name_saved")
    for change in ("", "x", "9" * 30, "\x00"):
        refused(client, path, "undo", change=change)
    assert (Subscriber.objects.get().first_name, Subscriber.objects.get().time_zone) == ("Ada", "")


def test_a_change_by_an_editor_is_not_undone_by_the_subscriber(client: Client) -> None:
    subscription = ada()
    path = path_of(subscription)
    undo = undo_of(saved(client, path, "name", first_name="Augusta"))
    Change.objects.update(by="ida")
    refused(client, path, "undo", **undo)
    assert Subscriber.objects.get().first_name == "Augusta"


# --- Custom fields --------------------------------------------------------------------------------------------------


def stored(subscription: Subscription) -> dict[str, Any]:
    return dict(values_of([subscription.pk])[subscription.pk])


def test_fields_are_stored_with_their_types(client: Client) -> None:
    subscription = ada()
    personal_fields(subscription)
    FieldValue.objects.all().delete()
    Change.objects.all().delete()
    saved(
        client, path_of(subscription), "fields",
        **{"field-f_text": "Kiel", "field-f_number": "3.5", "field-f_date": "2026-05-31", "field-f_yes_no": "no",
           "field-f_choice": "Ketch", "field-f_choices": ["Hull", "Ketch"]},
    )  # fmt: skip
    assert stored(subscription) == {
        "f_text": "Kiel",
        "f_number": Decimal("3.5"),
        "f_date": datetime.date(2026, 5, 31),
        "f_yes_no": False,
        "f_choice": "Ketch",
        "f_choices": ("Ketch", "Hull"),
    }
    assert len(changes(ChangeKind.FIELD)) == 6


def test_an_empty_field_keeps_the_value_that_the_page_does_not_show(client: Client) -> None:
    subscription = ada()
    personal_fields(subscription)
    before = stored(subscription)
    untouched = {"field-f_yes_no": "yes", "field-f_choice": "Sloop", "field-f_choices": ["Mast", "Hull"]}
    saved(client, path_of(subscription), "fields", **untouched)
    assert stored(subscription) == before
    saved(client, path_of(subscription), "fields", **untouched, **{"delete-f_text": "on", "delete-f_date": "on"})
    assert set(before) - set(stored(subscription)) == {"f_text", "f_date"}


def test_values_of_few_options_are_removed_by_choosing_none(client: Client) -> None:
    subscription = ada()
    personal_fields(subscription)
    saved(client, path_of(subscription), "fields", **{"field-f_yes_no": "", "field-f_choice": ""})
    assert set(stored(subscription)) == {"f_text", "f_number", "f_date"}


def test_a_required_field_keeps_its_value_but_is_asked_for_while_it_has_none(client: Client) -> None:
    subscription = ada()
    field = CustomField.objects.create(
        mailing_list=subscription.mailing_list, key="town", label="Town", is_required=True
    )
    path = path_of(subscription)
    page = refused(client, path, "fields", **{"field-town": ""})
    assert 'href="#id_field-town"' in page
    assert 'aria-invalid="true"' in page
    set_values(subscription, {field: "Kiel"})
    saved(client, path, "fields", **{"field-town": "", "delete-town": "on"})
    assert stored(subscription) == {"town": "Kiel"}


@pytest.mark.parametrize(
    ("key", "value"), [("f_number", "many"), ("f_date", "31.12."), ("f_yes_no", "perhaps"), ("f_choice", "<b>")]
)
def test_a_wrong_value_is_an_error_of_its_field_and_nothing_is_stored(client: Client, key: str, value: str) -> None:
    subscription = ada()
    personal_fields(subscription)
    before = rows()
    answer = client.post(path_of(subscription), {"action": "fields", f"field-{key}": value, "field-f_text": "Kiel"})
    page = answer.content.decode()
    assert f'href="#id_field-{key}"' in page
    assert "<b>" not in page
    assert rows() == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    action=st.sampled_from(sorted(ACTIONS)),
    fields=st.dictionaries(
        st.sampled_from(
            ["weeks", "first_name", "time_zone", "language", "topics", "frequency", "email", "list", "field-f_text",
             "field-f_number", "field-f_date", "field-f_choices", "delete-f_text", "change"]
        ),
        st.text(max_size=40),
        max_size=4,
    ),
)  # fmt: skip
def test_whatever_is_submitted_the_page_answers(client: Client, action: str, fields: dict[str, str]) -> None:
    subscription = Subscription.objects.first()
    if subscription is None:
        subscription = ada()
        personal_fields(subscription)
    answer = client.post(path_of(subscription), {"action": action, **fields})
    assert answer.status_code in (200, 303)
    if answer.status_code == 303:
        assert client.get(answer["Location"]).status_code == 200


# --- Asked after confirming -----------------------------------------------------------------------------------------


@pytest.fixture
def asked_field() -> CustomField:
    return CustomField.objects.create(
        mailing_list=make_mailing_list(), key="boat", label="Your boat", asked=FieldAsked.CONFIRMED, is_editable=False
    )


def test_fields_are_asked_for_after_confirming(client: Client, asked_field: CustomField) -> None:
    subscription = ben()
    confirm = confirm_url(subscription.key, 1).removeprefix(SITE)
    assert "Your boat" not in shown(client, confirm)
    page = html.unescape(client.post(confirm, {"action": "confirm"}).content.decode())
    action = re.search(r'<form method="post" action="([^"]+)"', page)
    assert action is not None
    assert "Your boat" in page
    assert "Saved. Thank you." in saved(client, action[1], "answers", **{"field-boat": "A sloop"})
    assert stored(subscription) == {asked_field.key: "A sloop"}


def test_a_field_that_was_answered_is_not_asked_for_again(client: Client, asked_field: CustomField) -> None:
    subscription = ada()
    path = path_of(subscription)
    assert "Your boat" in shown(client, path)
    saved(client, path, "answers", **{"field-boat": "A sloop"})
    assert "Your boat" not in shown(client, path)
    refused(client, path, "answers", **{"field-boat": "Another"})
    assert stored(subscription) == {"boat": "A sloop"}


def test_answers_after_confirming_leave_other_fields_as_they_are(client: Client, asked_field: CustomField) -> None:
    subscription = ada()
    other = CustomField.objects.create(
        mailing_list=make_mailing_list(), key="fleet", label="Fleet", kind=FieldKind.YES_NO
    )
    set_values(subscription, {other: True})
    saved(client, path_of(subscription), "answers", **{"field-boat": "A sloop"})
    assert stored(subscription) == {"boat": "A sloop", "fleet": True}


def test_an_error_after_confirming_is_shown_on_the_preferences_page(client: Client, asked_field: CustomField) -> None:
    CustomField.objects.update(kind=FieldKind.NUMBER)
    page = refused(client, path_of(ada()), "answers", **{"field-boat": "two"})
    assert 'value="answers"' in page
    assert 'href="#id_field-boat"' in page


# --- Consent to tracking --------------------------------------------------------------------------------------------


@pytest.fixture
def newsletter() -> Newsletter:
    newsletter = make_newsletter()
    Newsletter.objects.filter(pk=newsletter.pk).update(consent_mode=ConsentMode.CONSENT)
    return newsletter


def tracked(newsletter: Newsletter) -> Subscription:
    return make_subscription(ADA, MailingList.objects.get(pk=newsletter.pk))


def test_tracking_is_asked_for_where_the_newsletter_wants_it(client: Client, newsletter: Newsletter) -> None:
    subscription = tracked(newsletter)
    path = path_of(subscription)
    page = shown(client, path)
    assert "You have not allowed this. Nothing is stored." in page
    assert "may be stored from now on" in saved(client, path, "allow-tracking")
    subscription.refresh_from_db()
    assert subscription.tracking_agreed_at is not None
    assert "You have allowed this on" in shown(client, path)
    assert "is stored any more" in saved(client, path, "withdraw-tracking")
    subscription.refresh_from_db()
    assert subscription.tracking_agreed_at is None
    allowed, withdrawn = changes(ChangeKind.TRACKING)
    assert (allowed["from"], allowed["to"], allowed["language"]) == (False, True, "en")
    assert (withdrawn["from"], withdrawn["to"]) == (True, False)
    assert allowed["text"] in page


@pytest.mark.parametrize("mode", [ConsentMode.NONE, ConsentMode.AGGREGATE])
def test_elsewhere_tracking_is_not_asked_for_and_cannot_be_allowed(
    client: Client, newsletter: Newsletter, mode: ConsentMode
) -> None:
    subscription = tracked(newsletter)
    Newsletter.objects.update(consent_mode=mode)
    assert "allow-tracking" not in shown(client, path_of(subscription))
    refused(client, path_of(subscription), "allow-tracking")
    subscription.refresh_from_db()
    assert subscription.tracking_agreed_at is None


def test_a_consent_to_tracking_can_always_be_withdrawn(client: Client, newsletter: Newsletter) -> None:
    subscription = tracked(newsletter)
    path = path_of(subscription)
    saved(client, path, "allow-tracking")
    Newsletter.objects.update(consent_mode=ConsentMode.NONE)
    assert "withdraw-tracking" in shown(client, path)
    saved(client, path, "withdraw-tracking")
    subscription.refresh_from_db()
    assert subscription.tracking_agreed_at is None


def test_lists_without_a_newsletter_ask_for_no_tracking() -> None:
    assert not preferences.asks_for_tracking(make_mailing_list())


# --- Other lists ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tides() -> MailingList:
    return make_mailing_list("tide-tables", name="Tide Tables", description="High and low water.", is_listed=True)


def test_joining_another_list_sends_a_confirmation_mail_and_changes_nothing_else(
    client: Client, tides: MailingList
) -> None:
    path = path_of(ada())
    assert "High and low water." in shown(client, path)
    page = saved(client, path, "join", list="tide-tables")
    assert "Open the link in it within 7 days to confirm." in page
    joined = Subscription.objects.get(mailing_list=tides)
    assert (joined.state, joined.transactional_mails.get().recipient) == (State.PENDING, ADA)
    assert "waits for you to open the link" in page


def test_leaving_another_list_takes_effect_at_once(client: Client, tides: MailingList) -> None:
    subscription, other = ada(), ada(tides)
    path = path_of(subscription)
    assert "Unsubscribe from Tide Tables" in shown(client, path)
    assert "You will receive no more issues of that list." in saved(client, path, "leave", list="tide-tables")
    other.refresh_from_db()
    subscription.refresh_from_db()
    assert (other.state, subscription.state) == (State.UNSUBSCRIBED, State.ACTIVE)
    assert other.consents.get().form == "preferences"


@pytest.mark.parametrize("slug", ["secret-list", "nothing", "", "\x00", "harbour-notes", "x" * 500])
def test_a_list_that_is_not_offered_can_be_neither_joined_nor_left(client: Client, slug: str) -> None:
    subscription = ada()
    secret = ada(make_mailing_list("secret-list", name="Secret"))
    assert "Secret" not in shown(client, path_of(subscription))
    before = rows()
    for action in ("join", "leave"):
        refused(client, path_of(subscription), action, list=slug)
    assert rows() == before
    assert secret.state == State.ACTIVE


def test_joining_after_this_was_not_me_sends_nothing(client: Client, tides: MailingList) -> None:
    path = path_of(ada())
    Subscriber.objects.update(declined_at="2026-01-01T00:00Z")
    saved(client, path, "join", list="tide-tables")
    assert not TransactionalMail.objects.exists()


# --- Data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(DataRequestKind))
def test_the_buttons_for_data_send_a_link_to_the_address(client: Client, kind: DataRequestKind) -> None:
    path = path_of(ada())
    assert "We will send a link to your address." in saved(client, path, kind.value)
    mail = TransactionalMail.objects.get()
    assert (mail.kind, mail.recipient) == (kind.value, ADA)
    assert DataRequest.objects.get().kind == kind
    pages = [saved(client, path, kind.value) for _ in range(MAX_LINKS_PER_DAY)]
    assert "There were too many requests today." in pages[-1]
    assert TransactionalMail.objects.count() == MAX_LINKS_PER_DAY


@pytest.mark.parametrize(("person", "is_offered"), [(cleo, True), (emil, True), (ben, False), (dina, False)])
def test_data_can_be_asked_for_after_the_subscription_has_ended(
    client: Client, person: Callable[[], Subscription], is_offered: bool
) -> None:
    page = shown(client, path_of(person()))
    assert ("Download my data" in page) == is_offered
    assert ("To get or delete all that is stored about you, write to editors@example.org." in page) != is_offered


# --- States, methods and links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [ben, cleo, dina, emil])
def test_a_subscription_that_is_not_active_has_no_preferences(
    client: Client, person: Callable[[], Subscription], topics: list[Topic], tides: MailingList
) -> None:
    subscription = person()
    personal_fields(subscription)
    Subscriber.objects.update(first_name="")
    before = rows()
    values = {
        "weeks": "2", "first_name": "Ann", "time_zone": "Asia/Tokyo", "language": "de", "topics": topics[0].slug,
        "frequency": "weekly", "email": "new@example.net", "list": tides.slug, "field-f_text": "Kiel",
    }  # fmt: skip
    for action in set(ACTIONS) - {"access", "erase"}:
        page = refused(client, path_of(subscription), action, **values)
        assert "not subscribed" in page
    assert rows() == before


def test_no_action_runs_on_a_subscription_that_ended_meanwhile() -> None:
    key = ada().key
    actions.unsubscribe(key, HERE)
    assert not preferences.set_first_name(key, "Ann")
    assert not preferences.set_language(key, "de")
    assert not preferences.set_frequency(key, Frequency.EACH)
    assert not preferences.set_topics(key, [])
    assert not preferences.set_fields(key, {})
    assert not preferences.set_tracking(key, agrees=False, text="", language="")
    assert not request_change(key, parse_address("new@example.net"))


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete"])
def test_no_method_but_post_changes_a_preference(client: Client, method: str, topics: list[Topic]) -> None:
    path, before = path_of(ada()), rows()
    for action in (*ACTIONS, "leave-all"):
        getattr(client, method)(f"{path}?action={action}&first_name=Ann&weeks=2&email=new@example.net&language=de")
    assert rows() == before


def test_a_note_that_is_not_known_is_not_shown(client: Client) -> None:
    path = path_of(ada())
    plain = client.get(path).content
    for note in ("", "marker<b>", "Saved. Send us money.", "pause_saved"):
        assert client.get(path, {"saved": note}).content == plain


def test_every_button_of_the_page_is_understood(client: Client, topics: list[Topic], tides: MailingList) -> None:
    MailingList.objects.update(offers_weekly=True)
    subscription = finn()
    personal_fields(subscription)
    page = shown(client, path_of(subscription))
    offered = set(re.findall(r'name="action" value="([^"]+)"', page))
    assert offered <= {*ACTIONS, "unsubscribe", "leave-all"}
    assert {"topics", "frequency", "pause", "resume", "name", "delete-name", "zone", "language", "fields", "join",
            "access", "erase", "address", "unsubscribe", "leave-all"} <= offered  # fmt: skip


def every_token(subscription: Subscription) -> dict[Purpose, str]:
    """A genuine token of each purpose."""
    request_change(subscription.key, parse_address("new@example.net"))
    ask_to_stay([subscription.pk], silent_since=timezone.now(), answer_time=datetime.timedelta(days=14))
    change = AddressChange.objects.get()
    keys = dict.fromkeys(Purpose, subscription.key)
    keys |= dict.fromkeys((Purpose.CONFIRM_ADDRESS, Purpose.APPROVE_ADDRESS, Purpose.REFUSE_ADDRESS), change.key)
    for kind in DataRequestKind:
        send_link(subscription.key, kind)
        keys[Purpose(kind.value)] = DataRequest.objects.get(kind=kind).key
    tokens = {purpose: LinkSigner(purpose).token(key.bytes) for purpose, key in keys.items()}
    return tokens | {Purpose.CONFIRM: confirm_url(subscription.key, subscription.request_number).rpartition("/")[2]}


def test_every_token_works_on_its_own_page_only(client: Client) -> None:
    tokens = every_token(ada())
    # The page of a question that nobody asked is a dead link, too.
    pages = set(Purpose) - {Purpose.ACCESS, Purpose.ERASE, Purpose.STAY}
    before = rows()
    for page in pages:
        for purpose, token in tokens.items():
            status = client.get(f"/{page}/{token}").status_code
            assert status == (200 if purpose is page else 404), f"{purpose} on {page}"
            if purpose is not page:
                for data in ({"action": "agree"}, {"action": "refuse"}, {"List-Unsubscribe": "One-Click"}):
                    assert client.post(f"/{page}/{token}", data).status_code == 404
    assert rows() == before


def test_a_genuine_link_of_a_deleted_subscription_is_a_dead_link(client: Client) -> None:
    forged = client.get("/preferences/forged")
    gone = client.get(preferences_url(uuid.UUID(int=7)).removeprefix(SITE))
    assert (gone.status_code, gone.content) == (forged.status_code, forged.content)
    assert '<a href="/">' in forged.content.decode()
