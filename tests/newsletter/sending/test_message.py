"""Merge fields in messages: each recipient gets their own value, escaped for the place where it is used."""

from __future__ import annotations

import html
import time
from typing import Any

import pytest
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.content.document import SectionContent
from newsletter.content.merge_fields import MERGE_FIELDS
from newsletter.content.store import save_content
from newsletter.models import Issue
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.message import FIELD_VALUES, merge_values
from newsletter.sending.recipients import as_recipient
from newsletter.sending.test_mail import send_test
from subscribers.models import Subscriber
from tests.people import ADA, ada, make_subscription
from tests.publications import content, expand_audiences, post_everything, start_sending

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


def test_a_test_mail_shows_the_fallback_for_a_name(
    greeting_issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    ada(greeting_issue.newsletter)
    name_ada("Ada")
    send_test(greeting_issue, [ADA])
    assert "Hello there!" in mail_to(sandbox, ADA)["html"]


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
