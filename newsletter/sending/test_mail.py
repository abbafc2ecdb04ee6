"""Test mails: an issue as it is now, to a few addresses, before it is sent.

They count nowhere: they have no delivery and no edition, their links change nothing, and they carry no List-Unsubscribe
header. Merge fields show the values of the address if it is subscribed, else their fallbacks.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import gettext as _

from newsletter.models import Edition, Issue, sending_stopped
from newsletter.providers import Route, get_route
from newsletter.providers.base import Message, OutcomeKind
from newsletter.providers.throttle import clear_suspensions, post_message
from newsletter.rendering import PlaceholderTemplate, RenderingError
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition
from newsletter.sending.message import filled_subject, sample_values
from newsletter.sending.recipients import Recipient, as_recipient
from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscription
from subscribers.suppression import filter_suppressed

MAX_ADDRESSES = 5
PREFIX = "[TEST] "


class TestMailRefused(Exception):
    """Some test mails were not sent. Each sentence names an address and the reason; `sent` are the others."""

    __test__ = False  # not a test case for pytest

    def __init__(self, *sentences: str, sent: Sequence[str] = ()) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences
        self.sent = tuple(sent)


def send_test(issue: Issue, addresses: Sequence[str]) -> tuple[str, ...]:
    """Send the issue as a test to at most MAX_ADDRESSES addresses, and return the addresses it was sent to.

    The frozen edition is sent if there is one, else the saved draft. Raises TestMailRefused, and sends nothing if an
    address or the issue itself is at fault.
    """
    recipients = _checked(addresses)
    if sending_stopped():
        raise TestMailRefused(_("All sending is stopped, so no test mail is sent. Resume sending first."))
    try:
        edition = issue.edition or prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        raise TestMailRefused(str(error)) from error
    # An editor wants to know whether sending works: ask also a provider that refused mail before.
    clear_suspensions(by="a test mail")
    route, sent, refused = get_route(), [], []
    for address in recipients:
        problem = _post(route, _message(issue, edition, to=address))
        if problem:
            refused.append(problem)
        else:
            sent.append(address)
    if refused:
        raise TestMailRefused(*refused, sent=sent)
    return tuple(sent)


def _checked(addresses: Sequence[str]) -> list[str]:
    """The addresses as given, without duplicates. Raises TestMailRefused with every problem."""
    recipients, problems = {}, []
    for raw in addresses:
        try:
            address = parse_address(raw)
            recipients[address.canonical] = address.as_typed
        except AddressError as error:
            problems.append(f"“{raw}”: {error}")
    problems += [
        _("%(address)s is suppressed because it bounced or complained. Remove it.") % {"address": recipients[canonical]}
        for canonical in filter_suppressed(set(recipients))
    ]
    if not addresses:
        problems.append(_("Enter at least one address."))
    if len(recipients) > MAX_ADDRESSES:
        problems.append(
            _("A test mail can be sent to at most %(limit)s addresses; you entered %(count)s. Remove some.")
            % {"limit": MAX_ADDRESSES, "count": len(recipients)}
        )
    if problems:
        raise TestMailRefused(*problems)
    return list(recipients.values())


def _message(issue: Issue, edition: Edition, *, to: str) -> Message:
    values = sample_values(issue.newsletter, edition.merges, _as_recipient(issue, to) if edition.merges else None)
    html, text = (
        PlaceholderTemplate.split(part.encode(), edition.nonce).fill(values).decode()
        for part in (edition.html, edition.text)
    )
    return Message(
        sender=edition.envelope["sender"],
        reply_to=edition.envelope["reply_to"],
        to=to,
        subject=f"{PREFIX}{filled_subject(edition.subject, edition.merges, values)}",
        html=html,
        text=text,
        # Without a delivery its events count nowhere; a bounce still suppresses the address.
        tags={"kind": "test", "env": settings.ENVIRONMENT},
    )


def _as_recipient(issue: Issue, address: str) -> Recipient | None:
    """The subscriber with this address on the newsletter's list, in any state; None if there is none."""
    of_list = Subscription.objects.filter(mailing_list=issue.newsletter_id).select_related("subscriber")
    subscription = of_list.filter(subscriber__canonical=parse_address(address).canonical).first()
    return as_recipient(subscription) if subscription else None


def _post(route: Route, message: Message) -> str:
    """Send one message, and return why it was not sent; empty if it was."""
    outcome = post_message(route, message, key=f"{settings.ENVIRONMENT}:test:{uuid.uuid4().hex}")
    if outcome.kind is OutcomeKind.ACCEPTED:
        return ""
    sentence = _("%(address)s: the mail was not sent. %(reason)s")
    if outcome.kind in {OutcomeKind.UNKNOWN, OutcomeKind.KEY_CONFLICT}:
        sentence = _(
            "%(address)s: it is unknown whether the mail was sent. Check the mailbox before you try again. %(reason)s"
        )
    return sentence % {"address": message.to, "reason": outcome.reason}
