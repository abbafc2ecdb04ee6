"""Merge fields in messages: each recipient gets their own value, escaped for the place where it is used."""

from __future__ import annotations

import datetime
import html
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.document import SectionContent
from newsletter.content.merge_fields import MERGE_FIELDS
from newsletter.content.store import save_content
from newsletter.models import Issue, Newsletter
from newsletter.providers.base import Provider
from newsletter.rendering.placeholders import MAX_IN_SUBJECT, in_subject
from newsletter.sandbox import SandboxServer
from newsletter.sending.message import FIELD_VALUES, filled_subject, merge_values, sample_values
from newsletter.sending.recipients import as_recipient, with_custom_values
from newsletter.sending.test_mail import send_test
from subscribers.models import CustomField, FieldKind, FieldValue, Subscriber
from subscribers.profile.fields import Value, set_values
from tests.people import ADA, ada, make_subscription
from tests.publications import content, expand_audiences, make_newsletter, post_everything, send_of, start_sending

HOSTILE = [
    "{{ 7*7 }}",
    '"><img src=x onerror=alert(1)>',
    "Zoë 🦊",
    "שרה כהן",
    "zq0123456789abxhunsubscribe_urlxqz",
    'a\\u0000"b',
]


@pytest.fixture
def greeting_issue(issue: Issue) -> Issue:
    """An issue that greets each recipient by name."""
    greeting = SectionContent(title="Signal of the day", body="Hello {first_name|there}!")
    save_content(issue, content(sections=(greeting, *content().sections[1:])), by="tests")
    return issue


def mail_to(sandbox: SandboxServer, address: str) -> dict[str, Any]:
    (mail,) = sandbox.ledger.mails_to(address, time.time())
    return sandbox.ledger.contents(mail)


