"""Mails to DMARC_REPORT_ADDRESS: events about them become rows, from which a step of the worker fetches the reports."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from newsletter.models import ReportMail
from newsletter.providers.base import Provider
from newsletter.providers.inbound import SupportsInbound


def note_report_mails(provider: Provider, bodies: Mapping[int, str]) -> set[int]:
    """Store the mails that these events are about, each once. Returns the keys of the events about such mails."""
    if not settings.DMARC_REPORT_ADDRESS or not isinstance(provider, SupportsInbound):
        return set()
    found: dict[int, ReportMail] = {}
    for pk, body in bodies.items():
        mail = provider.read_received(body)
        if mail is not None and settings.DMARC_REPORT_ADDRESS in mail.recipients:
            domain = mail.sender.rpartition("@")[2][:253]
            found[pk] = ReportMail(
                provider=provider.name, mail_id=mail.mail_id, sender_domain=domain, received_at=mail.at
            )
    if found:
        ReportMail.objects.bulk_create(found.values(), ignore_conflicts=True)
    return set(found)
