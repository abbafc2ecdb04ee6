"""Sending domains: what the provider says about them is kept, and tracking without consent stops an issue."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.utils import timezone

from newsletter.models import ConsentMode, EngagementSource, Issue, Newsletter, ProviderDomain, Reason, SendState
from newsletter.providers import get_route
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import resume_send
from newsletter.sending.domains import REFRESH_EVERY, refresh_domains, refresh_due_domains
from newsletter.sending.schedule import IssueRefused, dry_run, schedule_issue, send_now, start_next_due_send
from tests import people
from tests.publications import make_newsletter, schedule_send, send_of, start_sending
from tests.sandboxes import provider_of, running_sandbox

DOMAIN = frozenset({"mail.example.org"})


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A provider that tracks opens and clicks of the newsletter's domain."""
    verified = DOMAIN | {"other.example.org"}
    with running_sandbox(
        verified_domains=verified, open_tracking_domains=DOMAIN, click_tracking_domains=DOMAIN
    ) as sandbox:
        provider_of(sandbox, monkeypatch)
        yield sandbox


@pytest.fixture
def ready(issue: Issue) -> Issue:
    people.ada(issue.newsletter)
    return issue


def test_the_providers_answer_is_kept_and_replaced(tracking: SandboxServer, db: None) -> None:
    ProviderDomain.objects.create(provider="resend", name="former.example.org", checked_at=timezone.now())
    [provider] = get_route()
    refresh_domains(provider)
    kept = ProviderDomain.objects.order_by("name").values_list("name", "status", "open_tracking", "click_tracking")
    assert list(kept) == [("mail.example.org", "verified", True, True), ("other.example.org", "verified", False, False)]
    tracking.configure(open_tracking_domains=frozenset())
    refresh_domains(provider)
    assert ProviderDomain.objects.get(name="mail.example.org").open_tracking is False


def test_the_worker_asks_when_the_last_answer_is_ten_minutes_old(tracking: SandboxServer, db: None) -> None:
    assert not refresh_due_domains(get_route()), "without a newsletter there is nothing to ask for"
    make_newsletter()
    assert refresh_due_domains(get_route())
    assert not refresh_due_domains(get_route())
    ProviderDomain.objects.update(checked_at=timezone.now() - datetime.timedelta(minutes=11))
    assert refresh_due_domains(get_route())


