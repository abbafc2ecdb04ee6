"""Test mails: an issue as it stands, to a few people who want to see it first.

They are outside of every count: no delivery, no edition, links that do nothing, no header to unsubscribe with, and
the fallbacks of merge fields, since they are written to nobody's name.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.conf import settings

from newsletter.models import Edition, Issue
from newsletter.providers import Route, get_route
from newsletter.providers.base import Message, OutcomeKind
from newsletter.providers.throttle import clear_suspensions, post_message
from newsletter.rendering import PlaceholderTemplate, RenderingError
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition
from newsletter.sending.message import sample_values
from subscribers.addresses import AddressError, parse_address
from subscribers.suppression import suppressed_among

MOST_ADDRESSES = 5
PREFIX = "[TEST] "


class TestMailRefused(Exception):
    """Not every test mail went out; each sentence says which did not, and why. `sent` are those that did."""

    permanent = True
    __test__ = False  # its name is no test's

    def __init__(self, *sentences: str, sent: Sequence[str] = ()) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences
        self.sent = tuple(sent)


def send_test(issue: Issue, addresses: Sequence[str]) -> tuple[str, ...]:
    """Send the issue to up to MOST_ADDRESSES people as a test; the addresses that it went to.

    What goes out is the frozen edition where there is one, else the draft as it is saved. Raises TestMailRefused;
    where an address or the issue is at fault, before anything has gone out.
    """
    recipients = _checked(addresses)
    try:
        edition = issue.edition or prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        raise TestMailRefused(str(error)) from error
    # A person looks whether mail goes out: a provider that refused us is asked again.
    clear_suspensions(by="a test mail")
    route, sent, refused = get_route(), [], []
    for address in recipients:
        problem = _post(route, _message(issue, edition, to=address))
        if problem:
            refused.append(f"{address}: {problem}")
        else:
            sent.append(address)
    if refused:
        raise TestMailRefused(*refused, sent=sent)
    return tuple(sent)


def _checked(addresses: Sequence[str]) -> list[str]:
    """The addresses as they are mailed, each person once. Raises TestMailRefused with everything that is wrong."""
    recipients, wrong = {}, []
    for raw in addresses:
        try:
            address = parse_address(raw)
            recipients[address.canonical] = address.as_given
        except AddressError as error:
            wrong.append(f"“{raw}”: {error}")
    suppressed = suppressed_among(set(recipients))
    wrong += [f"{recipients[canonical]} must not be mailed: it bounced or complained." for canonical in suppressed]
    if not addresses:
        wrong.append("Name at least one address.")
    if len(recipients) > MOST_ADDRESSES:
        wrong.append(f"A test goes to {MOST_ADDRESSES} addresses at most; you named {len(recipients)}.")
    if wrong:
        raise TestMailRefused(*wrong)
    return list(recipients.values())


def _message(issue: Issue, edition: Edition, *, to: str) -> Message:
    values = sample_values(issue.newsletter, edition.merges)
    html, text = (
        PlaceholderTemplate.split(part.encode(), edition.nonce).fill(values).decode()
        for part in (edition.html, edition.text)
    )
    return Message(
        sender=edition.envelope["sender"],
        reply_to=edition.envelope["reply_to"],
        to=to,
        subject=f"{PREFIX}{edition.subject}",
        html=html,
        text=text,
        # Without a delivery its receipts are counted nowhere; a bounce still keeps us from writing there again.
        tags={"kind": "test", "env": settings.ENVIRONMENT},
    )


def _post(route: Route, message: Message) -> str:
    """Send one; why it did not go out, empty if it did."""
    outcome = post_message(route, message, key=f"{settings.ENVIRONMENT}:test:{uuid.uuid4().hex}")
    if outcome.kind is OutcomeKind.ACCEPTED:
        return ""
    if outcome.kind in {OutcomeKind.UNKNOWN, OutcomeKind.STUCK}:
        return f"it is not known whether it went out; look into that mailbox before you try again. {outcome.reason}"
    return f"it was not sent. {outcome.reason}"
