"""The switch: one stop for all mail of the installation; what waits is sent once when sending resumes."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    InvalidTransition,
    Issue,
    Reason,
    SendingSwitch,
    SendState,
    SwitchState,
    SwitchTransition,
    sending_stopped,
)
from newsletter.providers import throttle
from newsletter.providers.base import Provider
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.expand import expand_audience
from newsletter.sending.post import seconds_until_post
from newsletter.sending.schedule import IssueRefused, send_now, start_next_due_send
from newsletter.sending.switch import StopReasonNeeded, resume_sending, stop_all_sending
from tests import people
from tests.publications import expand_audiences, just_now, post_everything, schedule_send, send_of, start_sending

pytestmark = pytest.mark.django_db


def started(issue: Issue, subscribers: int = 4) -> None:
    people.make_subscriptions(subscribers, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)


def test_no_batch_is_posted_while_all_sending_is_stopped_and_each_is_posted_once_after_it(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    started(issue)
    stop_all_sending(by="Edda", text="The API key leaked.")
    assert post_everything(provider) == 0
    assert seconds_until_post([provider]) is None
    resume_sending(by="Edda")
    assert post_everything(provider) == 2
    assert sandbox.ledger.summary()["messages"] == sandbox.ledger.summary()["recipients"] == 4


def test_a_batch_whose_worker_waits_for_a_permit_goes_back_unsent(
    issue: Issue, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(issue)
    reserve = throttle._reserve

    def stop_meanwhile(*args: object) -> bool:
        if not SwitchTransition.objects.exists():
            stop_all_sending(by="Edda", text="The API key leaked.")
        return reserve(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(throttle, "_reserve", stop_meanwhile)
    post_everything(provider)
    assert sandbox.ledger.summary()["messages"] == 0
    assert list(Batch.objects.exclude(reason="").values_list("reason", flat=True)) == [Reason.SENDING_STOPPED]
    assert not Delivery.objects.exclude(state=DeliveryState.PENDING).exists()
    resume_sending(by="Edda")
    Batch.objects.update(not_before=just_now())
    post_everything(provider)
    assert sandbox.ledger.summary()["messages"] == 4


def test_a_batch_with_an_unknown_outcome_stays_unknown_and_is_posted_again_under_its_key_after_the_stop(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    started(issue, subscribers=2)
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    key = Batch.objects.get(state=BatchState.UNKNOWN).key
    stop_all_sending(by="Edda", text="The API key leaked.")
    Batch.objects.update(not_before=just_now())
    assert post_everything(provider) == 0
    resume_sending(by="Edda")
    assert post_everything(provider) == 1
    assert Batch.objects.get(state=BatchState.ACCEPTED).key == key
    assert sandbox.ledger.summary()["messages"] == 2


def test_no_audience_is_expanded_and_no_send_starts_while_all_sending_is_stopped(issue: Issue) -> None:
    people.ada(issue.newsletter)
    schedule_send(issue, at=just_now())
    stop_all_sending(by="Edda", text="Wrong content.")
    assert not start_next_due_send()
    assert send_of(issue).state == SendState.SCHEDULED
    resume_sending(by="Edda")
    assert start_next_due_send()
    stop_all_sending(by="Edda", text="Wrong content.")
    assert not expand_audience(100)
    assert not Delivery.objects.exists()


def test_send_now_is_refused_in_words_while_all_sending_is_stopped(issue: Issue) -> None:
    people.ada(issue.newsletter)
    stop_all_sending(by="Edda", text="Wrong content.")
    with pytest.raises(IssueRefused, match="All sending is stopped"):
        send_now(issue, by="Edda")


def test_every_stop_and_resume_is_recorded_with_who_when_and_why() -> None:
    stop_all_sending(by="Edda", text=" The API key leaked. ")
    stop_all_sending(by="restore", reason=Reason.RESTORED)
    resume_sending(by="Ida", text="New key.")
    lines = SwitchTransition.objects.values_list("source", "target", "by", "reason", "values")
    assert list(lines) == [
        (SwitchState.ON, SwitchState.STOPPED, "Edda", Reason.OPERATOR, {"text": "The API key leaked."}),
        (SwitchState.STOPPED, SwitchState.STOPPED, "restore", Reason.RESTORED, {}),
        (SwitchState.STOPPED, SwitchState.ON, "Ida", Reason.OPERATOR, {"text": "New key."}),
    ]
    assert sending_stopped() is None


def test_the_latest_reason_of_a_stop_is_the_one_that_is_shown() -> None:
    stop_all_sending(by="Edda", text="The API key leaked.")
    stop = sending_stopped()
    assert stop
    assert (stop.by, stop.sentence) == ("Edda", "Decided by an operator. The API key leaked.")
    stop_all_sending(by="restore", reason=Reason.RESTORED)
    assert (stop := sending_stopped())
    assert stop.sentence.startswith("This database was restored from a backup.")


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_operator_needs_a_reason_to_stop_all_sending(text: str) -> None:
    with pytest.raises(StopReasonNeeded):
        stop_all_sending(by="Edda", text=text)
    assert sending_stopped() is None


def test_sending_that_is_not_stopped_cannot_be_resumed() -> None:
    with pytest.raises(InvalidTransition, match="Sending is not stopped"):
        resume_sending(by="Edda")


def test_the_setting_stops_all_sending_and_cannot_be_overridden(
    issue: Issue, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(issue)
    monkeypatch.setattr(settings, "SENDING_IS_OFF", True)
    assert post_everything(provider) == 0
    stop = sending_stopped()
    assert stop
    assert stop.is_by_setting
    with pytest.raises(InvalidTransition, match="SENDING=off"):
        resume_sending(by="Edda")
    monkeypatch.setattr(settings, "SENDING_IS_OFF", False)
    assert post_everything(provider) == 2


def test_there_is_one_switch_at_most_and_a_stop_always_has_a_reason() -> None:
    stop_all_sending(by="Edda", text="The API key leaked.")
    with pytest.raises(IntegrityError), transaction.atomic():
        SendingSwitch.objects.create(pk=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        SendingSwitch.objects.update(stop_reason="")
