"""The mail to operators about an endpoint that the worker has disabled. A step of the worker."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils.translation import gettext as _

from newsletter.models import EndpointTransition, Newsletter, WebhookEndpoint
from subscribers.addresses import sender_line
from subscribers.transactional.outbox import MailBackendError

log = logging.getLogger(__name__)


def mail_operators() -> bool:
    """Write to each active superuser about the next endpoint that was disabled. Returns whether there was one.

    A kill between the mail and the note sends the same mail again under its key, which the provider drops.
    """
    endpoint = WebhookEndpoint.objects.filter(mail_due=True).order_by("pk").first()
    if endpoint is None:
        return False
    sender, recipients = _sender(endpoint), operator_addresses()
    for address in recipients if sender else ():
        _mail(endpoint, sender, address)
    if not sender or not recipients:
        log.warning("No mail about a disabled webhook endpoint", extra={"endpoint": endpoint.pk})
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(mail_due=False)
    return True


def operator_addresses() -> Sequence[str]:
    """The addresses of active superusers."""
    users = get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exclude(email="")
    return list(users.order_by("pk").values_list("email", flat=True))


def _sender(endpoint: WebhookEndpoint) -> str:
    """The sender of its newsletter, else of the first one: the provider takes mail from verified domains only."""
    newsletter = endpoint.newsletter or Newsletter.objects.order_by("pk").first()
    return sender_line(newsletter.sender_name, newsletter.sender_email) if newsletter else ""


def _mail(endpoint: WebhookEndpoint, sender: str, address: str) -> None:
    last = EndpointTransition.objects.filter(endpoint=endpoint).order_by("-pk").first()
    page = settings.SITE_URL + reverse("admin:newsletter_webhookendpoint_change", args=[endpoint.pk])
    message = EmailMessage(
        subject=_("The webhook endpoint “%(name)s” was disabled") % {"name": endpoint.name},
        body="\n\n".join(
            (
                _("It gets no more messages: %(url)s") % {"url": endpoint.url},
                last.sentence if last else "",
                _("When the other system works again, activate the endpoint on its page: %(page)s") % {"page": page},
            )
        ),
        from_email=sender,
        to=[address],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.idempotency_key = f"endpoint-disabled:{last.pk if last else 0}:{address}"[:250]  # type: ignore[attr-defined]
    try:
        message.send()
    except MailBackendError as error:
        if not error.permanent:
            raise
        log.warning("Mail about a webhook endpoint refused", extra={"endpoint": endpoint.pk})
