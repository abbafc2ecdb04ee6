"""Fills the database of a separate installation for the journey through the preferences page, and prints its links.

Run inside the installation: `python -m tests.journeys.preferences_site`.
"""

from __future__ import annotations

import json
import os


def main() -> None:
    """One subscriber of a list that offers everything, and one who has not confirmed yet."""
    from subscribers.addresses import parse_address
    from subscribers.consent import double_opt_in
    from subscribers.consent.address_change import request_change
    from subscribers.consent.tokens import approve_address_url, confirm_address_url, confirm_url, preferences_url
    from subscribers.models import AddressChange, CustomField, Evidence, MailingList, Subscription, Topic
    from tests.publications import make_newsletter

    newsletter = make_newsletter(consent_mode="consent")
    make_newsletter("tide-tables", name="Tide Tables", description="High and low water, every Monday.")
    MailingList.objects.update(is_listed=True, offers_weekly=True)
    for name in ("Ships", "Weather"):
        Topic.objects.create(mailing_list=newsletter, name=name, slug=name.lower(), description=f"All about {name}.")
    for key, kind, options in (("town", "text", []), ("boat", "choices", ["Sloop", "Ketch"]), ("sails", "yes_no", [])):
        CustomField.objects.create(
            mailing_list=newsletter, key=key, label=key.title(), kind=kind, options=options, help_text=f"Your {key}."
        )
    CustomField.objects.create(mailing_list=newsletter, key="harbour", label="Home harbour", asked="confirmed")
    links = {}
    for name in ("ada", "ben"):
        double_opt_in.request_subscription(newsletter, parse_address(f"{name}@example.org"), Evidence(form="signup"))
        row = Subscription.objects.get(subscriber__canonical=f"{name}@example.org")
        links[name] = {
            "confirm": confirm_url(row.key, row.request_number),
            "preferences": preferences_url(row.key),
            "key": str(row.key),
        }
    ada = Subscription.objects.get(subscriber__canonical="ada@example.org")
    Subscription.objects.filter(pk=ada.pk).update(state="active", confirmed_at=ada.created_at)
    request_change(ada.key, parse_address("ada@example.net"))
    change = AddressChange.objects.get()
    links["change"] = {"confirm": confirm_address_url(change.key), "approve": approve_address_url(change.key)}
    print(json.dumps(links))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    main()
