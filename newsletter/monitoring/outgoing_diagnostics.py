"""Diagnostics of outgoing webhooks: endpoints that fail, were disabled, or cannot be signed for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from newsletter.models import EndpointState, EndpointTransition, WebhookEndpoint
from newsletter.monitoring.diagnostic import Diagnostic, Severity
from newsletter.monitoring.formatting import utc
from newsletter.notifications.delivering import DISABLED_AFTER
from newsletter.notifications.endpoints import WORKER
from newsletter.notifications.signing import lost_secrets

#: Failures that last for longer are reported.
FAILING_FOR = datetime.timedelta(hours=1)


def outgoing_webhook_diagnostics(now: datetime.datetime) -> Iterator[Diagnostic]:
    """Endpoints that the worker disabled, that fail for longer than FAILING_FOR, or whose secret is lost."""
    for endpoint in WebhookEndpoint.objects.filter(state=EndpointState.DISABLED).order_by("pk"):
        last = EndpointTransition.objects.filter(endpoint=endpoint).order_by("-pk").first()
        if last is not None and last.by == WORKER:
            yield _found(
                "endpoint_disabled",
                endpoint,
                _("The webhook endpoint “%(name)s” was disabled. %(reason)s")
                % {"name": endpoint.name, "reason": last.sentence},
                _("When the other system works again, activate it. It can also get what happened meanwhile."),
            )
    failing = WebhookEndpoint.objects.filter(state=EndpointState.ACTIVE, failing_since__lte=now - FAILING_FOR)
    for endpoint in failing.order_by("pk"):
        yield _found(
            "endpoint_failing",
            endpoint,
            _("The webhook endpoint “%(name)s” fails since %(at)s.")
            % {"name": endpoint.name, "at": utc(endpoint.failing_since or now)},
            _("Its page shows the answers. It is disabled after %(days)s days of failures.")
            % {"days": DISABLED_AFTER.days},
        )
    for secret in lost_secrets(now).select_related("endpoint").order_by("pk"):
        yield _found(
            "endpoint_secret",
            secret.endpoint,
            _("Messages to the webhook endpoint “%(name)s” cannot be signed: the SECRET_KEY of its secret is gone.")
            % {"name": secret.endpoint.name},
            _("Set the former SECRET_KEY in SECRET_KEY_FALLBACKS, or replace the secret of the endpoint."),
            Severity.ERROR,
        )


def _found(
    name: str, endpoint: WebhookEndpoint, sentence: str, advice: str, severity: Severity = Severity.WARNING
) -> Diagnostic:
    page = settings.SITE_URL + reverse("admin:newsletter_webhookendpoint_change", args=[endpoint.pk])
    return Diagnostic(name=name, severity=severity, sentence=sentence, advice=advice, link=page)
