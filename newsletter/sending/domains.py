"""Sending domains: keeps what the provider says about them, above all whether it tracks opens and clicks.

A domain with tracking adds an image to each mail and rewrites every link in it, the unsubscribe link too (Resend docs,
“Open and click tracking”). Pre-flight reads the kept state, so that no check waits for the provider. A send that runs
when tracking is found on, without consent to it, is paused.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from newsletter.models import Newsletter, ProviderDomain, Reason, Send, SendState
from newsletter.providers import get_route
from newsletter.providers.base import DomainsUnreadable, Provider, SupportsDomains
from subscribers.addresses import domain_of

log = logging.getLogger(__name__)

#: How often the worker asks.
REFRESH_EVERY = datetime.timedelta(minutes=10)


def refresh_due_domains(route: Iterable[Provider]) -> bool:
    """Ask the providers of the route that did not answer for half of REFRESH_EVERY; whether one did now.

    Half, since an answer arrives later than the step begins: at its next run it is not yet REFRESH_EVERY old.
    """
    if not Newsletter.objects.exists():
        return False
    now = timezone.now()
    fresh = ProviderDomain.objects.filter(checked_at__gt=now - REFRESH_EVERY / 2, checked_at__lte=now)
    known = set(fresh.values_list("provider", flat=True))
    answered = 0
    for provider in route:
        if provider.name in known or not isinstance(provider, SupportsDomains):
            continue
        try:
            refresh_domains(provider)
        except DomainsUnreadable as error:
            log.info("Domains not read", extra={"provider": provider.name, "code": error.code})
        else:
            answered += 1
    return answered > 0


def refresh_domains(provider: Provider) -> None:
    """Ask the provider now, keep its answer, and pause the sends that it concerns. Raises DomainsUnreadable.

    Does nothing if the provider has no domains to ask for.
    """
    if not isinstance(provider, SupportsDomains):
        return
    answer, now = provider.read_domains(), timezone.now()
    domains = {domain_of(f"postmaster@{domain.name}"): domain for domain in answer}
    with transaction.atomic():
        ProviderDomain.objects.filter(provider=provider.name).exclude(name__in=domains).delete()
        ProviderDomain.objects.bulk_create(
            (
                ProviderDomain(
                    provider=provider.name,
                    name=name,
                    status=domain.status,
                    open_tracking=domain.open_tracking,
                    click_tracking=domain.click_tracking,
                    checked_at=now,
                )
                for name, domain in domains.items()
            ),
            update_conflicts=True,
            unique_fields=["provider", "name"],
            update_fields=["status", "open_tracking", "click_tracking", "checked_at"],
        )
    pause_tracked_sends()


def pause_tracked_sends() -> None:
    """Pause each running send whose sender's domain is tracked against its newsletter's choice.

    By what is kept of the route's domains. Only after a provider was asked: an operator who has turned tracking off can
    resume at once, and the next answer pauses the send again if it is still on.
    """
    providers, now = {provider.name for provider in get_route()}, timezone.now()
    running = Send.objects.filter(state=SendState.SENDING).select_related("issue__newsletter").defer("manifest")
    for send in running:
        newsletter = send.issue.newsletter
        if newsletter.lets_provider_track:
            continue
        domain = ProviderDomain.objects.of_sender(newsletter.sender_email, providers, now).tracked().first()
        if domain is None:
            continue
        values = {"provider": domain.provider, "domain": domain.name}
        if send.pause_if_sending(Reason.PROVIDER_TRACKS, values=values):
            log.warning("Send paused: tracking without consent", extra={"send": send.pk, **values})
