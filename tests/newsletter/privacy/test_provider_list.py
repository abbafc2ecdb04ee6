"""The provider's suppression list: taken over page by page, and told what was lifted here; with a sandbox."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from newsletter.models import DeliveryState, Event, ProviderSuppression, SuppressionSync
from newsletter.monitoring.privacy_diagnostics import suppression_list_diagnostics
from newsletter.privacy import provider_list
from newsletter.privacy.provider_list import request_removal, sync_suppressions
from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.providers.resend import suppressions as resend_suppressions
from newsletter.providers.suppression_list import SuppressionsUnreadable
from newsletter.sandbox import SandboxServer
from subscribers.addresses import parse_address
from subscribers.consent.double_opt_in import confirm, request_subscription
from subscribers.consent.tokens import ConfirmationToken
from subscribers.models import (
    Evidence,
    Subscription,
    SubscriptionState,
    Suppression,
    SuppressionReason,
    fingerprint,
)
from subscribers.suppression import get_suppression, lift_suppressions, suppress_addresses
from tests import people
from tests.newsletter.events.test_apply import delivery_to
from tests.newsletter.sending.conftest import sandbox
from tests.publications import make_issue, start_sending
from tests.sandboxes import provider_of

pytestmark = pytest.mark.django_db

__all__ = ["sandbox"]


@pytest.fixture
def provider(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return provider_of(sandbox, monkeypatch)


class TeamsList:
    """The list of the sandbox."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._list = sandbox.team.suppressions

    def add(self, address: str, origin: str = "manual", ago: float = 60.0) -> str:
        at = timezone.now().timestamp() - ago
        return str(self._list.add(address, origin, at)["id"])

    def has(self, address: str) -> bool:
        return self._list.find(address, timezone.now().timestamp()) is not None

    def remove(self, address: str) -> None:
        self._list.remove(address, timezone.now().timestamp())


@pytest.fixture
def listed(sandbox: SandboxServer) -> TeamsList:
    return TeamsList(sandbox)


def sync(provider: Provider) -> None:
    """One complete reading, which is due."""
    SuppressionSync.objects.update(finished_at=None, failed_at=None, claimed_until=None)
    for _ in range(20):
        sync_suppressions([provider])
        if SuppressionSync.objects.filter(finished_at__isnull=False, started_at=None).exists():
            return
    raise AssertionError("the reading does not end")


def reasons() -> dict[str, str]:
    return {
        address: row.reason
        for address in (people.ADA, people.BEN, people.CLEO, people.DINA)
        if (row := get_suppression(address))
    }


def names(severity: str = "warning") -> list[str]:
    found = suppression_list_diagnostics(timezone.now())
    return [each.sentence for each in found if each.severity == severity]


def test_listed_addresses_are_suppressed_with_the_reason_that_the_provider_tells(
    provider: Provider, listed: TeamsList
) -> None:
    subscription = people.ada()
    listed.add(people.ADA, "complaint")
    listed.add(people.BEN, "bounce")
    listed.add(people.CLEO, "manual")
    sync(provider)
    assert reasons() == {
        people.ADA: SuppressionReason.COMPLAINT,
        people.BEN: SuppressionReason.HARD_BOUNCE,
        people.CLEO: SuppressionReason.PROVIDER,
    }
    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.SUPPRESSED
    stored = list(ProviderSuppression.objects.values_list("fingerprint", "suppression_id", "origin"))
    assert len(stored) == 3
    assert not any("@" in "".join(row) for row in stored)
    sync(provider)
    assert Suppression.objects.count() == 3
    assert names() == []


def test_a_long_list_is_read_one_page_at_a_time(
    provider: Provider, listed: TeamsList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_suppressions, "PAGE_SIZE", 2)
    for number in range(5):
        listed.add(f"reader-{number}@example.org")
    sync_suppressions([provider])
    assert ProviderSuppression.objects.count() == 2
    assert SuppressionSync.objects.get().finished_at is None
    sync_suppressions([provider])
    sync_suppressions([provider])
    state = SuppressionSync.objects.get()
    assert (state.listed, bool(state.finished_at), state.cursor) == (5, True, "")
    assert Suppression.objects.count() == 5


