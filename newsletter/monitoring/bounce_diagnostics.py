"""Diagnostics of mailbox providers that refuse the sender."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.models import STARTED, CountScope, Send, SendCount
from newsletter.monitoring.diagnostic import RECENT, Diagnostic, Severity
from newsletter.monitoring.formatting import number
from newsletter.providers.bounce_classes import BounceClass
from newsletter.sending.policy_bounces import newest_refusals

#: Fewer refusals of one mailbox provider are a rule of a single recipient.
MIN_REFUSALS = 5

#: Mailbox providers that are named.
MAX_NAMED = 5


def policy_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """The mailbox providers that refused mails of the last send because of the sender, with their words.

    A send that is paused for it says so itself.
    """
    sends = Send.objects.filter(state__in=STARTED, started_at__gte=now - RECENT)
    send = sends.select_related("issue").defer("manifest").order_by("-started_at").first()
    if send is None or send.was_auto_paused or _count_refusals(send) < MIN_REFUSALS:
        return
    for name, bounces in newest_refusals(send, MAX_NAMED).items():
        if not name or bounces.total < MIN_REFUSALS:
            continue
        sentence = ngettext(
            "%(provider)s refused %(count)s mail of “%(title)s” because of the sender: “%(reply)s”",
            "%(provider)s refused %(count)s mails of “%(title)s” because of the sender: “%(reply)s”",
            bounces.total,
        )
        values = {"provider": name, "count": number(bounces.total), "title": send.issue.title, "reply": bounces.reply}
        yield Diagnostic(
            name="policy_bounces",
            severity=Severity.WARNING,
            sentence=sentence % values,
            advice=_(
                "No address is suppressed for this. Check SPF, DKIM and DMARC of the sender's domain, its reputation "
                "in the mailbox provider's postmaster tools, and the block list that the reply names."
            ),
            issue=send.issue,
        )


def _count_refusals(send: Send) -> int:
    """From the counters: reading the events of a large send takes longer than the page that shows the diagnostics."""
    counts = SendCount.objects.filter(send=send, scope=CountScope.BOUNCE, key=BounceClass.POLICY.value)
    return sum(counts.values_list("value", flat=True))