def name_ada(name: str) -> None:
    Subscriber.objects.filter(address=ADA).update(first_name=name)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_exactly_as_it_was_typed(
    name: str, greeting_issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    ada(greeting_issue.newsletter)
    name_ada(name)
    start_sending(greeting_issue)
    expand_audiences()
    post_everything(provider)
    mail = mail_to(sandbox, ADA)
    assert f"Hello {html.escape(name)}!" in mail["html"]
    tree = lxml_html.fromstring(mail["html"])
    assert f"Hello {name}!" in tree.text_content()
    assert not tree.xpath("//img")
    assert f"Hello {name}!" in mail["text"]


@pytest.mark.parametrize("name", [*HOSTILE, "Ada\r\nBcc: eve@example.org", "n" * 60, "\u202eadA"])
def test_a_name_in_a_subject_and_a_preheader_is_filled_safely(
    name: str, issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    subject, preheader = "Ports for {first_name|you}: “news”", "Ten stories, {first_name|dear}."
    save_content(issue, content(subject=subject, preheader=preheader), by="tests")
    ada(issue.newsletter)
    make_subscription("nameless@example.org", issue.newsletter)
    name_ada(name)
    start_sending(issue)
    expand_audiences()
    post_everything(provider)
    mail, other = mail_to(sandbox, ADA), mail_to(sandbox, "nameless@example.org")
    assert mail["subject"] == f"Ports for {in_subject(name)}: “news”"
    assert len(mail["subject"]) <= MAX_IN_SUBJECT + 20
    assert other["subject"] == "Ports for you: “news”"
    assert "Ten stories, dear." in other["html"]
    assert f"Ten stories, {html.escape(' '.join(name.split()))}." in mail["html"]
    assert send_of(issue).edition.subject == subject


@pytest.mark.django_db
def test_a_name_that_cannot_be_seen_gives_the_fallback() -> None:
    merges = {"m1": {"field": "first_name", "fallback": "you"}}
    recipient = replace(as_recipient(ada()), first_name="\u200b\u202e")
    assert merge_values(merges, recipient) == {"m1": "you"}


def test_braces_in_a_subject_that_was_frozen_without_merge_fields_stay_as_typed() -> None:
    assert filled_subject("Sets such as {a|b}", {}, {}) == "Sets such as {a|b}"


def test_each_recipient_gets_their_own_name_or_the_fallback(
    greeting_issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    ada(greeting_issue.newsletter)
    make_subscription("nameless@example.org", greeting_issue.newsletter)
    name_ada("Ada")
    start_sending(greeting_issue)
    expand_audiences()
    post_everything(provider)
    assert "Hello Ada!" in mail_to(sandbox, ADA)["html"]
    assert "Hello there!" in mail_to(sandbox, "nameless@example.org")["html"]


def test_the_names_of_a_batch_take_no_query_per_recipient(
    greeting_issue: Issue, provider: Provider, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_subscription(f"reader-{number}@example.org", greeting_issue.newsletter)
    start_sending(greeting_issue)
    expand_audiences()
    with django_assert_max_num_queries(45):
        post_everything(provider)


def test_a_test_mail_shows_the_values_of_a_subscriber_and_fallbacks_to_others(
    greeting_issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    ada(greeting_issue.newsletter)
    name_ada("Ada")
    send_test(greeting_issue, [ADA, "editor@example.org"])
    assert "Hello Ada!" in mail_to(sandbox, ADA)["html"]
    assert "Hello there!" in mail_to(sandbox, "editor@example.org")["html"]


# Custom fields

KINDS = {"city": FieldKind.TEXT, "since": FieldKind.DATE, "boats": FieldKind.NUMBER, "topics": FieldKind.CHOICES}


@pytest.fixture
def fields(issue: Issue) -> dict[str, CustomField]:
    return {
        key: CustomField.objects.create(
            mailing_list=issue.newsletter, key=key, label=key, kind=kind, options=["Ports", "Ships"]
        )
        for key, kind in KINDS.items()
    }


@pytest.fixture
def personal_issue(issue: Issue, fields: dict[str, CustomField]) -> Issue:
    """An issue in German that uses every custom field."""
    Newsletter.objects.filter(pk=issue.newsletter_id).update(language="de")
    body = "{city|your town} · {since|long ago} · {boats|no} boats · {topics|everything}"
    text = SectionContent(title="Signal of the day", body=body)
    save_content(issue, content(sections=(text, *content().sections[1:])), by="tests")
    issue.newsletter.refresh_from_db()
    return issue


def test_custom_fields_show_each_recipient_their_values_or_the_fallbacks(
    personal_issue: Issue, fields: dict[str, CustomField], provider: Provider, sandbox: SandboxServer
) -> None:
    subscription = ada(personal_issue.newsletter)
    make_subscription("blank@example.org", personal_issue.newsletter)
    values: dict[str, Value] = {
        "city": "<b>Köln</b> & {first_name|x}",
        "since": datetime.date(2024, 5, 1),
        "boats": Decimal("1234.5"),
        "topics": ("Ports", "Ships"),
    }
    set_values(subscription, {fields[key]: value for key, value in values.items()})
    start_sending(personal_issue)
    expand_audiences()
    post_everything(provider)
    mail = mail_to(sandbox, ADA)
    line = "<b>Köln</b> & {first_name|x} · 1. Mai 2024 · 1234,5 boats · Ports, Ships"
    assert line in " ".join(mail["text"].split())
    assert html.escape(line) in mail["html"]
    fallbacks = "your town · long ago · no boats · everything"
    assert fallbacks in mail_to(sandbox, "blank@example.org")["html"]
    send = send_of(personal_issue)
    used = {merge["field"] for merge in send.edition.merges.values()}
    assert used == set(KINDS)


def test_line_breaks_and_invisible_characters_of_a_value_do_not_reach_a_mail(
    fields: dict[str, CustomField], issue: Issue
) -> None:
    subscription = ada(issue.newsletter)
    FieldValue.objects.create(field=fields["city"], subscription=subscription, text="Köln\r\nBcc: x\u202e")
    merges = {"m1": {"field": "city", "fallback": "your town"}}
    assert sample_values(issue.newsletter, merges, as_recipient(subscription))["m1"] == "Köln Bcc: x"


def test_values_of_another_list_are_not_shown(fields: dict[str, CustomField], issue: Issue) -> None:
    other = make_newsletter("tide-tables")
    theirs = CustomField.objects.create(mailing_list=other, key="city", label="City")
    set_values(ada(other), {theirs: "Kiel"})
    merges = {"m1": {"field": "city", "fallback": "your town"}}
    here = as_recipient(make_subscription("ada@example.org", issue.newsletter))
    assert sample_values(issue.newsletter, merges, here)["m1"] == "your town"


@pytest.mark.parametrize("uses_fields", [False, True])
def test_values_take_one_query_per_batch_and_none_without_custom_fields(
    uses_fields: bool, fields: dict[str, CustomField], issue: Issue
) -> None:
    people = [as_recipient(make_subscription(f"reader-{n}@example.org", issue.newsletter)) for n in range(30)]
    merges = {"m1": {"field": "city" if uses_fields else "first_name", "fallback": "x"}}
    with CaptureQueriesContext(connection) as queries:
        with_custom_values(people, merges)
    assert len(queries) == uses_fields


@pytest.mark.django_db
def test_a_field_that_no_longer_exists_gives_its_fallback() -> None:
    merges = {"m1": {"field": "shoe_size", "fallback": "well shod"}}
    assert merge_values(merges, as_recipient(ada())) == {"m1": "well shod"}


@pytest.mark.django_db
def test_line_breaks_in_a_name_become_spaces() -> None:
    subscription = ada()
    subscription.subscriber.first_name = "Ada\r\n\r\nBuy now"
    merges = {"m1": {"field": "first_name", "fallback": "there"}}
    assert merge_values(merges, as_recipient(subscription)) == {"m1": "Ada Buy now"}


def test_every_merge_field_has_a_value() -> None:
    assert FIELD_VALUES.keys() == set(MERGE_FIELDS)