def test_the_list_is_read_again_after_six_hours_and_not_before(provider: Provider, listed: TeamsList) -> None:
    sync(provider)
    listed.add(people.ADA)
    sync_suppressions([provider])
    assert not Suppression.objects.exists()
    SuppressionSync.objects.update(finished_at=timezone.now() - datetime.timedelta(hours=7))
    sync_suppressions([provider])
    assert Suppression.objects.count() == 1


def test_an_entry_that_is_removed_during_the_reading_begins_it_again(
    provider: Provider, listed: TeamsList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend_suppressions, "PAGE_SIZE", 1)
    for address in (people.ADA, people.BEN):
        listed.add(address)
    sync_suppressions([provider])
    listed.remove(people.BEN)
    sync(provider)
    assert set(reasons()) == {people.ADA, people.BEN}
    assert list(ProviderSuppression.objects.values_list("fingerprint", flat=True)) == [fingerprint(people.ADA)]


def test_lifting_a_complaint_here_removes_it_there(provider: Provider, listed: TeamsList) -> None:
    listed.add(people.ADA, "complaint")
    sync(provider)
    lift_suppressions(Suppression.objects.all(), by="ida", explanation="Pressed by mistake.")
    sync_suppressions([provider])
    assert not listed.has(people.ADA)
    assert not ProviderSuppression.objects.exists()
    sync(provider)
    assert not Suppression.objects.exists()


def test_a_complaint_that_is_lifted_before_the_list_was_read_is_removed_there_later(
    provider: Provider, listed: TeamsList
) -> None:
    sync(provider)
    listed.add(people.ADA, "complaint")
    suppress_addresses({people.ADA: (SuppressionReason.COMPLAINT, "")})
    lift_suppressions(Suppression.objects.all(), by="ida", explanation="Pressed by mistake.")
    sync(provider)
    assert not Suppression.objects.exists()
    sync_suppressions([provider])
    assert not listed.has(people.ADA)
    sync(provider)
    assert not Suppression.objects.exists()


def test_a_complaint_after_the_lift_suppresses_again(provider: Provider, listed: TeamsList) -> None:
    sync(provider)
    request_removal([fingerprint(people.ADA)])
    ProviderSuppression.objects.update(removal_requested_at=timezone.now() - datetime.timedelta(hours=2))
    listed.add(people.ADA, "complaint", ago=60)
    sync(provider)
    assert reasons() == {people.ADA: SuppressionReason.COMPLAINT}
    assert listed.has(people.ADA)


def test_a_confirmation_after_a_hard_bounce_removes_the_entry_there(provider: Provider, listed: TeamsList) -> None:
    mailing_list = people.make_mailing_list()
    listed.add(people.ADA, "bounce")
    sync(provider)
    request_subscription(mailing_list, parse_address(people.ADA), Evidence(form="signup"))
    subscription = Subscription.objects.get()
    confirm(ConfirmationToken(subscription.key, subscription.request_number), Evidence(form="confirm"))
    assert not Suppression.objects.exists()
    sync_suppressions([provider])
    assert not listed.has(people.ADA)


def test_an_address_whose_mail_bounced_for_policy_is_not_suppressed_here_and_is_reported(
    provider: Provider, listed: TeamsList
) -> None:
    delivery = delivery_to(people.ADA, start_sending(make_issue()))
    event: dict[str, Any] = {"provider": "resend", "kind": "email.bounced", "body": "{}", "delivery_id": delivery.pk}
    Event.objects.create(**event, event_id="m-1", state="applied", bounce="policy")
    assert delivery.state == DeliveryState.ACCEPTED
    listed.add(people.ADA, "bounce")
    sync(provider)
    assert not Suppression.objects.exists()
    (sentence,) = names()
    assert sentence == "1 address is on the suppression list of resend and not suppressed here."
    Event.objects.create(**event, event_id="m-2", state="applied", bounce="no_mailbox")
    sync(provider)
    assert reasons() == {people.ADA: SuppressionReason.HARD_BOUNCE}
    assert names() == []


