"""The admin of subscribers: what editors can see and do, and what they cannot."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from lxml import html  # type: ignore[import-untyped]

from subscribers.addresses import parse_address
from subscribers.consent import actions, double_opt_in
from subscribers.models import (
    Consent,
    ConsentKind,
    Evidence,
    LiftedSuppression,
    Subscriber,
    Subscription,
    Suppression,
    TransactionalMail,
)
from subscribers.models import SubscriptionState as State
from subscribers.models import SuppressionReason as Reason
from subscribers.suppression import get_suppression, suppress_addresses
from tests.people import ADA, BEN, ada, ben, cleo, dina, emil, finn, make_mailing_list, make_subscription

pytestmark = pytest.mark.django_db

GUS = "gus@example.org"
MODELS = ["subscriber", "subscription", "suppression", "consent", "transactionalmail"]


@pytest.fixture
def editor(client: Client) -> Client:
    """A client that is logged in as a superuser."""
    client.force_login(User.objects.create_superuser("ida", "ida@example.org", "a long password"))
    return client


def requested_subscription(address: str = GUS) -> Subscription:
    evidence = Evidence(form="signup", text="You subscribe to Harbour Notes.", source="/subscribe/harbour-notes/")
    double_opt_in.request_subscription(make_mailing_list(), parse_address(address), evidence)
    return Subscription.objects.get(subscriber__canonical=address)


def list_of(model: str) -> str:
    return reverse(f"admin:subscribers_{model}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:subscribers_{row._meta.model_name}_change", args=[row.pk])


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return str(response.content.decode())


def act(editor: Client, row: Any, action: str, **fields: str) -> Any:
    data = {"action": action, "_selected_action": str(row.pk), **fields}
    return editor.post(list_of(row._meta.model_name), data, follow=True)


def test_every_changelist_and_every_row_opens(editor: Client) -> None:
    gus = requested_subscription()
    for person in (ada, ben, cleo, dina, finn):
        person()
    rows: list[Any] = [
        gus.subscriber,
        gus,
        Suppression.objects.get(),
        Consent.objects.latest("pk"),
        TransactionalMail.objects.get(),
    ]
    for row in rows:
        text_of(editor.get(page_of(row)))
        text_of(editor.get(list_of(row._meta.model_name)))


def test_a_subscriber_page_shows_the_states_and_the_history(editor: Client) -> None:
    gus = requested_subscription()
    actions.unsubscribe(gus.key, Evidence(form="one-click"))
    page = text_of(editor.get(page_of(gus.subscriber)))
    for sentence in (
        "Harbour Notes",
        "Unsubscribed",
        "Requested",
        "One-click unsubscribe of the mail program",
        "Please confirm: Harbour Notes",
    ):
        assert sentence in page


def test_a_consent_page_shows_the_text_that_the_subscriber_saw(editor: Client) -> None:
    requested_subscription()
    assert "You subscribe to Harbour Notes." in text_of(editor.get(page_of(Consent.objects.get())))


@pytest.mark.parametrize("model", ["subscription", "consent", "transactionalmail"])
def test_editors_cannot_add_or_delete_rows(editor: Client, model: str) -> None:
    row = {"subscription": requested_subscription(), "subscriber": Subscriber.objects.get()}.get(model) or (
        Consent.objects.get() if model == "consent" else TransactionalMail.objects.get()
    )
    assert editor.get(reverse(f"admin:subscribers_{model}_add")).status_code == 403
    assert editor.post(reverse(f"admin:subscribers_{model}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("field", ["state", "state_badge", "confirmed_at", "confirmed_at_0", "paused_until", "key"])
def test_editors_cannot_activate_a_subscription_with_posted_fields(editor: Client, field: str) -> None:
    waiting = ben()
    answer = editor.post(page_of(waiting), {field: State.ACTIVE, "_save": "Save"})
    assert answer.status_code == 403
    waiting.refresh_from_db()
    assert (waiting.state, waiting.confirmed_at) == (State.PENDING, None)


def test_the_links_of_a_pending_mail_are_not_shown(editor: Client) -> None:
    requested_subscription()
    mail = TransactionalMail.objects.get()
    page = text_of(editor.get(page_of(mail))) + text_of(editor.get(page_of(mail.subscription.subscriber)))
    assert "/confirm/" not in page
    assert "/decline/" not in page


def test_an_editor_unsubscribes_after_a_confirmation(editor: Client) -> None:
    subscription = ada()
    assert "1 subscription will end" in text_of(act(editor, subscription, "unsubscribe"))
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE
    assert "1 subscription has ended." in text_of(act(editor, subscription, "unsubscribe", confirmed="yes"))
    subscription.refresh_from_db()
    assert subscription.state == State.UNSUBSCRIBED
    proof = subscription.consents.get()
    assert (proof.kind, proof.form, proof.by, proof.detail) == (ConsentKind.UNSUBSCRIBED, "admin", "ida", "")


def test_a_subscriber_cannot_be_deleted(editor: Client) -> None:
    subscriber = ada().subscriber
    url = reverse("admin:subscribers_subscriber_delete", args=[subscriber.pk])
    assert editor.post(url, {"post": "yes"}).status_code == 403


def test_all_rows_of_a_long_changelist_can_be_unsubscribed(editor: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 10
    for number in range(30):
        make_subscription(f"reader-{number}@example.org")
    gus = requested_subscription()
    url = f"{list_of('subscription')}?state__exact=active"
    everybody = {"action": "unsubscribe", "select_across": "1", "index": "0"}
    page = text_of(editor.post(url, everybody | {"_selected_action": [str(Subscription.objects.latest("-pk").pk)]}))
    assert "30 subscriptions will end" in page
    fields = [dict(field.items()) for field in html.fromstring(page).xpath("//form[.//@name='confirmed']//input")]
    answer = {field["name"]: field["value"] for field in fields}
    assert "30 subscriptions have ended." in text_of(editor.post(url, answer, follow=True))
    gus.refresh_from_db()
    assert gus.state == State.PENDING
    assert not Subscription.objects.filter(state=State.ACTIVE).exists()


def test_a_suppressed_address_is_stored_as_a_fingerprint_only(editor: Client) -> None:
    subscription = ada()
    url = reverse("admin:subscribers_suppression_add")
    page = text_of(editor.post(url, {"address": "ADA@example.org", "detail": "Asked by phone"}, follow=True))
    assert ADA not in page.lower()
    assert "1 subscription of this address has ended." in page
    assert get_suppression(ADA)
    assert Suppression.objects.get().reason == Reason.MANUAL
    proof = subscription.consents.get(kind=ConsentKind.SUPPRESSED)
    assert (proof.form, proof.by, proof.reason, proof.detail) == ("admin", "ida", Reason.MANUAL, "Asked by phone")
    subscription.refresh_from_db()
    assert subscription.state == State.SUPPRESSED


def test_suppressing_a_suppressed_address_keeps_the_first_reason(editor: Client) -> None:
    suppress_addresses({ADA: (Reason.COMPLAINT, "")})
    url = reverse("admin:subscribers_suppression_add")
    assert editor.post(url, {"address": ADA, "detail": ""}).status_code == 302
    assert Suppression.objects.get().reason == Reason.COMPLAINT


def test_an_invalid_address_is_an_error_of_its_field(editor: Client) -> None:
    url = reverse("admin:subscribers_suppression_add")
    assert "Enter an email address such as" in text_of(editor.post(url, {"address": "nobody", "detail": ""}))


def test_a_suppression_is_found_by_the_whole_address(editor: Client) -> None:
    suppress_addresses({ADA: (Reason.COMPLAINT, "told us"), BEN: (Reason.HARD_BOUNCE, "no such user")})
    page = text_of(editor.get(list_of("suppression"), {"q": "Ada@example.org"}))
    assert "told us" in page
    assert "no such user" not in page
    assert "no such user" not in text_of(editor.get(list_of("suppression"), {"q": "ada"}))


def test_lifting_a_complaint_asks_why_and_does_not_reactivate_subscriptions(editor: Client) -> None:
    subscription = dina()
    row = Suppression.objects.get()
    assert "harms your reputation" in text_of(act(editor, row, "lift"))
    assert "Enter why the address may be mailed again." in text_of(act(editor, row, "lift", confirmed="Lift"))
    assert Suppression.objects.exists()
    page = text_of(act(editor, row, "lift", confirmed="Lift", explanation="Pressed by mistake."))
    assert "Their subscriptions stay ended" in page
    assert not Suppression.objects.exists()
    record = LiftedSuppression.objects.get()
    assert (record.by, record.explanation, record.reason) == ("ida", "Pressed by mistake.", Reason.COMPLAINT)
    subscription.refresh_from_db()
    assert subscription.state == State.SUPPRESSED


def test_other_suppressions_are_lifted_without_an_explanation(editor: Client) -> None:
    emil()
    page = text_of(act(editor, Suppression.objects.get(), "lift"))
    assert "harms your reputation" not in page
    assert "1 address can be mailed again." in text_of(
        act(editor, Suppression.objects.get(), "lift", confirmed="Lift", explanation="")
    )


def test_a_suppression_cannot_be_deleted_without_a_record(editor: Client) -> None:
    emil()
    url = reverse("admin:subscribers_suppression_delete", args=[Suppression.objects.get().pk])
    assert editor.post(url, {"post": "yes"}).status_code == 403
    assert Suppression.objects.exists()


def test_editors_who_may_not_lift_see_no_such_action(client: Client) -> None:
    emil()
    viewer = User.objects.create_user("leo", password="a long password", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_suppression", "change_suppression"]))
    client.force_login(viewer)
    act(client, Suppression.objects.get(), "lift", confirmed="Lift", explanation="I say so.")
    assert Suppression.objects.exists()


def test_editors_with_view_permission_cannot_unsubscribe(client: Client) -> None:
    subscription = ada()
    viewer = User.objects.create_user("leo", password="a long password", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "view_subscription"]))
    client.force_login(viewer)
    text_of(client.get(list_of("subscriber")))
    act(client, subscription, "unsubscribe", confirmed="yes")
    subscription.refresh_from_db()
    assert subscription.state == State.ACTIVE


def test_list_names_and_senders_are_validated() -> None:
    mailing_list = make_mailing_list()
    mailing_list.sender_name = "boss@bank.example"
    mailing_list.name = "two\nlines"
    mailing_list.sender_email = "notes@localhost"
    with pytest.raises(Exception, match="cannot contain an @") as refusal:
        mailing_list.full_clean()
    assert set(refusal.value.message_dict) == {"sender_name", "name", "sender_email"}  # type: ignore[attr-defined]


def test_a_subscriber_is_erased_after_the_address_was_typed(editor: Client) -> None:
    subscriber = ada().subscriber
    url = reverse("admin:subscribers_subscriber_erase", args=[subscriber.pk])
    assert url in text_of(editor.get(page_of(subscriber)))
    assert "a keyed hash of the address" in text_of(editor.get(url))
    assert "not the address of this subscriber" in text_of(editor.post(url, {"address": BEN}))
    assert "Enter an email address" in text_of(editor.post(url, {"address": "ada"}))
    assert Subscriber.objects.exists()
    page = text_of(editor.post(url, {"address": "Ada@Example.org"}, follow=True))
    assert "The subscriber is erased." in page
    assert ADA not in page
    assert not Subscriber.objects.exists()
    assert Suppression.objects.get().reason == Reason.ERASED
    assert editor.get(url).status_code == 404


def test_the_data_of_a_subscriber_are_downloaded(editor: Client) -> None:
    subscriber = ada().subscriber
    response = editor.get(reverse("admin:subscribers_subscriber_data", args=[subscriber.pk]))
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("subscriber_erase", "delete_subscriber"), ("subscriber_data", "view_subscriber")],
)
def test_the_pages_of_privacy_need_their_permissions(client: Client, name: str, allowed: str) -> None:
    url = reverse(f"admin:subscribers_{name}", args=[ada().subscriber_id])
    viewer = User.objects.create_user("leo", password="a long password", is_staff=True)
    client.force_login(viewer)
    assert client.get(url).status_code == 403
    assert client.post(url, {"address": ADA}).status_code == 403
    viewer.user_permissions.set(Permission.objects.filter(codename=allowed))
    assert client.get(url).status_code == 403, "both pages show the whole address"
    viewer.user_permissions.set(Permission.objects.filter(codename__in=(allowed, "view_personal_data")))
    assert client.get(url).status_code == 200


def test_suppressions_are_exported_and_imported(editor: Client) -> None:
    suppress_addresses({ADA: (Reason.COMPLAINT, "told us")})
    export = reverse("admin:subscribers_suppression_export")
    assert export in text_of(editor.get(list_of("suppression")))
    content = b"".join(editor.get(export).streaming_content)  # type: ignore[attr-defined]
    assert b"complaint" in content
    Suppression.objects.all().delete()
    url = reverse("admin:subscribers_suppression_import")
    text_of(editor.get(url))
    file = SimpleUploadedFile("suppressions.csv", content)
    page = text_of(editor.post(url, {"file": file, "reason": "manual"}, follow=True))
    assert "1 address is suppressed." in page
    assert Suppression.objects.get().reason == Reason.COMPLAINT
    for bad, sentence in ((b"name\nAda\n", "has no email addresses"), (b"\xff\xfe", "not UTF-8")):
        file = SimpleUploadedFile("x.csv", bad)
        assert sentence in text_of(editor.post(url, {"file": file, "reason": "manual"}))
