"""The pages behind the links for a copy of the data and for its deletion."""

from __future__ import annotations

import datetime
import io
import zipfile

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from subscribers.consent.data_requests import send_link
from subscribers.consent.tokens import LinkSigner, Purpose, preferences_url
from subscribers.models import (
    DataRequest,
    DataRequestKind,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
    SuppressionSecret,
)
from subscribers.suppression import suppress_addresses
from tests.people import ADA, BEN, ada, make_mailing_list

pytestmark = pytest.mark.django_db

MASKED = "a•••@example.org"
PAGES = {DataRequestKind.ACCESS: "my-data", DataRequestKind.ERASE: "erase-me"}
PURPOSES = {DataRequestKind.ACCESS: Purpose.ACCESS, DataRequestKind.ERASE: Purpose.ERASE}


def page_of(kind: DataRequestKind, subscription: Subscription | None = None) -> str:
    """The path of a link that was sent to Ada."""
    subscription = subscription or ada()
    assert send_link(subscription.key, kind)
    request = DataRequest.objects.latest("pk")
    return reverse(PAGES[kind], args=[LinkSigner(PURPOSES[kind]).token(request.key.bytes)])


def test_the_paths_of_the_pages_are_those_in_the_mails(client: Client) -> None:
    for kind, purpose in PURPOSES.items():
        path = page_of(kind, Subscription.objects.first())
        key = DataRequest.objects.latest("pk").key
        assert LinkSigner(purpose).url(key) == f"{settings.SITE_URL}{path}".rstrip("/")


@pytest.mark.parametrize("kind", list(DataRequestKind))
def test_a_get_changes_nothing_and_shows_no_data(client: Client, kind: DataRequestKind) -> None:
    path = page_of(kind)
    for _ in range(2):
        response = client.get(path)
        page = response.content.decode()
        assert response.status_code == 200
        assert MASKED in page
        assert ADA not in page
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "no-referrer"
    assert Subscriber.objects.exists()
    assert DataRequest.objects.get().used_at is None


def test_the_download_works_once(client: Client) -> None:
    path = page_of(DataRequestKind.ACCESS)
    response = client.post(path, {"action": "download"})
    assert response.status_code == 200
    assert response["Content-Disposition"].startswith('attachment; filename="my-data-')
    assert ADA not in response["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert ADA in archive.read("data.json").decode()
    assert client.post(path, {"action": "download"}).status_code == 404
    assert client.get(path).status_code == 404


def test_the_button_erases_the_subscriber_on_every_list(client: Client) -> None:
    subscription = ada()
    ada(make_mailing_list("tide-tables"))
    path = page_of(DataRequestKind.ERASE, subscription)
    response = client.post(path, {"action": "erase"})
    assert response.status_code == 200
    assert "Your data is deleted" in response.content.decode()
    assert not Subscriber.objects.exists()
    assert Suppression.objects.get().reason == SuppressionReason.ERASED
    assert client.post(path, {"action": "erase"}).status_code == 404
    assert client.get(preferences_url(subscription.key).removeprefix(settings.SITE_URL)).status_code == 404


@pytest.mark.parametrize("kind", list(DataRequestKind))
def test_an_old_link_does_nothing(client: Client, kind: DataRequestKind) -> None:
    path = page_of(kind)
    DataRequest.objects.update(requested_at=timezone.now() - datetime.timedelta(days=1, minutes=1))
    action = "download" if kind == DataRequestKind.ACCESS else "erase"
    for response in (client.get(path), client.post(path, {"action": action})):
        assert response.status_code == 404
        assert "This link does not work" in response.content.decode()
    assert Subscriber.objects.exists()


@pytest.mark.parametrize("kind", list(DataRequestKind))
def test_a_token_of_another_purpose_does_nothing(client: Client, kind: DataRequestKind) -> None:
    other = page_of(DataRequestKind.ERASE if kind == DataRequestKind.ACCESS else DataRequestKind.ACCESS)
    token = other.split("/")[2]
    for word in (token, LinkSigner(Purpose.PREFERENCES).token(Subscription.objects.get().key.bytes), "x"):
        path = reverse(PAGES[kind], args=[word])
        assert client.get(path).status_code == 404
        assert client.post(path, {"action": "erase"}).status_code == 404
    assert Subscriber.objects.exists()


@pytest.mark.parametrize("kind", list(DataRequestKind))
@pytest.mark.parametrize("data", [{}, {"action": "unsubscribe"}, {"List-Unsubscribe": "One-Click"}])
def test_a_post_without_the_button_is_refused(client: Client, kind: DataRequestKind, data: dict[str, str]) -> None:
    path = page_of(kind)
    assert client.post(path, data).status_code == 400
    assert Subscriber.objects.exists()
    assert DataRequest.objects.get().used_at is None


def test_under_another_secret_nothing_is_erased_and_the_page_says_so(client: Client) -> None:
    path = page_of(DataRequestKind.ERASE)
    suppress_addresses({BEN: (SuppressionReason.MANUAL, "")})
    SuppressionSecret.objects.update(fingerprint="another")
    response = client.post(path, {"action": "erase"})
    assert response.status_code == 503
    assert "cannot be deleted at the moment" in response.content.decode()
    assert Subscriber.objects.exists()


def test_the_pages_are_in_the_language_of_the_list(client: Client) -> None:
    subscription = ada(make_mailing_list(language="de"))
    assert client.get(page_of(DataRequestKind.ERASE, subscription))["Content-Language"] == "de"