def test_the_worker_asks_at_every_run_of_its_step(
    tracking: SandboxServer, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_newsletter()
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert refresh_due_domains(get_route())
    # The answer came two seconds after the step had begun.
    ProviderDomain.objects.update(checked_at=now + datetime.timedelta(seconds=2))
    now += REFRESH_EVERY
    assert refresh_due_domains(get_route())


def test_an_issue_is_neither_scheduled_nor_sent_while_the_provider_tracks_without_consent(
    tracking: SandboxServer, ready: Issue
) -> None:
    refresh_due_domains(get_route())
    tomorrow = timezone.now().replace(tzinfo=None) + datetime.timedelta(days=1)
    for start in (
        lambda: send_now(ready, by="Edda"),
        lambda: schedule_issue(ready, wall=tomorrow, zone="UTC", by="Edda"),
        lambda: dry_run(ready),
    ):
        with pytest.raises(IssueRefused, match=r"tracks the opens of all mails from mail\.example\.org"):
            start()
    Newsletter.objects.update(consent_mode=ConsentMode.AGGREGATE)
    with pytest.raises(IssueRefused, match="tracks the clicks"):
        send_now(Issue.objects.get(), by="Edda")
    Newsletter.objects.update(consent_mode=ConsentMode.CONSENT)
    with pytest.raises(IssueRefused, match="choose “With consent” and the provider"):
        send_now(Issue.objects.get(), by="Edda")
    Newsletter.objects.update(engagement_source=EngagementSource.OWN)
    with pytest.raises(IssueRefused, match="tracks the clicks"):
        send_now(Issue.objects.get(), by="Edda")
    Newsletter.objects.update(engagement_source=EngagementSource.PROVIDER)
    send_now(Issue.objects.get(), by="Edda")


def test_a_scheduled_issue_does_not_start_if_tracking_was_turned_on_meanwhile(
    tracking: SandboxServer, ready: Issue
) -> None:
    send = schedule_send(ready, at=timezone.now() - datetime.timedelta(seconds=1))
    refresh_due_domains(get_route())
    start_next_due_send()
    send.refresh_from_db()
    assert send.state == SendState.WITHDRAWN
    assert "tracks the opens" in send.transitions.get(target=SendState.WITHDRAWN).sentence


def test_tracking_that_is_unknown_or_was_read_long_ago_stops_nothing(tracking: SandboxServer, ready: Issue) -> None:
    refresh_due_domains(get_route())
    ProviderDomain.objects.update(checked_at=timezone.now() - datetime.timedelta(days=2))
    dry_run(ready)
    ProviderDomain.objects.update(checked_at=timezone.now(), open_tracking=None, click_tracking=None)
    dry_run(ready)


def test_tracking_at_a_provider_that_is_not_in_use_stops_nothing(provider: Provider, ready: Issue) -> None:
    now = timezone.now()
    ProviderDomain.objects.create(provider="former", name="mail.example.org", open_tracking=True, checked_at=now)
    dry_run(ready)


def test_tracking_is_seen_for_a_sender_with_an_international_domain(
    tracking: SandboxServer, db: None, issue: Issue
) -> None:
    people.ada(issue.newsletter)
    # Providers list the domain in ASCII (RFC 5891), and mail is sent from that form.
    domain = "xn--bcher-kva.example.org"
    tracking.configure(verified_domains=frozenset({domain}), open_tracking_domains=frozenset({domain}))
    Newsletter.objects.update(sender_email="notes@Bücher.example.org")
    refresh_due_domains(get_route())
    with pytest.raises(IssueRefused, match="tracks the opens"):
        dry_run(Issue.objects.get())


def test_tracking_that_is_turned_on_during_a_send_pauses_it(tracking: SandboxServer, ready: Issue) -> None:
    tracking.configure(open_tracking_domains=frozenset(), click_tracking_domains=frozenset())
    [provider] = get_route()
    start_sending(ready)
    refresh_domains(provider)
    assert send_of(ready).state == SendState.SENDING
    tracking.configure(click_tracking_domains=DOMAIN)
    refresh_domains(provider)
    paused = send_of(ready)
    assert (paused.state, paused.hold_reason) == (SendState.PAUSED, Reason.PROVIDER_TRACKS)
    assert "The provider resend tracks opens or clicks of all mails from mail.example.org" in paused.hold_sentence
    assert paused.transitions.get(target=SendState.PAUSED).by == "worker"
    # Tracking may have been turned off since the last answer.
    resume_send(paused, by="Edda")
    assert send_of(ready).state == SendState.SENDING
    refresh_domains(provider)
    assert send_of(ready).state == SendState.PAUSED
    tracking.configure(click_tracking_domains=frozenset())
    resume_send(send_of(ready), by="Edda")
    refresh_domains(provider)
    assert send_of(ready).state == SendState.SENDING


def test_tracking_that_is_turned_on_pauses_no_send_with_consent(tracking: SandboxServer, ready: Issue) -> None:
    Newsletter.objects.update(consent_mode=ConsentMode.CONSENT, engagement_source=EngagementSource.PROVIDER)
    start_sending(ready)
    refresh_due_domains(get_route())
    assert send_of(ready).state == SendState.SENDING


def test_tracking_of_another_domain_pauses_no_send(tracking: SandboxServer, ready: Issue) -> None:
    tracking.configure(open_tracking_domains=frozenset({"other.example.org"}), click_tracking_domains=frozenset())
    start_sending(ready)
    refresh_due_domains(get_route())
    assert send_of(ready).state == SendState.SENDING
