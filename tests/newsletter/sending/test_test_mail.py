"""Test mails: marked as tests, without working links, and outside of every count."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
from django.urls import resolve

from newsletter.content.document import SectionContent
from newsletter.content.store import save_content
from newsletter.models import Delivery, Edition, Issue, Send
from newsletter.providers.base import Provider
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.switch import resume_sending, stop_all_sending
from newsletter.sending.test_mail import TestMailRefused, send_test
from subscribers.models import SuppressionReason
from subscribers.suppression import suppress_addresses
from tests.publications import content, start_sending, story

pytestmark = pytest.mark.django_db


def mails_to_edda(sandbox: SandboxServer) -> list[dict[str, Any]]:
    ledger = sandbox.ledger
    return [ledger.contents(mail) for mail in ledger.mails_to("edda@example.org", time.time())]


def test_a_test_mail_has_the_fallback_of_a_merge_field_in_its_subject(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    save_content(issue, content(subject="Ports for {first_name|you}"), by="tests")
    send_test(issue, ["edda@example.org"])
    (mail,) = mails_to_edda(sandbox)
    assert mail["subject"] == "[TEST] Ports for you"


def test_a_test_mail_is_marked_and_its_links_are_samples(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    assert send_test(issue, ["edda@example.org"]) == ("edda@example.org",)
    (mail,) = mails_to_edda(sandbox)
    assert mail["subject"] == "[TEST] Taller cranes, quieter ferries"
    assert "List-Unsubscribe" not in mail.get("headers", {})
    for part in ("html", "text"):
        assert "/unsubscribe/" not in mail[part]
        assert "http://127.0.0.1:8000/harbour-notes/#only-a-sample" in mail[part]


def test_no_link_of_a_test_mail_changes_anything(issue: Issue, provider: Provider, sandbox: SandboxServer) -> None:
    send_test(issue, ["edda@example.org"])
    (mail,) = mails_to_edda(sandbox)
    ours = re.findall(r"http://127\.0\.0\.1:8000(/[^\s\"#?<>]*)", mail["html"] + mail["text"])
    assert {resolve(path).url_name for path in ours} <= {"newsletter", "archive", "issue", "subscribe", "feed"}
    assert len(ours) >= 4


def test_a_test_mail_is_counted_nowhere(issue: Issue, provider: Provider) -> None:
    send_test(issue, ["edda@example.org"])
    assert not Delivery.objects.exists()
    assert not Edition.objects.exists()
    assert not Send.objects.exists()


def test_past_draft_the_frozen_edition_is_sent_as_the_test(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    start_sending(issue)
    Issue.objects.filter(pk=issue.pk).update(subject="Changed afterwards")
    send_test(Issue.objects.get(pk=issue.pk), ["edda@example.org"])
    assert [mail["subject"] for mail in mails_to_edda(sandbox)] == ["[TEST] Taller cranes, quieter ferries"]


def test_one_invalid_address_stops_all_and_every_invalid_one_is_named(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    with pytest.raises(TestMailRefused) as refused:
        send_test(issue, ["edda@example.org", "will at example", "sue@@example.org"])
    assert len(refused.value.sentences) == 2
    assert "“will at example”" in str(refused.value)
    assert sandbox.ledger.counts()["messages"] == 0


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        ([], "at least one address"),
        ([f"editor-{number}@example.org" for number in range(6)], "at most 5 addresses; you entered 6"),
    ],
)
def test_too_few_and_too_many_addresses_are_refused(issue: Issue, addresses: list[str], sentence: str) -> None:
    with pytest.raises(TestMailRefused, match=sentence):
        send_test(issue, addresses)


def test_a_repeated_address_gets_one_test_mail(issue: Issue, provider: Provider) -> None:
    assert len(send_test(issue, ["edda@example.org", "Edda@Example.org"])) == 1


def test_a_suppressed_address_gets_no_test_mail(issue: Issue, provider: Provider, sandbox: SandboxServer) -> None:
    suppress_addresses({"dina@example.org": (SuppressionReason.COMPLAINT, "")})
    with pytest.raises(TestMailRefused, match="is suppressed"):
        send_test(issue, ["dina@example.org"])
    assert sandbox.ledger.counts()["messages"] == 0


def test_an_issue_that_cannot_be_rendered_is_refused_with_the_reason(issue: Issue, provider: Provider) -> None:
    long = replace(story(1), url=f"https://harbour.example/{'a' * 1_000}")
    save_content(issue, content(sections=(SectionContent(title="Long", stories=(long,)),)), by="tests")
    with pytest.raises(TestMailRefused, match="the maximum in a mail is 998"):
        send_test(issue, ["edda@example.org"])


def test_refused_mails_and_mails_with_an_unknown_outcome_are_reported_differently(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("validation_error", status=422), Fault("reset", after_commit=True), Fault("none"))
    with pytest.raises(TestMailRefused) as refused:
        send_test(issue, ["a@example.org", "b@example.org", "c@example.org"])
    assert refused.value.sentences[0].startswith("a@example.org: the mail was not sent.")
    assert refused.value.sentences[1].startswith("b@example.org: it is unknown whether the mail was sent.")
    assert refused.value.sent == ("c@example.org",)


def test_a_test_mail_is_refused_in_words_while_all_sending_is_stopped(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    stop_all_sending(by="Edda", text="The API key leaked.")
    with pytest.raises(TestMailRefused, match="All sending is stopped"):
        send_test(issue, ["edda@example.org"])
    assert mails_to_edda(sandbox) == []
    resume_sending(by="Edda")
    assert send_test(issue, ["edda@example.org"]) == ("edda@example.org",)
