"""What is stored about a subscriber and where it came from, in words, for the preferences page.

That page is opened by a link, and mails are forwarded: what identifies the subscriber is masked.
"""

from __future__ import annotations

import datetime

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from subscribers.addresses import masked
from subscribers.consent.preferences import fields_to_show
from subscribers.models import Consent, ConsentKind, CustomField, FieldKind, Subscription
from subscribers.profile.fields import Value, shown_value, values_of
from subscribers.web.zones import zone_in_words

#: Kinds of fields whose value is one of a few, so that it identifies no one. Others are masked.
SHOWN_KINDS = (FieldKind.YES_NO, FieldKind.CHOICE, FieldKind.CHOICES)


def masked_text(text: str) -> str:
    """The first letter of a name or another text."""
    return f"{text[:1]}•••"


def shown_field(field: CustomField, value: Value) -> str:
    """The value of a custom field, masked unless it is one of a few. Empty without a value."""
    if value is None:
        return ""
    if field.kind in SHOWN_KINDS:
        return shown_value(value)
    return masked_text(value) if isinstance(value, str) else "•••"


def stored_facts(subscription: Subscription, now: datetime.datetime) -> list[tuple[str, str]]:
    """Label and value of everything that is stored. Topics and other lists have parts of the page of their own."""
    subscriber, nothing = subscription.subscriber, _("not stored")
    zone = subscriber.time_zone
    languages = dict(settings.LANGUAGES)
    values = values_of([subscription.pk])[subscription.pk]
    return [
        (_("Address"), masked(subscriber.address)),
        (_("First name"), masked_text(subscriber.first_name) if subscriber.first_name else nothing),
        (_("Time zone"), zone_in_words(zone, now) if zone else nothing),
        (_("Language"), languages.get(subscription.page_language, subscription.page_language)),
        *(
            (field.label, shown_field(field, values.get(field.key)) or nothing)
            for field in fields_to_show(subscription)
        ),
        *_origin(subscription),
    ]


def _origin(subscription: Subscription) -> list[tuple[str, str]]:
    """Since when, by which way, and how it is proved."""
    facts = [(_("Subscribed"), date_format(subscription.confirmed_at or subscription.created_at))]
    consents = Consent.objects.filter(subscription=subscription)
    first = consents.order_by("pk").first()
    if source := subscription.source or (str(first.get_form_display()) if first else ""):
        facts.append((_("Signed up on"), source))
    proofs = consents.filter(kind__in=(ConsentKind.CONFIRMED, ConsentKind.IMPORTED))
    if proof := proofs.order_by("-pk").first():
        facts.append((_("Proof"), _proof(proof)))
    return facts


def _proof(consent: Consent) -> str:
    date = date_format(consent.created_at)
    if consent.kind == ConsentKind.IMPORTED:
        return _("Imported on %(date)s, with a proof of your consent.") % {"date": date}
    return _("You confirmed on %(date)s, by the link in a mail.") % {"date": date}
