"""Editors who may do everything but see personal data: no page tells them an address, an open or a click."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from newsletter.models import Delivery, DeliveryState, Issue
from subscribers.models import (
    BulkAction,
    BulkActionKind,
    ConsentForm,
    Evidence,
    Export,
    Import,
    Segment,
    Signup,
    SignupState,
    Subscription,
    SuppressionReason,
)
from subscribers.suppression import suppress_addresses
from tests.people import ADA, ada
from tests.publications import make_issue, start_sending
from tests.subscribers.imports.importing import check, plain_file, uploaded

pytestmark = pytest.mark.django_db


@pytest.fixture
def leo(client: Client) -> Client:
    """May do everything but see personal data."""
    user = User.objects.create_user("leo", password="a long password", is_staff=True)
    ours = Permission.objects.filter(content_type__app_label__in=("subscribers", "newsletter"))
    user.user_permissions.set(ours.exclude(codename="view_personal_data"))
    client.force_login(user)
    return client


@pytest.fixture
def issue(db: None) -> Issue:
    """Was sent to Ada, who clicked; her address is in every kind of record."""
    issue = make_issue("first")
    subscription = ada(issue.newsletter)
    now = timezone.now()
    Delivery.objects.create(
        issue=issue,
        send=start_sending(issue),
        subscriber=subscription.subscriber,
        state=DeliveryState.ACCEPTED,
        bounced_at=now,
        detail=f"550 5.1.1 <{ADA}> unknown",
    )
    opened = make_issue("second")
    Delivery.objects.create(
        issue=opened,
        send=start_sending(opened),
        subscriber=subscription.subscriber,
        state=DeliveryState.ACCEPTED,
        opened_at=now,
        clicked_at=now,
    )
    cause = (SuppressionReason.HARD_BOUNCE, f"550 5.1.1 <{ADA}> unknown")
    suppress_addresses({ADA: cause}, Evidence(form=ConsentForm.SUPPRESSION))
    Signup.objects.create(mailing_list=issue.newsletter, address=ADA, state=SignupState.HELD, evidence={}, due_at=None)
    BulkAction.objects.create(kind=BulkActionKind.SUPPRESS, selection={"text": ADA, "keys": []}, by="ida", up_to=1)
    Export.objects.create(selection={"text": ADA, "keys": []}, by="ida", format="csv")
    Segment.objects.create(mailing_list=issue.newsletter, name="Jury", is_picked=True).picks.create(
        subscription=subscription
    )
    check(uploaded(plain_file([(ADA, "active", "", "", ""), (f"x {ADA}", "active", "", "", "")])))
    return issue


def urls_about(issue: Issue) -> Iterator[str]:
    for model in admin.site._registry:
        kind = f"{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"admin:{kind}_changelist")
        for pk in model._default_manager.values_list("pk", flat=True):
            for page in ("change", "history", "delete"):
                yield reverse(f"admin:{kind}_{page}", args=[pk])
    subscription = Subscription.objects.get()
    for page in ("edit", "merge", "pause", "unsubscribe", "suppress", "lift", "erase", "data"):
        yield reverse(f"admin:subscribers_subscriber_{page}", args=[subscription.subscriber_id])
    stored = Import.objects.get()
    for page in ("columns", "review", "progress", "refused"):
        yield reverse(f"admin:subscribers_import_{page}", args=[stored.pk])
    for query in ("o=address", "o=-address", "q=ada", "q=ada%40", "canonical=ada", "address__contains=ada"):
        yield f"{reverse('admin:subscribers_subscriber_changelist')}?{query}"
    yield f"{reverse('admin:subscribers_signup_changelist')}?state=all&q=da%40exa"
    yield f"{reverse('admin:subscribers_suppression_changelist')}?q=ada"
    yield f"{reverse('admin:newsletter_issue_preview', args=[issue.pk])}?search=ada"
    yield f"{reverse('admin:newsletter_issue_preview', args=[issue.pk])}?reader={subscription.pk}"
    yield "/admin/autocomplete/?app_label=subscribers&model_name=subscription&field_name=subscriber&term=ada"


def test_no_page_tells_an_address_to_who_may_not_see_it(leo: Client, issue: Issue) -> None:
    telling = []
    for url in urls_about(issue):
        response = leo.get(url)
        body = response.getvalue() if response.streaming else response.content
        if ADA.encode() in body:
            telling.append(url)
    assert telling == []


def test_opens_and_clicks_are_shown_as_delivered(leo: Client, issue: Issue) -> None:
    subscriber = Subscription.objects.get().subscriber_id
    for url in ("/admin/subscribers/subscriber/", f"/admin/subscribers/subscriber/{subscriber}/change/"):
        page = leo.get(url).content.decode()
        assert 'aria-label="1 delivered, 1 bounced"' in page
        for word in ("clicked", "opened", "Clicked", "Opened"):
            assert word not in page