def test_the_command_has_the_provider_try_addresses_again_that_are_not_suppressed_here(
    provider: Provider, listed: TeamsList, capsys: pytest.CaptureFixture[str]
) -> None:
    delivery = delivery_to(people.ADA, start_sending(make_issue()))
    event: dict[str, Any] = {"provider": "resend", "kind": "email.bounced", "body": "{}", "delivery_id": delivery.pk}
    Event.objects.create(**event, event_id="m-1", state="applied", bounce="policy")
    listed.add(people.ADA, "bounce")
    listed.add(people.BEN, "complaint")
    sync(provider)
    call_command("remove_provider_suppressions", "--dry-run", "--by", "Sue")
    assert listed.has(people.ADA)
    (command,) = [each.command for each in suppression_list_diagnostics(timezone.now()) if each.command]
    assert command == "manage.py remove_provider_suppressions"
    call_command("remove_provider_suppressions", "--by", "Sue")
    assert "1 addresses would be removed" in capsys.readouterr().out
    sync(provider)
    assert not listed.has(people.ADA)
    assert listed.has(people.BEN), "it is suppressed here, too"
    assert names() == []


def test_an_address_that_is_no_longer_listed_stays_suppressed_and_is_named(
    provider: Provider, listed: TeamsList
) -> None:
    listed.add(people.ADA, "manual")
    sync(provider)
    Suppression.objects.update(created_at=timezone.now() - datetime.timedelta(days=1))
    listed.remove(people.ADA)
    sync(provider)
    assert reasons() == {people.ADA: SuppressionReason.PROVIDER}
    assert names("ok") == ["1 address was on the list of resend, is no longer listed there, and suppressed here."]


def test_a_key_that_may_not_read_is_reported_and_not_tried_all_the_time(
    provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", sandbox.team.options.sending_key)
    refused = get_provider()
    sync_suppressions([refused])
    state = SuppressionSync.objects.get()
    assert state.code == "suppressions_refused"
    assert state.failed_at is not None
    SuppressionSync.objects.update(started_at=timezone.now() - datetime.timedelta(days=1))
    (sentence,) = names()
    assert sentence.startswith("The suppression list of resend is not read: The key may not read")
    calls: list[str] = []
    monkeypatch.setattr(type(refused), "read_suppressions", lambda self, *, after: calls.append(after))
    sync_suppressions([refused])
    assert not calls


def test_a_removal_that_fails_is_reported(
    provider: Provider, listed: TeamsList, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed.add(people.ADA, "manual")
    sync(provider)
    lift_suppressions(Suppression.objects.all(), by="ida")
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", sandbox.team.options.sending_key)
    sync_suppressions([get_provider()])
    assert listed.has(people.ADA)
    assert names() == ["1 address may be mailed again, but could not be removed from the list of resend."]
    assert not Suppression.objects.exists()


def test_an_entry_that_cannot_be_removed_does_not_keep_the_list_from_being_read(
    provider: Provider, listed: TeamsList, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Provider, suppression_id: str) -> None:
        raise SuppressionsUnreadable("suppressions_unreadable", "500", permanent=False)

    listed.add(people.ADA, "manual")
    sync(provider)
    lift_suppressions(Suppression.objects.all(), by="ida")
    listed.add(people.BEN, "complaint")
    monkeypatch.setattr(type(provider), "remove_suppression", refuse)
    for _ in range(3):
        # Each time that the entry is tried again, a reading is due, too.
        past = timezone.now() - datetime.timedelta(days=1)
        SuppressionSync.objects.filter(finished_at__isnull=False).update(finished_at=past)
        SuppressionSync.objects.filter(failed_at__isnull=False).update(failed_at=past)
        ProviderSuppression.objects.filter(removal_failed_at__isnull=False).update(removal_failed_at=past)
        sync_suppressions([provider])
    assert reasons() == {people.BEN: SuppressionReason.COMPLAINT}


def test_without_a_key_that_reads_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PROVIDER_READ_KEY", "")
    sync_suppressions([get_provider()])
    assert not SuppressionSync.objects.exists()


def test_under_another_secret_nothing_is_read(
    provider: Provider, listed: TeamsList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_list, "suppression_secret_differs", lambda: True)
    listed.add(people.ADA)
    sync_suppressions([provider])
    assert not Suppression.objects.exists()
