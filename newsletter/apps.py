"""The publishing app as Django knows it, and its system checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DatabaseError
from django.utils import formats, timezone, translation

from newsletter.config import failpoints, translatable


class NewsletterConfig(AppConfig):
    """WHAT is sent and WHEN."""

    name = "newsletter"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and what other parts ask for, install the translator, and arm the failpoint if one is set."""
        register(check_proxies)
        register(check_signing_keys, Tags.database)
        # All of these need the registry of apps.
        from newsletter.deliverability import retention as deliverability_retention
        from newsletter.models.newsletter import asks_for_tracking
        from newsletter.models.reasons import PROVIDER_SENTENCES
        from newsletter.privacy import provider_list, retention, rules
        from newsletter.providers.reasons import REASONS
        from newsletter.reports import subscriber_history
        from newsletter.sending import merged_addresses
        from newsletter.sending.audience_uses import uses_by_issues
        from newsletter.sending.segment_rules import register_kinds
        from newsletter.sending.weekly import WeeksOfNewsletters
        from subscribers.consent.frequency import register_weeks
        from subscribers.consent.preferences import TRACKING_QUESTIONS
        from subscribers.segments.uses import register_uses

        PROVIDER_SENTENCES.update(REASONS)
        TRACKING_QUESTIONS.append(asks_for_tracking)
        register_kinds()
        register_uses(uses_by_issues)
        register_weeks(WeeksOfNewsletters())
        rules.add_rules()
        retention.add_rules()
        deliverability_retention.add_rules()
        provider_list.listen()
        subscriber_history.register()
        merged_addresses.register()
        translatable.install(translation.gettext, translation.ngettext, _separators)
        failpoints.arm(failpoints.read_failpoint(settings.FAILPOINT))


def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn about an https site without a trusted proxy: gunicorn itself serves http only, so there must be one."""
    if not settings.IS_ENCRYPTED or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "SITE_URL is https, but TRUSTED_PROXIES is 0: all requests seem to come from the reverse proxy, so that "
            "all visitors share one sign-up limit.",
            hint="Set TRUSTED_PROXIES=1 if one reverse proxy sets X-Forwarded-For and X-Forwarded-Proto.",
            id="newsletter.W001",
        )
    ]


def check_signing_keys(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn if links in sent mails were signed with a key that is no longer in the settings.

    Part of `manage.py check --database default` and of `migrate`; workers log the same when they start.
    """
    if not databases:
        return []
    # Needs the registry of apps.
    from newsletter.monitoring.lost_links import advice_on_lost_links, lost_links, lost_links_sentence

    now = timezone.now()
    try:
        lost = lost_links(now)
    except DatabaseError:
        # Before the first migration, or while the database does not answer: other commands say so.
        return []
    return [Warning(lost_links_sentence(lost, now), hint=advice_on_lost_links(), id="newsletter.W002")] if lost else []


def _separators() -> tuple[str, str]:
    """The separators of thousands and of decimals in the active language."""
    return str(formats.get_format("THOUSAND_SEPARATOR")), str(formats.get_format("DECIMAL_SEPARATOR"))
